//! [`Hosts`]: dashboards and Kilns seen on the network: hints, never authority (peer-link.md §2.5).
use std::net::IpAddr;

use indexmap::IndexMap;
use kiln_model::{DashboardId, DiscoveredHost, Endpoint, Pairing, Pin, host_label};

/// Most hosts listed; more than any home has.
const CAPACITY: usize = 256;

/// Hosts by instance label, in the order they appeared.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    seen: IndexMap<String, DiscoveredHost>,
}

/// How we are seen by others.
pub(super) struct Own {
    host_name: String,
    pin: Pin,
    port: u16,
}

/// Whether a host may displace another when the list is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It names a receiver that we are paired with.
    Paired,
    Stranger,
}

impl Hosts {
    /// Lists a host. A full list takes no more strangers; one of them makes room for what names a
    /// receiver of ours.
    pub(super) fn seen(&mut self, host: DiscoveredHost, claim: impl Fn(Pin) -> Claim) {
        let of = |host: &DiscoveredHost| host.pin.map_or(Claim::Stranger, &claim);
        if self.seen.len() >= CAPACITY && !self.seen.contains_key(&host.name) {
            let stranger = |seen: &DiscoveredHost| of(seen) == Claim::Stranger;
            let room = self.seen.values().position(stranger);
            match room.filter(|_| of(&host) == Claim::Paired) {
                Some(index) => self.seen.shift_remove_index(index),
                None => return,
            };
        }
        self.seen.insert(host.name.clone(), host);
    }

    pub(super) fn gone(&mut self, name: &str) {
        self.seen.shift_remove(name);
    }

    /// Leaves out what turns out to be ourselves.
    pub(super) fn settle(&mut self, own: &Own) {
        self.seen.retain(|_, host| !own.is(host));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DiscoveredHost> {
        self.seen.values()
    }

    /// Returns where a receiver claims to be, when that is not where it is stored (peer-link.md §2.7,
    /// checks 1 to 3). Claims that lead to this machine are none: nothing on the network may make us
    /// dial ourselves.
    pub(super) fn elsewhere(&self, pairing: &Pairing) -> Vec<Endpoint> {
        let claims = self
            .seen
            .values()
            .filter(|host| host.pin == Some(pairing.pin) && !only_loopback(&host.addresses));
        let mut places: Vec<Endpoint> = claims
            .filter_map(|host| host.endpoint.as_ref())
            .filter(|place| !place.same_place(&pairing.endpoint))
            .filter(|place| place.ip().is_none_or(|ip| !only_loopback(&[ip])))
            .map(Endpoint::normalised)
            .collect();
        places.dedup();
        places
    }
}

impl Own {
    pub(super) fn new(id: &DashboardId, pin: Pin, port: u16) -> Self {
        Self {
            host_name: format!("{}.local", host_label(id)),
            pin,
            port,
        }
    }

    /// Recognises ourselves by SRV target and port, also after a conflict gave us another instance
    /// name (peer-link.md §2.5), and by our pin.
    fn is(&self, host: &DiscoveredHost) -> bool {
        let place = host.port == self.port && bare(&host.hostname) == self.host_name;
        place || host.pin == Some(self.pin)
    }
}

fn bare(host: &str) -> String {
    host.trim_end_matches('.').to_lowercase()
}

/// Returns whether every address leads back to this machine.
fn only_loopback(addresses: &[IpAddr]) -> bool {
    let inward = |ip: &IpAddr| {
        let ip = ip.to_canonical();
        ip.is_loopback() || ip.is_unspecified()
    };
    !addresses.is_empty() && addresses.iter().all(inward)
}

#[cfg(test)]
mod tests {
    use kiln_model::FriendlyName;

    use super::super::fixtures::{endpoint, id, ip, pairing, pin};
    use super::*;

    fn host(name: &str, hostname: &str, port: u16) -> DiscoveredHost {
        DiscoveredHost {
            name: name.to_owned(),
            hostname: hostname.to_owned(),
            port,
            addresses: vec![ip("192.0.2.1")],
            server_version: String::new(),
            esphome_version: String::new(),
            friendly_name: FriendlyName::default(),
            pin: None,
            endpoint: None,
            ha_addon: false,
        }
    }

    fn strangers(_: Pin) -> Claim {
        Claim::Stranger
    }

    // Covers: B-34
    #[test]
    fn our_own_advertisement_is_recognised_after_a_rename_by_target_and_port() {
        let mut hosts = Hosts::default();
        let target = "ESPHome-Builder-dashboar.local.";
        hosts.seen(host("esphome-builder-dashboar-2", target, 6055), strangers);
        hosts.seen(host("neighbour", target, 6052), strangers);
        let mut reflected = host("x", "x.local.", 1);
        reflected.pin = Some(pin(200));
        hosts.seen(reflected, strangers);
        hosts.settle(&Own::new(&id(7), pin(200), 6055));
        let left: Vec<_> = hosts.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(left, ["neighbour"]);
    }

    #[test]
    fn the_list_ends_at_256_hosts_and_a_stranger_makes_room_for_a_paired_receiver() {
        let mut hosts = Hosts::default();
        for n in 0..300 {
            hosts.seen(host(&n.to_string(), "h.local.", 1), strangers);
        }
        assert_eq!(hosts.iter().count(), 256);
        let mut ours = host("ours", "ours.local.", 1);
        ours.pin = Some(pin(1));
        hosts.seen(ours, |_| Claim::Paired);
        assert_eq!(hosts.iter().count(), 256);
        assert!(hosts.iter().any(|h| h.name == "ours"));
        hosts.seen(host("255", "moved.local.", 1), strangers);
        assert!(hosts.iter().any(|h| h.hostname == "moved.local."));
        hosts.gone("255");
        assert_eq!(hosts.iter().count(), 255);
    }

    #[test]
    fn a_receiver_is_elsewhere_only_where_it_can_be_and_is_not_stored() {
        let mut hosts = Hosts::default();
        let mut claim = |name: &str, n: u8, place: &str, address: &str| {
            let mut host = host(name, "h.local.", 1);
            host.pin = Some(pin(n));
            host.endpoint = Some(endpoint(place));
            host.addresses = vec![ip(address)];
            hosts.seen(host, strangers);
        };
        claim("stored", 1, "1.example.", "192.0.2.1");
        claim("moved", 1, "new.local.", "192.0.2.1");
        claim("another", 2, "other.local", "192.0.2.1");
        claim("inward", 1, "in.local", "127.0.0.1");
        claim("literal", 1, "127.0.0.1", "192.0.2.1");
        assert_eq!(hosts.elsewhere(&pairing(1)), [endpoint("new.local")]);
    }

    #[test]
    fn a_host_is_inward_only_when_all_its_addresses_are() {
        assert!(only_loopback(&[ip("127.0.0.1"), ip("::1"), ip("0.0.0.0")]));
        assert!(!only_loopback(&[ip("127.0.0.1"), ip("192.0.2.1")]));
        assert!(!only_loopback(&[]));
    }
}
