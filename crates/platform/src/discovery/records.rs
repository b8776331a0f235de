//! What DNS-SD records say: our own as written, those of others as read, cleaned and bounded.
use std::collections::HashMap;
use std::net::IpAddr;

use kiln_model::{DeviceName, DiscoveredHost, Endpoint, FriendlyName, steers};
use kiln_ports::discovery::{Announcement, Sighting};
use unicode_normalization::UnicodeNormalization;

/// Service of dashboards and Kilns.
pub(super) const BUILDER: &str = "_esphomebuilder._tcp.local.";

/// Service of ESPHome devices.
pub(super) const DEVICE: &str = "_esphomelib._tcp.local.";

/// Rows kept at most, and of these for one address (trust.md §1.4). Where an mDNS packet came from
/// is not told, so a row counts for the first address that it names.
const ROWS: usize = 256;
const ROWS_PER_ADDRESS: usize = 64;

/// Largest TXT record that is read, in bytes.
const MAX_TXT: usize = 1300;

/// Addresses kept of one row.
const MAX_ADDRESSES: usize = 16;

/// Longest DNS label and host name, in bytes.
const MAX_LABEL: usize = 63;
const MAX_HOST: usize = 255;

/// Longest version kept, in characters (peer-link.md §6.1).
const MAX_VERSION: usize = 64;

/// Returns the TXT entries in their order (peer-link.md §2.2).
pub(super) fn txt_of(announcement: &Announcement) -> Vec<(&'static str, String)> {
    let mut txt = vec![
        ("server_version", announcement.server_version.clone()),
        ("esphome_version", announcement.esphome_version.clone()),
    ];
    if !announcement.friendly_name.is_empty() {
        txt.push((
            "friendly_name",
            fitting("friendly_name", announcement.friendly_name.as_str()),
        ));
    }
    if let Some((pin, port)) = &announcement.receiver {
        txt.push(("pin_sha256", pin.to_string()));
        txt.push(("remote_build_port", port.to_string()));
    }
    txt
}

/// Cuts a value so that its entry fits the one length byte it gets.
fn fitting(key: &str, value: &str) -> String {
    let room = 255 - key.len() - 1;
    let end = (0..=room.min(value.len()))
        .rev()
        .find(|end| value.is_char_boundary(*end))
        .unwrap_or_default();
    value.get(..end).unwrap_or_default().to_owned()
}

/// One resolved service as it came from the network.
#[derive(Clone, Debug, Default)]
pub(super) struct Raw {
    /// `INSTANCE._service._tcp.local.`
    pub(super) full_name: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) txt: Vec<(String, Vec<u8>)>,
}

impl Raw {
    /// Returns the left-most label if it may be an instance name: not empty, at most 63 bytes, no
    /// control characters (RFC 6763 §4.1.1).
    fn instance(&self, service: &str) -> Option<&str> {
        let split = self.full_name.len().checked_sub(service.len() + 1)?;
        let (instance, rest) = self.full_name.split_at_checked(split)?;
        let fits = rest.strip_prefix('.')?.eq_ignore_ascii_case(service)
            && (1..=MAX_LABEL).contains(&instance.len())
            && !instance.contains(char::is_control);
        fits.then_some(instance)
    }

    /// Returns a TXT value; empty when it is missing or not UTF-8. The first of a key counts, keys
    /// are compared without case (RFC 6763 §6.4).
    fn value(&self, key: &str) -> &str {
        self.txt
            .iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(key))
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
            .unwrap_or_default()
    }

    fn version(&self, key: &str) -> String {
        clean(self.value(key)).chars().take(MAX_VERSION).collect()
    }

    fn is_oversize(&self) -> bool {
        let bytes: usize = self.txt.iter().map(|(k, v)| k.len() + v.len() + 2).sum();
        bytes > MAX_TXT || self.host.len() > MAX_HOST + 1
    }
}

/// Reads a dashboard or Kiln; `None` when the records are not worth a row.
pub(super) fn host_of(raw: &Raw) -> Option<DiscoveredHost> {
    let name = raw.instance(BUILDER)?;
    if raw.is_oversize() || clean(&raw.host) != raw.host {
        return None;
    }
    let port = raw.value("remote_build_port");
    let decimal = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|_| decimal);
    Some(DiscoveredHost {
        name: clean(name),
        hostname: raw.host.clone(),
        port: raw.port,
        addresses: addresses_of(raw),
        server_version: raw.version("server_version"),
        esphome_version: raw.version("esphome_version"),
        friendly_name: FriendlyName::clipped(&clean(raw.value("friendly_name"))),
        pin: raw.value("pin_sha256").parse().ok(),
        endpoint: port.and_then(|port| Endpoint::new(&raw.host, port).ok()),
        ha_addon: raw.value("ha_addon") == "1",
    })
}

/// Reads an ESPHome device; `None` unless its name can be one.
pub(super) fn device_of(raw: &Raw) -> Option<Sighting> {
    let name = DeviceName::parse(raw.instance(DEVICE)?)?;
    if raw.is_oversize() {
        return None;
    }
    let hash = raw.value("config_hash");
    let hex = hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    Some(Sighting::Device {
        name: name.as_str().to_owned(),
        addresses: addresses_of(raw),
        version: raw.version("version"),
        config_hash: if hex {
            hash.to_ascii_lowercase()
        } else {
            String::new()
        },
    })
}

/// Returns the device that a removal is about.
pub(super) fn device_gone(full_name: &str) -> Option<Sighting> {
    let raw = Raw {
        full_name: full_name.to_owned(),
        ..Raw::default()
    };
    let name = DeviceName::parse(raw.instance(DEVICE)?)?;
    Some(Sighting::DeviceGone(name.as_str().to_owned()))
}

/// Returns a host name as sightings of address records carry it: lower case, one trailing dot.
pub(super) fn address_owner(host: &str) -> String {
    format!("{}.", host.trim_end_matches('.').to_lowercase())
}

fn addresses_of(raw: &Raw) -> Vec<IpAddr> {
    let mut addresses = raw.addresses.clone();
    addresses.sort();
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

/// Returns text that may be shown: NFC, without what cannot be seen.
fn clean(text: &str) -> String {
    text.nfc().filter(|c| !steers(*c)).collect()
}

/// The rows that are shown, bounded; the reference peer's list is not.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// By full name in lower case: the instance label shown and the first address.
    rows: HashMap<String, (String, Option<IpAddr>)>,
}

impl Rows {
    /// Returns whether a row may be shown, and remembers it if so.
    pub(super) fn admit(&mut self, full_name: &str, host: &DiscoveredHost) -> bool {
        let key = full_name.to_lowercase();
        let address = host.addresses.first().copied();
        if !self.rows.contains_key(&key) {
            let same = self.rows.values().filter(|(_, first)| *first == address);
            if self.rows.len() >= ROWS || same.count() >= ROWS_PER_ADDRESS {
                return false;
            }
        }
        self.rows.insert(key, (host.name.clone(), address));
        true
    }

    /// Forgets a row; returns its instance label if it was shown.
    pub(super) fn remove(&mut self, full_name: &str) -> Option<String> {
        let row = self.rows.remove(&full_name.to_lowercase());
        row.map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    const VECTORS: &str = include_str!("../../../../tests/vectors/mdns.json");

    fn record(index: usize) -> Value {
        let mut vectors: Value = serde_json::from_str(VECTORS).unwrap();
        assert_eq!(vectors["service_type"], BUILDER);
        vectors["records"][index].take()
    }

    fn raw(record: &Value) -> Raw {
        let text = |key: &str| record[key].as_str().unwrap().to_owned();
        let txt = record["txt"].as_object().unwrap();
        Raw {
            full_name: text("instance"),
            host: text("srv_target"),
            port: u16::try_from(record["srv_port"].as_u64().unwrap()).unwrap(),
            addresses: record["addresses"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a.as_str().unwrap().parse().unwrap())
                .collect(),
            txt: txt
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str().unwrap().as_bytes().to_vec()))
                .collect(),
        }
    }

    fn bytes(txt: &[(&str, String)]) -> String {
        txt.iter()
            .map(|(key, value)| format!("{key}={value}"))
            .flat_map(|entry| {
                let length = u8::try_from(entry.len()).unwrap();
                std::iter::once(length).chain(entry.into_bytes())
            })
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn announcement(record: &Value) -> Announcement {
        let txt = |key: &str| record["txt"][key].as_str().unwrap_or_default();
        let receiver = txt("pin_sha256")
            .parse()
            .ok()
            .map(|pin| (pin, txt("remote_build_port").parse().unwrap()));
        Announcement {
            host_label: "esphome-builder-q0hfq0st".to_owned(),
            host: None,
            port: 6052,
            server_version: txt("server_version").to_owned(),
            esphome_version: txt("esphome_version").to_owned(),
            friendly_name: FriendlyName::clipped(txt("friendly_name")),
            receiver,
        }
    }

    // Covers: B-30
    #[test]
    fn macos_lets_a_program_find_what_its_bundle_names() {
        let bundle = include_str!("../../../../packaging/macos/Info.plist");
        for service in [BUILDER, DEVICE] {
            let named = format!("<string>{}</string>", service.trim_end_matches(".local."));
            assert!(bundle.contains(&named), "{named}");
        }
    }

    #[test]
    fn our_txt_is_the_vectors_byte_for_byte_without_the_add_on_flag() {
        for index in [0, 1] {
            let record = record(index);
            let expected = record["txt_hex"].as_str().unwrap();
            let flag = bytes(&[("ha_addon", "1".to_owned())]);
            let expected = expected.strip_suffix(&flag).unwrap_or(expected);
            assert_eq!(bytes(&txt_of(&announcement(&record))), expected);
        }
    }

    #[test]
    fn the_vectors_records_are_read() {
        let host = host_of(&raw(&record(0))).unwrap();
        assert_eq!(host.name, "esphome-builder-q0hfq0st");
        assert_eq!(host.hostname, "esphome-builder-q0hfq0st.local.");
        assert_eq!(host.friendly_name.as_str(), "MacBook-Pro");
        assert_eq!(host.endpoint.unwrap().port(), 6056);
        assert!(host.pin.is_some() && host.ha_addon);
        let host = host_of(&raw(&record(1))).unwrap();
        assert!(host.pin.is_none() && host.endpoint.is_none() && !host.ha_addon);
    }

    #[test]
    fn a_long_name_is_cut_at_a_character_so_that_its_entry_fits() {
        let mut announcement = announcement(&record(1));
        announcement.friendly_name = FriendlyName::clipped(&"é".repeat(128));
        let txt = txt_of(&announcement);
        assert_eq!("friendly_name=".len() + txt[2].1.len(), 254);
        announcement.friendly_name = FriendlyName::default();
        assert_eq!(txt_of(&announcement).len(), 2);
    }

    // Covers: B-33
    #[test]
    fn odd_txt_values_are_read_as_absent() {
        let with = |key: &str, value: &[u8]| {
            let mut raw = raw(&record(0));
            raw.txt.retain(|(k, _)| k != key);
            raw.txt.push((key.to_owned(), value.to_vec()));
            host_of(&raw).unwrap()
        };
        for port in ["0", "65536", "-1", "+6055", "6055 ", "x", ""] {
            let host = with("remote_build_port", port.as_bytes());
            assert_eq!(host.endpoint, None, "{port}");
        }
        for flag in ["0", "true", "11", ""] {
            assert!(!with("ha_addon", flag.as_bytes()).ha_addon, "{flag}");
        }
        assert!(with("friendly_name", b"\xff").friendly_name.is_empty());
        let upper = "AAA8FFF703B50B2297F4F6E13508F72420D96FD01EBB84CB074449CAAEF64041";
        assert_eq!(with("pin_sha256", upper.as_bytes()).pin, None);
    }

    #[test]
    fn hostile_names_are_cleaned_and_oversize_records_ignored() {
        let mut evil = raw(&record(0));
        evil.full_name = format!("a\u{202e}\u{200b}e\u{301}.{BUILDER}");
        evil.txt[0].1 = "1\u{1b}[31m\u{9b}".as_bytes().to_vec();
        let host = host_of(&evil).unwrap();
        assert_eq!(host.name, "a\u{e9}");
        assert!(!host.esphome_version.contains('\u{1b}'));
        let bad = |change: fn(&mut Raw)| {
            let mut raw = raw(&record(0));
            change(&mut raw);
            host_of(&raw)
        };
        assert_eq!(bad(|r| r.full_name.insert(0, '\n')), None);
        assert_eq!(bad(|r| r.full_name.insert_str(0, &"x".repeat(60))), None);
        assert_eq!(bad(|r| r.full_name = BUILDER.to_owned()), None);
        assert_eq!(bad(|r| r.host.push('\u{202e}')), None);
        assert_eq!(bad(|r| r.host = "h".repeat(300)), None);
        assert_eq!(
            bad(|r| r.txt.push(("k".to_owned(), vec![b'x'; 1300]))),
            None
        );
        let many = bad(|r| r.addresses = (0..99).map(|n| IpAddr::from([10, 0, 0, n])).collect());
        assert_eq!(many.unwrap().addresses.len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_device_is_seen_by_its_name_and_announces_version_and_hash() {
        let mut raw = Raw {
            full_name: format!("kitchen.{DEVICE}"),
            host: "kitchen.local.".to_owned(),
            txt: vec![
                ("version".to_owned(), b"2026.10.0".to_vec()),
                ("config_hash".to_owned(), b"00AB12cd".to_vec()),
            ],
            ..Raw::default()
        };
        let seen = Sighting::Device {
            name: "kitchen".to_owned(),
            addresses: Vec::new(),
            version: "2026.10.0".to_owned(),
            config_hash: "00ab12cd".to_owned(),
        };
        assert_eq!(device_of(&raw), Some(seen));
        raw.full_name = format!("../x.{DEVICE}");
        assert_eq!(device_of(&raw), None);
        let gone = device_gone(&format!("kitchen.{DEVICE}"));
        assert_eq!(gone, Some(Sighting::DeviceGone("kitchen".to_owned())));
    }

    #[test]
    fn rows_are_bounded_in_all_and_for_each_address() {
        let mut rows = Rows::default();
        let mut host = host_of(&raw(&record(0))).unwrap();
        let admitted = |rows: &mut Rows, host: &DiscoveredHost, from: usize| {
            (from..from + 500)
                .filter(|n| rows.admit(&format!("h{n}"), host))
                .count()
        };
        assert_eq!(admitted(&mut rows, &host, 0), 64);
        assert!(rows.admit("H0", &host), "a row may change");
        for (n, from) in [(1, 1000), (2, 2000), (3, 3000)] {
            host.addresses = vec![IpAddr::from([10, 0, 0, n])];
            assert_eq!(admitted(&mut rows, &host, from), 64);
        }
        host.addresses = vec![IpAddr::from([10, 0, 0, 9])];
        assert!(!rows.admit("one more", &host));
        assert_eq!(rows.remove("h1000"), Some(host.name.clone()));
        assert!(rows.admit("one more", &host));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded_and_shows_no_control_characters(
            full_name: String, host: String, txt: Vec<(String, Vec<u8>)>, builder: bool,
        ) {
            let service = if builder { BUILDER } else { DEVICE };
            let raw = Raw { full_name: format!("{full_name}.{service}"), host, txt, ..Raw::default() };
            if let Some(host) = host_of(&raw) {
                let shown = format!("{}{}{}", host.name, host.friendly_name, host.server_version);
                prop_assert!(!shown.contains(char::is_control));
                prop_assert!(shown.len() < 2000);
            }
            let _ = device_of(&raw);
            let _ = device_gone(&raw.full_name);
        }
    }
}
