//! Which interfaces and addresses belong to the outside (peer-link.md §2.4).
use std::net::IpAddr;

/// Prefixes of the names that container and virtual machine software gives its interfaces.
const CONTAINERS: [&str; 7] = [
    "docker",
    "hassio",
    "veth",
    "cni",
    "virbr",
    "podman",
    "vethernet",
];

/// Returns whether an interface of this name leads outside: it is neither the loopback nor one of
/// container software.
pub(super) fn is_outside(name: &str) -> bool {
    let name = name.to_lowercase();
    let bridge = name.strip_prefix("br-").is_some_and(|id| {
        id.len() == 12 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    let loopback = name.starts_with("lo") || name.contains("loopback");
    !loopback && !bridge && !CONTAINERS.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns the addresses worth announcing, in the order given and without repetition: where a listener
/// on `host` is reached, an address or the name of an interface. All of them while there is none.
pub(super) fn announced<'a>(
    all: impl Iterator<Item = (&'a str, IpAddr)>,
    host: Option<&str>,
) -> Vec<IpAddr> {
    let is_bound = |name: &str, address: IpAddr| match host.map(|host| (host, host.parse())) {
        None => true,
        Some((_, Ok(IpAddr::V4(ip)))) if ip.is_unspecified() => address.is_ipv4(),
        // It takes IPv4 as well, where the system lets it.
        Some((_, Ok(IpAddr::V6(ip)))) if ip.is_unspecified() => true,
        Some((_, Ok(ip))) => address == ip,
        Some((host, Err(_))) => name == host,
    };
    let mut addresses = Vec::new();
    for (name, address) in all {
        let is_good = is_outside(name) && is_routable(address) && is_bound(name, address);
        if is_good && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Returns whether an address means something without saying which interface.
pub(super) fn is_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Covers: B-32
    #[test]
    fn container_and_loopback_interfaces_are_left_out() {
        for inside in [
            "lo",
            "lo0",
            "Software Loopback Interface 1",
            "docker0",
            "hassio",
            "veth12ab",
            "cni0",
            "virbr0",
            "podman1",
            "vEthernet (WSL)",
            "br-0123456789ab",
        ] {
            assert!(!is_outside(inside), "{inside}");
        }
        for outside in [
            "eth0",
            "en0",
            "wlan0",
            "br-lan",
            "br-0123456789aB0",
            "br-0123456789ag",
            "Ethernet 2",
            "lan0x",
        ] {
            assert_eq!(is_outside(outside), !outside.starts_with("lo"), "{outside}");
        }
    }

    // Covers: B-32
    #[test]
    fn addresses_keep_their_order_once_and_without_local_ones() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = [
            ("eth0", ip("192.0.2.10")),
            ("eth0", ip("fe80::1")),
            ("lo", ip("127.0.0.1")),
            ("docker0", ip("172.17.0.1")),
            ("wlan0", ip("2001:db8::10")),
            ("wlan0", ip("192.0.2.10")),
            ("wlan0", ip("169.254.1.1")),
            ("wlan0", ip("10.0.0.1")),
        ];
        let kept = announced(all.into_iter(), None);
        assert_eq!(kept, [ip("192.0.2.10"), ip("2001:db8::10"), ip("10.0.0.1")]);
        assert!(announced([("lo", ip("127.0.0.1"))].into_iter(), None).is_empty());
    }

    #[test]
    fn only_where_the_listener_is_bound_others_are_told_to_come() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = [
            ("eth0", ip("192.0.2.10")),
            ("eth0", ip("2001:db8::1")),
            ("wlan0", ip("198.51.100.7")),
        ];
        for (host, expected) in [
            ("0.0.0.0", vec![all[0].1, all[2].1]),
            ("::", vec![all[0].1, all[1].1, all[2].1]),
            ("2001:db8::1", vec![all[1].1]),
            ("eth0", vec![all[0].1, all[1].1]),
            ("127.0.0.1", Vec::new()),
        ] {
            assert_eq!(announced(all.into_iter(), Some(host)), expected, "{host}");
        }
    }
}
