//! [`ConnectBack`]: a receiver that was lost calls its offloaders, and how an offloader judges such a
//! call (peer-link.md §4.7).
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use kiln_model::{DashboardId, Endpoint, IntentReason, LinkId, Mono, Peer, Pin, ResponseKind};

use super::endpoint::{Probes, Slot, WantedBy};
use super::out::Out;
use super::pairings::{Pairings, Reach};
use super::peers::Peers;
use super::{DialAnswer, DialFailure, Purpose};

/// Time between two looks at who may be called.
const SWEEP: Duration = Duration::from_secs(30);

/// Time since the last contact before a call.
const QUIET: Duration = Duration::from_secs(300);

/// Pause after an answer that will not change soon; `bad_intent` is what older offloaders say.
const FIXED: Duration = Duration::from_secs(3600);

/// Base and cap of growing pauses: a probe runs there; anything else that failed.
const BUSY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));
const FAILED: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(3600));

const JITTER: (f64, f64) = (0.8, 1.2);

/// The receiver's side: whom to call when.
#[derive(Debug, Default)]
pub(super) struct ConnectBack {
    contacts: BTreeMap<DashboardId, Contact>,
    sweep: Option<Mono>,
}

#[derive(Debug)]
struct Contact {
    last: Mono,
    failures: u32,
    cool_until: Option<Mono>,
    dial: Option<LinkId>,
}

impl Contact {
    fn at(now: Mono) -> Self {
        Self {
            last: now,
            failures: 0,
            cool_until: None,
            dial: None,
        }
    }

    fn clear(&mut self, now: Mono) {
        self.last = now;
        self.failures = 0;
        self.cool_until = None;
    }

    fn pause(&mut self, length: Pause, now: Mono, out: &mut Out) {
        let length = match length {
            Pause::Fixed => FIXED,
            Pause::Growing((base, cap)) => {
                let doublings = self.failures.min(16);
                self.failures = self.failures.saturating_add(1);
                let jitter = out.jitter(JITTER.0, JITTER.1);
                base.mul_f64(jitter).saturating_mul(1 << doublings).min(cap)
            }
        };
        self.cool_until = Some(now + length);
    }
}

enum Pause {
    Fixed,
    Growing((Duration, Duration)),
}

impl ConnectBack {
    /// A session of this offloader started: a call is not needed any more.
    pub(super) fn session_opened(&mut self, id: DashboardId, now: Mono, out: &mut Out) {
        let contact = self.contacts.entry(id).or_insert(Contact::at(now));
        contact.clear(now);
        if let Some(link) = contact.dial.take() {
            out.close(link, None);
        }
    }

    pub(super) fn session_closed(&mut self, id: DashboardId, now: Mono) {
        self.contacts.entry(id).or_insert(Contact::at(now)).last = now;
    }

    pub(super) fn peer_removed(&mut self, id: &DashboardId, out: &mut Out) {
        if let Some(link) = self.contacts.remove(id).and_then(|contact| contact.dial) {
            out.close(link, None);
        }
    }

    /// Gives up every call, because the listener that they announce goes.
    pub(super) fn abort(&mut self, out: &mut Out) {
        self.sweep = None;
        for link in self.contacts.values_mut().filter_map(|c| c.dial.take()) {
            out.close(link, None);
        }
    }

    /// Looks around every 30 s while there is anybody to call; `port` is where we receive.
    pub(super) fn settle(&mut self, peers: &Peers, port: Option<u16>, now: Mono, out: &mut Out) {
        let lost = |peer: &&Peer| {
            !peers.is_connected(&peer.dashboard_id)
                && peer.connect_back_port.is_some()
                && peer.peer_ip.is_some()
        };
        let (Some(port), true) = (port, peers.iter().any(|peer| lost(&peer))) else {
            self.sweep = None;
            return;
        };
        let due = *self.sweep.get_or_insert(now + SWEEP);
        if now < due {
            return;
        }
        self.sweep = Some(now + SWEEP);
        for peer in peers.iter().filter(lost) {
            self.consider(peer, port, now, out);
        }
    }

    fn consider(&mut self, peer: &Peer, port: u16, now: Mono, out: &mut Out) {
        let id = peer.dashboard_id.clone();
        let contact = self.contacts.entry(id).or_insert(Contact::at(now));
        let cooling = contact.cool_until.is_some_and(|until| now < until);
        if contact.dial.is_some() || cooling || now.since(contact.last) < QUIET {
            return;
        }
        let ip = peer.peer_ip.filter(|ip| !lacks_its_zone(ip));
        let (Some(ip), Some(theirs)) = (ip, peer.connect_back_port) else {
            return;
        };
        let Ok(endpoint) = Endpoint::new(&ip.to_string(), theirs) else {
            return;
        };
        let peer_link_port = port;
        let purpose = Purpose::ConnectBack { peer_link_port };
        contact.dial = Some(out.dial(endpoint, Vec::new(), Some(peer.pin), purpose));
    }

    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.contacts.values().any(|c| c.dial == Some(link))
    }

    /// The offloader answered, or could not be reached; the table of outcomes in peer-link.md §4.7.
    pub(super) fn handle_dialled(
        &mut self,
        link: LinkId,
        outcome: Result<DialAnswer, DialFailure>,
        now: Mono,
        out: &mut Out,
    ) {
        let of_the_dial = |c: &&mut Contact| c.dial == Some(link);
        let Some(contact) = self.contacts.values_mut().find(of_the_dial) else {
            return;
        };
        contact.dial = None;
        let Ok(answer) = outcome else {
            contact.pause(Pause::Growing(FAILED), now, out);
            return;
        };
        if answer.response.kind == Some(ResponseKind::Ok) {
            contact.clear(now);
            return;
        }
        let pause = match answer.response.reason {
            Some(IntentReason::RebindInProgress) => Pause::Growing(BUSY),
            Some(IntentReason::AlreadyConnected | IntentReason::ProbeFailed) => {
                Pause::Growing(FAILED)
            }
            Some(
                IntentReason::NoApprovedPeer
                | IntentReason::PinMismatch
                | IntentReason::PendingNotApproved
                | IntentReason::BadDashboardId
                | IntentReason::BadIntent
                | IntentReason::BadEndpoint,
            )
            | None => Pause::Fixed,
        };
        contact.pause(pause, now, out);
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        self.sweep
    }
}

/// A call as the offloader hears it.
pub(super) struct Call {
    pub(super) link: LinkId,
    pub(super) pin: Pin,
    pub(super) port: Option<u16>,
    pub(super) source: IpAddr,
}

/// Judges a call by checks 1 to 5 of the table in peer-link.md §4.7 (3, the own identity, is loaded
/// whenever anything knocks). Returns where to probe, or the reason of the refusal.
pub(super) fn judge(
    call: &Call,
    pairings: &Pairings,
    probes: &mut Probes,
    now: Mono,
) -> Result<Endpoint, IntentReason> {
    let reach = pairings.reach(call.pin);
    if reach == Reach::NotApproved {
        return Err(IntentReason::NoApprovedPeer);
    }
    let port = call.port.ok_or(IntentReason::BadEndpoint)?;
    if lacks_its_zone(&call.source) {
        return Err(IntentReason::BadEndpoint);
    }
    let host = call.source.to_canonical().to_string();
    let endpoint = Endpoint::new(&host, port).map_err(|_| IntentReason::BadEndpoint)?;
    if reach == Reach::Connected {
        return Err(IntentReason::AlreadyConnected);
    }
    match probes.claim(call.pin, now, WantedBy::Receiver(call.link)) {
        Slot::Claimed => Ok(endpoint),
        Slot::Taken => Err(IntentReason::RebindInProgress),
    }
}

/// Returns whether nobody can dial this address: it is of one link, and which one is not known.
fn lacks_its_zone(ip: &IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{CloseReason, IntentResponse, PeerFacts};

    use super::super::Effect;
    use super::super::fixtures::{id, ip, key, peer, pin};
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    /// A receiver on port 6055 with one approved offloader that listens at 192.0.2.7:7000.
    struct World {
        back: ConnectBack,
        peers: Peers,
        out: Out,
    }

    impl World {
        fn new() -> Self {
            let mut peers = Peers::default();
            let mut peer = peer(1);
            peer.peer_ip = Some(ip("192.0.2.7"));
            peer.connect_back_port = Some(7000);
            peers.insert(peer);
            Self {
                back: ConnectBack::default(),
                peers,
                out: Out::new(1),
            }
        }

        /// Lets time pass in steps of the sweep until a call is made; returns its link and when.
        fn called(&mut self, from: u64, until: u64) -> Option<(LinkId, u64)> {
            for second in (from..=until).step_by(30) {
                self.back
                    .settle(&self.peers, Some(6055), at(second), &mut self.out);
                if let Some(effect) = self.out.pop() {
                    let crate::Effect::Peering(Effect::Dial {
                        link,
                        expect,
                        purpose,
                        ..
                    }) = effect
                    else {
                        panic!("unexpected {effect:?}");
                    };
                    assert_eq!(expect, Some(pin(1)));
                    let peer_link_port = 6055;
                    assert_eq!(purpose, Purpose::ConnectBack { peer_link_port });
                    return Some((link, second));
                }
            }
            None
        }

        fn answered(&mut self, link: LinkId, outcome: Result<DialAnswer, DialFailure>, t: u64) {
            self.back
                .handle_dialled(link, outcome, at(t), &mut self.out);
        }
    }

    fn answer(kind: ResponseKind, reason: Option<IntentReason>) -> Result<DialAnswer, DialFailure> {
        Ok(DialAnswer {
            public_key: key(1),
            pin: pin(1),
            response: IntentResponse {
                kind: Some(kind),
                reason,
                facts: PeerFacts::default(),
                requires_pairing_key: false,
            },
            address: ip("192.0.2.7"),
        })
    }

    //
    #[test]
    fn a_call_waits_for_300_quiet_seconds_from_the_first_sweep_or_the_last_contact() {
        let mut world = World::new();
        // The first sweep comes after 30 s and starts the clock.
        let (_, when) = world.called(0, 600).unwrap();
        assert_eq!(when, 330);
        let mut world = World::new();
        world.back.session_closed(id(1), at(0));
        let (_, when) = world.called(0, 600).unwrap();
        assert_eq!(when, 300);
    }

    //
    #[test]
    fn nobody_is_called_with_a_live_session_without_a_port_or_while_we_do_not_receive() {
        let mut world = World::new();
        world.peers.open(id(1), LinkId(1));
        assert_eq!(world.called(0, 3000), None);
        assert_eq!(world.back.poll_timeout(), None, "no needless wake-ups");

        let mut world = World::new();
        let mut unknown = peer(1);
        unknown.peer_ip = Some(ip("192.0.2.7"));
        world.peers.insert(unknown);
        assert_eq!(world.called(0, 3000), None);

        let mut world = World::new();
        for second in (0..3000).step_by(30) {
            world
                .back
                .settle(&world.peers, None, at(second), &mut world.out);
        }
        assert!(world.out.pop().is_none());
    }

    #[test]
    fn an_address_that_means_nothing_without_its_link_is_not_called() {
        let mut world = World::new();
        let mut near = peer(1);
        near.peer_ip = Some(ip("fe80::1"));
        near.connect_back_port = Some(7000);
        world.peers.insert(near.clone());
        assert_eq!(world.called(0, 3000), None);
        near.peer_ip = Some(ip("169.254.7.7"));
        world.peers.insert(near);
        assert!(world.called(3030, 3600).is_some());
    }

    #[test]
    fn a_session_that_starts_cancels_the_call_and_the_pause() {
        let mut world = World::new();
        let (link, when) = world.called(0, 600).unwrap();
        world.back.session_opened(id(1), at(when), &mut world.out);
        let closed = world.out.pop();
        assert!(
            matches!(closed, Some(crate::Effect::Peering(Effect::Close { link: l, .. })) if l == link)
        );
        assert!(!world.back.owns(link));
    }

    /// Returns the pauses after as many calls that all ended like this.
    fn pauses(calls: usize, outcome: fn() -> Result<DialAnswer, DialFailure>) -> Vec<u64> {
        let mut world = World::new();
        let mut from = 0;
        (0..calls)
            .map(|_| {
                let (link, when) = world.called(from, from + 9000).unwrap();
                world.answered(link, outcome(), when);
                from = when;
                let contact = &world.back.contacts[&id(1)];
                contact
                    .cool_until
                    .map_or(0, |u| u.since(at(when)).as_secs())
            })
            .collect()
    }

    #[track_caller]
    fn about(pauses: &[u64], expected: &[u64], cap: u64) {
        assert_eq!(pauses.len(), expected.len());
        for (pause, expected) in pauses.iter().zip(expected) {
            let (low, high) = (expected * 8 / 10, (expected * 12 / 10).min(cap));
            assert!((low..=high).contains(pause), "{pause} not near {expected}");
        }
    }

    //
    #[test]
    fn failed_calls_pause_longer_and_longer_as_the_table_says() {
        let refused = || Err(CloseReason::TransportError("refused".into()).into());
        about(
            &pauses(6, refused),
            &[300, 600, 1200, 2400, 3600, 3600],
            3600,
        );
        let mismatch = || Err(CloseReason::PinMismatch.into());
        about(&pauses(2, mismatch), &[300, 600], 3600);
        let probe_failed = || rejected_with(IntentReason::ProbeFailed);
        about(&pauses(2, probe_failed), &[300, 600], 3600);
        let connected = || rejected_with(IntentReason::AlreadyConnected);
        about(&pauses(2, connected), &[300, 600], 3600);
        let busy = || rejected_with(IntentReason::RebindInProgress);
        about(&pauses(5, busy), &[30, 60, 120, 240, 300], 300);
        let old = || rejected_with(IntentReason::BadIntent);
        assert_eq!(pauses(2, old), [3600, 3600]);
        assert_eq!(pauses(1, || answer(ResponseKind::Rejected, None)), [3600]);
        assert_eq!(pauses(1, || answer(ResponseKind::Ok, None)), [0]);
    }

    fn rejected_with(reason: IntentReason) -> Result<DialAnswer, DialFailure> {
        answer(ResponseKind::Rejected, Some(reason))
    }
}
