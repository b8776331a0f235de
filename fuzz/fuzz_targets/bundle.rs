//! Fuzz target: bundles as a receiver unpacks them.
#![no_main]
#[path = "../bodies/archive.rs"]
mod archive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| archive::bundle(data));
