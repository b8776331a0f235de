//! The row of a job.
use std::str::FromStr;

use kiln_domain::work::StoredJob;
use kiln_ipc::Words;
use kiln_model::{
    BlobId, Bootloader, FailureReason, Job, JobId, JobKind, JobOrigin, JobStatus, Label, Placement,
    Port, Sentence, Timestamp, WireJobId,
};
use kiln_ports::store::Row;
use serde::{Deserialize, Serialize};

use super::{BadRecord, SHAPE, parse, row, text};

/// Kind of a job's row.
pub const JOB: &str = "job";

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

#[cfg(test)]
mod tests {
    use kiln_model::{Pin, say};
    use proptest::prelude::*;

    use super::*;
    use crate::records::tests::version;

    proptest! {
        #[test]
        fn a_job_comes_back_as_it_was_stored(original in stored_job()) {
            prop_assert_eq!(job(&job_row(&original).unwrap()), Ok(original));
        }
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
