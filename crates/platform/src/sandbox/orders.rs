//! [`Orders`]: what a launcher is told, and how a program becomes one.
use std::io;
use std::path::PathBuf;

use kiln_ports::process::Priority;
use kiln_ports::sandbox::ProcessLimits;
use serde::{Deserialize, Serialize};

use super::{attempts, os};
#[cfg(unix)]
use crate::process::warden;

/// First argument of a launcher.
pub(super) const VERB: &str = "box";

/// First argument of the program that tries to get out of a box.
pub(super) const TRY_VERB: &str = "box-try";

/// The variable that tells a launcher what to do. Not an argument, because everybody can read the
/// arguments of a program.
pub(super) const ORDERS: &str = "KILN_BOX";

/// What a launcher is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// Tier to make.
    pub(super) tier: u8,
    /// Folders it may write.
    pub(super) writable: Vec<PathBuf>,
    /// Files and folders it may read.
    pub(super) readable: Vec<PathBuf>,
    /// Its way out.
    pub(super) way_out: WayOut,
    /// Its CPU priority, from 0 (as others) to 19 (lowest).
    pub(super) nice: i32,
    /// Most processes and threads.
    pub(super) processes: u32,
    /// Most open files.
    pub(super) open_files: u32,
    /// Largest file, in bytes.
    pub(super) file_bytes: u64,
    /// Most memory, in percent of the machine's.
    pub(super) memory_percent: u8,
}

/// How a box reaches its gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum WayOut {
    /// Not at all.
    None,
    /// Over a socket that the launcher forwards a loopback port of the box to.
    Socket(PathBuf),
    /// Over a loopback port of this computer; the text is the proxy's address with its password.
    Port(u16, String),
}

impl Orders {
    /// Makes orders from rules.
    pub(super) fn new(
        tier: u8,
        writable: Vec<PathBuf>,
        readable: Vec<PathBuf>,
        way_out: WayOut,
        priority: Priority,
        limits: &ProcessLimits,
    ) -> Self {
        Self {
            tier,
            writable,
            readable,
            way_out,
            nice: match priority {
                Priority::Normal => 0,
                Priority::Background => 19,
            },
            processes: limits.processes,
            open_files: limits.open_files,
            file_bytes: limits.file_bytes,
            memory_percent: limits.memory_percent,
        }
    }

    /// Writes them for the environment.
    pub(super) fn text(&self) -> io::Result<String> {
        serde_json::to_string(self).map_err(io::Error::other)
    }

    /// Reads them.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("unreadable orders: {error}"))
    }
}

/// Becomes a launcher or a warden, if this process was started as one; it does not come back then. To be
/// called first in `main`, before there are threads. Returns why the box could not be made, for
/// `main` to say and to end with; `None` if this process is no launcher.
pub fn launch_if_asked() -> Option<String> {
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next()?;
    #[cfg(unix)]
    if verb == warden::VERB {
        warden::stand_by();
        std::process::exit(0)
    }
    if verb == TRY_VERB {
        let targets = arguments.next().unwrap_or_default();
        attempts::run(&targets.to_string_lossy());
        std::process::exit(0)
    }
    let orders = std::env::var_os(ORDERS)?.into_string().ok()?;
    (verb == VERB).then(|| os::launch(&orders))
}
