//! Real boxes of this system: what they must deny, and what they must allow.
//!
//! Every attempt is made by the program `probe` inside a box and, as its control, outside.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a test cannot go on")]
#![allow(clippy::print_stdout, reason = "figures are part of the result")]
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kiln_model::{BuildHosts, Tier};
use kiln_platform::{OsProcesses, OsSandbox};
use kiln_ports::process::{Command as Order, Priority};
use kiln_ports::sandbox::{BoxRules, Network, ProcessLimits};
use kiln_ports::{Processes as _, Sandbox as _};
use serde_json::json;

/// The user that nobody is, as which the attempts are made when the tests run as root.
const NOBODY: u32 = 65_534;

/// In the environment and the arguments of the program that must not be found.
const MARK: &str = "kiln-canary-5d1f";

const LIMITS: ProcessLimits = ProcessLimits {
    processes: 64,
    open_files: 256,
    file_bytes: 8 << 20,
    memory_percent: 50,
};

/// What a household keeps in a home, and what Kiln keeps of others.
const FILES: [&str; 16] = [
    "home/.ssh/id_ed25519",
    "home/.gnupg/secring.gpg",
    "home/.local/share/keyrings/login.keyring",
    "home/.aws/credentials",
    "home/.docker/config.json",
    "home/.netrc",
    "home/.git-credentials",
    "home/.bash_history",
    "home/.mozilla/cookies.sqlite",
    "home/esphome/secrets.yaml",
    "kiln/state/kiln.sqlite",
    "kiln/state/secrets/key",
    "kiln/cache/received/other/kitchen/secrets.yaml",
    "kiln/cache/received/other/.esphome/storage.json",
    "kiln/cache/environments/record.json",
    "kiln/logs/job.log",
];

const FOLDERS: [&str; 8] = [
    "home",
    "home/.ssh",
    "home/.config",
    "kiln/state",
    "kiln/cache/received",
    "kiln/cache/received/other",
    "kiln/cache/environments",
    "tmp",
];

/// A computer full of things that a box must not reach.
struct World {
    dir: tempfile::TempDir,
    /// The probe and the proofs: things of whoever runs the tests.
    tools: tempfile::TempDir,
    probe: PathBuf,
    user: Option<u32>,
    victim: Child,
    _listeners: (TcpListener, Vec<UnixListener>),
    targets: serde_json::Value,
}

impl World {
    /// Makes it, owned by `user` if the tests may choose.
    fn new(user: Option<u32>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("kiln-world-")
            .tempdir_in("/var/tmp")
            .expect("a folder");
        let at = |path: &str| dir.path().join(path);
        let own = at("kiln/cache/received/mine");
        for folder in FOLDERS
            .iter()
            .map(|f| at(f))
            .chain([own.join("tree"), at("run")])
        {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        for file in FILES.map(at) {
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            std::fs::write(file, "secret").expect("a file");
        }
        let tools = tempfile::Builder::new()
            .prefix("kiln-tools-")
            .tempdir()
            .expect("a folder");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(tools.path(), open).expect("ours");
        let probe = tools.path().join("probe");
        std::fs::copy(env!("CARGO_BIN_EXE_probe"), &probe).expect("the probe is built");
        let sockets = [
            "bus",
            "keyring",
            "X0",
            "wayland-0",
            "docker.sock",
            "ssh-agent",
        ];
        let sockets: Vec<PathBuf> = sockets.iter().map(|s| at("run").join(s)).collect();
        let mut local: Vec<UnixListener> = sockets
            .iter()
            .map(|path| UnixListener::bind(path).expect("a socket"))
            .collect();
        let hidden = format!("{MARK}{}", dir.path().display());
        let hidden_at = SocketAddr::from_abstract_name(&hidden).expect("a name");
        local.push(UnixListener::bind_addr(&hidden_at).expect("an abstract socket"));
        let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let port = tcp.local_addr().expect("bound").port();
        let udp = echo();
        let outside = kiln_platform::discovery::reachable_address("0.0.0.0");
        let hosts: Vec<String> = ["127.0.0.1", "127.0.0.2"]
            .map(str::to_owned)
            .into_iter()
            .chain(outside.filter(|a| !a.is_loopback()).map(|a| a.to_string()))
            .collect();
        let on =
            |port: u16| -> Vec<String> { hosts.iter().map(|h| format!("{h}:{port}")).collect() };
        for entry in walk(dir.path()) {
            std::fs::set_permissions(&entry, std::fs::Permissions::from_mode(0o700)).expect("ours");
            chown(&entry, user, user).expect("to be given away");
        }
        let mut command = runner(user, Path::new("/bin/sh"));
        // It waits for what nobody writes, by itself: a child of its would outlive it. The comment is
        // what is looked for.
        command.args(["-c", &format!(": {MARK}; read nothing")]);
        command.env("CANARY", MARK);
        let victim = command.stdin(Stdio::piped()).spawn().expect("sh runs");
        let targets = json!({
            "files": FILES.map(at),
            "folders": FOLDERS.map(at),
            "own": own.join("tree"),
            "sockets": sockets,
            "abstract": hidden,
            "tcp": on(port),
            "udp": on(udp),
            "pid": victim.id(),
            "mark": MARK,
        });
        Self {
            probe,
            user,
            victim,
            _listeners: (tcp, local),
            targets,
            dir,
            tools,
        }
    }

    fn own(&self) -> PathBuf {
        self.dir.path().join("kiln/cache/received/mine/tree")
    }

    fn sandbox(&self, tier: Tier) -> OsSandbox {
        OsSandbox::new(self.probe.clone(), self.tools.path().join("proof")).at_most(tier)
    }

    /// The command that runs the probe in a box.
    async fn boxed(&self, sandbox: &OsSandbox, arguments: &[&str]) -> Command {
        let order = self.order(arguments, Priority::Normal);
        let order = self.enclosed(sandbox, order).await;
        let mut command = runner(self.user, &order.program);
        command
            .args(order.arguments)
            .env_clear()
            .envs(order.environment)
            .current_dir(order.directory);
        command
    }

    /// Runs the probe.
    fn order(&self, arguments: &[&str], priority: Priority) -> Order {
        Order {
            program: self.probe.clone(),
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            directory: self.own(),
            priority,
        }
    }

    /// What runs that in a box.
    async fn enclosed(&self, sandbox: &OsSandbox, order: Order) -> Order {
        let own = self.own();
        let rules = BoxRules {
            writable: vec![own.clone()],
            readable: vec![self.probe.clone()],
            scratch: own,
            network: Network::None,
            limits: LIMITS,
        };
        sandbox.enclose(order, &rules).await.expect("a box").command
    }

    /// Runs attempts and returns the names of those that got out, and how many there were.
    fn attempt(&self, mut command: Command) -> (BTreeSet<String>, usize) {
        let output = command
            .stdin(Stdio::null())
            .output()
            .expect("the probe runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.ends_with("done\n"),
            "the probe got to its end: {said}{errors}"
        );
        let got_out = said
            .lines()
            .filter_map(|line| line.strip_prefix("got out "));
        (
            got_out.map(str::to_owned).collect(),
            said.lines().count() - 1,
        )
    }

    /// The same attempts without a box.
    fn control(&self, user: Option<u32>, only: &str) -> BTreeSet<String> {
        let mut targets = self.targets.clone();
        targets["only"] = only.into();
        let mut command = runner(user, &self.probe);
        command
            .args(["escape", &targets.to_string()])
            .current_dir(self.own());
        self.attempt(command).0
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Errors mean that it is gone.
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

/// Answers datagrams, so that one that got out is known to.
fn echo() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = socket.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let mut block = [0; 64];
        while let Ok((count, from)) = socket.recv_from(&mut block) {
            let _ = socket.send_to(&block[..count], from);
        }
    });
    port
}

fn runner(user: Option<u32>, program: &Path) -> Command {
    let Some(user) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={user}"), format!("--regid={user}")])
        .args(["--clear-groups", "--"])
        .arg(program);
    command
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(walk(&entry.path()));
        } else {
            all.push(entry.path());
        }
    }
    all
}

fn is_root() -> bool {
    let me = std::fs::metadata("/proc/self").expect("/proc");
    std::os::unix::fs::MetadataExt::uid(&me) == 0
}

/// The users to try it as: one without rights, and root, as which Kiln runs in containers.
fn users() -> Vec<Option<u32>> {
    if is_root() {
        vec![Some(NOBODY), None]
    } else {
        vec![None]
    }
}

/// Tier 2 needs Linux 6.12.
fn kernel_confines() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let version = (numbers.next(), numbers.next());
    matches!(version, (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (6, 12))
}

fn tiers() -> Vec<Tier> {
    let mut tiers = vec![Tier::Boxed];
    if kernel_confines() {
        tiers.push(Tier::Confined);
    }
    tiers
}

#[tokio::test]
async fn nothing_gets_out_of_a_box_that_gets_out_without_one() {
    for user in users() {
        for tier in tiers() {
            let world = World::new(user);
            let sandbox = world.sandbox(tier);
            let proved = sandbox.prove().await;
            assert_eq!(proved.tier, tier, "{}", proved.detail);
            let targets = world.targets.to_string();
            let command = world.boxed(&sandbox, &["escape", &targets]).await;
            let (got_out, made) = world.attempt(command);
            assert!(
                got_out.is_empty(),
                "tier {} as {user:?}: {got_out:?}",
                tier.number()
            );
            assert!(made >= 120, "{made} attempts");
            // The same world, without the box: what the attempts are worth.
            let mut outside = BTreeSet::new();
            if user.is_some() || !is_root() {
                outside.extend(world.control(user, ""));
                for file in FILES {
                    let name = Path::new(file)
                        .file_name()
                        .expect("a name")
                        .to_string_lossy();
                    assert!(
                        outside.contains(&format!("read {name}")),
                        "{name} can be read outside"
                    );
                }
            }
            if is_root() {
                outside.extend(world.control(None, "calls"));
            }
            println!(
                "tier {} as {}: {made} attempts, 0 got out; {} of them do without a box",
                tier.number(),
                user.map_or("this user".to_owned(), |user| format!("user {user}")),
                outside.len()
            );
        }
    }
}

/// Returns the youngest descendant of a process, or itself.
fn youngest(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let child = children
        .split_whitespace()
        .last()
        .and_then(|c| c.parse().ok());
    child.map_or(pid, youngest)
}

#[tokio::test]
async fn when_memory_runs_out_what_is_in_a_box_goes_before_all_else() {
    for tier in tiers() {
        let world = World::new(None);
        let sandbox = world.sandbox(tier);
        assert_eq!(sandbox.prove().await.tier, tier);
        let mut command = world.boxed(&sandbox, &["waits"]).await;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut boxed = command.spawn().expect("the probe runs");
        let mut ready = String::new();
        let said = boxed.stdout.take().expect("piped");
        BufReader::new(said).read_line(&mut ready).expect("a line");
        let score = format!("/proc/{}/oom_score_adj", youngest(boxed.id()));
        let score = std::fs::read_to_string(score).expect("it waits");
        assert_eq!(
            (ready.trim(), score.trim()),
            ("ready", "1000"),
            "at {tier:?}"
        );
        // Its input ends, and it with it.
        drop(boxed.stdin.take());
        boxed.wait().expect("it ends");
    }
}

#[tokio::test]
async fn a_build_of_others_has_the_least_share_also_in_the_session_of_its_box() {
    // Without this file the kernel does not schedule sessions as groups.
    let Ok(own) = std::fs::read_to_string("/proc/self/autogroup") else {
        return;
    };
    assert!(!own.trim_end().ends_with("nice 19"), "{own}");
    let world = World::new(None);
    let sandbox = world.sandbox(Tier::Boxed);
    assert_eq!(sandbox.prove().await.tier, Tier::Boxed);
    let mut order = world.order(&["/proc/self/autogroup"], Priority::Background);
    order.program = "/usr/bin/cat".into();
    let order = world.enclosed(&sandbox, order).await;
    let mut child = OsProcesses::new("share").spawn(order).await.expect("cat");
    let said = child.read().await.expect("a line");
    let said = String::from_utf8_lossy(&said);
    assert!(said.trim_end().ends_with("nice 19"), "{said}");
}

#[tokio::test]
async fn a_gate_is_the_only_way_out_and_knows_who_may_use_it() {
    for tier in tiers() {
        let world = World::new(None);
        let sandbox = world.sandbox(tier);
        assert_eq!(sandbox.prove().await.tier, tier);
        let own = world.own();
        let order = Order {
            program: "/bin/sh".into(),
            arguments: vec![
                "-c".to_owned(),
                "echo \"$https_proxy|$HTTP_PROXY|$NO_PROXY\"".to_owned(),
            ],
            environment: vec![
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("NO_PROXY".to_owned(), "192.168.0.0/16".to_owned()),
            ],
            directory: own.clone(),
            priority: Priority::Normal,
        };
        let rules = BoxRules {
            writable: vec![own.clone()],
            readable: vec![],
            scratch: own,
            network: Network::Gate {
                hosts: BuildHosts::from_setting("").expect("a list"),
                max_bytes: 1 << 20,
            },
            limits: LIMITS,
        };
        let boxed = sandbox.enclose(order, &rules).await.expect("a box");
        let gate = boxed.gate.expect("a gate");
        let order = boxed.command;
        let output = Command::new(order.program)
            .args(order.arguments)
            .env_clear()
            .envs(order.environment)
            .current_dir(order.directory)
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let parts: Vec<&str> = said.split('|').collect();
        assert_eq!(parts[0], parts[1], "{said}");
        assert_eq!(parts[2], "", "nothing goes round the gate");
        assert!(parts[0].contains("127.0.0.1:"), "{said}");
        // At tier 2 others share the loopback: they would need the password.
        assert_eq!(parts[0].contains('@'), tier == Tier::Confined, "{said}");
        assert_eq!(gate.passed(), 0);
    }
}
