//! [`Discovery`]: announcing ourselves and seeing others over mDNS (peer-link.md §2).
use std::net::IpAddr;

use kiln_model::{DiscoveredHost, FriendlyName, Pin};

/// What is announced. Mirrors the decision of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Host label, for example `esphome-builder-q0hfq0st`.
    pub host_label: String,
    /// Host on which the listener is bound, an address or the name of an interface; `None`: none is.
    /// Only addresses at which it is reached are announced.
    pub host: Option<String>,
    /// SRV port.
    pub port: u16,
    /// TXT `server_version`.
    pub server_version: String,
    /// TXT `esphome_version`.
    pub esphome_version: String,
    /// TXT `friendly_name`.
    pub friendly_name: FriendlyName,
    /// TXT `pin_sha256` and `remote_build_port`.
    pub receiver: Option<(Pin, u16)>,
}

/// Something was seen on the network. Already cleaned and bounded; still only a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A dashboard or Kiln was resolved or changed.
    Host(DiscoveredHost),
    /// It is gone; by instance label.
    HostGone(String),
    /// An address record of this host name was seen (lower case, one trailing dot).
    Address(String),
    /// An ESPHome device (`_esphomelib._tcp`) was resolved.
    Device {
        /// `esphome.name`.
        name: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// ESPHome version it announces; possibly empty.
        version: String,
        /// Config hash it announces (8 hex digits); possibly empty.
        config_hash: String,
    },
    /// A device is gone; by name.
    DeviceGone(String),
}

/// Whether others can reach what is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At the addresses of what is bound, or there is no network at all.
    AsBound,
    /// Nowhere: what is bound has none of the addresses that this computer has.
    Nowhere,
}

/// mDNS. Where multicast is not available, announcing does nothing and nothing is seen.
#[async_trait::async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// Announces, replacing what was announced before. Follows interface changes by itself.
    async fn announce(&self, announcement: Announcement);

    /// Returns whether others can reach what is announced, as far as addresses go.
    fn reach(&self) -> Reach;

    /// Says goodbye; waits at most 1 s.
    async fn withdraw(&self);

    /// Waits for the next sighting. Cancel safe. Never returns when multicast is not available.
    async fn next(&self) -> Sighting;

    /// Resolves a `.local` name; empty when nobody answers within 3 s.
    async fn resolve(&self, host: &str) -> Vec<IpAddr>;
}
