//! [`FlashScan`]: what ESPHome says when a flash over the network does not work (`espota2.py`).
use kiln_model::{Sentence, say};

/// A text of ESPHome, and what it means to the owner.
type Meaning = (&'static str, fn() -> Sentence);

/// The texts, as ESPHome 2026.10 prints them.
const MEANINGS: [Meaning; 5] = [
    (
        "Authentication invalid. Is the password correct?",
        say::ota_password_wrong,
    ),
    (
        "ESP requests password, but no password given",
        say::ota_password_missing,
    ),
    (
        "The OTA partition on the ESP is too small",
        say::ota_too_large,
    ),
    ("Error resolving IP address of", say::device_not_found),
    ("WARNING Connecting to ", say::device_does_not_answer),
];

/// Watches the output of one run.
#[derive(Debug, Default)]
pub struct FlashScan(Option<Sentence>);

impl FlashScan {
    /// Reads one chunk. What is said last counts: a device may answer at its second address.
    pub fn read(&mut self, chunk: &str) {
        let meant = MEANINGS.iter().find(|(text, _)| chunk.contains(text));
        if let Some((_, sentence)) = meant {
            self.0 = Some(sentence());
        }
    }

    /// Returns what kept the flash from working, if it did not work.
    pub fn found(&self) -> Option<&Sentence> {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_password_and_a_device_that_is_away_are_told_apart() {
        let mut scan = FlashScan::default();
        scan.read("INFO Connecting to 192.0.2.7 port 3232...\n");
        assert_eq!(scan.found(), None);
        scan.read("WARNING Connecting to 192.0.2.7 port 3232 failed: timed out\n");
        assert_eq!(scan.found(), Some(&say::device_does_not_answer()));
        scan.read("ERROR Authentication invalid. Is the password correct?\n");
        assert_eq!(scan.found(), Some(&say::ota_password_wrong()));
    }
}
