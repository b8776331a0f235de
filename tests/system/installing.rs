//! Stories of an installation: compiled on the receiver, flashed from the offloader.
use std::time::Duration;

use kiln_model::{
    BuildChoice, JobStatus, Placement, Port, PortState, Reply, Request, SerialPort, say,
};

use crate::esphome::Flash;
use crate::world::World;

/// More than any single timeout on the way.
pub(crate) const LONG: Duration = Duration::from_secs(600);

pub(crate) fn flash(built_by: &str) -> Flash {
    Flash {
        device: "kitchen".to_owned(),
        built_by: built_by.to_owned(),
    }
}

// Covers: M95
#[tokio::test(start_paused = true)]
async fn an_installation_compiles_on_the_receiver_and_flashes_from_here_without_compiling() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let jobs = one.install("kitchen").await;
    let ends = one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed; 2], "{:#?}", one.jobs().await);
    assert_eq!(jobs.len(), 2);
    assert_eq!(one.esphome.flashed(), [flash("two")]);
    assert_eq!(one.started("compile"), 0);
    assert_eq!(two.started("compile"), 1);
    assert!(one.log(&jobs[0]).contains("Successfully compiled program."));
    let compile = &one.jobs().await[0];
    assert!(matches!(compile.placement, Placement::Remote { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_is_built_is_flashed_once_more_without_a_build() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let ask = || Request::Flash {
        device: "kitchen".to_owned(),
        port: Port::Ota,
    };
    let refused = one.ask(ask()).await;
    assert!(
        matches!(&refused, Reply::Refused(error) if error.message == say::nothing_built("kitchen")),
        "{refused:?}"
    );
    one.install("kitchen").await;
    one.finish_jobs(LONG).await;
    let begun = one.ask(ask()).await;
    assert!(
        matches!(&begun, Reply::Jobs(jobs) if jobs.len() == 1),
        "{begun:?}"
    );
    one.finish_jobs(LONG).await;
    assert_eq!(one.esphome.flashed(), [flash("two"), flash("two")]);
    assert_eq!((one.started("compile"), two.started("compile")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_others_sent_is_built_in_a_box_and_the_owners_own_is_not() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    one.install("kitchen").await;
    one.finish_jobs(LONG).await;
    assert_eq!(one.sandbox.asked(), []);
    let asked = two.sandbox.asked();
    let [rules] = asked.as_slice() else {
        panic!("one box: {asked:?}");
    };
    let received = two.path("received");
    assert!(
        rules
            .writable
            .iter()
            .all(|folder| folder.starts_with(&received))
    );
    assert!(!rules.readable.iter().any(|path| received.starts_with(path)));
    let build = two.processes.started();
    let build = build
        .iter()
        .find(|c| c.arguments.contains(&"compile".to_owned()));
    let home = build.and_then(|c| c.environment.iter().find(|(key, _)| key == "HOME"));
    assert!(home.is_some_and(|(_, home)| home.starts_with(received.to_str().unwrap())));
    two.install("kitchen").await;
    two.finish_jobs(LONG).await;
    assert_eq!(two.sandbox.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_says_nothing_for_five_minutes_is_handed_back_and_built_at_home() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let _held = two.esphome.hold("compile");
    let jobs = one.install("kitchen").await;
    let ends = one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed; 2]);
    let log = one.log(&jobs[0]);
    assert!(
        log.contains("it said nothing for 5 minutes and was stopped"),
        "{log}"
    );
    assert_eq!(two.processes.killed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_fails_for_want_of_memory_or_room_there_is_built_at_home() {
    for line in [
        "g++: fatal error: Killed signal terminated program cc1plus\n",
        "error writing to main.o: No space left on device\n",
    ] {
        let world = World::new();
        let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
        one.pair_with(&two).await;
        two.esphome.fail("compile", line);
        let jobs = one.install("kitchen").await;
        assert_eq!(one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
        let log = one.log(&jobs[0]);
        assert!(log.contains("this computer ran out of"), "{log}");
        assert_eq!(one.esphome.flashed(), [flash("one")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_whose_esphome_cannot_be_reached_from_its_box_is_built_at_home() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    two.esphome.hide("compile");
    let jobs = one.install("kitchen").await;
    assert_eq!(one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
    let log = one.log(&jobs[0]);
    assert!(log.contains("build_folders"), "{log}");
    assert_eq!(one.esphome.flashed(), [flash("one")]);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_does_not_compile_fails_its_installation_and_flashes_nothing() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    two.esphome.fail("compile", "ERROR expected ';'\n");
    let jobs = one.install("kitchen").await;
    let ends = one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Failed, JobStatus::Cancelled]);
    assert!(one.log(&jobs[0]).contains("expected ';'"));
    assert_eq!(one.esphome.flashed(), []);
}

#[tokio::test(start_paused = true)]
async fn what_a_flash_would_say_means_its_reason_only_when_a_flash_says_it() {
    let world = World::new();
    let one = world.host(1, "one").await;
    let silent = "WARNING Connecting to 192.0.2.7 port 3232 failed: timed out\n";
    for (verb, at, expected) in [
        ("compile", 0, say::tool_ended_with_code(1)),
        ("upload", 1, say::device_does_not_answer()),
    ] {
        one.esphome.fail(verb, silent);
        let jobs = one.install("kitchen").await;
        one.finish_jobs(LONG).await;
        let all = one.jobs().await;
        let failed = all.iter().find(|job| job.id == jobs[at].id).unwrap();
        assert_eq!(failed.error.as_ref(), Some(&expected), "{verb}");
        one.esphome.set(verb, None);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_receiver_an_installation_is_built_here() {
    let world = World::new();
    let one = world.host(1, "one").await;
    one.install("kitchen").await;
    assert_eq!(one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
    assert_eq!(one.esphome.flashed(), [flash("one")]);
}

#[tokio::test(start_paused = true)]
async fn a_device_on_a_cable_is_flashed_through_its_port_once_it_is_plugged_in() {
    let world = World::new();
    let one = world.host(1, "one").await;
    let install = || Request::Install {
        device: "kitchen".to_owned(),
        build: BuildChoice::Auto,
        port: Port::Serial("/dev/ttyUSB0".to_owned()),
    };
    let Reply::Refused(error) = one.ask(install()).await else {
        panic!("nothing is plugged in");
    };
    assert_eq!(error.message, "There is no serial port /dev/ttyUSB0.");
    one.serial.plug(SerialPort {
        path: "/dev/ttyUSB0".to_owned(),
        product: "Bridge".to_owned(),
        usb: None,
        state: PortState::Usable,
        problem: "".into(),
    });
    let Reply::Jobs(_) = one.ask(install()).await else {
        panic!("it is plugged in");
    };
    assert_eq!(one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
    let lines = one.processes.lines();
    let flash = lines.iter().find(|line| line.contains(" upload "));
    assert!(
        flash.is_some_and(|line| line.contains("--device /dev/ttyUSB0")),
        "{lines:#?}"
    );
}
