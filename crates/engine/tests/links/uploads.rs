//! Bundles on their way: from a Kiln to a Kiln, from strangers, and everything that stops them.
use std::time::Duration;

use kiln_domain::work::{Event, StepFailure};
use kiln_model::{CloseReason, LinkId, Message, SubmitRefusal, TerminateReason};
use kiln_ports::Store;
use kiln_testkit::{Heard, Stranger};
use serde_json::{Value, json};

use crate::world::{
    Host, Kilns, World, base64, bytes, header, ip, job, pin, secret, settle, sha256, watched,
};

/// A header as a reference offloader writes it.
fn announce(id: &str, bundle: &[u8], chunks: usize) -> Value {
    json!({
        "type": "submit_job",
        "job_id": id,
        "configuration_filename": "kitchen.yaml",
        "target": "compile",
        "total_bundle_bytes": bundle.len(),
        "num_chunks": chunks,
        "bundle_sha256": sha256(bundle),
    })
}

fn chunk(id: &str, index: usize, data: &[u8], is_last: bool) -> Value {
    json!({
        "type": "submit_job_chunk",
        "job_id": id,
        "chunk_index": index,
        "data_b64": base64(data),
        "is_last": is_last,
    })
}

fn refused(id: &str, reason: &str) -> Heard {
    let ack = json!({"type": "submit_job_ack", "job_id": id, "accepted": false, "reason": reason});
    Heard::Frame(ack)
}

async fn arrival(receiver: &mut Host) -> (LinkId, String, Vec<u8>) {
    match receiver.work().await {
        Event::SubmissionArrived {
            link,
            header,
            bundle,
            ..
        } => (link, header.job_id.0, receiver.take(&bundle)),
        other => panic!("expected a bundle, got {other:?}"),
    }
}

async fn start(receiver: &mut Host) -> String {
    match receiver.work().await {
        Event::SubmissionStarted(_, job) => job.0,
        other => panic!("expected the start of an upload, got {other:?}"),
    }
}

// Covers: B-26
#[tokio::test]
async fn a_bundle_arrives_as_it_was_sent() {
    for size in [1, 32_768, 32_769, 3_000_000] {
        let world = World::new();
        let Kilns {
            mut receiver,
            mut offloader,
            ours,
            theirs,
        } = world.kilns().await;
        let bundle = bytes(size);
        let blob = offloader.blob(&bundle);
        offloader.links.upload(theirs, header("j1", &bundle), blob);
        assert_eq!(start(&mut receiver).await, "j1");
        assert_eq!(arrival(&mut receiver).await, (ours, "j1".into(), bundle));
        match offloader.work().await {
            Event::Uploaded(link, id, Ok(())) => assert_eq!((link, id), (theirs, job("j1"))),
            other => panic!("{other:?}"),
        }
    }
}

// Covers: B-26
#[tokio::test]
async fn to_a_reference_receiver_a_bundle_goes_in_pieces_of_32768_bytes() {
    let world = World::new();
    let (mut offloader, link, mut stranger) = world.offloader().await;
    let bundle = bytes(2 * 32_768 + 5);
    let blob = offloader.blob(&bundle);
    offloader.links.upload(link, header("j1", &bundle), blob);
    let Heard::Frame(head) = watched(stranger.hears()).await else {
        panic!()
    };
    assert_eq!(
        (&head["type"], &head["num_chunks"]),
        (&json!("submit_job"), &json!(3))
    );
    for (index, piece) in bundle.chunks(32_768).enumerate() {
        let expected = chunk("j1", index, piece, index == 2);
        assert_eq!(watched(stranger.hears()).await, Heard::Frame(expected));
    }
    assert!(matches!(
        offloader.work().await,
        Event::Uploaded(_, _, Ok(()))
    ));
    stranger
        .says(&json!({"type": "submit_job_ack", "job_id": "j1", "accepted": true}))
        .await;
    let heard = offloader.work().await;
    assert!(matches!(
        heard,
        Event::Received(
            _,
            Message::SubmitJobAck {
                verdict: Ok(()),
                ..
            }
        )
    ));
}

//
#[tokio::test]
async fn what_is_said_after_a_bundle_is_heard_after_it() {
    let world = World::new();
    let (mut receiver, _, mut stranger) = world.receiver().await;
    let bundle = bytes(600_000);
    let pieces: Vec<&[u8]> = bundle.chunks(32_768).collect();
    let sending = tokio::spawn({
        let frames: Vec<Value> = pieces
            .iter()
            .enumerate()
            .map(|(i, piece)| chunk("x", i, piece, i + 1 == pieces.len()))
            .collect();
        let head = announce("x", &bundle, pieces.len());
        async move {
            stranger.says(&head).await;
            for frame in frames {
                stranger.says(&frame).await;
            }
            stranger
                .says(&json!({"type": "cancel_job", "job_id": "x"}))
                .await;
            stranger
        }
    });
    start(&mut receiver).await;
    assert_eq!(arrival(&mut receiver).await.1, "x");
    let heard = receiver.work().await;
    assert!(matches!(heard, Event::Received(_, Message::CancelJob { job_id }) if job_id.0 == "x"));
    sending.await.unwrap();
}

//
#[tokio::test]
async fn a_second_header_does_not_disturb_the_upload_under_way() {
    let world = World::new();
    let (mut receiver, _, mut stranger) = world.receiver().await;
    stranger.says(&announce("a", b"hello!", 2)).await;
    stranger.says(&chunk("a", 0, b"hel", false)).await;
    stranger.says(&announce("b", b"other", 1)).await;
    assert_eq!(
        watched(stranger.hears()).await,
        refused("b", "duplicate_submit")
    );
    stranger.says(&chunk("a", 1, b"lo!", true)).await;
    start(&mut receiver).await;
    assert_eq!(arrival(&mut receiver).await.2, b"hello!");
}

#[tokio::test]
async fn the_id_of_a_bundle_in_preparation_is_taken_until_it_is_settled() {
    let world = World::new();
    let (mut receiver, _, mut stranger) = world.receiver().await;
    stranger.says(&announce("a", b"hello", 1)).await;
    stranger.says(&chunk("a", 0, b"hello", true)).await;
    start(&mut receiver).await;
    arrival(&mut receiver).await;
    stranger.says(&announce("a", b"hello", 1)).await;
    assert_eq!(
        watched(stranger.hears()).await,
        refused("a", "duplicate_submit")
    );
    receiver
        .links
        .submission_settled(pin(&secret(9)), &job("a"));
    stranger.says(&announce("a", b"hello", 1)).await;
    assert_eq!(start(&mut receiver).await, "a");
}

//
#[tokio::test]
async fn a_refused_upload_is_reported_and_leaves_nothing_on_disk() {
    let world = World::new();
    let (mut receiver, _, mut stranger) = world.receiver().await;
    let big = bytes(700_000);
    stranger.says(&announce("a", &big[..699_999], 22)).await;
    let mut pieces = big.chunks(32_768).enumerate().peekable();
    while let Some((i, piece)) = pieces.next() {
        stranger
            .says(&chunk("a", i, piece, pieces.peek().is_none()))
            .await;
        settle().await;
    }
    assert_eq!(watched(stranger.hears()).await, refused("a", "oversized"));
    start(&mut receiver).await;
    match receiver.work().await {
        Event::SubmissionDropped(_, id) => assert_eq!(id, job("a")),
        other => panic!("{other:?}"),
    }
    assert!(receiver.store.blobs().unwrap().is_empty());
    stranger.says(&announce("b", b"hello", 1)).await;
    stranger.says(&chunk("b", 0, b"hello", true)).await;
    start(&mut receiver).await;
    assert_eq!(arrival(&mut receiver).await.1, "b");
}

//
#[tokio::test]
async fn an_upload_cut_off_leaves_nothing_and_a_new_session_starts_afresh() {
    let world = World::new();
    let (mut receiver, link, mut stranger) = world.receiver().await;
    let big = bytes(1_000_000);
    stranger.says(&announce("a", &big, 31)).await;
    for (i, piece) in big.chunks(32_768).take(20).enumerate() {
        stranger.says(&chunk("a", i, piece, false)).await;
        settle().await;
    }
    start(&mut receiver).await;
    drop(stranger);
    assert_eq!(receiver.closed().await, (link, CloseReason::PeerHungUp));
    assert!(receiver.store.blobs().unwrap().is_empty());

    let (_, mut stranger) = world.stranger_at(&mut receiver).await;
    stranger.says(&announce("a", b"hello", 1)).await;
    stranger.says(&chunk("a", 0, b"hello", true)).await;
    start(&mut receiver).await;
    assert_eq!(arrival(&mut receiver).await.2, b"hello");
}

#[tokio::test]
async fn a_sender_that_hangs_in_the_middle_of_an_upload_is_cut_off_though_it_is_alive() {
    let world = World::new();
    let (mut receiver, link, mut stranger) = world.receiver().await;
    stranger.says(&announce("a", b"hello", 3)).await;
    stranger.says(&chunk("a", 0, b"hel", false)).await;
    start(&mut receiver).await;
    for index in 1..=4 {
        settle().await;
        world.clock.advance(Duration::from_secs(30));
        if index < 4 {
            assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
            stranger
                .says(&json!({"type": "pong", "nonce": index}))
                .await;
        }
    }
    let over = json!({"type": "terminate", "reason": "heartbeat_timeout"});
    assert_eq!(watched(stranger.hears()).await, Heard::Frame(over));
    let closed = (link, CloseReason::HeartbeatTimeout);
    assert_eq!(receiver.closed().await, closed);
    assert!(receiver.store.blobs().unwrap().is_empty());
}

#[tokio::test]
async fn a_takeover_in_the_middle_of_an_upload_frees_its_slot() {
    let world = World::new();
    let (mut receiver, old, mut stranger) = world.receiver().await;
    stranger.says(&announce("a", b"hello", 1)).await;
    start(&mut receiver).await;
    let (_, mut newer) = world.stranger_at(&mut receiver).await;
    receiver.links.close(old, Some(TerminateReason::Superseded));
    assert_eq!(receiver.closed().await.0, old);
    newer.says(&announce("a", b"hello", 1)).await;
    newer.says(&chunk("a", 0, b"hello", true)).await;
    start(&mut receiver).await;
    assert_eq!(arrival(&mut receiver).await.2, b"hello");
}

#[tokio::test]
async fn every_chunk_after_a_refused_header_is_answered_though_nobody_reads() {
    let world = World::new();
    let (_receiver, _, mut stranger) = world.receiver().await;
    for index in 0..4_096 {
        stranger.says(&chunk("a", index, b"", false)).await;
    }
    for _ in 0..4_096 {
        assert_eq!(
            watched(stranger.hears()).await,
            refused("a", "no_inflight_submit")
        );
    }
    stranger.says(&json!({"type": "ping", "nonce": 1})).await;
    assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
}

#[tokio::test]
async fn a_receiver_with_a_full_disk_says_so_and_lets_the_job_be_built_elsewhere() {
    let world = World::new();
    let (mut receiver, _, mut stranger) = world.receiver().await;
    receiver.store.fill_disk();
    stranger.says(&announce("a", b"hello", 1)).await;
    stranger.says(&chunk("a", 0, b"hello", true)).await;
    let ack = json!({"type": "submit_job_ack", "job_id": "a", "accepted": true});
    assert_eq!(watched(stranger.hears()).await, Heard::Frame(ack));
    let failed = json!({
        "type": "job_state_changed",
        "job_id": "a",
        "status": "failed",
        "error_message": "the receiver could not store the bundle: the disk is full",
        "failure_reason": "provision",
    });
    assert_eq!(watched(stranger.hears()).await, Heard::Frame(failed));
    start(&mut receiver).await;
    assert!(matches!(
        receiver.work().await,
        Event::SubmissionDropped(..)
    ));
    stranger.says(&json!({"type": "ping", "nonce": 1})).await;
    assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
}

#[tokio::test]
async fn an_upload_stops_when_it_is_told_to_and_the_session_goes_on() {
    let world = World::new();
    let (mut offloader, link, mut stranger) = world.offloader().await;
    let bundle = bytes(20_000_000);
    let blob = offloader.blob(&bundle);
    offloader.links.upload(link, header("j1", &bundle), blob);
    assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
    let refusal = json!({
        "type": "submit_job_ack", "job_id": "j1", "accepted": false, "reason": "oversized",
    });
    stranger.says(&refusal).await;
    let heard = offloader.work().await;
    let oversized = Err(Some(SubmitRefusal::Oversized));
    assert!(
        matches!(heard, Event::Received(_, Message::SubmitJobAck { verdict, .. })
        if verdict == oversized)
    );
    offloader.links.stop_upload(link, &job("j1"));
    let chunks = chunks_until_pong(&mut stranger).await;
    assert!(chunks < 610, "{chunks} chunks came");
    assert!(matches!(
        offloader.work().await,
        Event::Uploaded(_, _, Err(StepFailure::Failed(_)))
    ));
    assert!(offloader.unseen().is_empty());
}

/// Counts the chunks that come before a pong that was asked for after everything settled.
async fn chunks_until_pong(stranger: &mut Stranger) -> usize {
    let mut chunks = 0;
    settle().await;
    stranger.says(&json!({"type": "ping", "nonce": 1})).await;
    loop {
        match watched(stranger.hears()).await {
            Heard::Frame(frame) if frame["type"] == "pong" => return chunks,
            Heard::Frame(frame) if frame["type"] == "submit_job_chunk" => chunks += 1,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_bundle_that_cannot_be_read_to_its_end_fails_and_keeps_the_session_usable() {
    let world = World::new();
    let Kilns {
        mut receiver,
        mut offloader,
        ours: _,
        theirs,
    } = world.kilns().await;
    let bundle = bytes(900_000);
    let blob = offloader.blob(&bundle[..500_000]);
    offloader.links.upload(theirs, header("j1", &bundle), blob);
    assert_eq!(start(&mut receiver).await, "j1");
    assert!(matches!(
        receiver.work().await,
        Event::SubmissionDropped(..)
    ));
    let mut failed = false;
    for _ in 0..2 {
        match offloader.work().await {
            Event::Uploaded(_, _, Err(StepFailure::Failed(_))) => failed = true,
            Event::Received(_, Message::SubmitJobAck { verdict, .. }) => {
                assert_eq!(verdict, Err(Some(SubmitRefusal::HashMismatch)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(failed);
    let blob = offloader.blob(&bundle);
    offloader.links.upload(theirs, header("j2", &bundle), blob);
    assert_eq!(start(&mut receiver).await, "j2");
    assert_eq!(arrival(&mut receiver).await.2, bundle);
}

// Covers: O-28
#[tokio::test]
async fn with_its_session_every_upload_fails_once_before_the_end_is_told() {
    let world = World::new();
    let (mut offloader, link, stranger) = world.offloader().await;
    let bundle = bytes(5_000_000);
    for id in ["j1", "j2"] {
        let blob = offloader.blob(&bundle);
        offloader.links.upload(link, header(id, &bundle), blob);
    }
    settle().await;
    world.net.reset(ip(2), ip(9));
    for id in ["j1", "j2"] {
        match offloader.work().await {
            Event::Uploaded(_, lost, Err(StepFailure::LinkLost)) => assert_eq!(lost, job(id)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(offloader.closed().await, (link, CloseReason::PeerHungUp));
    drop(stranger);
    let blob = offloader.blob(&bundle);
    offloader.links.upload(link, header("j3", &bundle), blob);
    assert!(matches!(
        offloader.work().await,
        Event::Uploaded(_, _, Err(StepFailure::LinkLost))
    ));
}

// Covers: O-21
#[tokio::test]
async fn uploads_to_one_receiver_follow_each_other() {
    let world = World::new();
    let Kilns {
        mut receiver,
        mut offloader,
        theirs,
        ..
    } = world.kilns().await;
    let bundle = bytes(400_000);
    for id in ["j1", "j2", "j3"] {
        let blob = offloader.blob(&bundle);
        offloader.links.upload(theirs, header(id, &bundle), blob);
    }
    for id in ["j1", "j2", "j3"] {
        assert_eq!(start(&mut receiver).await, id);
        assert_eq!(arrival(&mut receiver).await.1, id);
        assert!(matches!(
            offloader.work().await,
            Event::Uploaded(_, _, Ok(()))
        ));
    }
}
