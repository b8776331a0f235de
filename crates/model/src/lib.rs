//! Nouns: plain values that every other crate speaks.
//!
//! Everything here is already checked: a [`Pin`] is 64 lower-case hex digits, a [`DashboardId`]
//! is safe to use as an identifier, a [`ConfigurationName`] is a leaf name. Nothing here reads a
//! clock, a file or a socket, and nothing here is `Serialize`: the wire (`peer-link`), the control
//! channel (`ipc`) and the store own their own shapes.

mod artifacts;
mod audit;
mod availability;
mod build_hosts;
mod configuration_name;
mod dashboard_id;
mod device;
mod digest;
mod emoji;
mod endpoint;
mod environment;
mod esphome_version;
mod hello;
mod inputs;
mod job;
mod label;
mod link;
mod message;
mod pairing_key;
mod pause;
mod peer;
mod pin;
mod queue_status;
mod request;
mod sandbox;
pub mod say;
mod sentence;
mod serial_port;
mod settings;
mod steers;
mod storage;
mod time;
mod view;
mod wakefulness;
pub mod witness;

pub use artifacts::{ArtifactsRefusal, BlobId, FirmwareOffset};
pub use audit::{
    AuditFilter, AuditQuestion, AuditSpan, Built, ChainFault, ContactedHost, Entry, Fact, FactKind,
    Gained, Given, JobFact, JobOutcome, JobStep, PairingFact, PairingStep, Party, Reach,
    SessionFact, SessionStep, Side, Statistics, Verification,
};
pub use availability::{Absence, Availability, AvailabilityReason, Input, InputVerdict, Verdict};
pub use build_hosts::BuildHosts;
pub use configuration_name::{ConfigurationName, InvalidConfigurationName, storable_component};
pub use dashboard_id::{DashboardId, InvalidDashboardId, host_label};
pub use device::{Device, DeviceName, Presence};
pub use digest::{Digest, InvalidDigest};
pub use emoji::{Emoji, PinEmoji};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use environment::{EnvironmentInfo, EnvironmentState};
pub use esphome_version::{EsphomeVersion, InvalidEsphomeVersion, OrderKey};
pub use hello::Hello;
pub use inputs::{Foreground, Heat, Inputs, Lid, Network, Power, RemoteKind, RemoteSession, Saver};
pub use job::{
    Bootloader, FLASH_PATIENCE, FailureReason, InvalidJobId, Job, JobId, JobKind, JobOrigin,
    JobStatus, Placement, Port, WireJobId,
};
pub use label::{FriendlyName, Label};
pub use link::{
    Capabilities, CloseReason, IntentReason, IntentResponse, LinkId, LinkIntent, PeerFacts,
    ResponseKind, TerminateReason,
};
pub use message::{MAX_BUNDLE, Message, ResetRefusal, SubmitHeader, SubmitRefusal, Target};
pub use pairing_key::{PairingKey, PresentedKey};
pub use pause::{InvalidPause, Pause, Snooze};
pub use peer::{Alert, AlertKind, Pairing, PairingStatus, Peer, PendingPeer};
pub use pin::{InvalidPin, Pin, PublicKey};
pub use queue_status::QueueStatus;
pub use request::{BuildChoice, ErrorCode, Reply, Request, RequestError};
pub use sandbox::{Confinement, SandboxMode, Tier};
pub use sentence::{Sentence, fill};
pub use serial_port::{PortState, SerialPort, UsbId};
pub use settings::{RemoteSessions, SettingKey, Settings, VersionPolicy, WhileInUse};
pub use steers::steers;
pub use storage::{Kept, Reclaimed, Storage, StoredItem, StoredKind};
pub use time::{Mono, Now, Timestamp};
pub use view::{DiscoveredHost, IdentityView, LinkState, PairingView, PeerView, View, WindowView};
pub use wakefulness::Wakefulness;
