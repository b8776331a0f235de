//! What becomes of a request for work, from its first word to its last job.
use kiln_model::{JobStatus, Timestamp};

use super::super::Event;
use super::super::fixtures::{
    Shop, device, failed, installed, pairing, pin, seen, serial_port, yaml,
};
use super::*;

fn offline(shop: &mut Shop, name: &str) {
    shop.happens(Event::DeviceGone(yaml(name)));
}

fn online(shop: &mut Shop, name: &str) {
    shop.happens(seen(name));
}

// Covers: M24
#[test]
fn an_install_is_a_compile_and_a_flash_that_waits_for_it() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    assert_eq!(shop.job(&compile).kind, JobKind::Compile);
    assert_eq!(shop.job(&flash).depends_on, Some(compile.clone()));
    assert_eq!(shop.job(&flash).status, JobStatus::Queued);
    assert!(shop.lines_of("flash").is_empty());
    shop.succeeds(&compile);
    assert_eq!(shop.lines_of("flash"), ["flash j2 kitchen.yaml Ota"]);
    shop.succeeds(&flash);
    assert_eq!(shop.status(&flash), JobStatus::Completed);
}

#[test]
fn a_chain_is_kept_whole_before_it_is_promised() {
    let mut shop = Shop::open();
    let mut work = Work::new(1);
    std::mem::swap(&mut shop.work, &mut work);
    let device = "kitchen".to_owned();
    let (build, port) = (BuildChoice::Auto, Port::Ota);
    let request = Request::Install {
        device,
        build,
        port,
    };
    work.handle_request(RequestId(9), &request, shop.now);
    let mut saved = 0;
    while let Some(effect) = work.poll_effect() {
        match effect {
            crate::Effect::Work(Effect::SaveJob(_)) => saved += 1,
            crate::Effect::Work(Effect::JobChanged(_)) => assert!(saved >= 2),
            crate::Effect::Reply(..) => assert!(saved >= 2),
            _ => {}
        }
    }
}

#[test]
fn without_an_esphome_here_nothing_is_begun_and_its_owner_hears_how_to_get_one() {
    let mut shop = Shop::open();
    shop.receiver(1);
    let (before, _) = shop.install("bath", BuildChoice::Auto);
    let jobs = shop.work.jobs().len();
    shop.happens(Event::EnvironmentsChanged(Vec::new()));
    shop.lines();
    let install = |build| Request::Install {
        device: "kitchen".to_owned(),
        build,
        port: Port::Ota,
    };
    for asked in [
        install(BuildChoice::Auto),
        install(BuildChoice::On(pin(1))),
        install(BuildChoice::Local),
        Request::Compile {
            device: "kitchen".to_owned(),
            build: BuildChoice::Auto,
        },
        Request::BuildHere(before.clone()),
    ] {
        let refused = shop.ask_in_vain(&asked);
        assert_eq!(refused.code, ErrorCode::PreconditionFailed, "{asked:?}");
        assert!(refused.hint.contains("`kiln env install`"), "{asked:?}");
    }
    assert_eq!(shop.work.jobs().len(), jobs);
    assert!(shop.acts().is_empty());
    assert!(!shop.job(&before).status.is_final(), "what runs goes on");
    match flash_kitchen(&mut shop, Port::Ota, BUILT) {
        Some(Reply::Refused(refused)) => assert_eq!(refused.message, say::own_esphome_missing()),
        other => panic!("{other:?}"),
    }

    let mut coming = installed("2026.11.0");
    coming.installed = false;
    coming.state = EnvironmentState::Installing("making".into());
    shop.happens(Event::EnvironmentsChanged(vec![coming]));
    let refused = shop.ask_in_vain(&install(BuildChoice::Auto));
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert!(refused.message.contains("2026.11.0 is being installed"));

    shop.happens(Event::EnvironmentsChanged(vec![installed("2026.11.0")]));
    shop.install("kitchen", BuildChoice::Auto);
}

#[test]
fn a_version_that_is_set_and_not_there_is_named() {
    let mut shop = Shop::open();
    shop.change(|settings| settings.esphome_version = "2026.7.0".to_owned());
    let mut other = installed("2026.10.0");
    other.installed = false;
    shop.happens(Event::EnvironmentsChanged(vec![other]));
    let refused = shop.ask_in_vain(&Request::Compile {
        device: "kitchen".to_owned(),
        build: BuildChoice::Local,
    });
    assert!(
        refused
            .message
            .contains("esphome_version names is not installed: 2026.7.0")
    );
    assert!(refused.hint.contains("settings set esphome_version"));
}

// Covers: M25
#[test]
fn a_failed_or_cancelled_build_takes_its_flash_with_it() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    shop.ends(&compile, failed("syntax"));
    assert_eq!(shop.status(&flash), JobStatus::Cancelled);
    assert!(shop.error(&flash).contains("did not complete"));
    let running = shop.compile("attic", BuildChoice::Auto);
    let (compile, flash) = shop.install("bath", BuildChoice::Auto);
    shop.cancel(&compile);
    assert_eq!(shop.status(&flash), JobStatus::Cancelled);
    assert_eq!(shop.status(&running), JobStatus::Running);
}

// Covers: M26
#[test]
fn a_newer_install_replaces_the_older_one_of_the_same_device_only() {
    let mut shop = Shop::open();
    let (kitchen, kitchen_flash) = shop.install("kitchen", BuildChoice::Auto);
    let (bath, _) = shop.install("bath", BuildChoice::Auto);
    shop.lines();
    let (again, again_flash) = shop.install("kitchen.yaml", BuildChoice::Auto);
    assert_eq!(shop.acts(), ["stop j1"]);
    shop.ends(&kitchen, super::super::ProcessOutcome::Killed);
    let statuses = [&kitchen, &kitchen_flash, &bath, &again, &again_flash];
    assert_eq!(
        statuses.map(|id| shop.status(id)),
        [
            JobStatus::Cancelled,
            JobStatus::Cancelled,
            JobStatus::Running,
            JobStatus::Queued,
            JobStatus::Queued
        ]
    );
    assert!(shop.error(&kitchen).contains("newer"));
}

#[test]
fn nothing_that_is_asked_for_breaks_off_the_flash_of_a_device_but_a_cancel_of_it() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    shop.succeeds(&compile);
    shop.lines();
    let kitchen = || "kitchen".to_owned();
    let (build, port) = (BuildChoice::Auto, Port::Ota);
    let asked = [
        Request::Install {
            device: kitchen(),
            build: build.clone(),
            port,
        },
        Request::Compile {
            device: kitchen(),
            build,
        },
        Request::Clean { device: kitchen() },
        Request::BuildHere(compile),
        Request::ResetEnvironment(None),
    ];
    for request in &asked {
        let error = shop.ask_in_vain(request);
        assert_eq!(error.code, ErrorCode::AlreadyExists, "{request:?}");
        assert_eq!(error.message, say::being_flashed("kitchen"), "{request:?}");
        assert_eq!(shop.acts(), [""; 0], "{request:?}");
    }
    assert_eq!(shop.status(&flash), JobStatus::Running);
    shop.compile("bath", BuildChoice::Auto);
    assert_eq!(
        shop.acts(),
        ["build j3 compile own bath.yaml"],
        "others go on"
    );
    shop.cancel(&flash);
    assert_eq!(shop.ask_jobs(&asked[1]).len(), 1, "it was given up");
}

// Covers: M34
#[test]
fn the_owner_can_force_this_machine() {
    let mut shop = Shop::open();
    shop.receiver(1);
    shop.lines();
    shop.compile("kitchen", BuildChoice::Local);
    assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
}

#[test]
fn a_device_that_is_away_is_flashed_when_it_comes_back() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    offline(&mut shop, "kitchen");
    shop.lines();
    shop.succeeds(&compile);
    assert!(shop.acts().is_empty());
    let job = shop.job(&flash);
    assert_eq!((job.status, job.deferred), (JobStatus::Queued, true));
    assert!(job.reason.contains("offline"), "{}", job.reason);
    online(&mut shop, "bath");
    assert!(shop.acts().is_empty());
    online(&mut shop, "kitchen");
    assert_eq!(shop.acts(), ["flash j2 kitchen.yaml Ota"]);
    assert!(!shop.job(&flash).deferred);
}

#[test]
fn an_unknown_presence_and_a_fixed_address_do_not_defer() {
    let mut shop = Shop::open();
    let (compile, _) = shop.install("kitchen", BuildChoice::Auto);
    shop.succeeds(&compile);
    assert_eq!(shop.lines_of("flash").len(), 1);
    offline(&mut shop, "bath");
    let address = Port::Address("10.0.0.7".to_owned());
    let (compile, _) = shop.install_to("bath", BuildChoice::Auto, address);
    shop.succeeds(&compile);
    assert_eq!(shop.lines_of("flash").len(), 1);
}

#[test]
fn a_flash_whose_device_left_meanwhile_has_not_failed_and_goes_on_when_it_returns() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    shop.succeeds(&compile);
    offline(&mut shop, "kitchen");
    shop.lines();
    shop.ends(&flash, failed("no route to host"));
    let job = shop.job(&flash);
    assert_eq!((job.status, job.deferred), (JobStatus::Queued, true));
    assert_eq!((job.error, job.started_at), (None, None));
    assert_eq!(job.reason, say::device_offline("kitchen"));
    assert_eq!(shop.work.jobs().len(), 2, "and there is no other");
    shop.crash();
    assert!(shop.job(&flash).deferred, "it is kept so");
    online(&mut shop, "kitchen");
    assert_eq!(shop.acts(), ["flash j2 kitchen.yaml Ota"]);
    shop.succeeds(&flash);
    online(&mut shop, "kitchen");
    assert!(shop.lines_of("flash").is_empty(), "it is flashed once");
}

#[test]
fn a_flash_that_was_given_up_does_not_go_on_when_its_device_returns() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    shop.succeeds(&compile);
    shop.cancel(&flash);
    offline(&mut shop, "kitchen");
    shop.ends(&flash, failed("no route to host"));
    assert_eq!(shop.status(&flash), JobStatus::Cancelled);
}

/// Asks to flash the kitchen, whose firmware is or is not there when that is looked at.
fn flash_kitchen(shop: &mut Shop, port: Port, last_build: Option<Timestamp>) -> Option<Reply> {
    let device_name = "kitchen".to_owned();
    let id = shop.ask(&Request::Flash {
        device: device_name,
        port,
    });
    assert_eq!(shop.reply_to(id), None, "it is looked at first");
    let kitchen = Device {
        last_build,
        ..device("kitchen")
    };
    shop.happens(Event::DevicesScanned(vec![kitchen]));
    shop.reply_to(id)
}

const BUILT: Option<Timestamp> = Some(Timestamp(1));

#[test]
fn what_is_built_is_flashed_again_without_a_build() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    shop.succeeds(&compile);
    shop.ends(&flash, failed("wrong password"));
    shop.lines();
    let reply = flash_kitchen(&mut shop, Port::Ota, BUILT);
    assert!(matches!(reply, Some(Reply::Jobs(jobs)) if jobs.len() == 1));
    assert_eq!(shop.acts(), ["flash j3 kitchen.yaml Ota"]);
    let again = shop.work.jobs().remove(0).id;
    offline(&mut shop, "kitchen");
    shop.ends(&again, failed("no route to host"));
    assert!(shop.job(&again).deferred, "it waits for its device as any");
    flash_kitchen(&mut shop, Port::Ota, BUILT);
    assert_eq!(shop.status(&again), JobStatus::Cancelled);
    let newest = shop.work.jobs().remove(0);
    assert!(newest.deferred, "{newest:?}");
}

#[test]
fn a_flash_without_a_build_is_refused_where_nothing_whole_is_there_for_its_port() {
    let refused = |shop: &mut Shop, port, built| match flash_kitchen(shop, port, built) {
        Some(Reply::Refused(error)) => error.message,
        other => panic!("{other:?}"),
    };
    let mut shop = Shop::open();
    let nothing = refused(&mut shop, Port::Ota, None);
    assert_eq!(nothing, say::nothing_built("kitchen"));
    let compile = shop.compile("kitchen", BuildChoice::Auto);
    let early = refused(&mut shop, Port::Ota, BUILT);
    assert_eq!(early, say::under_way("kitchen"));
    assert_eq!(shop.status(&compile), JobStatus::Running, "it goes on");
    shop.succeeds(&compile);
    let clean = shop.clean("kitchen").remove(0);
    let late = refused(&mut shop, Port::Ota, BUILT);
    assert_eq!(late, say::under_way("kitchen"));
    shop.succeeds(&clean);
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    shop.succeeds(&compile);
    let written = refused(&mut shop, Port::Ota, BUILT);
    assert_eq!(written, say::being_flashed("kitchen"));
    shop.succeeds(&flash);
    let cable = || Port::Serial("COM3".to_owned());
    let small = refused(&mut shop, cable(), BUILT);
    assert_eq!(small, say::built_for_network("kitchen"));
    let whole = shop.compile("kitchen", BuildChoice::Auto);
    shop.succeeds(&whole);
    let reply = flash_kitchen(&mut shop, cable(), BUILT);
    assert!(matches!(reply, Some(Reply::Jobs(_))), "{reply:?}");
}

#[test]
fn a_deferred_flash_survives_a_restart_and_ends_with_a_newer_install() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    offline(&mut shop, "kitchen");
    shop.succeeds(&compile);
    shop.crash();
    assert!(shop.job(&flash).deferred);
    assert_eq!(shop.lines_of("flash").len(), 0);
    shop.install("kitchen", BuildChoice::Auto);
    assert_eq!(shop.status(&flash), JobStatus::Cancelled);
}

#[test]
fn a_flash_that_waits_for_a_device_ends_when_its_configuration_is_gone_from_a_folder_that_is_there()
{
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    offline(&mut shop, "kitchen");
    shop.succeeds(&compile);
    assert!(shop.job(&flash).deferred);
    shop.happens(Event::DevicesScanned(Vec::new()));
    assert_eq!(
        shop.status(&flash),
        JobStatus::Queued,
        "not mounted, perhaps"
    );
    shop.happens(Event::DevicesScanned(vec![device("bath")]));
    assert_eq!(shop.status(&flash), JobStatus::Cancelled);
    assert_eq!(shop.error(&flash), say::configuration_gone().as_str());
}

#[test]
fn a_scan_does_not_forget_who_is_away() {
    let mut shop = Shop::open();
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    offline(&mut shop, "kitchen");
    shop.happens(Event::DevicesScanned(vec![device("kitchen")]));
    shop.succeeds(&compile);
    assert!(shop.job(&flash).deferred);
}

#[test]
fn an_install_through_a_port_that_cannot_be_used_makes_no_job_and_says_why() {
    let mut shop = Shop::open();
    let install = |path: &str| Request::Install {
        device: "kitchen".to_owned(),
        build: BuildChoice::Auto,
        port: Port::Serial(path.to_owned()),
    };
    let denied = ("/dev/ttyUSB0", PortState::Denied);
    let busy = ("/dev/ttyUSB1", PortState::Busy);
    for (path, state) in [denied, busy] {
        shop.ports.push(serial_port(path, state));
        let error = shop.ask_in_vain(&install(path));
        assert_eq!(error.code, ErrorCode::PreconditionFailed);
        assert_eq!(error.message, *format!("{path} is {}.", state.word()));
    }
    let error = shop.ask_in_vain(&install("/dev/ttyUSB9"));
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "There is no serial port /dev/ttyUSB9.");
    assert!(shop.work.jobs().is_empty());
    // What cannot be looked at is tried; the boot disk of an RP2 is no port at all.
    shop.ports
        .push(serial_port("/dev/ttyUSB2", PortState::Unknown));
    for path in ["/dev/ttyUSB2", Port::BOOTSEL] {
        assert_eq!(shop.ask_jobs(&install(path)).len(), 2, "{path}");
    }
}

#[test]
fn serial_ports_are_listed_with_what_to_try_when_one_is_missing() {
    let mut shop = Shop::open();
    let id = shop.ask(&Request::SerialPorts);
    let expected = Reply::SerialPorts {
        ports: vec![serial_port("COM3", PortState::Usable)],
        advice: "Plug it in.".into(),
    };
    assert_eq!(shop.reply_to(id), Some(expected));
}

#[test]
fn build_here_does_the_same_chain_again_on_this_machine() {
    let mut shop = Shop::open();
    shop.receiver(1);
    let port = Port::Serial("COM3".to_owned());
    let (compile, flash) = shop.install_to("kitchen", BuildChoice::Auto, port.clone());
    assert_eq!(shop.lines_of("bundle"), ["bundle j1 kitchen.yaml"]);
    let new = shop.ask_jobs(&Request::BuildHere(flash.clone()));
    assert_eq!(
        shop.acts(),
        ["stop j1", "build j3 compile own kitchen.yaml"]
    );
    assert_eq!(shop.job(&new[1]).port, Some(port));
    let stop = super::super::StepFailure::Cancelled;
    shop.happens(Event::BundleMade(compile.clone(), Err(stop)));
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    assert_eq!(shop.status(&flash), JobStatus::Cancelled);
    shop.succeeds(&new[0]);
    assert_eq!(shop.status(&new[1]), JobStatus::Running);
}

#[test]
fn build_here_is_for_the_owners_builds() {
    let (mut shop, link) = Shop::with_offloader();
    let received = shop.submit_queued(link, "a", "kitchen");
    let cleans = shop.clean("bath");
    for job in [received, cleans[0].clone()] {
        let error = shop.ask_in_vain(&Request::BuildHere(job));
        assert_eq!(error.code, ErrorCode::InvalidArgs);
    }
    let error = shop.ask_in_vain(&Request::BuildHere(JobId::from_random(1)));
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[test]
fn a_chosen_receiver_that_cannot_build_is_refused_with_the_reason() {
    let mut shop = Shop::open();
    let ask = |shop: &mut Shop, n| {
        let (device, build) = ("kitchen".to_owned(), BuildChoice::On(pin(n)));
        let error = shop.ask_in_vain(&Request::Compile { device, build });
        (error.code, error.message)
    };
    assert_eq!(ask(&mut shop, 1).0, ErrorCode::NotFound);
    shop.pair(pairing(1));
    let (code, message) = ask(&mut shop, 1);
    assert_eq!(code, ErrorCode::Unavailable);
    assert!(message.contains("receiver R1: link closed"), "{message}");
    shop.connect(1, 1);
    shop.change(|s| s.remote_builds = false);
    assert_eq!(ask(&mut shop, 1).0, ErrorCode::PreconditionFailed);
}

#[test]
fn a_chosen_receiver_is_waited_for_while_it_builds_for_us() {
    let mut shop = Shop::open();
    let link = shop.receiver(1);
    shop.receiver(2);
    let first = shop.compile("kitchen", BuildChoice::On(pin(1)));
    let second = shop.compile("bath", BuildChoice::On(pin(1)));
    let wire = shop.building_on(&first, link);
    assert_eq!(shop.status(&second), JobStatus::Queued);
    assert!(shop.job(&second).reason.contains("R1"));
    shop.lines();
    shop.state_with(link, &wire, JobStatus::Failed, "boom", None);
    assert_eq!(shop.lines_of("bundle"), ["bundle j2 bath.yaml"]);
}

// Covers: M7
#[test]
fn exact_required_without_a_fitting_receiver_is_refused_at_once() {
    let mut shop = Shop::open();
    shop.pair(pairing(1));
    shop.policy(kiln_model::VersionPolicy::ExactRequired);
    let (device, build, port) = ("kitchen".to_owned(), BuildChoice::Auto, Port::Ota);
    let error = shop.ask_in_vain(&Request::Install {
        device,
        build,
        port,
    });
    assert_eq!(error.code, ErrorCode::NoCompatiblePeer);
    assert!(error.message.contains("R1: link closed"), "{error}");
    assert!(shop.work.jobs().is_empty());
}

#[test]
fn a_clean_goes_to_every_connected_receiver_even_a_disabled_one() {
    let mut shop = Shop::open();
    shop.receiver(1);
    let mut off = pairing(2);
    off.enabled = false;
    shop.pair(off);
    shop.connect(2, 2);
    shop.pair(pairing(3));
    shop.lines();
    let jobs = shop.clean("kitchen");
    assert_eq!(jobs.len(), 3);
    assert_eq!(
        shop.acts(),
        [
            "bundle j2 kitchen.yaml",
            "bundle j3 kitchen.yaml",
            "build j1 clean own kitchen.yaml"
        ]
    );
}

#[test]
fn a_reset_cancels_the_owners_other_jobs_and_leaves_received_ones() {
    let (mut shop, link) = Shop::with_offloader();
    let running = shop.compile("kitchen", BuildChoice::Auto);
    let queued = shop.compile("bath", BuildChoice::Auto);
    let received = shop.submit_queued(link, "a", "kitchen");
    shop.lines();
    shop.ask_jobs(&Request::ResetEnvironment(None));
    assert_eq!(shop.status(&queued), JobStatus::Cancelled);
    assert_eq!(shop.acts(), ["stop j1"]);
    shop.ends(&running, super::super::ProcessOutcome::Killed);
    assert_eq!(shop.acts(), ["build j4 reset_build_env own everything"]);
    assert_eq!(shop.status(&received), JobStatus::Queued);
}

// Covers: O-33
#[test]
fn a_receivers_environment_is_reset_only_if_it_can_and_is_there() {
    let mut shop = Shop::open();
    let mut old = pairing(1);
    old.capabilities.reset_build_env = false;
    shop.pair(old);
    shop.pair(pairing(2));
    let code = |shop: &mut Shop, n| {
        let request = Request::ResetEnvironment(Some(pin(n)));
        shop.ask_in_vain(&request).code
    };
    assert_eq!(code(&mut shop, 1), ErrorCode::PreconditionFailed);
    assert_eq!(code(&mut shop, 2), ErrorCode::Unavailable);
    assert_eq!(code(&mut shop, 3), ErrorCode::NotFound);
    shop.connect(2, 2);
    shop.lines();
    shop.ask_jobs(&Request::ResetEnvironment(Some(pin(2))));
    assert_eq!(shop.acts(), ["link-2 reset w1"]);
}

#[test]
fn a_device_that_is_not_known_yet_is_looked_for_on_disk() {
    let mut shop = Shop::open();
    let build = BuildChoice::Auto;
    let device_name = "garden".to_owned();
    let request = Request::Compile {
        device: device_name,
        build,
    };
    let id = shop.ask(&request);
    assert_eq!(shop.reply_to(id), None);
    shop.happens(Event::DevicesScanned(vec![device("garden")]));
    assert!(matches!(shop.reply_to(id), Some(Reply::Jobs(_))));
    let id = shop.ask(&Request::Clean {
        device: "kitchen".to_owned(),
    });
    shop.happens(Event::DevicesScanned(vec![device("garden")]));
    assert!(matches!(shop.reply_to(id), Some(Reply::Refused(e)) if e.code == ErrorCode::NotFound));
}

#[test]
fn a_request_does_not_wait_for_a_scan_for_ever() {
    let mut shop = Shop::open();
    let id = shop.ask(&Request::Devices);
    shop.pass(11);
    let answer = shop.reply_to(id);
    assert!(matches!(answer, Some(Reply::Refused(e)) if e.code == ErrorCode::Unavailable));
    shop.happens(Event::DevicesScanned(Vec::new()));
    assert_eq!(shop.replies.iter().filter(|(n, _)| *n == id).count(), 1);
}

#[test]
fn jobs_environments_and_devices_are_answered() {
    let mut shop = Shop::open();
    let job = shop.compile("kitchen", BuildChoice::Auto);
    assert_eq!(shop.ask_jobs(&Request::Jobs), std::slice::from_ref(&job));
    assert_eq!(shop.ask_jobs(&Request::Job(job.clone())), [job]);
    let unknown = shop.ask_in_vain(&Request::Job(JobId::from_random(1)));
    assert_eq!(unknown.code, ErrorCode::NotFound);
    let id = shop.ask(&Request::Environments);
    assert!(matches!(shop.reply_to(id), Some(Reply::Environments(e)) if e.len() == 1));
    shop.lines();
    let id = shop.ask(&Request::InstallEnvironment("2026.9.1".to_owned()));
    assert_eq!(shop.reply_to(id), Some(Reply::Done));
    assert_eq!(shop.acts(), ["install esphome 2026.9.1"]);
    let odd = Request::InstallEnvironment("2026.9.1; rm".to_owned());
    assert_eq!(shop.ask_in_vain(&odd).code, ErrorCode::InvalidArgs);
}

#[test]
fn a_node_that_starts_or_stops_refuses_work() {
    let mut shop = Shop::new();
    assert_eq!(
        shop.ask_in_vain(&Request::Jobs).code,
        ErrorCode::Unavailable
    );
    let mut shop = Shop::open();
    shop.happens(Event::ShuttingDown);
    assert_eq!(
        shop.ask_in_vain(&Request::Jobs).code,
        ErrorCode::Unavailable
    );
}
