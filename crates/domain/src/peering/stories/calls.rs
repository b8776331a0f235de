//! Receivers that call back.
use super::*;

fn call(node: &mut Node, k: u8, port: Option<u16>) -> (LinkId, Vec<Effect>) {
    let hello = Hello {
        peer_link_port: port,
        ..Hello::default()
    };
    node.knock_with(LinkIntent::ConnectBack, k, hello)
}

fn rejected(reason: IntentReason) -> Option<(ResponseKind, Option<IntentReason>)> {
    Some((ResponseKind::Rejected, Some(reason)))
}

// Covers: O-37
#[test]
fn a_call_is_answered_by_the_first_check_that_fails() {
    let (mut node, session) = Node::connected();
    let (link, effects) = call(&mut node, 9, Some(6055));
    assert_eq!(said(&effects, link), rejected(IntentReason::NoApprovedPeer));
    let (link, effects) = call(&mut node, 1, None);
    assert_eq!(said(&effects, link), rejected(IntentReason::BadEndpoint));
    let (link, effects) = call(&mut node, 1, Some(6055));
    assert_eq!(
        said(&effects, link),
        rejected(IntentReason::AlreadyConnected)
    );

    node.closed(session, CloseReason::PeerHungUp);
    let (waiting, effects) = call(&mut node, 1, Some(6055));
    assert_eq!(said(&effects, waiting), None);
    let probe = dialled(&effects);
    let (link, effects) = call(&mut node, 1, Some(6055));
    assert_eq!(
        said(&effects, link),
        rejected(IntentReason::RebindInProgress)
    );
    let effects = node.failed(probe, CloseReason::PeerHungUp);
    assert_eq!(said(&effects, waiting), rejected(IntentReason::ProbeFailed));
    let (link, effects) = call(&mut node, 1, Some(6055));
    assert_eq!(
        said(&effects, link),
        rejected(IntentReason::RebindInProgress)
    );
}

// Covers: O-37
#[test]
fn a_call_that_proves_true_moves_the_pairing_and_is_answered_ok() {
    let (mut node, dials_first) = Node::offloader(vec![pairing(1)]);
    let attempt = dialled(&dials_first);
    let (waiting, effects) = call(&mut node, 1, Some(6060));
    let probe = dialled(&effects);
    let effects = node.answered(probe, 1, ResponseKind::Ok);
    assert_eq!(said(&effects, waiting), Some((ResponseKind::Ok, None)));
    assert_eq!(ended(&effects, attempt), Some(None));
    let moved = endpoint("192.0.2.1:6060");
    assert_eq!(node.view().pairings[0].0.endpoint, moved);
    assert_eq!(dials(&effects), 0);
    let effects = node.closed(attempt, CloseReason::PeerHungUp);
    assert!(matches!(&effects[..], [Effect::Dial { endpoint: e, .. }] if *e == moved));
    let (next, effects) = call(&mut node, 1, Some(6061));
    assert_eq!(said(&effects, next), None, "the slot is free again");
}

#[test]
fn a_call_from_an_address_that_means_nothing_without_its_link_is_refused_and_not_probed() {
    let (mut node, _) = Node::offloader(vec![pairing(1)]);
    let hello = Hello {
        peer_link_port: Some(6055),
        ..Hello::default()
    };
    let (link, effects) = node.knock_from("fe80::1", LinkIntent::ConnectBack, 1, hello);
    assert_eq!(said(&effects, link), rejected(IntentReason::BadEndpoint));
    let (waiting, effects) = call(&mut node, 1, Some(6055));
    assert_eq!(said(&effects, waiting), None, "the slot is free");
}

// Covers: O-37
#[test]
fn a_call_whose_pairing_changed_during_the_probe_is_refused() {
    let (mut node, _) = Node::offloader(vec![pairing(1), pairing(2)]);
    let (waiting, effects) = call(&mut node, 1, Some(6060));
    let probe = dialled(&effects);
    node.ask(&Request::Unpair(pin(1)));
    let effects = node.answered(probe, 1, ResponseKind::Ok);
    assert_eq!(
        said(&effects, waiting),
        rejected(IntentReason::NoApprovedPeer)
    );

    let (mut node, dials_first) = Node::offloader(vec![pairing(1)]);
    let (waiting, effects) = call(&mut node, 1, Some(6060));
    let probe = dialled(&effects);
    node.answered(dialled(&dials_first), 1, ResponseKind::Ok);
    let effects = node.answered(probe, 1, ResponseKind::Ok);
    assert_eq!(
        said(&effects, waiting),
        rejected(IntentReason::AlreadyConnected)
    );
}
