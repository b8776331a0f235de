//! [`Session`]: an open peer link, as a sealing and an opening half that two tasks can own.
use kiln_model::{Message, Pin, SubmitHeader};

use crate::chunk::{self, Piece};
use crate::crypto::Direction;
use crate::error::{Error, Misbehaviour, Misuse, Result};
use crate::frame::{self, Frame, Nonce};
use crate::limits::{
    CHUNK, KILN_CHUNK, MAX_OFFLOADER_CIPHERTEXT, MAX_RECEIVER_CIPHERTEXT, MAX_SENT_PLAINTEXT, TAG,
};

/// Which role this side has in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We compile for the peer.
    Receiver,
    /// The peer compiles for us.
    Offloader,
}

/// Whether both sides announced Kiln's additions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Only what the reference peer knows.
    Reference,
    /// Both are Kilns.
    Kiln,
}

impl Dialect {
    pub(crate) fn of(both_kiln: bool) -> Self {
        if both_kiln {
            Dialect::Kiln
        } else {
            Dialect::Reference
        }
    }
}

/// An open session with an authenticated and, on the receiver, approved peer.
pub struct Session {
    side: Side,
    pin: Pin,
    dialect: Dialect,
    sealer: Sealer,
    opener: Opener,
}

impl Session {
    pub(crate) fn new(
        side: Side,
        pin: Pin,
        dialect: Dialect,
        sending: Direction,
        receiving: Direction,
    ) -> Self {
        let sealer = Sealer {
            side,
            dialect,
            direction: sending,
            ended: false,
        };
        let opener = Opener {
            side,
            dialect,
            direction: receiving,
        };
        Self {
            side,
            pin,
            dialect,
            sealer,
            opener,
        }
    }

    /// Returns our role.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Returns the peer's pin.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Returns whether the peer is a Kiln too.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Gives each direction its own owner.
    pub fn split(self) -> (Sealer, Opener) {
        (self.sealer, self.opener)
    }
}

/// The sending half. Messages have to leave in the order in which they were sealed; a failed write
/// is the end of the session, because its nonce is used up.
pub struct Sealer {
    side: Side,
    dialect: Dialect,
    direction: Direction,
    ended: bool,
}

impl Sealer {
    /// Seals a frame. After [`Message::Terminate`] nothing more can be sealed.
    ///
    /// # Errors
    /// [`Misuse::TooLarge`] (the session goes on, no nonce is used), [`Misuse::Ended`].
    pub fn message(&mut self, message: &Message) -> Result<Vec<u8>> {
        let sealed = self.seal(frame::encode(message))?;
        self.ended = matches!(message, Message::Terminate(_));
        Ok(sealed)
    }

    /// Seals the header of an upload.
    ///
    /// # Errors
    /// As [`Sealer::message`].
    pub fn header(&mut self, header: &SubmitHeader) -> Result<Vec<u8>> {
        self.seal(frame::encode_header(header))
    }

    /// Seals a piece of a bundle (as offloader) or of a tarball (as receiver).
    ///
    /// # Errors
    /// As [`Sealer::message`].
    pub fn chunk(&mut self, job_id: &str, piece: Piece, data: &[u8]) -> Result<Vec<u8>> {
        self.seal(match self.dialect {
            Dialect::Reference => chunk::encode_chunk(self.side, job_id, piece, data),
            Dialect::Kiln => {
                chunk::encode_binary(job_id, piece, data).ok_or(Error::Ours(Misuse::TooLarge))?
            }
        })
    }

    /// Returns how many raw bytes a chunk to this peer carries.
    pub fn chunk_size(&self) -> usize {
        match self.dialect {
            Dialect::Reference => CHUNK,
            Dialect::Kiln => KILN_CHUNK,
        }
    }

    /// Seals a ping; see [`crate::Heartbeat`] for its number.
    ///
    /// # Errors
    /// As [`Sealer::message`].
    pub fn ping(&mut self, nonce: u64) -> Result<Vec<u8>> {
        self.seal(frame::ping(nonce))
    }

    /// Seals the answer to a ping.
    ///
    /// # Errors
    /// As [`Sealer::message`].
    pub fn pong(&mut self, nonce: &Nonce) -> Result<Vec<u8>> {
        self.seal(frame::pong(nonce))
    }

    fn seal(&mut self, mut plaintext: Vec<u8>) -> Result<Vec<u8>> {
        if self.ended {
            return Err(Error::Ours(Misuse::Ended));
        }
        if plaintext.len() > MAX_SENT_PLAINTEXT {
            return Err(Error::Ours(Misuse::TooLarge));
        }
        plaintext.reserve_exact(TAG);
        let sealed = self.direction.seal(&mut plaintext);
        sealed.map_err(|_| Error::Ours(Misuse::Ended))?;
        Ok(plaintext)
    }
}

/// The receiving half.
pub struct Opener {
    side: Side,
    dialect: Dialect,
    direction: Direction,
}

impl Opener {
    /// Returns the largest WebSocket message to be accepted, in bytes.
    pub fn max_message(&self) -> usize {
        match self.side {
            Side::Receiver => MAX_RECEIVER_CIPHERTEXT,
            Side::Offloader => MAX_OFFLOADER_CIPHERTEXT,
        }
    }

    /// Decrypts a message where it lies and decodes it. Every `Ok` is a sign of life.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`]: the session is over. A receiver says so with
    /// `terminate`/`malformed_frame`, an offloader only closes (peer-link.md §5.1).
    pub fn open<'m>(&mut self, message: &'m mut [u8]) -> Result<Frame<'m>> {
        if message.len() > self.max_message() {
            return Err(Misbehaviour::TooLarge.into());
        }
        let plaintext = self.direction.open(message);
        let plaintext = plaintext.map_err(|_| Misbehaviour::Forged)?;
        Ok(frame::decode(self.side, self.dialect, plaintext)?)
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::witness::Approved;
    use kiln_model::{
        Capabilities, Hello, LinkIntent, PeerFacts, QueueStatus, TerminateReason, WireJobId,
    };
    use zeroize::Zeroizing;

    use super::*;
    use crate::handshake::{ExpectHello, Initiator, Opening, PinCheck};
    use crate::identity::StaticKey;

    /// Opens a session between (offloader, receiver) with keys made of one byte each.
    fn session(kiln: bool) -> (Session, Session) {
        let initiator = StaticKey::from_bytes(Zeroizing::new([1; 32])).unwrap();
        let responder = StaticKey::from_bytes(Zeroizing::new([2; 32])).unwrap();
        let hello = Hello {
            dashboard_id: Some("A".parse().unwrap()),
            kiln,
            ..Hello::default()
        };
        let facts = PeerFacts {
            capabilities: Capabilities {
                kiln,
                ..Capabilities::default()
            },
            ..PeerFacts::default()
        };
        let (msg1, reply) = Initiator::start(&initiator, LinkIntent::PeerLink).unwrap();
        let (msg2, finish) = ExpectHello::new(&responder).unwrap().read(&msg1).unwrap();
        let check = PinCheck::Expect(responder.pin());
        let (msg3, answer) = reply.read(&msg2).unwrap().finish(check, &hello).unwrap();
        let knock = finish.read(&msg3).unwrap();
        let approved = Approved::assertion(initiator.pin());
        let (mut bytes, receiver) = knock.admit(approved, &facts).unwrap();
        match answer.read(&mut bytes).unwrap().1 {
            Opening::Session(offloader) => (*offloader, receiver),
            Opening::Close => panic!("ok opens a session"),
        }
    }

    fn status() -> Message {
        Message::QueueStatus(QueueStatus::of(true, 3))
    }

    fn output(bytes: usize) -> Message {
        let empty = Message::JobOutput {
            job_id: WireJobId("j".into()),
            line: String::new(),
        };
        Message::JobOutput {
            job_id: WireJobId("j".into()),
            line: "x".repeat(bytes - frame::encode(&empty).len()),
        }
    }

    // Covers: B-23
    #[test]
    fn a_changed_bit_anywhere_in_a_frame_ends_the_session() {
        let bits = 8 * (frame::encode(&status()).len() + TAG);
        for bit in 0..bits {
            let (offloader, receiver) = session(false);
            let (mut sealer, _) = receiver.split();
            let (_, mut opener) = offloader.split();
            let mut message = sealer.message(&status()).unwrap();
            message[bit / 8] ^= 1 << (bit % 8);
            let opened = opener.open(&mut message).err();
            assert_eq!(opened, Some(Misbehaviour::Forged.into()), "bit {bit}");
        }
    }

    #[test]
    fn frames_open_only_once_and_only_in_their_order() {
        let (offloader, receiver) = session(false);
        let (mut sealer, _) = receiver.split();
        let (_, mut opener) = offloader.split();
        let first = sealer.message(&status()).unwrap();
        opener.open(&mut first.clone()).unwrap();
        assert!(opener.open(&mut first.clone()).is_err());
    }

    // Covers: B-22
    #[test]
    fn nothing_is_sealed_after_terminate() {
        let (mut sealer, _) = session(false).1.split();
        let end = Message::Terminate(TerminateReason::Superseded);
        sealer.message(&end).unwrap();
        assert_eq!(sealer.ping(1), Err(Error::Ours(Misuse::Ended)));
        assert_eq!(sealer.message(&end), Err(Error::Ours(Misuse::Ended)));
    }

    // Covers: B-13
    #[test]
    fn a_frame_that_is_too_large_is_refused_and_costs_no_nonce() {
        let (offloader, receiver) = session(false);
        let (mut sealer, _) = receiver.split();
        let (_, mut opener) = offloader.split();
        let refused = sealer.message(&output(MAX_SENT_PLAINTEXT + 1));
        assert_eq!(refused, Err(Error::Ours(Misuse::TooLarge)));
        let mut largest = sealer.message(&output(MAX_SENT_PLAINTEXT)).unwrap();
        assert_eq!(largest.len(), 61_439);
        assert!(matches!(opener.open(&mut largest), Ok(Frame::Message(_))));
    }

    // Covers: R-28
    #[test]
    fn a_receiver_accepts_61440_bytes_and_no_more() {
        let open = |length: usize| {
            let (offloader, receiver) = session(false);
            let mut direction = offloader.split().0.direction;
            let (_, mut opener) = receiver.split();
            let mut message = br#"{"type":"pong"}"#.to_vec();
            message.resize(length - TAG, b' ');
            assert!(direction.seal(&mut message).is_ok());
            opener
                .open(&mut message)
                .map(|frame| matches!(frame, Frame::Pong))
        };
        assert_eq!(open(61_440), Ok(true));
        assert_eq!(open(61_441), Err(Misbehaviour::TooLarge.into()));
    }

    #[test]
    fn kilns_send_each_other_binary_chunks_and_nobody_else_may() {
        let piece = |index| Piece {
            index,
            len: 3,
            is_last: true,
        };
        let (offloader, receiver) = session(true);
        let (mut sealer, _) = offloader.split();
        let (_, mut opener) = receiver.split();
        let data = vec![0; sealer.chunk_size()];
        let longest_id = "x".repeat(crate::limits::MAX_JOB_ID);
        let mut message = sealer.chunk(&longest_id, piece(7), &data).unwrap();
        let Frame::Chunk(chunk) = opener.open(&mut message).unwrap() else {
            panic!("a chunk");
        };
        assert_eq!(
            (chunk.job_id.as_ref(), chunk.index),
            (longest_id.as_str(), 7)
        );
        let refused = sealer.chunk(&"x".repeat(256), piece(0), &data);
        assert_eq!(refused, Err(Error::Ours(Misuse::TooLarge)));

        let (offloader, receiver) = session(false);
        let mut direction = offloader.split().0.direction;
        let mut message = chunk::encode_binary("j", piece(0), b"abc").unwrap();
        assert!(direction.seal(&mut message).is_ok());
        let opened = receiver.split().1.open(&mut message).err();
        assert_eq!(opened, Some(Misbehaviour::NotJson.into()));
    }

    // Covers: O-19
    #[test]
    fn an_offloader_accepts_the_long_lines_that_a_reference_receiver_does_not_split() {
        for length in [61_439, 61_440, MAX_OFFLOADER_CIPHERTEXT] {
            let (offloader, receiver) = session(false);
            let mut direction = receiver.split().0.direction;
            let (_, mut opener) = offloader.split();
            let mut message = frame::encode(&output(length - TAG));
            assert!(direction.seal(&mut message).is_ok());
            assert!(matches!(opener.open(&mut message), Ok(Frame::Message(_))));
        }
    }

    // Covers: R-27
    #[test]
    fn an_empty_plaintext_and_other_json_end_the_session() {
        for (plaintext, why) in [
            ("", Misbehaviour::NotJson),
            ("nojson", Misbehaviour::NotJson),
            ("[]", Misbehaviour::NotAnObject),
            ("5", Misbehaviour::NotAnObject),
        ] {
            let (offloader, receiver) = session(false);
            let mut direction = offloader.split().0.direction;
            let (_, mut opener) = receiver.split();
            let mut message = plaintext.as_bytes().to_vec();
            assert!(direction.seal(&mut message).is_ok());
            assert_eq!(opener.open(&mut message).err(), Some(why.into()));
            assert_eq!(TerminateReason::from(&why), TerminateReason::MalformedFrame);
        }
    }
}
