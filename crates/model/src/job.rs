//! [`Job`]: one unit of work in a lane, and the words that describe it.
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{DashboardId, EsphomeVersion, Label, Pin, Sentence, Timestamp};

/// How long a person's word to end waits for a device that is being written. A slow one takes two
/// minutes; one that hangs for longer keeps nobody from ending.
pub const FLASH_PATIENCE: Duration = Duration::from_secs(600);

/// Our own job id: 12 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(String);

/// The text is not a job id of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job id is 12 lower-case hex digits")]
pub struct InvalidJobId;

impl JobId {
    /// Makes an id from 48 random bits.
    pub fn from_random(bits: u64) -> Self {
        Self(format!("{:012x}", bits & 0xffff_ffff_ffff))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 12 && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidJobId)
        }
    }
}

/// A job id chosen by a peer, or by us for one submission attempt: an opaque text, used only as a
/// key together with the peer it belongs to (builds.md §19, MUST 20).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireJobId(pub String);

impl fmt::Display for WireJobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a job is in its life (builds.md §2.1). The last three are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Waits for a lane, a receiver or its prerequisite.
    Queued,
    /// Somebody works on it.
    Running,
    /// Done.
    Completed,
    /// Ended without result.
    Failed,
    /// Ended because somebody asked.
    Cancelled,
}

impl JobStatus {
    /// Returns whether nothing can change any more.
    pub fn is_final(self) -> bool {
        match self {
            JobStatus::Queued | JobStatus::Running => false,
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => true,
        }
    }

    /// Returns the wire and store word.
    pub fn word(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Running => "running",
            JobStatus::Completed => "completed",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }

    /// Reads the wire word; anything else is `None`.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Queued,
            Self::Running,
            Self::Completed,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|s| s.word() == word)
    }
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Build firmware.
    Compile,
    /// Flash a device from here.
    Upload,
    /// Remove a device's build tree.
    Clean,
    /// Remove build trees and toolchains: of one offloader when received, our own otherwise.
    ResetBuildEnv,
}

impl JobKind {
    /// Returns the word for store, faces and wire (`target`).
    pub fn word(self) -> &'static str {
        match self {
            JobKind::Compile => "compile",
            JobKind::Upload => "upload",
            JobKind::Clean => "clean",
            JobKind::ResetBuildEnv => "reset_build_env",
        }
    }

    /// Reads [`JobKind::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Compile,
            Self::Upload,
            Self::Clean,
            Self::ResetBuildEnv,
        ]
        .into_iter()
        .find(|k| k.word() == word)
    }
}

/// The category of a failure that changes what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The receiver cannot build with the wanted ESPHome; the offloader builds elsewhere.
    Provision,
}

/// Who asked for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOrigin {
    /// The owner of this computer.
    Owner,
    /// A paired offloader, through a peer link.
    Offloader {
        /// The offloader's pin.
        pin: Pin,
        /// The offloader's id when it submitted.
        dashboard_id: DashboardId,
        /// Its id for the job.
        wire_job_id: WireJobId,
        /// Its label when it submitted.
        label: Label,
    },
}

/// Who does the work (the reference peer's `source`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// This machine.
    Local,
    /// Some receiver, not yet chosen.
    RemotePending,
    /// A chosen receiver.
    Remote {
        /// The receiver's pin.
        pin: Pin,
        /// The receiver's label when it was chosen.
        label: Label,
        /// Its ESPHome version, only when it builds with another one than ours.
        esphome_version: Option<EsphomeVersion>,
    },
}

/// Where to flash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// Over the network, address found from the configuration.
    Ota,
    /// Over the network, at this IP address or host name.
    Address(String),
    /// A serial port path, for example `/dev/ttyUSB0` or `COM3`.
    Serial(String),
}

impl Port {
    /// The word for an RP2 in mass-storage mode; handled like a serial port that needs no device file.
    pub const BOOTSEL: &str = "BOOTSEL";
}

/// Whether a build includes the bootloader (builds.md §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bootloader {
    /// Built.
    Include,
    /// Skipped: the flash only replaces the app.
    Skip,
}

/// One unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Our id.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Leaf YAML name; empty for a reset.
    pub configuration: String,
    /// Display name of the device.
    pub device_name: String,
    /// Who asked.
    pub origin: JobOrigin,
    /// Who works.
    pub placement: Placement,
    /// Where it is in its life.
    pub status: JobStatus,
    /// The job that has to complete first.
    pub depends_on: Option<JobId>,
    /// Flash target of an upload.
    pub port: Option<Port>,
    /// Whether the compile includes the bootloader.
    pub bootloader: Bootloader,
    /// ESPHome version a received job asked for.
    pub target_version: Option<EsphomeVersion>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When work began.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub completed_at: Option<Timestamp>,
    /// Exit code of its last process.
    pub exit_code: Option<i32>,
    /// One sentence when failed or cancelled.
    pub error: Option<Sentence>,
    /// Category of the failure.
    pub failure_reason: Option<FailureReason>,
    /// Percent done, if the tool told.
    pub progress: Option<u8>,
    /// Why it is where it is, in one sentence ("receiver Laptop: idle").
    pub reason: Sentence,
    /// Set while the flash waits for the device to come online.
    pub deferred: bool,
}

impl Job {
    /// Returns whether a device is being written by this job now: one that is left half-way may not
    /// start again.
    pub fn is_flash(&self) -> bool {
        self.kind == JobKind::Upload && self.status == JobStatus::Running
    }
}
