//! Fuzz target: HTTP heads of a stranger.
#![no_main]
#[path = "../bodies/net.rs"]
mod net;

libfuzzer_sys::fuzz_target!(|data: &[u8]| net::upgrade(data));
