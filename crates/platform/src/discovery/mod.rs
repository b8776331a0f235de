//! [`MdnsDiscovery`]: announcing ourselves and seeing others over multicast DNS (peer-link.md §2).
//!
//! The responder is `mdns-sd`, on a thread of its own, which also follows interfaces as they come
//! and go. Everything that came over the network is cleaned in `records` before it leaves here.

pub(crate) mod decoders;
mod interfaces;
mod records;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kiln_ports::Discovery;
use kiln_ports::discovery::{Announcement, Reach, Sighting};
use mdns_sd::{
    DaemonEvent, HostnameResolutionEvent, IfKind, IfPredicate, Receiver, ResolvedService,
    ServiceDaemon, ServiceEvent, ServiceInfo,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use records::{BUILDER, DEVICE, Raw, Rows};

/// How often the addresses are looked at besides the system's own notice (peer-link.md §2.3).
const ADDRESS_CHECK: Duration = Duration::from_secs(300);

/// Longest wait for a goodbye to leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// Longest wait for the address of a `.local` name, and for more after the first.
const RESOLVE: Duration = Duration::from_secs(3);
const RESOLVE_MORE: Duration = Duration::from_millis(200);

/// Pause before a subscription that ended is made again.
const RETRY: Duration = Duration::from_secs(1);

/// The system's multicast.
pub struct MdnsDiscovery {
    daemon: Option<ServiceDaemon>,
    state: Mutex<State>,
}

struct State {
    announced: Option<Announced>,
    reach: Reach,
    builders: Option<Receiver<ServiceEvent>>,
    devices: Option<Receiver<ServiceEvent>>,
    changes: Option<Receiver<DaemonEvent>>,
    next_check: Instant,
    rows: Rows,
    waiting: VecDeque<Sighting>,
    /// Names whose addresses are asked for. The responder answers only the last who asks for a name,
    /// so that one asks at a time.
    asked: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

#[derive(Clone, PartialEq)]
struct Announced {
    announcement: Announcement,
    addresses: Vec<IpAddr>,
    full_name: String,
}

impl MdnsDiscovery {
    /// Starts the responder. Where multicast is not available it announces and sees nothing.
    ///
    /// Has to be called inside a Tokio runtime.
    pub fn start() -> Self {
        let daemon = match ServiceDaemon::new() {
            Ok(daemon) => {
                let inside = IfPredicate::new(|interface| !interfaces::is_outside(&interface.name));
                if let Err(error) = daemon.disable_interface(IfKind::Predicate(inside)) {
                    tracing::warn!(%error, "interfaces of containers could not be left out");
                }
                Some(daemon)
            }
            Err(error) => {
                tracing::warn!(%error, "multicast is not available: nothing is discovered");
                None
            }
        };
        Self {
            daemon,
            state: Mutex::new(State {
                announced: None,
                reach: Reach::AsBound,
                builders: None,
                devices: None,
                changes: None,
                next_check: Instant::now() + ADDRESS_CHECK,
                rows: Rows::default(),
                waiting: VecDeque::new(),
                asked: HashMap::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the lock on asking for this name.
    fn lock_of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let asked = &mut self.state().asked;
        asked.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(asked.entry(name.to_owned()).or_default())
    }

    /// Announces again if an address or the content changed.
    fn register(&self, daemon: &ServiceDaemon, announcement: Announcement) {
        let mut state = self.state();
        let next = Announced {
            addresses: own_addresses(announcement.host.as_deref()),
            full_name: format!("{}.{BUILDER}", announcement.host_label),
            announcement,
        };
        state.reach = reach(&next, &own_addresses(None));
        if state.announced.as_ref() == Some(&next) {
            return;
        }
        if let Some(old) = &state.announced
            && old.full_name != next.full_name
        {
            let _ = daemon.unregister(&old.full_name);
        }
        let registered = service_of(&next).and_then(|service| daemon.register(service));
        match registered {
            Ok(()) => state.announced = Some(next),
            // Tried again with the next change or address check.
            Err(error) => tracing::warn!(%error, "this computer could not be announced"),
        }
    }

    /// Looks at the addresses again.
    fn check_addresses(&self, daemon: &ServiceDaemon) {
        self.state().next_check = Instant::now() + ADDRESS_CHECK;
        let announcement = self
            .state()
            .announced
            .as_ref()
            .map(|a| a.announcement.clone());
        if let Some(announcement) = announcement {
            self.register(daemon, announcement);
        }
    }

    /// Returns live subscriptions, making those that are not there.
    fn subscriptions(&self, daemon: &ServiceDaemon) -> Option<Subscriptions> {
        let mut state = self.state();
        if state.builders.is_none() {
            state.builders = daemon.browse(BUILDER).ok();
        }
        if state.devices.is_none() {
            state.devices = daemon.browse(DEVICE).ok();
        }
        if state.changes.is_none() {
            state.changes = daemon.monitor().ok();
        }
        Some(Subscriptions {
            builders: state.builders.clone()?,
            devices: state.devices.clone()?,
            changes: state.changes.clone()?,
            next_check: state.next_check,
        })
    }

    fn builder_event(&self, event: ServiceEvent) {
        let mut state = self.state();
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let raw = raw_of(&service);
                let Some(host) = records::host_of(&raw) else {
                    return;
                };
                if state.rows.admit(&raw.full_name, &host) {
                    let owner = records::address_owner(&host.hostname);
                    state.waiting.push_back(Sighting::Host(host));
                    state.waiting.push_back(Sighting::Address(owner));
                }
            }
            ServiceEvent::ServiceRemoved(_, full_name) => {
                if let Some(name) = state.rows.remove(&full_name) {
                    state.waiting.push_back(Sighting::HostGone(name));
                }
            }
            // Searching and finding a name say nothing yet; the enum may grow.
            _ => {}
        }
    }

    fn device_event(&self, event: ServiceEvent) {
        let sighting = match event {
            ServiceEvent::ServiceResolved(service) => records::device_of(&raw_of(&service)),
            ServiceEvent::ServiceRemoved(_, full_name) => records::device_gone(&full_name),
            _ => None,
        };
        self.state().waiting.extend(sighting);
    }

    /// Waits for one thing to happen and takes note of it.
    async fn turn(&self, daemon: &ServiceDaemon) {
        let Some(live) = self.subscriptions(daemon) else {
            sleep(RETRY).await;
            return;
        };
        tokio::select! {
            event = live.builders.recv_async() => match event {
                Ok(event) => self.builder_event(event),
                Err(_) => self.lost(|state| state.builders = None).await,
            },
            event = live.devices.recv_async() => match event {
                Ok(event) => self.device_event(event),
                Err(_) => self.lost(|state| state.devices = None).await,
            },
            change = live.changes.recv_async() => match change {
                Ok(DaemonEvent::IpAdd(_) | DaemonEvent::IpDel(_)) => self.check_addresses(daemon),
                Ok(_) => {}
                Err(_) => self.lost(|state| state.changes = None).await,
            },
            () = sleep_until(live.next_check) => self.check_addresses(daemon),
        }
    }

    /// The responder ended a subscription, because nobody listened for long or because it is gone.
    async fn lost(&self, forget: fn(&mut State)) {
        forget(&mut self.state());
        sleep(RETRY).await;
    }
}

struct Subscriptions {
    builders: Receiver<ServiceEvent>,
    devices: Receiver<ServiceEvent>,
    changes: Receiver<DaemonEvent>,
    next_check: Instant,
}

#[async_trait::async_trait]
impl Discovery for MdnsDiscovery {
    async fn announce(&self, announcement: Announcement) {
        if let Some(daemon) = &self.daemon {
            self.register(daemon, announcement);
        }
    }

    fn reach(&self) -> Reach {
        self.state().reach
    }

    async fn withdraw(&self) {
        let Some(daemon) = &self.daemon else { return };
        let announced = self.state().announced.take();
        let Some(announced) = announced else { return };
        if let Ok(done) = daemon.unregister(&announced.full_name) {
            let _ = timeout(GOODBYE, done.recv_async()).await;
        }
    }

    async fn next(&self) -> Sighting {
        let Some(daemon) = &self.daemon else {
            return std::future::pending().await;
        };
        loop {
            let waiting = self.state().waiting.pop_front();
            match waiting {
                Some(sighting) => return sighting,
                None => self.turn(daemon).await,
            }
        }
    }

    async fn resolve(&self, host: &str) -> Vec<IpAddr> {
        let name = records::address_owner(host);
        let Some(daemon) = &self.daemon else {
            return system_resolve(&name).await;
        };
        let lock = self.lock_of(&name);
        let _mine = lock.lock().await;
        let millis = u64::try_from(RESOLVE.as_millis()).unwrap_or(u64::MAX);
        let Ok(answers) = daemon.resolve_hostname(&name, Some(millis)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut patience = RESOLVE;
        while let Ok(Ok(event)) = timeout(patience, answers.recv_async()).await {
            match event {
                HostnameResolutionEvent::AddressesFound(_, addresses) => {
                    for address in addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr) {
                        if interfaces::is_routable(address) && !found.contains(&address) {
                            found.push(address);
                        }
                    }
                    patience = RESOLVE_MORE;
                }
                HostnameResolutionEvent::SearchTimeout(_)
                | HostnameResolutionEvent::SearchStopped(_) => break,
                // The search began, or an address went away again; the enum may grow.
                _ => {}
            }
        }
        let _ = daemon.stop_resolve_hostname(&name);
        found
    }
}

impl Drop for MdnsDiscovery {
    fn drop(&mut self) {
        if let Some(daemon) = &self.daemon {
            let _ = daemon.shutdown();
        }
    }
}

async fn system_resolve(name: &str) -> Vec<IpAddr> {
    match timeout(RESOLVE, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// Returns an address at which a listener on `host`, an address or the name of an interface, is
/// reached: by others, if any of those addresses leads outside, else by this computer. IPv4 goes
/// first. `None` while there is no such interface.
pub fn reachable_address(host: &str) -> Option<IpAddr> {
    match host.parse() {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => {}
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => {}
        Ok(ip) => return Some(ip),
        Err(_) => {}
    }
    let here = if_addrs::get_if_addrs().unwrap_or_default();
    let inside = here.iter().filter(|i| match host.parse::<IpAddr>() {
        Ok(_) => i.is_loopback(),
        Err(_) => i.name == host,
    });
    let inside: Vec<IpAddr> = inside.map(if_addrs::Interface::ip).collect();
    let first = |all: &[IpAddr]| {
        let mut four = all.iter().filter(|ip| ip.is_ipv4());
        four.next().or(all.first()).copied()
    };
    first(&own_addresses(Some(host))).or_else(|| first(&inside))
}

/// Returns the addresses of this machine at which a listener on `host` is reached; all of them while
/// there is none.
fn own_addresses(host: Option<&str>) -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces::announced(all.iter().map(|i| (i.name.as_str(), i.ip())), host)
}

/// Returns whether others can reach a receiver that is announced so, on a computer that has these
/// addresses. One that listens for its own computer only means to.
fn reach(announced: &Announced, here: &[IpAddr]) -> Reach {
    let announcement = &announced.announcement;
    let host = announcement.host.as_deref().unwrap_or_default();
    let is_loopback = |ip: IpAddr| ip.is_loopback();
    let is_inside = host
        .parse()
        .map_or(!interfaces::is_outside(host), is_loopback);
    let is_lost = announced.addresses.is_empty() && !here.is_empty();
    if announcement.receiver.is_some() && is_lost && !is_inside {
        Reach::Nowhere
    } else {
        Reach::AsBound
    }
}

fn service_of(announced: &Announced) -> mdns_sd::Result<ServiceInfo> {
    let announcement = &announced.announcement;
    let txt = records::txt_of(announcement);
    ServiceInfo::new(
        BUILDER,
        &announcement.host_label,
        &format!("{}.local.", announcement.host_label),
        announced.addresses.as_slice(),
        announcement.port,
        txt.as_slice(),
    )
}

fn raw_of(service: &ResolvedService) -> Raw {
    let text = |property: &mdns_sd::TxtProperty| {
        let value = property.val().unwrap_or_default().to_vec();
        (property.key().to_owned(), value)
    };
    let addresses = service.addresses.iter();
    Raw {
        full_name: service.fullname.clone(),
        host: service.host.clone(),
        port: service.port,
        addresses: addresses
            .map(mdns_sd::ScopedIp::to_ip_addr)
            .filter(|address| interfaces::is_routable(*address))
            .collect(),
        txt: service.txt_properties.iter().map(text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_model::FriendlyName;

    #[test]
    fn a_receiver_that_is_bound_where_this_computer_has_no_address_is_reached_nowhere() {
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        let on = |host: &str, addresses: &[IpAddr]| Announced {
            addresses: addresses.to_vec(),
            full_name: String::new(),
            announcement: Announcement {
                host: Some(host.to_owned()),
                ..announcement()
            },
        };
        assert_eq!(reach(&on("0.0.0.0", &[]), &[address]), Reach::Nowhere);
        assert_eq!(
            reach(&on("0.0.0.0", &[]), &[]),
            Reach::AsBound,
            "no network"
        );
        for own in ["127.0.0.1", "lo"] {
            assert_eq!(reach(&on(own, &[]), &[address]), Reach::AsBound);
        }
        assert_eq!(reach(&on("::", &[address]), &[address]), Reach::AsBound);
    }

    /// An announcement that no other run on this network makes.
    fn announcement() -> Announcement {
        let mut random = [0; 4];
        getrandom::fill(&mut random).unwrap();
        Announcement {
            host_label: format!("esphome-builder-t{:08x}", u32::from_ne_bytes(random)),
            host: None,
            port: 6052,
            server_version: "0.1.0".to_owned(),
            esphome_version: "2026.10.0".to_owned(),
            friendly_name: FriendlyName::clipped("tester"),
            receiver: Some(("ab".repeat(32).parse().unwrap(), 6055)),
        }
    }

    async fn seen(by: &MdnsDiscovery, fits: impl Fn(&Sighting) -> bool) -> Sighting {
        let wait = async {
            loop {
                let sighting = by.next().await;
                if fits(&sighting) {
                    return sighting;
                }
            }
        };
        timeout(Duration::from_secs(20), wait).await.unwrap()
    }

    #[test]
    fn a_listener_is_reached_where_it_is_bound() {
        let address = |text: &str| text.parse::<IpAddr>().ok();
        for host in ["192.0.2.7", "127.0.0.1", "::1"] {
            assert_eq!(reachable_address(host), address(host));
        }
        assert_eq!(reachable_address("no such interface"), None);
        assert!(
            reachable_address("0.0.0.0").is_some_and(|ip| ip.is_ipv4() && !ip.is_unspecified())
        );
        let here = if_addrs::get_if_addrs().unwrap();
        for interface in here {
            let mut of_it = if_addrs::get_if_addrs().unwrap().into_iter();
            let found = reachable_address(&interface.name).unwrap();
            assert!(
                of_it.any(|i| i.name == interface.name && i.ip() == found),
                "{found}"
            );
        }
    }

    #[tokio::test]
    async fn two_responders_see_each_other_and_the_changes_and_the_goodbye() {
        // Without an interface that leads outside there is nobody to be seen by.
        if own_addresses(None).iter().all(IpAddr::is_ipv6) {
            return;
        }
        let (one, two) = (MdnsDiscovery::start(), MdnsDiscovery::start());
        let mut announcement = announcement();
        let label = announcement.host_label.clone();
        one.announce(announcement.clone()).await;
        let with_pin = |pin: bool| {
            let label = label.clone();
            move |s: &Sighting| matches!(s, Sighting::Host(h) if h.name == label && h.pin.is_some() == pin)
        };
        let Sighting::Host(host) = seen(&two, with_pin(true)).await else {
            panic!("a host");
        };
        assert_eq!(host.port, 6052);
        assert_eq!(host.friendly_name.as_str(), "tester");
        assert_eq!(host.endpoint.unwrap().port(), 6055);
        assert!(
            own_addresses(None)
                .iter()
                .any(|a| host.addresses.contains(a))
        );
        let owner = format!("{label}.local.");
        seen(&two, |s| *s == Sighting::Address(owner.clone())).await;
        assert!(!two.resolve(&format!("{label}.LOCAL")).await.is_empty());
        let three = MdnsDiscovery::start();
        let (one_asks, another_asks) = tokio::join!(three.resolve(&owner), three.resolve(&owner));
        assert!(!one_asks.is_empty() && !another_asks.is_empty());

        announcement.receiver = None;
        one.announce(announcement).await;
        seen(&two, with_pin(false)).await;

        one.withdraw().await;
        seen(&two, |s| *s == Sighting::HostGone(label.clone())).await;
    }
}
