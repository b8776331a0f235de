//! [`EngineLock`]: one engine, and one desktop, per state folder, on every operating system.
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Tries to get a lock whose holder is gone. A program that it was about to start when it was killed
/// still has it until that program begins: a blink, on a busy computer up to a second.
const TRIES: u32 = 100;

/// Time between two of them.
const BLINK: Duration = Duration::from_millis(20);

/// Held while an engine or a desktop uses a state folder. The system lets go of it when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct EngineLock {
    _file: File,
}

/// Why the folder cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another engine uses it.
    #[error("Kiln already runs here{}; use it, or stop it first", pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    Held {
        /// Its process, if it said so already.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("the lock of the state folder cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl EngineLock {
    /// Takes the lock of a state folder, or says who has it. Does not wait for a holder that lives.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(state: &Path) -> Result<Self, LockError> {
        Self::named(state, "engine")
    }

    /// Takes the desktop's lock of a state folder, or says who has it. Does not wait for a holder that
    /// lives.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn of_desktop(state: &Path) -> Result<Self, LockError> {
        Self::named(state, "desktop")
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "nothing tells when a lock is let go"
    )]
    fn named(state: &Path, name: &str) -> Result<Self, LockError> {
        // The process id lies in a file of its own: Windows locks keep others from reading.
        let pid_file = state.join(format!("{name}.pid"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(state.join(format!("{name}.lock")))?;
        let mut tries = 1;
        loop {
            let holder = match file.try_lock() {
                Ok(()) => {
                    if let Err(error) = fs::write(&pid_file, std::process::id().to_string()) {
                        tracing::warn!(%error, "who holds the lock cannot be written down");
                    }
                    return Ok(Self { _file: file });
                }
                Err(TryLockError::WouldBlock) => fs::read_to_string(&pid_file),
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
            };
            let pid = holder.ok().and_then(|text| text.trim().parse().ok());
            if tries == TRIES || !pid.is_some_and(is_gone) {
                return Err(LockError::Held { pid });
            }
            tries += 1;
            sleep(BLINK);
        }
    }
}

/// Returns whether there is no such process any more.
#[cfg(unix)]
fn is_gone(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
    let answer = pid.map(rustix::process::test_kill_process);
    answer == Some(Err(rustix::io::Errno::SRCH))
}

/// A lock of Windows passes to no other process, so that its holder is never gone.
#[cfg(windows)]
fn is_gone(_: u32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_engine_is_refused_and_told_who_runs() {
        let dir = tempfile::tempdir().unwrap();
        let first = EngineLock::acquire(dir.path()).unwrap();
        let error = EngineLock::acquire(dir.path()).unwrap_err();
        assert!(error.to_string().contains(&std::process::id().to_string()));
        let _desktop = EngineLock::of_desktop(dir.path()).unwrap();
        drop(first);
        EngineLock::acquire(dir.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_a_dead_engine_passed_on_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let first = EngineLock::acquire(dir.path()).unwrap();
        // No process has this number: the largest that there can be.
        fs::write(dir.path().join("engine.pid"), i32::MAX.to_string()).unwrap();
        let second = std::thread::spawn({
            let state = dir.path().to_owned();
            move || EngineLock::acquire(&state)
        });
        drop(first);
        second.join().unwrap().unwrap();
    }
}
