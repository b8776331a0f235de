//! [`SystemClock`]: the machine's clocks, behind the port.
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_model::{Mono, Now, Timestamp};
use kiln_ports::Clock;

/// Longest wait for a timer of the runtime. Those stand still while the machine sleeps, so this is also
/// how late a deadline may be noticed after a resume.
const SLICE: Duration = Duration::from_secs(2);

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait::async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            mono: Mono(os::since_boot()),
            wall: Timestamp(micros_since_epoch()),
        }
    }

    async fn sleep_until(&self, deadline: Mono) {
        loop {
            let left = deadline.since(Mono(os::since_boot()));
            if left.is_zero() {
                return;
            }
            if left <= SLICE || os::wait(deadline.0).await.is_err() {
                tokio::time::sleep(left.min(SLICE)).await;
            }
        }
    }
}

/// Negative before 1970; saturates.
fn micros_since_epoch() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let wall = SystemTime::now();
    let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    match wall.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_ends_at_or_after_its_deadline() {
        let deadline = SystemClock.now().mono + Duration::from_millis(3);
        SystemClock.sleep_until(deadline).await;
        assert!(SystemClock.now().mono >= deadline);
    }

    #[tokio::test]
    async fn a_timer_of_the_system_ends_at_or_after_its_deadline() {
        let deadline = SystemClock.now().mono + Duration::from_millis(3);
        while SystemClock.now().mono < deadline {
            os::wait(deadline.0).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_deadline_in_the_past_is_no_wait() {
        SystemClock.sleep_until(Mono::default()).await;
    }

    #[test]
    fn the_wall_clock_is_in_microseconds() {
        // 2020-01-01 to 2100-01-01.
        let wall = SystemClock.now().wall.0;
        assert!((1_577_836_800_000_000..4_102_444_800_000_000).contains(&wall));
    }
}
