//! macOS: `CLOCK_MONOTONIC`, which goes on while the machine sleeps, unlike the `CLOCK_UPTIME_RAW`
//! behind `Instant` (clock_gettime(3) of macOS).
use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time since boot, sleep included.
pub(super) fn since_boot() -> Duration {
    let t = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// Waits until this time since boot, or for a slice of that: no timer counts sleep here.
pub(super) async fn wait(until: Duration) -> io::Result<()> {
    let left = until.saturating_sub(since_boot());
    tokio::time::sleep(left.min(super::SLICE)).await;
    Ok(())
}
