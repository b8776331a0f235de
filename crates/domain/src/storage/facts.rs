//! [`Facts`]: who needs what of the disk now, and when it was used.
use std::collections::{BTreeMap, BTreeSet};

use kiln_model::{EsphomeVersion, Kept, Pin, Timestamp};

use super::plan::Item;
use super::stock::{Found, Stock};

/// What is known beside what the disk shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Devices that a job is about, by offloader and name of the configuration without the ending.
    pub used: BTreeSet<(Pin, String)>,
    /// The same of results that their senders may still fetch.
    pub owed: BTreeSet<(Pin, String)>,
    /// Offloaders whose whole folder a job is about.
    pub wiped: BTreeSet<Pin>,
    /// ESPHome versions that jobs are built with.
    pub versions: BTreeSet<EsphomeVersion>,
    /// The one for the owner's own builds and bundles. While there is none, all versions are kept: the
    /// next start may choose any.
    pub own: Option<EsphomeVersion>,
    /// What could not be deleted.
    pub stuck: BTreeSet<Stock>,
    /// When jobs used a device, an offloader's toolchains, a version.
    pub device_used: BTreeMap<(Pin, String), Timestamp>,
    /// As `device_used`.
    pub sender_used: BTreeMap<Pin, Timestamp>,
    /// As `device_used`.
    pub version_used: BTreeMap<EsphomeVersion, Timestamp>,
}

impl Facts {
    /// Returns what was found together with what is known of it.
    pub fn judge(&self, found: &Found) -> Item {
        Item {
            stock: found.stock.clone(),
            device: self.used_last(found).cloned(),
            bytes: found.bytes,
            last_used: self.last_used(found),
            kept: self.kept(found),
        }
    }

    fn kept(&self, found: &Found) -> Option<Kept> {
        let needed = match &found.stock {
            Stock::Bundle(pin, _) | Stock::Build(pin, _) => self.needed(*pin, &found.devices),
            Stock::Toolchains(pin) => {
                let uses = |(of, _): &(Pin, String)| of == pin;
                let in_use = self.wiped.contains(pin) || self.used.iter().any(uses);
                in_use.then_some(Kept::InUse)
            }
            Stock::Environment(version) => match &self.own {
                _ if self.versions.contains(version) => Some(Kept::InUse),
                Some(own) if own != version => None,
                Some(_) | None => Some(Kept::OwnBuilds),
            },
            Stock::Transfers => Some(Kept::InUse),
            Stock::Logs => Some(Kept::Listed),
        };
        let stuck = || self.stuck.contains(&found.stock).then_some(Kept::Stuck);
        needed.or_else(stuck)
    }

    /// Of a build of which nobody knows to which configuration it belongs, any job of its offloader
    /// counts; of one that belongs to several, a job about any of them.
    fn needed(&self, pin: Pin, devices: &BTreeSet<String>) -> Option<Kept> {
        let about = |set: &BTreeSet<(Pin, String)>| {
            let fits = |name: &String| devices.is_empty() || devices.contains(name);
            set.iter().any(|(of, name)| *of == pin && fits(name))
        };
        if self.wiped.contains(&pin) || about(&self.used) {
            Some(Kept::InUse)
        } else if about(&self.owed) {
            Some(Kept::NotFetched)
        } else {
            None
        }
    }

    fn last_used(&self, found: &Found) -> Timestamp {
        let used = match &found.stock {
            Stock::Bundle(..) | Stock::Build(..) => self
                .used_last(found)
                .and_then(|device| self.device_used(found, device)),
            Stock::Toolchains(pin) => self.sender_used.get(pin),
            Stock::Environment(version) => self.version_used.get(version),
            Stock::Transfers | Stock::Logs => None,
        };
        used.copied().unwrap_or_default().max(found.touched)
    }

    /// Returns the device that a job used last.
    fn used_last<'f>(&self, found: &'f Found) -> Option<&'f String> {
        let when = |device: &&String| self.device_used(found, device);
        found.devices.iter().max_by_key(when)
    }

    fn device_used(&self, found: &Found, device: &str) -> Option<&Timestamp> {
        let pin = found.stock.pin()?;
        self.device_used.get(&(pin, device.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Pin = Pin([1; 32]);
    const B: Pin = Pin([2; 32]);

    fn found(stock: Stock, device: Option<&str>) -> Found {
        Found {
            stock,
            devices: device.map(str::to_owned).into_iter().collect(),
            bytes: 1,
            touched: Timestamp(10),
        }
    }

    fn build(pin: Pin, device: &str) -> Found {
        found(Stock::Build(pin, device.to_owned()), Some(device))
    }

    fn environment(version: &str) -> Found {
        let version = EsphomeVersion::parse(version).unwrap();
        found(Stock::Environment(version), None)
    }

    fn kept(facts: &Facts, found: &Found) -> Option<Kept> {
        facts.judge(found).kept
    }

    #[test]
    fn a_job_keeps_its_device_and_its_senders_toolchains_and_nothing_of_others() {
        let facts = Facts {
            used: [(A, "kitchen".to_owned())].into(),
            ..Facts::default()
        };
        let unknown = |pin| found(Stock::Build(pin, "x".to_owned()), None);
        for needed in [
            build(A, "kitchen"),
            found(Stock::Toolchains(A), None),
            unknown(A),
        ] {
            assert_eq!(kept(&facts, &needed), Some(Kept::InUse), "{needed:?}");
        }
        for spare in [
            build(A, "bath"),
            build(B, "kitchen"),
            found(Stock::Toolchains(B), None),
            unknown(B),
        ] {
            assert_eq!(kept(&facts, &spare), None, "{spare:?}");
        }
    }

    #[test]
    fn a_build_that_several_configurations_share_is_needed_while_one_of_them_is() {
        let mut shared = build(A, "kitchen");
        shared.devices.insert("kitchen2".to_owned());
        for name in ["kitchen", "kitchen2"] {
            let (used, owed) = ([(A, name.to_owned())].into(), [(A, name.to_owned())].into());
            let of_a_job = Facts {
                used,
                ..Facts::default()
            };
            assert_eq!(kept(&of_a_job, &shared), Some(Kept::InUse), "{name}");
            let of_a_result = Facts {
                owed,
                ..Facts::default()
            };
            assert_eq!(
                kept(&of_a_result, &shared),
                Some(Kept::NotFetched),
                "{name}"
            );
        }
        let facts = Facts {
            used: [(A, "bath".to_owned())].into(),
            device_used: [
                ((A, "kitchen".to_owned()), Timestamp(20)),
                ((A, "kitchen2".to_owned()), Timestamp(30)),
            ]
            .into(),
            ..Facts::default()
        };
        let item = facts.judge(&shared);
        assert_eq!(item.kept, None);
        assert_eq!(item.device.as_deref(), Some("kitchen2"), "the one in use");
        assert_eq!(item.last_used, Timestamp(30));
    }

    #[test]
    fn a_result_that_may_be_fetched_keeps_its_device_but_no_toolchains() {
        let facts = Facts {
            owed: [(A, "kitchen".to_owned())].into(),
            ..Facts::default()
        };
        let device = build(A, "kitchen");
        assert_eq!(kept(&facts, &device), Some(Kept::NotFetched));
        assert_eq!(kept(&facts, &found(Stock::Toolchains(A), None)), None);
    }

    #[test]
    fn a_reset_keeps_others_hands_off_everything_of_its_sender() {
        let facts = Facts {
            wiped: [A].into(),
            ..Facts::default()
        };
        for stock in [build(A, "kitchen"), found(Stock::Toolchains(A), None)] {
            assert_eq!(kept(&facts, &stock), Some(Kept::InUse));
        }
        assert_eq!(kept(&facts, &build(B, "kitchen")), None);
    }

    #[test]
    fn the_version_for_own_builds_and_those_of_jobs_stay_and_without_one_all_do() {
        let version = |text| EsphomeVersion::parse(text);
        let (old, own) = (environment("2026.9.0"), environment("2026.10.0"));
        let mut facts = Facts::default();
        assert_eq!(kept(&facts, &old), Some(Kept::OwnBuilds));
        facts.own = version("2026.10.0");
        assert_eq!(kept(&facts, &own), Some(Kept::OwnBuilds));
        assert_eq!(kept(&facts, &old), None);
        facts.versions.extend(version("2026.9.0"));
        assert_eq!(kept(&facts, &old), Some(Kept::InUse));
    }

    #[test]
    fn what_is_on_its_way_and_what_is_listed_stay_and_so_does_what_cannot_be_deleted() {
        let mut facts = Facts::default();
        let transfers = found(Stock::Transfers, None);
        assert_eq!(kept(&facts, &transfers), Some(Kept::InUse));
        let logs = found(Stock::Logs, None);
        assert_eq!(kept(&facts, &logs), Some(Kept::Listed));
        let stuck = build(A, "kitchen");
        facts.stuck.insert(stuck.stock.clone());
        assert_eq!(kept(&facts, &stuck), Some(Kept::Stuck));
    }

    #[test]
    fn a_job_counts_as_use_if_the_disk_does_not_show_a_later_one() {
        let facts = Facts {
            device_used: [
                ((A, "kitchen".to_owned()), Timestamp(20)),
                ((A, "bath".to_owned()), Timestamp(5)),
            ]
            .into(),
            sender_used: [(A, Timestamp(30))].into(),
            ..Facts::default()
        };
        let used = |found: &Found| facts.judge(found).last_used;
        assert_eq!(used(&build(A, "kitchen")), Timestamp(20));
        assert_eq!(used(&build(A, "bath")), Timestamp(10));
        assert_eq!(used(&found(Stock::Toolchains(A), None)), Timestamp(30));
    }
}
