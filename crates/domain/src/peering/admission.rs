//! [`Doorman`]: what a knock is answered, in the order of peer-link.md §4.1 and by the tables of
//! §4.3 to §4.5. The only place that calls a peer approved.
use std::net::IpAddr;

use kiln_model::witness::Approved;
use kiln_model::{
    DashboardId, Hello, IntentReason, Label, LinkId, LinkIntent, PairingStep, Peer, PendingPeer,
    Pin, PublicKey, ResponseKind, Side, Timestamp,
};

use super::Effect;
use super::bootstrap::{Bootstrap, Mode, Presented};
use super::listener::Serves;
use super::out::Out;
use super::peers::{Peers, Row};
use super::pending::{Noted, Pending};

/// A peer whose handshake is done and that waits for the answer to its intent.
#[derive(Clone, Debug)]
pub(super) struct Knock {
    pub(super) link: LinkId,
    pub(super) intent: Option<LinkIntent>,
    pub(super) public_key: PublicKey,
    pub(super) pin: Pin,
    pub(super) hello: Hello,
    pub(super) source: IpAddr,
}

/// What is said. What has to be durable before it is already among the effects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// This, and the connection ends.
    Answer(ResponseKind, Option<IntentReason>),
    /// The offloader is approved.
    Approved(DashboardId),
    /// `ok` to a preview.
    Previewed { requires_pairing_key: bool },
    /// Nothing until a person decides.
    Wait(DashboardId),
}

/// What comes of a knock.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something is said.
    Say(Said),
    /// A session starts.
    Admit {
        approved: Approved,
        dashboard_id: DashboardId,
        label: Label,
    },
    /// Not for the doorman: an offloader's answer is made from its pairings.
    ConnectBack,
}

/// Whether unknown offloaders are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    Open,
    Closed,
}

/// Everything that decides about an offloader at the door.
pub(super) struct Doorman<'a> {
    pub(super) serves: Serves,
    pub(super) own: Pin,
    pub(super) hearing: Hearing,
    pub(super) peers: &'a mut Peers,
    pub(super) pending: &'a mut Pending,
    pub(super) bootstrap: &'a mut Bootstrap,
    pub(super) out: &'a mut Out,
}

const PIN_MISMATCH: Said = Said::Answer(ResponseKind::Rejected, Some(IntentReason::PinMismatch));
const NO_APPROVED_PEER: Said =
    Said::Answer(ResponseKind::Rejected, Some(IntentReason::NoApprovedPeer));
const NO_PAIRING_WINDOW: Said = Said::Answer(ResponseKind::NoPairingWindow, None);
const BAD_INTENT: Said = Said::Answer(ResponseKind::Rejected, Some(IntentReason::BadIntent));
const BAD_DASHBOARD_ID: Said =
    Said::Answer(ResponseKind::Rejected, Some(IntentReason::BadDashboardId));
const PENDING: Said = Said::Answer(ResponseKind::Pending, None);
const NOT_APPROVED: Said = Said::Answer(
    ResponseKind::Pending,
    Some(IntentReason::PendingNotApproved),
);

/// What the two lists know of an id.
enum Known {
    Approved(Peer),
    Pending,
    OtherKey,
    Nothing,
}

impl Doorman<'_> {
    /// Decides about a knock (peer-link.md §4.1).
    pub(super) fn decide(&mut self, knock: &Knock, now: Timestamp) -> Verdict {
        if knock.intent == Some(LinkIntent::ConnectBack) {
            return Verdict::ConnectBack;
        }
        if self.serves == Serves::ConnectBackOnly {
            return Verdict::Say(BAD_INTENT);
        }
        let Some(intent) = knock.intent else {
            return Verdict::Say(BAD_INTENT);
        };
        if intent == LinkIntent::Preview {
            return Verdict::Say(Said::Previewed {
                requires_pairing_key: self.bootstrap.mode() == Mode::Headless,
            });
        }
        let Some(id) = knock.hello.dashboard_id.clone() else {
            return Verdict::Say(BAD_DASHBOARD_ID);
        };
        // Our own key comes back to us: a copied installation, or a loop.
        if knock.pin == self.own {
            return Verdict::Say(PIN_MISMATCH);
        }
        match intent {
            LinkIntent::PairRequest => Verdict::Say(self.pair_request(&id, knock, now)),
            LinkIntent::PairStatus => Verdict::Say(self.pair_status(&id, knock.pin)),
            LinkIntent::PeerLink => self.peer_link(&id, knock),
            LinkIntent::Preview | LinkIntent::ConnectBack => Verdict::Say(BAD_INTENT),
        }
    }

    /// The table of peer-link.md §4.3.
    fn pair_request(&mut self, id: &DashboardId, knock: &Knock, now: Timestamp) -> Said {
        if let Some(peer) = self.peers.get(id) {
            if peer.pin != knock.pin {
                return PIN_MISMATCH;
            }
            match self.peers.asked_again(id, &knock.hello, knock.source) {
                Row::Changed(peer) => self.out.push(Effect::SavePeer(peer)),
                Row::Same => {}
            }
            return Said::Approved(id.clone());
        }
        if self.hearing == Hearing::Closed {
            return NO_PAIRING_WINDOW;
        }
        let asking = asking(id, knock, now);
        if self.peers.is_empty() && self.bootstrap.until().is_some() {
            let presented = knock.hello.pairing_key.as_deref();
            return match self.bootstrap.present(presented, knock.source) {
                Presented::Accepted => {
                    self.admit_for_good(asking, now);
                    Said::Approved(id.clone())
                }
                Presented::Refused => NO_PAIRING_WINDOW,
            };
        }
        let (pin, label) = (asking.pin, asking.label.clone());
        match self.pending.ask(asking) {
            Noted::New => {
                let step = PairingStep::Asked;
                self.out.record(step, Side::Offloader, (pin, &label), None);
                PENDING
            }
            Noted::Yes => PENDING,
            Noted::OtherKey => PIN_MISMATCH,
            // A full list is a closed door: a stranger learns nothing from it.
            Noted::Full => NO_PAIRING_WINDOW,
        }
    }

    /// Puts an offloader on the approved list: a person or the pairing key said so.
    pub(super) fn admit_for_good(&mut self, asking: PendingPeer, now: Timestamp) {
        let peer = Peer {
            dashboard_id: asking.dashboard_id,
            pin: asking.pin,
            public_key: asking.public_key,
            label: asking.label,
            label_auto: asking.label_auto,
            paired_at: now,
            peer_ip: asking.peer_ip,
            connect_back_port: None,
            friendly_name: asking.friendly_name,
            ha_addon: asking.ha_addon,
        };
        self.out.push(Effect::SavePeer(peer.clone()));
        self.peers.insert(peer);
    }

    /// The table of peer-link.md §4.4; asked again whenever a decision may have been made.
    pub(super) fn pair_status(&mut self, id: &DashboardId, pin: Pin) -> Said {
        match self.known(id, pin) {
            Known::Pending => Said::Wait(id.clone()),
            Known::Approved(_) => Said::Approved(id.clone()),
            Known::OtherKey => PIN_MISMATCH,
            Known::Nothing => NO_APPROVED_PEER,
        }
    }

    /// The table of peer-link.md §4.5.
    fn peer_link(&mut self, id: &DashboardId, knock: &Knock) -> Verdict {
        match self.known(id, knock.pin) {
            Known::Pending => Verdict::Say(NOT_APPROVED),
            Known::OtherKey => Verdict::Say(PIN_MISMATCH),
            Known::Nothing => Verdict::Say(NO_APPROVED_PEER),
            Known::Approved(peer) => {
                match self.peers.session_starts(id, &knock.hello, knock.source) {
                    Row::Changed(peer) => self.out.push(Effect::SavePeer(peer)),
                    Row::Same => {}
                }
                Verdict::Admit {
                    approved: Approved::assertion(peer.pin),
                    dashboard_id: peer.dashboard_id,
                    label: peer.label,
                }
            }
        }
    }

    fn known(&self, id: &DashboardId, pin: Pin) -> Known {
        match (self.pending.get(id), self.peers.get(id)) {
            (Some(entry), _) if entry.pin == pin => Known::Pending,
            (None, Some(peer)) if peer.pin == pin => Known::Approved(peer.clone()),
            (Some(_), _) | (None, Some(_)) => Known::OtherKey,
            (None, None) => Known::Nothing,
        }
    }
}

fn asking(id: &DashboardId, knock: &Knock, now: Timestamp) -> PendingPeer {
    PendingPeer {
        dashboard_id: id.clone(),
        pin: knock.pin,
        public_key: knock.public_key,
        label: knock.hello.label.clone(),
        label_auto: knock.hello.label_auto,
        peer_ip: Some(knock.source),
        friendly_name: knock.hello.friendly_name.clone(),
        ha_addon: knock.hello.ha_addon,
        requested_at: now,
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{FriendlyName, Mono, PairingKey};

    use super::super::fixtures::{id, ip, key, peer, pending, pin};
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    /// A receiver at rest; each test says what differs.
    struct Door {
        serves: Serves,
        hearing: Hearing,
        peers: Peers,
        pending: Pending,
        bootstrap: Bootstrap,
        out: Out,
    }

    impl Door {
        fn new(hearing: Hearing) -> Self {
            Self {
                serves: Serves::Receiver,
                hearing,
                peers: Peers::default(),
                pending: Pending::default(),
                bootstrap: Bootstrap::default(),
                out: Out::new(0),
            }
        }

        fn with_approved(mut self, n: u8) -> Self {
            self.peers.insert(peer(n));
            self
        }

        fn with_pending(mut self, n: u8) -> Self {
            self.pending.ask(pending(n, "192.0.2.50"));
            self
        }

        fn headless(mut self) -> Self {
            let key = PairingKey::from_text("ABCD-EFGH-JKMN-PQRS");
            self.bootstrap.arm(key, Vec::new(), Mono::default());
            self
        }

        fn ask(&mut self, knock: &Knock) -> Verdict {
            let mut doorman = Doorman {
                serves: self.serves,
                own: pin(200),
                hearing: self.hearing,
                peers: &mut self.peers,
                pending: &mut self.pending,
                bootstrap: &mut self.bootstrap,
                out: &mut self.out,
            };
            doorman.decide(knock, NOW)
        }

        fn saved(&mut self) -> Vec<Peer> {
            std::iter::from_fn(|| self.out.pop())
                .map(|effect| match effect {
                    crate::Effect::Peering(Effect::SavePeer(peer)) => peer,
                    other => panic!("unexpected {other:?}"),
                })
                .collect()
        }
    }

    /// A knock of the offloader `n` with the key `k`.
    fn knock(intent: LinkIntent, n: u8, k: u8) -> Knock {
        Knock {
            link: LinkId(1),
            intent: Some(intent),
            public_key: key(k),
            pin: pin(k),
            hello: Hello {
                dashboard_id: Some(id(n)),
                ..Hello::default()
            },
            source: ip("192.0.2.1"),
        }
    }

    const INTENTS: [LinkIntent; 3] = [
        LinkIntent::PairRequest,
        LinkIntent::PairStatus,
        LinkIntent::PeerLink,
    ];

    fn approved(n: u8) -> Verdict {
        Verdict::Say(Said::Approved(id(n)))
    }

    fn say(kind: ResponseKind, reason: Option<IntentReason>) -> Verdict {
        Verdict::Say(Said::Answer(kind, reason))
    }

    //
    #[test]
    fn an_unknown_intent_is_answered_bad_intent() {
        let mut nothing = knock(LinkIntent::Preview, 1, 1);
        nothing.intent = None;
        assert_eq!(
            Door::new(Hearing::Open).ask(&nothing),
            Verdict::Say(BAD_INTENT)
        );
    }

    //
    #[test]
    fn preview_is_ok_for_anyone_with_the_window_open_or_closed_and_changes_nothing() {
        for hearing in [Hearing::Open, Hearing::Closed] {
            let mut door = Door::new(hearing).with_approved(1);
            for key in [1, 2, 200] {
                let verdict = door.ask(&knock(LinkIntent::Preview, 1, key));
                let requires_pairing_key = false;
                let said = Said::Previewed {
                    requires_pairing_key,
                };
                assert_eq!(verdict, Verdict::Say(said));
            }
            assert_eq!(door.saved(), []);
            assert_eq!(door.pending.iter().count(), 0);
        }
    }

    //
    #[test]
    fn a_preview_of_a_headless_receiver_says_that_a_key_is_needed_even_after_it_was_used() {
        let mut door = Door::new(Hearing::Open).headless();
        let requires_pairing_key = true;
        let yes = Verdict::Say(Said::Previewed {
            requires_pairing_key,
        });
        assert_eq!(door.ask(&knock(LinkIntent::Preview, 1, 1)), yes);
        door.bootstrap.disarm();
        assert_eq!(door.ask(&knock(LinkIntent::Preview, 1, 1)), yes);
    }

    //
    #[test]
    fn a_malformed_dashboard_id_is_refused_for_all_three_intents_that_need_one() {
        for intent in INTENTS {
            let mut knock = knock(intent, 1, 1);
            knock.hello.dashboard_id = None;
            let verdict = Door::new(Hearing::Open).ask(&knock);
            let reason = Some(IntentReason::BadDashboardId);
            assert_eq!(verdict, say(ResponseKind::Rejected, reason));
        }
    }

    // Covers: O-38
    #[test]
    fn without_the_receiver_role_everything_but_connect_back_is_bad_intent() {
        let mut door = Door::new(Hearing::Open).with_approved(1);
        door.serves = Serves::ConnectBackOnly;
        for intent in LinkIntent::ALL {
            let expected = match intent {
                LinkIntent::ConnectBack => Verdict::ConnectBack,
                LinkIntent::Preview
                | LinkIntent::PairRequest
                | LinkIntent::PairStatus
                | LinkIntent::PeerLink => Verdict::Say(BAD_INTENT),
            };
            assert_eq!(door.ask(&knock(*intent, 1, 1)), expected);
        }
    }

    //
    #[test]
    fn an_unknown_offloader_is_told_that_the_window_is_closed_without_a_reason() {
        let mut door = Door::new(Hearing::Closed);
        let verdict = door.ask(&knock(LinkIntent::PairRequest, 1, 1));
        assert_eq!(verdict, say(ResponseKind::NoPairingWindow, None));
        assert_eq!(door.pending.iter().count(), 0);
    }

    //
    #[test]
    fn an_approved_offloader_that_asks_again_is_approved_and_refreshed_with_the_window_closed() {
        let mut door = Door::new(Hearing::Closed).with_approved(1);
        let mut again = knock(LinkIntent::PairRequest, 1, 1);
        again.hello.label = Label::clipped("new name");
        again.hello.friendly_name = FriendlyName::clipped("host");
        assert_eq!(door.ask(&again), approved(1));
        let expected = Peer {
            label: Label::clipped("new name"),
            friendly_name: FriendlyName::clipped("host"),
            peer_ip: Some(ip("192.0.2.1")),
            ..peer(1)
        };
        assert_eq!(door.saved(), [expected]);
        assert_eq!(door.ask(&again), approved(1));
        assert_eq!(door.saved(), [], "nothing changed");
    }

    //
    #[test]
    fn an_approved_id_with_another_key_is_refused_with_the_window_open_or_closed() {
        for hearing in [Hearing::Open, Hearing::Closed] {
            let mut door = Door::new(hearing).with_approved(1);
            assert_eq!(
                door.ask(&knock(LinkIntent::PairRequest, 1, 2)),
                Verdict::Say(PIN_MISMATCH)
            );
            assert_eq!(door.saved(), []);
        }
    }

    //
    #[test]
    fn a_pending_id_with_another_key_is_refused_and_with_the_same_key_refreshed() {
        let mut door = Door::new(Hearing::Open).with_pending(1);
        assert_eq!(
            door.ask(&knock(LinkIntent::PairRequest, 1, 2)),
            Verdict::Say(PIN_MISMATCH)
        );
        let mut again = knock(LinkIntent::PairRequest, 1, 1);
        again.hello.label = Label::clipped("new name");
        assert_eq!(door.ask(&again), say(ResponseKind::Pending, None));
        let entry = door.pending.get(&id(1)).unwrap();
        assert_eq!(entry.label.as_str(), "new name");
        assert_eq!(entry.peer_ip, Some(ip("192.0.2.1")));
        assert_eq!(entry.requested_at, NOW);
    }

    //
    #[test]
    fn pair_status_answers_by_what_is_known_and_waits_only_for_a_pending_entry() {
        let ask = |mut door: Door, key| door.ask(&knock(LinkIntent::PairStatus, 1, key));
        let door = || Door::new(Hearing::Open);
        assert_eq!(
            ask(door().with_pending(1), 1),
            Verdict::Say(Said::Wait(id(1)))
        );
        assert_eq!(ask(door().with_pending(1), 2), Verdict::Say(PIN_MISMATCH));
        assert_eq!(ask(door().with_approved(1), 1), approved(1));
        assert_eq!(ask(door().with_approved(1), 2), Verdict::Say(PIN_MISMATCH));
        assert_eq!(ask(door(), 1), Verdict::Say(NO_APPROVED_PEER));
    }

    //
    #[test]
    fn a_session_starts_only_for_an_approved_peer_with_the_stored_key() {
        let ask = |mut door: Door, key| door.ask(&knock(LinkIntent::PeerLink, 1, key));
        let door = || Door::new(Hearing::Open);
        let waits = say(
            ResponseKind::Pending,
            Some(IntentReason::PendingNotApproved),
        );
        assert_eq!(ask(door().with_pending(1), 1), waits);
        assert_eq!(ask(door().with_pending(1), 2), Verdict::Say(PIN_MISMATCH));
        assert_eq!(ask(door().with_approved(1), 2), Verdict::Say(PIN_MISMATCH));
        assert_eq!(ask(door(), 1), Verdict::Say(NO_APPROVED_PEER));
        let admitted = Verdict::Admit {
            approved: Approved::assertion(pin(1)),
            dashboard_id: id(1),
            label: peer(1).label,
        };
        assert_eq!(ask(door().with_approved(1), 1), admitted);
    }

    //
    #[test]
    fn a_wrong_key_is_answered_exactly_like_a_closed_window() {
        let mut wrong = knock(LinkIntent::PairRequest, 1, 1);
        wrong.hello.pairing_key = Some("ABCD-EFGH-JKMN-PQRT".to_owned().into());
        let closed = Door::new(Hearing::Closed).ask(&wrong);
        assert_eq!(Door::new(Hearing::Open).headless().ask(&wrong), closed);
    }

    //
    #[test]
    fn the_right_key_saves_the_peer_before_it_says_approved_and_works_once() {
        let mut door = Door::new(Hearing::Open).headless();
        let mut right = knock(LinkIntent::PairRequest, 1, 1);
        right.hello.pairing_key = Some("abcd efgh jkmn pqrs".to_owned().into());
        assert_eq!(door.ask(&right), approved(1));
        assert_eq!(door.saved().len(), 1);
        let mut second = knock(LinkIntent::PairRequest, 2, 2);
        second.hello.pairing_key = right.hello.pairing_key;
        door.hearing = Hearing::Closed;
        assert_eq!(door.ask(&second), Verdict::Say(NO_PAIRING_WINDOW));
    }

    #[test]
    fn our_own_key_is_never_admitted() {
        for intent in INTENTS {
            let mut door = Door::new(Hearing::Open);
            assert_eq!(door.ask(&knock(intent, 1, 200)), Verdict::Say(PIN_MISMATCH));
        }
    }
}
