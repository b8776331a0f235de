//! [`parse_port`]: where to flash, from what a person typed (builds.md §11.2).
use std::net::IpAddr;

use kiln_model::Port;

/// Why a text is not a flash target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPort {
    /// Nothing given. ESPHome would prompt, and nobody is there to answer.
    #[error("say where to flash: OTA, an address or a serial port")]
    Empty,
    /// Looks like an address and is none.
    #[error("this is not an IP address")]
    Address,
    /// Neither an address nor a host name.
    #[error("this is neither OTA, an address, a host name nor a serial port")]
    Host,
}

/// Reads `OTA`, a serial port (`/dev/ttyUSB0`, `COM3`, `BOOTSEL`), an IP address or a host name. The words
/// are read in small letters, too: a host of that name is far less likely.
pub fn parse_port(text: &str) -> Result<Port, InvalidPort> {
    if text.is_empty() {
        Err(InvalidPort::Empty)
    } else if text.eq_ignore_ascii_case("OTA") {
        Ok(Port::Ota)
    } else if text.eq_ignore_ascii_case(Port::BOOTSEL) || is_windows_port(text) {
        Ok(Port::Serial(text.to_ascii_uppercase()))
    } else if text.starts_with('/') || text.starts_with("COM") {
        Ok(Port::Serial(text.to_owned()))
    } else if text.contains(':') || text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let address = text.parse::<IpAddr>().map_err(|_| InvalidPort::Address)?;
        Ok(Port::Address(address.to_string()))
    } else if is_host_name(text) {
        Ok(Port::Address(text.to_owned()))
    } else {
        Err(InvalidPort::Host)
    }
}

/// Returns what `--device` is given.
pub fn device_argument(port: &Port) -> &str {
    match port {
        Port::Ota => "OTA",
        Port::Address(address) => address,
        Port::Serial(path) => path,
    }
}

/// `COM` and a number.
fn is_windows_port(text: &str) -> bool {
    let number = text.get(..3).filter(|com| com.eq_ignore_ascii_case("COM"));
    let number = number.and_then(|_| text.get(3..)).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 1123 labels, one dot allowed at the end.
fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_target_is_recognised() {
        let address = |text: &str| Ok(Port::Address(text.to_owned()));
        let serial = |text: &str| Ok(Port::Serial(text.to_owned()));
        for (text, expected) in [
            ("OTA", Ok(Port::Ota)),
            ("/dev/ttyUSB0", serial("/dev/ttyUSB0")),
            ("COM3", serial("COM3")),
            ("BOOTSEL", serial("BOOTSEL")),
            ("192.168.1.20", address("192.168.1.20")),
            ("fe80::1", address("fe80::1")),
            ("kitchen.local", address("kitchen.local")),
            ("kitchen.lan.", address("kitchen.lan.")),
            ("ota", Ok(Port::Ota)),
            ("com12", serial("COM12")),
            ("bootsel", serial("BOOTSEL")),
            ("comet", address("comet")),
            ("com.lan", address("com.lan")),
            ("", Err(InvalidPort::Empty)),
            ("300.1.1.1", Err(InvalidPort::Address)),
            ("1.2.3", Err(InvalidPort::Address)),
            ("kitchen:6053", Err(InvalidPort::Address)),
            ("kitchen..lan", Err(InvalidPort::Host)),
            ("kitchen..", Err(InvalidPort::Host)),
            ("-x", Err(InvalidPort::Host)),
            ("--help", Err(InvalidPort::Host)),
            ("a b", Err(InvalidPort::Host)),
            ("küche", Err(InvalidPort::Host)),
        ] {
            assert_eq!(parse_port(text), expected, "{text}");
        }
    }

    #[test]
    fn a_target_is_handed_to_esphome_as_it_was_given() {
        for text in ["OTA", "COM3", "192.168.1.20", "kitchen.local"] {
            assert_eq!(device_argument(&parse_port(text).unwrap()), text);
        }
    }
}
