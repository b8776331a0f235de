//! [`SimSerialPorts`]: serial ports that a test plugs in.
use std::sync::{Mutex, PoisonError};

use kiln_model::{Sentence, SerialPort};
use kiln_ports::SerialPorts;

/// Ports of a simulated computer; none at first.
#[derive(Debug, Default)]
pub struct SimSerialPorts(Mutex<Vec<SerialPort>>);

impl SimSerialPorts {
    /// Plugs a device in.
    pub fn plug(&self, port: SerialPort) {
        let mut ports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ports.push(port);
    }
}

impl SerialPorts for SimSerialPorts {
    fn list(&self) -> Vec<SerialPort> {
        let ports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ports.clone()
    }

    fn look(&self, path: &str) -> Option<SerialPort> {
        self.list().into_iter().find(|port| port.path == path)
    }

    fn advice(&self) -> Sentence {
        "Plug it in.".into()
    }
}
