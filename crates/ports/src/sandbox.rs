//! [`Sandbox`]: the box in which builds for others run: what it may touch, how far it gets on the
//! network, how much it may use.
use std::path::PathBuf;

use kiln_model::{BuildHosts, Confinement, Sentence, say};

use crate::process::Command;

/// What one box is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxRules {
    /// Folders that it may read, write and run programs of; they exist.
    pub writable: Vec<PathBuf>,
    /// Files and folders that it may read and run; what does not exist is left out. Beside these it
    /// sees what every program of this system needs.
    pub readable: Vec<PathBuf>,
    /// Where its temporary files are; among `writable`.
    pub scratch: PathBuf,
    /// How far it gets.
    pub network: Network,
    /// What one of its processes may use.
    pub limits: ProcessLimits,
}

/// How far a box gets on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Nowhere.
    None,
    /// To these hosts, through a proxy that resolves names itself and dials public addresses only.
    Gate {
        /// Allowed hosts.
        hosts: BuildHosts,
        /// Bytes that may pass, both directions together.
        max_bytes: u64,
    },
}

/// What the system itself enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Processes and threads of the box together, where the system counts them.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u32,
    /// Size of one file, in bytes.
    pub file_bytes: u64,
    /// Memory of one process, in percent of this machine's.
    pub memory_percent: u8,
}

/// A command that runs in a box.
pub struct Boxed {
    /// What to start instead of the command that was given.
    pub command: Command,
    /// Its way out, to be kept for as long as the command runs; `None` without a network.
    pub gate: Option<Box<dyn Gate>>,
}

impl std::fmt::Debug for Boxed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Boxed")
            .field("command", &self.command.program)
            .finish_non_exhaustive()
    }
}

/// One attempt of a box to reach a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Host as the box named it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What became of it.
    pub answer: Answer,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Connected.
    Reached,
    /// It is not among the allowed hosts.
    NotAllowed,
    /// It stands for an address inside this network, or for none outside.
    NotPublic,
    /// It did not answer; the text says why.
    Failed(String),
}

/// The way out of a running box. Dropping it closes it.
#[async_trait::async_trait]
pub trait Gate: Send {
    /// Returns the next attempt. Never returns when there are no more. Cancel safe.
    async fn next(&mut self) -> Contact;

    /// Returns the bytes that passed so far, both directions together.
    fn passed(&self) -> u64;
}

/// Why there is no box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxError(pub String);

impl SandboxError {
    /// Returns it in words.
    pub fn sentence(&self) -> Sentence {
        say::box_not_made(&self.0)
    }
}

kiln_model::spoken_errors!(SandboxError);

/// Makes boxes.
#[async_trait::async_trait]
pub trait Sandbox: Send + Sync + 'static {
    /// Tries everything that a box must deny and returns the tier that held. To be called once,
    /// before anything is boxed; until then there is no tier.
    async fn prove(&self) -> Confinement;

    /// Returns a command that runs `command` in a box of the proved tier; at tier 0 the command
    /// itself.
    ///
    /// # Errors
    /// When the box or its gate cannot be made. Nothing may be run then.
    async fn enclose(&self, command: Command, rules: &BoxRules) -> Result<Boxed, SandboxError>;
}
