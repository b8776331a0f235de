//! Links talking to links and to strangers, on a network in memory and on simulated time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail the test"
)]

mod dials;
mod downloads;
mod knocks;
mod offloader;
mod output;
mod sessions;
mod uploads;
mod vectors;
mod world;
