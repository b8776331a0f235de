//! [`ScriptedActivity`]: a machine that says what a test wants.
use std::sync::{Mutex, PoisonError};

use kiln_model::Inputs;
use kiln_ports::Activity;
use kiln_ports::activity::{Depth, Reading};

/// Says what it was last given; nothing at first, as a machine of which nothing can be read.
#[derive(Debug, Default)]
pub struct ScriptedActivity {
    inputs: Mutex<Inputs>,
}

impl ScriptedActivity {
    /// From now on the machine says this.
    pub fn says(&self, inputs: Inputs) {
        *self.inputs.lock().unwrap_or_else(PoisonError::into_inner) = inputs;
    }
}

#[async_trait::async_trait]
impl Activity for ScriptedActivity {
    async fn read(&self, reading: &Reading) -> Inputs {
        let all = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        match reading.depth {
            Depth::All => all.clone(),
            Depth::Owner => Inputs {
                idle: all.idle,
                free_disk: all.free_disk,
                ..Inputs::default()
            },
        }
    }
}
