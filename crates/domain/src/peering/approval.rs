//! [`Approval`]: waits for the receiver's admin to decide about one pending pairing
//! (peer-link.md §4.4, offloader's side).
use std::time::Duration;

use kiln_model::{AlertKind, CloseReason, LinkId, Mono, PeerFacts, Pin, ResponseKind};

use super::{DialAnswer, DialFailure};

/// Wait between two attempts (peer-link.md §4.4).
const RETRY: Duration = Duration::from_secs(2);

/// How long one question waits for its answer. The connection is silent meanwhile, and what is on the
/// way may drop it without a word (peer-link.md §11 Q16).
const PATIENCE: Duration = Duration::from_secs(240);

/// Asks by long poll, again and again, until there is a decision.
#[derive(Debug)]
pub(super) enum Approval {
    Ready,
    /// `until` is gone when the question was taken back.
    Asking {
        link: LinkId,
        until: Option<Mono>,
    },
    Waiting {
        until: Mono,
    },
}

/// What an answer means for the pairing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Approved(PeerFacts),
    /// Dropped; the owner has to know why, and which key answered instead.
    Dropped(AlertKind, Option<Pin>),
    NotYet,
}

impl Approval {
    pub(super) fn wants_to_dial(&self) -> bool {
        matches!(self, Self::Ready)
    }

    pub(super) fn asking(&mut self, link: LinkId, now: Mono) {
        let until = Some(now + PATIENCE);
        *self = Self::Asking { link, until };
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        match self {
            Self::Asking { link, .. } => Some(*link),
            Self::Ready | Self::Waiting { .. } => None,
        }
    }

    pub(super) fn handle_dialled(
        &mut self,
        outcome: Result<DialAnswer, DialFailure>,
        pinned: Pin,
        now: Mono,
    ) -> Decision {
        let until = now + RETRY;
        *self = Self::Waiting { until };
        let answer = match outcome {
            Ok(answer) => answer,
            // Another key is a final answer, whatever it would have said: it was not asked.
            Err(failure) if failure.reason == CloseReason::PinMismatch => {
                return Decision::Dropped(AlertKind::PinMismatch, failure.observed);
            }
            Err(_) => return Decision::NotYet,
        };
        match answer.response.kind {
            _ if answer.pin != pinned => {
                Decision::Dropped(AlertKind::PinMismatch, Some(answer.pin))
            }
            Some(ResponseKind::Approved) => Decision::Approved(answer.response.facts),
            Some(ResponseKind::Rejected) => Decision::Dropped(AlertKind::PeerRevoked, None),
            Some(ResponseKind::Ok | ResponseKind::Pending | ResponseKind::NoPairingWindow)
            | None => Decision::NotYet,
        }
    }

    /// Returns the connection that is to be given up, if a question waited for too long; it is asked
    /// again when that is gone.
    pub(super) fn handle_timeout(&mut self, now: Mono) -> Option<LinkId> {
        if self.poll_timeout().is_none_or(|until| now < until) {
            return None;
        }
        match self {
            Self::Ready => None,
            Self::Asking { link, until } => {
                *until = None;
                Some(*link)
            }
            Self::Waiting { .. } => {
                *self = Self::Ready;
                None
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        match self {
            Self::Waiting { until } => Some(*until),
            Self::Asking { until, .. } => *until,
            Self::Ready => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{IntentReason, IntentResponse};

    use super::super::fixtures::{ip, key, pin};
    use super::*;

    fn decide(outcome: Result<(u8, Option<ResponseKind>), DialFailure>) -> (Decision, Approval) {
        let mut approval = Approval::Ready;
        approval.asking(LinkId(2), Mono::default());
        let outcome = outcome.map(|(k, kind)| DialAnswer {
            public_key: key(k),
            pin: pin(k),
            response: IntentResponse {
                kind,
                reason: Some(IntentReason::BadIntent),
                facts: PeerFacts::default(),
                requires_pairing_key: false,
            },
            address: ip("192.0.2.1"),
        });
        let decision = approval.handle_dialled(outcome, pin(1), Mono::default());
        (decision, approval)
    }

    // Covers: O-08
    #[test]
    fn approved_by_the_pinned_key_is_taken_and_a_rejection_or_another_key_drops_the_pairing() {
        let approved = Some(ResponseKind::Approved);
        let facts = PeerFacts::default();
        assert_eq!(decide(Ok((1, approved))).0, Decision::Approved(facts));
        let mismatch = Decision::Dropped(AlertKind::PinMismatch, Some(pin(9)));
        assert_eq!(decide(Ok((9, approved))).0, mismatch);
        let refused_before_msg3 = DialFailure {
            reason: CloseReason::PinMismatch,
            address: None,
            observed: Some(pin(9)),
        };
        assert_eq!(decide(Err(refused_before_msg3)).0, mismatch);
        let revoked = Decision::Dropped(AlertKind::PeerRevoked, None);
        assert_eq!(decide(Ok((1, Some(ResponseKind::Rejected)))).0, revoked);
    }

    // Covers: O-07
    #[test]
    fn everything_else_is_asked_again_2_seconds_later_and_never_given_up() {
        let failures = [
            CloseReason::TransportError("refused".into()),
            CloseReason::PeerHungUp,
            CloseReason::SelfLoopback,
        ];
        let answers = [
            Some(ResponseKind::Ok),
            Some(ResponseKind::Pending),
            Some(ResponseKind::NoPairingWindow),
            None,
        ];
        let failures = failures.map(|reason| Err(reason.into()));
        let answers = answers.map(|kind| Ok((1, kind)));
        for outcome in failures.into_iter().chain(answers) {
            let (decision, mut approval) = decide(outcome);
            assert_eq!(decision, Decision::NotYet);
            assert_eq!(approval.poll_timeout(), Some(Mono(RETRY)));
            assert_eq!(approval.handle_timeout(Mono(RETRY)), None);
            assert!(approval.wants_to_dial());
        }
    }

    #[test]
    fn a_question_without_an_answer_is_taken_back_once_and_asked_again() {
        let mut approval = Approval::Ready;
        approval.asking(LinkId(2), Mono::default());
        let before = Mono(PATIENCE - Duration::from_millis(1));
        assert_eq!(approval.handle_timeout(before), None);
        assert_eq!(approval.handle_timeout(Mono(PATIENCE)), Some(LinkId(2)));
        assert_eq!(approval.handle_timeout(Mono(PATIENCE)), None);
        let gone = Err(CloseReason::PeerHungUp.into());
        let decision = approval.handle_dialled(gone, pin(1), Mono(PATIENCE));
        assert_eq!(decision, Decision::NotYet);
        assert_eq!(approval.poll_timeout(), Some(Mono(PATIENCE) + RETRY));
    }
}
