//! Fuzz target: what an initiator sends before a session.
#![no_main]
#[path = "../bodies/peer_link.rs"]
mod peer_link;

libfuzzer_sys::fuzz_target!(|data: &[u8]| peer_link::responder(data));
