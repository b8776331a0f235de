//! Stories of links, machines, disks and clocks that fail at every stage of an installation.
use std::time::Duration;

use kiln_model::{Job, JobStatus, Reply, Request, say};
use kiln_ports::Store as _;
use kiln_ports::store::StoreError;
use kiln_testkit::Wire;

use crate::esphome::Behaviour;
use crate::installing::{LONG, flash};
use crate::world::{Host, World};

/// Where an installation is when something happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The offloader makes the bundle.
    Bundling,
    /// The receiver compiles.
    Building,
    /// The offloader flashes.
    Flashing,
}

const STAGES: [Stage; 3] = [Stage::Bundling, Stage::Building, Stage::Flashing];

/// A paired couple whose installation waits in one stage.
struct Held {
    world: World,
    one: Host,
    two: Host,
    gate: tokio::sync::watch::Sender<bool>,
}

impl Held {
    async fn at(stage: Stage) -> Self {
        let world = World::new();
        let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
        one.pair_with(&two).await;
        let (host, verb) = match stage {
            Stage::Bundling => (&one, "bundle"),
            Stage::Building => (&two, "compile"),
            Stage::Flashing => (&one, "upload"),
        };
        let gate = host.esphome.hold(verb);
        one.install("kitchen").await;
        let limit = Duration::from_secs(60);
        let began = async || host.started(verb) > 0;
        world.run_until(limit, began).await;
        Self {
            world,
            one,
            two,
            gate,
        }
    }

    /// Lets every program go on, now and from now on.
    fn release(&self) {
        self.gate.send_replace(true);
        for host in [&self.one, &self.two] {
            for verb in ["bundle", "compile", "upload"] {
                host.esphome.set(verb, None);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_installation_that_is_cancelled_at_any_stage_ends_as_cancelled_and_its_tools_are_gone() {
    for stage in STAGES {
        let held = Held::at(stage).await;
        for job in held.one.jobs().await {
            held.one.ask(Request::Cancel(job.id)).await;
        }
        let ends = held.one.finish_jobs(LONG).await;
        assert!(ends.contains(&JobStatus::Cancelled), "{stage:?}: {ends:?}");
        held.two.finish_jobs(LONG).await;
        let killed = held.one.processes.killed() + held.two.processes.killed();
        assert_eq!(killed, 1, "{stage:?}");
        if stage != Stage::Flashing {
            assert_eq!(held.one.esphome.flashed(), [], "{stage:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_reset_at_any_stage_does_not_keep_the_device_from_its_firmware() {
    for stage in STAGES {
        let held = Held::at(stage).await;
        held.world.net.reset(held.one.ip, held.two.ip);
        held.world.run_for(Duration::from_secs(5)).await;
        held.release();
        let ends = held.one.finish_jobs(LONG).await;
        assert_eq!(ends, [JobStatus::Completed; 2], "{stage:?}");
        assert_eq!(held.one.esphome.flashed().len(), 1, "{stage:?}");
        held.two.finish_jobs(LONG).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_whose_link_is_lost_is_not_begun_again_whether_it_ends_before_it_is_back_or_after()
{
    for ends_meanwhile in [false, true] {
        let held = Held::at(Stage::Building).await;
        let begun = held.two.started("compile");
        held.world.net.reset(held.one.ip, held.two.ip);
        if ends_meanwhile {
            held.release();
        }
        held.world.run_for(Duration::from_secs(5)).await;
        assert!(held.one.is_connected().await);
        held.release();
        let ends = held.one.finish_jobs(LONG).await;
        assert_eq!(ends, [JobStatus::Completed; 2]);
        assert_eq!(held.two.started("compile"), begun);
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_comes_back_is_replaced_by_this_machine_on_the_owners_word() {
    let mut held = Held::at(Stage::Building).await;
    held.two.kill().await;
    held.world.run_for(Duration::from_secs(120)).await;
    let compile = held.one.jobs().await[0].clone();
    if !compile.status.is_final() {
        held.one.ask(Request::BuildHere(compile.id)).await;
    }
    held.one.finish_jobs(LONG).await;
    assert_eq!(held.one.esphome.flashed(), [flash("one")]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_either_side_at_any_stage_ends_every_job_once_and_flashes_at_most_once() {
    for stage in STAGES {
        for (offloader, polite) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut held = Held::at(stage).await;
            let host = match offloader {
                true => &mut held.one,
                false => &mut held.two,
            };
            match polite {
                true => host.stop().await,
                false => host.kill().await,
            }
            held.world.run_for(Duration::from_secs(10)).await;
            let host = match offloader {
                true => &mut held.one,
                false => &mut held.two,
            };
            host.start().await.unwrap();
            held.release();
            let story = format!("{stage:?}, offloader: {offloader}, polite: {polite}");
            let ends = held.one.finish_jobs(LONG).await;
            assert!(!ends.contains(&JobStatus::Cancelled), "{story}: {ends:?}");
            if !offloader {
                assert_eq!(ends, [JobStatus::Completed; 2], "{story}");
                assert_eq!(held.one.esphome.flashed().len(), 1, "{story}");
            }
            let theirs = held.two.finish_jobs(LONG).await;
            assert!(
                !theirs.contains(&JobStatus::Cancelled),
                "{story}: {theirs:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sender_left_is_not_built_once_its_key_is_trusted_no_more() {
    let mut held = Held::at(Stage::Building).await;
    held.two.kill().await;
    let anchor = format!("offloader-{}", held.one.pin().await);
    assert!(held.two.secrets.get(&anchor).is_some());
    held.two.secrets.put(&anchor, b"another key");
    let begun = held.two.started("compile");
    held.two.start().await.unwrap();
    held.release();
    assert_eq!(held.two.finish_jobs(LONG).await, [JobStatus::Cancelled]);
    assert_eq!(held.two.started("compile"), begun);
}

#[tokio::test(start_paused = true)]
async fn a_silent_link_is_noticed_between_90_and_120_seconds() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    world.net.wire(one.ip, two.ip, Wire::Silent);
    world.run_for(Duration::from_secs(60)).await;
    assert!(one.is_connected().await, "too early");
    world.run_for(Duration::from_secs(61)).await;
    assert!(!one.is_connected().await);
    assert!(!two.view().await.peers[0].connected);
    world.net.wire(one.ip, two.ip, Wire::Open);
    let back = async || one.is_connected().await;
    world.run_until(Duration::from_secs(120), back).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_falls_silent_before_it_has_the_bundle_is_replaced_by_this_machine() {
    let held = Held::at(Stage::Bundling).await;
    held.world.net.wire(held.one.ip, held.two.ip, Wire::Silent);
    held.release();
    let ends = held.one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed; 2]);
    assert_eq!(held.one.esphome.flashed(), [flash("one")]);
}

#[tokio::test(start_paused = true)]
async fn civil_clocks_may_jump_ten_years_either_way_without_ending_a_session_or_a_job() {
    let held = Held::at(Stage::Building).await;
    const TEN_YEARS: i64 = 10 * 365 * 86_400;
    for jump in [TEN_YEARS, -2 * TEN_YEARS, TEN_YEARS] {
        held.world.clock.jump(jump);
        held.world.run_for(Duration::from_secs(100)).await;
        assert!(held.one.is_connected().await);
    }
    held.release();
    assert_eq!(held.one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
}

#[tokio::test(start_paused = true)]
async fn after_eight_hours_of_sleep_links_come_back_and_the_job_goes_on() {
    let held = Held::at(Stage::Building).await;
    held.world.clock.advance(Duration::from_secs(8 * 3600));
    held.world.settle().await;
    held.release();
    let back = async || held.one.is_connected().await;
    held.world.run_until(LONG, back).await;
    assert_eq!(held.one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
    assert_eq!(held.one.esphome.flashed().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_what_it_cannot_keep_and_recovers_when_there_is_room() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    one.store.refuse(Some(StoreError::Full));
    let device = "kitchen".to_owned();
    let request = Request::Compile {
        device,
        build: kiln_model::BuildChoice::Auto,
    };
    match one.ask(request).await {
        Reply::Refused(error) => assert!(error.message.contains("full"), "{error:?}"),
        other => panic!("{other:?} was promised on a full disk"),
    }
    assert!(one.is_connected().await);
    assert_eq!(one.view().await.notices, [say::records_not_written()]);
    one.store.refuse(None);
    world.run_for(Duration::from_secs(5)).await;
    let view = one.view().await;
    assert!(view.notices.is_empty(), "{:?}", view.notices);
    one.finish_jobs(LONG).await;
    one.install("kitchen").await;
    one.finish_jobs(LONG).await;
    assert_eq!(one.esphome.flashed().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_with_a_full_disk_takes_no_job_and_the_device_gets_its_firmware_all_the_same() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    two.store.refuse(Some(StoreError::Full));
    one.install("kitchen").await;
    world.run_for(Duration::from_secs(30)).await;
    two.store.refuse(None);
    let ends = one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed; 2], "{:#?}", one.jobs().await);
    assert_eq!(one.esphome.flashed().len(), 1);
    two.finish_jobs(LONG).await;
    assert_eq!(two.started("compile"), 0, "it is not built twice");
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_is_empty_fails_here_and_is_not_sent() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    one.esphome.set("bundle", Some(Behaviour::DoesNothing));
    one.install("kitchen").await;
    let ends = one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Failed, JobStatus::Cancelled]);
    let error = one.jobs().await[0].error.clone().unwrap_or_default();
    assert!(error.contains("wrote nothing"), "{error}");
    assert_eq!(two.jobs().await, [], "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_fails_leaves_nothing_of_its_secrets_on_the_disk() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    for behaviour in [
        Behaviour::Fails("Invalid YAML\n".to_owned()),
        Behaviour::DoesNothing,
    ] {
        one.esphome.set("bundle", Some(behaviour));
        one.install("kitchen").await;
        let ends = one.finish_jobs(LONG).await;
        assert!(ends.contains(&JobStatus::Failed), "{ends:?}");
        assert_eq!(one.store.blobs().unwrap(), []);
    }
}

/// A sender that takes little at a time of what its build says, and takes it for long.
async fn slow_sender(end: &str) -> (Held, Job) {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let gate = two.esphome.chatter("compile");
    gate.send_replace(end == "ends");
    world.net.latency(Duration::from_secs(15));
    one.install("kitchen").await;
    let compiles = async || two.started("compile") > 0;
    world.run_until(LONG, compiles).await;
    let job = two.jobs().await.remove(0);
    (
        Held {
            world,
            one,
            two,
            gate,
        },
        job,
    )
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_stopped_does_not_wait_for_a_slow_sender_to_take_its_last_words() {
    let (held, job) = slow_sender("goes on").await;
    held.world.run_for(Duration::from_secs(10)).await;
    assert_eq!(held.two.jobs().await[0].status, JobStatus::Running);
    held.two.tell(Request::Cancel(job.id));
    held.world.run_for(Duration::from_secs(5)).await;
    assert_eq!(held.two.jobs().await[0].status, JobStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_done_waits_five_minutes_for_a_slow_sender_and_then_goes_back() {
    let (held, _) = slow_sender("ends").await;
    held.world.run_for(Duration::from_secs(295)).await;
    let job = held.two.jobs().await.remove(0);
    assert_eq!(job.status, JobStatus::Running, "{job:#?}");
    held.world.run_for(Duration::from_secs(10)).await;
    let job = held.two.jobs().await.remove(0);
    let why = say::declined(say::output_not_taken());
    assert_eq!(job.error, Some(why), "{job:#?}");
    held.world.net.latency(Duration::ZERO);
    let ends = held.one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_installation_of_esphome_ends_with_the_node_and_leaves_nothing_that_counts() {
    let world = World::new();
    let mut one = world.host(1, "one").await;
    let gate = one.esphome.hold("venv");
    std::fs::create_dir_all(one.path("bin")).unwrap();
    std::fs::write(one.path("bin/python3.13"), "").unwrap();
    let wanted = "2026.11.0".to_owned();
    one.ask(Request::InstallEnvironment(wanted.clone())).await;
    let making = async || one.processes.lines().iter().any(|l| l.contains(" venv "));
    world.run_until(LONG, making).await;
    one.stop().await;
    assert_eq!(one.processes.killed(), 1);
    drop(gate);
    one.start().await.unwrap();
    world.settle().await;
    let Reply::Environments(all) = one.ask(Request::Environments).await else {
        panic!("no list");
    };
    assert!(all.iter().all(|e| e.version.as_str() != wanted), "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_flash_whose_start_cannot_be_kept_is_not_begun_and_a_kill_repeats_none() {
    let world = World::new();
    let mut one = world.host(1, "one").await;
    let gate = one.esphome.hold("compile");
    one.install("kitchen").await;
    let compiles = async || one.started("compile") > 0;
    world.run_until(LONG, compiles).await;
    one.store.refuse(Some(StoreError::Full));
    gate.send_replace(true);
    let ends = one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed, JobStatus::Failed]);
    assert_eq!(one.esphome.flashed(), [], "nobody could know of it later");
    let error = one.jobs().await[1].error.clone().unwrap_or_default();
    assert!(error.contains("free some disk space"), "{error}");

    one.kill().await;
    one.store.refuse(None);
    one.esphome.set("compile", None);
    one.start().await.unwrap();
    let ends = one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed; 2], "as the disk remembers it");
    assert_eq!(one.esphome.flashed().len(), 1);
}
