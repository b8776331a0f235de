//! Harness shared by the whole-system tests: the source tree, and programs under test.
pub mod probe;
pub mod tree;
