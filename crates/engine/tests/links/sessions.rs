//! Open sessions: heartbeat, ends of every kind, and what breaks them.
use std::time::Duration;

use kiln_domain::work;
use kiln_model::{CloseReason, LinkId, Message, QueueStatus, TerminateReason};
use kiln_testkit::{Heard, Wire};
use serde_json::json;

use crate::world::{Kilns, World, ip, job, settle, watched};

const TICK: Duration = Duration::from_secs(30);

// Covers: B-18, B-19
#[tokio::test]
async fn a_silent_offloader_is_pinged_three_times_and_terminated_at_the_fourth_tick() {
    let world = World::new();
    let (mut receiver, link, mut stranger) = world.receiver().await;
    for nonce in 1..=3 {
        world.clock.advance(TICK);
        let ping = json!({"type": "ping", "nonce": nonce});
        assert_eq!(watched(stranger.hears()).await, Heard::Frame(ping));
    }
    settle().await;
    assert!(receiver.unseen().is_empty(), "90 s are not more than 90 s");
    world.clock.advance(TICK);
    let dead = json!({"type": "terminate", "reason": "heartbeat_timeout"});
    assert_eq!(watched(stranger.hears()).await, Heard::Frame(dead));
    assert_eq!(stranger.hears().await, Heard::Closed(Some(1000)));
    assert_eq!(
        receiver.closed().await,
        (link, CloseReason::HeartbeatTimeout)
    );
}

// Covers: B-19
#[tokio::test]
async fn a_silent_receiver_is_closed_without_a_frame() {
    let world = World::new();
    let (mut offloader, link, mut stranger) = world.offloader().await;
    for _ in 1..=3 {
        world.clock.advance(TICK);
        assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
    }
    world.clock.advance(TICK);
    assert_eq!(watched(stranger.hears()).await, Heard::Closed(Some(1000)));
    assert_eq!(
        offloader.closed().await,
        (link, CloseReason::HeartbeatTimeout)
    );
}

// Covers: B-20
#[tokio::test]
async fn any_frame_that_can_be_read_is_a_sign_of_life() {
    let world = World::new();
    let (_receiver, _, mut stranger) = world.receiver().await;
    for _ in 1..=2 {
        world.clock.advance(TICK);
        assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
    }
    stranger.says(&json!({"type": "teapot"})).await;
    settle().await;
    for nonce in 3..=5 {
        world.clock.advance(TICK);
        let ping = json!({"type": "ping", "nonce": nonce});
        assert_eq!(watched(stranger.hears()).await, Heard::Frame(ping));
    }
}

#[tokio::test]
async fn two_kilns_keep_each_other_alive_for_a_day() {
    let world = World::new();
    let Kilns {
        mut receiver,
        mut offloader,
        ours,
        theirs,
    } = world.kilns().await;
    for _ in 0..2 * 60 * 24 {
        world.clock.advance(TICK);
        settle().await;
    }
    let status = QueueStatus::of(true, 2);
    receiver.links.send(ours, Message::QueueStatus(status));
    let heard = offloader.work().await;
    assert!(
        matches!(heard, work::Event::Received(link, Message::QueueStatus(s))
        if link == theirs && s == status)
    );
    assert!(receiver.unseen().is_empty());
}

#[tokio::test]
async fn a_wire_gone_dead_is_noticed_by_both_ends() {
    let world = World::new();
    let Kilns {
        mut receiver,
        mut offloader,
        ours,
        theirs,
    } = world.kilns().await;
    world.net.wire(ip(1), ip(2), Wire::Silent);
    for _ in 0..4 {
        world.clock.advance(TICK);
        settle().await;
    }
    assert_eq!(
        receiver.closed().await,
        (ours, CloseReason::HeartbeatTimeout)
    );
    assert_eq!(
        offloader.closed().await,
        (theirs, CloseReason::HeartbeatTimeout)
    );
}

// Covers: B-22, R-26, O-12
#[tokio::test]
async fn a_superseded_session_is_told_so_and_the_newer_one_stays() {
    let world = World::new();
    let Kilns {
        mut receiver,
        mut offloader,
        ours,
        theirs,
    } = world.kilns().await;
    let newer = LinkId(4);
    offloader.dial(
        newer,
        ip(1),
        Some(receiver.pin()),
        crate::world::peer_link(),
    );
    let (knocked, _) = receiver.knock().await;
    receiver.admit(knocked, offloader.pin());
    assert_eq!(offloader.dialled().await.0, newer);
    receiver
        .links
        .close(ours, Some(TerminateReason::Superseded));
    let superseded = CloseReason::WeTerminated(TerminateReason::Superseded);
    assert_eq!(receiver.closed().await, (ours, superseded));
    let superseded = CloseReason::Terminated(TerminateReason::Superseded);
    assert_eq!(offloader.closed().await, (theirs, superseded));
    offloader
        .links
        .send(newer, Message::CancelJob { job_id: job("j") });
    let heard = receiver.work().await;
    assert!(
        matches!(heard, work::Event::Received(link, Message::CancelJob { .. })
        if link == knocked)
    );
}

// Covers: B-21
#[tokio::test]
async fn a_terminate_is_not_answered_and_its_word_is_passed_on() {
    for (word, reason) in [
        (
            "superseded",
            CloseReason::Terminated(TerminateReason::Superseded),
        ),
        ("bored", CloseReason::TerminatedUnknown("bored".into())),
    ] {
        let world = World::new();
        let (mut offloader, link, mut stranger) = world.offloader().await;
        stranger
            .says(&json!({"type": "terminate", "reason": word}))
            .await;
        assert_eq!(watched(stranger.hears()).await, Heard::Closed(Some(1000)));
        assert_eq!(offloader.closed().await, (link, reason));
    }
}

// Covers: O-34
#[tokio::test]
async fn a_stopping_node_tells_its_receivers_and_its_offloaders() {
    let world = World::new();
    let Kilns {
        receiver,
        mut offloader,
        theirs,
        ..
    } = world.kilns().await;
    watched(receiver.links.shutdown()).await;
    let told = CloseReason::Terminated(TerminateReason::ServerShuttingDown);
    assert_eq!(offloader.closed().await, (theirs, told));

    let world = World::new();
    let Kilns {
        mut receiver,
        offloader,
        ours,
        ..
    } = world.kilns().await;
    watched(offloader.links.shutdown()).await;
    let told = CloseReason::Terminated(TerminateReason::ClientStopped);
    assert_eq!(receiver.closed().await, (ours, told));
}

#[tokio::test]
async fn a_stopping_node_does_not_wait_for_a_domain_that_listens_no_more() {
    let world = World::new();
    let Kilns {
        receiver,
        mut offloader,
        ..
    } = world.kilns().await;
    for _ in 0..2_000 {
        offloader
            .links
            .send(LinkId(2), Message::CancelJob { job_id: job("j") });
    }
    settle().await;
    watched(receiver.links.shutdown()).await;
    offloader.closed().await;
}

#[tokio::test]
async fn a_hang_up_and_a_reset_are_the_same_to_us() {
    let world = World::new();
    let (mut offloader, link, mut stranger) = world.offloader().await;
    stranger.closes(1001).await;
    assert_eq!(offloader.closed().await, (link, CloseReason::PeerHungUp));

    let world = World::new();
    let (mut offloader, link, _stranger) = world.offloader().await;
    world.net.reset(ip(2), ip(9));
    assert_eq!(offloader.closed().await, (link, CloseReason::PeerHungUp));
}

// Covers: B-23, R-27
#[tokio::test]
async fn one_changed_byte_ends_a_session_at_the_receiver() {
    for at in [0, 20, 35] {
        let world = World::new();
        let (mut receiver, link, mut stranger) = world.receiver().await;
        let mut message = stranger.seals(br#"{"type":"ping","nonce":1}"#);
        let at = at.min(message.len() - 1);
        message[at] ^= 0x40;
        stranger.sends(message).await;
        let terminate = json!({"type": "terminate", "reason": "malformed_frame"});
        assert_eq!(watched(stranger.hears()).await, Heard::Frame(terminate));
        assert_eq!(stranger.hears().await, Heard::Closed(Some(1000)));
        let reason = CloseReason::WeTerminated(TerminateReason::MalformedFrame);
        assert_eq!(receiver.closed().await, (link, reason));
    }
}

// Covers: O-20
#[tokio::test]
async fn what_cannot_be_read_is_closed_without_a_frame_at_the_offloader() {
    for plaintext in ["nojson", "[]", "5", ""] {
        let world = World::new();
        let (mut offloader, link, mut stranger) = world.offloader().await;
        stranger.says_text(plaintext).await;
        assert_eq!(watched(stranger.hears()).await, Heard::Closed(Some(1000)));
        let (closed, reason) = offloader.closed().await;
        assert_eq!(closed, link);
        assert!(
            matches!(reason, CloseReason::TransportError(_)),
            "{plaintext:?}"
        );
    }
}

/// A frame of a type nobody knows whose ciphertext has this many bytes.
fn frame_of(ciphertext: usize) -> String {
    let around = r#"{"type":"x","p":""}"#.len();
    format!(
        r#"{{"type":"x","p":"{}"}}"#,
        "p".repeat(ciphertext - 16 - around)
    )
}

// Covers: R-28
#[tokio::test]
async fn a_receiver_reads_61440_bytes_and_says_so_when_there_is_one_more() {
    let world = World::new();
    let (_receiver, _, mut stranger) = world.receiver().await;
    stranger.says_text(&frame_of(61_440)).await;
    stranger.says(&json!({"type": "ping", "nonce": 1})).await;
    let pong = json!({"type": "pong", "nonce": 1});
    assert_eq!(watched(stranger.hears()).await, Heard::Frame(pong));
    stranger.says_text(&frame_of(61_441)).await;
    let terminate = json!({"type": "terminate", "reason": "malformed_frame"});
    assert_eq!(watched(stranger.hears()).await, Heard::Frame(terminate));
}

// Covers: O-19
#[tokio::test]
async fn an_offloader_reads_whatever_a_reference_receiver_can_encrypt() {
    let world = World::new();
    let (_offloader, _, mut stranger) = world.offloader().await;
    for size in [61_439, 61_440, 65_535] {
        stranger.says_text(&frame_of(size)).await;
    }
    stranger.says(&json!({"type": "ping", "nonce": 1})).await;
    let pong = json!({"type": "pong", "nonce": 1});
    assert_eq!(watched(stranger.hears()).await, Heard::Frame(pong));
}

// Covers: O-18, B-14
#[tokio::test]
async fn malformed_and_misdirected_frames_of_a_receiver_are_ignored() {
    let world = World::new();
    let (mut offloader, _, mut stranger) = world.offloader().await;
    for frame in [
        json!({"type": "queue_status", "idle": 1, "running": false, "queue_depth": 0}),
        json!({"type": "submit_job_ack", "accepted": true}),
        json!({"type": "job_state_changed", "job_id": "j", "status": "running"}),
        json!({"type": "cancel_job", "job_id": "j"}),
        json!({"type": "artifacts_chunk", "job_id": "j"}),
        json!({"no": "type"}),
    ] {
        stranger.says(&frame).await;
    }
    stranger.says(&json!({"type": "ping"})).await;
    let pong = json!({"type": "pong", "nonce": null});
    assert_eq!(watched(stranger.hears()).await, Heard::Frame(pong));
    assert!(offloader.unseen().is_empty());
}

#[tokio::test]
async fn a_peer_that_asks_without_reading_is_cut_off() {
    let world = World::new();
    let (mut receiver, link, mut stranger) = world.receiver().await;
    let asking = tokio::spawn(async move {
        for nonce in 0..20_000 {
            stranger
                .says(&json!({"type": "ping", "nonce": nonce}))
                .await;
        }
        stranger
    });
    while receiver.unseen().is_empty() {
        // Its last words have no way out; they are given up after a while.
        world.clock.advance(Duration::from_secs(1));
        settle().await;
    }
    asking.await.unwrap();
    receiver
        .links
        .send(link, Message::QueueStatus(QueueStatus::of(false, 0)));
}
