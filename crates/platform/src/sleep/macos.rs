//! macOS: `caffeinate(8)` holds idle sleep off; that the system slept is seen by its clocks.
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_model::Wakefulness;
use kiln_ports::Clock as _;
use kiln_ports::sleep::Turn;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::SystemClock;

/// Time between two looks at the clocks: so soon after it woke up the computer serves again.
const LOOK: Duration = Duration::from_secs(2);

/// By how much they differ after a sleep. A busy computer may be late, too, but not by that.
const SLEPT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Rest {
    awake: Mutex<Option<Child>>,
    woke: Mutex<bool>,
}

impl Rest {
    /// The system does not tell a program without a window before it sleeps. Afterwards both turns are
    /// told, one after the other: what was true before says nothing any more.
    pub(super) async fn next(&self) -> Turn {
        if std::mem::take(&mut *lock(&self.woke)) {
            return Turn::WokeUp;
        }
        loop {
            let before = SystemClock.now().mono;
            sleep(LOOK).await;
            // The runtime's timers stand still while the system sleeps; this clock does not.
            if SystemClock.now().mono.since(before) > LOOK + SLEPT {
                *lock(&self.woke) = true;
                return Turn::GoesToSleep;
            }
        }
    }

    pub(super) fn ready(&self) {}

    pub(super) async fn hold(&self, wakefulness: Wakefulness) {
        let held = match wakefulness {
            Wakefulness::AsSet => None,
            // It ends with us: `-w` waits for our process.
            Wakefulness::StayAwake => Command::new("/usr/bin/caffeinate")
                .args(["-i", "-w", &std::process::id().to_string()])
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .ok(),
        };
        let before = std::mem::replace(&mut *lock(&self.awake), held);
        if let Some(mut child) = before {
            let _ = child.kill().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
