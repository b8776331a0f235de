//! Whole engines in one process, on simulated time and network: stories of everything that can
//! happen between a receiver and an offloader. Nothing here waits for real time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a story cannot go on"
)]

mod auditing;
mod esphome;
mod faults;
mod following;
mod histories;
mod installing;
mod keyring;
mod lending;
mod pairing;
mod returning;
mod world;
