//! The key is changed.
use super::*;

// Covers: B-35
#[test]
fn the_key_is_changed_when_nothing_listens_and_clients_follow_when_their_old_ones_are_gone() {
    let mut node = Node::with(true, vec![peer(5)], vec![pairing(1)]);
    let effects = node.event(Event::Listening { port: 6055 });
    let client = dialled(&effects);
    node.answered(client, 1, ResponseKind::Ok);
    let (session, _) = node.knock(LinkIntent::PeerLink, 5);

    let (reply, effects) = node.ask(&Request::RotateIdentity);
    let rotation = RequestId(node.asked);
    assert_eq!(reply, None);
    assert_eq!(
        ended(&effects, client),
        Some(Some(TerminateReason::ClientStopped))
    );
    let told = Some(Some(TerminateReason::ServerShuttingDown));
    assert_eq!(ended(&effects, session), told);
    assert!(position(&effects, |e| matches!(e, Effect::StopListening)).is_some());
    assert!(position(&effects, |e| matches!(e, Effect::RotateIdentity)).is_none());
    assert_eq!(advert(&effects).unwrap().receiver, None);
    let again = refusal(node.ask(&Request::RotateIdentity).0);
    assert_eq!(again.code, ErrorCode::AlreadyExists);

    let effects = node.event(Event::ListenerClosed);
    assert!(matches!(effects[..], [Effect::RotateIdentity]));
    node.peering.handle(identity(201), node.now);
    let (reply, effects) = node.replied(rotation);
    assert_eq!(reply, Some(Reply::Done));
    assert!(position(&effects, |e| matches!(e, Effect::Listen)).is_some());
    let effects = node.event(Event::Listening { port: 6055 });
    let announced = advert(&effects).unwrap();
    assert_eq!(announced.receiver, Some((pin(201), 6055)));
    assert_eq!(announced.dashboard_id, id(OWN));
    assert_eq!(dials(&effects), 0, "the old client is not gone yet");
    let stopped = CloseReason::WeTerminated(TerminateReason::ClientStopped);
    assert_eq!(dials(&node.closed(client, stopped)), 1);
}

#[test]
fn a_rotation_that_fails_keeps_the_old_key_and_says_why() {
    let (mut node, client) = Node::connected();
    node.ask(&Request::RotateIdentity);
    let rotation = RequestId(node.asked);
    let stopped = CloseReason::WeTerminated(TerminateReason::ClientStopped);
    node.closed(client, stopped);
    node.event(Event::ListenerClosed);
    let failed = Event::RotationFailed("The keyring is locked.".into());
    node.peering.handle(failed, node.now);
    let (reply, effects) = node.replied(rotation);
    assert_eq!(refusal(reply).message, "The keyring is locked.");
    assert!(position(&effects, |e| matches!(e, Effect::Listen)).is_some());
    assert_eq!(dials(&node.event(Event::Listening { port: 7000 })), 1);
}

#[test]
fn an_orphaned_client_starts_again_with_the_new_key() {
    let (mut node, dials_first) = Node::offloader(vec![pairing(1)]);
    let mismatch = CloseReason::PinMismatch;
    node.failed(dialled(&dials_first), mismatch);
    assert!(matches!(
        node.view().pairings[..],
        [(_, LinkState::Orphaned)]
    ));
    node.ask(&Request::RotateIdentity);
    node.event(Event::ListenerClosed);
    node.peering.handle(identity(201), node.now);
    node.replied(RequestId(node.asked));
    assert_eq!(dials(&node.event(Event::Listening { port: 7000 })), 1);
}

#[test]
fn requests_in_flight_are_answered_when_the_key_changes() {
    let (mut node, _) = Node::connected();
    let preview = Request::Preview(endpoint("2.example"));
    assert_eq!(node.ask(&preview).0, None);
    let asked = RequestId(node.asked);
    let request = Request::RotateIdentity;
    node.peering
        .handle_request(CLIENT, RequestId(99), &request, node.now);
    let error = refusal(node.replied(asked).0);
    assert_eq!(error.code, ErrorCode::Unavailable);
}
