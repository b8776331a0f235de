//! Linux: tier 3 is a bubblewrap box (namespaces of its own) with Landlock and seccomp inside,
//! tier 2 is Landlock and seccomp alone, where namespaces are refused.
mod filter;
mod paths;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kiln_model::Tier;
use kiln_ports::process::Command;
use kiln_ports::sandbox::{BoxRules, Boxed, Gate, Network, SandboxError};
use rustix::process::{Resource, Rlimit, getrlimit, getuid, setpriority_process, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

use super::gate::{Proxy, is_outside};
pub(super) use super::launcher::surroundings;
use super::launcher::{PROXY_VARIABLES, run_program};
pub(super) use super::local_socket::LocalSocket;
use super::orders::{ORDERS, Orders, VERB, WayOut};
use crate::process::{goes_first, lower_session};

/// Tiers that can be made here, best first.
pub(super) const TIERS: [Tier; 2] = [Tier::Boxed, Tier::Confined];

/// Said when no tier held.
pub(super) const NOTHING_BETTER: Option<&str> =
    Some("Linux 6.12 or the package bubblewrap makes boxes possible.");

/// Where the launcher and the gate are inside a tier 3 box.
const LAUNCHER: &str = "/run/kiln/launcher";
const GATE: &str = "/run/kiln/gate";

/// Lists of the kernel that no namespace divides: names of keys, and how many each user has.
const KEYS: [&str; 2] = ["/proc/keys", "/proc/key-users"];

/// Size of the shared memory of a tier 3 box, in bytes.
const SHARED_MEMORY: u32 = 64 << 20;

/// What every program of a Linux system needs to read: programs and libraries, how they are found,
/// certificates, names of users, the clock. Not the whole of `/etc`: it may hold secrets that are
/// readable for everybody.
const SYSTEM: [&str; 33] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/services",
    // Not what lies beside them: private keys.
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/sys/devices/system/cpu",
];

/// Says what holds builds at a tier.
pub(super) fn holds(tier: Tier) -> String {
    match tier {
        Tier::Boxed => "Builds for others run in a bubblewrap box with files, processes and a \
                        network of their own."
            .to_owned(),
        Tier::Confined => "Landlock and seccomp keep builds for others from files, programs and \
                           networks of this computer."
            .to_owned(),
        Tier::Open | Tier::Hindered => String::new(),
    }
}

/// Wraps a command into a launcher of this tier.
pub(super) async fn enclose(
    launcher: &Path,
    mut command: Command,
    rules: &BoxRules,
    tier: Tier,
) -> Result<Boxed, SandboxError> {
    let failed = |error: std::io::Error| SandboxError(error.to_string());
    let mut gate: Option<Box<dyn Gate>> = None;
    let mut socket = None;
    let way_out = match (&rules.network, tier) {
        (Network::None, _) => WayOut::None,
        (Network::Gate { hosts, max_bytes }, Tier::Boxed) => {
            let (proxy, path) =
                Proxy::on_socket(hosts.clone(), *max_bytes, is_outside).map_err(failed)?;
            gate = Some(Box::new(proxy));
            socket = Some(path);
            WayOut::Socket(GATE.into())
        }
        (Network::Gate { hosts, max_bytes }, Tier::Open | Tier::Hindered | Tier::Confined) => {
            let password = password().map_err(failed)?;
            let on_port =
                Proxy::on_port(hosts.clone(), *max_bytes, password.clone(), is_outside).await;
            let (proxy, port) = on_port.map_err(failed)?;
            gate = Some(Box::new(proxy));
            WayOut::Port(port, format!("http://kiln:{password}@127.0.0.1:{port}"))
        }
    };
    let system = SYSTEM.iter().map(PathBuf::from);
    let readable = outermost(system.chain(rules.readable.iter().cloned()).collect());
    let (writable, limits) = (rules.writable.clone(), &rules.limits);
    let orders = Orders::new(
        tier.number(),
        writable,
        readable,
        way_out,
        command.priority,
        limits,
    );
    let scratch = rules.scratch.to_string_lossy().into_owned();
    let replaced = |key: &str| PROXY_VARIABLES.contains(&key) || key == "TMPDIR";
    command.environment.retain(|(key, _)| !replaced(key));
    command.environment.push(("TMPDIR".to_owned(), scratch));
    let text = orders.text().map_err(failed)?;
    command.environment.push((ORDERS.to_owned(), text));
    let program = command.program.to_string_lossy().into_owned();
    let inner = [VERB.to_owned(), program]
        .into_iter()
        .chain(std::mem::take(&mut command.arguments));
    match tier {
        Tier::Boxed => {
            let bubblewrap =
                bubblewrap().ok_or_else(|| SandboxError("the program bwrap is gone".to_owned()))?;
            let outer = namespaces(launcher, &command, rules, &orders, socket.as_deref());
            command.arguments = outer.into_iter().chain(inner).collect();
            command.program = bubblewrap;
        }
        Tier::Open | Tier::Hindered | Tier::Confined => {
            command.arguments = inner.collect();
            command.program = launcher.to_owned();
        }
    }
    Ok(Boxed { command, gate })
}

/// Returns the paths that exist, without those that lie in another: they come with it, and a link
/// in a folder cannot be mounted over.
fn outermost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.retain(|path| path.exists());
    paths.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

/// The arguments of bubblewrap, up to and with the launcher.
///
/// Each namespace is named: `--unshare-all` goes on when one cannot be made. The environment needs
/// no `--clearenv`: a command has exactly the one that it was given, and on a command line every
/// user of this computer could read it.
fn namespaces(
    launcher: &Path,
    command: &Command,
    rules: &BoxRules,
    orders: &Orders,
    socket: Option<&Path>,
) -> Vec<String> {
    let mut words: Vec<String> = [
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-net",
        "--unshare-cgroup",
        "--disable-userns",
        "--new-session",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
        "--hostname",
        "kiln",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut say = |flag: &str, from: &Path, to: &Path| {
        words.push(flag.to_owned());
        words.push(from.to_string_lossy().into_owned());
        words.push(to.to_string_lossy().into_owned());
    };
    // A device where devices do not work: it cannot be opened.
    for list in KEYS.iter().map(Path::new).filter(|list| list.exists()) {
        say("--ro-bind", Path::new("/dev/null"), list);
    }
    say("--bind", &rules.scratch, Path::new("/tmp"));
    // Parents before what lies in them, and what is writable after what is only read.
    let reads = orders.readable.iter().map(|path| (path, "--ro-bind"));
    let writes = orders.writable.iter().map(|path| (path, "--bind"));
    let mut places: Vec<_> = reads.chain(writes).collect();
    places.sort_by_key(|(path, flag)| ((*path).clone(), *flag == "--bind"));
    for (path, flag) in places {
        say(flag, path, path);
    }
    say("--ro-bind", launcher, Path::new(LAUNCHER));
    if let Some(socket) = socket {
        say("--ro-bind", socket, Path::new(GATE));
    }
    let size = SHARED_MEMORY.to_string();
    let directory = command.directory.to_string_lossy();
    words.extend(
        [
            "--size",
            size.as_str(),
            "--tmpfs",
            "/dev/shm",
            "--remount-ro",
            "/",
            "--chdir",
            directory.as_ref(),
            "--",
            LAUNCHER,
        ]
        .map(str::to_owned),
    );
    words
}

/// Returns where bubblewrap is.
fn bubblewrap() -> Option<PathBuf> {
    let places = ["/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap"];
    let nix = "/run/current-system/sw/bin/bwrap";
    let all = places.into_iter().chain([nix]);
    all.map(PathBuf::from).find(|place| place.is_file())
}

fn password() -> std::io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    Ok(format!("{:032x}", u128::from_le_bytes(random)))
}

/// Gives up everything and runs the program; returns why that failed.
pub(super) fn launch(orders: &str) -> String {
    match confine(orders) {
        Ok((way_out, forwarder)) => run_program(way_out, forwarder),
        Err(why) => why,
    }
}

fn confine(orders: &str) -> Result<(WayOut, Option<TcpListener>), String> {
    let orders = Orders::read(orders)?;
    let tier = Tier::from_number(orders.tier).ok_or("no such tier")?;
    // From inside, so that no program of the box starts before it counts. Best effort, as ever.
    let _ = setpriority_process(None, orders.nice);
    goes_first("self");
    if tier == Tier::Boxed && orders.nice > 0 {
        // The session is the box's own here, so that nobody else is slowed down.
        lower_session("self", orders.nice);
    }
    limit(&orders, tier)?;
    drop_privileges()?;
    paths::restrict(&orders, tier)?;
    let forwarder = match &orders.way_out {
        // The loopback port of the box that its programs use as their proxy.
        WayOut::Socket(_) => Some(
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("no loopback: {e}"))?,
        ),
        WayOut::Port(..) | WayOut::None => None,
    };
    filter::restrict(tier)?;
    Ok((orders.way_out, forwarder))
}

/// Sets what the kernel enforces per process. Lower limits that are there already stay.
fn limit(orders: &Orders, tier: Tier) -> Result<(), String> {
    let memory = memory_bytes().map(|all| all / 100 * u64::from(orders.memory_percent));
    let processes = u64::from(orders.processes)
        + match tier {
            // The count is that of the user namespace, which is the box's own.
            Tier::Boxed => 0,
            // The count is that of the whole user.
            Tier::Open | Tier::Hindered | Tier::Confined => threads_of_this_user(),
        };
    let limits = [
        (Resource::Core, Some(0)),
        (Resource::Nofile, Some(orders.open_files.into())),
        (Resource::Fsize, Some(orders.file_bytes)),
        (Resource::Nproc, Some(processes)),
        (Resource::Data, memory),
        (Resource::Memlock, Some(64 * 1024)),
        (Resource::Msgqueue, Some(0)),
    ];
    for (resource, wanted) in limits {
        let Some(wanted) = wanted else { continue };
        let most = getrlimit(resource).maximum;
        let value = Some(most.map_or(wanted, |most| most.min(wanted)));
        let limit = Rlimit {
            current: value,
            maximum: value,
        };
        setrlimit(resource, limit).map_err(|e| format!("a limit cannot be set: {e}"))?;
    }
    Ok(())
}

/// Returns the memory of this machine in bytes, as `/proc/meminfo` says.
pub(crate) fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Counts the threads that already run under this user.
fn threads_of_this_user() -> u64 {
    let me = getuid().as_raw();
    let threads = |entry: fs::DirEntry| {
        let own = entry.metadata().ok()?.uid() == me;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("Threads:"))?;
        let count: u64 = line.trim().parse().ok()?;
        own.then_some(count)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(threads).sum()
}

/// Gives up all capabilities for good, also those that a later program of root would get back, and
/// reads back that they are gone.
fn drop_privileges() -> Result<(), String> {
    for capability in CapabilitySet::all().iter() {
        // Without privileges there is nothing to take away; what counts is read back below.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    let failed = |error| format!("privileges cannot be given up: {error}");
    set_capabilities(None, none).map_err(failed)?;
    set_no_new_privs(true).map_err(failed)?;
    match capabilities(None).map_err(failed)? {
        left if left == none => Ok(()),
        _ => Err("privileges are left".to_owned()),
    }
}

/// Returns when a process started, in ticks since the machine did: with its number, what no other
/// process has.
pub(super) fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// Attempts that only this system knows; true for one that got through.
pub(super) fn breaks_out(pid: u32, tier: u8) -> Vec<(&'static str, bool)> {
    let mut all = filter::attempts();
    // In a process namespace of its own the number is somebody else's.
    let shared = tier != Tier::Boxed.number();
    all.push((
        "signal a program outside",
        shared && filter::can_signal(pid),
    ));
    let readable = KEYS.iter().any(|list| fs::read(list).is_ok());
    all.push(("read the names of keys", readable));
    all
}
