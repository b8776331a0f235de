//! Jobs: what is built where, in which order, and what became of it.

pub mod build_path;
#[cfg(test)]
mod chaos;
mod devices;
mod dispatch;
mod effect;
mod event;
#[cfg(test)]
mod fixtures;
mod housekeeping;
mod ids;
mod install;
mod jobs;
mod lane;
mod ledger;
mod links;
mod machine;
mod postponed;
mod queue;
mod received;
mod remote;
mod restart;
pub mod schedule;
mod sighted;
mod yielding;

pub use effect::{BuildTree, Drive, Effect, Ending, Given, StoredJob};
pub use event::{BundleFacts, DownloadFailure, Event, ProcessOutcome, StepFailure};
pub use machine::Work;
pub use sighted::Sighted;
