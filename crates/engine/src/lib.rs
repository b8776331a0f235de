//! The runtime: drives peer-link and domain, performs their effects through ports.

pub mod records;
