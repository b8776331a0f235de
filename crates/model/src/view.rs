//! [`View`]: the one read model for command line, tray and window.
use std::net::IpAddr;

use crate::{
    Alert, AlertKind, Availability, Confinement, DashboardId, Endpoint, EsphomeVersion,
    FriendlyName, Job, Label, Pairing, Peer, PendingPeer, Pin, QueueStatus, Sentence, Storage,
    Timestamp,
};

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityView {
    /// Our pin.
    pub pin: Pin,
    /// Our stable id.
    pub dashboard_id: DashboardId,
    /// Our machine name as announced.
    pub friendly_name: FriendlyName,
    /// Our Kiln version.
    pub version: String,
    /// ESPHome version for own builds; `None` until one is installed.
    pub esphome_version: Option<EsphomeVersion>,
}

/// State of the pairing window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowView {
    /// No new offloader is heard.
    Closed,
    /// Open for this many more seconds.
    Open {
        /// Seconds until the last client's entry expires.
        seconds_left: u64,
    },
}

/// State of the link to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// A session is open.
    Connected,
    /// Dialling or waiting to dial; the text is the last error, possibly empty.
    Connecting(Sentence),
    /// Stopped for good; the alert says why.
    Orphaned,
    /// Waits for the receiver's admin.
    AwaitingApproval,
}

/// A receiver we may use.
#[derive(Clone, Debug, PartialEq)]
pub struct PairingView {
    /// The record.
    pub pairing: Pairing,
    /// Its link.
    pub link: LinkState,
    /// Its last queue status.
    pub queue: Option<QueueStatus>,
}

/// An offloader that may use us.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerView {
    /// The record.
    pub peer: Peer,
    /// Whether a session is open.
    pub connected: bool,
}

/// A dashboard or Kiln seen on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveredHost {
    /// Instance label, cleaned for display.
    pub name: String,
    /// SRV target as received.
    pub hostname: String,
    /// SRV port (the HTTP port of a dashboard).
    pub port: u16,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Version of the dashboard package; possibly empty.
    pub server_version: String,
    /// ESPHome version; possibly empty.
    pub esphome_version: String,
    /// Machine name, cleaned for display; possibly empty.
    pub friendly_name: FriendlyName,
    /// Announced pin, if it is one. A hint, never trusted.
    pub pin: Option<Pin>,
    /// Announced peer-link endpoint, if it receives.
    pub endpoint: Option<Endpoint>,
    /// Home Assistant add-on.
    pub ha_addon: bool,
}

/// Everything a face shows.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Who we are.
    pub identity: IdentityView,
    /// May we compile for others now.
    pub availability: Availability,
    /// What holds builds for others.
    pub sandbox: Confinement,
    /// Port of the peer-link listener, when bound.
    pub listening: Option<u16>,
    /// Pairing window.
    pub window: WindowView,
    /// Receivers we may use, in pairing order.
    pub pairings: Vec<PairingView>,
    /// Offloaders that may use us.
    pub peers: Vec<PeerView>,
    /// Offloaders that ask.
    pub pending: Vec<PendingPeer>,
    /// Pairings that need the owner.
    pub alerts: Vec<Alert>,
    /// Seen on the network, without ourselves.
    pub discovered: Vec<DiscoveredHost>,
    /// Jobs, newest first.
    pub jobs: Vec<Job>,
    /// Our compile lane.
    pub queue: QueueStatus,
    /// What is kept on disk.
    pub storage: Storage,
    /// Things the owner should know, one sentence each ("The keyring is locked. Unlock it …").
    pub notices: Vec<Sentence>,
    /// When this was made.
    pub at: Timestamp,
    /// Label under which we introduce ourselves.
    pub own_label: Label,
}

impl View {
    /// Returns whether an alert tells of a request that was declined, and not of a pairing that was
    /// ended: only then nothing is left of it but the alert.
    pub fn is_declined(&self, alert: &Alert) -> bool {
        alert.kind == AlertKind::PeerRevoked
            && self
                .pairings
                .iter()
                .all(|view| view.pairing.pin != alert.pin)
    }
}
