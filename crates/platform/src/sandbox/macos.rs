//! macOS: a Seatbelt profile, made for each box and given to `sandbox-exec`. Apple calls that
//! program deprecated; browsers and package managers build on the same mechanism.
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};

use kiln_model::Tier;
use kiln_ports::process::Command;
use kiln_ports::sandbox::{BoxRules, Boxed, Gate, Network, SandboxError};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit, test_kill_process};

use super::gate::{Proxy, is_outside};
pub(super) use super::launcher::surroundings;
use super::launcher::{PROXY_VARIABLES, run_program};
pub(super) use super::local_socket::LocalSocket;
use super::orders::{ORDERS, Orders, VERB, WayOut};

/// Tiers that can be made here. Seatbelt is one wall without namespaces behind it: tier 2.
pub(super) const TIERS: [Tier; 1] = [Tier::Confined];

/// Said when no tier held.
pub(super) const NOTHING_BETTER: Option<&str> = None;

/// Applies a profile and runs a program under it.
const SEATBELT: &str = "/usr/bin/sandbox-exec";

/// What every program of a Mac needs to read: programs, libraries, frameworks, compilers,
/// certificates, the clock.
const SYSTEM: [&str; 14] = [
    "/usr",
    "/bin",
    "/sbin",
    "/System",
    "/Library/Apple",
    "/Library/Developer",
    "/Library/Frameworks",
    "/Library/Preferences/Logging",
    "/Applications/Xcode.app",
    "/opt/homebrew",
    "/private/etc/ssl",
    "/private/etc/passwd",
    "/private/var/db/timezone",
    "/private/var/db/dyld",
];

/// Devices that hold nothing.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/dev/dtracehelper",
];

/// Says what holds builds at a tier.
pub(super) fn holds(_: Tier) -> String {
    "A Seatbelt profile keeps builds for others from files, programs and networks of this computer."
        .to_owned()
}

/// Wraps a command into Seatbelt and a launcher.
pub(super) async fn enclose(
    launcher: &Path,
    mut command: Command,
    rules: &BoxRules,
    tier: Tier,
) -> Result<Boxed, SandboxError> {
    let failed = |error: std::io::Error| SandboxError(error.to_string());
    let mut gate: Option<Box<dyn Gate>> = None;
    let way_out = match &rules.network {
        Network::None => WayOut::None,
        Network::Gate { hosts, max_bytes } => {
            let mut random = [0; 16];
            getrandom::fill(&mut random).map_err(|e| failed(std::io::Error::other(e)))?;
            let password = format!("{:032x}", u128::from_le_bytes(random));
            let on_port =
                Proxy::on_port(hosts.clone(), *max_bytes, password.clone(), is_outside).await;
            let (proxy, port) = on_port.map_err(failed)?;
            gate = Some(Box::new(proxy));
            WayOut::Port(port, format!("http://kiln:{password}@127.0.0.1:{port}"))
        }
    };
    let readable: Vec<PathBuf> = rules
        .readable
        .iter()
        .map(PathBuf::as_path)
        .chain([launcher])
        .map(real)
        .collect();
    let writable: Vec<PathBuf> = rules.writable.iter().map(|path| real(path)).collect();
    let limits = &rules.limits;
    let orders = Orders::new(
        tier.number(),
        writable,
        readable,
        way_out,
        command.priority,
        limits,
    );
    let profile = profile(&orders)?;
    let scratch = rules.scratch.to_string_lossy().into_owned();
    let replaced = |key: &str| PROXY_VARIABLES.contains(&key) || key == "TMPDIR";
    command.environment.retain(|(key, _)| !replaced(key));
    command.environment.push(("TMPDIR".to_owned(), scratch));
    let text = orders.text().map_err(failed)?;
    command.environment.push((ORDERS.to_owned(), text));
    let words = [
        "-p".to_owned(),
        profile,
        launcher.to_string_lossy().into_owned(),
        VERB.to_owned(),
        command.program.to_string_lossy().into_owned(),
    ];
    command.arguments = words.into_iter().chain(command.arguments).collect();
    command.program = SEATBELT.into();
    Ok(Boxed { command, gate })
}

/// Seatbelt compares paths without links.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Writes the profile: all is denied but what stands here.
fn profile(orders: &Orders) -> Result<String, SandboxError> {
    let place = |path: &Path| {
        let text = path.to_string_lossy();
        // A profile is a program; a path must not end its own string.
        if text.contains(['"', '\\', '\n']) {
            return Err(SandboxError(format!("{text} cannot be part of a profile")));
        }
        Ok(format!("(subpath \"{text}\")"))
    };
    let places = |paths: &[PathBuf]| {
        let all: Result<Vec<String>, _> = paths.iter().map(|p| place(p)).collect();
        all.map(|all| all.join(" "))
    };
    let system: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let devices = DEVICES
        .map(|path| format!("(literal \"{path}\")"))
        .join(" ");
    let mut lines = vec![
        "(version 1)".to_owned(),
        "(deny default)".to_owned(),
        "(allow process-fork process-exec*)".to_owned(),
        "(allow signal process-info* (target same-sandbox))".to_owned(),
        "(allow sysctl-read)".to_owned(),
        "(allow file-read-metadata)".to_owned(),
        "(allow file-read* (literal \"/\"))".to_owned(),
        format!("(allow file-read* file-write* file-ioctl {devices})"),
        format!("(allow file-read* {})", places(&system)?),
    ];
    if !orders.readable.is_empty() {
        lines.push(format!("(allow file-read* {})", places(&orders.readable)?));
    }
    if !orders.writable.is_empty() {
        let all = places(&orders.writable)?;
        lines.push(format!("(allow file-read* file-write* {all})"));
    }
    if let WayOut::Port(port, _) = orders.way_out {
        lines.push(format!(
            "(allow network-outbound (remote ip \"localhost:{port}\"))"
        ));
    }
    Ok(lines.join("\n"))
}

/// Sets limits and runs the program; returns why that failed. Seatbelt holds already.
pub(super) fn launch(orders: &str) -> String {
    let orders = match Orders::read(orders) {
        Ok(orders) => orders,
        Err(why) => return why,
    };
    let limits = [
        (Resource::Core, 0),
        (Resource::Nofile, orders.open_files.into()),
        (Resource::Fsize, orders.file_bytes),
    ];
    for (resource, wanted) in limits {
        let most = getrlimit(resource).maximum;
        let value = Some(most.map_or(wanted, |most| most.min(wanted)));
        let limit = Rlimit {
            current: value,
            maximum: value,
        };
        if let Err(error) = setrlimit(resource, limit) {
            return format!("a limit cannot be set: {error}");
        }
    }
    run_program(orders.way_out, None)
}

/// Returns the memory of this machine in bytes.
pub(crate) fn memory_bytes() -> Option<u64> {
    let mut program = Program::new("/usr/sbin/sysctl");
    program.args(["-n", "hw.memsize"]).stdin(Stdio::null());
    let said = program.output().ok()?.stdout;
    String::from_utf8(said).ok()?.trim().parse().ok()
}

/// Returns a number that stands for a running process, if it can be seen.
pub(super) fn started(pid: u32) -> Option<u64> {
    let mut program = Program::new("/bin/ps");
    program
        .args(["-p", &pid.to_string(), "-o", "pid="])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let said = program.output().ok()?.stdout;
    String::from_utf8(said).ok()?.trim().parse().ok()
}

/// Attempts that only this system knows; true for one that got through.
pub(super) fn breaks_out(pid: u32, _: u8) -> Vec<(&'static str, bool)> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let reached = pid.is_some_and(|pid| test_kill_process(pid).is_ok());
    vec![("signal a program outside", reached)]
}
