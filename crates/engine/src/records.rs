//! Bodies of stored rows: what peers, pairings, jobs and settings look like as JSON.
//!
//! A body carries the version of its shape. Members that this version does not know are ignored,
//! missing optional ones take their default, and a row that cannot be read is left alone: it
//! costs itself, never its neighbours (peer-link.md §11, Q18). The identity row is not here; it
//! belongs to the identity.
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use kiln_domain::work::{Given, StoredJob};
use kiln_ipc::{Words, settings_from, settings_json};
use kiln_model::{
    BlobId, Bootloader, Capabilities, DashboardId, Endpoint, FailureReason, FriendlyName, Job,
    JobId, JobKind, JobOrigin, JobStatus, Label, Pairing, PairingStatus, Peer, Pin, Placement,
    Port, PublicKey, Sentence, SettingKey, Settings, Timestamp, WireJobId,
};
use kiln_ports::store::{Change, Row};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Kind of an approved offloader's row.
pub const PEER: &str = "peer";
/// Kind of an approved receiver's row.
pub const PAIRING: &str = "pairing";
/// Kind of a job's row.
pub const JOB: &str = "job";
/// Kind of a row of what was given to an offloader.
pub const GIVEN: &str = "given";
/// Kind of a setting's row.
pub const SETTING: &str = "setting";

/// Version of the shapes below. A change that an older Kiln would misread raises it.
pub(crate) const SHAPE: u32 = 1;

/// A row that cannot be read or made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored {kind} {key} cannot be used: {reason}")]
pub struct BadRecord {
    /// Kind of the row.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

/// Makes the row of an approved offloader; its key is the `dashboard_id`.
pub fn peer_row(peer: &Peer) -> Result<Row, BadRecord> {
    let body = PeerBody {
        v: SHAPE,
        dashboard_id: peer.dashboard_id.to_string(),
        pin_sha256: peer.pin.to_string(),
        static_x25519_pub: hex(peer.public_key),
        label: peer.label.to_string(),
        label_auto: peer.label_auto,
        paired_at_us: peer.paired_at.0,
        peer_ip: peer.peer_ip,
        connect_back_port: peer.connect_back_port,
        friendly_name: peer.friendly_name.to_string(),
        ha_addon: peer.ha_addon,
    };
    row(PEER, peer.dashboard_id.as_str(), &body)
}

/// Reads the row of an approved offloader.
pub fn peer(row: &Row) -> Result<Peer, BadRecord> {
    let read = |b: PeerBody| {
        Ok(Peer {
            dashboard_id: DashboardId::from_str(&b.dashboard_id).map_err(text)?,
            pin: Pin::from_str(&b.pin_sha256).map_err(text)?,
            public_key: public_key(&b.static_x25519_pub)?,
            label: Label::clipped(&b.label),
            label_auto: b.label_auto,
            paired_at: Timestamp(b.paired_at_us),
            peer_ip: b.peer_ip,
            connect_back_port: b.connect_back_port.filter(|port| *port != 0),
            friendly_name: FriendlyName::clipped(&b.friendly_name),
            ha_addon: b.ha_addon,
        })
    };
    parse(row, read)
}

/// Makes the row of a receiver; its key is the pin.
pub fn pairing_row(pairing: &Pairing) -> Result<Row, BadRecord> {
    let body = PairingBody {
        v: SHAPE,
        pin_sha256: pairing.pin.to_string(),
        static_x25519_pub: hex(pairing.public_key),
        receiver_hostname: pairing.endpoint.host().to_owned(),
        receiver_port: pairing.endpoint.port(),
        label: pairing.label.to_string(),
        label_auto: pairing.label_auto,
        paired_at_us: pairing.paired_at.0,
        status: match pairing.status {
            PairingStatus::Pending => "pending".into(),
            PairingStatus::Approved => "approved".into(),
        },
        enabled: pairing.enabled,
        esphome_version: pairing.esphome_version.as_ref().map(ToString::to_string),
        auto_provision: pairing.capabilities.auto_provision,
        reset_build_env: pairing.capabilities.reset_build_env,
        kiln: pairing.capabilities.kiln,
        friendly_name: pairing.friendly_name.to_string(),
        ha_addon: pairing.ha_addon,
    };
    row(PAIRING, &pairing.pin.to_string(), &body)
}

/// Reads the row of a receiver.
pub fn pairing(row: &Row) -> Result<Pairing, BadRecord> {
    let read = |b: PairingBody| {
        Ok(Pairing {
            pin: Pin::from_str(&b.pin_sha256).map_err(text)?,
            public_key: public_key(&b.static_x25519_pub)?,
            endpoint: Endpoint::new(&b.receiver_hostname, b.receiver_port).map_err(text)?,
            label: Label::clipped(&b.label),
            label_auto: b.label_auto,
            paired_at: Timestamp(b.paired_at_us),
            status: match b.status.as_str() {
                "approved" => PairingStatus::Approved,
                "pending" => PairingStatus::Pending,
                other => return Err(format!("its status is {other:?}")),
            },
            enabled: b.enabled,
            esphome_version: b.esphome_version.and_then(|v| v.parse().ok()),
            capabilities: Capabilities {
                auto_provision: b.auto_provision,
                reset_build_env: b.reset_build_env,
                kiln: b.kiln,
            },
            friendly_name: FriendlyName::clipped(&b.friendly_name),
            ha_addon: b.ha_addon,
        })
    };
    parse(row, read)
}

/// Makes the row of a job; its key is our job id.
pub fn job_row(stored: &StoredJob) -> Result<Row, BadRecord> {
    let job = &stored.job;
    let body = JobBody {
        v: SHAPE,
        id: job.id.to_string(),
        kind: job.kind.word().into(),
        configuration: job.configuration.clone(),
        device_name: job.device_name.clone(),
        origin: OriginBody::of(&job.origin),
        placement: PlacementBody::of(&job.placement),
        status: job.status.word().into(),
        depends_on: job.depends_on.as_ref().map(ToString::to_string),
        port: job.port.as_ref().map(PortBody::of),
        skip_bootloader: match job.bootloader {
            Bootloader::Include => false,
            Bootloader::Skip => true,
        },
        target_version: job.target_version.as_ref().map(ToString::to_string),
        created_at_us: job.created_at.0,
        started_at_us: job.started_at.map(|t| t.0),
        completed_at_us: job.completed_at.map(|t| t.0),
        exit_code: job.exit_code,
        error: job.error.as_ref().map(Sentence::to_string),
        error_words: job.error.as_ref().and_then(Words::of),
        provision_failed: match job.failure_reason {
            Some(FailureReason::Provision) => true,
            None => false,
        },
        progress: job.progress,
        reason: job.reason.to_string(),
        reason_words: Words::of(&job.reason),
        deferred: job.deferred,
        bundle: stored.bundle.as_ref().map(ToString::to_string),
        bundle_bytes: stored.bundle_bytes,
        attempt: stored.attempt.as_ref().map(|id| id.0.clone()),
        losses: stored.losses,
        only_on: stored.only_on.map(|pin| pin.to_string()),
        released: stored.released,
        cancel_requested: stored.cancel_requested,
    };
    row(JOB, job.id.as_str(), &body)
}

/// Reads the row of a job.
pub fn job(row: &Row) -> Result<StoredJob, BadRecord> {
    let read = |b: JobBody| {
        let blob = |id: String| BlobId::from_stored(&id).ok_or("its bundle has an odd name");
        let job = Job {
            id: JobId::from_str(&b.id).map_err(text)?,
            kind: JobKind::from_word(&b.kind).ok_or(format!("its kind is {:?}", b.kind))?,
            configuration: b.configuration,
            device_name: b.device_name,
            origin: b.origin.into_model()?,
            placement: b.placement.into_model()?,
            status: JobStatus::from_word(&b.status)
                .ok_or(format!("its status is {:?}", b.status))?,
            depends_on: b
                .depends_on
                .map(|id| id.parse().map_err(text))
                .transpose()?,
            port: b.port.map(PortBody::into_model),
            bootloader: if b.skip_bootloader {
                Bootloader::Skip
            } else {
                Bootloader::Include
            },
            target_version: b.target_version.and_then(|v| v.parse().ok()),
            created_at: Timestamp(b.created_at_us),
            started_at: b.started_at_us.map(Timestamp),
            completed_at: b.completed_at_us.map(Timestamp),
            exit_code: b.exit_code,
            error: b.error.map(|text| Words::join(text, b.error_words)),
            failure_reason: b.provision_failed.then_some(FailureReason::Provision),
            progress: b.progress,
            reason: Words::join(b.reason, b.reason_words),
            deferred: b.deferred,
        };
        Ok(StoredJob {
            job,
            bundle: b.bundle.map(blob).transpose()?,
            bundle_bytes: b.bundle_bytes,
            attempt: b.attempt.map(WireJobId),
            losses: b.losses,
            only_on: b.only_on.map(|pin| pin.parse().map_err(text)).transpose()?,
            released: b.released,
            cancel_requested: b.cancel_requested,
        })
    };
    parse(row, read)
}

/// Makes the row of what was given with a job; its key is our job id.
pub fn given_row(given: &Given) -> Result<Row, BadRecord> {
    let body = GivenBody {
        v: SHAPE,
        pin_sha256: given.pin.to_string(),
        ended_us: given.ended.0,
        took_us: u64::try_from(given.took.as_micros()).unwrap_or(u64::MAX),
    };
    row(GIVEN, given.job.as_str(), &body)
}

/// Reads the row of what was given with a job.
pub fn given(row: &Row) -> Result<Given, BadRecord> {
    let read = |b: GivenBody| {
        Ok(Given {
            job: JobId::from_str(&row.key).map_err(text)?,
            pin: Pin::from_str(&b.pin_sha256).map_err(text)?,
            ended: Timestamp(b.ended_us),
            took: Duration::from_micros(b.took_us),
        })
    };
    parse(row, read)
}

/// Makes one row per setting, so that a setting that cannot be read costs only itself.
pub fn settings_rows(settings: &Settings) -> Result<Vec<Row>, BadRecord> {
    settings_json(settings)
        .into_iter()
        .map(|(key, value)| row(SETTING, &key, &SettingBody { v: SHAPE, value }))
        .collect()
}

/// Reads settings from their rows. What is missing has its default; what cannot be read has its
/// default too and is reported.
pub fn settings(rows: &[Row]) -> (Settings, Vec<BadRecord>) {
    let mut settings = Settings::default();
    let mut bad = Vec::new();
    for row in rows {
        // A key we do not know is a newer Kiln's setting.
        let Some(key) = SettingKey::from_word(&row.key) else {
            continue;
        };
        let read = |b: SettingBody| {
            set_value(&mut settings, key, &b.value).ok_or(format!("{} does not fit", b.value))
        };
        if let Err(error) = parse(row, read) {
            bad.push(error);
        }
    }
    (settings, bad)
}

/// Takes a record away.
pub(crate) fn delete(kind: &str, key: &str) -> Change {
    Change::Delete {
        kind: kind.to_owned(),
        key: key.to_owned(),
    }
}

/// Returns the value of a setting as people write it.
pub(crate) fn setting_text(settings: &Settings, key: SettingKey) -> String {
    match settings_json(settings).remove(key.word()) {
        Some(Value::String(text)) => text,
        other => other.unwrap_or_default().to_string(),
    }
}

/// Reads one setting; the others stay.
fn set_value(settings: &mut Settings, key: SettingKey, value: &Value) -> Option<()> {
    let mut members = settings_json(settings);
    members.insert(key.word().to_owned(), value.clone());
    *settings = settings_from(members).ok()?;
    if key == SettingKey::CleanupTtl {
        settings.cleanup_ttl_seconds = settings.cleanup_ttl_seconds.clamp(3_600, 2_592_000);
    }
    Some(())
}

#[derive(Serialize, Deserialize)]
struct PeerBody {
    v: u32,
    dashboard_id: String,
    pin_sha256: String,
    static_x25519_pub: String,
    label: String,
    #[serde(default)]
    label_auto: bool,
    paired_at_us: i64,
    #[serde(default)]
    peer_ip: Option<IpAddr>,
    #[serde(default)]
    connect_back_port: Option<u16>,
    #[serde(default)]
    friendly_name: String,
    #[serde(default)]
    ha_addon: bool,
}

#[derive(Serialize, Deserialize)]
struct PairingBody {
    v: u32,
    pin_sha256: String,
    static_x25519_pub: String,
    receiver_hostname: String,
    receiver_port: u16,
    label: String,
    #[serde(default)]
    label_auto: bool,
    paired_at_us: i64,
    status: String,
    enabled: bool,
    #[serde(default)]
    esphome_version: Option<String>,
    #[serde(default)]
    auto_provision: bool,
    #[serde(default)]
    reset_build_env: bool,
    #[serde(default)]
    kiln: bool,
    #[serde(default)]
    friendly_name: String,
    #[serde(default)]
    ha_addon: bool,
}

#[derive(Serialize, Deserialize)]
struct GivenBody {
    v: u32,
    pin_sha256: String,
    ended_us: i64,
    took_us: u64,
}

#[derive(Serialize, Deserialize)]
struct JobBody {
    v: u32,
    id: String,
    kind: String,
    configuration: String,
    #[serde(default)]
    device_name: String,
    origin: OriginBody,
    placement: PlacementBody,
    status: String,
    #[serde(default)]
    depends_on: Option<String>,
    #[serde(default)]
    port: Option<PortBody>,
    #[serde(default)]
    skip_bootloader: bool,
    #[serde(default)]
    target_version: Option<String>,
    created_at_us: i64,
    #[serde(default)]
    started_at_us: Option<i64>,
    #[serde(default)]
    completed_at_us: Option<i64>,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_words: Option<Words>,
    #[serde(default)]
    provision_failed: bool,
    #[serde(default)]
    progress: Option<u8>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    reason_words: Option<Words>,
    #[serde(default)]
    deferred: bool,
    #[serde(default)]
    bundle: Option<String>,
    #[serde(default)]
    bundle_bytes: u64,
    #[serde(default)]
    attempt: Option<String>,
    #[serde(default)]
    losses: u8,
    #[serde(default)]
    only_on: Option<String>,
    #[serde(default)]
    released: bool,
    #[serde(default)]
    cancel_requested: bool,
}

#[derive(Serialize, Deserialize)]
struct SettingBody {
    v: u32,
    value: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
enum OriginBody {
    Owner,
    Offloader {
        pin: String,
        dashboard_id: String,
        wire_job_id: String,
        label: String,
    },
}

impl OriginBody {
    fn of(origin: &JobOrigin) -> Self {
        match origin {
            JobOrigin::Owner => Self::Owner,
            JobOrigin::Offloader {
                pin,
                dashboard_id,
                wire_job_id,
                label,
            } => Self::Offloader {
                pin: pin.to_string(),
                dashboard_id: dashboard_id.to_string(),
                wire_job_id: wire_job_id.0.clone(),
                label: label.to_string(),
            },
        }
    }

    fn into_model(self) -> Result<JobOrigin, String> {
        Ok(match self {
            Self::Owner => JobOrigin::Owner,
            Self::Offloader {
                pin,
                dashboard_id,
                wire_job_id,
                label,
            } => JobOrigin::Offloader {
                pin: pin.parse().map_err(text)?,
                dashboard_id: dashboard_id.parse().map_err(text)?,
                wire_job_id: WireJobId(wire_job_id),
                label: Label::clipped(&label),
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
enum PlacementBody {
    Local,
    RemotePending,
    Remote {
        pin: String,
        label: String,
        #[serde(default)]
        esphome_version: Option<String>,
    },
}

impl PlacementBody {
    fn of(placement: &Placement) -> Self {
        match placement {
            Placement::Local => Self::Local,
            Placement::RemotePending => Self::RemotePending,
            Placement::Remote {
                pin,
                label,
                esphome_version,
            } => Self::Remote {
                pin: pin.to_string(),
                label: label.to_string(),
                esphome_version: esphome_version.as_ref().map(ToString::to_string),
            },
        }
    }

    fn into_model(self) -> Result<Placement, String> {
        Ok(match self {
            Self::Local => Placement::Local,
            Self::RemotePending => Placement::RemotePending,
            Self::Remote {
                pin,
                label,
                esphome_version,
            } => Placement::Remote {
                pin: pin.parse().map_err(text)?,
                label: Label::clipped(&label),
                esphome_version: esphome_version.and_then(|v| v.parse().ok()),
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case")]
enum PortBody {
    Ota,
    Address { address: String },
    Serial { path: String },
}

impl PortBody {
    fn of(port: &Port) -> Self {
        match port {
            Port::Ota => Self::Ota,
            Port::Address(address) => Self::Address {
                address: address.clone(),
            },
            Port::Serial(path) => Self::Serial { path: path.clone() },
        }
    }

    fn into_model(self) -> Port {
        match self {
            Self::Ota => Port::Ota,
            Self::Address { address } => Port::Address(address),
            Self::Serial { path } => Port::Serial(path),
        }
    }
}

pub(crate) fn row(kind: &str, key: &str, body: &impl Serialize) -> Result<Row, BadRecord> {
    match serde_json::to_string(body) {
        Ok(body) => Ok(Row {
            kind: kind.into(),
            key: key.into(),
            body,
        }),
        Err(e) => Err(BadRecord {
            kind: kind.into(),
            key: key.into(),
            reason: e.to_string(),
        }),
    }
}

/// Reads a body of our shape; one of a newer shape is refused rather than guessed at.
pub(crate) fn parse<B: DeserializeOwned, T>(
    row: &Row,
    read: impl FnOnce(B) -> Result<T, String>,
) -> Result<T, BadRecord> {
    #[derive(Deserialize)]
    struct Shape {
        v: u32,
    }
    let bad = |reason| BadRecord {
        kind: row.kind.clone(),
        key: row.key.clone(),
        reason,
    };
    let shape: Shape = serde_json::from_str(&row.body).map_err(|e| bad(text(e)))?;
    if shape.v > SHAPE {
        return Err(bad(format!("a newer Kiln wrote it (shape {})", shape.v)));
    }
    let body = serde_json::from_str(&row.body).map_err(|e| bad(text(e)))?;
    read(body).map_err(bad)
}

/// A public key is written as the hex of its 32 bytes, like a pin.
fn hex(key: PublicKey) -> String {
    Pin(key.0).to_string()
}

fn public_key(digits: &str) -> Result<PublicKey, String> {
    match Pin::from_str(digits) {
        Ok(Pin(bytes)) => Ok(PublicKey(bytes)),
        Err(_) => Err("its public key is not 64 lower-case hex digits".to_owned()),
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use kiln_model::say;

    use super::*;
    use kiln_model::{
        EsphomeVersion, Pause, RemoteSessions, SandboxMode, VersionPolicy, WhileInUse,
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_peer_comes_back_as_it_was_stored(
            dashboard_id in "[A-Za-z0-9_-]{1,64}",
            keys in any::<([u8; 32], [u8; 32])>(),
            names in ("\\PC{0,40}", "\\PC{0,40}"),
            flags in any::<(bool, bool)>(),
            paired_at in any::<i64>(),
            peer_ip in any::<Option<IpAddr>>(),
            port in proptest::option::of(1u16..),
        ) {
            let original = Peer {
                dashboard_id: dashboard_id.parse().unwrap(),
                pin: Pin(keys.0),
                public_key: PublicKey(keys.1),
                label: Label::clipped(&names.0),
                label_auto: flags.0,
                paired_at: Timestamp(paired_at),
                peer_ip,
                connect_back_port: port,
                friendly_name: FriendlyName::clipped(&names.1),
                ha_addon: flags.1,
            };
            prop_assert_eq!(peer(&peer_row(&original).unwrap()), Ok(original));
        }

        #[test]
        fn a_pairing_comes_back_as_it_was_stored(
            keys in any::<([u8; 32], [u8; 32])>(),
            host in "[a-z0-9.-]{1,60}",
            port in 1u16..,
            names in ("\\PC{0,40}", "\\PC{0,40}"),
            flags in any::<[bool; 7]>(),
            paired_at in any::<i64>(),
            version in proptest::option::of(version()),
        ) {
            let original = Pairing {
                pin: Pin(keys.0),
                public_key: PublicKey(keys.1),
                endpoint: Endpoint::new(&host, port).unwrap(),
                label: Label::clipped(&names.0),
                label_auto: flags[0],
                paired_at: Timestamp(paired_at),
                status: if flags[1] { PairingStatus::Approved } else { PairingStatus::Pending },
                enabled: flags[2],
                esphome_version: version,
                capabilities: Capabilities {
                    auto_provision: flags[3],
                    reset_build_env: flags[4],
                    kiln: flags[5],
                },
                friendly_name: FriendlyName::clipped(&names.1),
                ha_addon: flags[6],
            };
            prop_assert_eq!(pairing(&pairing_row(&original).unwrap()), Ok(original));
        }

        #[test]
        fn a_job_comes_back_as_it_was_stored(original in stored_job()) {
            prop_assert_eq!(job(&job_row(&original).unwrap()), Ok(original));
        }

        #[test]
        fn settings_come_back_as_they_were_stored(
            flags in any::<[bool; 6]>(),
            policy in proptest::sample::select(VersionPolicy::ALL),
            sandbox in proptest::sample::select(SandboxMode::ALL),
            (while_in_use, remote_sessions) in (
                proptest::sample::select(WhileInUse::ALL),
                proptest::sample::select(RemoteSessions::ALL),
            ),
            texts in any::<[String; 9]>(),
            listen_port in any::<u16>(),
            cleanup_ttl_seconds in 3_600u32..=2_592_000,
            (idle_minutes, cpu_limit, ram_floor_mb) in any::<(u16, u8, u32)>(),
            (disk_floor_mb, storage_budget_mb, in_use_cores) in any::<(u32, u32, u8)>(),
            (in_use_disk_floor_mb, yield_minutes, daily_minutes) in any::<(u32, u16, u16)>(),
            (idle_cores, idle_ram_percent, in_use_ram_percent) in any::<(u8, u8, u8)>(),
            paused in prop_oneof![
                Just(Pause::Off),
                Just(Pause::Forever),
                any::<u32>().prop_map(|s| Pause::Until(Timestamp(i64::from(s) * 1_000_000))),
            ],
        ) {
            let [
                esphome_dir,
                python,
                esphome_version,
                listen_host,
                friendly_name,
                hours,
                exclusive_apps,
                build_hosts,
                build_folders,
            ] = texts;
            let original = Settings {
                receiver: flags[0],
                remote_builds: flags[1],
                version_policy: policy,
                include_local: flags[2],
                esphome_dir,
                python,
                esphome_version,
                listen_host,
                listen_port,
                cleanup_ttl_seconds,
                friendly_name,
                idle_minutes,
                while_in_use,
                remote_sessions,
                on_battery: flags[3],
                on_metered: flags[4],
                hours,
                exclusive_apps,
                beside_full_screen: flags[5],
                cpu_limit,
                ram_floor_mb,
                disk_floor_mb,
                in_use_disk_floor_mb,
                storage_budget_mb,
                idle_cores,
                in_use_cores,
                idle_ram_percent,
                in_use_ram_percent,
                yield_minutes,
                daily_minutes,
                paused,
                sandbox,
                build_hosts,
                build_folders,
            };
            let rows = settings_rows(&original).unwrap();
            prop_assert_eq!(settings(&rows), (original, vec![]));
        }

        #[test]
        fn no_body_makes_a_reader_panic(body in "\\PC{0,80}") {
            let row = Row { kind: JOB.into(), key: "k".into(), body };
            let _ = (peer(&row), pairing(&row), job(&row), settings(std::slice::from_ref(&row)));
        }
    }

    #[test]
    fn members_of_a_newer_kiln_are_ignored_and_a_newer_shape_is_refused() {
        let row = |body: &str| Row {
            kind: SETTING.into(),
            key: SettingKey::ListenPort.word().into(),
            body: body.into(),
        };
        let (read, bad) = settings(&[row(r#"{"v":1,"value":7000,"since":"2030"}"#)]);
        assert_eq!((read.listen_port, bad.len()), (7000, 0));
        let (read, bad) = settings(&[row(r#"{"v":2,"value":7000}"#)]);
        assert_eq!(read.listen_port, Settings::default().listen_port);
        assert_eq!(bad[0].reason, "a newer Kiln wrote it (shape 2)");
    }

    #[test]
    fn a_setting_that_cannot_be_read_costs_only_itself() {
        let mut rows = settings_rows(&Settings {
            cleanup_ttl_seconds: 4_000,
            ..Settings::default()
        })
        .unwrap();
        let port = rows
            .iter_mut()
            .find(|r| r.key == SettingKey::ListenPort.word())
            .unwrap();
        port.body = r#"{"v":1,"value":"many"}"#.into();
        let (read, bad) = settings(&rows);
        assert_eq!(read.cleanup_ttl_seconds, 4_000);
        assert_eq!(read.listen_port, Settings::default().listen_port);
        assert_eq!(bad.len(), 1);
    }

    fn version() -> impl Strategy<Value = EsphomeVersion> {
        (2020u16..2040, 1u8..13, 0u8..9)
            .prop_map(|(year, month, patch)| format!("{year}.{month}.{patch}").parse().unwrap())
    }

    fn stored_job() -> impl Strategy<Value = StoredJob> {
        let label = || "\\PC{0,40}".prop_map(|s| Label::clipped(&s));
        let pin = || any::<[u8; 32]>().prop_map(Pin);
        let id = || any::<u64>().prop_map(JobId::from_random);
        let origin = prop_oneof![
            Just(JobOrigin::Owner),
            (pin(), "[A-Za-z0-9_-]{1,64}", any::<String>(), label()).prop_map(
                |(pin, dashboard_id, wire, label)| JobOrigin::Offloader {
                    pin,
                    dashboard_id: dashboard_id.parse().unwrap(),
                    wire_job_id: WireJobId(wire),
                    label,
                }
            ),
        ];
        let placement = prop_oneof![
            Just(Placement::Local),
            Just(Placement::RemotePending),
            (pin(), label(), proptest::option::of(version())).prop_map(
                |(pin, label, esphome_version)| {
                    Placement::Remote {
                        pin,
                        label,
                        esphome_version,
                    }
                }
            ),
        ];
        let port = prop_oneof![
            Just(Port::Ota),
            any::<String>().prop_map(Port::Address),
            any::<String>().prop_map(Port::Serial),
        ];
        let kind = proptest::sample::select(vec![
            JobKind::Compile,
            JobKind::Upload,
            JobKind::Clean,
            JobKind::ResetBuildEnv,
        ]);
        let status = proptest::sample::select(vec![
            JobStatus::Queued,
            JobStatus::Running,
            JobStatus::Completed,
            JobStatus::Failed,
            JobStatus::Cancelled,
        ]);
        let option = proptest::option::of::<BoxedStrategy<JobId>>;
        let job = (
            (
                id(),
                kind,
                any::<String>(),
                any::<String>(),
                origin,
                placement,
            ),
            (
                status,
                option(id().boxed()),
                proptest::option::of(port),
                any::<bool>(),
            ),
            (
                proptest::option::of(version()),
                any::<(i64, Option<i64>, Option<i64>)>(),
            ),
            any::<(Option<i32>, Option<String>, bool, Option<u8>, String, bool)>(),
        )
            .prop_map(|(a, b, c, d)| Job {
                id: a.0,
                kind: a.1,
                configuration: a.2,
                device_name: a.3,
                origin: a.4,
                placement: a.5,
                status: b.0,
                depends_on: b.1,
                port: b.2,
                bootloader: if b.3 {
                    Bootloader::Skip
                } else {
                    Bootloader::Include
                },
                target_version: c.0,
                created_at: Timestamp(c.1.0),
                started_at: c.1.1.map(Timestamp),
                completed_at: c.1.2.map(Timestamp),
                exit_code: d.0,
                error: d.1.map(Sentence::from),
                failure_reason: d.2.then_some(FailureReason::Provision),
                progress: d.3,
                reason: say::here_because(d.4),
                deferred: d.5,
            });
        let extra = any::<(Option<u64>, Option<String>, u8, [bool; 2], u64)>();
        (job, extra, proptest::option::of(pin())).prop_map(|(job, extra, only_on)| StoredJob {
            job,
            bundle: extra.0.map(|n| BlobId::new("bundle", n)),
            bundle_bytes: extra.4,
            attempt: extra.1.map(WireJobId),
            losses: extra.2,
            only_on,
            released: extra.3[0],
            cancel_requested: extra.3[1],
        })
    }
}
