//! [`LoginItems`]: the system's list of programs that start at login.
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use std::path::PathBuf;

use kiln_ports::autostart::{AutostartError, StartAtLogin};

#[cfg(target_os = "macos")]
pub use os::{Launch, launch};

/// What is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginItem {
    /// What people call it ("Kiln"). macOS takes it from the bundle.
    pub name: String,
    /// What the system calls it: a file name without folders, stable between versions
    /// ("kiln-desktop").
    pub id: String,
    /// Name of its icon in the icon themes of Linux. Elsewhere it is that of the program.
    pub icon: String,
    /// The program, as an absolute path. On macOS it is the bundle that is started.
    pub program: PathBuf,
    /// Its arguments. macOS passes none; `launch` tells a start at login there.
    pub arguments: Vec<String>,
}

/// The list that is this user's: XDG autostart, the Run key or the login items of macOS. Another
/// program, or the person, may change it at any time, so nothing is remembered here. Calls are short
/// and block.
pub struct LoginItems(os::List);

impl LoginItems {
    /// Reads and changes the entry of this program.
    pub fn new(item: LoginItem) -> Self {
        Self(os::List::new(item))
    }

    /// Returns what the system will do at the next login.
    ///
    /// # Errors
    /// [`AutostartError::Unsupported`] or [`AutostartError::Failed`].
    pub fn state(&self) -> Result<StartAtLogin, AutostartError> {
        self.0.state()
    }

    /// Starts this program at login from now on.
    ///
    /// # Errors
    /// [`AutostartError::Blocked`] when the person has switched it off in the system's own list:
    /// that is obeyed and not undone.
    pub fn enable(&self) -> Result<(), AutostartError> {
        match self.0.state()? {
            StartAtLogin::Blocked => Err(AutostartError::Blocked),
            StartAtLogin::On | StartAtLogin::Off => self.0.enable(),
        }
    }

    /// Does not start it any more; fine if it did not.
    ///
    /// # Errors
    /// [`AutostartError::Unsupported`] or [`AutostartError::Failed`].
    pub fn disable(&self) -> Result<(), AutostartError> {
        self.0.disable()
    }
}
