//! Stories of pairing: who is let in, who is not, and for how long anybody is heard.
use std::time::Duration;

use kiln_model::{AlertKind, ErrorCode, Reply, Request};

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn two_hosts_pair_in_both_directions_and_open_a_session_each() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    two.pair_with(&one).await;
    for host in [&one, &two] {
        let view = host.view().await;
        assert_eq!(view.peers.len(), 1);
        assert!(view.peers[0].connected);
        assert_eq!(view.pairings.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_heard_while_the_window_is_closed() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    match one.ask_to_pair(&two).await {
        Reply::Refused(error) => assert_eq!(error.code, ErrorCode::NoPairingWindow),
        other => panic!("{other:?}"),
    }
    assert_eq!(two.view().await.pending, []);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_offloader_gets_no_session_and_is_forgotten() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    two.ask(Request::OpenWindow).await;
    assert_eq!(one.ask_to_pair(&two).await, Reply::PairingPending);
    let id = one.view().await.identity.dashboard_id;
    assert_eq!(two.ask(Request::Reject(id)).await, Reply::Done);
    world.run_for(Duration::from_secs(30)).await;
    assert_eq!(two.view().await.peers, []);
    assert_eq!(two.view().await.pending, []);
    assert!(!one.is_connected().await);
}

#[tokio::test(start_paused = true)]
async fn the_window_closes_after_five_minutes_and_a_civil_clock_jump_does_not_move_its_end() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    two.ask(Request::OpenWindow).await;
    const TEN_YEARS: i64 = 10 * 365 * 86_400;
    world.clock.jump(-TEN_YEARS);
    world.run_for(Duration::from_secs(299)).await;
    assert_eq!(one.ask_to_pair(&two).await, Reply::PairingPending);
    world.clock.jump(2 * TEN_YEARS);
    world.run_for(Duration::from_secs(2)).await;
    match one.ask_to_pair(&two).await {
        Reply::Refused(error) => assert_eq!(error.code, ErrorCode::NoPairingWindow),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_peer_loses_its_session_and_its_owner_is_told() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let id = one.view().await.identity.dashboard_id;
    assert_eq!(two.ask(Request::RemovePeer(id)).await, Reply::Done);
    world.run_for(Duration::from_secs(60)).await;
    assert!(!one.is_connected().await);
    assert_eq!(one.view().await.alerts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pairing_survives_a_restart_and_a_kill_of_either_side() {
    let world = World::new();
    let (mut one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    for round in 0..4 {
        let host = if round % 2 == 0 { &mut one } else { &mut two };
        match round {
            0 | 1 => host.stop().await,
            _ => host.kill().await,
        }
        world.run_for(Duration::from_secs(10)).await;
        host.start().await.unwrap();
        let wait = Duration::from_secs(180);
        world
            .run_until(wait, async || one.is_connected().await)
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_with_another_key_gets_no_session_and_its_owner_sees_both_keys() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    assert_eq!(two.ask(Request::RotateIdentity).await, Reply::Done);
    world.run_for(Duration::from_secs(120)).await;
    assert!(!one.is_connected().await);
    let alerts = one.view().await.alerts;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].kind, AlertKind::PinMismatch);
    assert_eq!(alerts[0].observed, Some(two.pin().await));
}
