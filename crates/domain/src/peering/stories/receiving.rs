//! A receiver: who is asked for, let in, refused and lost.
use super::*;

/// A receiver whose window is open and that the offloader 1 asked; returns its waiting link.
fn asked() -> (Node, LinkId) {
    let mut node = Node::receiver(Vec::new());
    assert_eq!(node.ask(&Request::OpenWindow).0, Some(Reply::Done));
    let (link, effects) = node.knock(LinkIntent::PairRequest, 1);
    assert_eq!(said(&effects, link), PENDING);
    let (link, effects) = node.knock(LinkIntent::PairStatus, 1);
    assert_eq!(said(&effects, link), None);
    (node, link)
}

#[test]
fn nothing_listens_unasked() {
    let mut node = Node::with(false, vec![peer(1)], Vec::new());
    assert!(node.peering.poll_timeout().is_none());
    assert_eq!(node.view().listening, None);
    let effects = node.event(Event::SettingsChanged(Settings {
        receiver: true,
        ..Settings::default()
    }));
    assert!(position(&effects, |e| matches!(e, Effect::Listen)).is_some());
}

// Covers: R-02, B-31
#[test]
fn the_port_that_was_got_is_announced_with_the_pin_exactly_while_bound_as_receiver() {
    let mut node = Node::with(true, Vec::new(), Vec::new());
    let effects = node.event(Event::Listening { port: 6056 });
    let announced = advert(&effects).unwrap();
    assert_eq!(announced.receiver, Some((pin(OWN), 6056)));
    assert_eq!(announced.port, 6056);

    let effects = node.event(Event::SettingsChanged(Settings {
        receiver: false,
        ..Settings::default()
    }));
    assert!(position(&effects, |e| matches!(e, Effect::StopListening)).is_some());
    assert_eq!(advert(&effects).unwrap().receiver, None);
    assert!(node.event(Event::ListenerClosed).is_empty());
}

//
#[test]
fn pair_status_waits_for_the_decision_and_is_answered_with_it() {
    let (mut node, link) = asked();
    assert_eq!(said(&node.pass(299), link), None);
    let (reply, effects) = node.ask(&Request::Approve(id(1), None));
    assert_eq!(reply, Some(Reply::Done));
    assert_eq!(said(&effects, link), APPROVED);
    let saved = position(&effects, |e| matches!(e, Effect::SavePeer(_)));
    let answered = position(&effects, |e| matches!(e, Effect::Answer { .. }));
    assert!(saved < answered, "durable before it is said");

    let (mut node, link) = asked();
    let (reply, effects) = node.ask(&Request::Reject(id(1)));
    assert_eq!(reply, Some(Reply::Done));
    assert_eq!(said(&effects, link), NO_APPROVED_PEER);
    assert!(node.view().pending.is_empty());
}

#[test]
fn what_asks_with_another_key_than_was_compared_is_not_approved() {
    let (mut node, _) = asked();
    let refused = refusal(node.ask(&Request::Approve(id(1), Some(pin(9)))).0);
    assert_eq!(refused.code, ErrorCode::PreconditionFailed);
    assert_eq!(node.view().pending.len(), 1);
    let compared = node.view().pending[0].pin;
    let (reply, _) = node.ask(&Request::Approve(id(1), Some(compared)));
    assert_eq!(reply, Some(Reply::Done));
}

//
#[test]
fn an_accept_before_pair_status_arrives_is_not_missed() {
    let (mut node, _) = asked();
    node.ask(&Request::Approve(id(1), None));
    let (link, effects) = node.knock(LinkIntent::PairStatus, 1);
    assert_eq!(said(&effects, link), APPROVED);
}

//
#[test]
fn closing_the_window_drops_pending_entries_and_wakes_their_waiters() {
    let (mut node, link) = asked();
    let (_, effects) = node.ask(&Request::CloseWindow);
    assert_eq!(said(&effects, link), NO_APPROVED_PEER);
    assert!(node.view().pending.is_empty());

    let (mut node, link) = asked();
    let (at, why) = node.peering.poll_timeout().unwrap();
    assert_eq!(
        (at, why),
        (node.now.mono + window::LIFETIME, "PairingWindow")
    );
    let effects = node.pass(300);
    assert_eq!(said(&effects, link), NO_APPROVED_PEER);
    assert!(node.view().pending.is_empty());
}

#[test]
fn switching_the_receiver_off_closes_the_window_and_ends_what_came_in() {
    let (mut node, link) = asked();
    let effects = node.event(Event::SettingsChanged(Settings {
        receiver: false,
        ..Settings::default()
    }));
    let told = said(&effects, link).or(ended(&effects, link).map(|_| {
        let unsaid = ResponseKind::Rejected;
        (unsaid, None)
    }));
    assert!(told.is_some(), "the waiting connection hears of it");
    assert_eq!(node.view().window_until, None);
    let error = refusal(node.ask(&Request::OpenWindow).0);
    assert_eq!(error.code, ErrorCode::PreconditionFailed);
}

//
#[test]
fn pending_entries_do_not_survive_a_restart_and_approved_ones_do() {
    let (mut node, _) = asked();
    let (_, effects) = node.ask(&Request::Approve(id(1), None));
    let saved = effects.into_iter().find_map(|effect| match effect {
        Effect::SavePeer(peer) => Some(peer),
        _ => None,
    });
    let mut again = Node::receiver(vec![saved.unwrap()]);
    let (link, effects) = again.knock(LinkIntent::PairStatus, 1);
    assert_eq!(said(&effects, link), APPROVED);

    let (node, _) = asked();
    assert_eq!(node.view().pending.len(), 1);
    let mut again = Node::receiver(Vec::new());
    let (link, effects) = again.knock(LinkIntent::PairStatus, 1);
    assert_eq!(said(&effects, link), NO_APPROVED_PEER);
}

#[test]
fn decisions_about_unknown_or_approved_offloaders_are_refused_with_a_next_step() {
    let mut node = Node::receiver(vec![peer(1)]);
    let approved = refusal(node.ask(&Request::Approve(id(1), None)).0);
    assert_eq!(approved.code, ErrorCode::InvalidArgs);
    for request in [
        Request::Approve(id(2), None),
        Request::Reject(id(2)),
        Request::RemovePeer(id(2)),
    ] {
        let error = refusal(node.ask(&request).0);
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(!error.hint.is_empty());
    }
}

//
#[test]
fn a_second_session_is_installed_before_the_first_is_superseded() {
    let mut node = Node::receiver(vec![peer(1)]);
    let (first, effects) = node.knock(LinkIntent::PeerLink, 1);
    assert_eq!(said(&effects, first), Some((ResponseKind::Ok, None)));
    assert!(matches!(
        effects.last(),
        Some(Effect::SessionUp(Session {
            role: Role::Receiver { .. },
            ..
        }))
    ));
    let (second, effects) = node.knock(LinkIntent::PeerLink, 1);
    assert_eq!(
        ended(&effects, first),
        Some(Some(TerminateReason::Superseded))
    );
    let order = [
        position(&effects, |e| matches!(e, Effect::Answer { .. })),
        position(&effects, |e| matches!(e, Effect::SessionDown { .. })),
        position(&effects, |e| matches!(e, Effect::Close { .. })),
        position(&effects, |e| matches!(e, Effect::SessionUp(_))),
    ];
    assert!(order.iter().all(Option::is_some) && order.is_sorted());
    let late = node.closed(
        first,
        CloseReason::WeTerminated(TerminateReason::Superseded),
    );
    assert!(
        late.is_empty(),
        "the old end does not touch the new session"
    );
    assert!(node.view().peers.iter().all(|peer| peer.connected));
    let effects = node.closed(second, CloseReason::PeerHungUp);
    assert!(matches!(effects[..], [Effect::SessionDown { link, .. }] if link == second));
}

#[test]
fn a_revoked_offloader_loses_its_live_session_and_is_refused_from_then_on() {
    let mut node = Node::receiver(vec![peer(1)]);
    let (session, _) = node.knock(LinkIntent::PeerLink, 1);
    let (reply, effects) = node.ask(&Request::RemovePeer(id(1)));
    assert_eq!(reply, Some(Reply::Done));
    assert!(matches!(effects[0], Effect::ForgetPeer(_, Some(_))));
    let reason = ended(&effects, session).unwrap().unwrap();
    assert_ne!(reason, TerminateReason::Superseded);
    let (link, effects) = node.knock(LinkIntent::PeerLink, 1);
    assert_eq!(said(&effects, link), NO_APPROVED_PEER);
}

#[test]
fn forgetting_the_old_id_of_a_dashboard_leaves_the_trust_in_its_key() {
    let renamed = Peer {
        dashboard_id: id(2),
        ..peer(1)
    };
    let mut node = Node::receiver(vec![peer(1), renamed]);
    let (_, effects) = node.ask(&Request::RemovePeer(id(1)));
    assert!(matches!(&effects[0], Effect::ForgetPeer(gone, None) if *gone == id(1)));
    let (_, effects) = node.ask(&Request::RemovePeer(id(2)));
    let pin = peer(1).pin;
    assert!(matches!(effects[0], Effect::ForgetPeer(_, Some(gone)) if gone == pin));
}

//
#[test]
fn a_preview_is_served_while_our_own_call_waits_for_its_answer() {
    let mut lost = peer(1);
    lost.peer_ip = Some(ip("192.0.2.7"));
    lost.connect_back_port = Some(7000);
    let mut node = Node::receiver(vec![lost]);
    node.pass(30);
    let called = dialled(&node.pass(300));
    let (link, effects) = node.knock(LinkIntent::Preview, 1);
    assert_eq!(said(&effects, link), Some((ResponseKind::Ok, None)));
    assert!(node.peering.connect_back.owns(called));
}

//
#[test]
fn an_offloader_whose_session_we_ended_is_not_called_for_300_seconds() {
    let mut node = Node::receiver(vec![peer(1)]);
    let hello = Hello {
        dashboard_id: Some(id(1)),
        connect_back_port: Some(7000),
        ..Hello::default()
    };
    let (session, _) = node.knock_with(LinkIntent::PeerLink, 1, hello);
    node.pass(1000);
    let settings = |receiver| {
        Event::SettingsChanged(Settings {
            receiver,
            ..Settings::default()
        })
    };
    node.event(settings(false));
    node.event(Event::ListenerClosed);
    node.closed(session, CloseReason::PeerHungUp);
    node.event(settings(true));
    node.event(Event::Listening { port: 6056 });
    let calls: usize = (0..9).map(|_| dials(&node.pass(30))).sum();
    assert_eq!(calls, 0);
    assert_eq!(dials(&node.pass(30)), 1);
}

//
#[test]
fn a_headless_receiver_listens_unset_admits_by_key_once_and_closes_its_window() {
    let mut node = Node::with(false, Vec::new(), Vec::new());
    let key = PairingKey::from_text("ABCD-EFGH-JKMN-PQRS");
    let sources = Vec::new();
    let effects = node.event(Event::BootstrapArmed { key, sources });
    assert!(matches!(effects[..], [Effect::Listen]));
    node.event(Event::Listening { port: 6055 });
    let hello = |n| Hello {
        dashboard_id: Some(id(n)),
        pairing_key: Some("abcd-efgh-jkmn-pqrs".to_owned().into()),
        ..Hello::default()
    };
    let (link, effects) = node.knock_with(LinkIntent::PairRequest, 1, hello(1));
    assert!(matches!(effects[0], Effect::SavePeer(_)), "durable first");
    assert_eq!(said(&effects, link), APPROVED);
    assert_eq!(node.view().window_until, None);
    let (link, effects) = node.knock_with(LinkIntent::PairRequest, 2, hello(2));
    let closed = Some((ResponseKind::NoPairingWindow, None));
    assert_eq!(said(&effects, link), closed);
    let (_, effects) = node.knock(LinkIntent::Preview, 3);
    assert!(matches!(
        &effects[..],
        [Effect::Answer { answer, .. }] if answer.requires_pairing_key
    ));
}

#[test]
fn an_unused_key_lapses_and_a_port_that_cannot_be_had_ends_the_bootstrap_at_once() {
    let arm = || Event::BootstrapArmed {
        key: PairingKey::from_text("ABCD-EFGH-JKMN-PQRS"),
        sources: Vec::new(),
    };
    let mut node = Node::with(false, Vec::new(), Vec::new());
    node.event(arm());
    node.event(Event::Listening { port: 6055 });
    let effects = node.pass(900);
    assert!(matches!(effects[..], [Effect::BootstrapLapsed]));

    let mut node = Node::with(false, Vec::new(), Vec::new());
    node.event(arm());
    let effects = node.event(Event::ListenFailed("busy".into()));
    assert!(matches!(&effects[..], [Effect::BootstrapFailed(text)] if text == "busy"));

    let mut node = Node::with(false, vec![peer(1)], Vec::new());
    node.event(arm());
    assert_eq!(node.view().window_until, None, "not needed");
    node.event(Event::Listening { port: 6055 });
    assert!(node.pass(900).is_empty());
}

#[test]
fn what_knocks_before_the_listener_is_up_is_not_answered() {
    let mut node = Node::with(true, vec![peer(1)], Vec::new());
    let (link, effects) = node.knock(LinkIntent::PeerLink, 1);
    assert_eq!(said(&effects, link), None);
    assert_eq!(ended(&effects, link), Some(None));
}
