//! Fuzz target: builds as an offloader puts them in place.
#![no_main]
#[path = "../bodies/archive.rs"]
mod archive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| archive::artifacts(data));
