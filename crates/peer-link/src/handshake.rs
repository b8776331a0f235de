//! The Noise handshake of both roles, as states that are consumed (peer-link.md §3.3, §4).
//!
//! A responder goes [`ExpectHello`] → [`ExpectFinish`] → [`Authenticated`], an initiator
//! [`Initiator`] → [`ExpectReply`] → [`Responder`] → [`ExpectAnswer`]. An initiator sees whose key
//! answered before it says who it is; a responder gets to a [`Session`] only through
//! [`Authenticated::admit`].
use kiln_model::witness::Approved;
use kiln_model::{Hello, IntentResponse, LinkIntent, PeerFacts, Pin, PublicKey, ResponseKind};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use crate::crypto::{AwsLc, Direction};
use crate::error::{Error, Misbehaviour, Misuse, Result};
use crate::identity::{StaticKey, pin_of};
use crate::intent::{self, Answer};
use crate::limits::{MAX_MSG1, MAX_MSG3, MAX_ONE_SHOT, TAG};
use crate::session::{Dialect, Session, Side};

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// Responder that waits for msg1, at most [`MAX_MSG1`] bytes.
pub struct ExpectHello(Raw);

/// Responder that waits for msg3, at most [`MAX_MSG3`] bytes.
pub struct ExpectFinish {
    raw: Raw,
    intent: Option<LinkIntent>,
}

/// Responder that knows who is there and owes an answer.
pub struct Authenticated {
    raw: Raw,
    /// What the peer wants; `None`: nothing we know, to be answered `bad_intent`.
    pub intent: Option<LinkIntent>,
    /// Its authenticated key.
    pub public_key: PublicKey,
    /// The pin of that key.
    pub pin: Pin,
    /// What it says of itself.
    pub hello: Hello,
}

impl ExpectHello {
    /// Starts as responder.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the crypto library fails.
    pub fn new(key: &StaticKey) -> Result<Self> {
        Ok(Self(Raw::responder(key)?))
    }

    /// Reads msg1 and returns msg2, which reveals nothing but our key.
    ///
    /// # Errors
    /// [`Misbehaviour::TooLarge`], [`Misbehaviour::Handshake`]: close without a word.
    pub fn read(mut self, msg1: &[u8]) -> Result<(Vec<u8>, ExpectFinish)> {
        let payload = self.0.read(msg1, MAX_MSG1)?;
        let intent = intent::decode_intent(&payload);
        let msg2 = self.0.write(&[])?;
        let next = ExpectFinish {
            raw: self.0,
            intent,
        };
        Ok((msg2, next))
    }
}

impl ExpectFinish {
    /// Reads msg3. A payload that cannot be read counts as if nothing was said.
    ///
    /// # Errors
    /// [`Misbehaviour::TooLarge`], [`Misbehaviour::Handshake`] and [`Error::SelfLoopback`]: close
    /// without a word.
    pub fn read(mut self, msg3: &[u8]) -> Result<Authenticated> {
        let payload = self.raw.read(msg3, MAX_MSG3)?;
        let public_key = self.raw.remote()?;
        let hello = match self.intent {
            Some(LinkIntent::Preview) | None => Hello::default(),
            Some(_) => intent::decode_hello(&payload),
        };
        Ok(Authenticated {
            raw: self.raw,
            intent: self.intent,
            public_key,
            pin: pin_of(&public_key),
            hello,
        })
    }
}

impl Authenticated {
    /// Seals the answer of a one-shot. Send it, then close with 1000.
    ///
    /// # Errors
    /// [`Misuse::NotApproved`] for `ok` to a `peer_link`: that is what [`Self::admit`] is for.
    pub fn answer(self, answer: &Answer<'_>) -> Result<Vec<u8>> {
        if self.intent == Some(LinkIntent::PeerLink) && answer.kind == ResponseKind::Ok {
            return Err(Error::Ours(Misuse::NotApproved));
        }
        let (_, mut sending) = self.raw.split()?;
        seal_answer(&mut sending, answer)
    }

    /// Seals `ok` and opens the session in the receiver's role.
    ///
    /// # Errors
    /// [`Misuse::NotApproved`] if another pin was approved, or something else was asked for.
    pub fn admit(self, approved: Approved, facts: &PeerFacts) -> Result<(Vec<u8>, Session)> {
        if self.intent != Some(LinkIntent::PeerLink) || approved.pin() != self.pin {
            return Err(Error::Ours(Misuse::NotApproved));
        }
        let (receiving, mut sending) = self.raw.split()?;
        let answer = Answer {
            kind: ResponseKind::Ok,
            reason: None,
            facts,
            requires_pairing_key: false,
        };
        let bytes = seal_answer(&mut sending, &answer)?;
        let dialect = Dialect::of(facts.capabilities.kiln && self.hello.kiln);
        let session = Session::new(Side::Receiver, self.pin, dialect, sending, receiving);
        Ok((bytes, session))
    }
}

fn seal_answer(sending: &mut Direction, answer: &Answer<'_>) -> Result<Vec<u8>> {
    let mut bytes = intent::encode_answer(answer);
    sending
        .seal(&mut bytes)
        .map_err(|_| Error::Ours(Misuse::Ended))?;
    Ok(bytes)
}

/// Where an initiator starts.
pub struct Initiator;

/// Initiator that waits for msg2, at most [`MAX_ONE_SHOT`] bytes.
pub struct ExpectReply {
    raw: Raw,
    intent: LinkIntent,
}

/// Initiator that knows whose key answered and has said nothing yet.
pub struct Responder {
    raw: Raw,
    intent: LinkIntent,
    /// The responder's authenticated key.
    pub public_key: PublicKey,
    /// The pin of that key.
    pub pin: Pin,
}

/// Who may learn what msg3 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinCheck {
    /// Only the holder of the key with this pin.
    Expect(Pin),
    /// Anybody: for `preview`, which says nothing.
    LearnOnly,
}

/// Initiator that waits for the answer, at most [`MAX_ONE_SHOT`] bytes.
pub struct ExpectAnswer {
    raw: Raw,
    intent: LinkIntent,
    pin: Pin,
    kiln: bool,
}

/// What an answer leads to.
pub enum Opening {
    /// A one-shot is done, or the session was refused: close with 1000.
    Close,
    /// The session is open, we are the offloader.
    Session(Box<Session>),
}

impl Initiator {
    /// Starts as initiator and returns msg1.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the crypto library or the random generator fails.
    pub fn start(key: &StaticKey, intent: LinkIntent) -> Result<(Vec<u8>, ExpectReply)> {
        ExpectReply::begin(Raw::initiator(key)?, intent)
    }
}

impl ExpectReply {
    fn begin(mut raw: Raw, intent: LinkIntent) -> Result<(Vec<u8>, Self)> {
        let msg1 = raw.write(&intent::encode_intent(intent))?;
        Ok((msg1, Self { raw, intent }))
    }

    /// Reads msg2; a payload in it is ignored.
    ///
    /// # Errors
    /// [`Misbehaviour::TooLarge`], [`Misbehaviour::Handshake`], and [`Error::SelfLoopback`] if our
    /// own key answered.
    pub fn read(mut self, msg2: &[u8]) -> Result<Responder> {
        self.raw.read(msg2, MAX_ONE_SHOT)?;
        let public_key = self.raw.remote()?;
        Ok(Responder {
            raw: self.raw,
            intent: self.intent,
            public_key,
            pin: pin_of(&public_key),
        })
    }
}

impl Responder {
    /// Checks the key and returns msg3. Of `hello` only what belongs to the intent is said.
    ///
    /// # Errors
    /// [`Error::PinMismatch`]: close with 1000, nothing was said. [`Misuse::UnknownKey`] for
    /// [`PinCheck::LearnOnly`] with anything but `preview`.
    pub fn finish(mut self, check: PinCheck, hello: &Hello) -> Result<(Vec<u8>, ExpectAnswer)> {
        match check {
            PinCheck::Expect(expected) if expected != self.pin => {
                let found = self.pin;
                return Err(Error::PinMismatch { expected, found });
            }
            PinCheck::LearnOnly if self.intent != LinkIntent::Preview => {
                return Err(Error::Ours(Misuse::UnknownKey));
            }
            PinCheck::Expect(_) | PinCheck::LearnOnly => {}
        }
        let msg3 = self.raw.write(&intent::encode_hello(self.intent, hello))?;
        let next = ExpectAnswer {
            raw: self.raw,
            intent: self.intent,
            pin: self.pin,
            kiln: hello.kiln,
        };
        Ok((msg3, next))
    }
}

impl ExpectAnswer {
    /// Opens and reads the answer, decrypting it where it lies.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if it is too large, forged, or not an answer.
    pub fn read(self, message: &mut [u8]) -> Result<(IntentResponse, Opening)> {
        if message.len() > MAX_ONE_SHOT {
            return Err(Misbehaviour::TooLarge.into());
        }
        let (sending, mut receiving) = self.raw.split()?;
        let payload = receiving.open(message).map_err(|_| Misbehaviour::Forged)?;
        let response = intent::decode_answer(self.intent, payload)?;
        let open = self.intent == LinkIntent::PeerLink && response.kind == Some(ResponseKind::Ok);
        let opening = if open {
            let dialect = Dialect::of(self.kiln && response.facts.capabilities.kiln);
            let session = Session::new(Side::Offloader, self.pin, dialect, sending, receiving);
            Opening::Session(Box::new(session))
        } else {
            Opening::Close
        };
        Ok((response, opening))
    }
}

/// Snow's handshake with our limits and our errors.
struct Raw {
    state: HandshakeState,
    own: PublicKey,
}

impl Raw {
    fn initiator(key: &StaticKey) -> Result<Self> {
        let state = builder(key)?.build_initiator().map_err(|_| Error::Crypto)?;
        let own = key.public();
        Ok(Self { state, own })
    }

    fn responder(key: &StaticKey) -> Result<Self> {
        let state = builder(key)?.build_responder().map_err(|_| Error::Crypto)?;
        let own = key.public();
        Ok(Self { state, own })
    }

    fn read(&mut self, message: &[u8], limit: usize) -> Result<Vec<u8>> {
        if message.len() > limit {
            return Err(Misbehaviour::TooLarge.into());
        }
        let mut payload = vec![0; message.len()];
        let length = self
            .state
            .read_message(message, &mut payload)
            .map_err(|_| Misbehaviour::Handshake)?;
        payload.truncate(length);
        Ok(payload)
    }

    fn write(&mut self, payload: &[u8]) -> Result<Vec<u8>> {
        // The longest of the three messages has two keys and two tags beside its payload.
        let mut message = vec![0; payload.len() + 2 * (32 + TAG)];
        let length = self
            .state
            .write_message(payload, &mut message)
            .map_err(|_| Error::Crypto)?;
        message.truncate(length);
        Ok(message)
    }

    /// Returns the other side's static key, which must not be ours.
    fn remote(&self) -> Result<PublicKey> {
        let key = self.state.get_remote_static().unwrap_or_default();
        let key = PublicKey(key.try_into().map_err(|_| Misbehaviour::Handshake)?);
        if key == self.own {
            return Err(Error::SelfLoopback);
        }
        Ok(key)
    }

    /// Returns (initiator → responder, responder → initiator).
    fn split(mut self) -> Result<(Direction, Direction)> {
        let (there, back) = self.state.dangerously_get_raw_split();
        let (there, back) = (Zeroizing::new(there), Zeroizing::new(back));
        Ok((Direction::new(&there)?, Direction::new(&back)?))
    }
}

fn builder(key: &StaticKey) -> Result<Builder<'_>> {
    let params = PATTERN.parse().map_err(|_| Error::Crypto)?;
    Builder::with_resolver(params, Box::new(AwsLc))
        .local_private_key(key.expose().as_slice())
        .map_err(|_| Error::Crypto)
}
