//! Fuzz target: rows of the state database.
#![no_main]
#[path = "../bodies/records.rs"]
mod records;

libfuzzer_sys::fuzz_target!(|data: &[u8]| records::records(data));
