//! Stories about two nodes on one simulated network: what one decides, the other has to understand.
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use kiln_model::{
    AlertKind, CloseReason, Endpoint, IntentResponse, Label, LinkId, LinkState, Now, Pin, Reply,
    Request, Settings, TerminateReason,
};

use super::fixtures::{id, ip, key, pin};
use super::*;

/// One end of a connection: which node, and its number for it.
type End = (usize, LinkId);

const OFFLOADER: usize = 0;
const RECEIVER: usize = 1;

struct Node {
    peering: Peering,
    address: IpAddr,
    port: u16,
    bound: bool,
    key: u8,
    replies: Vec<Reply>,
}

struct Connection {
    other: End,
    open: bool,
}

/// The offloader at 192.0.2.1, the receiver at 192.0.2.2, and the wires between them.
struct World {
    nodes: [Node; 2],
    now: Now,
    wires: BTreeMap<End, Connection>,
    accepted: u64,
    asked: u64,
}

impl World {
    fn new() -> Self {
        let node = |n: u8| Node {
            peering: Peering::new("0.1.0", n.into()),
            address: ip(&format!("192.0.2.{n}")),
            port: 6055,
            bound: false,
            key: n,
            replies: Vec::new(),
        };
        let mut world = Self {
            nodes: [node(1), node(2)],
            now: Now::default(),
            wires: BTreeMap::new(),
            accepted: 1,
            asked: 0,
        };
        for n in [OFFLOADER, RECEIVER] {
            let settings = Settings {
                receiver: n == RECEIVER,
                ..Settings::default()
            };
            world.tell(n, Event::SettingsChanged(settings));
            world.tell(n, Event::Loaded(Vec::new(), Vec::new()));
            let loaded = world.identity(n);
            world.tell(n, loaded);
        }
        world
    }

    /// Two nodes that are paired, with an open session.
    fn paired() -> Self {
        let mut world = Self::new();
        world.ask(RECEIVER, Request::OpenWindow);
        assert_eq!(world.pair(), [Reply::PairingPending]);
        let [asking] = &world.view(RECEIVER).pending[..] else {
            panic!("nobody asks");
        };
        let asking = asking.dashboard_id.clone();
        world.ask(RECEIVER, Request::Approve(asking, None));
        world.connected();
        world
    }

    fn identity(&self, n: usize) -> Event {
        let k = self.nodes[n].key;
        Event::IdentityLoaded {
            pin: pin(k),
            dashboard_id: id(n as u8),
        }
    }

    fn pair(&mut self) -> Vec<Reply> {
        let receiver = &self.nodes[RECEIVER];
        let request = Request::Pair {
            endpoint: Endpoint::new(&receiver.address.to_string(), receiver.port).unwrap(),
            pin: pin(receiver.key),
            pairing_key: None,
            label: Label::default(),
        };
        self.ask(OFFLOADER, request)
    }

    fn view(&self, n: usize) -> PeeringView {
        self.nodes[n].peering.view().unwrap()
    }

    #[track_caller]
    fn connected(&self) {
        let links: Vec<_> = self
            .view(OFFLOADER)
            .pairings
            .into_iter()
            .map(|p| p.1)
            .collect();
        assert_eq!(links, [LinkState::Connected]);
        assert!(self.view(RECEIVER).peers.iter().all(|peer| peer.connected));
    }

    /// Asks one node; returns every answer that came by now.
    fn ask(&mut self, n: usize, request: Request) -> Vec<Reply> {
        self.asked += 1;
        let id = RequestId(self.asked);
        let client = ClientId(1);
        let now = self.now;
        self.nodes[n]
            .peering
            .handle_request(client, id, &request, now);
        self.run();
        std::mem::take(&mut self.nodes[n].replies)
    }

    fn tell(&mut self, n: usize, event: Event) {
        self.nodes[n].peering.handle(event, self.now);
        self.run();
    }

    /// Lets time pass, waking each node when it wants to be.
    fn pass(&mut self, seconds: u64) {
        let end = self.now.mono + Duration::from_secs(seconds);
        loop {
            let due = self.nodes.iter().filter_map(|n| n.peering.poll_timeout());
            let next = due.map(|(at, _)| at).min().filter(|at| *at <= end);
            self.now.mono = next.unwrap_or(end).max(self.now.mono);
            for node in &mut self.nodes {
                node.peering.handle_timeout(self.now);
            }
            self.run();
            if next.is_none() {
                return;
            }
        }
    }

    /// Does what both nodes want until both are quiet.
    fn run(&mut self) {
        let mut events: VecDeque<(usize, Event)> = VecDeque::new();
        loop {
            for n in [OFFLOADER, RECEIVER] {
                while let Some(effect) = self.nodes[n].peering.poll_effect() {
                    self.perform(n, effect, &mut events);
                }
            }
            match events.pop_front() {
                Some((n, event)) => self.nodes[n].peering.handle(event, self.now),
                None => return,
            }
        }
    }

    fn perform(&mut self, n: usize, effect: crate::Effect, events: &mut VecDeque<(usize, Event)>) {
        let effect = match effect {
            crate::Effect::Reply(_, reply) => return self.nodes[n].replies.push(reply),
            crate::Effect::Peering(effect) => effect,
            other => panic!("unexpected {other:?}"),
        };
        match effect {
            Effect::Listen => {
                self.nodes[n].bound = true;
                let port = self.nodes[n].port;
                events.push_back((n, Event::Listening { port }));
            }
            Effect::StopListening => {
                self.nodes[n].bound = false;
                events.push_back((n, Event::ListenerClosed));
            }
            Effect::RotateIdentity => {
                self.nodes[n].key += 100;
                events.push_back((n, self.identity(n)));
            }
            Effect::Dial {
                link,
                endpoint,
                expect,
                purpose,
                ..
            } => match self.reached(&endpoint, expect) {
                Ok(other) => {
                    let theirs = LinkId(self.accepted);
                    self.accepted += 2;
                    self.wire((n, link), (other, theirs));
                    let knock = knock(&self.nodes[n], theirs, &purpose);
                    events.push_back((other, knock));
                }
                Err(failure) => {
                    let outcome = Err(failure);
                    events.push_back((n, Event::Dialled { link, outcome }));
                }
            },
            Effect::Answer {
                link,
                answer,
                approval: _,
            } => {
                let ours = (n, link);
                let Some(other) = self.wires.get(&ours).map(|wire| wire.other) else {
                    return;
                };
                let outcome = Ok(DialAnswer {
                    public_key: key(self.nodes[n].key),
                    pin: pin(self.nodes[n].key),
                    response: IntentResponse {
                        kind: Some(answer.kind),
                        reason: answer.reason,
                        facts: answer.facts,
                        requires_pairing_key: answer.requires_pairing_key,
                    },
                    address: self.nodes[n].address,
                });
                let (dialler, theirs) = other;
                let answered = Event::Dialled {
                    link: theirs,
                    outcome,
                };
                events.push_back((dialler, answered));
                if answer.admit.is_some() {
                    for end in [ours, other] {
                        if let Some(wire) = self.wires.get_mut(&end) {
                            wire.open = true;
                        }
                    }
                } else {
                    self.wires.remove(&ours);
                    self.wires.remove(&other);
                    let reason = CloseReason::PeerHungUp;
                    events.push_back((n, Event::Closed { link, reason }));
                }
            }
            Effect::Close { link, terminate } => self.cut((n, link), terminate, events),
            Effect::Advertise(_)
            | Effect::SavePeer(_)
            | Effect::ForgetPeer(..)
            | Effect::SavePairing(_)
            | Effect::ForgetPairing(_)
            | Effect::Record(_)
            | Effect::SessionUp(_)
            | Effect::SessionDown { .. }
            | Effect::PairingsChanged
            | Effect::BootstrapLapsed
            | Effect::BootstrapFailed(_)
            | Effect::ViewChanged => {}
        }
    }

    fn wire(&mut self, a: End, b: End) {
        let open = false;
        self.wires.insert(a, Connection { other: b, open });
        self.wires.insert(b, Connection { other: a, open });
    }

    /// Returns who listens there, if it is who is expected.
    fn reached(&self, endpoint: &Endpoint, expect: Option<Pin>) -> Result<usize, DialFailure> {
        let there = |node: &Node| {
            node.bound && endpoint.ip() == Some(node.address) && endpoint.port() == node.port
        };
        let Some(n) = self.nodes.iter().position(there) else {
            return Err(CloseReason::TransportError("refused".into()).into());
        };
        let found = pin(self.nodes[n].key);
        if expect.is_some_and(|expected| expected != found) {
            return Err(DialFailure {
                reason: CloseReason::PinMismatch,
                address: Some(self.nodes[n].address),
                observed: Some(found),
            });
        }
        Ok(n)
    }

    /// Ends a connection from one side; the other side hears of it, unless the network is down.
    fn cut(
        &mut self,
        end: End,
        terminate: Option<TerminateReason>,
        events: &mut VecDeque<(usize, Event)>,
    ) {
        let Some(wire) = self.wires.remove(&end) else {
            return;
        };
        self.wires.remove(&wire.other);
        let heard = terminate.map_or(CloseReason::PeerHungUp, CloseReason::Terminated);
        let said = terminate.map_or(CloseReason::PeerHungUp, CloseReason::WeTerminated);
        let (n, link) = end;
        events.push_back((n, Event::Closed { link, reason: said }));
        let (other, link) = wire.other;
        // An unanswered dial fails; a session or a waiting knock ends.
        let event = if !wire.open && link.0.is_multiple_of(2) {
            let outcome = Err(heard.into());
            Event::Dialled { link, outcome }
        } else {
            let reason = heard;
            Event::Closed { link, reason }
        };
        events.push_back((other, event));
    }

    /// The receiver is plugged out and comes back elsewhere.
    fn move_receiver(&mut self, address: &str, port: u16) {
        let ends: Vec<End> = self
            .wires
            .keys()
            .filter(|(n, _)| *n == RECEIVER)
            .copied()
            .collect();
        let mut events = VecDeque::new();
        for end in ends {
            self.cut(end, None, &mut events);
        }
        self.nodes[RECEIVER].address = ip(address);
        self.nodes[RECEIVER].port = port;
        self.nodes[RECEIVER].bound = false;
        events.push_back((RECEIVER, Event::ListenerClosed));
        for (n, event) in events {
            self.tell(n, event);
        }
    }
}

fn knock(from: &Node, link: LinkId, purpose: &Purpose) -> Event {
    let (intent, hello) = purpose.introduction();
    Event::Knocked {
        link,
        intent: Some(intent),
        public_key: key(from.key),
        pin: pin(from.key),
        hello,
        source: from.address,
    }
}

fn alerts(world: &World) -> Vec<AlertKind> {
    let alerts = world.view(OFFLOADER).alerts;
    alerts.into_iter().map(|alert| alert.kind).collect()
}

#[test]
fn two_nodes_pair_by_approval_and_keep_a_session() {
    let mut world = World::paired();
    world.pass(86_400);
    world.connected();
}

#[test]
fn a_preview_shows_the_pin_and_leaves_no_trace() {
    let mut world = World::new();
    let there = Endpoint::new("192.0.2.2", 6055).unwrap();
    let replies = world.ask(OFFLOADER, Request::Preview(there));
    assert!(matches!(replies[..], [Reply::Previewed { pin: p, .. }] if p == pin(2)));
    assert!(world.view(RECEIVER).pending.is_empty());
    assert!(world.view(OFFLOADER).pairings.is_empty());
}

#[test]
fn a_closed_window_stores_nothing_on_either_side() {
    let mut world = World::new();
    let replies = world.pair();
    assert!(matches!(&replies[..], [Reply::Refused(e)] if e.code == ErrorCode::NoPairingWindow));
    assert!(world.view(OFFLOADER).pairings.is_empty());
    assert!(world.view(RECEIVER).pending.is_empty());
}

#[test]
fn a_window_that_closes_undecided_tells_the_offloader() {
    let mut world = World::new();
    world.ask(RECEIVER, Request::OpenWindow);
    world.pair();
    world.pass(301);
    assert!(world.view(OFFLOADER).pairings.is_empty());
    assert_eq!(alerts(&world), [AlertKind::PeerRevoked]);
}

#[test]
fn a_decision_after_an_hour_of_extended_windows_still_arrives() {
    let mut world = World::new();
    world.ask(RECEIVER, Request::OpenWindow);
    world.pair();
    for _ in 0..20 {
        world.pass(200);
        world.ask(RECEIVER, Request::OpenWindow);
    }
    world.ask(RECEIVER, Request::Approve(id(0), None));
    world.pass(3);
    world.connected();
}

#[test]
fn a_revoked_offloader_is_told_and_pairs_again_only_with_an_open_window() {
    let mut world = World::paired();
    world.ask(RECEIVER, Request::RemovePeer(id(0)));
    world.pass(300);
    assert_eq!(alerts(&world), [AlertKind::PeerRevoked]);
    assert!(matches!(world.pair()[..], [Reply::Refused(_)]));
    world.ask(RECEIVER, Request::OpenWindow);
    world.pair();
    world.ask(RECEIVER, Request::Approve(id(0), None));
    world.connected();
    assert!(alerts(&world).is_empty());
}

#[test]
fn an_offloader_that_forgot_the_receiver_is_approved_again_without_a_window() {
    let mut world = World::paired();
    world.ask(OFFLOADER, Request::Unpair(pin(2)));
    assert_eq!(world.pair(), [Reply::Paired]);
    world.connected();
}

// Covers: B-35
#[test]
fn a_receiver_with_a_new_key_is_not_trusted_until_paired_again() {
    let mut world = World::paired();
    assert_eq!(world.ask(RECEIVER, Request::RotateIdentity), [Reply::Done]);
    world.pass(60);
    assert_eq!(alerts(&world), [AlertKind::PinMismatch]);
    assert_eq!(world.view(OFFLOADER).alerts[0].observed, Some(pin(102)));
    assert_eq!(world.pair(), [Reply::Paired], "the receiver still knows us");
    world.connected();
    assert!(alerts(&world).is_empty());
}

// Covers: B-35
#[test]
fn an_offloader_with_a_new_key_is_refused_until_the_receiver_forgets_the_old_one() {
    let mut world = World::paired();
    assert_eq!(world.ask(OFFLOADER, Request::RotateIdentity), [Reply::Done]);
    world.pass(60);
    assert_eq!(alerts(&world), [AlertKind::PeerRevoked]);
    world.ask(RECEIVER, Request::OpenWindow);
    assert!(matches!(world.pair()[..], [Reply::Refused(_)]));
    world.ask(RECEIVER, Request::RemovePeer(id(0)));
    world.pair();
    world.ask(RECEIVER, Request::Approve(id(0), None));
    world.connected();
}

// Covers: R-55, O-35
#[test]
fn a_receiver_that_was_lost_calls_back_and_is_found_at_its_new_address() {
    let mut world = World::paired();
    world.move_receiver("198.51.100.9", 7777);
    world.pass(120);
    assert!(matches!(
        world.view(OFFLOADER).pairings[..],
        [(_, LinkState::Connecting(_))]
    ));
    world.pass(300);
    world.connected();
    let stored = world.view(OFFLOADER).pairings[0].0.endpoint.to_string();
    assert_eq!(stored, "198.51.100.9:7777");
}

#[test]
fn a_session_that_was_cut_is_back_within_seconds() {
    let mut world = World::paired();
    let address = world.nodes[RECEIVER].address.to_string();
    world.move_receiver(&address, 6055);
    // The unexpected end of the listener is retried after 30 s, the client at most 30 s later.
    world.pass(70);
    world.connected();
}
