//! [`run_program`]: the part of a launcher's work that every Unix shares.
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::Command;
use std::thread;

use super::orders::{ORDERS, WayOut};

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

/// Returns the environment of the attempts.
pub(super) fn surroundings() -> Vec<(String, String)> {
    vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())]
}
