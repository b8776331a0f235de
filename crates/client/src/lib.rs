//! A connection to the node over the control channel, for every face: command line, tray, window.
//!
//! [`Transport`] opens a byte stream to the node, [`Client`] says hello on it and speaks the lines
//! of `kiln-ipc`. A face that asks two things at once opens two connections.

mod client;
mod error;

pub use client::{Client, Stream, Transport};
pub use error::ClientError;
