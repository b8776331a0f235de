//! What can happen to [`super::Work`].
use kiln_model::witness::DigestVerified;
use kiln_model::{
    ArtifactsRefusal, BlobId, ConfigurationName, Device, EnvironmentInfo, EsphomeVersion, JobId,
    LinkId, Message, Mono, Pin, Sentence, SerialPort, Settings, SubmitHeader, WireJobId,
};

use super::effect::{BuildTree, Given, StoredJob};
use super::sighted::Sighted;
use crate::RequestId;
use crate::storage::{Found, Stock};

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// What was given to offloaders in the last run, before the jobs.
    GivenLoaded(Vec<Given>),
    /// Devices that were seen in earlier runs, before the first scan.
    SightedLoaded(Vec<Sighted>),
    /// Stored jobs, oldest first, before anything runs.
    Loaded(Vec<StoredJob>),
    /// Settings changed, or were loaded.
    SettingsChanged(Settings),
    /// The owner's devices, after a scan.
    DevicesScanned(Vec<Device>),
    /// One of the owner's devices announced itself.
    DeviceSeen {
        /// Whose device.
        configuration: ConfigurationName,
        /// Where it is, if it says so.
        address: Option<String>,
        /// ESPHome version that it says it runs.
        version: String,
    },
    /// One of the owner's devices said goodbye or is not heard any more.
    DeviceGone(ConfigurationName),
    /// The serial ports, and what to try when one is missing.
    PortsListed(RequestId, Vec<SerialPort>, Sentence),
    /// One serial port as it is now; `None` if there is none.
    PortLooked(RequestId, Option<SerialPort>),
    /// Environments changed; `installed` marks the one for own builds.
    EnvironmentsChanged(Vec<EnvironmentInfo>),
    /// Our own ESPHome is being asked for its version: what depends on it waits.
    VersionAsked,
    /// Our own ESPHome has answered, or there is none.
    VersionAnswered,
    /// What the package index offers, or why that is not known.
    NewestFound(RequestId, Result<EsphomeVersion, Sentence>),
    /// A frame arrived on an open session.
    Received(LinkId, Message),

    /// Offloader: the bundle of a job is made, or why not.
    BundleMade(JobId, Result<BundleFacts, StepFailure>),
    /// Offloader: every chunk is sent, or the upload stopped early. The ack comes as a message.
    Uploaded(LinkId, WireJobId, Result<(), StepFailure>),
    /// Offloader: when something was last heard on the link of this submission.
    LinkLooked(LinkId, WireJobId, Mono),
    /// Offloader: the artifact stream ended.
    Downloaded(LinkId, WireJobId, Result<BlobId, DownloadFailure>),
    /// Offloader: artifacts are in the local build tree, or nothing changed.
    Materialised(JobId, Result<(), StepFailure>),

    /// Receiver: a header was accepted, its chunks follow.
    SubmissionStarted(LinkId, WireJobId),
    /// Receiver: a started upload was refused or given up; not told when its session ended.
    SubmissionDropped(LinkId, WireJobId),
    /// Receiver: a bundle is complete, verified and durable.
    SubmissionArrived {
        /// The session, which may be over by now.
        link: LinkId,
        /// Who sent it.
        pin: Pin,
        /// The header, values judged.
        header: Box<SubmitHeader>,
        /// The checked file name.
        configuration: ConfigurationName,
        /// Where the bundle lies.
        bundle: BlobId,
        /// Size and digest match.
        verified: DigestVerified,
    },
    /// Receiver: the job of an accepted bundle could not be kept, and its sender was told that it is
    /// built elsewhere.
    SubmissionNotKept(LinkId, WireJobId),
    /// Receiver: a bundle is unpacked, or refused.
    Prepared(JobId, Result<BuildTree, StepFailure>),
    /// Receiver: an artifact stream ended.
    ArtifactsServed(LinkId, WireJobId),

    /// What the look at the disk found, and the room on it in bytes.
    Measured {
        /// What.
        found: Vec<Found>,
        /// Room; `None` if that cannot be read.
        free: Option<u64>,
    },
    /// What was to be deleted is gone, or cannot be deleted.
    Evicted {
        /// What is gone.
        gone: Vec<Stock>,
        /// Room on the disk in bytes; `None` if that cannot be read.
        free: Option<u64>,
    },

    /// The environment a job waits for is there, or cannot be had.
    Provisioned(JobId, Result<EsphomeVersion, StepFailure>),
    /// A job's process ended.
    ProcessEnded(JobId, ProcessOutcome),
    /// A job's tool told how far it is.
    Progressed(JobId, u8),
    /// The node stops: no job may be ended as cancelled by this.
    ShuttingDown,
}

/// A made bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFacts {
    /// Where it lies.
    pub blob: BlobId,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, lower-case hex.
    pub sha256: String,
}

/// A step that did not work: one sentence for the person who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepFailure {
    /// The step failed.
    Failed(Sentence),
    /// The step was cancelled on request.
    Cancelled,
    /// The link was lost meanwhile.
    LinkLost,
    /// The wanted ESPHome version cannot be had.
    Provision(Sentence),
}

/// How a job's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessOutcome {
    /// Exit code 0 and no failure text in the output.
    Succeeded,
    /// Anything else, with the exit code if there is one and a sentence.
    Failed {
        /// Exit code.
        exit_code: Option<i32>,
        /// One sentence.
        message: Sentence,
    },
    /// It was given up here for a reason that need not be the configuration's, with a sentence:
    /// another computer may well build it.
    GivenUp(Sentence),
    /// It was killed on request, and nothing of it is left.
    Killed,
}

/// Why artifacts did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownloadFailure {
    /// The receiver refused; with its detail.
    Refused(Option<ArtifactsRefusal>, Sentence),
    /// The stream broke a rule; the text names it.
    Invalid(Sentence),
    /// The link was lost meanwhile.
    LinkLost,
    /// Nothing came for too long.
    Stalled,
    /// The local disk refused.
    Disk(Sentence),
}
