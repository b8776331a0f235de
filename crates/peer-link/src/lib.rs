//! The wire, sans-IO: Noise handshake, session, frames, chunks, limits.
//!
//! A peer link is one WebSocket whose binary messages are Noise messages (peer-link.md §3):
//!
//! ```text
//! initiator                                       responder
//!   Initiator::start  -- msg1: e, {"intent"} -->  ExpectHello::read
//!   ExpectReply::read <-- msg2: e, ee, s, es ---
//!   Responder::finish -- msg3: s, se, {hello} ->  ExpectFinish::read
//!   ExpectAnswer::read <----- answer ----------   Authenticated::answer | admit
//!   Session           <======= frames ========>   Session
//! ```
//!
//! Bytes go in, bytes and values come out. This crate opens no socket, reads no clock, spawns
//! nothing and decides nothing about who is trusted: a responder's [`Session`] needs the witness
//! [`kiln_model::witness::Approved`].

mod chunk;
mod crypto;
mod download;
mod error;
#[cfg(test)]
mod fixture;
mod frame;
mod handshake;
mod heartbeat;
mod identity;
mod intake;
mod intent;
mod json;
pub mod limits;
mod output;
mod session;

/// The decoders without the cryptography around them, for fuzzing only.
#[doc(hidden)]
pub mod decoders {
    use kiln_model::{Hello, IntentResponse, LinkIntent, Message};

    use crate::{Dialect, Frame, Misbehaviour, Side, frame, intent};

    pub fn intent(payload: &[u8]) -> Option<LinkIntent> {
        intent::decode_intent(payload)
    }

    pub fn hello(payload: &[u8]) -> Hello {
        intent::decode_hello(payload)
    }

    pub fn encode_hello(intent: LinkIntent, hello: &Hello) -> Vec<u8> {
        intent::encode_hello(intent, hello)
    }

    pub fn answer(intent: LinkIntent, payload: &[u8]) -> Result<IntentResponse, Misbehaviour> {
        intent::decode_answer(intent, payload)
    }

    pub fn frame(
        side: Side,
        dialect: Dialect,
        plaintext: &mut [u8],
    ) -> Result<Frame<'_>, Misbehaviour> {
        frame::decode(side, dialect, plaintext)
    }

    pub fn frame_by_json(side: Side, plaintext: &[u8]) -> Result<Frame<'static>, Misbehaviour> {
        frame::decode_slowly(side, plaintext)
    }

    pub fn encode(message: &Message) -> Vec<u8> {
        frame::encode(message)
    }
}

pub use chunk::{Assembler, Chunk, Chunker, Piece};
pub use download::{Download, StreamFault};
pub use error::{Error, Misbehaviour, Misuse, Result};
pub use frame::{Frame, FrameFault, Nonce};
pub use handshake::{
    Authenticated, ExpectAnswer, ExpectFinish, ExpectHello, ExpectReply, Initiator, Opening,
    PinCheck, Responder,
};
pub use heartbeat::{Beat, Heartbeat};
pub use identity::{StaticKey, pin_of};
pub use intake::{Fed, Intake, Refused, SessionFate, Submission, UploadFate};
pub use intent::Answer;
pub use output::split_output;
pub use session::{Dialect, Opener, Sealer, Session, Side};
