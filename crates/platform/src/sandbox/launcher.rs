//! [`Orders`]: what a launcher is told; and the part of its work that every Unix shares.
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use kiln_ports::process::Priority;
use kiln_ports::sandbox::ProcessLimits;
use serde::{Deserialize, Serialize};

use super::{attempts, os};
use crate::process::warden;

/// First argument of a launcher.
pub(super) const VERB: &str = "box";

/// First argument of the program that tries to get out of a box.
pub(super) const TRY_VERB: &str = "box-try";

/// The variable that tells a launcher what to do. Not an argument, because everybody can read the
/// arguments of a program.
pub(super) const ORDERS: &str = "KILN_BOX";

/// Added to the number of a signal when a program ended by one is told as an exit code (as shells
/// do).
const BY_SIGNAL: i32 = 128;

/// Every name under which programs look for a proxy.
pub(super) const PROXY_VARIABLES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

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

/// Runs what the arguments after the verb say, in place of this process where that does; comes
/// back only if that fails.
pub(super) fn run_program(way_out: WayOut, forwarder: Option<TcpListener>) -> String {
    let mut words = std::env::args_os().skip(2);
    let Some(program) = words.next() else {
        return "nothing to run".to_owned();
    };
    let name = program.to_string_lossy().into_owned();
    let failed = |error: io::Error| format!("{name} did not start: {error}");
    let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os()
        .filter(|(key, _)| key != ORDERS)
        .collect();
    let mut proxy = |address: String| {
        for key in &PROXY_VARIABLES[..4] {
            variables.insert(key.into(), address.clone().into());
        }
    };
    match (&way_out, &forwarder) {
        (WayOut::Port(_, address), _) => proxy(address.clone()),
        (WayOut::Socket(_), Some(listener)) => match listener.local_addr() {
            Ok(here) => proxy(format!("http://{here}")),
            Err(error) => return failed(error),
        },
        (WayOut::Socket(_), None) | (WayOut::None, _) => {}
    }
    let mut command = Command::new(&program);
    command.args(words).env_clear().envs(variables);
    let (WayOut::Socket(socket), Some(listener)) = (way_out, forwarder) else {
        return failed(command.exec());
    };
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(error),
    };
    // Threads of this process see to the traffic for as long as the build runs.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let socket = socket.clone();
            thread::spawn(move || forward(&stream, &socket));
        }
    });
    match child.wait() {
        Ok(status) => {
            let code = status.code();
            std::process::exit(
                code.unwrap_or_else(|| BY_SIGNAL + status.signal().unwrap_or_default()),
            )
        }
        Err(error) => failed(error),
    }
}

/// Copies both directions until both have ended. A broken connection ends both.
fn forward(stream: &TcpStream, socket: &Path) {
    let Ok(gate) = UnixStream::connect(socket) else {
        return;
    };
    let (Ok(mut from), Ok(mut to)) = (stream.try_clone(), gate.try_clone()) else {
        return;
    };
    let outwards = thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = copy(&mut &gate, &mut &*stream);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = outwards.join();
}
