//! Fuzz target: WebSocket frames of a stranger.
#![no_main]
#[path = "../bodies/net.rs"]
mod net;

libfuzzer_sys::fuzz_target!(|data: &[u8]| net::websocket(data));
