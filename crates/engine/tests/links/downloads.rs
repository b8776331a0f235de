//! Artifacts on their way back, served and fetched.
use std::time::Duration;

use kiln_domain::work::{DownloadFailure, Event};
use kiln_model::{ArtifactsRefusal, BlobId, CloseReason, Message};
use kiln_ports::Store;
use kiln_testkit::Heard;
use serde_json::{Value, json};

use crate::world::{Host, Kilns, World, base64, bytes, header, ip, job, settle, sha256, watched};

fn wanted() -> BlobId {
    BlobId::new("artifacts", 1)
}

async fn downloaded(offloader: &mut Host) -> Result<BlobId, DownloadFailure> {
    match offloader.work().await {
        Event::Downloaded(_, _, outcome) => outcome,
        other => panic!("expected the end of a download, got {other:?}"),
    }
}

fn announce(tarball: &[u8], chunks: usize) -> Value {
    json!({
        "type": "artifacts_start",
        "job_id": "j1",
        "total_bytes": tarball.len(),
        "num_chunks": chunks,
        "artifacts_sha256": sha256(tarball).to_uppercase(),
        "firmware_offset": "0x10000",
    })
}

fn chunk(index: usize, data: &[u8], is_last: bool) -> Value {
    json!({
        "type": "artifacts_chunk",
        "job_id": "j1",
        "chunk_index": index,
        "data_b64": base64(data),
        "is_last": is_last,
    })
}

fn end() -> Value {
    json!({"type": "artifacts_end", "job_id": "j1", "accepted": true})
}

// Covers: R-45, O-30
#[tokio::test]
async fn artifacts_arrive_as_they_were_served() {
    for size in [1, 32_768, 2_500_001] {
        let world = World::new();
        let Kilns {
            mut receiver,
            mut offloader,
            ours,
            theirs,
        } = world.kilns().await;
        let tarball = bytes(size);
        offloader.links.download(theirs, job("j1"), wanted());
        let heard = receiver.work().await;
        assert!(matches!(
            heard,
            Event::Received(_, Message::DownloadArtifacts { .. })
        ));
        let serving = receiver.serve(ours, "j1", &tarball, &tarball);
        let ((), outcome) = tokio::join!(serving, downloaded(&mut offloader));
        assert_eq!(outcome, Ok(wanted()));
        assert_eq!(offloader.take(&wanted()), tarball);
    }
}

//
#[tokio::test]
async fn a_stream_to_a_reference_offloader_has_one_start_its_chunks_and_one_end() {
    let world = World::new();
    let (receiver, link, mut stranger) = world.receiver().await;
    let tarball = bytes(70_000);
    let serving = receiver.serve(link, "j1", &tarball, &tarball);
    let hearing = async {
        let Heard::Frame(start) = stranger.hears().await else {
            panic!()
        };
        assert_eq!(start["firmware_offset"], "0x10000");
        assert_eq!(
            (&start["total_bytes"], &start["num_chunks"]),
            (&json!(70_000), &json!(3))
        );
        for (index, piece) in tarball.chunks(32_768).enumerate() {
            let expected = chunk(index, piece, index == 2);
            assert_eq!(stranger.hears().await, Heard::Frame(expected));
        }
        assert_eq!(stranger.hears().await, Heard::Frame(end()));
    };
    watched(async { tokio::join!(serving, hearing) }).await;
}

//
#[tokio::test]
async fn a_ping_is_answered_in_the_middle_of_a_stream() {
    let world = World::new();
    let (receiver, link, mut stranger) = world.receiver().await;
    let tarball = bytes(12_000_000);
    let serving = receiver.serve(link, "j1", &tarball, &tarball);
    let hearing = async {
        stranger.says(&json!({"type": "ping", "nonce": 7})).await;
        let mut before = 0;
        loop {
            match stranger.hears().await {
                Heard::Frame(frame) if frame["type"] == "pong" => break,
                Heard::Frame(frame) if frame["type"] == "artifacts_end" => panic!("no pong"),
                Heard::Frame(_) => before += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(before < 367, "{before} frames came before the pong");
        while stranger.hears().await != Heard::Frame(end()) {}
    };
    watched(async { tokio::join!(serving, hearing) }).await;
}

//
#[tokio::test]
async fn a_stream_that_breaks_here_ends_with_a_refusal() {
    let world = World::new();
    let Kilns {
        mut receiver,
        mut offloader,
        ours,
        theirs,
    } = world.kilns().await;
    let tarball = bytes(900_000);
    offloader.links.download(theirs, job("j1"), wanted());
    receiver.work().await;
    let serving = receiver.serve(ours, "j1", &tarball, &tarball[..400_000]);
    let ((), outcome) = tokio::join!(serving, downloaded(&mut offloader));
    let Err(DownloadFailure::Refused(reason, detail)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(reason, Some(ArtifactsRefusal::StreamFailed));
    assert!(detail.contains("shorter"), "{detail}");
    assert_eq!(offloader.store.blobs().unwrap(), []);
}

#[tokio::test]
async fn a_refusal_has_no_start_and_brings_its_detail() {
    let world = World::new();
    let Kilns {
        mut receiver,
        mut offloader,
        ours,
        theirs,
    } = world.kilns().await;
    offloader.links.download(theirs, job("j1"), wanted());
    receiver.work().await;
    let reason = ArtifactsRefusal::BuildDirMissing;
    receiver
        .links
        .refuse_artifacts(ours, &job("j1"), reason, "no firmware.bin");
    let refused = DownloadFailure::Refused(Some(reason), "no firmware.bin".into());
    assert_eq!(downloaded(&mut offloader).await, Err(refused));
}

// Covers: O-30, O-31
#[tokio::test]
async fn a_stream_that_breaks_a_rule_fails_alone() {
    let hello: &[u8] = b"hello";
    let invalid = |word: &str| DownloadFailure::Invalid(word.into());
    let table = [
        (vec![end()], invalid("missing_start")),
        (vec![chunk(0, hello, true)], invalid("missing_start")),
        (vec![announce(b"", 1)], invalid("invalid_start_header")),
        (vec![announce(hello, 0)], invalid("invalid_start_header")),
        (
            vec![announce(hello, 1), announce(hello, 1)],
            invalid("invalid_start_header"),
        ),
        (
            vec![announce(hello, 1), chunk(0, b"jello", true), end()],
            invalid("hash_mismatch"),
        ),
        (
            vec![announce(hello, 1), chunk(1, hello, true)],
            invalid("out_of_order"),
        ),
        (
            vec![announce(hello, 1), chunk(0, b"hello!", true)],
            invalid("oversized"),
        ),
        (
            vec![announce(hello, 2), chunk(0, hello, true)],
            invalid("chunk_count_mismatch"),
        ),
        (
            vec![announce(hello, 2), chunk(0, b"he", false), end()],
            invalid("undersized"),
        ),
    ];
    for (frames, failure) in table {
        let world = World::new();
        let (mut offloader, link, mut stranger) = world.offloader().await;
        offloader.links.download(link, job("j1"), wanted());
        let request = json!({"type": "download_artifacts", "job_id": "j1"});
        assert_eq!(watched(stranger.hears()).await, Heard::Frame(request));
        for frame in &frames {
            stranger.says(frame).await;
        }
        assert_eq!(downloaded(&mut offloader).await, Err(failure), "{frames:?}");
        assert_eq!(offloader.store.blobs().unwrap(), []);
        // What still comes of it is ignored.
        stranger.says(&chunk(0, hello, true)).await;
        stranger.says(&end()).await;
        stranger.says(&json!({"type": "ping", "nonce": 1})).await;
        assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
        assert!(offloader.unseen().is_empty());
    }
}

#[tokio::test]
async fn a_download_that_stands_still_is_given_up_while_its_session_lives() {
    let world = World::new();
    let (mut offloader, link, mut stranger) = world.offloader().await;
    offloader.links.download(link, job("j1"), wanted());
    assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
    stranger.says(&announce(b"hello", 2)).await;
    settle().await;
    for _ in 0..4 {
        assert!(offloader.unseen().is_empty());
        world.clock.advance(Duration::from_secs(30));
        let Heard::Frame(ping) = watched(stranger.hears()).await else {
            panic!()
        };
        stranger
            .says(&json!({"type": "pong", "nonce": ping["nonce"]}))
            .await;
        settle().await;
    }
    assert_eq!(
        downloaded(&mut offloader).await,
        Err(DownloadFailure::Stalled)
    );
    stranger.says(&json!({"type": "ping", "nonce": 1})).await;
    assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
}

// Covers: O-28
#[tokio::test]
async fn with_its_session_a_download_fails_at_once() {
    let world = World::new();
    let (mut offloader, link, mut stranger) = world.offloader().await;
    offloader.links.download(link, job("j1"), wanted());
    assert!(matches!(watched(stranger.hears()).await, Heard::Frame(_)));
    stranger.says(&announce(b"hello", 2)).await;
    stranger.says(&chunk(0, b"he", false)).await;
    settle().await;
    world.net.reset(ip(2), ip(9));
    assert_eq!(
        downloaded(&mut offloader).await,
        Err(DownloadFailure::LinkLost)
    );
    assert_eq!(offloader.closed().await, (link, CloseReason::PeerHungUp));
    assert_eq!(offloader.store.blobs().unwrap(), []);
    offloader.links.download(link, job("j2"), wanted());
    assert_eq!(
        downloaded(&mut offloader).await,
        Err(DownloadFailure::LinkLost)
    );
}

#[tokio::test]
async fn serving_returns_when_the_link_is_lost() {
    let world = World::new();
    let (mut receiver, link, stranger) = world.receiver().await;
    let tarball = bytes(5_000_000);
    let serving = receiver.serve(link, "j1", &tarball, &tarball);
    let losing = async {
        settle().await;
        world.net.reset(ip(1), ip(9));
    };
    watched(async { tokio::join!(serving, losing) }).await;
    drop(stranger);
    assert_eq!(receiver.closed().await.0, link);
    receiver.serve(link, "j1", &tarball, &tarball).await;
}

#[tokio::test]
async fn bulk_flows_both_ways_at_once() {
    let world = World::new();
    let Kilns {
        mut receiver,
        mut offloader,
        ours,
        theirs,
    } = world.kilns().await;
    let (bundle, tarball) = (bytes(6_000_000), bytes(7_000_000));
    offloader.links.download(theirs, job("old"), wanted());
    receiver.work().await;
    let blob = offloader.blob(&bundle);
    offloader.links.upload(theirs, header("new", &bundle), blob);
    let serving = receiver.serve(ours, "old", &tarball, &tarball);
    let receiving = async {
        assert!(matches!(
            receiver.work().await,
            Event::SubmissionStarted(..)
        ));
        match receiver.work().await {
            Event::SubmissionArrived { bundle, .. } => receiver.take(&bundle),
            other => panic!("{other:?}"),
        }
    };
    let fetching = async {
        let mut fetched = None;
        for _ in 0..2 {
            match offloader.work().await {
                Event::Uploaded(_, _, Ok(())) => {}
                Event::Downloaded(_, _, Ok(id)) => fetched = Some(offloader.take(&id)),
                other => panic!("{other:?}"),
            }
        }
        fetched
    };
    let ((), arrived, fetched) = tokio::join!(serving, receiving, fetching);
    assert!(arrived == bundle, "the bundle changed on its way");
    assert!(
        fetched == Some(tarball),
        "the artifacts changed on their way"
    );
}
