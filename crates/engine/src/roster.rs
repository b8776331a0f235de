//! [`Roster`]: the owner's devices: what lies on disk and what is seen on the network.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_esphome::KnownAddress;
use kiln_model::{ConfigurationName, Device, Presence};

/// Both sources, joined by `esphome.name`.
#[derive(Default)]
pub(crate) struct Roster {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scanned: Vec<Device>,
    seen: HashMap<String, Seen>,
}

/// What a device last said of itself over mDNS.
struct Seen {
    addresses: Vec<IpAddr>,
    version: String,
    presence: Presence,
}

impl Roster {
    /// Takes a new scan; returns the devices with what is known from the network.
    pub(crate) fn scanned(&self, devices: Vec<Device>) -> Vec<Device> {
        let mut state = self.state();
        state.scanned = devices;
        state.joined()
    }

    /// A device announced itself. Returns its configuration if it is one of the owner's.
    pub(crate) fn seen(
        &self,
        name: &str,
        addresses: Vec<IpAddr>,
        version: String,
    ) -> Option<ConfigurationName> {
        let mut state = self.state();
        // Only the owner's devices are remembered, so strangers cannot fill the map.
        let configuration = state.configuration_of(name)?;
        let seen = Seen {
            addresses,
            version,
            presence: Presence::Online,
        };
        state.seen.insert(name.to_owned(), seen);
        Some(configuration)
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn configuration_of(&self, name: &str) -> Option<ConfigurationName> {
        self.scanned
            .iter()
            .find(|d| d.name == name)
            .map(|d| d.configuration.clone())
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
