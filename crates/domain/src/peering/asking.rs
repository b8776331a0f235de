//! [`Asking`]: previews and pair requests on behalf of a person who waits for the answer
//! (peer-link.md §4.3, offloader's side).
use std::collections::BTreeMap;

use kiln_model::witness::PinConfirmed;
use kiln_model::{
    CloseReason, DashboardId, Endpoint, ErrorCode, FriendlyName, Label, LinkId, PairingStatus,
    PeerFacts, Pin, PresentedKey, PublicKey, Reply, ResponseKind, Sentence, say,
};

use super::client::sentence;
use super::out::Out;
use super::{DialAnswer, DialFailure, Purpose};
use crate::RequestId;

/// Requests in flight, one per dial.
#[derive(Debug, Default)]
pub(super) struct Asking {
    dials: BTreeMap<LinkId, Ask>,
}

#[derive(Debug)]
enum Ask {
    Preview(RequestId),
    Pair(RequestId, Wish),
}

/// The receiver that a person wants to use, with the pin that they compared.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) endpoint: Endpoint,
    pub(super) pin: PinConfirmed,
    /// The person's name for it; empty: its own.
    pub(super) label: Label,
}

/// How we introduce ourselves to a receiver.
pub(super) struct Introduction {
    pub(super) dashboard_id: DashboardId,
    pub(super) friendly_name: FriendlyName,
}

/// A receiver that let us in, or will ask its admin.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) wish: Wish,
    pub(super) public_key: PublicKey,
    pub(super) status: PairingStatus,
    pub(super) facts: PeerFacts,
}

impl Asking {
    pub(super) fn preview(&mut self, id: RequestId, endpoint: Endpoint, out: &mut Out) {
        let link = out.dial(endpoint, Vec::new(), None, Purpose::Preview);
        self.dials.insert(link, Ask::Preview(id));
    }

    /// Asks to be admitted. The dial expects the pin that was compared, so that nothing, least of all
    /// a pairing key, is told to another key.
    pub(super) fn pair(
        &mut self,
        id: RequestId,
        wish: Wish,
        pairing_key: Option<PresentedKey>,
        who: Introduction,
        out: &mut Out,
    ) {
        let purpose = Purpose::PairRequest {
            label: Label::clipped(who.friendly_name.as_str()),
            label_auto: true,
            dashboard_id: who.dashboard_id,
            friendly_name: who.friendly_name,
            pairing_key,
        };
        let expect = Some(wish.pin.pin());
        let link = out.dial(wish.endpoint.clone(), Vec::new(), expect, purpose);
        self.dials.insert(link, Ask::Pair(id, wish));
    }

    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.dials.contains_key(&link)
    }

    /// Answers the person; returns what is to be stored.
    pub(super) fn handle_dialled(
        &mut self,
        link: LinkId,
        outcome: Result<DialAnswer, DialFailure>,
        own: Pin,
        out: &mut Out,
    ) -> Option<Granted> {
        match self.dials.remove(&link)? {
            Ask::Preview(id) => {
                previewed(id, outcome, own, out);
                None
            }
            Ask::Pair(id, wish) => paired(id, wish, outcome, out),
        }
    }

    /// Gives everything up, because the key changes or the node stops.
    pub(super) fn abort(&mut self, why: &Sentence, out: &mut Out) {
        for (link, ask) in std::mem::take(&mut self.dials) {
            let (Ask::Preview(id) | Ask::Pair(id, _)) = ask;
            out.close(link, None);
            let hint = say::hint_ask_again();
            out.refuse(id, ErrorCode::Unavailable, why.clone(), hint);
        }
    }
}

fn previewed(id: RequestId, outcome: Result<DialAnswer, DialFailure>, own: Pin, out: &mut Out) {
    match outcome {
        Ok(answer) if answer.pin == own => itself(id, out),
        Ok(answer) if answer.response.kind == Some(ResponseKind::Ok) => {
            let reply = Reply::Previewed {
                pin: answer.pin,
                requires_pairing_key: answer.response.requires_pairing_key,
                friendly_name: answer.response.facts.friendly_name.to_string(),
            };
            out.reply(id, reply);
        }
        Ok(_) => out.refuse(
            id,
            ErrorCode::Unavailable,
            say::dashboard_not_building(),
            say::hint_build_server(),
        ),
        Err(failure) => unreachable_peer(id, &failure.reason, out),
    }
}

fn paired(
    id: RequestId,
    wish: Wish,
    outcome: Result<DialAnswer, DialFailure>,
    out: &mut Out,
) -> Option<Granted> {
    let answer = match outcome {
        Ok(answer) if answer.pin == wish.pin.pin() => answer,
        Ok(answer) => {
            pin_changed(id, wish.pin.pin(), Some(answer.pin), out);
            return None;
        }
        Err(failure) if failure.reason == CloseReason::PinMismatch => {
            pin_changed(id, wish.pin.pin(), failure.observed, out);
            return None;
        }
        Err(failure) => {
            unreachable_peer(id, &failure.reason, out);
            return None;
        }
    };
    let status = match answer.response.kind {
        Some(ResponseKind::Approved) => {
            out.reply(id, Reply::Paired);
            PairingStatus::Approved
        }
        Some(ResponseKind::Pending) => {
            out.reply(id, Reply::PairingPending);
            PairingStatus::Pending
        }
        Some(ResponseKind::Rejected) => {
            out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                say::pair_declined(),
                say::hint_old_entry(),
            );
            return None;
        }
        Some(ResponseKind::NoPairingWindow) => {
            out.refuse(
                id,
                ErrorCode::NoPairingWindow,
                say::window_closed_there(),
                say::hint_open_window(),
            );
            return None;
        }
        Some(ResponseKind::Ok) => {
            out.refuse(
                id,
                ErrorCode::Internal,
                say::odd_answer(),
                say::hint_update_receiver(),
            );
            return None;
        }
        None => {
            out.refuse(
                id,
                ErrorCode::Unavailable,
                say::unknown_answer(),
                say::hint_update_kiln(),
            );
            return None;
        }
    };
    Some(Granted {
        wish,
        public_key: answer.public_key,
        status,
        facts: answer.response.facts,
    })
}

fn pin_changed(id: RequestId, expected: Pin, got: Option<Pin>, out: &mut Out) {
    let got = got.map_or_else(say::another_key, Sentence::from);
    out.refuse(
        id,
        ErrorCode::PreconditionFailed,
        say::pin_changed(expected, got),
        say::hint_compare_again(),
    );
}

/// Says why a peer could not be asked.
pub(super) fn unreachable_peer(id: RequestId, reason: &CloseReason, out: &mut Out) {
    match reason {
        CloseReason::SelfLoopback => itself(id, out),
        CloseReason::Terminated(_)
        | CloseReason::TerminatedUnknown(_)
        | CloseReason::WeTerminated(_)
        | CloseReason::TransportError(_)
        | CloseReason::PeerHungUp
        | CloseReason::HeartbeatTimeout
        | CloseReason::PinMismatch => out.refuse(
            id,
            ErrorCode::Unavailable,
            say::unreachable(sentence(reason)),
            say::hint_host_and_port(),
        ),
    }
}

fn itself(id: RequestId, out: &mut Out) {
    out.refuse(
        id,
        ErrorCode::PreconditionFailed,
        say::leads_back(),
        say::hint_other_address(),
    );
}

#[cfg(test)]
mod tests {
    use kiln_model::{IntentResponse, RequestError};

    use super::super::Effect;
    use super::super::fixtures::{endpoint, id, ip, key, pin};
    use super::*;

    const ASKED: RequestId = RequestId(5);

    fn answer(k: u8, kind: Option<ResponseKind>) -> Result<DialAnswer, DialFailure> {
        Ok(DialAnswer {
            public_key: key(k),
            pin: pin(k),
            response: IntentResponse {
                kind,
                reason: None,
                facts: PeerFacts::default(),
                requires_pairing_key: true,
            },
            address: ip("192.0.2.1"),
        })
    }

    enum What {
        Preview,
        Pair,
    }

    /// Asks with the compared pin 1; returns the dial, the reply and what is to be stored.
    fn ask(
        what: &What,
        outcome: Result<DialAnswer, DialFailure>,
    ) -> (Effect, Reply, Option<Granted>) {
        let (mut asking, mut out) = (Asking::default(), Out::new(0));
        match what {
            What::Preview => asking.preview(ASKED, endpoint("r.example"), &mut out),
            What::Pair => {
                let wish = Wish {
                    endpoint: endpoint("r.example"),
                    pin: PinConfirmed::assertion(pin(1)),
                    label: Label::default(),
                };
                let who = Introduction {
                    dashboard_id: id(200),
                    friendly_name: FriendlyName::clipped("me"),
                };
                asking.pair(ASKED, wish, Some("KEY".to_owned().into()), who, &mut out);
            }
        }
        let Some(crate::Effect::Peering(dial @ Effect::Dial { link, .. })) = out.pop() else {
            panic!("no dial");
        };
        let granted = asking.handle_dialled(link, outcome, pin(200), &mut out);
        let Some(crate::Effect::Reply(ASKED, reply)) = out.pop() else {
            panic!("no reply");
        };
        assert!(out.pop().is_none() && !asking.owns(link));
        (dial, reply, granted)
    }

    #[track_caller]
    fn refused(reply: Reply) -> RequestError {
        match reply {
            Reply::Refused(error) => error,
            other => panic!("not refused: {other:?}"),
        }
    }

    // Covers: O-02, O-03
    #[test]
    fn a_pair_request_dials_with_the_compared_pin_and_fails_with_another() {
        let failure = DialFailure {
            reason: CloseReason::PinMismatch,
            address: None,
            observed: Some(pin(9)),
        };
        let approved = answer(9, Some(ResponseKind::Approved));
        for outcome in [Err(failure), approved] {
            let (dial, reply, granted) = ask(&What::Pair, outcome);
            assert!(matches!(dial, Effect::Dial { expect: Some(p), .. } if p == pin(1)));
            let error = refused(reply);
            assert_eq!(error.code, ErrorCode::PreconditionFailed);
            let text = format!(
                "receiver pin changed since preview; expected {}, got {}",
                pin(1),
                pin(9)
            );
            assert_eq!(error.message.as_str(), text);
            assert!(granted.is_none());
        }
    }

    // Covers: O-04
    #[test]
    fn a_preview_with_any_answer_but_ok_fails() {
        let kinds = ResponseKind::ALL.iter().copied().map(Some);
        for kind in kinds.chain([None]) {
            let (_, reply, _) = ask(&What::Preview, answer(1, kind));
            if kind == Some(ResponseKind::Ok) {
                let expected = Reply::Previewed {
                    pin: pin(1),
                    requires_pairing_key: true,
                    friendly_name: String::new(),
                };
                assert_eq!(reply, expected);
            } else {
                assert_eq!(refused(reply).code, ErrorCode::Unavailable, "{kind:?}");
            }
        }
    }

    #[test]
    fn each_answer_to_a_pair_request_is_stored_or_explained() {
        let pair = |kind| ask(&What::Pair, answer(1, kind));
        let (_, reply, granted) = pair(Some(ResponseKind::Approved));
        assert_eq!(reply, Reply::Paired);
        assert_eq!(granted.unwrap().status, PairingStatus::Approved);
        let (_, reply, granted) = pair(Some(ResponseKind::Pending));
        assert_eq!(reply, Reply::PairingPending);
        assert_eq!(granted.unwrap().status, PairingStatus::Pending);
        for (kind, code) in [
            (Some(ResponseKind::Rejected), ErrorCode::PreconditionFailed),
            (
                Some(ResponseKind::NoPairingWindow),
                ErrorCode::NoPairingWindow,
            ),
            (Some(ResponseKind::Ok), ErrorCode::Internal),
            (None, ErrorCode::Unavailable),
        ] {
            let (_, reply, granted) = pair(kind);
            assert_eq!(refused(reply).code, code);
            assert!(granted.is_none());
        }
    }

    #[test]
    fn an_unreachable_receiver_and_our_own_address_are_told_apart() {
        let gone = CloseReason::TransportError("connection refused".into());
        let (_, reply, _) = ask(&What::Preview, Err(gone.into()));
        let error = refused(reply);
        assert_eq!(error.code, ErrorCode::Unavailable);
        assert!(error.message.contains("connection refused"));
        for outcome in [
            Err(CloseReason::SelfLoopback.into()),
            answer(200, Some(ResponseKind::Ok)),
        ] {
            let (_, reply, _) = ask(&What::Preview, outcome);
            assert_eq!(refused(reply).code, ErrorCode::PreconditionFailed);
        }
    }
}
