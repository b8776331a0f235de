//! macOS: `caffeinate(8)` holds idle sleep off; that the system slept is seen by its clocks.
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use kiln_model::Wakefulness;
use kiln_ports::sleep::Turn;
use tokio::process::{Child, Command};

use super::lapse::slept;

#[derive(Debug, Default)]
pub(super) struct Rest {
    awake: Mutex<Option<Child>>,
}

impl Rest {
    /// The system does not tell a program without a window before it sleeps.
    pub(super) async fn next(&self) -> Turn {
        slept().await
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
        if let Some(mut before) = self.replace(held) {
            let _ = before.kill().await;
        }
    }

    fn replace(&self, held: Option<Child>) -> Option<Child> {
        let mut awake = self.awake.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *awake, held)
    }
}
