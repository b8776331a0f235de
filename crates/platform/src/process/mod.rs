//! [`OsProcesses`]: programs in a session (Unix) or job object (Windows) of their own.
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg(unix)]
mod table;
#[cfg(target_os = "linux")]
pub(crate) use self::table::{goes_first, lower_session, ticks};
#[cfg(unix)]
pub(crate) mod warden;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kiln_ports::Processes;
use kiln_ports::process::{Child, Command, Exit, Priority, SpawnError};

/// Largest block that one read returns, in bytes.
const BLOCK: usize = 64 * 1024;

/// How long a killed tree's pipe is still read although a descendant holds it (builds.md §11.6).
const AFTERMATH: Duration = Duration::from_secs(1);

/// How long a tree may take to be gone after it was killed. Only a process that hangs in the
/// kernel, for example on a dead network disk, takes that long; it is given up with a warning.
const GIVE_UP: Duration = Duration::from_secs(30);

/// The leaders of the programs that run, for whoever runs programs or wants to know about them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<Mutex<BTreeSet<u32>>>);

impl Live {
    /// Notes that this program runs, for as long as what it returns is kept.
    fn enter(&self, leader: Option<u32>) -> Runs {
        let leader = leader.unwrap_or_default();
        self.leaders().insert(leader);
        Runs {
            live: self.clone(),
            leader,
        }
    }

    fn leaders(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A program that runs.
#[derive(Debug)]
struct Runs {
    live: Live,
    leader: u32,
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.live.leaders().remove(&self.leader);
    }
}

/// What tells Kiln's own programs from everybody else's.
#[derive(Clone, Debug)]
pub struct OwnPrograms(Live);

#[cfg_attr(
    target_os = "macos",
    allow(dead_code, reason = "macOS tells load in another way")
)]
impl OwnPrograms {
    /// Returns whether any runs.
    #[cfg_attr(
        target_os = "linux",
        allow(dead_code, reason = "Linux tells which ones")
    )]
    pub(crate) fn any(&self) -> bool {
        !self.0.leaders().is_empty()
    }

    /// Returns the leader of each: on Linux that of its session.
    #[cfg_attr(
        windows,
        allow(dead_code, reason = "it is enough to know whether there is one")
    )]
    pub(crate) fn leaders(&self) -> BTreeSet<u32> {
        self.0.leaders().clone()
    }
}

/// Runs programs for one Kiln and finds them again after a crash.
///
/// Beside what the caller asks for, every program gets `KILN_RUN=INSTANCE#RUN;` in its
/// environment. Its descendants inherit it, so that also those that left the session, and those of
/// a Kiln that was killed, can be told from everybody else's.
#[derive(Debug)]
pub struct OsProcesses {
    instance: String,
    runs: AtomicU64,
    live: Live,
    /// What each build of others gets as its warden, if anything.
    warden: Option<PathBuf>,
}

impl OsProcesses {
    /// Runs programs for this instance ([`crate::Paths::instance`]).
    pub fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            runs: AtomicU64::new(0),
            live: Live::default(),
            warden: None,
        }
    }

    /// Lets this program stand beside each build of others ([`Priority::Background`]) and end it when
    /// Kiln is gone, however that ended. It is Kiln's own, or another whose `main` begins with
    /// [`crate::sandbox::launch_if_asked`]. On Windows the system does that by itself.
    #[must_use]
    pub fn guarded_by(mut self, program: PathBuf) -> Self {
        self.warden = Some(program);
        self
    }

    /// Kills whatever an earlier process of this instance left running, and returns how many
    /// processes there were. Call it while holding the engine lock, before anything is spawned.
    pub async fn reap_leftovers(&self) -> usize {
        os::reap(format!("KILN_RUN={}#", self.instance)).await
    }

    /// Returns what tells the programs that run here from others.
    pub fn own_programs(&self) -> OwnPrograms {
        OwnPrograms(self.live.clone())
    }

    fn next_mark(&self) -> String {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        format!("KILN_RUN={}#{}-{run};", self.instance, std::process::id())
    }
}

#[async_trait::async_trait]
impl Processes for OsProcesses {
    async fn spawn(&self, command: Command) -> Result<Box<dyn Child>, SpawnError> {
        let program = command.program.display().to_string();
        let failed = |reason: String| SpawnError { program, reason };
        // The system's error for a missing folder is the one for a missing program.
        if !command.directory.is_dir() {
            let folder = command.directory.display();
            return Err(failed(format!("there is no folder {folder}")));
        }
        let warden = match command.priority {
            Priority::Background => self.warden.as_deref(),
            Priority::Normal => None,
        };
        match os::Running::spawn(command, self.next_mark(), &self.live, warden) {
            Ok(child) => Ok(Box::new(child)),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// Returns the command lines of the processes that can be seen; empty if none can.
pub(crate) fn command_lines() -> Vec<String> {
    os::command_lines()
}

fn exit(status: std::io::Result<ExitStatus>) -> Exit {
    match status.ok().and_then(|s| s.code()) {
        Some(code) => Exit::Code(code),
        None => Exit::Signal,
    }
}

#[cfg(test)]
#[cfg_attr(unix, path = "unix_tests.rs")]
#[cfg_attr(windows, path = "windows_tests.rs")]
mod tests;
