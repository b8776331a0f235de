//! [`SimClock`]: simulated time that only moves when a test says so.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kiln_model::{Mono, Now, Timestamp};
use kiln_ports::Clock;
use tokio::sync::watch;

/// Civil time at which every simulation starts: 2026-01-01T00:00:00Z, in microseconds.
const START: i64 = 1_767_225_600_000_000;

/// A clock that stands still until [`SimClock::advance`] moves it. Waits end in no promised order.
pub struct SimClock {
    mono: watch::Sender<Mono>,
    jump: AtomicI64,
    /// Deadlines that somebody waits for, and how many do.
    deadlines: Mutex<BTreeMap<Mono, usize>>,
}

impl SimClock {
    /// Makes a clock at one hour after its monotonic origin.
    pub fn new() -> Self {
        let (mono, _) = watch::channel(Mono(Duration::from_secs(3600)));
        Self {
            mono,
            jump: AtomicI64::new(0),
            deadlines: Mutex::default(),
        }
    }

    /// Moves both clocks forward and wakes everybody whose deadline is reached.
    pub fn advance(&self, by: Duration) {
        self.mono.send_modify(|mono| *mono = *mono + by);
    }

    /// Sets the civil clock off by `seconds` (may be negative); deadlines do not notice.
    pub fn jump(&self, seconds: i64) {
        self.jump.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Returns how many waits are under way.
    pub fn sleepers(&self) -> usize {
        self.deadlines().values().sum()
    }

    /// Returns the earliest deadline that somebody waits for.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines().keys().next().copied()
    }

    fn deadlines(&self) -> MutexGuard<'_, BTreeMap<Mono, usize>> {
        self.deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl Clock for SimClock {
    fn now(&self) -> Now {
        let mono = *self.mono.borrow();
        let micros = i64::try_from(mono.0.as_micros()).unwrap_or(i64::MAX);
        let wall = START + micros + self.jump.load(Ordering::Relaxed);
        Now {
            mono,
            wall: Timestamp(wall),
        }
    }

    async fn sleep_until(&self, deadline: Mono) {
        *self.deadlines().entry(deadline).or_default() += 1;
        let _awake = Awake(self, deadline);
        let mut mono = self.mono.subscribe();
        // The sender lives as long as `self`, so this ends only when the deadline is reached.
        let _ = mono.wait_for(|now| *now >= deadline).await;
    }
}

/// Counts a sleeper out, also when its wait is cancelled.
struct Awake<'a>(&'a SimClock, Mono);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        let mut deadlines = self.0.deadlines();
        if let Some(waiting) = deadlines.get_mut(&self.1) {
            *waiting -= 1;
            if *waiting == 0 {
                deadlines.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_the_clock_reaches_its_deadline_and_not_before() {
        let clock = SimClock::new();
        let deadline = clock.now().mono + Duration::from_secs(30);
        let mut wait = clock.sleep_until(deadline);
        clock.advance(Duration::from_millis(29_999));
        tokio::select! {
            biased;
            () = &mut wait => panic!("woke too early"),
            () = tokio::task::yield_now() => {}
        }
        clock.advance(Duration::from_millis(1));
        wait.await;
    }

    #[test]
    fn a_civil_jump_does_not_move_deadlines() {
        let clock = SimClock::new();
        let before = clock.now();
        clock.jump(-3600);
        let after = clock.now();
        assert_eq!(before.mono, after.mono);
        assert_eq!(before.wall.0 - after.wall.0, 3_600_000_000);
    }
}
