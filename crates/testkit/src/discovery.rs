//! [`SimMulticast`]: an mDNS network in memory, with one [`SimDiscovery`] per host.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_model::{DiscoveredHost, Endpoint};
use kiln_ports::Discovery;
use kiln_ports::discovery::{Announcement, Reach, Sighting};
use tokio::sync::mpsc;

/// One multicast domain. Everybody sees every announcement but their own.
#[derive(Clone, Default)]
pub struct SimMulticast(Arc<Mutex<Domain>>);

#[derive(Default)]
struct Domain {
    hosts: BTreeMap<IpAddr, Host>,
}

struct Host {
    announced: Option<Announcement>,
    sightings: mpsc::UnboundedSender<Sighting>,
}

impl SimMulticast {
    /// Makes an empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins as the host with this address; it sees at once what is already announced.
    pub fn join(&self, address: IpAddr) -> SimDiscovery {
        let (sightings, inbox) = mpsc::unbounded_channel();
        let mut domain = self.lock();
        for (other, host) in &domain.hosts {
            if let Some(announced) = &host.announced {
                let _ = sightings.send(Sighting::Host(resolved(announced, *other)));
            }
        }
        domain.hosts.insert(
            address,
            Host {
                announced: None,
                sightings,
            },
        );
        SimDiscovery {
            network: self.clone(),
            address,
            inbox: tokio::sync::Mutex::new(inbox),
        }
    }

    /// Lets every host see this; for devices, strays and hostile announcements.
    pub fn inject(&self, sighting: &Sighting) {
        for host in self.lock().hosts.values() {
            let _ = host.sightings.send(sighting.clone());
        }
    }

    /// Returns what the host at `address` announces now.
    pub fn announced(&self, address: IpAddr) -> Option<Announcement> {
        self.lock().hosts.get(&address)?.announced.clone()
    }

    fn replace(&self, address: IpAddr, announcement: Option<Announcement>) {
        let mut domain = self.lock();
        let Some(host) = domain.hosts.get_mut(&address) else {
            return;
        };
        let old = std::mem::replace(&mut host.announced, announcement.clone());
        let sightings = match (old, announcement) {
            (_, Some(new)) => vec![
                Sighting::Host(resolved(&new, address)),
                Sighting::Address(format!("{}.local.", new.host_label)),
            ],
            (Some(old), None) => vec![Sighting::HostGone(old.host_label)],
            (None, None) => vec![],
        };
        for (_, other) in domain.hosts.iter().filter(|(a, _)| **a != address) {
            for sighting in &sightings {
                let _ = other.sightings.send(sighting.clone());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Domain> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One host's view of a [`SimMulticast`].
pub struct SimDiscovery {
    network: SimMulticast,
    address: IpAddr,
    inbox: tokio::sync::Mutex<mpsc::UnboundedReceiver<Sighting>>,
}

#[async_trait::async_trait]
impl Discovery for SimDiscovery {
    async fn announce(&self, announcement: Announcement) {
        self.network.replace(self.address, Some(announcement));
    }

    fn reach(&self) -> Reach {
        Reach::AsBound
    }

    async fn withdraw(&self) {
        self.network.replace(self.address, None);
    }

    async fn next(&self) -> Sighting {
        match self.inbox.lock().await.recv().await {
            Some(sighting) => sighting,
            None => std::future::pending().await,
        }
    }

    async fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let wanted = host.trim_end_matches('.').to_lowercase();
        let domain = self.network.lock();
        let matches =
            |announced: &Announcement| format!("{}.local", announced.host_label) == wanted;
        domain
            .hosts
            .iter()
            .filter(|(_, h)| h.announced.as_ref().is_some_and(matches))
            .map(|(address, _)| *address)
            .collect()
    }
}

fn resolved(announcement: &Announcement, address: IpAddr) -> DiscoveredHost {
    let hostname = format!("{}.local.", announcement.host_label);
    let endpoint = announcement
        .receiver
        .and_then(|(_, port)| Endpoint::new(&hostname, port).ok());
    DiscoveredHost {
        name: announcement.host_label.clone(),
        hostname,
        port: announcement.port,
        addresses: vec![address],
        server_version: announcement.server_version.clone(),
        esphome_version: announcement.esphome_version.clone(),
        friendly_name: announcement.friendly_name.clone(),
        pin: announcement.receiver.map(|(pin, _)| pin),
        endpoint,
        ha_addon: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_model::FriendlyName;

    #[tokio::test]
    async fn an_announcement_is_seen_and_resolved_by_others_and_not_by_its_maker() {
        let network = SimMulticast::new();
        let (a, b) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let (announcer, watcher) = (network.join(a), network.join(b));
        announcer
            .announce(Announcement {
                host_label: "esphome-builder-q0hfq0st".into(),
                host: None,
                port: 6055,
                server_version: "1".into(),
                esphome_version: String::new(),
                friendly_name: FriendlyName::clipped("buildbox"),
                receiver: None,
            })
            .await;
        let Sighting::Host(seen) = watcher.next().await else {
            panic!("a host comes first");
        };
        assert_eq!(seen.name, "esphome-builder-q0hfq0st");
        assert_eq!(
            watcher.resolve("ESPHome-Builder-q0hfq0st.local.").await,
            [a]
        );
        assert!(announcer.inbox.lock().await.try_recv().is_err());
    }
}
