//! JSON of [`View`], the whole read model.
use std::net::IpAddr;

use kiln_model::{
    Alert, Availability, AvailabilityReason, DashboardId, DiscoveredHost, Endpoint, EsphomeVersion,
    FriendlyName, IdentityView, Job, Label, PairingView, PeerView, PendingPeer, Pin, QueueStatus,
    Timestamp, View, WindowView,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::form::{self, Form, Put, Take, mirrored};

#[derive(Serialize, Deserialize)]
#[serde(remote = "View")]
struct ViewJson {
    #[serde(with = "form")]
    identity: IdentityView,
    #[serde(with = "form")]
    availability: Availability,
    #[serde(rename = "listening_port")]
    listening: Option<u16>,
    #[serde(with = "form")]
    window: WindowView,
    #[serde(rename = "receivers", with = "form")]
    pairings: Vec<PairingView>,
    #[serde(rename = "offloaders", with = "form")]
    peers: Vec<PeerView>,
    #[serde(rename = "requests", with = "form")]
    pending: Vec<PendingPeer>,
    #[serde(with = "form")]
    alerts: Vec<Alert>,
    #[serde(with = "form")]
    discovered: Vec<DiscoveredHost>,
    #[serde(with = "form")]
    jobs: Vec<Job>,
    #[serde(with = "form")]
    queue: QueueStatus,
    notices: Vec<String>,
    #[serde(with = "form")]
    at: Timestamp,
    #[serde(with = "form")]
    own_label: Label,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "IdentityView")]
struct IdentityJson {
    #[serde(rename = "pin_sha256", with = "form")]
    pin: Pin,
    #[serde(with = "form")]
    dashboard_id: DashboardId,
    #[serde(with = "form")]
    friendly_name: FriendlyName,
    version: String,
    #[serde(with = "form")]
    esphome_version: Option<EsphomeVersion>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "WindowView", tag = "state", rename_all = "snake_case")]
enum WindowJson {
    Closed,
    Open { seconds_left: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DiscoveredHost")]
struct DiscoveredJson {
    name: String,
    hostname: String,
    port: u16,
    #[serde(with = "form")]
    addresses: Vec<IpAddr>,
    server_version: String,
    esphome_version: String,
    #[serde(with = "form")]
    friendly_name: FriendlyName,
    #[serde(rename = "pin_sha256", with = "form")]
    pin: Option<Pin>,
    #[serde(with = "form")]
    endpoint: Option<Endpoint>,
    ha_addon: bool,
}

mirrored! {
    View => ViewJson,
    IdentityView => IdentityJson,
    WindowView => WindowJson,
    DiscoveredHost => DiscoveredJson,
}

#[derive(Serialize, Deserialize)]
struct AvailabilityJson<R> {
    open: bool,
    reason: R,
}

impl Form for Availability {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        AvailabilityJson {
            open: *self == Availability::Open,
            reason: Put(&self.reason()),
        }
        .serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = AvailabilityJson::<Take<AvailabilityReason>>::deserialize(from)?;
        Ok(if read.open {
            Availability::Open
        } else {
            Availability::Closed(read.reason.0)
        })
    }
}
