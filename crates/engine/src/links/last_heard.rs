//! [`LastHeard`]: when a frame last came over a link. Its task writes it, everybody may read it.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kiln_model::Mono;

/// In nanoseconds of the clock, which are enough for centuries. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct LastHeard(Arc<AtomicU64>);

impl LastHeard {
    /// Something was heard now.
    pub(super) fn set(&self, now: Mono) {
        let nanos = u64::try_from(now.0.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos, Ordering::Relaxed);
    }

    /// Returns when that was; zero before the first frame.
    pub(super) fn get(&self) -> Mono {
        Mono(Duration::from_nanos(self.0.load(Ordering::Relaxed)))
    }
}
