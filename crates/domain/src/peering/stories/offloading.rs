//! An offloader: pairing with receivers, staying with them, following them.
use super::*;

fn wish() -> Request {
    Request::Pair {
        endpoint: endpoint("1.example"),
        pin: pin(1),
        pairing_key: None,
        label: Label::default(),
    }
}

/// Asks the receiver 1 and gets this answer; returns the reply and what is wanted.
fn paired(node: &mut Node, kind: ResponseKind) -> (Option<Reply>, Vec<Effect>) {
    let (reply, effects) = node.ask(&wish());
    assert_eq!(reply, None);
    let link = dialled(&effects);
    let outcome = Ok(answer(1, kind, None, PeerFacts::default()));
    let event = Event::Dialled { link, outcome };
    node.peering.handle(event, node.now);
    node.replied(RequestId(node.asked))
}

fn saves(effects: &[Effect]) -> usize {
    let save = |effect: &&Effect| matches!(effect, Effect::SavePairing(_));
    effects.iter().filter(save).count()
}

// Covers: O-05, M106
#[test]
fn a_pending_pairing_is_not_kept_on_disk_and_an_approved_one_is() {
    let mut node = Node::with(false, Vec::new(), Vec::new());
    let (reply, effects) = paired(&mut node, ResponseKind::Pending);
    assert_eq!(reply, Some(Reply::PairingPending));
    assert_eq!(saves(&effects), 0);
    let waiting = dialled(&effects);
    assert!(matches!(
        node.view().pairings[..],
        [(_, LinkState::AwaitingApproval)]
    ));
    let effects = node.answered(waiting, 1, ResponseKind::Approved);
    assert_eq!(saves(&effects), 1);
    let listens = position(&effects, |e| matches!(e, Effect::Listen));
    assert!(listens.is_some(), "for connect_back");

    let mut stored = pairing(1);
    stored.status = PairingStatus::Pending;
    let node = Node::with(false, Vec::new(), vec![stored]);
    assert!(node.view().pairings.is_empty());
}

// Covers: O-38, O-39
#[test]
fn the_first_session_waits_for_the_listener_and_tells_its_port() {
    let mut node = Node::with(false, Vec::new(), Vec::new());
    let (reply, effects) = paired(&mut node, ResponseKind::Approved);
    assert_eq!(reply, Some(Reply::Paired));
    assert_eq!(dials(&effects), 0);
    let effects = node.event(Event::Listening { port: 7000 });
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Dial {
            purpose: Purpose::PeerLink {
                connect_back_port, ..
            },
            ..
        } => Some(*connect_back_port),
        _ => None,
    });
    assert_eq!(told, Some(Some(7000)));
    assert_eq!(advert(&effects).unwrap().receiver, None);

    let mut node = Node::with(false, Vec::new(), vec![pairing(1)]);
    let effects = node.event(Event::ListenFailed("busy".into()));
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Dial {
            purpose: Purpose::PeerLink {
                connect_back_port, ..
            },
            ..
        } => Some(*connect_back_port),
        _ => None,
    });
    assert_eq!(told, Some(None), "omitted when none is bound");
}

// Covers: O-06, M107
#[test]
fn pairing_again_keeps_enabled_and_removes_another_pin_at_the_same_place() {
    let mut disabled = pairing(1);
    disabled.enabled = false;
    let mut squatter = pairing(2);
    squatter.endpoint = endpoint("1.example.");
    let (mut node, _) = Node::offloader(vec![disabled, squatter, pairing(3)]);
    let (reply, effects) = paired(&mut node, ResponseKind::Approved);
    assert_eq!(reply, Some(Reply::Paired));
    let forgotten = |e: &Effect| matches!(e, Effect::ForgetPairing(p) if *p == pin(2));
    assert!(effects.iter().any(forgotten));
    let view = node.view();
    let rows: Vec<_> = view
        .pairings
        .iter()
        .map(|(p, _)| (p.pin, p.enabled))
        .collect();
    assert_eq!(rows, [(pin(1), false), (pin(3), true)]);
}

// Covers: O-17, O-16
#[test]
fn a_session_start_keeps_known_names_and_overwrites_flags() {
    let mut known = pairing(1);
    known.esphome_version = "2026.10.0".parse::<EsphomeVersion>().ok();
    known.friendly_name = FriendlyName::clipped("buildbox");
    known.ha_addon = true;
    let (mut node, dials) = Node::offloader(vec![known]);
    let facts = PeerFacts {
        capabilities: Capabilities {
            auto_provision: true,
            ..Capabilities::default()
        },
        ..PeerFacts::default()
    };
    let link = dialled(&dials);
    let outcome = Ok(answer(1, ResponseKind::Ok, None, facts));
    let effects = node.event(Event::Dialled { link, outcome });
    let Effect::SavePairing(saved) = &effects[0] else {
        panic!("not saved: {effects:?}");
    };
    let version = saved.esphome_version.as_ref().map(EsphomeVersion::as_str);
    assert_eq!(version, Some("2026.10.0"));
    assert_eq!(saved.friendly_name.as_str(), "buildbox");
    assert!(saved.capabilities.auto_provision && !saved.ha_addon);
    assert!(matches!(effects[1], Effect::SessionUp(_)));
}

// Covers: O-34
#[test]
fn unpairing_and_stopping_tell_the_receiver_client_stopped() {
    let (mut node, link) = Node::connected();
    let (reply, effects) = node.ask(&Request::Unpair(pin(1)));
    assert_eq!(reply, Some(Reply::Done));
    assert_eq!(
        ended(&effects, link),
        Some(Some(TerminateReason::ClientStopped))
    );
    let forgotten = |e: &Effect| matches!(e, Effect::ForgetPairing(p) if *p == pin(1));
    assert!(effects.iter().any(forgotten));
    assert_eq!(node.ask(&Request::Unpair(pin(1))).0, Some(Reply::Done));

    let (mut node, link) = Node::connected();
    node.peering.shut_down(node.now);
    let effects = node.effects();
    assert_eq!(
        ended(&effects, link),
        Some(Some(TerminateReason::ClientStopped))
    );
    node.closed(link, CloseReason::PeerHungUp);
    assert_eq!(dials(&node.pass(60)), 0, "nothing new is started");
}

// Covers: O-10, O-11
#[test]
fn an_alert_stays_until_the_owner_pairs_again_or_unpairs() {
    let revoked = || {
        let (mut node, dials) = Node::offloader(vec![pairing(1)]);
        let link = dialled(&dials);
        let reason = Some(IntentReason::NoApprovedPeer);
        let outcome = Ok(answer(
            1,
            ResponseKind::Rejected,
            reason,
            PeerFacts::default(),
        ));
        node.event(Event::Dialled { link, outcome });
        node
    };
    let kinds =
        |node: &Node| -> Vec<_> { node.view().alerts.iter().map(|alert| alert.kind).collect() };
    let mut node = revoked();
    assert!(matches!(
        node.view().pairings[..],
        [(_, LinkState::Orphaned)]
    ));
    assert_eq!(dials(&node.pass(3600)), 0);
    assert_eq!(kinds(&node), [AlertKind::PeerRevoked]);
    paired(&mut node, ResponseKind::Pending);
    assert!(kinds(&node).is_empty());
    let mut node = revoked();
    node.ask(&Request::Unpair(pin(1)));
    assert!(kinds(&node).is_empty());
}

#[test]
fn a_receiver_left_to_another_computer_is_dialled_again_when_it_is_switched_on() {
    let left = || {
        let (mut node, link) = Node::connected();
        node.closed(link, CloseReason::Terminated(TerminateReason::Superseded));
        assert_eq!(node.view().alerts[0].kind, AlertKind::Superseded);
        node
    };
    let back = |node: &mut Node| {
        let on = node.ask(&Request::SetPairingEnabled(pin(1), true));
        assert_eq!(dials(&on.1), 1);
        assert!(node.view().alerts.is_empty());
    };
    let mut node = left();
    let off = node.ask(&Request::SetPairingEnabled(pin(1), false));
    assert_eq!(dials(&off.1), 0);
    back(&mut node);
    back(&mut left());
}

// Covers: O-08
#[test]
fn a_rejected_request_drops_the_pairing_and_leaves_an_alert() {
    let mut node = Node::with(false, Vec::new(), Vec::new());
    let (_, effects) = paired(&mut node, ResponseKind::Pending);
    node.answered(dialled(&effects), 1, ResponseKind::Rejected);
    let view = node.view();
    assert!(view.pairings.is_empty());
    assert_eq!(view.alerts[0].kind, AlertKind::PeerRevoked);
    node.ask(&Request::Unpair(pin(1)));
    assert!(node.view().alerts.is_empty(), "it can be put away");
}

// Covers: O-41
#[test]
fn an_address_record_of_the_receivers_name_ends_the_wait() {
    let (mut node, dials_first) = Node::offloader(vec![pairing(1)]);
    let refused = CloseReason::TransportError("refused".into());
    node.failed(dialled(&dials_first), refused);
    let seen = |name: &str| Event::AddressSeen(name.to_owned());
    assert_eq!(dials(&node.event(seen("2.example."))), 0);
    assert_eq!(dials(&node.event(seen("1.example."))), 1);
    assert_eq!(dials(&node.event(seen("1.example."))), 0, "one at a time");
}

/// An offloader whose receiver 1 does not answer where it is stored.
fn lost() -> Node {
    let (mut node, dials_first) = Node::offloader(vec![pairing(1)]);
    let refused = CloseReason::TransportError("refused".into());
    node.failed(dialled(&dials_first), refused);
    node
}

// Covers: O-35
#[test]
fn a_receiver_that_moved_is_followed_only_after_its_key_answered_there() {
    let mut node = lost();
    let probe = dialled(&node.event(Event::HostSeen(host(1, "new.local"))));
    let effects = node.answered(probe, 9, ResponseKind::Ok);
    assert!(effects.is_empty());
    assert_eq!(node.view().pairings[0].0.endpoint, endpoint("1.example"));

    let effects = node.pass(30);
    let probe = effects.iter().find_map(|effect| match effect {
        Effect::Dial {
            link,
            purpose: Purpose::Preview,
            ..
        } => Some(*link),
        _ => None,
    });
    let attempt = effects.iter().find_map(|effect| match effect {
        Effect::Dial {
            link,
            purpose: Purpose::PeerLink { .. },
            ..
        } => Some(*link),
        _ => None,
    });
    assert_eq!(probe, None, "the stored place is tried first");
    let refused = CloseReason::TransportError("refused".into());
    let probe = dialled(&node.failed(attempt.unwrap(), refused));
    let effects = node.answered(probe, 1, ResponseKind::Ok);
    assert_eq!(saves(&effects), 1);
    assert_eq!(node.view().pairings[0].0.endpoint, endpoint("new.local"));
    assert_eq!(dials(&effects), 1, "and dialled at once");
}

#[test]
fn a_receiver_whose_key_changed_at_its_place_is_found_where_it_is_now() {
    let (mut node, dials_first) = Node::offloader(vec![pairing(1)]);
    node.failed(dialled(&dials_first), CloseReason::PinMismatch);
    assert_eq!(node.view().alerts.len(), 1);
    let probe = dialled(&node.event(Event::HostSeen(host(1, "new.local"))));
    let client = dialled(&node.answered(probe, 1, ResponseKind::Ok));
    node.answered(client, 1, ResponseKind::Ok);
    assert!(node.view().alerts.is_empty(), "solved");
}

// Covers: O-40
#[test]
fn a_moved_client_dials_only_when_the_old_one_is_gone() {
    let (mut node, session) = Node::connected();
    let (_, effects) = node.ask(&Request::EditEndpoint(pin(1), endpoint("new.local")));
    let link = dialled(&effects);
    let outcome = Ok(answer(1, ResponseKind::Ok, None, PeerFacts::default()));
    node.peering
        .handle(Event::Dialled { link, outcome }, node.now);
    let (reply, effects) = node.replied(RequestId(node.asked));
    assert_eq!(reply, Some(Reply::Done));
    assert_eq!(
        ended(&effects, session),
        Some(Some(TerminateReason::ClientStopped))
    );
    assert_eq!(dials(&effects), 0, "the old client is not gone yet");
    assert_eq!(dials(&node.pass(60)), 0);
    let stopped = CloseReason::WeTerminated(TerminateReason::ClientStopped);
    let effects = node.closed(session, stopped);
    assert!(
        matches!(&effects[..], [Effect::Dial { endpoint: e, .. }] if *e == endpoint("new.local"))
    );
}

// Covers: O-36
#[test]
fn a_flood_of_moved_announcements_costs_one_probe_in_30_seconds() {
    let mut node = lost();
    let mut probes = 0;
    for n in 0..100 {
        let place = format!("{n}.local");
        probes += dials(&node.event(Event::HostSeen(host(1, &place))));
    }
    assert_eq!(probes, 1);
}

#[test]
fn a_live_session_is_not_torn_down_for_another_address() {
    let (mut node, _) = Node::connected();
    assert_eq!(dials(&node.event(Event::HostSeen(host(1, "new.local")))), 0);
}

#[test]
fn an_edited_endpoint_is_stored_after_a_probe_and_every_refusal_is_explained() {
    let edit = |place: &str| Request::EditEndpoint(pin(1), endpoint(place));
    let edited = |node: &mut Node, outcome: Result<u8, CloseReason>| {
        let (reply, effects) = node.ask(&edit("new.local"));
        assert_eq!(reply, None);
        let link = dialled(&effects);
        let facts = PeerFacts::default();
        let outcome = match outcome {
            Ok(k) => Ok(answer(k, ResponseKind::Ok, None, facts)),
            Err(reason) => Err(reason.into()),
        };
        node.peering
            .handle(Event::Dialled { link, outcome }, node.now);
        node.replied(RequestId(node.asked)).0
    };
    let (mut node, _) = Node::connected();
    let unreachable = Err(CloseReason::TransportError("refused".into()));
    let error = refusal(edited(&mut node, unreachable));
    assert_eq!(error.code, ErrorCode::Unavailable);
    let error = refusal(edited(&mut node, Ok(9)));
    assert_eq!(error.code, ErrorCode::PreconditionFailed);
    assert_eq!(node.view().pairings[0].0.endpoint, endpoint("1.example"));
    assert_eq!(edited(&mut node, Ok(1)), Some(Reply::Done));
    assert_eq!(node.view().pairings[0].0.endpoint, endpoint("new.local"));
    let error = refusal(node.ask(&edit("NEW.local.")).0);
    assert_eq!(error.code, ErrorCode::PreconditionFailed);
    let unknown = Request::EditEndpoint(pin(9), endpoint("new.local"));
    assert_eq!(refusal(node.ask(&unknown).0).code, ErrorCode::NotFound);

    let (mut node, _) = Node::connected();
    let (_, effects) = node.ask(&edit("new.local"));
    let asked = RequestId(node.asked);
    let link = dialled(&effects);
    node.ask(&Request::Unpair(pin(1)));
    let outcome = Ok(answer(1, ResponseKind::Ok, None, PeerFacts::default()));
    node.peering
        .handle(Event::Dialled { link, outcome }, node.now);
    assert_eq!(refusal(node.replied(asked).0).code, ErrorCode::NotFound);
}

#[test]
fn what_a_person_typed_wrong_is_refused_before_anything_is_dialled() {
    let mut node = Node::with(false, Vec::new(), Vec::new());
    let pair = |label: &str, key: Option<&str>, k: u8| Request::Pair {
        endpoint: endpoint("1.example"),
        pin: pin(k),
        pairing_key: key.map(str::to_owned),
        label: Label::clipped(label),
    };
    let long = "A".repeat(65);
    for request in [
        pair("a\u{202e}b", None, 1),
        pair("", Some(&long), 1),
        pair("", Some("A\u{7}B"), 1),
        pair("", None, OWN),
    ] {
        let (reply, effects) = node.ask(&request);
        assert_eq!(refusal(reply).code, ErrorCode::InvalidArgs);
        assert!(effects.is_empty());
    }
    let (_, effects) = node.ask(&pair("", Some("  "), 1));
    let blank = |e: &Effect| {
        matches!(
            e,
            Effect::Dial {
                purpose: Purpose::PairRequest {
                    pairing_key: None,
                    ..
                },
                ..
            }
        )
    };
    assert!(effects.iter().any(blank), "a blank key is none");
}

#[test]
fn switching_a_pairing_off_is_kept_and_an_unknown_pin_is_not_found() {
    let (mut node, _) = Node::connected();
    let (reply, effects) = node.ask(&Request::SetPairingEnabled(pin(1), false));
    assert_eq!((reply, saves(&effects)), (Some(Reply::Done), 1));
    let error = refusal(node.ask(&Request::SetPairingEnabled(pin(9), false)).0);
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[test]
fn nothing_is_asked_of_others_before_the_identity_is_loaded() {
    let mut node = Node::blank();
    for request in [
        wish(),
        Request::Preview(endpoint("1.example")),
        Request::RotateIdentity,
    ] {
        let error = refusal(node.ask(&request).0);
        assert_eq!(error.code, ErrorCode::PreconditionFailed);
    }
    assert!(node.peering.view().is_none());
}
