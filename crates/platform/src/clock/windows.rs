//! Windows: `Instant` is `QueryPerformanceCounter`, which counts standby and hibernation
//! (Microsoft, "Acquiring high-resolution time stamps").
use std::io;
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

/// Waits until this time since boot, or for a slice of that: no timer counts sleep here.
pub(super) async fn wait(until: Duration) -> io::Result<()> {
    let left = until.saturating_sub(since_boot());
    tokio::time::sleep(left.min(super::SLICE)).await;
    Ok(())
}
