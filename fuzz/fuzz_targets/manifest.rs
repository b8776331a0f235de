//! Fuzz target: manifests of bundles.
#![no_main]
#[path = "../bodies/archive.rs"]
mod archive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| archive::manifest(data));
