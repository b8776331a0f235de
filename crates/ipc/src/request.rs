//! JSON of [`Request`]: the name under `request`, its arguments beside it.
use kiln_model::{
    AuditFilter, AuditQuestion, BuildChoice, DashboardId, Digest, Endpoint, FactKind, JobId, Label,
    Pin, Port, Request, Snooze, Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::form::{self, Form};

#[derive(Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
enum RequestJson {
    Status,
    RotateIdentity,
    Preview {
        #[serde(with = "form")]
        endpoint: Endpoint,
    },
    Pair {
        #[serde(with = "form")]
        endpoint: Endpoint,
        #[serde(rename = "pin_sha256", with = "form")]
        pin: Pin,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pairing_key: Option<String>,
        #[serde(with = "form", default)]
        label: Label,
    },
    Unpair {
        #[serde(rename = "pin_sha256", with = "form")]
        pin: Pin,
    },
    SetPairingEnabled {
        #[serde(rename = "pin_sha256", with = "form")]
        pin: Pin,
        enabled: bool,
    },
    EditEndpoint {
        #[serde(rename = "pin_sha256", with = "form")]
        pin: Pin,
        #[serde(with = "form")]
        endpoint: Endpoint,
    },
    OpenWindow,
    CloseWindow,
    Approve {
        #[serde(with = "form")]
        dashboard_id: DashboardId,
        #[serde(
            rename = "pin_sha256",
            with = "form",
            default,
            skip_serializing_if = "Option::is_none"
        )]
        pin: Option<Pin>,
    },
    Reject {
        #[serde(with = "form")]
        dashboard_id: DashboardId,
    },
    RemovePeer {
        #[serde(with = "form")]
        dashboard_id: DashboardId,
    },
    Devices,
    Install {
        device: String,
        #[serde(with = "form", default = "auto")]
        build: BuildChoice,
        #[serde(with = "form", default = "ota")]
        port: Port,
    },
    Flash {
        device: String,
        #[serde(with = "form", default = "ota")]
        port: Port,
    },
    Compile {
        device: String,
        #[serde(with = "form", default = "auto")]
        build: BuildChoice,
    },
    Clean {
        device: String,
    },
    Jobs,
    Job {
        #[serde(with = "form")]
        job: JobId,
    },
    Cancel {
        #[serde(with = "form")]
        job: JobId,
    },
    BuildHere {
        #[serde(with = "form")]
        job: JobId,
    },
    Environments,
    NewestEnvironment,
    InstallEnvironment {
        version: String,
    },
    ResetEnvironment {
        #[serde(rename = "pin_sha256", with = "form", default)]
        pin: Option<Pin>,
    },
    SerialPorts,
    Settings,
    SetSettings {
        settings: Vec<(String, String)>,
    },
    Audit {
        #[serde(with = "form", default)]
        since: Option<Timestamp>,
        #[serde(with = "form", default)]
        kind: Option<FactKind>,
        #[serde(rename = "pin_sha256", with = "form", default)]
        peer: Option<Pin>,
        #[serde(default)]
        limit: Option<u32>,
    },
    VerifyAudit {
        #[serde(with = "form", default)]
        noted: Option<Digest>,
    },
    Statistics {
        #[serde(with = "form", default)]
        since: Option<Timestamp>,
    },
    Pause {
        #[serde(rename = "for", with = "form")]
        snooze: Snooze,
    },
    Resume,
    Storage,
    Reclaim,
    Shutdown,
}

fn auto() -> BuildChoice {
    BuildChoice::Auto
}

fn ota() -> Port {
    Port::Ota
}

impl Form for Request {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        RequestJson::from(self.clone()).serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        RequestJson::deserialize(from).map(Request::from)
    }
}

/// Writes both conversions from one list of pairs, so that they cannot differ.
macro_rules! convert {
    ($($model:pat_param = $made:expr, $json:pat_param = $written:expr;)+) => {
        impl From<Request> for RequestJson {
            fn from(request: Request) -> Self {
                match request { $($model => $written,)+ }
            }
        }

        impl From<RequestJson> for Request {
            fn from(json: RequestJson) -> Self {
                match json { $($json => $made,)+ }
            }
        }
    };
}

use AuditQuestion as Q;
use Request as M;
use RequestJson as J;

convert! {
    M::Status = M::Status, J::Status = J::Status;
    M::RotateIdentity = M::RotateIdentity, J::RotateIdentity = J::RotateIdentity;
    M::Preview(endpoint) = M::Preview(endpoint), J::Preview { endpoint } = J::Preview { endpoint };
    M::Pair { endpoint, pin, pairing_key, label } = M::Pair { endpoint, pin, pairing_key, label },
        J::Pair { endpoint, pin, pairing_key, label } = J::Pair { endpoint, pin, pairing_key, label };
    M::Unpair(pin) = M::Unpair(pin), J::Unpair { pin } = J::Unpair { pin };
    M::SetPairingEnabled(pin, enabled) = M::SetPairingEnabled(pin, enabled),
        J::SetPairingEnabled { pin, enabled } = J::SetPairingEnabled { pin, enabled };
    M::EditEndpoint(pin, endpoint) = M::EditEndpoint(pin, endpoint),
        J::EditEndpoint { pin, endpoint } = J::EditEndpoint { pin, endpoint };
    M::OpenWindow = M::OpenWindow, J::OpenWindow = J::OpenWindow;
    M::CloseWindow = M::CloseWindow, J::CloseWindow = J::CloseWindow;
    M::Approve(dashboard_id, pin) = M::Approve(dashboard_id, pin),
        J::Approve { dashboard_id, pin } = J::Approve { dashboard_id, pin };
    M::Reject(dashboard_id) = M::Reject(dashboard_id),
        J::Reject { dashboard_id } = J::Reject { dashboard_id };
    M::RemovePeer(dashboard_id) = M::RemovePeer(dashboard_id),
        J::RemovePeer { dashboard_id } = J::RemovePeer { dashboard_id };
    M::Devices = M::Devices, J::Devices = J::Devices;
    M::Install { device, build, port } = M::Install { device, build, port },
        J::Install { device, build, port } = J::Install { device, build, port };
    M::Flash { device, port } = M::Flash { device, port },
        J::Flash { device, port } = J::Flash { device, port };
    M::Compile { device, build } = M::Compile { device, build },
        J::Compile { device, build } = J::Compile { device, build };
    M::Clean { device } = M::Clean { device }, J::Clean { device } = J::Clean { device };
    M::Jobs = M::Jobs, J::Jobs = J::Jobs;
    M::Job(job) = M::Job(job), J::Job { job } = J::Job { job };
    M::Cancel(job) = M::Cancel(job), J::Cancel { job } = J::Cancel { job };
    M::BuildHere(job) = M::BuildHere(job), J::BuildHere { job } = J::BuildHere { job };
    M::Environments = M::Environments, J::Environments = J::Environments;
    M::NewestEnvironment = M::NewestEnvironment, J::NewestEnvironment = J::NewestEnvironment;
    M::InstallEnvironment(version) = M::InstallEnvironment(version),
        J::InstallEnvironment { version } = J::InstallEnvironment { version };
    M::ResetEnvironment(pin) = M::ResetEnvironment(pin),
        J::ResetEnvironment { pin } = J::ResetEnvironment { pin };
    M::SerialPorts = M::SerialPorts, J::SerialPorts = J::SerialPorts;
    M::Settings = M::Settings, J::Settings = J::Settings;
    M::SetSettings(settings) = M::SetSettings(settings),
        J::SetSettings { settings } = J::SetSettings { settings };
    M::Audit(Q::Entries(AuditFilter { since, kind, peer, limit })) =
        M::Audit(Q::Entries(AuditFilter { since, kind, peer, limit })),
        J::Audit { since, kind, peer, limit } = J::Audit { since, kind, peer, limit };
    M::Audit(Q::Verify { noted }) = M::Audit(Q::Verify { noted }),
        J::VerifyAudit { noted } = J::VerifyAudit { noted };
    M::Audit(Q::Statistics { since }) = M::Audit(Q::Statistics { since }),
        J::Statistics { since } = J::Statistics { since };
    M::Pause(snooze) = M::Pause(snooze), J::Pause { snooze } = J::Pause { snooze };
    M::Resume = M::Resume, J::Resume = J::Resume;
    M::Storage = M::Storage, J::Storage = J::Storage;
    M::Reclaim = M::Reclaim, J::Reclaim = J::Reclaim;
    M::Shutdown = M::Shutdown, J::Shutdown = J::Shutdown;
}
