//! Linux: `CLOCK_BOOTTIME`, which counts suspend (clock_gettime(2)).
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time since boot, suspend included.
pub(super) fn since_boot() -> Duration {
    let t = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(t.tv_nsec).unwrap_or(0))
}
