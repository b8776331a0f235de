//! [`Client`]: keeps one session to one receiver open, for as long as the pairing exists
//! (peer-link.md §5.2).
use std::net::IpAddr;
use std::time::Duration;

use kiln_model::{
    AlertKind, CloseReason, IntentReason, LinkId, Mono, PeerFacts, Pin, ResponseKind, Sentence,
    TerminateReason, say,
};

use super::out::Out;
use super::{DialAnswer, DialFailure};

/// Wait after a session that had opened; failed attempts double it (peer-link.md §5.2).
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Waits vary a little, so that many clients do not come back in one moment.
const JITTER: (f64, f64) = (0.9, 1.1);

/// Most addresses left out; more than one machine has.
const MOST_SKIPPED: usize = 64;

#[derive(Debug)]
pub(super) struct Client {
    state: State,
    backoff: Duration,
    skip: Vec<IpAddr>,
    error: Sentence,
}

#[derive(Debug)]
enum State {
    /// To be dialled as soon as nothing stands in the way.
    Ready,
    Dialling(LinkId),
    Open(LinkId),
    Waiting {
        until: Mono,
    },
    /// Stopped for good; only a fresh client revives the pairing.
    Orphaned,
}

/// What an answer or an end means for the pairing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A session is open; the receiver said this of itself.
    Opened(PeerFacts),
    /// Tried again by itself.
    Again,
    /// Stopped; the owner has to know why, and which key answered instead.
    Orphaned(AlertKind, Option<Pin>),
}

/// What the client has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Nothing,
    Dial(LinkId),
    Session(LinkId),
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            state: State::Ready,
            backoff: FIRST_WAIT,
            skip: Vec::new(),
            error: Sentence::default(),
        }
    }

    pub(super) fn wants_to_dial(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Returns addresses behind which we found ourselves.
    pub(super) fn skip(&self) -> &[IpAddr] {
        &self.skip
    }

    pub(super) fn dialling(&mut self, link: LinkId) {
        self.state = State::Dialling(link);
    }

    /// The dial came to an answer or failed. `own` and `pinned` are compared here too, although the
    /// shell stops a handshake with another key before msg3.
    pub(super) fn handle_dialled(
        &mut self,
        link: LinkId,
        outcome: Result<DialAnswer, DialFailure>,
        (own, pinned): (Pin, Pin),
        now: Mono,
        out: &mut Out,
    ) -> Turn {
        let answer = match outcome {
            Ok(answer) if answer.pin == own => {
                return self.loopback(Some(answer.address), now, out);
            }
            Ok(answer) if answer.pin != pinned => {
                return self.orphan(
                    say::link_pin_mismatch(),
                    AlertKind::PinMismatch,
                    Some(answer.pin),
                );
            }
            Ok(answer) => answer,
            Err(failure) => return self.failed(failure, now, out),
        };
        if answer.response.kind == Some(ResponseKind::Ok) {
            self.state = State::Open(link);
            self.backoff = FIRST_WAIT;
            self.error = Sentence::default();
            return Turn::Opened(answer.response.facts);
        }
        match answer.response.reason {
            Some(IntentReason::PinMismatch) => {
                let why = say::link_other_key_on_file();
                self.orphan(why, AlertKind::PeerRevoked, None)
            }
            Some(IntentReason::NoApprovedPeer) => {
                let why = say::link_not_on_file();
                self.orphan(why, AlertKind::PeerRevoked, None)
            }
            Some(IntentReason::PendingNotApproved) => {
                self.again(say::link_awaits_approval(), now, out)
            }
            Some(
                IntentReason::BadDashboardId
                | IntentReason::BadIntent
                | IntentReason::BadEndpoint
                | IntentReason::AlreadyConnected
                | IntentReason::RebindInProgress
                | IntentReason::ProbeFailed,
            )
            | None => self.again(say::link_auth_rejected(), now, out),
        }
    }

    fn failed(&mut self, failure: DialFailure, now: Mono, out: &mut Out) -> Turn {
        match failure.reason {
            CloseReason::SelfLoopback => self.loopback(failure.address, now, out),
            CloseReason::PinMismatch => self.orphan(
                say::link_pin_mismatch(),
                AlertKind::PinMismatch,
                failure.observed,
            ),
            reason @ (CloseReason::Terminated(_)
            | CloseReason::TerminatedUnknown(_)
            | CloseReason::WeTerminated(_)
            | CloseReason::TransportError(_)
            | CloseReason::PeerHungUp
            | CloseReason::HeartbeatTimeout) => self.again(sentence(&reason), now, out),
        }
    }

    fn loopback(&mut self, address: Option<IpAddr>, now: Mono, out: &mut Out) -> Turn {
        if let Some(address) = address
            && !self.skip.contains(&address)
            && self.skip.len() < MOST_SKIPPED
        {
            self.skip.push(address);
        }
        self.again(say::link_self(), now, out)
    }

    /// A failed attempt: wait twice as long as last time.
    fn again(&mut self, error: Sentence, now: Mono, out: &mut Out) -> Turn {
        self.backoff = (self.backoff * 2).min(LONGEST_WAIT);
        self.wait(error, now, out);
        Turn::Again
    }

    fn wait(&mut self, error: Sentence, now: Mono, out: &mut Out) {
        let jitter = out.jitter(JITTER.0, JITTER.1);
        let until = now + self.backoff.mul_f64(jitter);
        self.error = error;
        self.state = State::Waiting { until };
    }

    fn orphan(&mut self, error: Sentence, kind: AlertKind, observed: Option<Pin>) -> Turn {
        self.error = error;
        self.state = State::Orphaned;
        Turn::Orphaned(kind, observed)
    }

    /// The session, or a dial, is over. Only `terminate` with the word `superseded` is final
    /// (peer-link.md §8 O-12): what other words claim is found out by the next attempt.
    pub(super) fn handle_closed(
        &mut self,
        link: LinkId,
        reason: &CloseReason,
        now: Mono,
        out: &mut Out,
    ) -> Turn {
        match self.line() {
            Line::Session(open) if open == link => {
                if *reason == CloseReason::Terminated(TerminateReason::Superseded) {
                    return self.orphan(say::link_superseded(), AlertKind::Superseded, None);
                }
                self.backoff = FIRST_WAIT;
                self.wait(sentence(reason), now, out);
                Turn::Again
            }
            Line::Dial(dial) if dial == link => self.again(sentence(reason), now, out),
            Line::Session(_) | Line::Dial(_) | Line::Nothing => Turn::Again,
        }
    }

    /// Ends a wait at once: the receiver was seen on the network.
    pub(super) fn wake(&mut self) {
        if matches!(self.state, State::Waiting { .. }) {
            self.state = State::Ready;
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.wake();
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Ready | State::Dialling(_) | State::Open(_) | State::Orphaned => None,
        }
    }

    pub(super) fn line(&self) -> Line {
        match self.state {
            State::Dialling(link) => Line::Dial(link),
            State::Open(link) => Line::Session(link),
            State::Ready | State::Waiting { .. } | State::Orphaned => Line::Nothing,
        }
    }

    /// Returns whether the receiver does not answer as it should where it is stored: the last attempt
    /// failed, or was the last one.
    pub(super) fn is_lost(&self) -> bool {
        match self.state {
            State::Waiting { .. } => self.backoff > FIRST_WAIT,
            State::Orphaned => true,
            State::Ready | State::Dialling(_) | State::Open(_) => false,
        }
    }

    pub(super) fn is_orphaned(&self) -> bool {
        matches!(self.state, State::Orphaned)
    }

    /// Returns the last error, possibly empty.
    pub(super) fn error(&self) -> &Sentence {
        &self.error
    }
}

/// Says in words why a link is over.
pub(super) fn sentence(reason: &CloseReason) -> Sentence {
    match reason {
        CloseReason::Terminated(reason) | CloseReason::WeTerminated(reason) => terminated(*reason),
        CloseReason::TerminatedUnknown(word) => word.into(),
        CloseReason::TransportError(text) => text.clone(),
        CloseReason::PeerHungUp => say::link_hung_up(),
        CloseReason::HeartbeatTimeout => say::link_silent(),
        CloseReason::SelfLoopback => say::link_self(),
        CloseReason::PinMismatch => say::link_pin_mismatch(),
    }
}

fn terminated(reason: TerminateReason) -> Sentence {
    match reason {
        TerminateReason::Superseded => say::link_superseded(),
        TerminateReason::HeartbeatTimeout => say::link_heartbeat(),
        TerminateReason::ServerShuttingDown => say::link_server_shutting_down(),
        TerminateReason::MalformedFrame => say::link_malformed(),
        TerminateReason::ClientStopped => say::link_client_stopped(),
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::IntentResponse;

    use super::super::fixtures::{ip, key, pin};
    use super::*;

    const LINK: LinkId = LinkId(2);
    const OWN: u8 = 200;

    fn answer(key_of: u8, kind: ResponseKind, reason: Option<IntentReason>) -> DialAnswer {
        DialAnswer {
            public_key: key(key_of),
            pin: pin(key_of),
            response: IntentResponse {
                kind: Some(kind),
                reason,
                facts: PeerFacts::default(),
                requires_pairing_key: false,
            },
            address: ip("192.0.2.1"),
        }
    }

    fn dialled(client: &mut Client, outcome: Result<DialAnswer, DialFailure>) -> Turn {
        client.dialling(LINK);
        let pins = (pin(OWN), pin(1));
        client.handle_dialled(LINK, outcome, pins, Mono::default(), &mut Out::new(7))
    }

    fn closed(client: &mut Client, reason: &CloseReason) -> Turn {
        client.handle_closed(LINK, reason, Mono::default(), &mut Out::new(7))
    }

    fn opened() -> Client {
        let mut client = Client::new();
        let turn = dialled(&mut client, Ok(answer(1, ResponseKind::Ok, None)));
        assert_eq!(turn, Turn::Opened(PeerFacts::default()));
        client
    }

    fn wait_is_about(client: &Client, seconds: u64) {
        let until = client.poll_timeout().unwrap().0.as_secs_f64() / seconds as f64;
        assert!((0.9..=1.1).contains(&until), "{until} × {seconds} s");
    }

    // Covers: O-13
    #[test]
    fn waits_double_from_2_to_30_seconds_and_are_1_second_after_a_session() {
        let mut client = Client::new();
        for seconds in [2, 4, 8, 16, 30, 30] {
            let failure = CloseReason::TransportError("refused".into());
            assert_eq!(dialled(&mut client, Err(failure.into())), Turn::Again);
            wait_is_about(&client, seconds);
        }
        let mut client = opened();
        assert_eq!(closed(&mut client, &CloseReason::PeerHungUp), Turn::Again);
        wait_is_about(&client, 1);
        let failure = CloseReason::TransportError("refused".into());
        dialled(&mut client, Err(failure.into()));
        wait_is_about(&client, 2);
    }

    // Covers: O-14, O-20
    #[test]
    fn every_failure_of_transport_or_decoding_leads_to_a_retry() {
        let reasons = [
            CloseReason::TransportError("forged msg2".into()),
            CloseReason::PeerHungUp,
            CloseReason::HeartbeatTimeout,
            CloseReason::WeTerminated(TerminateReason::MalformedFrame),
        ];
        for reason in reasons {
            let mut client = Client::new();
            assert_eq!(
                dialled(&mut client, Err(reason.clone().into())),
                Turn::Again
            );
            assert!(client.poll_timeout().is_some());
            let mut client = opened();
            assert_eq!(closed(&mut client, &reason), Turn::Again);
            assert!(client.poll_timeout().is_some());
        }
    }

    // Covers: O-09, O-10
    #[test]
    fn another_key_orphans_and_no_reconnect_follows() {
        let failure = DialFailure {
            reason: CloseReason::PinMismatch,
            address: Some(ip("192.0.2.1")),
            observed: Some(pin(9)),
        };
        for outcome in [Err(failure), Ok(answer(9, ResponseKind::Ok, None))] {
            let mut client = Client::new();
            let turn = dialled(&mut client, outcome);
            assert_eq!(turn, Turn::Orphaned(AlertKind::PinMismatch, Some(pin(9))));
            client.wake();
            client.handle_timeout(Mono(Duration::from_secs(9999)));
            assert!(!client.wants_to_dial() && client.poll_timeout().is_none());
        }
    }

    // Covers: O-11
    #[test]
    fn only_a_missing_approval_or_another_key_on_file_orphans() {
        let reasons = IntentReason::ALL.iter().copied().map(Some);
        for reason in reasons.chain([None]) {
            for kind in [ResponseKind::Rejected, ResponseKind::Pending] {
                let mut client = Client::new();
                let turn = dialled(&mut client, Ok(answer(1, kind, reason)));
                let final_word = [IntentReason::NoApprovedPeer, IntentReason::PinMismatch];
                let expected = if reason.is_some_and(|r| final_word.contains(&r)) {
                    Turn::Orphaned(AlertKind::PeerRevoked, None)
                } else {
                    Turn::Again
                };
                assert_eq!(turn, expected, "{reason:?}");
            }
        }
    }

    // Covers: O-12
    #[test]
    fn only_superseded_orphans_among_the_words_of_terminate() {
        for reason in TerminateReason::ALL {
            let expected = match reason {
                TerminateReason::Superseded => Turn::Orphaned(AlertKind::Superseded, None),
                TerminateReason::HeartbeatTimeout
                | TerminateReason::ServerShuttingDown
                | TerminateReason::MalformedFrame
                | TerminateReason::ClientStopped => Turn::Again,
            };
            assert_eq!(
                closed(&mut opened(), &CloseReason::Terminated(*reason)),
                expected
            );
        }
        for word in ["weird", "pin_mismatch", "receiver_rejected"] {
            let reason = CloseReason::TerminatedUnknown(word.to_owned());
            assert_eq!(closed(&mut opened(), &reason), Turn::Again);
        }
    }

    // Covers: O-15
    #[test]
    fn our_own_key_is_a_transport_error_and_its_address_is_left_out_from_then_on() {
        let mut client = Client::new();
        let failure = DialFailure {
            reason: CloseReason::SelfLoopback,
            address: Some(ip("127.0.1.1")),
            observed: Some(pin(OWN)),
        };
        assert_eq!(dialled(&mut client, Err(failure)), Turn::Again);
        let outcome = Ok(answer(OWN, ResponseKind::Ok, None));
        assert_eq!(dialled(&mut client, outcome), Turn::Again);
        assert_eq!(client.skip(), [ip("127.0.1.1"), ip("192.0.2.1")]);
        assert_eq!(client.error(), "self loopback");
    }

    #[test]
    fn the_owner_is_told_why_there_is_no_session() {
        let cases = [
            (IntentReason::PinMismatch, "different key on file"),
            (IntentReason::NoApprovedPeer, "no approval on file"),
            (IntentReason::PendingNotApproved, "waiting for the receiver"),
            (IntentReason::BadIntent, "auth rejected"),
        ];
        for (reason, text) in cases {
            let mut client = Client::new();
            let rejected = answer(1, ResponseKind::Rejected, Some(reason));
            dialled(&mut client, Ok(rejected));
            assert!(client.error().contains(text), "{}", client.error());
        }
    }

    #[test]
    fn the_end_of_a_connection_that_is_not_ours_changes_nothing() {
        let mut client = opened();
        let superseded = CloseReason::Terminated(TerminateReason::Superseded);
        let turn = client.handle_closed(LinkId(4), &superseded, Mono::default(), &mut Out::new(7));
        assert_eq!(turn, Turn::Again);
        assert_eq!(client.line(), Line::Session(LINK));
    }
}
