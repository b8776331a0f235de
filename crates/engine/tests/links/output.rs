//! Output and states of jobs on their way to the offloader.
use std::time::Duration;

use kiln_domain::work::Event;
use kiln_model::{JobStatus, Message};
use kiln_testkit::Heard;
use serde_json::json;

use crate::world::{Kilns, World, job, settle, watched};

fn completed() -> Message {
    Message::JobStateChanged {
        job_id: job("j1"),
        status: JobStatus::Completed,
        error_message: String::new(),
        failure_reason: None,
    }
}

// Covers: R-37, R-38
#[tokio::test]
async fn every_line_is_a_frame_with_its_terminator_and_the_last_state_comes_after_it() {
    let world = World::new();
    let (receiver, link, mut stranger) = world.receiver().await;
    receiver
        .links
        .output(link, &job("j1"), "INFO one\r\n 50%\r100%\r\ntail")
        .await;
    receiver.links.send(link, completed());
    for line in ["INFO one\r\n", " 50%\r", "100%\r\n", "tail"] {
        let frame = json!({"type": "job_output", "job_id": "j1", "stream": "stdout", "line": line});
        assert_eq!(watched(stranger.hears()).await, Heard::Frame(frame));
    }
    let Heard::Frame(state) = watched(stranger.hears()).await else {
        panic!()
    };
    assert_eq!(state["status"], "completed");
}

// Covers: R-39, B-13
#[tokio::test]
async fn a_line_that_is_too_long_for_a_frame_comes_whole_in_several() {
    let long: String = "\u{1b}[31mé\"".repeat(40_000) + "\r\n";
    let world = World::new();
    let Kilns {
        receiver,
        mut offloader,
        ours,
        ..
    } = world.kilns().await;
    receiver.links.output(ours, &job("j1"), &long).await;
    receiver.links.send(ours, completed());
    let mut heard = String::new();
    loop {
        match offloader.work().await {
            Event::Received(_, Message::JobOutput { line, .. }) => heard.push_str(&line),
            Event::Received(_, Message::JobStateChanged { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(heard == long, "output was lost or changed");
}

#[tokio::test]
async fn output_waits_for_a_slow_reader_and_loses_nothing() {
    let world = World::new();
    let (receiver, link, mut stranger) = world.receiver().await;
    let line = "x".repeat(999) + "\n";
    let writing = tokio::spawn({
        let (links, line) = (receiver.links.clone(), line.clone());
        async move {
            for _ in 0..4_000 {
                links.output(link, &job("j1"), &line).await;
            }
        }
    });
    settle().await;
    assert!(!writing.is_finished(), "4 MB do not fit into what may wait");
    for _ in 0..4_000 {
        let Heard::Frame(frame) = watched(stranger.hears()).await else {
            panic!()
        };
        assert_eq!(frame["line"], line);
    }
    watched(writing).await.unwrap();
}

#[tokio::test]
async fn output_for_a_link_that_is_gone_does_not_hold_up_the_build() {
    let world = World::new();
    let (mut receiver, link, stranger) = world.receiver().await;
    let block = "x".repeat(900_000);
    let writing = tokio::spawn({
        let (links, block) = (receiver.links.clone(), block.clone());
        async move {
            for _ in 0..20 {
                links.output(link, &job("j1"), &block).await;
            }
        }
    });
    settle().await;
    drop(stranger);
    watched(writing).await.unwrap();
    receiver.closed().await;
    watched(receiver.links.output(link, &job("j1"), &block)).await;
}

#[tokio::test]
async fn an_offloader_that_talks_and_never_reads_does_not_hold_up_a_build_for_ever() {
    let world = World::new();
    let (mut receiver, link, mut stranger) = world.receiver().await;
    let block = "x".repeat(900_000);
    let writing = tokio::spawn({
        let links = receiver.links.clone();
        async move {
            for _ in 0..20 {
                links.output(link, &job("j1"), &block).await;
            }
        }
    });
    settle().await;
    receiver
        .links
        .note(link, &job("j1"), "*** a note waits for nobody ***\n");
    assert!(!writing.is_finished());
    for nonce in 0..4 {
        stranger
            .says(&json!({"type": "ping", "nonce": nonce}))
            .await;
        settle().await;
        world.clock.advance(Duration::from_secs(30));
        settle().await;
    }
    watched(writing).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(receiver.closed().await.0, link);
}
