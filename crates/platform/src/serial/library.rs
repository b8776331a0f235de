//! What the library `serialport` finds on macOS and Windows.
use kiln_model::{PortState, Sentence, SerialPort, UsbId};

use super::{by_number, clipped};

/// Returns what is connected, as `of` changes or leaves out each, in the order of people.
pub(super) fn ports(of: impl Fn(SerialPort) -> Option<SerialPort>) -> Vec<SerialPort> {
    let all = serialport::available_ports().unwrap_or_else(|error| {
        tracing::warn!(%error, "serial ports cannot be listed");
        Vec::new()
    });
    let mut ports: Vec<SerialPort> = all.into_iter().map(found).filter_map(of).collect();
    ports.sort_by_key(|port| by_number(&port.path));
    ports
}

fn found(port: serialport::SerialPortInfo) -> SerialPort {
    let (product, usb) = match port.port_type {
        serialport::SerialPortType::UsbPort(usb) => (
            clipped(usb.product.as_deref().unwrap_or_default()),
            Some(UsbId {
                vendor: usb.vid,
                product: usb.pid,
                serial: clipped(usb.serial_number.as_deref().unwrap_or_default()),
            }),
        ),
        serialport::SerialPortType::BluetoothPort => ("Bluetooth".to_owned(), None),
        serialport::SerialPortType::PciPort | serialport::SerialPortType::Unknown => {
            (String::new(), None)
        }
    };
    SerialPort {
        path: port.port_name,
        product,
        usb,
        state: PortState::Usable,
        problem: Sentence::default(),
    }
}
