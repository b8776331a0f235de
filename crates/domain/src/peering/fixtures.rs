//! Short names for the values that tests of this half are about.
use std::net::IpAddr;

use kiln_model::{
    Capabilities, DashboardId, Endpoint, FriendlyName, Label, Pairing, PairingStatus, Peer,
    PendingPeer, Pin, PublicKey, Timestamp,
};

/// The offloader number `n`.
pub(super) fn id(n: u8) -> DashboardId {
    format!("dashboard-{n}").parse().unwrap()
}

/// The key number `n`.
pub(super) fn key(n: u8) -> PublicKey {
    PublicKey([n; 32])
}

/// The pin of [`key`]; any injective map will do here.
pub(super) fn pin(n: u8) -> Pin {
    Pin([n; 32])
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

/// The approved offloader number `n` with the key `n`.
pub(super) fn peer(n: u8) -> Peer {
    Peer {
        dashboard_id: id(n),
        pin: pin(n),
        public_key: key(n),
        label: Label::clipped("an offloader"),
        label_auto: false,
        paired_at: Timestamp(1),
        peer_ip: None,
        connect_back_port: None,
        friendly_name: FriendlyName::default(),
        ha_addon: false,
    }
}

/// The offloader number `n` with the key `n`, asking from `source`.
pub(super) fn pending(n: u8, source: &str) -> PendingPeer {
    PendingPeer {
        dashboard_id: id(n),
        pin: pin(n),
        public_key: key(n),
        label: Label::default(),
        label_auto: false,
        peer_ip: Some(ip(source)),
        friendly_name: FriendlyName::default(),
        ha_addon: false,
        requested_at: Timestamp(1),
    }
}

/// An approved pairing with the receiver of key `n` at `n.example:6055`.
pub(super) fn pairing(n: u8) -> Pairing {
    Pairing {
        pin: pin(n),
        public_key: key(n),
        endpoint: endpoint(&format!("{n}.example")),
        label: Label::clipped("a receiver"),
        label_auto: false,
        paired_at: Timestamp(1),
        status: PairingStatus::Approved,
        enabled: true,
        esphome_version: None,
        capabilities: Capabilities::default(),
        friendly_name: FriendlyName::default(),
        ha_addon: false,
    }
}
