//! Serial ports of macOS: IOKit's list, one entry for each pair of `cu` and `tty`.
use kiln_model::{PortState, Sentence, SerialPort, say};
use kiln_ports::SerialPorts;
use rustix::fs::Access;

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
        let mut ports: Vec<SerialPort> = all
            .into_iter()
            .map(found)
            // The `tty` twin waits for a carrier that no board ever raises.
            .filter(|port| !port.path.starts_with("/dev/tty."))
            .map(with_access)
            .collect();
        ports.sort_by_key(|port| by_number(&port.path));
        ports
    }

    fn look(&self, path: &str) -> Option<SerialPort> {
        let named = match path.strip_prefix("/dev/tty.") {
            Some(name) => format!("/dev/cu.{name}"),
            None => path.to_owned(),
        };
        self.list().into_iter().find(|port| port.path == named)
    }

    fn advice(&self) -> Sentence {
        say::port_advice_macos()
    }
}

fn with_access(mut port: SerialPort) -> SerialPort {
    if rustix::fs::access(&port.path, Access::READ_OK | Access::WRITE_OK).is_err() {
        port.state = PortState::Denied;
        port.problem = say::port_denied_macos(&port.path);
    }
    port
}
