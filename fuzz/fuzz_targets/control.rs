//! Fuzz target: lines of the control channel.
#![no_main]
#[path = "../bodies/control.rs"]
mod control;

libfuzzer_sys::fuzz_target!(|data: &[u8]| control::control(data));
