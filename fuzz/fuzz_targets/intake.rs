//! Fuzz target: uploads and downloads, chunk by chunk.
#![no_main]
#[path = "../bodies/peer_link.rs"]
mod peer_link;

libfuzzer_sys::fuzz_target!(|data: &[u8]| peer_link::intake(data));
