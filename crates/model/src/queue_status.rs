//! [`QueueStatus`]: what a receiver says of its compile lane.
use crate::Absence;

/// Snapshot of a compile lane (peer-link.md §5.11). A hint for scheduling, never a promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatus {
    /// Not running and nothing waiting.
    pub idle: bool,
    /// A compile-lane job runs.
    pub running: bool,
    /// Jobs that wait, without the running one.
    pub queue_depth: u64,
    /// Why nothing is built for others now. Only Kilns say it.
    pub absence: Option<Absence>,
}

impl QueueStatus {
    /// Derives `idle` from the other two (builds.md §19, MUST 23).
    pub fn of(running: bool, queue_depth: u64) -> Self {
        Self {
            idle: !running && queue_depth == 0,
            running,
            queue_depth,
            absence: None,
        }
    }
}
