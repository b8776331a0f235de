//! [`Processes`]: running programs in a session of their own and ending their whole tree.
use kiln_model::{Sentence, say};
use std::path::PathBuf;
use std::time::Duration;

/// What to run. The environment is exactly `environment`: nothing is inherited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program.
    pub program: PathBuf,
    /// Arguments.
    pub arguments: Vec<String>,
    /// Whole environment.
    pub environment: Vec<(String, String)>,
    /// Working directory.
    pub directory: PathBuf,
    /// How much the machine should favour others.
    pub priority: Priority,
}

/// CPU and I/O priority of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The owner waits for it.
    Normal,
    /// Work for others: lowest.
    Background,
}

/// How fast a running tree goes. It begins with [`Pace::AS_STARTED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the priority that it was started with.
    Full {
        /// On at most so many cores, as far as the system can; `None`: on all.
        cores: Option<u8>,
    },
    /// On at most so many cores, with the lowest CPU and I/O priority, as far as the system can.
    Gentle {
        /// Cores; at least one is left.
        cores: u8,
    },
    /// Not at all: every process stands still until another pace is set.
    Stopped,
}

impl Pace {
    /// Held back by nothing.
    pub const AS_STARTED: Self = Self::Full { cores: None };
}

/// How much of a tree goes at the pace that was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paced {
    /// All of it, as far as the system can.
    All,
    /// Some of it may not. To be set again soon.
    #[default]
    NotYet,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By a signal or by being terminated.
    Signal,
}

/// What a tree uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processes.
    pub processes: u32,
    /// Resident memory of all of them, in percent of this machine's memory.
    pub memory_percent: u8,
}

/// Why a program did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// Program.
    pub program: String,
    /// What the system said.
    pub reason: String,
}

impl SpawnError {
    /// Returns it in words.
    pub fn sentence(&self) -> Sentence {
        say::program_did_not_start(&self.program, &self.reason)
    }
}

kiln_model::spoken_errors!(SpawnError);

/// A running tree. Dropping it kills the tree.
#[async_trait::async_trait]
pub trait Child: Send {
    /// Reads the next block of merged stdout and stderr (at most 64 KiB); `None` at the end of the
    /// stream, or one second after the process was killed although a descendant holds the pipe.
    /// Cancel safe.
    async fn read(&mut self) -> Option<Vec<u8>>;

    /// Waits for the exit of the leader. Cancel safe.
    async fn wait(&mut self) -> Exit;

    /// Makes the whole tree go at another pace, what it starts later as well. Best effort: a tree that
    /// cannot be slowed down goes on. A stopped tree can be killed like any other.
    ///
    /// Dropped before it is done, some of the tree may have another pace, until one is set again.
    async fn set_pace(&mut self, pace: Pace) -> Paced;

    /// Measures the tree; `None` where the system does not tell. A tree that is to be measured again and
    /// again is also held to [`Priority::Background`] that way, if it has it, whatever sessions it begins.
    async fn usage(&mut self) -> Option<Usage>;

    /// Asks the whole tree to end, then after `grace` makes it end: every process of the session,
    /// not only the group. What cannot end in an orderly way, as a box that ends as one, is not
    /// asked. Returns when none is left.
    async fn kill(&mut self, grace: Duration);
}

/// Runs programs. stdin is null; stdout and stderr are one pipe.
#[async_trait::async_trait]
pub trait Processes: Send + Sync + 'static {
    /// Starts a program as leader of its own session (Unix) or in its own job object (Windows).
    async fn spawn(&self, command: Command) -> Result<Box<dyn Child>, SpawnError>;
}
