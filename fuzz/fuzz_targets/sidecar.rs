//! Fuzz target: sidecars of a receiver.
#![no_main]
#[path = "../bodies/esphome.rs"]
mod esphome;

libfuzzer_sys::fuzz_target!(|data: &[u8]| esphome::sidecar(data));
