//! Windows: a power request keeps the idle system awake; that it slept is seen by its clocks.
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_model::Wakefulness;
use kiln_ports::Clock as _;
use kiln_ports::sleep::Turn;
use tokio::time::sleep;
use windows::Win32::System::Power::{
    ES_CONTINUOUS, ES_SYSTEM_REQUIRED, EXECUTION_STATE, SetThreadExecutionState,
};

use crate::SystemClock;

/// Time between two looks at the clocks: so soon after it woke up the computer serves again.
const LOOK: Duration = Duration::from_secs(2);

/// By how much they differ after a sleep. A busy computer may be late, too, but not by that.
const SLEPT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Rest {
    /// The thread whose wish it is; it ends when this is dropped.
    awake: Mutex<Option<std::sync::mpsc::Sender<()>>>,
    woke: Mutex<bool>,
}

impl Rest {
    /// The system tells only windows before it sleeps. Afterwards both turns are told, one after the
    /// other: what was true before says nothing any more.
    pub(super) async fn next(&self) -> Turn {
        if std::mem::take(&mut *lock(&self.woke)) {
            return Turn::WokeUp;
        }
        loop {
            let before = SystemClock.now().mono;
            sleep(LOOK).await;
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
            Wakefulness::StayAwake => {
                let (keep, ended) = std::sync::mpsc::channel();
                // The wish is that of a thread, so one is kept for it.
                std::thread::spawn(move || {
                    wish(ES_CONTINUOUS | ES_SYSTEM_REQUIRED);
                    let _ = ended.recv();
                    wish(ES_CONTINUOUS);
                });
                Some(keep)
            }
        };
        *lock(&self.awake) = std::future::ready(held).await;
    }
}

#[expect(unsafe_code, reason = "sleep is held off through the system's API")]
fn wish(state: EXECUTION_STATE) {
    // SAFETY: the function takes a number and touches no memory of ours.
    unsafe { SetThreadExecutionState(state) };
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
