//! JSON of [`Job`], of who asked for it and who works on it.
use kiln_model::{
    Bootloader, DashboardId, EsphomeVersion, FailureReason, Job, JobId, JobKind, JobOrigin,
    JobStatus, Label, Pin, Placement, Port, Sentence, Timestamp, WireJobId,
};
use serde::{Deserialize, Serialize};

use crate::form::{self, mirrored};
use crate::sentence;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Job")]
struct JobJson {
    #[serde(with = "form")]
    id: JobId,
    #[serde(with = "form")]
    kind: JobKind,
    configuration: String,
    device_name: String,
    #[serde(with = "form")]
    origin: JobOrigin,
    #[serde(with = "form")]
    placement: Placement,
    #[serde(with = "form")]
    status: JobStatus,
    #[serde(with = "form")]
    depends_on: Option<JobId>,
    #[serde(with = "form")]
    port: Option<Port>,
    #[serde(with = "form")]
    bootloader: Bootloader,
    #[serde(with = "form")]
    target_version: Option<EsphomeVersion>,
    #[serde(with = "form")]
    created_at: Timestamp,
    #[serde(with = "form")]
    started_at: Option<Timestamp>,
    #[serde(with = "form")]
    completed_at: Option<Timestamp>,
    exit_code: Option<i32>,
    #[serde(flatten, with = "sentence::error")]
    error: Option<Sentence>,
    #[serde(with = "form")]
    failure_reason: Option<FailureReason>,
    progress: Option<u8>,
    #[serde(flatten, with = "sentence::reason")]
    reason: Sentence,
    deferred: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "JobOrigin", tag = "by", rename_all = "snake_case")]
enum OriginJson {
    Owner,
    Offloader {
        #[serde(rename = "pin_sha256", with = "form")]
        pin: Pin,
        #[serde(with = "form")]
        dashboard_id: DashboardId,
        #[serde(with = "form")]
        wire_job_id: WireJobId,
        #[serde(with = "form")]
        label: Label,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Placement", tag = "on", rename_all = "snake_case")]
enum PlacementJson {
    Local,
    RemotePending,
    Remote {
        #[serde(rename = "pin_sha256", with = "form")]
        pin: Pin,
        #[serde(with = "form")]
        label: Label,
        #[serde(with = "form")]
        esphome_version: Option<EsphomeVersion>,
    },
}

mirrored! {
    Job => JobJson,
    JobOrigin => OriginJson,
    Placement => PlacementJson,
}
