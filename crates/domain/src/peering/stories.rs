//! Stories about one node, told through events and effects: what several machines do together.
mod calls;
mod offloading;
mod receiving;
mod rotating;

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
        Effect::Answer { link, answer, .. } if *link == to => Some((answer.kind, answer.reason)),
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
