//! Dials as initiator: whose key answers, budgets, addresses, and giving up.
use std::time::Duration;

use kiln_domain::peering::Purpose;
use kiln_model::{
    CloseReason, Endpoint, FriendlyName, IntentReason, Label, LinkId, LinkIntent, ResponseKind,
};
use kiln_ports::discovery::Announcement;
use kiln_ports::{Discovery, Net};
use kiln_testkit::{Heard, Stranger, Wire};
use serde_json::json;

use crate::world::{PORT, World, answer, at, ip, peer_link, pin, secret, settle, watched};

fn pair_request() -> Purpose {
    Purpose::PairRequest {
        label: Label::clipped("Kitchen HA"),
        label_auto: true,
        dashboard_id: "abc".parse().unwrap(),
        friendly_name: FriendlyName::clipped("homeassistant"),
        pairing_key: None,
    }
}

// Covers: O-01
#[tokio::test]
async fn what_is_said_in_clear_text_is_the_intent_and_nothing_else() {
    let world = World::new();
    let net = world.net.host(ip(9));
    let mut listener = net.listen("", PORT).await.unwrap();
    let mut offloader = world.host(2);
    offloader.dial(LinkId(2), ip(9), Some(pin(&secret(9))), pair_request());
    let (mut stranger, intent, hello) =
        Stranger::respond(listener.accept().await, &secret(9)).await;
    assert_eq!(intent, br#"{"intent":"pair_request"}"#);
    let hello: serde_json::Value = serde_json::from_slice(&hello).unwrap();
    assert_eq!(hello["label"], "Kitchen HA");
    assert_eq!(hello["dashboard_id"], "abc");
    stranger.says(&answer("pending")).await;
    let (_, outcome) = offloader.dialled().await;
    assert_eq!(outcome.unwrap().response.kind, Some(ResponseKind::Pending));
    assert_eq!(watched(stranger.hears()).await, Heard::Closed(Some(1000)));
}

// Covers: O-02, O-03, O-09
#[tokio::test]
async fn a_key_that_is_not_the_expected_one_learns_nothing_of_us() {
    for purpose in [pair_request(), peer_link()] {
        let world = World::new();
        let mut receiver = world.listening(1).await;
        let mut offloader = world.host(2);
        offloader.dial(LinkId(2), ip(1), Some(pin(&secret(9))), purpose);
        let failure = offloader.dialled().await.1.unwrap_err();
        assert_eq!(failure.reason, CloseReason::PinMismatch);
        assert_eq!(failure.observed, Some(receiver.pin()));
        assert_eq!(failure.address, Some(ip(1)));
        settle().await;
        assert!(
            receiver.unseen().is_empty(),
            "nobody knocked: msg3 was not sent"
        );
    }
}

// Covers: O-15
#[tokio::test]
async fn our_own_key_is_a_loop_and_not_another_key() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let mut offloader = world.host_with(2, secret(1));
    offloader.dial(LinkId(2), ip(1), Some(pin(&secret(9))), peer_link());
    let failure = offloader.dialled().await.1.unwrap_err();
    assert_eq!(failure.reason, CloseReason::SelfLoopback);
    assert_eq!(failure.address, Some(ip(1)));
    settle().await;
    assert!(receiver.unseen().is_empty());
}

// Covers: O-14
#[tokio::test]
async fn a_forged_msg2_is_a_failed_attempt_and_the_next_one_works() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let mut forged = false;
    world.net.tamper(move |from, _, message| {
        if from == ip(1) && !std::mem::replace(&mut forged, true) {
            message[40] ^= 1;
        }
    });
    let mut offloader = world.host(2);
    offloader.dial(LinkId(2), ip(1), Some(receiver.pin()), peer_link());
    let failure = offloader.dialled().await.1.unwrap_err();
    assert!(matches!(failure.reason, CloseReason::TransportError(_)));
    offloader.dial(LinkId(4), ip(1), Some(receiver.pin()), peer_link());
    let (link, _) = receiver.knock().await;
    receiver.admit(link, offloader.pin());
    assert!(offloader.dialled().await.1.is_ok());
}

// Covers: O-14
#[tokio::test]
async fn every_way_to_stay_silent_ends_in_a_failed_attempt() {
    let world = World::new();
    let mut offloader = world.host(2);

    world.net.wire(ip(2), ip(9), Wire::Silent);
    offloader.dial(LinkId(2), ip(9), Some(pin(&secret(9))), peer_link());
    settle().await;
    world.clock.advance(Duration::from_secs(10));
    let failure = offloader.dialled().await.1.unwrap_err();
    assert!(
        matches!(failure.reason, CloseReason::TransportError(_)),
        "no connection"
    );

    world.net.wire(ip(2), ip(9), Wire::Open);
    let net = world.net.host(ip(9));
    let mut listener = net.listen("", PORT).await.unwrap();
    offloader.dial(LinkId(4), ip(9), Some(pin(&secret(9))), peer_link());
    let _open = listener.accept().await;
    settle().await;
    world.clock.advance(Duration::from_secs(10));
    let failure = offloader.dialled().await.1.unwrap_err();
    assert!(
        matches!(failure.reason, CloseReason::TransportError(_)),
        "no msg2"
    );

    offloader.dial(LinkId(6), ip(9), Some(pin(&secret(9))), peer_link());
    let _stranger = Stranger::respond(listener.accept().await, &secret(9)).await;
    settle().await;
    world.clock.advance(Duration::from_secs(10));
    let failure = offloader.dialled().await.1.unwrap_err();
    assert!(
        matches!(failure.reason, CloseReason::TransportError(_)),
        "no answer"
    );
    assert_eq!(failure.observed, Some(pin(&secret(9))));
}

// Covers: O-16
#[tokio::test]
async fn an_answer_without_its_members_takes_the_defaults() {
    let world = World::new();
    let net = world.net.host(ip(9));
    let mut listener = net.listen("", PORT).await.unwrap();
    let mut offloader = world.host(2);
    offloader.dial(LinkId(2), ip(9), None, Purpose::Preview);
    let (mut stranger, ..) = Stranger::respond(listener.accept().await, &secret(9)).await;
    let odd = json!({"intent_response": "ok", "esphome_version": 5, "ha_addon": 1, "more": {}});
    stranger.says(&odd).await;
    let answer = offloader.dialled().await.1.unwrap();
    assert_eq!(answer.response.facts, kiln_model::PeerFacts::default());
    assert_eq!((answer.pin, answer.address), (pin(&secret(9)), ip(9)));
}

// Covers: O-11
#[tokio::test]
async fn a_refusal_brings_its_reason_and_ends_the_connection() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let mut offloader = world.host(2);
    offloader.dial(LinkId(2), ip(1), Some(receiver.pin()), peer_link());
    let (link, knock) = receiver.knock().await;
    assert_eq!(knock.intent, Some(LinkIntent::PeerLink));
    assert_eq!(knock.hello.friendly_name.as_str(), "kitchen");
    receiver.answer(
        link,
        ResponseKind::Rejected,
        Some(IntentReason::NoApprovedPeer),
    );
    let answer = offloader.dialled().await.1.unwrap();
    assert_eq!(answer.response.reason, Some(IntentReason::NoApprovedPeer));
    settle().await;
    assert!(offloader.unseen().is_empty());
}

#[tokio::test]
async fn a_local_name_is_asked_for_by_multicast_and_any_other_by_the_system() {
    let world = World::new();
    let mut receiver = world.listening(1).await;
    let announcer = world.multicast.join(ip(1));
    announcer
        .announce(Announcement {
            host_label: "buildbox".into(),
            host: None,
            port: PORT,
            server_version: String::new(),
            esphome_version: String::new(),
            friendly_name: FriendlyName::default(),
            receiver: None,
        })
        .await;
    world.net.name("builds.example", &[ip(7), ip(1)]);
    world.net.wire(ip(2), ip(7), Wire::Unreachable);
    let mut offloader = world.host(2);
    for (number, host) in ["buildbox.local.", "builds.example."]
        .into_iter()
        .enumerate()
    {
        let endpoint = Endpoint::new(host, PORT).unwrap();
        let link = LinkId(2 + 2 * number as u64);
        offloader
            .links
            .dial(link, endpoint, vec![], None, Purpose::Preview);
        let (knocked, _) = receiver.knock().await;
        receiver.answer(knocked, ResponseKind::Ok, None);
        assert_eq!(offloader.dialled().await.1.unwrap().address, ip(1));
        assert_eq!(receiver.closed().await.0, knocked);
    }
    assert_eq!(world.net.dials(), [at(1), at(7), at(1)]);
}

#[tokio::test]
async fn an_address_that_leads_back_to_us_is_left_out() {
    let world = World::new();
    world.net.name("builds.example", &[ip(2), ip(1)]);
    let mut receiver = world.listening(1).await;
    let mut offloader = world.host(2);
    let endpoint = Endpoint::new("builds.example", PORT).unwrap();
    offloader.links.dial(
        LinkId(2),
        endpoint.clone(),
        vec![ip(2)],
        None,
        Purpose::Preview,
    );
    let (knocked, _) = receiver.knock().await;
    receiver.answer(knocked, ResponseKind::Ok, None);
    assert!(offloader.dialled().await.1.is_ok());
    let both = vec![ip(2), ip(1)];
    offloader
        .links
        .dial(LinkId(4), endpoint, both, None, Purpose::Preview);
    let failure = offloader.dialled().await.1.unwrap_err();
    assert!(matches!(failure.reason, CloseReason::TransportError(_)));
    assert_eq!(world.net.dials(), [at(1)]);
}

#[tokio::test]
async fn a_dial_given_up_ends_as_closed_and_never_as_dialled() {
    let world = World::new();
    let net = world.net.host(ip(9));
    let mut listener = net.listen("", PORT).await.unwrap();
    let mut offloader = world.host(2);
    offloader.dial(LinkId(2), ip(9), None, Purpose::Preview);
    let connection = listener.accept().await;
    offloader.links.close(LinkId(2), None);
    assert_eq!(offloader.closed().await.0, LinkId(2));
    drop(connection);
    settle().await;
    assert!(offloader.unseen().is_empty());
}

#[tokio::test]
async fn a_name_that_nobody_has_is_a_failed_attempt() {
    let world = World::new();
    let mut offloader = world.host(2);
    for (number, host) in ["gone.local", "gone.example"].into_iter().enumerate() {
        let endpoint = Endpoint::new(host, PORT).unwrap();
        let link = LinkId(2 + 2 * number as u64);
        offloader
            .links
            .dial(link, endpoint, vec![], None, Purpose::Preview);
        let failure = offloader.dialled().await.1.unwrap_err();
        assert!(matches!(failure.reason, CloseReason::TransportError(_)));
    }
}
