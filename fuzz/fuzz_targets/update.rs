//! Fuzz target: update manifests and their signatures.
#![no_main]
#[path = "../bodies/update.rs"]
mod update;

libfuzzer_sys::fuzz_target!(|data: &[u8]| update::update(data));
