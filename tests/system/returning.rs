//! Stories of what comes back: receivers that moved, offloaders that are called, devices that were
//! away, and installations that a newer one replaced.
use std::net::IpAddr;
use std::time::Duration;

use kiln_model::{JobStatus, Request};
use kiln_ports::discovery::Sighting;
use kiln_testkit::SimMulticast;

use crate::installing::{LONG, flash};
use crate::world::{Host, World};

/// Longer than the quiet time before a receiver calls (300 s), its sweep (30 s) and a redial.
const CALLED: Duration = Duration::from_secs(900);

fn device(name: &str) -> Sighting {
    Sighting::Device {
        name: name.to_owned(),
        addresses: vec![[10, 0, 0, 77].into()],
        version: "2026.9.0".to_owned(),
        config_hash: String::new(),
    }
}

/// Starts a stopped host again with another address.
async fn move_to(host: &mut Host, ip: IpAddr) {
    host.stop().await;
    host.ip = ip;
    host.start().await.unwrap();
}

/// Returns where `one` believes its only receiver to be.
async fn believed(one: &Host) -> String {
    one.view().await.pairings[0].pairing.endpoint.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_announces_itself_elsewhere_is_found_there_and_remembered() {
    let world = World::new();
    let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let before = believed(&one).await;
    move_to(&mut two, [10, 0, 0, 5].into()).await;
    let back = async || one.is_connected().await;
    world.run_until(LONG, back).await;
    assert_ne!(believed(&one).await, before);
    one.install("kitchen").await;
    assert_eq!(one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
    assert_eq!(one.esphome.flashed(), [flash("two")]);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_announces_the_pinned_key_without_having_it_is_not_followed() {
    let world = World::new();
    let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    let three = world.host(3, "three").await;
    one.pair_with(&two).await;
    let (before, pin) = (believed(&one).await, two.pin().await);
    let seen = three.view().await;
    two.stop().await;
    let name = kiln_model::host_label(&seen.identity.dashboard_id);
    world
        .multicast
        .inject(&Sighting::Host(kiln_model::DiscoveredHost {
            name: name.clone(),
            hostname: format!("{name}.local."),
            port: 6055,
            addresses: vec![three.ip],
            server_version: "1".to_owned(),
            esphome_version: String::new(),
            friendly_name: kiln_model::FriendlyName::clipped("two"),
            pin: Some(pin),
            endpoint: Some(three.endpoint()),
            ha_addon: false,
        }));
    world.run_for(LONG).await;
    assert!(
        world.net.dials().iter().any(|to| to.ip() == three.ip),
        "it was asked for its key"
    );
    assert_eq!(believed(&one).await, before);
    assert!(!one.is_connected().await);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_nobody_hears_of_any_more_calls_its_offloader_and_is_found() {
    let world = World::new();
    let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let before = believed(&one).await;
    // From now on it is in another multicast domain: behind a router, for example.
    two.world.multicast = SimMulticast::new();
    move_to(&mut two, [10, 0, 9, 2].into()).await;
    world.run_for(Duration::from_secs(200)).await;
    assert!(!one.is_connected().await, "nobody told it yet");
    let called = async || one.is_connected().await;
    world.run_until(CALLED, called).await;
    assert_ne!(believed(&one).await, before);
    one.install("kitchen").await;
    assert_eq!(one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
    assert_eq!(one.esphome.flashed(), [flash("two")]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_away_is_flashed_when_it_comes_back_also_after_a_restart() {
    let world = World::new();
    let (mut one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    world.multicast.inject(&device("kitchen"));
    let gone = Sighting::DeviceGone("kitchen".to_owned());
    world.multicast.inject(&gone);
    one.install("kitchen").await;
    let waits = async || one.jobs().await.iter().any(|job| job.deferred);
    world.run_until(LONG, waits).await;
    assert_eq!(one.jobs().await[0].status, JobStatus::Completed);

    one.kill().await;
    one.start().await.unwrap();
    world.run_for(Duration::from_secs(3600)).await;
    assert_eq!(one.esphome.flashed(), [], "it is still away");
    assert!(one.jobs().await[1].deferred);

    world.multicast.inject(&device("kitchen"));
    assert_eq!(one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
    assert_eq!(one.esphome.flashed(), [flash("two")]);
    world.multicast.inject(&gone);
    world.multicast.inject(&device("kitchen"));
    world.run_for(Duration::from_secs(60)).await;
    assert_eq!(one.esphome.flashed().len(), 1, "once");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_seen_before_a_restart_is_flashed_when_it_is_seen_again() {
    let world = World::new();
    let mut one = world.host(1, "one").await;
    world.multicast.inject(&device("kitchen"));
    world.settle().await;
    one.stop().await;
    one.start().await.unwrap();
    one.install("kitchen").await;
    let waits = async || one.jobs().await.iter().any(|job| job.deferred);
    world.run_until(LONG, waits).await;
    assert_eq!(one.esphome.flashed(), []);
    world.multicast.inject(&device("kitchen"));
    assert_eq!(one.finish_jobs(LONG).await, [JobStatus::Completed; 2]);
    assert_eq!(one.esphome.flashed(), [flash("one")]);
}

#[tokio::test(start_paused = true)]
async fn a_newer_installation_replaces_one_that_still_builds_and_only_the_newer_flashes() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let gate = two.esphome.hold("compile");
    let older = one.install("kitchen").await;
    let builds = async || two.started("compile") > 0;
    world.run_until(LONG, builds).await;
    two.esphome.set("compile", None);
    let newer = one.install("kitchen").await;
    let ends = async || one.jobs().await.iter().all(|job| job.status.is_final());
    world.run_until(LONG, ends).await;
    drop(gate);
    for job in one.jobs().await {
        let expected = match newer.iter().any(|new| new.id == job.id) {
            true => JobStatus::Completed,
            false => JobStatus::Cancelled,
        };
        assert_eq!(job.status, expected, "{job:?}");
        assert!(older.iter().chain(&newer).any(|known| known.id == job.id));
    }
    assert_eq!(one.esphome.flashed(), [flash("two")]);
    assert_eq!(
        two.processes.killed(),
        1,
        "the older build is stopped there"
    );
}

#[tokio::test(start_paused = true)]
async fn a_flash_that_waits_for_its_device_can_be_given_up() {
    let world = World::new();
    let one = world.host(1, "one").await;
    world.multicast.inject(&device("kitchen"));
    let gone = Sighting::DeviceGone("kitchen".to_owned());
    world.multicast.inject(&gone);
    let jobs = one.install("kitchen").await;
    let waits = async || one.jobs().await.iter().any(|job| job.deferred);
    world.run_until(LONG, waits).await;
    one.ask(Request::Cancel(jobs[1].id.clone())).await;
    let ends = one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed, JobStatus::Cancelled]);
    world.multicast.inject(&device("kitchen"));
    world.run_for(Duration::from_secs(60)).await;
    assert_eq!(one.esphome.flashed(), []);
}
