//! What [`super::Work`] may ask for.
use std::time::Duration;

use kiln_model::{
    BlobId, Bootloader, ConfigurationName, EsphomeVersion, Job, JobId, JobKind, LinkId, Message,
    Pin, Port, SubmitHeader, Timestamp, WireJobId,
};

use super::sighted::Sighted;
use crate::RequestId;
use crate::storage::{Extent, Stock};

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Keep a job; durable before the next effect.
    SaveJob(Box<StoredJob>),
    /// Drop a job with its log and blobs.
    ForgetJob(JobId),
    /// Keep what was given with a job; durable before the next effect.
    SaveGiven(Box<Given>),
    /// Drop what was given with a job.
    ForgetGiven(JobId),
    /// Keep that a device was seen.
    SaveSighted(Sighted),
    /// Drop that the device of this name was seen.
    ForgetSighted(String),
    /// Send a frame.
    Send(LinkId, Message),
    /// Append a notice line to a job's log.
    Note(JobId, String),
    /// A job changed; faces follow.
    JobChanged(Box<Job>),
    /// The compile lane changed; the view follows.
    ViewChanged,
    /// Read the owner's devices again.
    ScanDevices,
    /// Say which serial ports are connected; ends with `PortsListed`.
    ListPorts(RequestId),
    /// Look at one serial port before it is flashed through; ends with `PortLooked`.
    LookAtPort(RequestId, String),

    /// Offloader: make the bundle of a configuration; ends with `BundleMade`.
    MakeBundle(JobId, ConfigurationName),
    /// Offloader: send header and chunks; ends with `Uploaded`.
    Upload(LinkId, Box<SubmitHeader>, BlobId),
    /// Offloader: stop sending chunks of this upload, the receiver refused it; ends with `Uploaded`.
    StopUpload(LinkId, WireJobId),
    /// Offloader: say when something was last heard on the link of this submission; ends with
    /// `LinkLooked`, or with the end of the session.
    LookAtLink(LinkId, WireJobId),
    /// Offloader: ask for artifacts and assemble them; ends with `Downloaded`.
    Download(LinkId, WireJobId),
    /// Offloader: validate artifacts and put them into the local tree; ends with `Materialised`.
    Materialise(JobId, ConfigurationName, BlobId),
    /// Flash from here; ends with `ProcessEnded`.
    Flash(JobId, ConfigurationName, Port),

    /// Receiver: unpack a bundle; ends with `Prepared`.
    Prepare {
        /// The job.
        job: JobId,
        /// Whose.
        pin: Pin,
        /// Its id there; it is taken until `SubmissionSettled`.
        wire: WireJobId,
        /// Its configuration.
        configuration: ConfigurationName,
        /// The bundle; it stays until `DropBlob`, which follows when the job does not need it.
        bundle: BlobId,
    },
    /// Receiver: a wire id may be used again: what was submitted by it is not being unpacked (any more).
    SubmissionSettled(Pin, WireJobId),
    /// Receiver: pack and stream artifacts; ends with `ArtifactsServed`.
    ServeArtifacts(LinkId, WireJobId, BuildTree),
    /// Look at what is on the disk; ends with `Measured`.
    Measure(Extent),
    /// Delete these, in this order; ends with `Evicted`.
    Evict(Vec<Stock>),

    /// Make sure a version is installed; output goes to the job's log; ends with `Provisioned`.
    Provision(JobId, EsphomeVersion),
    /// Ask the package index for the newest release; ends with `NewestFound`.
    FindNewestEnvironment(RequestId),
    /// Make sure a version is installed because the owner asked; told by `EnvironmentsChanged`.
    InstallEnvironment(EsphomeVersion),
    /// Run a compile, clean or reset on this machine; ends with `ProcessEnded`.
    Build {
        /// The job.
        job: JobId,
        /// What.
        kind: JobKind,
        /// Where.
        tree: BuildTree,
        /// With which version; `None`: the installed one.
        version: Option<EsphomeVersion>,
        /// With or without bootloader.
        bootloader: Bootloader,
    },
    /// How hard the build of a job may go from now on, also if it runs later.
    Drive(JobId, Drive),
    /// Stop whatever runs for a job, its whole process tree; the step then ends as cancelled.
    Stop(JobId, Ending),
    /// Drop a blob.
    DropBlob(BlobId),
}

/// How what runs for a job is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its programs are asked, and killed a few seconds later.
    Asked,
    /// They are killed: what they take until then is what this computer is short of.
    AtOnce,
}

/// How hard a build may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drive {
    /// Within the limits for a computer that nobody uses.
    #[default]
    Full,
    /// Within those for an owner who is there, at lowest priority.
    Gentle,
    /// Not at all: its whole process tree stands still.
    Stopped,
}

/// Where a build happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BuildTree {
    /// The owner's ESPHome directory.
    Own(ConfigurationName),
    /// The owner's whole build environment (reset).
    OwnAll,
    /// A received configuration.
    Received {
        /// Whose.
        pin: Pin,
        /// Which.
        configuration: ConfigurationName,
    },
    /// Everything received from one offloader (reset).
    ReceivedAll(Pin),
}

/// For how long this computer worked on a job of somebody else, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The job; it need not exist any more.
    pub job: JobId,
    /// Whose.
    pub pin: Pin,
    /// When it ended.
    pub ended: Timestamp,
    /// How long it took.
    pub took: Duration,
}

/// A job as the store keeps it: the job and what a restart needs beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredJob {
    /// The job.
    pub job: Job,
    /// Bundle of a received job that is not over.
    pub bundle: Option<BlobId>,
    /// Its size, in bytes.
    pub bundle_bytes: u64,
    /// Wire id of the current submission attempt (offloader).
    pub attempt: Option<WireJobId>,
    /// Times a receiver was lost.
    pub losses: u8,
    /// The owner chose this receiver and no other.
    pub only_on: Option<Pin>,
    /// The prerequisite completed once; it need not exist any more.
    pub released: bool,
    /// Somebody asked to cancel; beats every later outcome, also after a restart.
    pub cancel_requested: bool,
}
