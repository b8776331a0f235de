//! [`Sleep`]: when the system goes to sleep, and whether it may.
use std::time::Duration;

use kiln_model::Wakefulness;

/// What the system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It goes to sleep. It waits a few seconds for [`Sleep::ready`], no longer.
    GoesToSleep,
    /// It woke up.
    WokeUp,
    /// It slept for so long, at most, and is awake again; nobody told before.
    Slept(Duration),
}

/// The system's sleep. Where nothing is known of it, it never turns and every wish is ignored.
#[async_trait::async_trait]
pub trait Sleep: Send + Sync + 'static {
    /// Waits for the next turn. Cancel safe.
    async fn next(&self) -> Turn;

    /// Whoever had to be told of the sleep was told.
    fn ready(&self);

    /// Sets whether the system may sleep by itself. What was held ends with this process.
    async fn hold(&self, wakefulness: Wakefulness);
}
