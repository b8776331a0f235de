//! The recorded exchanges of a reference offloader, played against a domain of ours on top of
//! links: what it hears, why it closes, and whether and when it comes back.
use std::sync::Arc;
use std::time::Duration;

use kiln_domain::{Domain, Effect, Event, peering, work};
use kiln_model::{
    Capabilities, CloseReason, Endpoint, FriendlyName, Label, LinkState, Message, Pairing,
    PairingStatus, PairingView, Timestamp,
};
use kiln_peer_link::StaticKey;
use kiln_ports::net::Listener;
use kiln_ports::{Clock, Net};
use kiln_testkit::{Heard, SimClock, Stranger};
use serde_json::{Value, json};

use crate::world::{Host, PORT, World, ip, secret, settle, watched};

/// An offloader with one pairing and nobody at its keyboard.
struct Node {
    host: Host,
    domain: Domain,
    clock: Arc<SimClock>,
    heard: Vec<Value>,
}

impl Node {
    fn paired(world: &World, with: &[u8; 32]) -> Self {
        let (host, clock) = (world.host(2), world.clock.clone());
        let domain = Domain::new("1.0.0", 7);
        let mut node = Self {
            host,
            domain,
            clock,
            heard: vec![],
        };
        let key = StaticKey::from_bytes(secret(2).into()).unwrap();
        node.happens(Event::SettingsLoaded(kiln_model::Settings {
            receiver: false,
            ..kiln_model::Settings::default()
        }));
        node.happens(Event::Peering(peering::Event::IdentityLoaded {
            pin: key.pin(),
            dashboard_id: "abc".parse().unwrap(),
        }));
        let receiver = StaticKey::from_bytes((*with).into()).unwrap();
        let pairing = Pairing {
            pin: receiver.pin(),
            public_key: receiver.public(),
            endpoint: Endpoint::new(&ip(9).to_string(), PORT).unwrap(),
            label: Label::clipped("buildbox"),
            label_auto: false,
            paired_at: Timestamp(0),
            status: PairingStatus::Approved,
            enabled: true,
            esphome_version: None,
            capabilities: Capabilities::default(),
            friendly_name: FriendlyName::default(),
            ha_addon: false,
        };
        node.happens(Event::Peering(peering::Event::Loaded(
            vec![],
            vec![pairing],
        )));
        node
    }

    fn happens(&mut self, event: Event) {
        if let Some(heard) = heard(&event) {
            self.heard.push(heard);
        }
        self.domain.handle(event, self.clock.now());
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(effect) = self.domain.poll_effect() {
            let Effect::Peering(effect) = effect else {
                continue;
            };
            let links = &self.host.links;
            match effect {
                peering::Effect::Dial {
                    link,
                    endpoint,
                    skip,
                    expect,
                    purpose,
                } => {
                    links.dial(link, endpoint, skip, expect, purpose);
                }
                peering::Effect::Close { link, terminate } => links.close(link, terminate),
                peering::Effect::Listen => links.listen("0.0.0.0", PORT),
                peering::Effect::StopListening => links.stop_listening(),
                // There is no store, no keyring and no multicast here, and nobody calls.
                _ => {}
            }
        }
    }

    /// Lives until nothing more happens without time passing.
    async fn rest(&mut self) {
        loop {
            settle().await;
            let events = self.host.unseen();
            let now = self.clock.now();
            let due = self
                .domain
                .poll_timeout()
                .is_some_and(|(at, _)| at <= now.mono);
            if events.is_empty() && !due {
                return;
            }
            for event in events {
                self.happens(event);
            }
            self.domain.handle_timeout(now);
            self.perform();
        }
    }

    async fn sleep(&mut self, time: Duration) {
        self.clock.advance(time);
        self.rest().await;
    }

    fn pairing(&self) -> PairingView {
        let view = self.domain.view(self.clock.now()).unwrap();
        view.pairings.into_iter().next().expect("the pairing stays")
    }
}

/// Says in the vectors' words what reached the domain.
fn heard(event: &Event) -> Option<Value> {
    match event {
        Event::Peering(peering::Event::Dialled {
            outcome: Ok(answer),
            ..
        }) if answer.response.kind == Some(kiln_model::ResponseKind::Ok) => {
            let facts = &answer.response.facts;
            let version = facts.esphome_version.as_ref().map_or("", |v| v.as_str());
            Some(json!({
                "event": "offloader_peer_link_opened",
                "esphome_version": version,
                "auto_provision_supported": facts.capabilities.auto_provision,
                "friendly_name": facts.friendly_name.as_str(),
                "ha_addon": facts.ha_addon,
                "reset_build_env_supported": facts.capabilities.reset_build_env,
            }))
        }
        Event::Peering(peering::Event::Closed { reason, .. }) => Some(closed(reason)),
        Event::Work(work::Event::Received(_, message)) => received(message),
        _ => None,
    }
}

fn closed(reason: &CloseReason) -> Value {
    let word = match reason {
        CloseReason::Terminated(reason) | CloseReason::WeTerminated(reason) => reason.word(),
        CloseReason::TerminatedUnknown(word) => word,
        CloseReason::TransportError(_) => "transport_error",
        CloseReason::PeerHungUp => "peer_hung_up",
        CloseReason::HeartbeatTimeout => "heartbeat_timeout",
        CloseReason::SelfLoopback => "self_loopback",
        CloseReason::PinMismatch => "pin_mismatch",
    };
    json!({"event": "offloader_peer_link_closed", "reason": word, "error_detail": ""})
}

fn received(message: &Message) -> Option<Value> {
    match message {
        Message::QueueStatus(status) => Some(json!({
            "event": "offloader_queue_status_changed",
            "idle": status.idle,
            "running": status.running,
            "queue_depth": status.queue_depth,
        })),
        Message::JobStateChanged {
            job_id,
            status,
            error_message,
            failure_reason,
        } => Some(json!({
            "event": "offloader_job_state_changed",
            "job_id": job_id.0,
            "status": status.word(),
            "error_message": error_message,
            "failure_reason": failure_reason.map_or("", |_| "provision"),
        })),
        // Both streams are one to us.
        Message::JobOutput { job_id, line } => Some(json!({
            "event": "offloader_job_output", "job_id": job_id.0, "stream": "stderr", "line": line,
        })),
        // An ack that nobody waits for is no event of the reference peer.
        _ => None,
    }
}

// Covers: O-09, O-10, O-11, O-12, O-13, O-16, O-18, O-19, O-20, O-25
#[tokio::test]
async fn a_kiln_that_offloads_hears_closes_and_comes_back_like_the_reference_offloader() {
    let vectors = include_str!("../../../../tests/vectors/offloader_behaviour.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    for case in cases {
        play(case).await;
    }
    assert_eq!(cases.len(), 32);
}

async fn play(case: &Value) {
    let title = case["title"].as_str().unwrap();
    let world = World::new();
    let net = world.net.host(ip(9));
    let mut listener = net.listen("", PORT).await.unwrap();
    let mut node = Node::paired(&world, &secret(9));
    let doing = &case["server_does"];
    let scripted = act(&world, &mut node, answer(&mut *listener, doing), doing).await;
    node.rest().await;

    let expected = case["client_events_until_first_close"].as_array().unwrap();
    // What is refused or mistaken is no session: our domain hears an outcome, not an end.
    let opened = expected[0]["event"] == "offloader_peer_link_opened";
    let sessions: &[Value] = if opened { expected } else { &[] };
    assert_eq!(node.heard, sessions, "{title}");

    let orphaned = case["orphaned"] == true;
    assert_eq!(
        node.pairing().link == LinkState::Orphaned,
        orphaned,
        "{title}"
    );
    let dials = world.net.dials().len();
    match case["seconds_from_close_to_next_connect"].as_f64() {
        // Waits may have some jitter of our own: at most a fifth either way.
        Some(seconds) => {
            node.sleep(Duration::from_secs_f64(seconds * 0.79)).await;
            assert_eq!(world.net.dials().len(), dials, "{title}: too early");
            node.sleep(Duration::from_secs_f64(seconds * 0.42)).await;
            assert_eq!(world.net.dials().len(), dials + 1, "{title}: too late");
        }
        None if orphaned => {
            node.sleep(Duration::from_secs(3600)).await;
            assert_eq!(
                world.net.dials().len(),
                dials,
                "{title}: an orphan stays one"
            );
        }
        None => assert_eq!(node.pairing().link, LinkState::Connected, "{title}"),
    }
    drop(scripted);
}

/// What the scripted receiver says first; `None` if nobody wants to hear it.
async fn answer(listener: &mut dyn Listener, doing: &Value) -> Option<Stranger> {
    let connection = listener.accept().await;
    if doing["responder_static"].is_string() {
        let seen = Stranger::shows_key(connection, &secret(8)).await;
        assert_eq!(
            seen,
            Heard::Closed(Some(1000)),
            "another key learns nothing"
        );
        return None;
    }
    let (mut stranger, ..) = Stranger::respond(connection, &secret(9)).await;
    let mut answer = json!({
        "intent_response": "ok",
        "esphome_version": "2026.10.0",
        "auto_provision_supported": true,
        "reset_build_env_supported": true,
        "friendly_name": "fake",
        "ha_addon": false,
    });
    if let Some(word) = doing.get("intent_response") {
        answer["intent_response"] = word.clone();
        if doing["reason"].is_string() {
            answer["reason"] = doing["reason"].clone();
        }
    }
    if let Some(response) = doing.get("response") {
        answer = response.clone();
    }
    stranger.says(&answer).await;
    Some(stranger)
}

/// Lets both sides live until the script is over; the connection stays open with what it returns.
async fn act(
    world: &World,
    node: &mut Node,
    answering: impl Future<Output = Option<Stranger>>,
    doing: &Value,
) -> Option<Stranger> {
    let mut answering = std::pin::pin!(answering);
    let mut scripted = watched(async {
        loop {
            tokio::select! {
                biased;
                scripted = &mut answering => return scripted,
                () = node.rest() => {}
            }
        }
    })
    .await;
    node.rest().await;
    if let Some(stranger) = &mut scripted {
        perform(world, stranger, doing).await;
    }
    scripted
}

async fn perform(world: &World, stranger: &mut Stranger, doing: &Value) {
    if let Some(frame) = doing.get("frame") {
        stranger.says(frame).await;
    } else if let Some(reason) = doing.get("terminate") {
        stranger
            .says(&json!({"type": "terminate", "reason": reason}))
            .await;
        assert_eq!(watched(stranger.hears()).await, Heard::Closed(Some(1000)));
    } else if let Some(code) = doing["ws_close"].as_u64() {
        stranger.closes(code as u16).await;
    } else if doing["tcp"] == "abort" {
        world.net.reset(ip(2), ip(9));
    } else if let Some(length) = doing["ciphertext_len"].as_u64() {
        let around = r#"{"type":"x","p":""}"#.len() as u64;
        let padding = "p".repeat((length - 16 - around) as usize);
        stranger
            .says_text(&format!(r#"{{"type":"x","p":"{padding}"}}"#))
            .await;
    } else if let Some(plaintext) = doing["plaintext_utf8"].as_str() {
        stranger.says_text(plaintext).await;
    } else if doing["ws_text"].is_string() {
        world.net.garble_into_text(ip(9));
        stranger.says_text("hello").await;
    } else if doing["tamper"] == true {
        let mut message = stranger.seals(br#"{"type":"ping","nonce":1}"#);
        message[3] ^= 1;
        stranger.sends(message).await;
    }
}
