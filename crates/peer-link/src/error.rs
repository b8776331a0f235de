//! [`Error`]: what went wrong on the wire, and who is to blame.
use kiln_model::{CloseReason, Pin, TerminateReason};

/// Why a handshake or a session cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The other side broke a rule of the protocol.
    #[error("the other side broke the protocol: {0}")]
    PeerMisbehaved(#[from] Misbehaviour),
    /// Another key answered than the one expected; nothing was revealed to it.
    #[error("another key answered (pin {found}) than the one paired with (pin {expected})")]
    PinMismatch {
        /// The pin that should have answered.
        expected: Pin,
        /// The pin that did.
        found: Pin,
    },
    /// Our own key answered: the address leads back to this machine.
    #[error("this address leads back to this computer")]
    SelfLoopback,
    /// We asked for something that must not be done. A mistake of ours, never of the peer.
    #[error("refused to send: {0}")]
    Ours(Misuse),
    /// The system gave no randomness or the crypto library failed.
    #[error("the cryptography of this system failed")]
    Crypto,
}

/// A rule that the other side broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// A message above the limit of its place.
    #[error("a message was too large")]
    TooLarge,
    /// A handshake message that is too short, forged, or holds a degenerate key.
    #[error("a handshake message was not genuine")]
    Handshake,
    /// A session message that does not authenticate.
    #[error("a message did not authenticate")]
    Forged,
    /// A text message where only binary ones exist.
    #[error("a text message arrived")]
    Text,
    /// A message that is not one strict JSON document.
    #[error("a message was not JSON")]
    NotJson,
    /// A JSON document that is not an object.
    #[error("a message was not a JSON object")]
    NotAnObject,
    /// A binary chunk of another Kiln that is not one.
    #[error("a binary chunk was malformed")]
    Binary,
    /// An answer without the member `intent_response`.
    #[error("an answer did not say what it answers")]
    NoAnswer,
}

/// A rule that we were about to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// A session for a key that is not the approved one, or for another intent.
    #[error("a session without approval")]
    NotApproved,
    /// Anything but a `preview` without an expected pin.
    #[error("details to a key nobody compared")]
    UnknownKey,
    /// A frame above the limit.
    #[error("a frame that is too large")]
    TooLarge,
    /// A frame after `terminate`, or after 2⁶⁴ − 1 frames.
    #[error("a frame after the end")]
    Ended,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl From<&Misbehaviour> for TerminateReason {
    /// Says what a receiver tells the offender; an offloader only closes (peer-link.md §5.1).
    fn from(_: &Misbehaviour) -> Self {
        TerminateReason::MalformedFrame
    }
}

impl From<&Error> for CloseReason {
    fn from(error: &Error) -> Self {
        match error {
            Error::PinMismatch { .. } => CloseReason::PinMismatch,
            Error::SelfLoopback => CloseReason::SelfLoopback,
            Error::PeerMisbehaved(_) | Error::Ours(_) | Error::Crypto => {
                CloseReason::TransportError(error.to_string().into())
            }
        }
    }
}
