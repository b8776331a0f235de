//! Stories about one node, told through events and effects: what several machines do together.
use std::time::Duration;

use kiln_model::{
    AlertKind, Capabilities, CloseReason, DiscoveredHost, EsphomeVersion, FriendlyName, Hello,
    IntentReason, IntentResponse, Label, LinkId, LinkIntent, LinkState, Now, Pairing, PairingKey,
    PairingStatus, Peer, PeerFacts, Reply, Request, RequestError, ResponseKind, Settings,
    TerminateReason, Timestamp,
};

use super::fixtures::{endpoint, id, ip, key, pairing, peer, pin};
use super::*;
use crate::{Role, Session};

/// The key of the node that the story is about.
const OWN: u8 = 200;

const CLIENT: ClientId = ClientId(1);

/// A node and the time of its world.
struct Node {
    peering: Peering,
    now: Now,
    asked: u64,
    knocks: u64,
}

impl Node {
    fn blank() -> Self {
        Self {
            peering: Peering::new("0.1.0", 7),
            now: Now::default(),
            asked: 0,
            knocks: 1,
        }
    }

    /// A node that is up, with these rows.
    fn with(receiver: bool, peers: Vec<Peer>, pairings: Vec<Pairing>) -> Self {
        let mut node = Self::blank();
        let settings = Settings {
            receiver,
            ..Settings::default()
        };
        node.event(Event::SettingsChanged(settings));
        node.event(Event::FactsChanged(PeerFacts {
            friendly_name: FriendlyName::clipped("workshop"),
            ..PeerFacts::default()
        }));
        node.event(Event::Loaded(peers, pairings));
        node.event(identity(OWN));
        node
    }

    /// A receiver that listens on port 6056, because 6055 was busy.
    fn receiver(peers: Vec<Peer>) -> Self {
        let mut node = Self::with(true, peers, Vec::new());
        node.event(Event::Listening { port: 6056 });
        node
    }

    /// An offloader with these pairings; its listener is bound on port 7000. Returns its dials.
    fn offloader(pairings: Vec<Pairing>) -> (Self, Vec<Effect>) {
        let mut node = Self::with(false, Vec::new(), pairings);
        let dials = node.event(Event::Listening { port: 7000 });
        (node, dials)
    }

    /// An offloader with an open session to the receiver 1; returns the session's link.
    fn connected() -> (Self, LinkId) {
        let (mut node, dials) = Self::offloader(vec![pairing(1)]);
        let link = dialled(&dials);
        node.answered(link, 1, ResponseKind::Ok);
        (node, link)
    }

    fn drain(&mut self) -> Vec<crate::Effect> {
        std::iter::from_fn(|| self.peering.poll_effect()).collect()
    }

    /// Lets something happen; returns what is wanted, without what only faces care for.
    fn event(&mut self, event: Event) -> Vec<Effect> {
        self.peering.handle(event, self.now);
        self.effects()
    }

    fn effects(&mut self) -> Vec<Effect> {
        self.drain()
            .into_iter()
            .filter_map(|effect| match effect {
                crate::Effect::Peering(Effect::ViewChanged | Effect::PairingsChanged) => None,
                crate::Effect::Peering(effect) => Some(effect),
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    }

    /// Asks; returns the reply, if it came at once, and what is wanted.
    fn ask(&mut self, request: &Request) -> (Option<Reply>, Vec<Effect>) {
        self.asked += 1;
        let id = RequestId(self.asked);
        let taken = self.peering.handle_request(CLIENT, id, request, self.now);
        assert_eq!(taken, Taken::Mine);
        self.replied(id)
    }

    fn replied(&mut self, of: RequestId) -> (Option<Reply>, Vec<Effect>) {
        let (mut reply, mut effects) = (None, Vec::new());
        for effect in self.drain() {
            match effect {
                crate::Effect::Reply(id, answer) => {
                    assert_eq!(id, of);
                    assert!(reply.replace(answer).is_none(), "answered twice");
                }
                crate::Effect::Peering(Effect::ViewChanged | Effect::PairingsChanged) => {}
                crate::Effect::Peering(effect) => effects.push(effect),
                other => panic!("unexpected {other:?}"),
            }
        }
        (reply, effects)
    }

    fn pass(&mut self, seconds: u64) -> Vec<Effect> {
        let passed = Duration::from_secs(seconds);
        self.now.mono = self.now.mono + passed;
        self.now.wall = Timestamp(self.now.wall.0 + passed.as_micros() as i64);
        self.peering.handle_timeout(self.now);
        self.effects()
    }

    fn knock_with(&mut self, intent: LinkIntent, k: u8, hello: Hello) -> (LinkId, Vec<Effect>) {
        self.knock_from("192.0.2.1", intent, k, hello)
    }

    /// The key `k` knocks from an address.
    fn knock_from(
        &mut self,
        source: &str,
        intent: LinkIntent,
        k: u8,
        hello: Hello,
    ) -> (LinkId, Vec<Effect>) {
        let link = LinkId(self.knocks);
        self.knocks += 2;
        let effects = self.event(Event::Knocked {
            link,
            intent: Some(intent),
            public_key: key(k),
            pin: pin(k),
            hello,
            source: ip(source),
        });
        (link, effects)
    }

    /// The offloader `n` knocks with its own key.
    fn knock(&mut self, intent: LinkIntent, n: u8) -> (LinkId, Vec<Effect>) {
        let hello = Hello {
            dashboard_id: Some(id(n)),
            ..Hello::default()
        };
        self.knock_with(intent, n, hello)
    }

    /// The peer with the key `k` answers a dial.
    fn answered(&mut self, link: LinkId, k: u8, kind: ResponseKind) -> Vec<Effect> {
        let outcome = Ok(answer(k, kind, None, PeerFacts::default()));
        self.event(Event::Dialled { link, outcome })
    }

    fn failed(&mut self, link: LinkId, reason: CloseReason) -> Vec<Effect> {
        let outcome = Err(reason.into());
        self.event(Event::Dialled { link, outcome })
    }

    fn closed(&mut self, link: LinkId, reason: CloseReason) -> Vec<Effect> {
        self.event(Event::Closed { link, reason })
    }

    fn view(&self) -> PeeringView {
        self.peering.view().unwrap()
    }
}

fn identity(k: u8) -> Event {
    Event::IdentityLoaded {
        pin: pin(k),
        dashboard_id: id(OWN),
    }
}

fn answer(k: u8, kind: ResponseKind, reason: Option<IntentReason>, facts: PeerFacts) -> DialAnswer {
    DialAnswer {
        public_key: key(k),
        pin: pin(k),
        response: IntentResponse {
            kind: Some(kind),
            reason,
            facts,
            requires_pairing_key: false,
        },
        address: ip("192.0.2.1"),
    }
}

fn host(n: u8, place: &str) -> DiscoveredHost {
    DiscoveredHost {
        name: format!("host-{n}"),
        hostname: format!("{place}."),
        port: 6052,
        addresses: vec![ip("192.0.2.44")],
        server_version: String::new(),
        esphome_version: String::new(),
        friendly_name: FriendlyName::default(),
        pin: Some(pin(n)),
        endpoint: Some(endpoint(place)),
        ha_addon: false,
    }
}

/// Returns the link of the only dial.
#[track_caller]
fn dialled(effects: &[Effect]) -> LinkId {
    let mut links = effects.iter().filter_map(|effect| match effect {
        Effect::Dial { link, .. } => Some(*link),
        _ => None,
    });
    let link = links.next().expect("a dial");
    assert_eq!(links.next(), None, "one dial only");
    link
}

fn dials(effects: &[Effect]) -> usize {
    let dial = |effect: &&Effect| matches!(effect, Effect::Dial { .. });
    effects.iter().filter(dial).count()
}

/// Returns what a knock was answered, if it was.
fn said(effects: &[Effect], to: LinkId) -> Option<(ResponseKind, Option<IntentReason>)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Answer {
            link, kind, reason, ..
        } if *link == to => Some((*kind, *reason)),
        _ => None,
    })
}

/// Returns what a link was ended with, if it was.
fn ended(effects: &[Effect], of: LinkId) -> Option<Option<TerminateReason>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Close { link, terminate } if *link == of => Some(*terminate),
        _ => None,
    })
}

fn advert(effects: &[Effect]) -> Option<&Advert> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Advertise(advert) => Some(advert),
        _ => None,
    })
}

fn position(effects: &[Effect], what: fn(&Effect) -> bool) -> Option<usize> {
    effects.iter().position(what)
}

#[track_caller]
fn refusal(reply: Option<Reply>) -> RequestError {
    match reply {
        Some(Reply::Refused(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

const PENDING: Option<(ResponseKind, Option<IntentReason>)> = Some((ResponseKind::Pending, None));
const APPROVED: Option<(ResponseKind, Option<IntentReason>)> = Some((ResponseKind::Approved, None));
const NO_APPROVED_PEER: Option<(ResponseKind, Option<IntentReason>)> =
    Some((ResponseKind::Rejected, Some(IntentReason::NoApprovedPeer)));

mod receiving {
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
            effects[..],
            [Effect::Answer {
                requires_pairing_key: true,
                ..
            }]
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
}

mod offloading {
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
                purpose:
                    Purpose::PeerLink {
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
                purpose:
                    Purpose::PeerLink {
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
}

mod rotating {
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
}

#[test]
fn the_view_changes_only_when_something_to_show_does() {
    let (mut node, _) = Node::connected();
    let quiet = |node: &mut Node, event| {
        node.peering.handle(event, node.now);
        node.drain().is_empty()
    };
    assert!(quiet(&mut node, Event::AddressSeen("x.local.".to_owned())));
    assert!(quiet(&mut node, Event::HostGone("x".to_owned())));
    assert!(!quiet(&mut node, Event::HostSeen(host(4, "four.local"))));
    assert!(quiet(&mut node, Event::HostSeen(host(4, "four.local"))));
}

#[test]
fn a_long_sleep_makes_every_deadline_due_once() {
    let (mut node, dials_first) = Node::offloader(vec![pairing(1), pairing(2)]);
    for effect in &dials_first {
        if let Effect::Dial { link, .. } = effect {
            node.failed(*link, CloseReason::TransportError("refused".into()));
        }
    }
    let twelve_hours = 43_200;
    assert_eq!(dials(&node.pass(twelve_hours)), 2);
    assert_eq!(dials(&node.pass(0)), 0);
    assert!(node.peering.poll_timeout().is_none());
}
