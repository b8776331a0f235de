//! DNS-SD records decoded without a network; for fuzzing.
use kiln_ports::discovery::Sighting;

use super::records::{self, BUILDER, DEVICE, Raw};

/// Returns every text of a host and of a device that would be shown for a record of this instance
/// name, target and TXT.
pub fn service(name: &str, host: &str, txt: Vec<(String, Vec<u8>)>) -> Vec<String> {
    let raw = |service| Raw {
        full_name: format!("{name}.{service}"),
        host: host.to_owned(),
        txt: txt.clone(),
        ..Raw::default()
    };
    let mut shown = Vec::new();
    if let Some(host) = records::host_of(&raw(BUILDER)) {
        shown.extend([
            host.name,
            host.hostname,
            host.server_version,
            host.esphome_version,
            host.friendly_name.to_string(),
        ]);
    }
    if let Some(Sighting::Device {
        name,
        version,
        config_hash,
        ..
    }) = records::device_of(&raw(DEVICE))
    {
        shown.extend([name, version, config_hash]);
    }
    shown
}
