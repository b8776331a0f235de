//! JSON of receivers, offloaders, pending offloaders and alerts.
use std::net::IpAddr;

use kiln_model::{
    Absence, Alert, AlertKind, AvailabilityReason, Capabilities, DashboardId, Endpoint,
    EsphomeVersion, FriendlyName, Label, LinkState, Pairing, PairingStatus, PairingView, Peer,
    PeerView, PendingPeer, Pin, PublicKey, QueueStatus, Sentence, Timestamp,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::form::{self, Form, mirrored};
use crate::sentence;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Pairing")]
struct PairingJson {
    #[serde(rename = "pin_sha256", with = "form")]
    pin: Pin,
    #[serde(with = "form")]
    public_key: PublicKey,
    #[serde(with = "form")]
    endpoint: Endpoint,
    #[serde(with = "form")]
    label: Label,
    label_auto: bool,
    #[serde(with = "form")]
    paired_at: Timestamp,
    #[serde(with = "form")]
    status: PairingStatus,
    enabled: bool,
    #[serde(with = "form")]
    esphome_version: Option<EsphomeVersion>,
    #[serde(with = "form")]
    capabilities: Capabilities,
    #[serde(with = "form")]
    friendly_name: FriendlyName,
    ha_addon: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Capabilities")]
struct CapabilitiesJson {
    #[serde(default)]
    auto_provision: bool,
    #[serde(default)]
    reset_build_env: bool,
    #[serde(default)]
    kiln: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PairingView")]
struct PairingViewJson {
    #[serde(flatten, with = "form")]
    pairing: Pairing,
    #[serde(flatten, with = "form")]
    link: LinkState,
    #[serde(with = "form")]
    queue: Option<QueueStatus>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "QueueStatus")]
struct QueueStatusJson {
    idle: bool,
    running: bool,
    queue_depth: u64,
    #[serde(with = "form", default)]
    absence: Option<Absence>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Absence")]
struct AbsenceJson {
    #[serde(with = "form")]
    reason: AvailabilityReason,
    #[serde(with = "form", default)]
    until: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct LinkJson {
    link: String,
    /// Last error while connecting; possibly empty.
    #[serde(flatten, with = "sentence::link_error")]
    link_error: Sentence,
}

impl Form for LinkState {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (link, error) = match self {
            LinkState::Connected => ("connected", Sentence::default()),
            LinkState::Connecting(error) => ("connecting", error.clone()),
            LinkState::Orphaned => ("orphaned", Sentence::default()),
            LinkState::AwaitingApproval => ("awaiting_approval", Sentence::default()),
        };
        LinkJson {
            link: link.to_owned(),
            link_error: error,
        }
        .serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let LinkJson { link, link_error } = LinkJson::deserialize(from)?;
        match link.as_str() {
            "connected" => Ok(LinkState::Connected),
            "connecting" => Ok(LinkState::Connecting(link_error)),
            "orphaned" => Ok(LinkState::Orphaned),
            "awaiting_approval" => Ok(LinkState::AwaitingApproval),
            other => Err(D::Error::unknown_variant(
                other,
                &["connected", "connecting", "orphaned", "awaiting_approval"],
            )),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Peer")]
struct PeerJson {
    #[serde(with = "form")]
    dashboard_id: DashboardId,
    #[serde(rename = "pin_sha256", with = "form")]
    pin: Pin,
    #[serde(with = "form")]
    public_key: PublicKey,
    #[serde(with = "form")]
    label: Label,
    label_auto: bool,
    #[serde(with = "form")]
    paired_at: Timestamp,
    #[serde(with = "form")]
    peer_ip: Option<IpAddr>,
    connect_back_port: Option<u16>,
    #[serde(with = "form")]
    friendly_name: FriendlyName,
    ha_addon: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PeerView")]
struct PeerViewJson {
    #[serde(flatten, with = "form")]
    peer: Peer,
    connected: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PendingPeer")]
struct PendingPeerJson {
    #[serde(with = "form")]
    dashboard_id: DashboardId,
    #[serde(rename = "pin_sha256", with = "form")]
    pin: Pin,
    #[serde(with = "form")]
    public_key: PublicKey,
    #[serde(with = "form")]
    label: Label,
    label_auto: bool,
    #[serde(with = "form")]
    peer_ip: Option<IpAddr>,
    #[serde(with = "form")]
    friendly_name: FriendlyName,
    ha_addon: bool,
    #[serde(with = "form")]
    requested_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Alert")]
struct AlertJson {
    #[serde(rename = "pin_sha256", with = "form")]
    pin: Pin,
    #[serde(with = "form")]
    label: Label,
    #[serde(with = "form")]
    endpoint: Endpoint,
    #[serde(with = "form")]
    kind: AlertKind,
    #[serde(rename = "observed_pin_sha256", with = "form")]
    observed: Option<Pin>,
    #[serde(with = "form")]
    since: Timestamp,
}

mirrored! {
    Pairing => PairingJson,
    Capabilities => CapabilitiesJson,
    PairingView => PairingViewJson,
    QueueStatus => QueueStatusJson,
    Absence => AbsenceJson,
    Peer => PeerJson,
    PeerView => PeerViewJson,
    PendingPeer => PendingPeerJson,
    Alert => AlertJson,
}
