//! `kiln serve` with a real Secret Service in every state that one can be in: each ends in a clear
//! error with the next step, and never in another identity.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test cannot go on")]
use std::io::Write as _;
use std::process::{Command, Stdio};

use kiln_tests::probe::Probe;
use kiln_tests::secret_service::{Bus, SecretService};
use serde_json::Value;

/// Returns `kiln serve` on this bus, with its state in the bus's folder.
fn kiln(bus: &Bus) -> Command {
    let mut command = bus.command(env!("CARGO_BIN_EXE_kiln"));
    command
        .args(["serve", "--json", "--listen-host", "127.0.0.1"])
        .env("KILN_HOME", bus.home().join("kiln"))
        .env_remove("KILN_SECRETS");
    command
}

/// Serves, and returns the identity that it says.
fn serves(bus: &Bus) -> String {
    let ready = Probe::start(kiln(bus)).line().unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    ready["pin_sha256"].as_str().unwrap().to_owned()
}

/// Does not serve, and says these words.
fn refuses(bus: &Bus, words: &[&str]) {
    let output = kiln(bus).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in {said}");
    }
}

/// Runs `secret-tool` on the entry of the key.
fn entry(bus: &Bus, verb: &[&str], input: &str) -> String {
    let service = format!("kiln:{}", bus.home().join("kiln").display());
    let mut tool = bus.command("secret-tool");
    tool.args(verb);
    tool.args(["service", &service, "username", "identity"]);
    tool.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = tool.spawn().unwrap();
    running
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    String::from_utf8_lossy(&running.wait_with_output().unwrap().stdout).into_owned()
}

// Covers: B-01
#[test]
fn an_identity_outlives_the_process_and_the_keyring_it_lies_in() {
    let bus = Bus::start();
    let keyring = SecretService::unlocked(&bus);
    let first = serves(&bus);
    assert_eq!(serves(&bus), first);
    let _keyring = keyring.restarted(&bus);
    assert_eq!(serves(&bus), first);
}

#[test]
fn a_locked_keyring_stops_the_start_until_it_is_open() {
    let bus = Bus::start();
    let keyring = SecretService::unlocked(&bus);
    let first = serves(&bus);
    keyring.lock(&bus);
    refuses(&bus, &["keyring is locked", "unlock it"]);
    let _keyring = keyring.restarted(&bus);
    assert_eq!(serves(&bus), first);
}

#[test]
fn an_absent_keyring_stops_the_first_start_and_leaves_nothing_behind() {
    let bus = Bus::start();
    refuses(&bus, &["there is no keyring", "--secrets file"]);
    let keyring = SecretService::unlocked(&bus);
    let first = serves(&bus);
    drop(keyring);
    refuses(&bus, &["there is no keyring"]);
    let _keyring = SecretService::unlocked(&bus);
    assert_eq!(serves(&bus), first);
}

#[test]
fn a_denied_keyring_stops_the_start() {
    let bus = Bus::that_denies();
    let _keyring = SecretService::empty(&bus);
    refuses(&bus, &["keyring refused access", "allow Kiln"]);
}

#[test]
fn an_emptied_keyring_stops_the_start_and_stays_empty() {
    let bus = Bus::start();
    let keyring = SecretService::unlocked(&bus);
    let first = serves(&bus);
    let _keyring = keyring.emptied(&bus);
    for _ in 0..2 {
        refuses(
            &bus,
            &[&first[..8], "gone from the keyring", "--new-identity"],
        );
    }
    assert_eq!(entry(&bus, &["lookup"], ""), "");
}

// Covers: B-01
#[test]
fn a_key_of_another_size_stops_the_start_and_is_left_alone() {
    let bus = Bus::start();
    let _keyring = SecretService::unlocked(&bus);
    serves(&bus);
    entry(&bus, &["clear"], "");
    entry(&bus, &["store", "--label=a short key"], "short");
    refuses(&bus, &["5 bytes instead of 32", "--new-identity"]);
    assert_eq!(entry(&bus, &["lookup"], ""), "short");
}

#[test]
fn a_keyring_that_hangs_stops_the_start_instead_of_holding_it() {
    let bus = Bus::start();
    let keyring = SecretService::unlocked(&bus);
    let first = serves(&bus);
    keyring.freeze();
    refuses(&bus, &["did not answer within 10 s"]);
    keyring.thaw();
    assert_eq!(serves(&bus), first);
}
