//! Stories of faces that follow: what is there at once, and every change of it.
use std::time::Duration;

use kiln_ipc::{Event, Follow};
use kiln_model::{Device, EnvironmentState, Presence, Reply, Request};
use kiln_ports::discovery::Sighting;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::esphome::VERSION;
use crate::installing::LONG;
use crate::world::World;

/// Returns the newest list of devices in the inbox.
fn newest(inbox: &mut UnboundedReceiver<Event>) -> Vec<Device> {
    let mut last = None;
    while let Ok(event) = inbox.try_recv() {
        match event {
            Event::Devices { devices } => last = Some(devices),
            other => panic!("{other:?} is no list of devices"),
        }
    }
    last.expect("a list of devices")
}

#[tokio::test(start_paused = true)]
async fn who_follows_the_devices_sees_them_at_once_and_every_change() {
    let world = World::new();
    let one = world.host(1, "one").await;
    let mut inbox = one.follow(Follow::Devices).await;
    let devices = newest(&mut inbox);
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0].presence, Presence::Unknown);

    let here = Sighting::Device {
        name: "kitchen".to_owned(),
        addresses: vec![[10, 0, 0, 77].into()],
        version: "2026.9.0".to_owned(),
        config_hash: String::new(),
    };
    world.multicast.inject(&here);
    world.settle().await;
    let device = newest(&mut inbox).remove(0);
    assert_eq!(device.presence, Presence::Online);
    assert_eq!(device.address, "10.0.0.77");
    assert_eq!(device.deployed_version, "2026.9.0");

    let gone = Sighting::DeviceGone("kitchen".to_owned());
    world.multicast.inject(&gone);
    world.settle().await;
    assert_eq!(newest(&mut inbox)[0].presence, Presence::Offline);

    world.multicast.inject(&here);
    one.install("kitchen").await;
    one.finish_jobs(LONG).await;
    world.settle().await;
    assert_eq!(newest(&mut inbox)[0].built_version, VERSION);

    one.add_device("attic");
    one.ask(Request::Devices).await;
    world.settle().await;
    assert_eq!(newest(&mut inbox).len(), 2, "a look at the folder is news");
    one.ask(Request::Devices).await;
    world.settle().await;
    assert!(inbox.try_recv().is_err(), "the same again is no news");
}

#[tokio::test(start_paused = true)]
async fn who_follows_the_environments_sees_an_installation_fail_with_its_reason() {
    let world = World::new();
    let one = world.host(1, "one").await;
    let wanted = "2026.11.0".to_owned();
    let reply = one.ask(Request::InstallEnvironment(wanted.clone())).await;
    assert_eq!(reply, Reply::Done);
    // Whoever begins now is shown this installation and no older outcome.
    let mut inbox = one.follow(Follow::Environments).await;
    let mut states = Vec::new();
    let failed = async || {
        while let Ok(event) = inbox.try_recv() {
            let Event::Environments { environments } = event else {
                panic!("{event:?} is no list of environments");
            };
            let found = environments.iter().find(|e| e.version.as_str() == wanted);
            states.push(found.expect("the installation is listed").state.clone());
        }
        matches!(states.last(), Some(EnvironmentState::Broken(_)))
    };
    world.run_until(LONG, failed).await;
    match states.last() {
        // No host of these stories has a Python.
        Some(EnvironmentState::Broken(why)) => assert!(why.contains("no Python"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_face_that_comes_after_a_quiet_time_sees_the_node_as_it_is_now() {
    let world = World::new();
    let one = world.host(1, "one").await;
    let mut first = one.follow(Follow::View).await;
    let Ok(Event::View { view }) = first.try_recv() else {
        panic!("a view comes at once");
    };
    assert_eq!(view.jobs, []);
    one.install("kitchen").await;
    one.finish_jobs(LONG).await;
    world.run_for(Duration::from_secs(60)).await;
    let mut second = one.follow(Follow::View).await;
    let Ok(Event::View { view }) = second.try_recv() else {
        panic!("a view comes at once");
    };
    assert_eq!(view.jobs.len(), 2);
    assert!(second.try_recv().is_err(), "once");
}
