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
