//! [`SerialPort`]: where a device on a cable is flashed, and whether that can work now.
use crate::Sentence;
use crate::link::words;

words! {
    /// Whether a serial port can be used by this node.
    PortState {
        /// Nothing stands in the way.
        Usable = "usable",
        /// The system does not let this account use it.
        Denied = "denied",
        /// Another program has it open.
        Busy = "busy",
        /// It is connected, but cannot be looked at.
        Unknown = "unknown",
    }
}

/// What a USB device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsbId {
    /// Vendor, for example 0x10c4.
    pub vendor: u16,
    /// Product, for example 0xea60.
    pub product: u16,
    /// Serial number; possibly empty.
    pub serial: String,
}

/// A serial port of this computer. Texts come from the device; faces make them safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialPort {
    /// What flashing is told, for example `/dev/ttyUSB0` or `COM3`.
    pub path: String,
    /// Name of the device or its USB bridge; possibly empty.
    pub product: String,
    /// What it is on the bus; `None` if it is not on USB.
    pub usb: Option<UsbId>,
    /// Whether it can be used.
    pub state: PortState,
    /// What a person should know, with the next step; empty if there is nothing.
    pub problem: Sentence,
}
