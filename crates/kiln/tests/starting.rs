//! What `kiln serve` says as it starts, and to whom.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test cannot go on")]
use std::path::Path;
use std::process::{Command, Output, Stdio};

use kiln_tests::probe::Probe;

/// Returns `kiln serve` with these options and its state in this folder.
fn kiln(home: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command
        .args(["serve", "--listen-host", "127.0.0.1", "--listen-port", "0"])
        .args(options)
        .env("KILN_HOME", home)
        .env("KILN_SECRETS", "file")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

fn ended(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    output
}

#[test]
fn beside_a_running_kiln_no_key_is_shown_that_would_open_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Probe::start(kiln(home.path(), &["--json", "--bootstrap-key"]));
    assert!(first.line().unwrap().contains("pairing_key"));
    assert!(first.line().unwrap().contains("ready"));
    let second = ended(kiln(home.path(), &["--json", "--bootstrap-key"]));
    assert_eq!(String::from_utf8_lossy(&second.stdout), "");
    assert!(String::from_utf8_lossy(&second.stderr).contains("already runs here"));
}

#[test]
fn what_is_logged_into_a_file_has_no_colours() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("log");
    let mut command = kiln(home.path(), &["--json", "-vvv"]);
    command.stderr(std::fs::File::create(&log).unwrap());
    Probe::start(command).line().unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("INFO") && said.contains("TRACE"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}
