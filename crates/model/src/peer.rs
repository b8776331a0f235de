//! Peers in both directions: [`Pairing`] (a receiver we may use), [`Peer`] (an offloader that may
//! use us), [`PendingPeer`] (one that asks), [`Alert`].
use std::net::IpAddr;

use crate::{
    Capabilities, DashboardId, Endpoint, EsphomeVersion, FriendlyName, Label, Pin, PublicKey,
    Timestamp,
};

/// Whether a pairing may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PairingStatus {
    /// Asked, not yet decided; never persisted.
    Pending,
    /// Decided by the receiver's admin.
    Approved,
}

/// Our record of a receiver, keyed by its pin (peer-link.md §4.8).
#[derive(Clone, Debug, PartialEq)]
pub struct Pairing {
    /// Who it is.
    pub pin: Pin,
    /// Its static key.
    pub public_key: PublicKey,
    /// Where it was last reached or edited to.
    pub endpoint: Endpoint,
    /// The owner's name for it.
    pub label: Label,
    /// The owner left the label at its prefilled value.
    pub label_auto: bool,
    /// When it was made.
    pub paired_at: Timestamp,
    /// Pending or approved.
    pub status: PairingStatus,
    /// Whether the scheduler may choose it.
    pub enabled: bool,
    /// ESPHome version from its last session.
    pub esphome_version: Option<EsphomeVersion>,
    /// From its last session.
    pub capabilities: Capabilities,
    /// From its last session.
    pub friendly_name: FriendlyName,
    /// From its last session.
    pub ha_addon: bool,
}

/// Our record of an approved offloader, keyed by its `dashboard_id` (peer-link.md §4.8).
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its id.
    pub dashboard_id: DashboardId,
    /// Its pin; what is trusted.
    pub pin: Pin,
    /// Its static key.
    pub public_key: PublicKey,
    /// Its own name for itself.
    pub label: Label,
    /// The label was prefilled.
    pub label_auto: bool,
    /// When it was approved.
    pub paired_at: Timestamp,
    /// Last source address.
    pub peer_ip: Option<IpAddr>,
    /// Port of its own listener, for `connect_back`; `None` when unknown.
    pub connect_back_port: Option<u16>,
    /// Its machine name.
    pub friendly_name: FriendlyName,
    /// Whether it is the Home Assistant add-on.
    pub ha_addon: bool,
}

/// An offloader that asks to be admitted. Lives in memory only.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingPeer {
    /// Its id.
    pub dashboard_id: DashboardId,
    /// Its pin, to be compared by eye.
    pub pin: Pin,
    /// Its static key.
    pub public_key: PublicKey,
    /// Its own name for itself.
    pub label: Label,
    /// The label was prefilled.
    pub label_auto: bool,
    /// Where the request came from.
    pub peer_ip: Option<IpAddr>,
    /// Its machine name.
    pub friendly_name: FriendlyName,
    /// Whether it is the Home Assistant add-on.
    pub ha_addon: bool,
    /// When it asked.
    pub requested_at: Timestamp,
}

/// What is wrong with a pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertKind {
    /// Another key answers at the receiver's place.
    PinMismatch,
    /// The receiver does not know us any more.
    PeerRevoked,
    /// A newer client with our identity took the session.
    Superseded,
}

/// A pairing that stopped and needs the owner. Stays until paired again or unpaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The pairing.
    pub pin: Pin,
    /// Its label.
    pub label: Label,
    /// Where.
    pub endpoint: Endpoint,
    /// What is wrong.
    pub kind: AlertKind,
    /// The key that answered instead.
    pub observed: Option<Pin>,
    /// Since when.
    pub since: Timestamp,
}
