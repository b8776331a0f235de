//! [`Lapse`]: a sleep that nobody tells and that the clocks show afterwards.
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_ports::Clock as _;
use kiln_ports::sleep::Turn;
use tokio::time::sleep;

use crate::SystemClock;

/// Time between two looks at the clocks: so soon after it woke up the computer serves again.
const LOOK: Duration = Duration::from_secs(2);

/// By how much they differ after a sleep. A busy computer may be late, too, but not by that.
const SLEPT: Duration = Duration::from_secs(10);

/// Watches for a time in which nothing ran.
#[derive(Debug, Default)]
pub(super) struct Lapse {
    woke: Mutex<bool>,
}

impl Lapse {
    /// Waits for the next turn. After a sleep both are told, one after the other: what was true before
    /// says nothing any more.
    pub(super) async fn next(&self) -> Turn {
        if std::mem::take(&mut *self.woke()) {
            return Turn::WokeUp;
        }
        loop {
            let before = SystemClock.now().mono;
            sleep(LOOK).await;
            // The runtime's timers stand still while the system sleeps; this clock does not.
            if SystemClock.now().mono.since(before) > LOOK + SLEPT {
                *self.woke() = true;
                return Turn::GoesToSleep;
            }
        }
    }

    fn woke(&self) -> std::sync::MutexGuard<'_, bool> {
        self.woke.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
