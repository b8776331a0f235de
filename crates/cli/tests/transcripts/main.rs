//! Transcripts of commands against a node in memory: what people and programs see.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod audit;
mod env;
mod face;
mod grammar;
mod harness;
mod identity;
mod node;
mod pairing;
mod settings;
mod storage;
mod work;

use expect_test::Expect;
use harness::Transcript;

/// Holds what a command said against what is expected.
fn shows(transcript: &Transcript, expected: Expect) {
    expected.assert_eq(&transcript.text);
}
