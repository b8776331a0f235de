//! Jobs: what is built where, in which order, and what became of it.

pub mod build_path;
mod effect;
mod event;
mod machine;
pub mod schedule;

pub use effect::{BuildTree, Effect, StoredJob};
pub use event::{BundleFacts, DownloadFailure, Event, ProcessOutcome, StepFailure};
pub use machine::Work;
