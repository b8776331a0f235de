//! [`Request`]: everything a person can ask of a node, through any face; [`Reply`]: the answer.
use crate::link::words;
use crate::{
    AuditQuestion, DashboardId, Device, Endpoint, Entry, EnvironmentInfo, EsphomeVersion, Job,
    JobId, Label, Pin, Port, Reclaimed, Sentence, SerialPort, Settings, Snooze, Statistics,
    Storage, Verification, View,
};

/// What a person wants. The command line, the window and the tray all speak these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The whole read model.
    Status,
    /// Make a new key; peers must pair again.
    RotateIdentity,
    /// Ask a receiver for its pin.
    Preview(Endpoint),
    /// Ask a receiver to admit us. `pin` was compared by a human.
    Pair {
        /// Where.
        endpoint: Endpoint,
        /// The confirmed pin.
        pin: Pin,
        /// One-time key of a headless receiver.
        pairing_key: Option<String>,
        /// Our name for the receiver; empty: its friendly name.
        label: Label,
    },
    /// Forget a receiver.
    Unpair(Pin),
    /// Let the scheduler use a receiver or not.
    SetPairingEnabled(Pin, bool),
    /// Change where a receiver is; probed first.
    EditEndpoint(Pin, Endpoint),
    /// Open, or extend, the pairing window for the asking client.
    OpenWindow,
    /// Close the asking client's window.
    CloseWindow,
    /// Admit a pending offloader, with the pin that a person compared: another one is refused.
    Approve(DashboardId, Option<Pin>),
    /// Refuse a pending offloader.
    Reject(DashboardId),
    /// Forget an approved offloader and end its session.
    RemovePeer(DashboardId),
    /// The owner's devices.
    Devices,
    /// Compile, then flash.
    Install {
        /// Configuration or device name.
        device: String,
        /// Where to build.
        build: BuildChoice,
        /// Where to flash.
        port: Port,
    },
    /// Flash what is built, without a build.
    Flash {
        /// Configuration or device name.
        device: String,
        /// Where to flash.
        port: Port,
    },
    /// Compile only.
    Compile {
        /// Configuration or device name.
        device: String,
        /// Where to build.
        build: BuildChoice,
    },
    /// Remove a device's build tree here and on connected receivers.
    Clean {
        /// Configuration or device name.
        device: String,
    },
    /// All jobs, newest first.
    Jobs,
    /// One job.
    Job(JobId),
    /// Cancel a job.
    Cancel(JobId),
    /// Cancel a job and do it again on this machine.
    BuildHere(JobId),
    /// Installed ESPHome environments.
    Environments,
    /// The newest ESPHome that the package index offers; asks the network.
    NewestEnvironment,
    /// Install an ESPHome version.
    InstallEnvironment(String),
    /// Wipe the build environment: our own, or that of a receiver.
    ResetEnvironment(Option<Pin>),
    /// Serial ports of this computer.
    SerialPorts,
    /// All settings.
    Settings,
    /// Change settings; all are checked before any is applied.
    SetSettings(Vec<(String, String)>),
    /// What the audit says.
    Audit(AuditQuestion),
    /// Compile nothing for others for a while.
    Pause(Snooze),
    /// Compile for others again before the pause is over.
    Resume,
    /// What is kept on disk, looked at anew.
    Storage,
    /// Delete everything on disk that can be made again and that nobody needs now.
    Reclaim,
    /// Stop the node.
    Shutdown,
}

/// Where the owner wants a build done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildChoice {
    /// The scheduler chooses.
    Auto,
    /// This machine.
    Local,
    /// This receiver and no other.
    On(Pin),
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done, nothing to say.
    Done,
    /// The read model.
    Status(Box<View>),
    /// A receiver's pin.
    Previewed {
        /// The pin that answered.
        pin: Pin,
        /// It will want a pairing key.
        requires_pairing_key: bool,
        /// Its machine name.
        friendly_name: String,
    },
    /// Admitted at once.
    Paired,
    /// Asked; the receiver's admin has to decide.
    PairingPending,
    /// Devices.
    Devices(Vec<Device>),
    /// Jobs that were made, or asked for.
    Jobs(Vec<Job>),
    /// Environments.
    Environments(Vec<EnvironmentInfo>),
    /// The newest ESPHome release.
    NewestEnvironment(EsphomeVersion),
    /// Serial ports.
    SerialPorts {
        /// Those that are connected, in the order of their names.
        ports: Vec<SerialPort>,
        /// What to try when a device that is plugged in is missing.
        advice: Sentence,
    },
    /// Settings.
    Settings(Box<Settings>),
    /// Entries of the audit.
    Audit {
        /// Oldest first.
        entries: Vec<Entry>,
        /// Lines that cannot be read; verifying says why.
        unreadable: u64,
    },
    /// Whether the audit is as it was written.
    AuditVerified(Verification),
    /// What was built for others and by others.
    Statistics(Statistics),
    /// What is kept on disk.
    Storage(Box<Storage>),
    /// What was deleted.
    Reclaimed(Reclaimed),
    /// Refused.
    Refused(RequestError),
}

words! {
    /// Stable codes of refusals (builds.md §18 and ours).
    ErrorCode {
        /// No receiver fits the version policy.
        NoCompatiblePeer = "no_compatible_peer",
        /// Wrong argument or wrong state.
        InvalidArgs = "invalid_args",
        /// No such thing.
        NotFound = "not_found",
        /// The world is not as it has to be.
        PreconditionFailed = "precondition_failed",
        /// A peer cannot be reached.
        Unavailable = "unavailable",
        /// The receiver's pairing window is closed.
        NoPairingWindow = "no_pairing_window",
        /// It is already so, or already going on.
        AlreadyExists = "already_exists",
        /// A fault of ours.
        Internal = "internal_error",
    }
}

/// A refusal that reaches a person: one sentence and a next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// Stable code.
    pub code: ErrorCode,
    /// One sentence.
    pub message: Sentence,
    /// What to do next; may be empty.
    pub hint: Sentence,
}
