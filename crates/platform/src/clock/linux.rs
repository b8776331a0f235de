//! Linux: `CLOCK_BOOTTIME`, which counts suspend (clock_gettime(2)), and timers of it, which are due
//! the moment that the machine is awake again (timerfd_create(2)).
use std::io;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Returns the time since boot, suspend included.
pub(super) fn since_boot() -> Duration {
    let t = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// Waits until this time since boot.
#[expect(
    unsafe_code,
    reason = "tokio wants to be told that a descriptor stays open"
)]
pub(super) async fn wait(until: Duration) -> io::Result<()> {
    let timer = timerfd_create(
        TimerfdClockId::Boottime,
        TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
    )?;
    let once = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            tv_sec: until.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: until.subsec_nanos().into(),
        },
    };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &once)?;
    // SAFETY: the timer owns its descriptor, which is the same whenever it is asked for, and lives
    // until the end of this function.
    let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
    timer.readable().await.map(drop)
}
