//! [`EngineLock`]: one engine, and one desktop, per state folder, on every operating system.
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

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
    /// Takes the lock of a state folder, or says who has it. Does not wait.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(state: &Path) -> Result<Self, LockError> {
        Self::named(state, "engine")
    }

    /// Takes the desktop's lock of a state folder, or says who has it. Does not wait.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn of_desktop(state: &Path) -> Result<Self, LockError> {
        Self::named(state, "desktop")
    }

    fn named(state: &Path, name: &str) -> Result<Self, LockError> {
        // The process id lies in a file of its own: Windows locks keep others from reading.
        let pid_file = state.join(format!("{name}.pid"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(state.join(format!("{name}.lock")))?;
        match file.try_lock() {
            Ok(()) => {
                fs::write(&pid_file, std::process::id().to_string())?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(LockError::Held {
                pid: fs::read_to_string(&pid_file)
                    .ok()
                    .and_then(|text| text.trim().parse().ok()),
            }),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }
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
}
