//! [`ScriptedSleep`]: a machine that never sleeps.
use kiln_model::Wakefulness;
use kiln_ports::Sleep;
use kiln_ports::sleep::Turn;

/// Never turns, and is awake whatever is wished.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScriptedSleep;

#[async_trait::async_trait]
impl Sleep for ScriptedSleep {
    async fn next(&self) -> Turn {
        std::future::pending().await
    }

    fn ready(&self) {}

    async fn hold(&self, _wakefulness: Wakefulness) {}
}
