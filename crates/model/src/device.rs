//! [`Device`]: one configuration of the owner and what is known of the device behind it.
use std::fmt;

use crate::{ConfigurationName, Sentence, Timestamp};

/// A device's `esphome.name`, safe as a directory name: `[A-Za-z0-9][A-Za-z0-9_-]*`
/// (builds.md §9.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName(String);

impl DeviceName {
    /// Returns the name if it fits the pattern and 255 characters.
    pub fn parse(text: &str) -> Option<Self> {
        let tail = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let fits = text.len() <= 255
            && text
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric())
            && text.bytes().all(tail);
        fits.then(|| Self(text.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a device answers on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Announced itself or answered.
    Online,
    /// Was seen and is gone, or was seen in an earlier run and not yet in this one.
    Offline,
    /// Never seen; not the same as offline (builds.md §2.9).
    Unknown,
}

/// One configuration in the owner's ESPHome directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The YAML file.
    pub configuration: ConfigurationName,
    /// `esphome.name`, or the stem when it is not known yet.
    pub name: String,
    /// `esphome.friendly_name`, possibly empty.
    pub friendly_name: String,
    /// Platform from the sidecar, for example `ESP32`; empty when never built.
    pub platform: String,
    /// Address from the sidecar or mDNS; empty when unknown.
    pub address: String,
    /// Whether it answers.
    pub presence: Presence,
    /// ESPHome version of the last build here; empty when never built.
    pub built_version: String,
    /// ESPHome version the device announces; empty when unknown.
    pub deployed_version: String,
    /// End of the last successful build.
    pub last_build: Option<Timestamp>,
    /// What is wrong with the file, if it cannot be read.
    pub problem: Option<Sentence>,
}
