//! Serial ports of Windows: those that have a driver.
use kiln_model::{Sentence, SerialPort, say};
use kiln_ports::SerialPorts;

use super::library;

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
        library::ports(|port| Some(plain(port)))
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
