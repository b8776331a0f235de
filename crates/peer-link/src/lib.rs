//! The wire, sans-IO: Noise handshake, session, frames, chunks, limits.
