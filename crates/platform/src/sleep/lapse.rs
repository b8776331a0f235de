//! [`slept`]: a sleep that nobody tells and that the clocks show afterwards.
use std::time::Duration;

use kiln_ports::Clock as _;
use kiln_ports::sleep::Turn;
use tokio::time::sleep;

use crate::SystemClock;

/// Time between two looks at the clocks: so soon after it woke up the computer serves again.
const LOOK: Duration = Duration::from_secs(2);

/// By how much they differ after a sleep. A busy computer may be late, too, but not by that.
const SLEPT: Duration = Duration::from_secs(10);

/// Waits until a time is over in which nothing ran.
pub(super) async fn slept() -> Turn {
    loop {
        let before = SystemClock.now().mono;
        sleep(LOOK).await;
        // The runtime's timers stand still while the system sleeps; this clock does not.
        let passed = SystemClock.now().mono.since(before);
        if passed > LOOK + SLEPT {
            return Turn::Slept(passed);
        }
    }
}
