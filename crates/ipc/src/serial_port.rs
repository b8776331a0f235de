//! JSON of [`SerialPort`].
use kiln_model::{PortState, Sentence, SerialPort, UsbId};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::form::{self, mirrored};
use crate::sentence;

#[derive(Serialize, Deserialize)]
#[serde(remote = "SerialPort")]
struct SerialPortJson {
    path: String,
    product: String,
    #[serde(with = "form", default)]
    usb: Option<UsbId>,
    #[serde(with = "form")]
    state: PortState,
    #[serde(flatten, with = "sentence::problem")]
    problem: Sentence,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UsbId")]
struct UsbIdJson {
    #[serde(with = "digits")]
    vendor: u16,
    #[serde(with = "digits")]
    product: u16,
    serial: String,
}

mirrored!(SerialPort => SerialPortJson, UsbId => UsbIdJson);

/// Numbers of USB as everybody writes them: four hex digits.
mod digits {
    use super::*;

    pub(super) fn serialize<S: Serializer>(number: &u16, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{number:04x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
        let text = String::deserialize(from)?;
        u16::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}
