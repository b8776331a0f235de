//! A reference model of pairing: random histories of people, peers, network and time, and what has to
//! be true in every one of them.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::witness::Approved;
use kiln_model::{
    CloseReason, DashboardId, DiscoveredHost, Endpoint, FriendlyName, Hello, IntentReason,
    IntentResponse, Label, LinkId, LinkIntent, Mono, Now, Pairing, PairingStatus, Peer, PeerFacts,
    Pin, Reply, Request, ResponseKind, Settings, Timestamp,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::fixtures::{endpoint, id, ip, key, pin};
use super::*;
use crate::Role;

/// Something that happens in the world; small numbers name peers, keys, clients and places, and pick
/// among what is open.
#[derive(Clone, Debug)]
enum Step {
    Knock {
        intent: LinkIntent,
        n: u8,
        k: u8,
    },
    Call {
        k: u8,
        port: u16,
    },
    Open(u8),
    Close(u8),
    Gone(u8),
    Approve(u8),
    Reject(u8),
    Remove(u8),
    Preview(u8),
    Pair {
        n: u8,
        place: u8,
    },
    Unpair(u8),
    Enable(u8, bool),
    Edit {
        n: u8,
        place: u8,
    },
    Rotate,
    Receiver(bool),
    Seen {
        n: u8,
        place: u8,
    },
    Address(u8),
    Answer {
        of: usize,
        k: u8,
        kind: ResponseKind,
        reason: Option<IntentReason>,
    },
    /// The right peer says what was hoped for, or histories would never get anywhere.
    Grant {
        of: usize,
        at_once: bool,
    },
    Fail {
        of: usize,
        reason: CloseReason,
    },
    HangUp {
        of: usize,
    },
    Deliver,
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 1..3_u8;
    let place = || 0..3_u8;
    let intents = select(
        &[
            LinkIntent::PairRequest,
            LinkIntent::PairStatus,
            LinkIntent::PeerLink,
            LinkIntent::Preview,
        ][..],
    );
    let reasons = select(IntentReason::ALL);
    let failures = select(vec![
        CloseReason::TransportError("refused".into()),
        CloseReason::PinMismatch,
        CloseReason::SelfLoopback,
        CloseReason::PeerHungUp,
    ]);
    prop_oneof![
        12 => (intents, n(), n(), any::<bool>())
            .prop_map(|(intent, n, k, own)| Step::Knock { intent, n, k: if own { n } else { k } }),
        3 => (n(), 6000..6003_u16).prop_map(|(k, port)| Step::Call { k, port }),
        6 => n().prop_map(Step::Open),
        2 => n().prop_map(Step::Close),
        1 => n().prop_map(Step::Gone),
        6 => n().prop_map(Step::Approve),
        2 => n().prop_map(Step::Reject),
        2 => n().prop_map(Step::Remove),
        1 => place().prop_map(Step::Preview),
        6 => (n(), place()).prop_map(|(n, place)| Step::Pair { n, place }),
        2 => n().prop_map(Step::Unpair),
        1 => (n(), any::<bool>()).prop_map(|(n, on)| Step::Enable(n, on)),
        2 => (n(), place()).prop_map(|(n, place)| Step::Edit { n, place }),
        1 => Just(Step::Rotate),
        1 => any::<bool>().prop_map(Step::Receiver),
        4 => (n(), place()).prop_map(|(n, place)| Step::Seen { n, place }),
        1 => place().prop_map(Step::Address),
        10 => (any::<usize>(), any::<bool>()).prop_map(|(of, at_once)| Step::Grant { of, at_once }),
        6 => (any::<usize>(), n(), select(ResponseKind::ALL), proptest::option::of(reasons))
            .prop_map(|(of, k, kind, reason)| Step::Answer { of, k, kind, reason }),
        4 => (any::<usize>(), failures).prop_map(|(of, reason)| Step::Fail { of, reason }),
        3 => any::<usize>().prop_map(|of| Step::HangUp { of }),
        14 => Just(Step::Deliver),
        6 => select(vec![0_u64, 1, 2, 29, 30, 60, 299, 300, 901]).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

fn place(n: u8) -> Endpoint {
    endpoint(&format!("place-{n}.local"))
}

/// A dial as the world sees it.
#[derive(Clone, Debug)]
struct Dial {
    purpose: Purpose,
    expect: Option<Pin>,
    state: DialState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DialState {
    Ringing,
    /// A session that the other side opened.
    Open,
}

/// The node, the world around it, and the model: what is durable, which window entries live, who is
/// pending by what was answered, which sessions are up.
struct World {
    peering: Peering,
    now: Now,
    receiver: bool,
    own: u8,

    /// What the node waits for from its shell: delivered one by one.
    owed: Vec<Event>,
    knocks: BTreeMap<LinkId, (Option<DashboardId>, Pin, LinkIntent)>,
    next_knock: u64,
    dials: BTreeMap<LinkId, Dial>,
    accepted: BTreeSet<LinkId>,

    peers: BTreeMap<DashboardId, Peer>,
    pairings: BTreeMap<Pin, Pairing>,
    entries: BTreeMap<ClientId, (Mono, bool)>,
    pending: BTreeMap<DashboardId, Pin>,
    sessions: BTreeMap<LinkId, (Pin, Option<DashboardId>)>,
    probes: BTreeMap<Pin, Mono>,
    asked: BTreeSet<RequestId>,
    next_request: u64,
    approving: Option<DashboardId>,
    editing: bool,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            peering: Peering::new("0.1.0", 7),
            now: Now::default(),
            receiver: true,
            own: 200,
            owed: Vec::new(),
            knocks: BTreeMap::new(),
            next_knock: 1,
            dials: BTreeMap::new(),
            accepted: BTreeSet::new(),
            peers: BTreeMap::new(),
            pairings: BTreeMap::new(),
            entries: BTreeMap::new(),
            pending: BTreeMap::new(),
            sessions: BTreeMap::new(),
            probes: BTreeMap::new(),
            asked: BTreeSet::new(),
            next_request: 0,
            approving: None,
            editing: false,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.settings();
        let peers = self.peers.values().cloned().collect();
        let pairings = self.pairings.values().cloned().collect();
        self.event(Event::Loaded(peers, pairings));
        self.event(self.identity());
    }

    fn identity(&self) -> Event {
        Event::IdentityLoaded {
            pin: pin(self.own),
            dashboard_id: id(200),
        }
    }

    fn settings(&mut self) {
        let settings = Settings {
            receiver: self.receiver,
            ..Settings::default()
        };
        self.event(Event::SettingsChanged(settings));
    }

    fn event(&mut self, event: Event) {
        self.peering.handle(event, self.now);
        self.perform();
    }

    fn ask(&mut self, client: u8, request: &Request) {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.asked.insert(id);
        let client = ClientId(client.into());
        let taken = self.peering.handle_request(client, id, request, self.now);
        assert_eq!(taken, Taken::Mine);
        self.perform();
    }

    /// Does what the node wants, and holds it to the model while doing so.
    fn perform(&mut self) {
        while let Some(effect) = self.peering.poll_effect() {
            match effect {
                crate::Effect::Reply(id, reply) => {
                    assert!(self.asked.remove(&id), "{id:?} answered twice");
                    if let (Some(id), Reply::Refused(_)) = (&self.approving, &reply) {
                        assert!(!self.pending.contains_key(id) || !self.is_open());
                    }
                }
                crate::Effect::Peering(effect) => self.perform_one(effect),
                other => panic!("unexpected {other:?}"),
            }
        }
        self.hold();
    }

    fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Listen => self.owed.push(Event::Listening { port: 6055 }),
            Effect::StopListening => self.owed.push(Event::ListenerClosed),
            Effect::RotateIdentity => {
                self.own = 401_u16.wrapping_sub(self.own.into()) as u8;
                self.owed.push(self.identity());
            }
            Effect::Answer { link, answer, .. } => self.answered(link, answer.kind, answer.admit),
            Effect::Dial {
                link,
                expect,
                purpose,
                ..
            } => self.dialled(link, expect, purpose),
            Effect::Close { link, .. } => {
                let reason = CloseReason::PeerHungUp;
                let known = self.knocks.remove(&link).is_some()
                    || self.accepted.remove(&link)
                    || self.dials.contains_key(&link);
                if known {
                    self.owed.push(Event::Closed { link, reason });
                }
            }
            Effect::SavePeer(peer) => {
                if !self.peers.contains_key(&peer.dashboard_id) {
                    // A new row: the admin said so about this id, and this is the key that asked.
                    assert_eq!(self.approving.as_ref(), Some(&peer.dashboard_id));
                    let asked = self.pending.remove(&peer.dashboard_id);
                    assert_eq!(asked, Some(peer.pin));
                }
                self.peers.insert(peer.dashboard_id.clone(), peer);
            }
            Effect::ForgetPeer(id, _) => {
                self.peers.remove(&id);
            }
            Effect::SavePairing(pairing) => {
                assert_eq!(pairing.status, PairingStatus::Approved);
                self.pairings.insert(pairing.pin, pairing);
            }
            Effect::ForgetPairing(pin) => {
                self.pairings.remove(&pin);
            }
            Effect::SessionUp(session) => {
                let whose = match session.role {
                    Role::Offloader => None,
                    Role::Receiver { dashboard_id, .. } => Some(dashboard_id),
                };
                let twice = self
                    .sessions
                    .values()
                    .any(|(pin, id)| *id == whose && (whose.is_some() || *pin == session.pin));
                assert!(!twice, "two sessions with one peer");
                self.sessions.insert(session.link, (session.pin, whose));
            }
            Effect::SessionDown { link, pin, .. } => {
                let ended = self.sessions.remove(&link);
                assert_eq!(ended.map(|(of, _)| of), Some(pin), "down without up");
            }
            Effect::Advertise(advert) => {
                assert!(advert.receiver.is_none() || self.receiver);
            }
            Effect::Record(_) | Effect::PairingsChanged | Effect::ViewChanged => {}
            Effect::BootstrapLapsed | Effect::BootstrapFailed(_) => panic!("never armed"),
        }
    }

    fn answered(&mut self, link: LinkId, kind: ResponseKind, admit: Option<Approved>) {
        let Some((id, pin, intent)) = self.knocks.remove(&link) else {
            panic!("{link} answered twice, or after it was closed");
        };
        match (intent, id) {
            (LinkIntent::PeerLink, Some(id)) => {
                let approved = self.peers.get(&id).is_some_and(|peer| peer.pin == pin);
                assert_eq!(admit.is_some(), approved && kind == ResponseKind::Ok);
                if let Some(admit) = admit {
                    assert!(approved && admit.pin() == pin, "not durably approved");
                    self.accepted.insert(link);
                }
            }
            (LinkIntent::PairRequest, Some(id)) => {
                assert!(admit.is_none());
                if kind == ResponseKind::Pending {
                    assert!(self.is_open());
                    self.pending.insert(id, pin);
                } else if kind == ResponseKind::Approved {
                    assert_eq!(self.peers.get(&id).map(|peer| peer.pin), Some(pin));
                }
            }
            (LinkIntent::PairStatus, Some(id)) => {
                assert!(admit.is_none());
                let approved = self.peers.get(&id).is_some_and(|peer| peer.pin == pin);
                assert_eq!(kind == ResponseKind::Approved, approved && self.receiver);
            }
            (_, _) => assert!(admit.is_none()),
        }
    }

    fn dialled(&mut self, link: LinkId, expect: Option<Pin>, purpose: Purpose) {
        assert!(link.0.is_multiple_of(2) && !self.dials.contains_key(&link));
        match (&purpose, expect) {
            (Purpose::PeerLink { .. }, Some(pin)) => {
                let same = |d: &Dial| {
                    matches!(d.purpose, Purpose::PeerLink { .. }) && d.expect == Some(pin)
                };
                assert!(!self.dials.values().any(same), "the old client is not gone");
            }
            (Purpose::Preview, Some(pin)) if !self.editing => {
                let last = self.probes.insert(pin, self.now.mono);
                let apart = last.map(|at| self.now.mono.since(at));
                let slot = Duration::from_secs(30);
                assert!(apart.is_none_or(|apart| apart >= slot), "a probe too early");
            }
            (Purpose::Preview, _) => {}
            (_, expect) => assert!(expect.is_some(), "told to whoever answers"),
        }
        let state = DialState::Ringing;
        let dial = Dial {
            purpose,
            expect,
            state,
        };
        self.dials.insert(link, dial);
    }

    fn is_open(&self) -> bool {
        let now = self.now.mono;
        self.receiver && self.entries.values().any(|(until, _)| now < *until)
    }

    /// What is true at every moment.
    fn hold(&mut self) {
        if !self.is_open() {
            self.pending.clear();
        }
        let Some(view) = self.peering.view() else {
            return;
        };
        assert_eq!(view.window_until.is_some(), self.is_open());
        let shown = view.pending.iter().map(|p| (p.dashboard_id.clone(), p.pin));
        assert_eq!(shown.collect::<BTreeMap<_, _>>(), self.pending);
        for (pin, whose) in self.sessions.values() {
            let approved = match whose {
                Some(id) => self.peers.get(id).is_some_and(|peer| peer.pin == *pin),
                None => self.pairings.contains_key(pin),
            };
            assert!(approved, "a session outlives its approval");
        }
        let durable: Vec<_> = self.peers.keys().collect();
        let mut shown: Vec<_> = view.peers.iter().map(|p| &p.peer.dashboard_id).collect();
        shown.sort();
        assert_eq!(shown, durable);
        let approved =
            |(p, _): &(Pairing, LinkState)| (p.status == PairingStatus::Approved).then_some(p.pin);
        let shown: BTreeSet<Pin> = view.pairings.iter().filter_map(approved).collect();
        let durable: BTreeSet<Pin> = self.pairings.keys().copied().collect();
        assert_eq!(shown, durable);
    }

    fn take(&mut self, step: Step) {
        self.approving = None;
        self.editing = false;
        let now = self.now.mono;
        match step {
            Step::Knock { intent, n, k } => {
                let hello = Hello {
                    dashboard_id: Some(id(n)),
                    connect_back_port: Some(7000),
                    ..Hello::default()
                };
                self.knock(intent, Some(n), k, hello);
            }
            Step::Call { k, port } => {
                let hello = Hello {
                    peer_link_port: Some(port),
                    ..Hello::default()
                };
                self.knock(LinkIntent::ConnectBack, None, k, hello);
            }
            Step::Open(c) => {
                if self.receiver {
                    let until = now + Duration::from_secs(300);
                    self.entries.insert(ClientId(c.into()), (until, false));
                }
                self.ask(c, &Request::OpenWindow);
            }
            Step::Close(c) => {
                let client = ClientId(c.into());
                self.entries.retain(|of, (_, gone)| *of != client && !*gone);
                self.ask(c, &Request::CloseWindow);
            }
            Step::Gone(c) => {
                let client = ClientId(c.into());
                if let Some((_, gone)) = self.entries.get_mut(&client) {
                    *gone = true;
                }
                self.peering.client_gone(client, self.now);
                self.perform();
            }
            Step::Approve(n) => {
                self.approving = Some(id(n));
                self.ask(1, &Request::Approve(id(n), None));
            }
            Step::Reject(n) => {
                self.pending.remove(&id(n));
                self.ask(1, &Request::Reject(id(n)));
            }
            Step::Remove(n) => self.ask(1, &Request::RemovePeer(id(n))),
            Step::Preview(p) => self.ask(1, &Request::Preview(place(p))),
            Step::Pair { n, place: p } => {
                let request = Request::Pair {
                    endpoint: place(p),
                    pin: pin(n),
                    pairing_key: None,
                    label: Label::default(),
                };
                self.ask(1, &request);
            }
            Step::Unpair(n) => self.ask(1, &Request::Unpair(pin(n))),
            Step::Enable(n, on) => self.ask(1, &Request::SetPairingEnabled(pin(n), on)),
            Step::Edit { n, place: p } => {
                self.editing = true;
                self.ask(1, &Request::EditEndpoint(pin(n), place(p)));
            }
            Step::Rotate => self.ask(1, &Request::RotateIdentity),
            Step::Receiver(on) => {
                self.receiver = on;
                if !on {
                    self.entries.clear();
                }
                self.settings();
            }
            Step::Seen { n, place: p } => {
                let host = DiscoveredHost {
                    name: format!("host-{n}"),
                    hostname: place(p).host().to_owned(),
                    port: 6052,
                    addresses: vec![ip("192.0.2.3")],
                    server_version: String::new(),
                    esphome_version: String::new(),
                    friendly_name: FriendlyName::default(),
                    pin: Some(pin(n)),
                    endpoint: Some(place(p)),
                    ha_addon: false,
                };
                self.event(Event::HostSeen(host));
            }
            Step::Address(p) => self.event(Event::AddressSeen(format!("{}.", place(p).host()))),
            Step::Answer {
                of,
                k,
                kind,
                reason,
            } => self.answer_dial(of, k, kind, reason),
            Step::Grant { of, at_once } => self.grant(of, at_once),
            Step::Fail { of, reason } => {
                if let Some(link) = self.ringing(of) {
                    self.dials.remove(&link);
                    self.forget_close(link);
                    let outcome = Err(reason.into());
                    self.event(Event::Dialled { link, outcome });
                }
            }
            Step::HangUp { of } => self.hang_up(of),
            Step::Deliver => self.deliver(),
            Step::Pass(seconds) => {
                let passed = Duration::from_secs(seconds);
                self.now.mono = now + passed;
                self.now.wall = Timestamp(self.now.wall.0 + passed.as_micros() as i64);
                self.peering.handle_timeout(self.now);
                self.perform();
                let next = self.peering.poll_timeout();
                assert!(
                    next.is_none_or(|(at, _)| at > self.now.mono),
                    "{next:?} is past"
                );
            }
            Step::Restart => {
                self.peering = Peering::new("0.1.0", 7);
                self.owed.clear();
                self.knocks.clear();
                self.dials.clear();
                self.accepted.clear();
                self.entries.clear();
                self.pending.clear();
                self.sessions.clear();
                self.probes.clear();
                self.asked.clear();
                self.start();
            }
        }
    }

    fn knock(&mut self, intent: LinkIntent, n: Option<u8>, k: u8, hello: Hello) {
        let link = LinkId(self.next_knock);
        self.next_knock += 2;
        self.knocks.insert(link, (n.map(id), pin(k), intent));
        self.event(Event::Knocked {
            link,
            intent: Some(intent),
            public_key: key(k),
            pin: pin(k),
            hello,
            source: ip(&format!("192.0.2.{k}")),
        });
    }

    fn ringing(&self, of: usize) -> Option<LinkId> {
        let ringing =
            |(link, dial): (&LinkId, &Dial)| (dial.state == DialState::Ringing).then_some(*link);
        let links: Vec<LinkId> = self.dials.iter().filter_map(ringing).collect();
        links.get(of % links.len().max(1)).copied()
    }

    fn grant(&mut self, of: usize, at_once: bool) {
        let Some(dial) = self.ringing(of).and_then(|link| self.dials.get(&link)) else {
            return;
        };
        let kind = match dial.purpose {
            Purpose::PairRequest { .. } if !at_once => ResponseKind::Pending,
            Purpose::PairRequest { .. } | Purpose::PairStatus { .. } => ResponseKind::Approved,
            Purpose::Preview | Purpose::PeerLink { .. } | Purpose::ConnectBack { .. } => {
                ResponseKind::Ok
            }
        };
        let k = dial.expect.map_or(1, |pin| pin.0[0]);
        self.answer_dial(of, k, kind, None);
    }

    /// The shell compares keys like a real one: an unexpected key is a failure.
    fn answer_dial(&mut self, of: usize, k: u8, kind: ResponseKind, reason: Option<IntentReason>) {
        let Some(link) = self.ringing(of) else {
            return;
        };
        let Some(dial) = self.dials.get_mut(&link) else {
            return;
        };
        let matching = dial.expect.is_none_or(|expected| expected == pin(k));
        let session = matches!(dial.purpose, Purpose::PeerLink { .. })
            && kind == ResponseKind::Ok
            && matching;
        let found =
            matches!(dial.purpose, Purpose::Preview) && kind == ResponseKind::Ok && matching;
        let asked_for = dial.expect;
        if session {
            dial.state = DialState::Open;
        } else {
            self.dials.remove(&link);
            self.forget_close(link);
        }
        if let (true, Some(pin)) = (found, asked_for) {
            // A probe that found the pinned key frees its slot when the endpoint is taken over.
            self.probes.remove(&pin);
        }
        let outcome = if matching {
            Ok(DialAnswer {
                public_key: key(k),
                pin: pin(k),
                response: IntentResponse {
                    kind: Some(kind),
                    reason,
                    facts: PeerFacts::default(),
                    requires_pairing_key: false,
                },
                address: ip("192.0.2.9"),
            })
        } else {
            Err(DialFailure {
                reason: CloseReason::PinMismatch,
                address: None,
                observed: Some(pin(k)),
            })
        };
        self.event(Event::Dialled { link, outcome });
    }

    /// A link that ended with its answer does not end again, even if it was given up meanwhile.
    fn forget_close(&mut self, of: LinkId) {
        self.owed
            .retain(|e| !matches!(e, Event::Closed { link, .. } if *link == of));
    }

    /// A peer ends one of its connections.
    fn hang_up(&mut self, of: usize) {
        let open =
            |(link, dial): (&LinkId, &Dial)| (dial.state == DialState::Open).then_some(*link);
        let mut links: Vec<LinkId> = self.dials.iter().filter_map(open).collect();
        links.extend(self.accepted.iter().copied());
        links.extend(self.knocks.keys().copied());
        let Some(link) = links.get(of % links.len().max(1)).copied() else {
            return;
        };
        let owed = |e: &Event| matches!(e, Event::Closed { link: l, .. } if *l == link);
        if self.owed.iter().any(owed) {
            return;
        }
        self.dials.remove(&link);
        self.accepted.remove(&link);
        self.knocks.remove(&link);
        let reason = CloseReason::PeerHungUp;
        self.event(Event::Closed { link, reason });
    }

    fn deliver(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        let event = self.owed.remove(0);
        if let Event::Closed { link, .. } = &event {
            self.dials.remove(link);
        }
        self.event(event);
    }

    /// Lets everything that is on its way arrive; nobody may be left without an answer.
    fn finish(&mut self) {
        for _ in 0..1000 {
            if !self.owed.is_empty() {
                self.deliver();
            } else if self.asked.is_empty() {
                return;
            } else {
                let reason = CloseReason::TransportError("refused".into());
                self.take(Step::Fail { of: 0, reason });
            }
        }
        panic!("never answered: {:?}", self.asked);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    // Covers, O-05, O-36, O-40
    #[test]
    fn every_history_keeps_the_promises_of_pairing(
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new();
        world.deliver();
        for step in steps {
            world.take(step);
        }
        world.finish();
    }
}
