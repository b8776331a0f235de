//! Fuzz target: lines of the audit.
#![no_main]
#[path = "../bodies/audit.rs"]
mod audit;

libfuzzer_sys::fuzz_target!(|data: &[u8]| audit::audit(data));
