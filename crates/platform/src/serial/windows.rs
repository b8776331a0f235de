//! Serial ports of Windows: those that have a driver.
use kiln_model::{Sentence, SerialPort, say};
use kiln_ports::SerialPorts;

use super::{by_number, found};

/// The serial ports of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsSerialPorts;

impl OsSerialPorts {
    /// Those that are connected.
    pub fn new() -> Self {
        Self
    }
}

impl SerialPorts for OsSerialPorts {
    fn list(&self) -> Vec<SerialPort> {
        let all = serialport::available_ports().unwrap_or_else(|error| {
            tracing::warn!(%error, "serial ports cannot be listed");
            Vec::new()
        });
        let mut ports: Vec<SerialPort> = all.into_iter().map(found).map(plain).collect();
        ports.sort_by_key(|port| by_number(&port.path));
        ports
    }

    fn look(&self, path: &str) -> Option<SerialPort> {
        let mut all = self.list().into_iter();
        all.find(|port| port.path.eq_ignore_ascii_case(path))
    }

    fn advice(&self) -> Sentence {
        say::port_advice_windows()
    }
}

/// Windows repeats the port in the device's name: `USB-SERIAL CH340 (COM3)`.
fn plain(mut port: SerialPort) -> SerialPort {
    let suffix = format!("({})", port.path);
    if let Some(name) = port.product.strip_suffix(&suffix) {
        port.product = name.trim_end().to_owned();
    }
    port
}
