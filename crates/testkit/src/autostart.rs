//! [`MemoryAutostart`]: a list of login items in memory.
use std::sync::{Mutex, PoisonError};

use kiln_ports::Autostart;
use kiln_ports::autostart::{AutostartError, StartAtLogin};

/// A list with one entry, switched off at first.
pub struct MemoryAutostart(Mutex<Result<StartAtLogin, AutostartError>>);

impl Default for MemoryAutostart {
    fn default() -> Self {
        Self(Mutex::new(Ok(StartAtLogin::Off)))
    }
}

impl MemoryAutostart {
    /// Changes the entry as the system's own settings do, or makes every call fail.
    pub fn set(&self, state: Result<StartAtLogin, AutostartError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl Autostart for MemoryAutostart {
    fn state(&self) -> Result<StartAtLogin, AutostartError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn enable(&self) -> Result<(), AutostartError> {
        match self.state()? {
            StartAtLogin::Blocked => Err(AutostartError::Blocked),
            StartAtLogin::On | StartAtLogin::Off => {
                self.set(Ok(StartAtLogin::On));
                Ok(())
            }
        }
    }

    fn disable(&self) -> Result<(), AutostartError> {
        self.state()?;
        self.set(Ok(StartAtLogin::Off));
        Ok(())
    }
}
