//! [`Hosts`]: dashboards and Kilns seen on the network: hints, never authority (peer-link.md §2.5).
use std::net::IpAddr;

use indexmap::IndexMap;
use kiln_model::{DashboardId, DiscoveredHost, Pin, host_label};

/// Most hosts listed; more than any home has.
const CAPACITY: usize = 256;

/// Hosts by instance label, in the order they appeared.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    seen: IndexMap<String, DiscoveredHost>,
}

/// What is announced about ourselves.
pub(super) struct Own<'a> {
    pub(super) dashboard_id: &'a DashboardId,
    pub(super) pin: Pin,
    pub(super) port: u16,
}

/// Whether a host is another one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Other,
    Ourselves,
}

impl Hosts {
    /// Lists a host, unless it is ourselves or the list is full.
    pub(super) fn seen(&mut self, host: DiscoveredHost, own: Option<&Own<'_>>) -> Seen {
        if own.is_some_and(|own| own.is(&host)) {
            self.seen.shift_remove(&host.name);
            return Seen::Ourselves;
        }
        if self.seen.len() < CAPACITY || self.seen.contains_key(&host.name) {
            self.seen.insert(host.name.clone(), host);
        }
        Seen::Other
    }

    pub(super) fn gone(&mut self, name: &str) {
        self.seen.shift_remove(name);
    }

    /// Forgets entries that turn out to be ourselves, because our identity or port is known now.
    pub(super) fn settle(&mut self, own: &Own<'_>) {
        self.seen.retain(|_, host| !own.is(host));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DiscoveredHost> {
        self.seen.values()
    }
}

impl Own<'_> {
    /// Recognises ourselves by SRV target and port, also after a conflict gave us another instance
    /// name (peer-link.md §2.5), and by our pin.
    fn is(&self, host: &DiscoveredHost) -> bool {
        let place = bare(&host.hostname) == format!("{}.local", host_label(self.dashboard_id));
        (place && host.port == self.port) || host.pin == Some(self.pin)
    }
}

fn bare(host: &str) -> String {
    host.trim_end_matches('.').to_lowercase()
}

/// Returns whether every address leads back to this machine; nothing on the network may make us dial
/// those.
pub(super) fn only_loopback(addresses: &[IpAddr]) -> bool {
    let inward = |ip: &IpAddr| {
        let ip = ip.to_canonical();
        ip.is_loopback() || ip.is_unspecified()
    };
    !addresses.is_empty() && addresses.iter().all(inward)
}

#[cfg(test)]
mod tests {
    use kiln_model::FriendlyName;

    use super::super::fixtures::{id, ip, pin};
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

    // Covers: B-34
    #[test]
    fn our_own_advertisement_is_recognised_after_a_rename_by_target_and_port() {
        let mut hosts = Hosts::default();
        let own_id = id(7);
        let own = Own {
            dashboard_id: &own_id,
            pin: pin(200),
            port: 6055,
        };
        let target = "ESPHome-Builder-dashboar.local.";
        let renamed = host("esphome-builder-dashboar-2", target, 6055);
        assert_eq!(hosts.seen(renamed, Some(&own)), Seen::Ourselves);
        let neighbour = host("esphome-builder-dashboar", target, 6052);
        assert_eq!(hosts.seen(neighbour, Some(&own)), Seen::Other);
        let mut reflected = host("x", "x.local.", 1);
        reflected.pin = Some(pin(200));
        assert_eq!(hosts.seen(reflected, Some(&own)), Seen::Ourselves);
        assert_eq!(hosts.iter().count(), 1);
    }

    #[test]
    fn the_list_ends_at_256_hosts_and_still_follows_those_in_it() {
        let mut hosts = Hosts::default();
        for n in 0..300 {
            hosts.seen(host(&n.to_string(), "h.local.", 1), None);
        }
        assert_eq!(hosts.iter().count(), 256);
        hosts.seen(host("255", "moved.local.", 1), None);
        assert_eq!(
            hosts.iter().last().map(|h| h.hostname.as_str()),
            Some("moved.local.")
        );
        hosts.gone("255");
        assert_eq!(hosts.iter().count(), 255);
    }

    #[test]
    fn a_host_is_inward_only_when_all_its_addresses_are() {
        assert!(only_loopback(&[ip("127.0.0.1"), ip("::1"), ip("0.0.0.0")]));
        assert!(!only_loopback(&[ip("127.0.0.1"), ip("192.0.2.1")]));
        assert!(!only_loopback(&[]));
    }
}
