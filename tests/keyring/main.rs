//! The keyring adapter against a real Secret Service (gnome-keyring on a bus of its own).
#![cfg(target_os = "linux")]
use kiln_tests::probe::Probe;
use kiln_tests::secret_service::{Bus, SecretService};

/// Longer than any answer of a keyring that works takes.
const PATIENT: u32 = 60_000;

fn probe(bus: &Bus, instance: &str, patience_ms: u32) -> Probe {
    let mut command = bus.command(env!("CARGO_BIN_EXE_probe"));
    command.args(["keyring", instance, &patience_ms.to_string()]);
    Probe::start(command)
}

#[test]
fn a_secret_survives_the_process_and_its_keyring() {
    let bus = Bus::start();
    let keyring = SecretService::unlocked(&bus);
    let mut kiln = probe(&bus, "kiln", PATIENT);
    assert_eq!(kiln.ask("load key"), "nothing");
    assert_eq!(kiln.ask("store key one"), "done");
    assert_eq!(kiln.ask("store key two"), "done");
    assert_eq!(probe(&bus, "kiln", PATIENT).ask("load key"), "two");
    // The service forgets our session with this.
    let _keyring = keyring.restarted(&bus);
    assert_eq!(probe(&bus, "kiln", PATIENT).ask("load key"), "two");
    assert_eq!(kiln.ask("load key"), "two");
    assert_eq!(kiln.ask("delete key"), "done");
    assert_eq!(kiln.ask("delete key"), "done");
    assert_eq!(kiln.ask("load key"), "nothing");
}

#[test]
fn two_kilns_share_a_keyring_and_no_entry() {
    let bus = Bus::start();
    let _keyring = SecretService::unlocked(&bus);
    let (mut one, mut two) = (
        probe(&bus, "kiln", PATIENT),
        probe(&bus, "kiln:/other/home", PATIENT),
    );
    assert_eq!(one.ask("store key one"), "done");
    assert_eq!(two.ask("load key"), "nothing");
    assert_eq!(two.ask("store key two"), "done");
    assert_eq!(two.ask("delete key"), "done");
    assert_eq!(one.ask("load key"), "one");
}

#[test]
fn a_locked_keyring_is_told_at_once_and_used_as_soon_as_it_is_open() {
    let bus = Bus::start();
    let keyring = SecretService::unlocked(&bus);
    let mut kiln = probe(&bus, "kiln", PATIENT);
    assert_eq!(kiln.ask("store key one"), "done");
    keyring.lock(&bus);
    assert_eq!(kiln.ask("load key"), "Locked");
    // Also a name that was never stored: nobody can know.
    assert_eq!(kiln.ask("load other"), "Locked");
    assert_eq!(kiln.ask("store other two"), "Locked");
    assert_eq!(kiln.ask("delete key"), "Locked");
    assert_eq!(probe(&bus, "kiln", PATIENT).ask("load key"), "Locked");
    let _keyring = keyring.restarted(&bus);
    assert_eq!(kiln.ask("load other"), "nothing");
    assert_eq!(kiln.ask("load key"), "one");
}

#[test]
fn an_absent_keyring_is_told_and_used_as_soon_as_it_is_there() {
    let bus = Bus::start();
    let mut kiln = probe(&bus, "kiln", PATIENT);
    assert_eq!(kiln.ask("load key"), "Absent");
    assert_eq!(kiln.ask("store key one"), "Absent");
    let _keyring = SecretService::unlocked(&bus);
    assert_eq!(kiln.ask("store key one"), "done");
    assert_eq!(kiln.ask("load key"), "one");
}

#[test]
fn a_session_that_denies_the_keyring_is_told() {
    let bus = Bus::that_denies();
    let _keyring = SecretService::empty(&bus);
    let mut kiln = probe(&bus, "kiln", PATIENT);
    assert_eq!(kiln.ask("load key"), "Denied");
    assert_eq!(kiln.ask("store key one"), "Denied");
}

#[test]
fn a_session_without_a_bus_has_no_keyring() {
    let bus = Bus::start();
    let mut command = bus.command(env!("CARGO_BIN_EXE_probe"));
    command
        .args(["keyring", "kiln", &PATIENT.to_string()])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/no/such/bus");
    let mut kiln = Probe::start(command);
    assert_eq!(kiln.ask("load key"), "Absent");
}

#[test]
fn a_keyring_without_a_collection_is_no_place_for_secrets() {
    let bus = Bus::start();
    let _keyring = SecretService::empty(&bus);
    let mut kiln = probe(&bus, "kiln", PATIENT);
    assert_eq!(kiln.ask("load key"), "Absent");
    assert_eq!(kiln.ask("store key one"), "Absent");
}

#[test]
fn an_emptied_keyring_has_nothing() {
    let bus = Bus::start();
    let keyring = SecretService::unlocked(&bus);
    let mut kiln = probe(&bus, "kiln", PATIENT);
    assert_eq!(kiln.ask("store key one"), "done");
    let _keyring = keyring.emptied(&bus);
    assert_eq!(kiln.ask("load key"), "nothing");
}

#[test]
fn a_keyring_that_hangs_is_given_up_and_used_again_when_it_answers() {
    let bus = Bus::start();
    let keyring = SecretService::unlocked(&bus);
    let mut kiln = probe(&bus, "kiln", PATIENT);
    let mut hasty = probe(&bus, "kiln", 1);
    assert_eq!(kiln.ask("store key one"), "done");
    keyring.freeze();
    for _ in 0..50 {
        assert_eq!(hasty.ask("load key"), "Slow(0)");
    }
    keyring.thaw();
    assert_eq!(kiln.ask("load key"), "one");
}
