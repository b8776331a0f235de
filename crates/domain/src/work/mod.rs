//! Jobs: what is built where, in which order, and what became of it.

mod effect;
mod event;
mod machine;

pub use effect::{BuildTree, Effect, StoredJob};
pub use event::{BundleFacts, DownloadFailure, Event, ProcessOutcome, StepFailure};
pub use machine::Work;
