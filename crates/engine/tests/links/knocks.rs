//! Strangers at the door: the listener, the handshake as responder, one-shots.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiln_domain::peering::{Event, Purpose};
use kiln_model::{CloseReason, IntentReason, LinkId, LinkIntent, ResponseKind};
use kiln_ports::Net;
use kiln_ports::net::{Connection, Incoming, NetError};
use kiln_testkit::{Heard, SimHost, Stranger};

use crate::world::{World, at, ip, pin, secret, settle, watched};

const ID: &str = r#"{"dashboard_id":"abc"}"#;

/// A connection on which nothing was said yet.
async fn dialled(net: &SimHost) -> Result<Connection, NetError> {
    net.dial("", &[at(1)], Duration::from_secs(10), 65_535)
        .await
}

// Covers: R-06, R-07, R-09
#[tokio::test]
async fn a_preview_is_answered_with_six_members_and_closed_with_1000() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let net = world.net.host(ip(9));
    let asking = tokio::spawn(async move {
        Stranger::initiate(&net, at(1), &secret(9), r#"{"intent":"preview"}"#, "").await
    });
    let (link, knock) = receiver.knock().await;
    assert_eq!(knock.intent, Some(LinkIntent::Preview));
    assert_eq!((knock.pin, knock.source), (pin(&secret(9)), ip(9)));
    receiver.answer(link, ResponseKind::Ok, None);
    let (mut stranger, answer) = watched(asking).await.unwrap();
    let members: Vec<&String> = answer.as_object().unwrap().keys().collect();
    for member in [
        "intent_response",
        "esphome_version",
        "auto_provision_supported",
        "reset_build_env_supported",
        "friendly_name",
        "ha_addon",
    ] {
        assert!(members.contains(&&member.to_owned()), "{member} is missing");
    }
    assert_eq!(stranger.hears().await, Heard::Closed(Some(1000)));
    assert_eq!(receiver.closed().await.0, link);
}

// Covers: B-10
#[tokio::test]
async fn every_noise_message_is_one_message_without_prefix_or_padding() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let lengths = Arc::new(Mutex::new(Vec::new()));
    let seen = lengths.clone();
    let note = move |_, _, message: &mut Vec<u8>| seen.lock().unwrap().push(message.len());
    world.net.tamper(note);
    let mut offloader = world.host(2);
    offloader.dial(LinkId(2), ip(1), None, Purpose::Preview);
    let (link, _) = receiver.knock().await;
    let msg1 = 32 + r#"{"intent":"preview"}"#.len();
    assert_eq!(*lengths.lock().unwrap(), [msg1, 32 + 48 + 16, 48 + 16]);
    receiver.answer(link, ResponseKind::Ok, None);
    offloader.dialled().await.1.unwrap();
    let answer = r#"{"intent_response":"ok","esphome_version":"2026.10.0","auto_provision_supported":true,"reset_build_env_supported":true,"friendly_name":"buildbox","ha_addon":false,"kiln":true}"#;
    assert_eq!(lengths.lock().unwrap()[3..], [answer.len() + 16]);
}

// Covers: R-05
#[tokio::test]
async fn an_unknown_intent_still_comes_to_an_authenticated_refusal() {
    for msg1 in [
        r#"{"intent":"teapot"}"#,
        "",
        "nojson",
        "[]",
        r#"{"intent":5}"#,
    ] {
        let world = World::new();
        let mut receiver = world.listening(1).await;
        let net = world.net.host(ip(9));
        let asking = tokio::spawn(async move {
            Stranger::initiate(&net, at(1), &secret(9), msg1, "nojson").await
        });
        let (link, knock) = receiver.knock().await;
        assert_eq!(knock.intent, None, "{msg1}");
        receiver.answer(link, ResponseKind::Rejected, Some(IntentReason::BadIntent));
        let (mut stranger, answer) = watched(asking).await.unwrap();
        assert_eq!(answer["intent_response"], "rejected");
        assert_eq!(answer["reason"], "bad_intent");
        assert_eq!(stranger.hears().await, Heard::Closed(Some(1000)));
    }
}

// Covers: R-03
#[tokio::test]
async fn a_stranger_that_stays_silent_is_closed_after_five_seconds() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let net = world.net.host(ip(9));
    let mut connection = dialled(&net).await.unwrap();
    settle().await;
    world.clock.advance(Duration::from_millis(4_999));
    settle().await;
    world.clock.advance(Duration::from_millis(1));
    let end = watched(connection.reader.next()).await;
    assert!(matches!(end, Ok(Incoming::Closed(Some(1000)))));
    assert!(receiver.unseen().is_empty());
}

// Covers: R-03
#[tokio::test]
async fn both_handshake_messages_share_the_five_seconds() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let net = world.net.host(ip(9));
    let mut connection = dialled(&net).await.unwrap();
    settle().await;
    world.clock.advance(Duration::from_secs(4));
    settle().await;
    connection.writer.send(vec![9; 32]).await.unwrap();
    assert!(matches!(
        watched(connection.reader.next()).await,
        Ok(Incoming::Binary(_))
    ));
    world.clock.advance(Duration::from_secs(1));
    let end = watched(connection.reader.next()).await;
    assert!(matches!(end, Ok(Incoming::Closed(Some(1000)))));
    assert!(receiver.unseen().is_empty());
}

// Covers: R-04
#[tokio::test]
async fn a_broken_handshake_is_closed_without_a_word() {
    let short = vec![1; 31];
    let endless = vec![1; 1025];
    let degenerate = vec![0; 32];
    for msg1 in [short, endless, degenerate] {
        let world = World::new();
        let mut receiver = world.listening(1).await;
        let net = world.net.host(ip(9));
        let mut connection = dialled(&net).await.unwrap();
        connection.writer.send(msg1).await.unwrap();
        let end = watched(connection.reader.next()).await;
        assert!(matches!(end, Ok(Incoming::Closed(Some(1000)))), "{end:?}");
        assert!(receiver.unseen().is_empty());
    }
}

// Covers: R-04
#[tokio::test]
async fn a_forged_msg3_is_closed_without_a_word() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let mut count = 0;
    world.net.tamper(move |from, _, message| {
        count += u8::from(from == ip(9));
        if from == ip(9) && count == 2 {
            message[0] ^= 1;
        }
    });
    let net = world.net.host(ip(9));
    let intent = r#"{"intent":"preview"}"#;
    let mut stranger = Stranger::ask(&net, at(1), &secret(9), intent, "").await;
    assert_eq!(watched(stranger.hears()).await, Heard::Closed(Some(1000)));
    assert!(receiver.unseen().is_empty());
}

// Covers: R-17
#[tokio::test]
async fn a_pair_status_is_answered_when_the_admin_decides_and_not_before() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let offloader = world.host(2);
    let (link, id) = (LinkId(2), "abc".parse().unwrap());
    let purpose = Purpose::PairStatus { dashboard_id: id };
    offloader.dial(link, ip(1), Some(receiver.pin()), purpose);
    let mut offloader = offloader;
    let (knocked, _) = receiver.knock().await;
    for _ in 0..119 {
        world.clock.advance(Duration::from_secs(30));
        settle().await;
    }
    assert!(offloader.unseen().is_empty());
    receiver.answer(knocked, ResponseKind::Approved, None);
    let (dialled, answer) = offloader.dialled().await;
    assert_eq!(dialled, link);
    assert_eq!(answer.unwrap().response.kind, Some(ResponseKind::Approved));
    assert_eq!(receiver.closed().await.0, knocked);
    assert!(
        offloader.unseen().is_empty(),
        "a dial that was answered says no more"
    );
}

#[tokio::test]
async fn a_waiting_peer_that_goes_away_is_noticed() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let net = world.net.host(ip(9));
    let intent = r#"{"intent":"pair_status"}"#;
    let stranger = Stranger::ask(&net, at(1), &secret(9), intent, ID).await;
    let (link, _) = receiver.knock().await;
    drop(stranger);
    assert_eq!(receiver.closed().await, (link, CloseReason::PeerHungUp));
}

#[tokio::test]
async fn after_the_listener_closed_nobody_knocks() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let net = world.net.host(ip(9));
    let mut connection = dialled(&net).await.unwrap();
    settle().await;
    receiver.links.stop_listening();
    assert!(matches!(receiver.peering().await, Event::ListenerClosed));
    let end = watched(connection.reader.next()).await;
    assert!(matches!(end, Ok(Incoming::Closed(Some(1001)))));
    assert!(dialled(&net).await.is_err());
    assert_eq!(receiver.links.listening(), None);
    receiver.links.listen("0.0.0.0", 6055);
    assert!(matches!(
        receiver.peering().await,
        Event::Listening { port: 6055 }
    ));
}

// Covers: R-02
#[tokio::test]
async fn a_taken_port_is_reported_when_ten_are_taken_and_passed_over_before() {
    let world = World::new();
    let others = world.net.host(ip(1));
    let mut taken = vec![others.listen("", 6055).await.unwrap()];
    let mut receiver = world.host(1);
    receiver.links.listen("0.0.0.0", 6055);
    assert!(matches!(
        receiver.peering().await,
        Event::Listening { port: 6056 }
    ));
    receiver.links.stop_listening();
    assert!(matches!(receiver.peering().await, Event::ListenerClosed));
    for _ in 1..10 {
        taken.push(others.listen("", 6055).await.unwrap());
    }
    receiver.links.listen("0.0.0.0", 6055);
    assert!(matches!(receiver.peering().await, Event::ListenFailed(_)));
}

// Covers: R-55
#[tokio::test]
async fn a_preview_is_served_while_a_dial_of_ours_waits_for_its_answer() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let mut offloader = world.listening(2).await;
    let purpose = Purpose::ConnectBack {
        peer_link_port: 6055,
    };
    receiver.dial(LinkId(2), ip(2), Some(offloader.pin()), purpose);
    let (knocked, knock) = offloader.knock().await;
    assert_eq!(knock.intent, Some(LinkIntent::ConnectBack));
    assert_eq!(knock.hello.peer_link_port, Some(6055));
    offloader.dial(LinkId(4), ip(1), None, Purpose::Preview);
    let (probe, _) = receiver.knock().await;
    receiver.answer(probe, ResponseKind::Ok, None);
    let (_, found) = offloader.dialled().await;
    assert_eq!(found.unwrap().pin, receiver.pin());
    offloader.answer(knocked, ResponseKind::Ok, None);
    assert_eq!(receiver.closed().await.0, probe);
    let (_, outcome) = receiver.dialled().await;
    assert_eq!(outcome.unwrap().response.kind, Some(ResponseKind::Ok));
}

// Covers: R-23
#[tokio::test]
async fn an_approval_of_another_key_opens_no_session() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let net = world.net.host(ip(9));
    let intent = r#"{"intent":"peer_link"}"#;
    let mut stranger = Stranger::ask(&net, at(1), &secret(9), intent, ID).await;
    let (link, _) = receiver.knock().await;
    receiver.admit(link, pin(&secret(8)));
    assert_eq!(watched(stranger.hears()).await, Heard::Closed(Some(1000)));
    assert_eq!(receiver.closed().await.0, link);
}

#[tokio::test]
async fn a_stopping_node_keeps_nobody_waiting_at_the_door() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let net = world.net.host(ip(9));
    let mut silent = dialled(&net).await.unwrap();
    let intent = r#"{"intent":"pair_status"}"#;
    let mut waiting = Stranger::ask(&net, at(1), &secret(9), intent, ID).await;
    receiver.knock().await;
    watched(receiver.links.shutdown()).await;
    assert_eq!(watched(waiting.hears()).await, Heard::Closed(Some(1001)));
    let end = watched(silent.reader.next()).await;
    assert!(matches!(end, Ok(Incoming::Closed(Some(1001)))));
}
