//! Adapters: keyring, store, sockets, mDNS, processes, clock, paths.

pub mod net;
