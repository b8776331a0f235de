//! [`ScriptedActivity`]: a machine that says what a test wants.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use kiln_model::Inputs;
use kiln_ports::Activity;
use kiln_ports::activity::{Depth, Reading};

/// Says what it was last given; nothing at first, as a machine of which nothing can be read.
#[derive(Debug, Default)]
pub struct ScriptedActivity {
    inputs: Mutex<Inputs>,
    read: AtomicUsize,
}

impl ScriptedActivity {
    /// From now on the machine says this.
    pub fn says(&self, inputs: Inputs) {
        *self.inputs.lock().unwrap_or_else(PoisonError::into_inner) = inputs;
    }

    /// Returns how often all of it was read so far.
    pub fn times_read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Activity for ScriptedActivity {
    async fn read(&self, reading: &Reading) -> Inputs {
        let all = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        match reading.depth {
            Depth::All => {
                self.read.fetch_add(1, Ordering::Relaxed);
                all.clone()
            }
            Depth::Owner => Inputs {
                idle: all.idle,
                remote: all.remote.clone(),
                free_memory: all.free_memory,
                free_disk: all.free_disk,
                ..Inputs::default()
            },
        }
    }
}
