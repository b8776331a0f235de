//! [`Sighted`]: which of the owner's devices were ever seen in the network, also in earlier runs. One that
//! was and is not seen yet is away; of one that never was nothing is known.
use std::net::IpAddr;

use kiln_model::{Device, Presence};

use super::Work;
use super::effect::Effect;

/// A device that was seen, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighted {
    /// Its `esphome.name`.
    pub name: String,
    /// ESPHome version that it said it runs; may be empty.
    pub version: String,
}

impl Work {
    /// Takes over what was seen in earlier runs.
    pub(super) fn load_sighted(&mut self, sighted: Vec<Sighted>) {
        self.sighted = sighted.into_iter().map(|s| (s.name, s.version)).collect();
    }

    /// Adds what is remembered of a device. One with an address of its own is found without being seen,
    /// also in a network where nobody sees it.
    pub(super) fn recall(&self, device: &mut Device) {
        let Some(version) = self.sighted.get(&device.name) else {
            return;
        };
        let has_address = device.address.parse::<IpAddr>().is_ok();
        if device.presence == Presence::Unknown && !has_address {
            device.presence = Presence::Offline;
        }
        if device.deployed_version.is_empty() {
            device.deployed_version.clone_from(version);
        }
    }

    /// Keeps what is news of the devices that are there.
    pub(super) fn remember_sighted(&mut self) {
        let mut news = Vec::new();
        for device in &self.devices {
            let (name, version) = (&device.name, &device.deployed_version);
            if device.presence == Presence::Online && self.sighted.get(name) != Some(version) {
                let (name, version) = (name.clone(), version.clone());
                news.push(Sighted { name, version });
            }
        }
        for sighted in news {
            let Sighted { name, version } = sighted.clone();
            self.sighted.insert(name, version);
            self.push(Effect::SaveSighted(sighted));
        }
    }

    /// Forgets devices whose configurations are gone.
    pub(super) fn forget_sighted(&mut self) {
        let devices = &self.devices;
        let is_gone = |name: &&String| !devices.iter().any(|d| d.name == **name);
        let gone: Vec<String> = self.sighted.keys().filter(is_gone).cloned().collect();
        for name in gone {
            self.sighted.remove(&name);
            self.push(Effect::ForgetSighted(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{BuildChoice, JobStatus};

    use super::super::Event;
    use super::super::fixtures::{Shop, device, seen, yaml};
    use super::*;

    fn known(shop: &Shop, name: &str) -> (Presence, String) {
        let mut devices = shop.work.devices().iter();
        let found = devices.find(|d| d.name == name).unwrap();
        (found.presence, found.deployed_version.clone())
    }

    fn runs(shop: &mut Shop, name: &str, version: &str) {
        shop.happens(Event::DeviceSeen {
            configuration: yaml(name),
            address: None,
            version: version.to_owned(),
        });
    }

    #[test]
    fn a_device_that_was_seen_in_an_earlier_run_is_away_until_it_is_seen_again() {
        let mut shop = Shop::open();
        runs(&mut shop, "kitchen", "2026.9.0");
        runs(&mut shop, "kitchen", "2026.9.1");
        assert_eq!(shop.sighted.len(), 1);
        shop.crash();
        let away = (Presence::Offline, "2026.9.1".to_owned());
        assert_eq!(known(&shop, "kitchen"), away);
        assert_eq!(known(&shop, "bath"), (Presence::Unknown, String::new()));
        let names = ["kitchen", "bath", "attic"];
        shop.happens(Event::DevicesScanned(names.map(device).to_vec()));
        assert_eq!(
            known(&shop, "kitchen"),
            away,
            "another scan changes nothing"
        );
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        shop.lines();
        shop.succeeds(&compile);
        assert!(shop.job(&flash).deferred);
        assert_eq!(shop.acts(), [""; 0]);
        shop.happens(seen("kitchen"));
        assert_eq!(shop.status(&flash), JobStatus::Running);
    }

    #[test]
    fn a_device_whose_configuration_is_gone_is_forgotten_unless_the_whole_folder_is() {
        let mut shop = Shop::open();
        runs(&mut shop, "kitchen", "2026.9.0");
        shop.happens(Event::DevicesScanned(Vec::new()));
        assert_eq!(shop.sighted.len(), 1, "not mounted, perhaps");
        shop.happens(Event::DevicesScanned(vec![device("bath")]));
        assert_eq!(shop.sighted, []);
        shop.crash();
        assert_eq!(known(&shop, "kitchen").0, Presence::Unknown);
    }
}
