//! Fuzz target: DNS-SD records.
#![no_main]
#[path = "../bodies/net.rs"]
mod net;

libfuzzer_sys::fuzz_target!(|data: &[u8]| net::service(data));
