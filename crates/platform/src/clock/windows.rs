//! Windows: `Instant` is `QueryPerformanceCounter`, which counts standby and hibernation
//! (Microsoft, "Acquiring high-resolution time stamps").
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Returns the time since the first call, sleep included. Never zero, so that a default deadline
/// is in the past.
pub(super) fn since_boot() -> Duration {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let now = Instant::now();
    now.duration_since(*ORIGIN.get_or_init(|| now)) + Duration::from_nanos(1)
}
