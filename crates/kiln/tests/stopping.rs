//! How `kiln serve` hears that it should end, and that whoever waited for its end can start the next.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test cannot go on")]
use std::path::Path;
use std::process::Command;

use kiln_tests::probe::Probe;

/// Returns a command that serves from `home` and that nobody reaches from outside; `before` is what
/// the shell that starts it does first.
fn served_by_a_shell(home: &Path, before: &str) -> Command {
    let mut shell = Command::new("sh");
    let serve = r#""$0" serve --json --no-receiver"#;
    shell
        .args(["-c", &format!("{before} exec {serve}")])
        .arg(env!("CARGO_BIN_EXE_kiln"))
        .env("KILN_HOME", home)
        .env("KILN_SECRETS", "file");
    shell
}

/// Returns whether SIGHUP and SIGINT are among the signals that a process catches or ignores.
fn among(pid: &str, which: &str) -> (bool, bool) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let set = status.lines().find_map(|line| line.strip_prefix(which));
    let set = u64::from_str_radix(set.unwrap().trim(), 16).unwrap();
    // The lowest bit is signal 1, which is SIGHUP; 2 is SIGINT.
    (set & 1 != 0, set & 2 != 0)
}

#[test]
fn what_nohup_and_background_shells_let_ignore_stays_ignored() {
    // The test itself may have been started so.
    let ignored = among("self", "SigIgn:");
    for (before, (hangup, interrupt)) in [
        ("", (true, true)),
        (r#"trap "" HUP;"#, (false, true)),
        (r#"trap "" INT;"#, (true, false)),
    ] {
        let home = tempfile::tempdir().unwrap();
        let mut kiln = Probe::start(served_by_a_shell(home.path(), before));
        assert!(kiln.line().unwrap().contains("ready"));
        let pid = std::fs::read_to_string(home.path().join("state/engine.pid")).unwrap();
        let expected = (hangup && !ignored.0, interrupt && !ignored.1);
        assert_eq!(among(&pid, "SigCgt:"), expected, "{before:?}");
    }
}

#[test]
fn after_kiln_stop_the_next_one_can_be_started_at_once() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Probe::start(served_by_a_shell(home.path(), ""));
    assert!(first.line().unwrap().contains("ready"));
    let stop = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .arg("stop")
        .env("KILN_HOME", home.path())
        .output()
        .unwrap();
    assert!(stop.status.success(), "{stop:?}");
    let mut second = Probe::start(served_by_a_shell(home.path(), ""));
    assert!(second.line().unwrap().contains("ready"));
}

#[test]
fn an_end_waits_for_no_look_at_a_folder_that_does_not_answer() {
    let home = tempfile::tempdir().unwrap();
    let (folder, facts) = (home.path().join("esphome"), "esphome/.esphome/storage");
    std::fs::create_dir_all(home.path().join(facts)).unwrap();
    std::fs::write(folder.join("kitchen.yaml"), "esphome:\n  name: kitchen\n").unwrap();
    // Whoever opens it waits until somebody writes to it.
    let made = Command::new("mkfifo")
        .arg(home.path().join(facts).join("kitchen.yaml.json"))
        .status();
    assert!(made.unwrap().success());
    let mut command = served_by_a_shell(&home.path().join("kiln"), "");
    command.env("HOME", home.path());
    let mut kiln = Probe::start(command);
    assert!(kiln.line().unwrap().contains("ready"));
    let stop = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(["stop", "--home"])
        .arg(home.path().join("kiln"))
        .output()
        .unwrap();
    assert!(stop.status.success(), "{stop:?}");
    assert_eq!(kiln.line(), None, "it has ended");
}
