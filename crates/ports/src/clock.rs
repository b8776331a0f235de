//! [`Clock`]: what time it is.
use kiln_model::{Mono, Now};

/// Reads both clocks and waits. Cancelling a wait has no effect.
#[async_trait::async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Reads both clocks. The monotonic one advances while the machine sleeps.
    fn now(&self) -> Now;

    /// Waits until the monotonic clock shows `deadline`; returns at once if it is past.
    async fn sleep_until(&self, deadline: Mono);
}
