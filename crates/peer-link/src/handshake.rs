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
        let length =
            self.state
                .write_message(payload, &mut message)
                .map_err(|error| match error {
                    // The key they sent gives an empty secret.
                    snow::Error::Dh => Misbehaviour::Handshake.into(),
                    _ => Error::Crypto,
                })?;
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

#[cfg(test)]
mod tests {
    use kiln_model::{Capabilities, FriendlyName, IntentReason};
    use serde_json::Value;

    use super::*;
    use crate::fixture::{key, rows, unhex, vectors};
    use crate::frame::{Frame, FrameFault};
    use crate::session::{Opener, Sealer};

    /// Both ends of a vector, with its ephemeral keys.
    fn ends(all: &Value) -> (Raw, Raw) {
        let (ours, theirs) = (
            key(&all["initiator_static_private_hex"]),
            key(&all["responder_static_private_hex"]),
        );
        let initiator = builder(&ours)
            .unwrap()
            .fixed_ephemeral_key_for_testing_only(&unhex(&all["initiator_ephemeral_private_hex"]))
            .build_initiator()
            .unwrap();
        let responder = builder(&theirs)
            .unwrap()
            .fixed_ephemeral_key_for_testing_only(&unhex(&all["responder_ephemeral_private_hex"]))
            .build_responder()
            .unwrap();
        let raw = |state, key: &StaticKey| Raw {
            state,
            own: key.public(),
        };
        (raw(initiator, &ours), raw(responder, &theirs))
    }

    /// Takes one vector through our states, comparing every byte on the wire.
    fn play(all: &Value, vector: &Value) {
        let name = vector["name"].as_str().unwrap();
        let (mut initiator, responder) = ends(all);
        let payload = vector["msg1_payload_utf8"].as_str().unwrap();
        let intent = intent::decode_intent(payload.as_bytes());
        let msg3_payload = vector["msg3_payload_utf8"].as_str().unwrap();
        let hello = intent::decode_hello(msg3_payload.as_bytes());

        let (msg1, reply) = match intent {
            Some(intent) => ExpectReply::begin(initiator, intent).unwrap(),
            None => {
                let msg1 = initiator.write(payload.as_bytes()).unwrap();
                let (raw, intent) = (initiator, LinkIntent::PairStatus);
                (msg1, ExpectReply { raw, intent })
            }
        };
        assert_eq!(msg1, unhex(&vector["msg1_hex"]), "{name}");
        let (msg2, finish) = ExpectHello(responder).read(&msg1).unwrap();
        assert_eq!(msg2, unhex(&vector["msg2_hex"]), "{name}");

        let found = reply.read(&msg2).unwrap();
        assert_eq!(found.pin.to_string(), all["responder_pin_sha256"], "{name}");
        let check = match intent {
            Some(LinkIntent::Preview) => PinCheck::LearnOnly,
            _ => PinCheck::Expect(found.pin),
        };
        let (msg3, answer) = found.finish(check, &hello).unwrap();
        assert_eq!(msg3, unhex(&vector["msg3_hex"]), "{name}");
        let knock = finish.read(&msg3).unwrap();
        assert_eq!(knock.intent, intent, "{name}");
        assert_eq!(knock.pin.to_string(), all["initiator_pin_sha256"], "{name}");
        let hash = knock.raw.state.get_handshake_hash();
        assert_eq!(hash, unhex(&vector["handshake_hash_hex"]), "{name}");

        let facts = PeerFacts {
            esphome_version: Some("2026.10.0".parse().unwrap()),
            friendly_name: FriendlyName::clipped("buildbox"),
            ha_addon: false,
            capabilities: Capabilities {
                auto_provision: true,
                reset_build_env: true,
                kiln: false,
            },
        };
        let expected: Value =
            serde_json::from_str(vector["transport"][0]["plaintext_utf8"].as_str().unwrap())
                .unwrap();
        let word = expected["intent_response"].as_str().unwrap();
        let reason = expected["reason"].as_str();
        let said = Answer {
            kind: ResponseKind::from_word(word).unwrap(),
            reason: reason.and_then(IntentReason::from_word),
            facts: &facts,
            requires_pairing_key: expected["requires_pairing_key"] == true,
        };
        let (mut sealed, session) = if intent == Some(LinkIntent::PeerLink) {
            let approved = Approved::assertion(knock.pin);
            let (sealed, session) = knock.admit(approved, &facts).unwrap();
            (sealed, Some(session))
        } else {
            (knock.answer(&said).unwrap(), None)
        };
        assert_eq!(sealed, unhex(&vector["transport"][0]["ciphertext_hex"]));
        let (heard, opening) = answer.read(&mut sealed).unwrap();
        assert_eq!(heard.kind, Some(said.kind), "{name}");
        assert_eq!(heard.reason, said.reason, "{name}");
        assert_eq!(heard.facts, facts, "{name}");
        assert_eq!(heard.requires_pairing_key, said.requires_pairing_key);
        match (opening, session) {
            (Opening::Session(offloader), Some(receiver)) => {
                let (offloader, receiver) = (offloader.split(), receiver.split());
                converse(&rows(&vector["transport"])[1..], offloader, receiver);
            }
            (Opening::Close, None) => {}
            _ => panic!("{name}: both or none have a session"),
        }
    }

    /// Opens every recorded frame at its recipient, and makes its sender say the same again.
    fn converse(frames: &[Value], mut offloader: (Sealer, Opener), mut receiver: (Sealer, Opener)) {
        for row in frames {
            let (sealer, opener) = if row["from"] == "responder" {
                (&mut receiver.0, &mut offloader.1)
            } else {
                (&mut offloader.0, &mut receiver.1)
            };
            let ciphertext = unhex(&row["ciphertext_hex"]);
            let mut message = ciphertext.clone();
            let said_again = match opener.open(&mut message).unwrap() {
                Frame::Message(message) => sealer.message(&message),
                Frame::SubmitJob(header) => sealer.header(&header),
                Frame::Ping(nonce) => sealer.ping(nonce.as_json().parse().unwrap()),
                Frame::Pong => {
                    let mut ping = br#"{"type":"ping","nonce":1}"#.to_vec();
                    match crate::frame::decode(crate::Side::Receiver, Dialect::Reference, &mut ping)
                        .unwrap()
                    {
                        Frame::Ping(nonce) => sealer.pong(&nonce),
                        other => panic!("{other:?}"),
                    }
                }
                Frame::Terminate(kiln_model::CloseReason::Terminated(reason)) => {
                    sealer.message(&kiln_model::Message::Terminate(reason))
                }
                Frame::Chunk(chunk) => {
                    let piece = crate::Piece {
                        index: chunk.index as u64,
                        len: 5,
                        is_last: chunk.is_last,
                    };
                    sealer.chunk(&chunk.job_id, piece, b"hello")
                }
                Frame::Terminate(_) | Frame::Ignored | Frame::Malformed(FrameFault::Ignore) => {
                    panic!("{row}")
                }
                Frame::Malformed(fault) => panic!("{fault:?}: {row}"),
            };
            assert_eq!(said_again.unwrap(), ciphertext, "{row}");
        }
    }

    // Covers: B-08, B-09, B-11, O-01, R-05, R-06
    #[test]
    fn every_recorded_exchange_comes_out_byte_for_byte_in_both_roles() {
        let all = vectors!("noise_xx");
        for vector in rows(&all["vectors"]) {
            play(&all, vector);
        }
    }

    // Covers: R-04
    #[test]
    fn a_changed_bit_anywhere_in_msg2_msg3_or_the_answer_is_noticed() {
        let all = vectors!("noise_xx");
        let vector = &rows(&all["vectors"])[2];
        let honest = [
            unhex(&vector["msg2_hex"]),
            unhex(&vector["msg3_hex"]),
            unhex(&vector["transport"][0]["ciphertext_hex"]),
        ];
        let hello = intent::decode_hello(vector["msg3_payload_utf8"].as_str().unwrap().as_bytes());
        for (which, message) in honest.iter().enumerate() {
            for bit in 0..8 * message.len() {
                let mut forged = message.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                let (initiator, responder) = ends(&all);
                let (msg1, reply) = ExpectReply::begin(initiator, LinkIntent::PairRequest).unwrap();
                let (msg2, finish) = ExpectHello(responder).read(&msg1).unwrap();
                // The last bit of an X25519 key is no part of it; its hash still differs later.
                let ignored_by_the_curve = which == 0 && bit / 8 == 31 && bit % 8 == 7;
                let noticed = match which {
                    0 => reply.read(&forged).is_err() || ignored_by_the_curve,
                    1 => finish.read(&forged).is_err(),
                    _ => {
                        let found = reply.read(&msg2).unwrap();
                        let check = PinCheck::Expect(found.pin);
                        let (_, answer) = found.finish(check, &hello).unwrap();
                        answer.read(&mut forged).is_err()
                    }
                };
                assert!(noticed, "message {which}, bit {bit}");
            }
        }
    }

    #[test]
    fn messages_beyond_their_limit_are_refused_before_they_are_looked_at() {
        let all = vectors!("noise_xx");
        let too_large = |result: Error| {
            assert_eq!(result, Misbehaviour::TooLarge.into());
        };
        let (initiator, responder) = ends(&all);
        too_large(
            ExpectHello(responder)
                .read(&[0; MAX_MSG1 + 1])
                .err()
                .unwrap(),
        );
        let (msg1, reply) = ExpectReply::begin(initiator, LinkIntent::Preview).unwrap();
        too_large(reply.read(&[0; MAX_ONE_SHOT + 1]).err().unwrap());
        let (_, finish) = ExpectHello(ends(&all).1).read(&msg1).unwrap();
        too_large(finish.read(&[0; MAX_MSG3 + 1]).err().unwrap());
    }

    #[test]
    fn a_key_that_makes_an_empty_secret_is_refused() {
        let all = vectors!("noise_xx");
        for low_order in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            let refused = ExpectHello(ends(&all).1).read(&low_order);
            assert_eq!(refused.err(), Some(Misbehaviour::Handshake.into()));
        }
    }

    #[test]
    fn our_own_key_is_recognised_from_either_side() {
        let all = vectors!("noise_xx");
        let ours = key(&all["initiator_static_private_hex"]);
        let (msg1, reply) = Initiator::start(&ours, LinkIntent::Preview).unwrap();
        let (msg2, _) = ExpectHello::new(&ours).unwrap().read(&msg1).unwrap();
        assert_eq!(reply.read(&msg2).err(), Some(Error::SelfLoopback));

        let mut raw = Raw::initiator(&ours).unwrap();
        let msg1 = raw.write(b"").unwrap();
        let (msg2, finish) = ExpectHello::new(&ours).unwrap().read(&msg1).unwrap();
        raw.read(&msg2, MAX_ONE_SHOT).unwrap();
        let msg3 = raw.write(b"").unwrap();
        assert_eq!(finish.read(&msg3).err(), Some(Error::SelfLoopback));
    }

    /// A knock with this intent, and the pin of the one who knocks.
    fn knock(intent: LinkIntent) -> (Authenticated, Pin) {
        let (ours, theirs) = (
            StaticKey::generate().unwrap(),
            StaticKey::generate().unwrap(),
        );
        let (msg1, reply) = Initiator::start(&ours, intent).unwrap();
        let (msg2, finish) = ExpectHello::new(&theirs).unwrap().read(&msg1).unwrap();
        let check = PinCheck::Expect(theirs.pin());
        let found = reply.read(&msg2).unwrap();
        let (msg3, _) = found.finish(check, &Hello::default()).unwrap();
        (finish.read(&msg3).unwrap(), ours.pin())
    }

    // Covers: R-23
    #[test]
    fn a_session_needs_the_approval_of_exactly_this_key_and_intent() {
        let facts = PeerFacts::default();
        let not_approved = Some(Error::Ours(Misuse::NotApproved));
        let (peer, _) = knock(LinkIntent::PeerLink);
        let other = Approved::assertion(Pin([7; 32]));
        assert_eq!(peer.admit(other, &facts).err(), not_approved);
        let (peer, pin) = knock(LinkIntent::PairStatus);
        assert_eq!(
            peer.admit(Approved::assertion(pin), &facts).err(),
            not_approved
        );
        let (peer, _) = knock(LinkIntent::PeerLink);
        let ok = Answer {
            kind: ResponseKind::Ok,
            reason: None,
            facts: &facts,
            requires_pairing_key: false,
        };
        assert_eq!(peer.answer(&ok).err(), not_approved);
    }

    #[test]
    fn nothing_is_said_to_a_key_that_is_not_the_expected_one() {
        let (ours, theirs) = (
            StaticKey::generate().unwrap(),
            StaticKey::generate().unwrap(),
        );
        let found = || {
            let (msg1, reply) = Initiator::start(&ours, LinkIntent::PairRequest).unwrap();
            let (msg2, _) = ExpectHello::new(&theirs).unwrap().read(&msg1).unwrap();
            reply.read(&msg2).unwrap()
        };
        let expected = Pin([9; 32]);
        let refused = found().finish(PinCheck::Expect(expected), &Hello::default());
        let found_pin = theirs.pin();
        assert_eq!(
            refused.err(),
            Some(Error::PinMismatch {
                expected,
                found: found_pin
            })
        );
        let refused = found().finish(PinCheck::LearnOnly, &Hello::default());
        assert_eq!(refused.err(), Some(Error::Ours(Misuse::UnknownKey)));
    }
}
