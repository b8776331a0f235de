//! JSON of [`View`], the whole read model.
use std::net::IpAddr;

use kiln_model::{
    Alert, Availability, AvailabilityReason, Confinement, DashboardId, DiscoveredHost, Endpoint,
    EsphomeVersion, FriendlyName, IdentityView, Input, InputVerdict, Job, Label, PairingView,
    PeerView, PendingPeer, Pin, QueueStatus, Sentence, Storage, Tier, Timestamp, Verdict, View,
    WindowView,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::form::{self, Form, mirrored};
use crate::sentence;

#[derive(Serialize, Deserialize)]
#[serde(remote = "View")]
struct ViewJson {
    #[serde(with = "form")]
    identity: IdentityView,
    #[serde(with = "form")]
    availability: Availability,
    #[serde(default, with = "form")]
    sandbox: Confinement,
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
    #[serde(default, with = "form")]
    storage: Storage,
    #[serde(flatten, with = "sentence::notices")]
    notices: Vec<Sentence>,
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
    InputVerdict => InputVerdictJson,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "InputVerdict")]
struct InputVerdictJson {
    #[serde(with = "form")]
    input: Input,
    #[serde(flatten, with = "sentence::value")]
    value: Sentence,
    #[serde(flatten, with = "sentence::limit")]
    limit: Sentence,
    #[serde(with = "form")]
    verdict: Verdict,
}

#[derive(Serialize, Deserialize)]
struct AvailabilityJson {
    open: bool,
    #[serde(with = "form")]
    reason: AvailabilityReason,
    #[serde(with = "form", default)]
    since: Option<Timestamp>,
    #[serde(with = "form", default)]
    until: Option<Timestamp>,
    #[serde(with = "form", default)]
    inputs: Vec<InputVerdict>,
}

impl Form for Availability {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        AvailabilityJson {
            open: self.is_open(),
            reason: self.reason,
            since: self.since,
            until: self.until,
            inputs: self.inputs.clone(),
        }
        .serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = AvailabilityJson::deserialize(from)?;
        Ok(Availability {
            reason: read.reason,
            since: read.since,
            until: read.until,
            inputs: read.inputs,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct ConfinementJson {
    tier: u8,
    detail: String,
}

impl Form for Confinement {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (tier, detail) = (self.tier.number(), self.detail.clone());
        ConfinementJson { tier, detail }.serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ConfinementJson { tier, detail } = ConfinementJson::deserialize(from)?;
        let tier = Tier::from_number(tier).ok_or_else(|| D::Error::custom("no such tier"))?;
        Ok(Self { tier, detail })
    }
}
