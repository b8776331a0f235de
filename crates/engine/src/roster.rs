//! [`Roster`]: the owner's devices: what lies on disk and what is seen on the network.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use kiln_esphome::KnownAddress;
use kiln_model::{ConfigurationName, Device, Presence};

use crate::lock::lock;

/// Devices that are remembered although no configuration is known of them. More are not seen in a
/// house; whoever makes more up makes the oldest forgotten.
const STRANGERS: usize = 1024;

/// Both sources, joined by `esphome.name`.
#[derive(Default)]
pub(crate) struct Roster {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scanned: Vec<Device>,
    seen: HashMap<String, Seen>,
    sightings: u64,
}

/// What a device last said of itself over mDNS.
struct Seen {
    addresses: Vec<IpAddr>,
    version: String,
    presence: Presence,
    /// Which sighting this is: a higher number is a later one.
    number: u64,
}

impl Roster {
    /// Takes a new scan; returns the devices with what is known from the network.
    pub(crate) fn scanned(&self, devices: Vec<Device>) -> Vec<Device> {
        let mut state = self.state();
        state.scanned = devices;
        state.joined()
    }

    /// A device announced itself. Returns its configuration if it is one of the owner's. Others are
    /// remembered too: a configuration may be read later, and an announcement is not repeated.
    pub(crate) fn seen(
        &self,
        name: &str,
        addresses: Vec<IpAddr>,
        version: String,
    ) -> Option<ConfigurationName> {
        let mut state = self.state();
        state.sightings += 1;
        let seen = Seen {
            addresses,
            version,
            presence: Presence::Online,
            number: state.sightings,
        };
        state.seen.insert(name.to_owned(), seen);
        state.forget_strangers();
        state.configuration_of(name)
    }

    /// A device said goodbye or expired.
    pub(crate) fn gone(&self, name: &str) -> Option<ConfigurationName> {
        let mut state = self.state();
        state.seen.get_mut(name)?.presence = Presence::Offline;
        state.configuration_of(name)
    }

    /// Returns where a configuration's device was last seen, so that ESPHome need not resolve it.
    pub(crate) fn known_address(&self, configuration: &ConfigurationName) -> Option<KnownAddress> {
        let state = self.state();
        let device = state
            .scanned
            .iter()
            .find(|d| d.configuration == *configuration)?;
        let addresses = state.seen.get(&device.name)?.addresses.clone();
        let host = format!("{}.local", device.name);
        (!addresses.is_empty()).then_some(KnownAddress { host, addresses })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn configuration_of(&self, name: &str) -> Option<ConfigurationName> {
        self.scanned
            .iter()
            .find(|d| d.name == name)
            .map(|d| d.configuration.clone())
    }

    /// Keeps the owner's devices and the newest of the others.
    fn forget_strangers(&mut self) {
        if self.seen.len() <= STRANGERS + self.scanned.len() {
            return;
        }
        let strangers = self.seen.iter();
        let strangers = strangers.filter(|(name, _)| self.configuration_of(name).is_none());
        let oldest = strangers.min_by_key(|(_, seen)| seen.number);
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            self.seen.remove(&oldest);
        }
    }

    fn joined(&self) -> Vec<Device> {
        let mut devices = self.scanned.clone();
        for device in &mut devices {
            let Some(seen) = self.seen.get(&device.name) else {
                continue;
            };
            device.presence = seen.presence;
            device.deployed_version.clone_from(&seen.version);
            if let Some(address) = seen.addresses.first() {
                device.address = address.to_string();
            }
        }
        devices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> Device {
        Device {
            configuration: format!("{name}.yaml").parse().unwrap(),
            name: name.to_owned(),
            friendly_name: String::new(),
            platform: String::new(),
            address: String::new(),
            presence: Presence::Unknown,
            built_version: String::new(),
            deployed_version: String::new(),
            last_build: None,
            problem: None,
        }
    }

    fn announce(roster: &Roster, name: &str) -> Option<ConfigurationName> {
        let addresses = vec![[192, 0, 2, 7].into()];
        roster.seen(name, addresses, "2026.11.0".to_owned())
    }

    #[test]
    fn a_device_that_was_seen_before_its_configuration_was_read_is_known_once_it_is() {
        let roster = Roster::default();
        assert_eq!(announce(&roster, "kitchen"), None);
        let kitchen = roster.scanned(vec![device("kitchen")]).remove(0);
        assert_eq!(kitchen.presence, Presence::Online);
        assert_eq!(kitchen.deployed_version, "2026.11.0");
        assert_eq!(kitchen.address, "192.0.2.7");
        assert!(roster.known_address(&kitchen.configuration).is_some());
    }

    #[test]
    fn a_device_that_left_before_its_configuration_was_read_is_offline_once_it_is() {
        let roster = Roster::default();
        announce(&roster, "kitchen");
        assert_eq!(roster.gone("kitchen"), None);
        let kitchen = roster.scanned(vec![device("kitchen")]).remove(0);
        assert_eq!(kitchen.presence, Presence::Offline);
    }

    #[test]
    fn strangers_push_out_older_strangers_and_none_of_the_owners_devices() {
        let roster = Roster::default();
        roster.scanned(vec![device("kitchen")]);
        announce(&roster, "kitchen");
        for number in 0..=STRANGERS {
            announce(&roster, &format!("stranger-{number}"));
        }
        let names = ["kitchen", "stranger-0", "stranger-1", "stranger-1024"];
        let presence = roster.scanned(names.map(device).into());
        let presence: Vec<_> = presence.iter().map(|d| d.presence).collect();
        let (seen, forgotten) = (Presence::Online, Presence::Unknown);
        assert_eq!(presence, [seen, forgotten, seen, seen]);
    }
}
