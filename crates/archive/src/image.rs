//! [`check_image`]: whether a firmware is at all an image for the chip it claims to be for.
//!
//! This is a seat belt, not proof: a paired receiver that builds an evil image builds a well-formed
//! one. It keeps a swapped or truncated file from reaching a device (trust.md §1.4, P3).
use kiln_esphome::artifact_set::Platform;

/// Bytes of an image that [`check_image`] wants to see, or all of it if it is shorter.
pub(crate) const HEAD: usize = 24;

/// The firmware is not an image for this chip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the firmware is not an image for {chip}")]
pub struct WrongImage {
    /// The sidecar's `esp_platform`.
    pub chip: String,
}

/// Looks at the head of a firmware. Formats without a signature (raw binaries) always pass.
pub(crate) fn check_image(
    platform: Platform,
    esp_platform: &str,
    name: &str,
    head: &[u8],
) -> Result<(), WrongImage> {
    let fits = match platform {
        Platform::Esp32 => is_esp32_image(esp_platform, head),
        // 0xea begins the second header format.
        Platform::Esp8266 => matches!(head.first(), Some(0xe9 | 0xea)),
        Platform::Host => is_program(head),
        Platform::Rp2 | Platform::LibreTiny | Platform::Nrf52 => has_signature_of(name, head),
    };
    match fits && !head.is_empty() {
        true => Ok(()),
        false => Err(WrongImage {
            chip: esp_platform.to_owned(),
        }),
    }
}

/// Magic 0xe9, and the chip id at byte 12 if the variant is one whose id is known (the image
/// header of Espressif's bootloaders).
fn is_esp32_image(esp_platform: &str, head: &[u8]) -> bool {
    let chip: Option<u16> = match esp_platform.to_ascii_lowercase().as_str() {
        "esp32" => Some(0),
        "esp32s2" => Some(2),
        "esp32c3" => Some(5),
        "esp32s3" => Some(9),
        "esp32c2" => Some(12),
        "esp32c6" => Some(13),
        "esp32h2" => Some(16),
        "esp32p4" => Some(18),
        "esp32c61" => Some(20),
        "esp32c5" => Some(23),
        _ => None,
    };
    let id = match head.get(12..14) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        _ => return false,
    };
    head.first() == Some(&0xe9) && chip.is_none_or(|chip| chip == id)
}

/// ELF, or Mach-O of one or several architectures.
fn is_program(head: &[u8]) -> bool {
    const PROGRAMS: [[u8; 4]; 4] = [
        *b"\x7fELF",
        [0xcf, 0xfa, 0xed, 0xfe],
        [0xca, 0xfe, 0xba, 0xbe],
        [0xca, 0xfe, 0xba, 0xbf],
    ];
    PROGRAMS.iter().any(|magic| head.starts_with(magic))
}

fn has_signature_of(name: &str, head: &[u8]) -> bool {
    match name.rsplit('.').next() {
        Some("uf2") => head.starts_with(b"UF2\n"),
        Some("zip") => head.starts_with(b"PK"),
        Some("hex") => head.starts_with(b":"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn esp(chip: u8) -> Vec<u8> {
        let mut head = vec![0; HEAD];
        head[0] = 0xe9;
        head[12] = chip;
        head
    }

    #[test]
    fn an_image_fits_its_chip_and_no_other() {
        use Platform::{Esp32, Esp8266, Host, LibreTiny, Nrf52, Rp2};
        for (platform, chip, name, head, fits) in [
            (Esp32, "ESP32", "build/n.bin", esp(0), true),
            (Esp32, "ESP32S3", "build/n.bin", esp(9), true),
            (Esp32, "ESP32S3", "build/n.bin", esp(0), false),
            (Esp32, "ESP32", "build/n.bin", esp(5), false),
            (Esp32, "ESP32X9", "build/n.bin", esp(77), true),
            (Esp32, "ESP32", "build/n.bin", b"\xe9".to_vec(), false),
            (Esp32, "ESP32", "build/n.bin", b"\x7fELF".repeat(6), false),
            (Esp8266, "ESP8266", "firmware.bin", vec![0xe9], true),
            (Esp8266, "ESP8266", "firmware.bin", vec![0], false),
            (Host, "HOST", "program", b"\x7fELF\x02".to_vec(), true),
            (Host, "HOST", "program", b"#!/bin/sh".to_vec(), false),
            (
                LibreTiny,
                "BK72XX",
                "firmware.uf2",
                b"UF2\nWQ".to_vec(),
                true,
            ),
            (LibreTiny, "BK72XX", "firmware.uf2", b"MZ".to_vec(), false),
            (Rp2, "RP2", "firmware.bin", vec![1, 2, 3], true),
            (Rp2, "RP2", "firmware.bin", vec![], false),
            (Nrf52, "NRF52", "firmware.zip", b"PK\x03\x04".to_vec(), true),
            (Nrf52, "NRF52", "firmware.zip", vec![1], false),
        ] {
            let checked = check_image(platform, chip, name, &head);
            assert_eq!(checked.is_ok(), fits, "{chip} {name}");
        }
    }
}
