//! [`Bus`] and [`SecretService`]: a D-Bus and a gnome-keyring for one test, with folders of their
//! own. Nothing is activated on this bus: what a test does not start is not there.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test cannot go on"
)]
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const PASSWORD: &[u8] = b"open sesame";

/// A bus for one test. Dropping it ends it.
#[derive(Debug)]
pub struct Bus {
    home: TempDir,
    address: String,
    daemon: Child,
}

impl Bus {
    /// Starts one that everybody may use.
    pub fn start() -> Self {
        Self::with_rules("")
    }

    /// One that keeps clients from the keyring, as a sandbox does.
    pub fn that_denies() -> Self {
        Self::with_rules(r#"<deny send_destination="org.freedesktop.secrets"/>"#)
    }

    fn with_rules(rules: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        for name in ["run", "data"] {
            let dir = home.path().join(name);
            fs::create_dir(&dir).unwrap();
            // gnome-keyring refuses a runtime folder that others may enter.
            fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
        }
        let configuration = home.path().join("bus.conf");
        let listen = format!("unix:path={}", home.path().join("bus").display());
        fs::write(
            &configuration,
            format!(
                r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
                "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
                <busconfig><type>session</type><listen>{listen}</listen>
                <policy context="default"><allow send_destination="*"/>
                <allow receive_sender="*"/><allow own="*"/>{rules}</policy>
                </busconfig>"#
            ),
        )
        .unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .arg("--config-file")
            .arg(&configuration)
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed (Debian: dbus)");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Self {
            home,
            address: address.trim_end().to_owned(),
            daemon,
        }
    }

    /// Returns a command that meets this bus and these folders.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.surround(&mut command);
        command
    }

    /// Returns a folder that goes with the bus.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn surround(&self, command: &mut Command) {
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("XDG_RUNTIME_DIR", self.home.path().join("run"))
            .env("XDG_DATA_HOME", self.home.path().join("data"))
            .env("HOME", self.home.path());
    }

    fn gdbus(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("gdbus");
        command.args(arguments);
        self.surround(&mut command);
        let output = command
            .output()
            .expect("gdbus is installed (Debian: libglib2.0-bin)");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn keyrings(&self) -> PathBuf {
        self.home.path().join("data/keyrings")
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A gnome-keyring. Dropping it ends it and keeps what it stored.
#[derive(Debug)]
pub struct SecretService(Child);

const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

impl SecretService {
    /// Starts one whose only collection is open.
    pub fn unlocked(bus: &Bus) -> Self {
        let service = Self::start(bus, &["--unlock"]);
        assert_eq!(Self::locked(bus), "(<false>,)\n");
        service
    }

    /// Starts one without any lasting collection.
    pub fn empty(bus: &Bus) -> Self {
        Self::start(bus, &[])
    }

    fn start(bus: &Bus, arguments: &[&str]) -> Self {
        let mut command = Command::new("gnome-keyring-daemon");
        command
            .args(["--foreground", "--components=secrets"])
            .args(arguments);
        bus.surround(&mut command);
        let mut daemon = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring-daemon is installed (Debian: gnome-keyring)");
        // The end of the password is the end of the stream.
        daemon.stdin.take().unwrap().write_all(PASSWORD).unwrap();
        bus.gdbus(&[
            "wait",
            "--session",
            "--timeout=60",
            "org.freedesktop.secrets",
        ]);
        Self(daemon)
    }

    fn locked(bus: &Bus) -> String {
        let get = "org.freedesktop.DBus.Properties.Get";
        let property = ["org.freedesktop.Secret.Collection", "Locked"];
        bus.gdbus(&[
            "call",
            "--session",
            "-d",
            "org.freedesktop.secrets",
            "-o",
            LOGIN,
            "-m",
            get,
            property[0],
            property[1],
        ])
    }

    /// Locks its only collection.
    pub fn lock(&self, bus: &Bus) {
        let lock = "org.freedesktop.Secret.Service.Lock";
        let root = "/org/freedesktop/secrets";
        let which = format!("['{LOGIN}']");
        bus.gdbus(&[
            "call",
            "--session",
            "-d",
            "org.freedesktop.secrets",
            "-o",
            root,
            "-m",
            lock,
            &which,
        ]);
        assert_eq!(Self::locked(bus), "(<true>,)\n");
    }

    /// Ends it and starts another one that is open.
    pub fn restarted(self, bus: &Bus) -> Self {
        drop(self);
        Self::unlocked(bus)
    }

    /// Ends it, removes everything it kept, and starts another one that is open.
    pub fn emptied(self, bus: &Bus) -> Self {
        drop(self);
        fs::remove_dir_all(bus.keyrings()).unwrap();
        Self::unlocked(bus)
    }

    /// Stops it in the middle of whatever it does.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let status = kill.args([signal, &self.0.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SecretService {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
