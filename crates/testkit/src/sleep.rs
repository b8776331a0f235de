//! [`ScriptedSleep`]: a machine that never sleeps and remembers what it was asked for.
use std::sync::{Mutex, PoisonError};

use kiln_model::Wakefulness;
use kiln_ports::Sleep;
use kiln_ports::sleep::Turn;

/// Never turns.
#[derive(Debug, Default)]
pub struct ScriptedSleep {
    held: Mutex<Vec<Wakefulness>>,
}

impl ScriptedSleep {
    /// Returns every wish, in order.
    pub fn held(&self) -> Vec<Wakefulness> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait::async_trait]
impl Sleep for ScriptedSleep {
    async fn next(&self) -> Turn {
        std::future::pending().await
    }

    fn ready(&self) {}

    async fn hold(&self, wakefulness: Wakefulness) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.push(wakefulness);
    }
}
