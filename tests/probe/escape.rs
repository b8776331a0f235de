//! Everything that a program in a box must not be able to do, each as a real attempt. Says of each
//! `got out NAME` or `held NAME (why)`; outside a box the same attempts are the control.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "the attempts are bare system calls")]
use std::fs;
use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// What an attempt came to.
type Outcome = Result<(), Error>;

struct Attempts {
    results: Vec<(String, Outcome)>,
}

impl Attempts {
    fn add(&mut self, name: impl Into<String>, outcome: Outcome) {
        self.results.push((name.into(), outcome));
    }

    /// A call with arguments that do nothing: whoever may make it gets another error than "not
    /// permitted".
    fn call(&mut self, name: &str, number: libc::c_long, arguments: [libc::c_long; 5]) {
        let [a, b, c, d, e] = arguments;
        // SAFETY: numbers, null and invalid addresses only; the kernel checks them.
        let result = unsafe { libc::syscall(number, a, b, c, d, e) };
        let outcome = match (result, Error::last_os_error()) {
            (-1, error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
                Err(error)
            }
            _ => Ok(()),
        };
        self.add(format!("call {name}"), outcome);
    }
}

/// Makes all attempts on what `targets` names.
pub(crate) fn run(targets: &str) {
    let targets: Value = serde_json::from_str(targets).unwrap_or_default();
    let text = |key: &str| targets[key].as_str().unwrap_or_default().to_owned();
    let paths = |key: &str| -> Vec<PathBuf> {
        let list = targets[key].as_array().cloned().unwrap_or_default();
        list.iter()
            .filter_map(|p| p.as_str().map(PathBuf::from))
            .collect()
    };
    let number = |key: &str| targets[key].as_i64().unwrap_or_default();
    let own = PathBuf::from(text("own"));
    let mut attempts = Attempts {
        results: Vec::new(),
    };
    // As root the others would change the system they are the control for.
    if text("only") != "calls" {
        files(&mut attempts, &paths("files"), &own);
        folders(&mut attempts, &paths("folders"));
        system(&mut attempts);
        network(&mut attempts, &targets);
        sockets(&mut attempts, &paths("sockets"), &text("abstract"));
        processes(&mut attempts, number("pid"), &text("mark"));
    }
    calls(&mut attempts, number("pid"));
    let mut out = std::io::stdout().lock();
    for (name, outcome) in attempts.results {
        let _ = match outcome {
            Ok(()) => writeln!(out, "got out {name}"),
            Err(why) => writeln!(out, "held {name} ({why})"),
        };
    }
    let _ = writeln!(out, "done");
}

/// Files of the owner and of other senders: read, changed, moved, linked.
fn files(attempts: &mut Attempts, files: &[PathBuf], own: &Path) {
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        attempts.add(format!("read {name}"), fs::read(file).map(drop));
        let append = fs::OpenOptions::new().append(true).open(file);
        attempts.add(format!("append to {name}"), append.map(drop));
    }
    let Some(file) = files.first() else { return };
    attempts.add("link a file", fs::hard_link(file, own.join("linked")));
    let way = own.join("way");
    let _ = symlink(file, &way);
    attempts.add("read over a link", fs::read(&way).map(drop));
    let up = own
        .join("../".repeat(20))
        .join(file.strip_prefix("/").unwrap_or(file));
    attempts.add("read over parents", fs::read(up).map(drop));
    let through = format!("/proc/self/root{}", file.display());
    attempts.add("read over /proc/self/root", fs::read(through).map(drop));
    attempts.add("copy a file", fs::copy(file, own.join("copied")).map(drop));
    let truncate = fs::OpenOptions::new().write(true).open(file);
    attempts.add("truncate a file", truncate.and_then(|f| f.set_len(0)));
    if let [.., last] = files {
        attempts.add("move a file", fs::rename(last, own.join("moved")));
        let other = files.get(files.len().saturating_sub(2)).unwrap_or(last);
        attempts.add("delete a file", fs::remove_file(other));
    }
}

/// Folders of the owner and of other senders, and places where programs meet.
fn folders(attempts: &mut Attempts, folders: &[PathBuf]) {
    for folder in folders {
        let name = folder.display();
        attempts.add(format!("list {name}"), fs::read_dir(folder).map(drop));
        let made = folder.join("kiln-escaped");
        attempts.add(format!("write into {name}"), escaped(&made));
        attempts.add(
            format!("make a folder in {name}"),
            fs::create_dir(folder.join("kiln-made")),
        );
        let link = symlink("/etc/passwd", folder.join("kiln-linked"));
        attempts.add(format!("link into {name}"), link);
    }
}

fn escaped(path: &Path) -> Outcome {
    fs::write(path, "out")
}

/// The system: what nobody may read, nobody may write, and devices.
fn system(attempts: &mut Attempts) {
    for path in [
        "/etc/shadow",
        "/etc/hosts",
        "/etc/fstab",
        "/etc/machine-id",
        "/proc/kcore",
        "/proc/keys",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/fuse",
        "/dev/kvm",
        "/dev/net/tun",
    ] {
        let mut byte = [0];
        let read = fs::File::open(path).and_then(|mut file| file.read(&mut byte));
        attempts.add(format!("read {path}"), read.map(drop));
    }
    for path in [
        "/etc", "/home", "/root", "/var", "/var/log", "/run", "/sys", "/boot", "/mnt",
    ] {
        // An empty folder that only leads to one of the box's own tells nothing.
        let list = fs::read_dir(path).and_then(|mut entries| match (path, entries.next()) {
            ("/etc" | "/sys" | "/run" | "/root" | "/home" | "/var", _) if in_own_root() => {
                Err(ErrorKind::NotFound.into())
            }
            (_, Some(_)) => Ok(()),
            (_, None) => Err(ErrorKind::NotFound.into()),
        });
        attempts.add(format!("list {path}"), list);
    }
    for path in [
        "/etc/kiln-escaped",
        "/usr/kiln-escaped",
        "/usr/bin/kiln-escaped",
        "/var/tmp/kiln-escaped",
        "/kiln-escaped",
        "/dev/kiln-escaped",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/self/autogroup",
        "/proc/self/oom_score_adj",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/fs/cgroup/kiln-escaped",
    ] {
        let open = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        attempts.add(format!("write {path}"), open.map(drop));
    }
}

/// Whether the root is one that was made for a box: then what is listed in it is the box's own.
fn in_own_root() -> bool {
    fs::metadata("/run/kiln/launcher").is_ok()
}

fn network(attempts: &mut Attempts, targets: &Value) {
    let addresses = |key: &str| -> Vec<SocketAddr> {
        let list = targets[key].as_array().cloned().unwrap_or_default();
        list.iter()
            .filter_map(|a| a.as_str()?.parse().ok())
            .collect()
    };
    for address in addresses("tcp") {
        let connected = TcpStream::connect_timeout(&address, Duration::from_secs(2));
        attempts.add(format!("connect to {address}"), connected.map(drop));
    }
    for address in addresses("udp") {
        let ask = || {
            let bind = if address.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let socket = UdpSocket::bind(bind)?;
            socket.set_read_timeout(Some(Duration::from_millis(300)))?;
            socket.send_to(b"ping", address)?;
            // Who listens there answers: a datagram that nobody got is none that got out.
            socket.recv(&mut [0; 8]).map(drop)
        };
        attempts.add(format!("ask {address} by datagram"), ask());
    }
    let multicast = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_multicast_loop_v4(true)?;
        socket.send_to(b"ping", "224.0.0.251:5353").map(drop)
    };
    attempts.add("multicast", multicast());
    for (name, family, kind, protocol) in [
        ("netlink", libc::AF_NETLINK, libc::SOCK_RAW, 0),
        ("packet", libc::AF_PACKET, libc::SOCK_RAW, 0),
        ("raw IP", libc::AF_INET, libc::SOCK_RAW, 1),
        ("raw IPv6", libc::AF_INET6, libc::SOCK_RAW, 58),
        ("vsock", libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        ("alg", libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        ("bluetooth", libc::AF_BLUETOOTH, libc::SOCK_RAW, 0),
        ("CAN", libc::AF_CAN, libc::SOCK_RAW, 1),
        ("key", libc::AF_KEY, libc::SOCK_RAW, 2),
        ("XDP", libc::AF_XDP, libc::SOCK_RAW, 0),
        ("TIPC", libc::AF_TIPC, libc::SOCK_STREAM, 0),
        ("RDS", libc::AF_RDS, libc::SOCK_SEQPACKET, 0),
    ] {
        // SAFETY: three numbers.
        let socket = unsafe { libc::socket(family, kind, protocol) };
        let outcome = match socket {
            -1 => Err(Error::last_os_error()),
            _ => Ok(()),
        };
        attempts.add(format!("open a {name} socket"), outcome);
    }
}

/// Sockets of the owner's session: message bus, display, keyring, containers.
fn sockets(attempts: &mut Attempts, sockets: &[PathBuf], hidden: &str) {
    for socket in sockets {
        let name = socket.file_name().unwrap_or_default().to_string_lossy();
        attempts.add(
            format!("connect to {name}"),
            UnixStream::connect(socket).map(drop),
        );
    }
    let by_name = || {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(hidden)?;
        UnixStream::connect_addr(&address).map(drop)
    };
    attempts.add("connect to an abstract socket", by_name());
    if let Some(socket) = sockets.first() {
        let datagram = UnixDatagram::unbound().and_then(|s| s.connect(socket));
        // The listener is a stream: whoever gets as far as being told so got out.
        let outcome = match datagram {
            Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => Ok(()),
            other => other,
        };
        attempts.add("reach a local socket by datagram", outcome);
    }
}

/// Whether a file can be read and holds a text.
fn says(path: &str, text: &str) -> Outcome {
    let bytes = fs::read(path)?;
    let found = bytes
        .windows(text.len().max(1))
        .any(|w| w == text.as_bytes());
    if found {
        Ok(())
    } else {
        Err(ErrorKind::NotFound.into())
    }
}

/// A program of the owner's.
fn processes(attempts: &mut Attempts, pid: i64, mark: &str) {
    // In the program's own words: the attempts themselves are told of the mark, too.
    let words = format!(": {mark}; while");
    attempts.add(
        "read environ of a program outside",
        says(&format!("/proc/{pid}/environ"), mark),
    );
    attempts.add(
        "read cmdline of a program outside",
        says(&format!("/proc/{pid}/cmdline"), &words),
    );
    let entries = fs::read_dir("/proc").map(|e| e.flatten().collect::<Vec<_>>());
    let others = entries.and_then(|entries| {
        let mut lines = entries
            .iter()
            .map(|e| e.path().join("cmdline").display().to_string());
        let seen = lines.any(|path| says(&path, &words).is_ok());
        if seen {
            Ok(())
        } else {
            Err(ErrorKind::NotFound.into())
        }
    });
    attempts.add("find a program outside", others);
    for file in ["mem", "maps", "fd/0", "cwd/.", "root/etc/fstab"] {
        let open = fs::File::open(format!("/proc/{pid}/{file}"));
        attempts.add(format!("open {file} of a program outside"), open.map(drop));
    }
    // Signal 0 asks whether a signal could be sent; in a box of processes the number is nobody's.
    // SAFETY: two numbers.
    let outcome = match unsafe { libc::kill(pid as libc::pid_t, 0) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    };
    attempts.add("signal a program outside", outcome);
    // SAFETY: three numbers.
    let outcome = match unsafe { libc::setpriority(libc::PRIO_PROCESS, pid as libc::id_t, 19) } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    };
    attempts.add("slow a program outside down", outcome);
    let none = std::ptr::null_mut();
    let most = libc::rlimit {
        rlim_cur: 1 << 20,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the limit lives until the call returns.
    let outcome = match unsafe {
        libc::prlimit(pid as libc::pid_t, libc::RLIMIT_CORE, &raw const most, none)
    } {
        0 => Ok(()),
        _ => Err(Error::last_os_error()),
    };
    attempts.add("limit a program outside", outcome);
}

/// Calls of the kernel that no build needs.
fn calls(attempts: &mut Attempts, pid: i64) {
    /// An address that is nobody's.
    const BAD: libc::c_long = 1;
    for (name, number, arguments) in [
        ("acct", libc::SYS_acct, [BAD, 0, 0, 0, 0]),
        ("add_key", libc::SYS_add_key, [BAD, BAD, 0, 0, 0]),
        ("adjtimex", libc::SYS_adjtimex, [BAD, 0, 0, 0, 0]),
        ("bpf", libc::SYS_bpf, [-1, BAD, 8, 0, 0]),
        ("chroot", libc::SYS_chroot, [BAD, 0, 0, 0, 0]),
        ("clock_adjtime", libc::SYS_clock_adjtime, [0, BAD, 0, 0, 0]),
        ("clock_settime", libc::SYS_clock_settime, [0, BAD, 0, 0, 0]),
        ("delete_module", libc::SYS_delete_module, [BAD, 0, 0, 0, 0]),
        ("fanotify_init", libc::SYS_fanotify_init, [-1, 0, 0, 0, 0]),
        ("finit_module", libc::SYS_finit_module, [-1, BAD, 0, 0, 0]),
        ("fsconfig", libc::SYS_fsconfig, [-1, 0, 0, 0, 0]),
        ("fsmount", libc::SYS_fsmount, [-1, 0, 0, 0, 0]),
        ("fsopen", libc::SYS_fsopen, [BAD, 0, 0, 0, 0]),
        ("fspick", libc::SYS_fspick, [-1, BAD, 0, 0, 0]),
        ("init_module", libc::SYS_init_module, [BAD, 0, BAD, 0, 0]),
        (
            "io_uring_setup",
            libc::SYS_io_uring_setup,
            [1, BAD, 0, 0, 0],
        ),
        ("io_uring_enter", libc::SYS_io_uring_enter, [-1, 0, 0, 0, 0]),
        (
            "io_uring_register",
            libc::SYS_io_uring_register,
            [-1, 0, 0, 0, 0],
        ),
        // No class, of nobody's kind; and no cores at all.
        ("ioprio_set", libc::SYS_ioprio_set, [0, 0, 0, 0, 0]),
        // With flags that there are none of; and watching nothing.
        ("inotify_init1", libc::SYS_inotify_init1, [-1, 0, 0, 0, 0]),
        (
            "inotify_add_watch",
            libc::SYS_inotify_add_watch,
            [-1, BAD, 0, 0, 0],
        ),
        ("kcmp", libc::SYS_kcmp, [pid, pid, 0, 0, 0]),
        ("kexec_load", libc::SYS_kexec_load, [0, 100, 0, 0, 0]),
        (
            "kexec_file_load",
            libc::SYS_kexec_file_load,
            [-1, -1, 0, 0, 0],
        ),
        ("keyctl", libc::SYS_keyctl, [0, -3, 0, 0, 0]),
        ("memfd_create", libc::SYS_memfd_create, [BAD, 0, 0, 0, 0]),
        ("migrate_pages", libc::SYS_migrate_pages, [0, -1, 0, 0, 0]),
        ("mount", libc::SYS_mount, [BAD, BAD, BAD, 0, 0]),
        (
            "mount_setattr",
            libc::SYS_mount_setattr,
            [-1, BAD, 0, BAD, 0],
        ),
        ("move_mount", libc::SYS_move_mount, [-1, BAD, -1, BAD, 0]),
        ("mq_open", libc::SYS_mq_open, [BAD, 0, 0, 0, 0]),
        ("msgget", libc::SYS_msgget, [0, 0, 0, 0, 0]),
        (
            "name_to_handle_at",
            libc::SYS_name_to_handle_at,
            [-1, BAD, BAD, BAD, 0],
        ),
        (
            "open_by_handle_at",
            libc::SYS_open_by_handle_at,
            [-1, BAD, 0, 0, 0],
        ),
        ("open_tree", libc::SYS_open_tree, [-1, BAD, 0, 0, 0]),
        (
            "perf_event_open",
            libc::SYS_perf_event_open,
            [BAD, 0, -1, -1, 0],
        ),
        ("pidfd_getfd", libc::SYS_pidfd_getfd, [-1, 0, 0, 0, 0]),
        ("pivot_root", libc::SYS_pivot_root, [BAD, BAD, 0, 0, 0]),
        (
            "process_madvise",
            libc::SYS_process_madvise,
            [-1, BAD, 0, 0, 0],
        ),
        (
            "process_vm_readv",
            libc::SYS_process_vm_readv,
            [pid, BAD, 1, BAD, 1],
        ),
        (
            "process_vm_writev",
            libc::SYS_process_vm_writev,
            [pid, BAD, 1, BAD, 1],
        ),
        ("ptrace", libc::SYS_ptrace, [0x4206, pid, 0, 0, 0]),
        ("quotactl", libc::SYS_quotactl, [-1, BAD, 0, 0, 0]),
        ("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0]),
        ("request_key", libc::SYS_request_key, [BAD, BAD, 0, 0, 0]),
        (
            "sched_setaffinity",
            libc::SYS_sched_setaffinity,
            [0, 8, BAD, 0, 0],
        ),
        ("semget", libc::SYS_semget, [0, 0, 0, 0, 0]),
        (
            "setdomainname",
            libc::SYS_setdomainname,
            [BAD, 1 << 20, 0, 0, 0],
        ),
        (
            "sethostname",
            libc::SYS_sethostname,
            [BAD, 1 << 20, 0, 0, 0],
        ),
        ("setns", libc::SYS_setns, [-1, 0, 0, 0, 0]),
        ("settimeofday", libc::SYS_settimeofday, [BAD, 0, 0, 0, 0]),
        ("shmget", libc::SYS_shmget, [0, 0, 0, 0, 0]),
        ("shmat", libc::SYS_shmat, [-1, 0, 0, 0, 0]),
        ("swapon", libc::SYS_swapon, [BAD, 0, 0, 0, 0]),
        ("swapoff", libc::SYS_swapoff, [BAD, 0, 0, 0, 0]),
        ("syslog", libc::SYS_syslog, [3, BAD, -1, 0, 0]),
        ("umount2", libc::SYS_umount2, [BAD, 0, 0, 0, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [-1, 0, 0, 0, 0]),
        ("vmsplice", libc::SYS_vmsplice, [-1, BAD, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [BAD, 0, 0, 0, 0]),
        ("an unknown one", 480, [0; 5]),
        (
            "unshare a namespace",
            libc::SYS_unshare,
            [0x1000_0000, 0, 0, 0, 0],
        ),
    ] {
        attempts.call(name, number, arguments);
    }
    // Input into a terminal: outside it fails for want of one.
    attempts.call("TIOCSTI", libc::SYS_ioctl, [-1, 0x5412, BAD, 0, 0]);
}
