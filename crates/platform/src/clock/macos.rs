//! macOS: `CLOCK_MONOTONIC`, which goes on while the machine sleeps, unlike the `CLOCK_UPTIME_RAW`
//! behind `Instant` (clock_gettime(3) of macOS).
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time since boot, sleep included.
pub(super) fn since_boot() -> Duration {
    let t = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(t.tv_nsec).unwrap_or(0))
}
