//! The decoders of bytes from the network, without their sockets: for fuzzing, and for nothing else.
#![doc(hidden)]

pub use crate::net::decoders::{Side, upgrade_answer, upgrade_request, websocket};

pub use crate::discovery::decoders::service;
