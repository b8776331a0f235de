//! Harness shared by the whole-system tests: the source tree, and programs under test.
pub mod probe;
#[cfg(unix)]
pub mod secret_service;
pub mod tree;
