//! [`ScriptedSleep`]: a machine that sleeps when a test wants.
use kiln_model::Wakefulness;
use kiln_ports::Sleep;
use kiln_ports::sleep::Turn;
use tokio::sync::{Mutex, mpsc};

/// Turns when it is told, and is awake whatever is wished.
#[derive(Debug)]
pub struct ScriptedSleep {
    told: mpsc::UnboundedSender<Turn>,
    turns: Mutex<mpsc::UnboundedReceiver<Turn>>,
}

impl Default for ScriptedSleep {
    fn default() -> Self {
        let (told, turns) = mpsc::unbounded_channel();
        Self {
            told,
            turns: Mutex::new(turns),
        }
    }
}

impl ScriptedSleep {
    /// The machine turns now.
    pub fn turns(&self, turn: Turn) {
        // The other end is kept beside it.
        let _ = self.told.send(turn);
    }
}

#[async_trait::async_trait]
impl Sleep for ScriptedSleep {
    async fn next(&self) -> Turn {
        match self.turns.lock().await.recv().await {
            Some(turn) => turn,
            None => std::future::pending().await,
        }
    }

    fn ready(&self) {}

    async fn hold(&self, _wakefulness: Wakefulness) {}
}
