//! Windows: a power request keeps the idle system awake; that it slept is seen by its clocks.
use std::sync::{Mutex, PoisonError};

use kiln_model::Wakefulness;
use kiln_ports::sleep::Turn;
use windows::Win32::System::Power::{
    ES_CONTINUOUS, ES_SYSTEM_REQUIRED, EXECUTION_STATE, SetThreadExecutionState,
};

use super::lapse::slept;

#[derive(Debug, Default)]
pub(super) struct Rest {
    /// The thread whose wish it is; it ends when this is dropped.
    awake: Mutex<Option<std::sync::mpsc::Sender<()>>>,
}

impl Rest {
    /// The system tells only windows before it sleeps.
    pub(super) async fn next(&self) -> Turn {
        slept().await
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
        let held = std::future::ready(held).await;
        *self.awake.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

#[expect(unsafe_code, reason = "sleep is held off through the system's API")]
fn wish(state: EXECUTION_STATE) {
    // SAFETY: the function takes a number and touches no memory of ours.
    unsafe { SetThreadExecutionState(state) };
}
