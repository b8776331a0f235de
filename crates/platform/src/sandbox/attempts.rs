//! [`try_everything`]: a tier is what it denies: each of these is tried from inside a real box,
//! after it was made sure that it works outside.
use std::fs;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};

use kiln_model::Tier;
use serde::{Deserialize, Serialize};

use super::os;

/// What is tried, for the program inside.
#[derive(Debug, Serialize, Deserialize)]
struct Targets {
    tier: u8,
    /// A file of the owner.
    file: PathBuf,
    /// A folder in which the owner can write.
    folder: PathBuf,
    /// Listening ports of this computer, and a socket in the file system.
    tcp: u16,
    udp: u16,
    socket: PathBuf,
    /// Kiln itself: its number and when it started.
    pid: u32,
    started: u64,
    /// A folder in which the box may write.
    own: PathBuf,
}

/// What the program inside says of an attempt.
const HELD: &str = "held";
const GOT_OUT: &str = "got out";

/// Last line of a run that got to its end.
const DONE: &str = "done";

pub(super) use outside::try_everything;

/// The side that knows what must not be reached.
mod outside {
    use std::io;
    use std::net::TcpListener;
    use std::process::Stdio;
    use std::time::Duration;

    use kiln_ports::process::{Command, Priority};
    use kiln_ports::sandbox::{BoxRules, Network, ProcessLimits};

    use super::*;
    use crate::sandbox::orders::TRY_VERB;

    /// Time for all attempts; they take some milliseconds, on a busy computer seconds.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Limits under which the attempts run.
    const LIMITS: ProcessLimits = ProcessLimits {
        processes: 64,
        open_files: 256,
        file_bytes: 1 << 20,
        memory_percent: 50,
    };

    /// Tries everything from inside a box of this tier; says what went wrong.
    pub(in crate::sandbox) async fn try_everything(
        launcher: &Path,
        folder: &Path,
        tier: Tier,
    ) -> Result<(), String> {
        let failed = |error: io::Error| format!("it cannot be tried: {error}");
        std::fs::create_dir_all(folder).map_err(failed)?;
        let place = tempfile::Builder::new()
            .prefix("try-")
            .tempdir_in(folder)
            .map_err(failed)?;
        let (outside, inside) = (place.path().join("outside"), place.path().join("inside"));
        for folder in [&outside, &inside] {
            std::fs::create_dir(folder).map_err(failed)?;
        }
        let file = outside.join("file");
        std::fs::write(&file, "the owner's").map_err(failed)?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        udp.set_nonblocking(true).map_err(failed)?;
        let (local, socket) = os::LocalSocket::listen().map_err(failed)?;
        let pid = std::process::id();
        let targets = Targets {
            tier: tier.number(),
            file,
            folder: outside.clone(),
            tcp: tcp.local_addr().map_err(failed)?.port(),
            udp: udp.local_addr().map_err(failed)?.port(),
            socket,
            pid,
            started: os::started(pid).unwrap_or_default(),
            own: inside.clone(),
        };
        // Without a box all of it works, or it would prove nothing.
        let open = super::inside(&targets);
        if let Some(attempt) = open.iter().find(|attempt| !attempt.got_out) {
            let what = attempt.what;
            return Err(format!("this computer does not let anybody {what}"));
        }
        std::fs::remove_file(outside.join("made")).map_err(failed)?;
        while udp.recv(&mut [0; 8]).is_ok() {}
        let said = run(launcher, &targets, &inside, tier).await?;
        drop((tcp, local));
        let mut lines = said.lines();
        if lines.next_back() != Some(DONE) {
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            return Err(last
                .unwrap_or("the box does not run programs")
                .trim_end_matches('.')
                .to_owned());
        }
        if let Some(what) = lines.find_map(|line| line.strip_prefix(GOT_OUT)) {
            return Err(format!("a program in the box could {}", what.trim()));
        }
        if tier >= Tier::Confined && udp.recv(&mut [0; 8]).is_ok() {
            return Err("a datagram came out of the box".to_owned());
        }
        if outside.join("made").exists() {
            return Err("a program in the box wrote outside".to_owned());
        }
        Ok(())
    }

    /// Runs the attempts in a box; returns what they said.
    async fn run(
        launcher: &Path,
        targets: &Targets,
        inside: &Path,
        tier: Tier,
    ) -> Result<String, String> {
        let orders = serde_json::to_string(targets).map_err(|e| e.to_string())?;
        let command = Command {
            program: launcher.to_owned(),
            arguments: vec![TRY_VERB.to_owned(), orders],
            environment: os::surroundings(),
            directory: inside.to_owned(),
            priority: Priority::Normal,
        };
        let rules = BoxRules {
            writable: vec![inside.to_owned()],
            readable: vec![launcher.to_owned()],
            scratch: inside.to_owned(),
            network: Network::None,
            limits: LIMITS,
        };
        let boxed = os::enclose(launcher, command, &rules, tier).await;
        let command = boxed.map_err(|e| e.0)?.command;
        let running = tokio::process::Command::new(&command.program)
            .args(&command.arguments)
            .env_clear()
            .envs(command.environment)
            .current_dir(&command.directory)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(output)) => {
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let errors = String::from_utf8_lossy(&output.stderr);
                Ok(if said.trim_end().ends_with(DONE) {
                    said
                } else {
                    said + &errors
                })
            }
            Ok(Err(error)) => Err(format!("{}: {error}", command.program.display())),
            Err(_) => Err("the box does not answer".to_owned()),
        }
    }
}

/// The program inside: tries everything and says what became of it.
pub(super) fn run(targets: &str) {
    use std::io::Write as _;

    let mut out = std::io::stdout().lock();
    let Ok(targets) = serde_json::from_str::<Targets>(targets) else {
        return;
    };
    let denied = inside(&targets)
        .into_iter()
        .filter(|attempt| targets.tier >= attempt.denied_from.number())
        .map(|attempt| (attempt.what, attempt.got_out));
    let breaks = os::breaks_out(targets.pid, targets.tier);
    let own = fs::write(targets.own.join("mine"), "x").is_err();
    let own = [("not even write its own folder", own)];
    for (what, got_out) in denied.chain(breaks).chain(own) {
        let word = if got_out { GOT_OUT } else { HELD };
        // Nobody listens any more: then nothing was proved.
        let _ = writeln!(out, "{word} {what}");
    }
    let _ = writeln!(out, "{DONE}");
}

/// Something that was tried.
struct Attempt {
    what: &'static str,
    /// Boxes of this tier and better deny it.
    denied_from: Tier,
    got_out: bool,
}

/// Tries what every program may do outside a box.
fn inside(targets: &Targets) -> Vec<Attempt> {
    let loopback = |port| (Ipv4Addr::LOCALHOST, port);
    let datagram = || {
        let socket = UdpSocket::bind(loopback(0))?;
        socket.send_to(b"out", loopback(targets.udp))
    };
    // Whether it arrived is seen by who was to receive it.
    let _ = datagram();
    let attempt = |denied_from, what, got_out| Attempt {
        what,
        denied_from,
        got_out,
    };
    vec![
        attempt(
            Tier::Confined,
            "read a file of the owner",
            fs::read(&targets.file).is_ok(),
        ),
        attempt(
            Tier::Confined,
            "list a folder of the owner",
            fs::read_dir(&targets.folder).is_ok(),
        ),
        attempt(
            Tier::Hindered,
            "write into a folder of the owner",
            fs::write(targets.folder.join("made"), "x").is_ok(),
        ),
        attempt(
            Tier::Confined,
            "connect to a program of this computer",
            TcpStream::connect(loopback(targets.tcp)).is_ok(),
        ),
        attempt(
            Tier::Hindered,
            "connect to a local socket",
            os::LocalSocket::reaches(&targets.socket),
        ),
        attempt(
            Tier::Confined,
            "see the other programs",
            os::started(targets.pid) == Some(targets.started),
        ),
    ]
}
