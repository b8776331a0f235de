//! Serial ports of macOS: IOKit's list, one entry for each pair of `cu` and `tty`.
use kiln_model::{PortState, Sentence, SerialPort, say};
use kiln_ports::SerialPorts;
use rustix::fs::Access;

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
        // The `tty` twin waits for a carrier that no board ever raises.
        library::ports(|port| (!port.path.starts_with("/dev/tty.")).then(|| with_access(port)))
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
