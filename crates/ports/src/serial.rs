//! [`SerialPorts`]: devices on a cable.
use kiln_model::{Sentence, SerialPort};

/// Looks at serial ports without opening one: opening moves control lines, and that restarts many
/// boards. Calls may wait for the disk.
pub trait SerialPorts: Send + Sync + 'static {
    /// Returns every port that is connected now, in the order of their names.
    fn list(&self) -> Vec<SerialPort>;

    /// Returns one port, also one that is not listed because it has another name here; `None` if
    /// there is no such port.
    fn look(&self, path: &str) -> Option<SerialPort>;

    /// Returns what to try when a device that is plugged in is not listed: one or two sentences.
    fn advice(&self) -> Sentence;
}
