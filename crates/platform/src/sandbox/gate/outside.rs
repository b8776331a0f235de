//! [`is_outside`]: whether an address leads to the open network, or to this computer and its
//! neighbours.
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use if_addrs::IfAddr;

/// Length in bits of an IPv6 network with hosts of its own (RFC 4291, 2.5.1). An address may be
/// assigned alone, with all of its bits; its neighbours are in the same network all the same.
const SUBNET: u8 = 64;

/// Returns whether an address belongs to the open network: not to this computer, a network that it
/// is in, a group of receivers, or nobody. Where the own networks cannot be read, nothing does.
pub(in super::super) fn is_outside(address: IpAddr) -> bool {
    match own_networks() {
        Ok(own) => leads_out(address, &own),
        Err(error) => {
            tracing::warn!(%error, "a build reaches nothing: the networks of this computer cannot be read");
            false
        }
    }
}

/// Reads in which networks this computer is now.
fn own_networks() -> io::Result<Vec<Network>> {
    let all = if_addrs::get_if_addrs()?;
    Ok(all.iter().map(|one| Network::of(&one.addr)).collect())
}

/// Addresses with the same beginning.
#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    /// Bits that are the same.
    bits: u8,
}

impl Network {
    /// Returns the network of an interface. One whose length is not told holds at least those that
    /// are next to it.
    fn of(interface: &IfAddr) -> Self {
        let (told, whole) = match interface {
            IfAddr::V4(v4) => (v4.prefixlen, 32),
            IfAddr::V6(v6) => (v6.prefixlen, SUBNET),
        };
        Self {
            address: interface.ip(),
            bits: if told == 0 { whole } else { told.min(whole) },
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differs = own.to_bits() ^ other.to_bits();
                differs.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differs = own.to_bits() ^ other.to_bits();
                differs.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn leads_out(address: IpAddr, own: &[Network]) -> bool {
    let meant = meant(address);
    let public = match meant {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    };
    public && !own.iter().any(|network| network.holds(meant))
}

/// Returns the IPv4 address inside an IPv6 one, if there is one: networks without IPv4 reach it
/// through a prefix of its own (RFC 6052).
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let [.., a, b, c, d] = v6.octets();
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Ipv4Addr::new(a, b, c, d).into(),
        _ => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
    }
}

/// The registry of special-purpose addresses (RFC 6890).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

/// The registry of special-purpose addresses (RFC 6890).
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let global = first & 0xe000 == 0x2000;
    // Documentation, Teredo and other protocol assignments, and 6to4, which hides IPv4 addresses.
    let special = (first == 0x2001 && (second < 0x200 || second == 0xdb8)) || first == 0x2002;
    // RFC 9637: more documentation.
    global && !special && first != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses that are inside, or nobody's.
    const INSIDE: [&str; 32] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.8.8.8",
        "169.254.1.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.251",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:192.168.1.1",
        "64:ff9b::c0a8:101",
        "fe80::1",
        "fd00::1",
        "ff02::fb",
        "2001:db8::1",
        "2002:c0a8:101::1",
        "2001::1",
    ];

    #[test]
    fn addresses_inside_are_never_dialled_and_public_ones_are() {
        for inside in INSIDE {
            assert!(!leads_out(inside.parse().unwrap(), &[]), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "140.82.121.4",
            "172.15.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1",
            "2001:4860:4860::8888",
            "64:ff9b::8c52:7904",
            "::ffff:140.82.121.4",
        ] {
            assert!(leads_out(outside.parse().unwrap(), &[]), "{outside}");
        }
    }

    fn network(address: &str, bits: u8) -> Network {
        let address: IpAddr = address.parse().unwrap();
        let interface = match address {
            IpAddr::V4(ip) => IfAddr::V4(if_addrs::Ifv4Addr {
                ip,
                netmask: Ipv4Addr::UNSPECIFIED,
                prefixlen: bits,
                broadcast: None,
            }),
            IpAddr::V6(ip) => IfAddr::V6(if_addrs::Ifv6Addr {
                ip,
                netmask: Ipv6Addr::UNSPECIFIED,
                prefixlen: bits,
                broadcast: None,
            }),
        };
        Network::of(&interface)
    }

    #[test]
    fn neighbours_with_public_addresses_are_inside_as_well() {
        let own = [
            network("2606:4700:10:1::20", 64),
            // Assigned alone, as by DHCPv6, or without a word on how long it is.
            network("2606:4700:10:2::20", 128),
            network("2606:4700:10:3::20", 0),
            // A wide one.
            network("2606:4700:20::1", 48),
            network("140.82.121.4", 26),
            network("140.82.122.4", 0),
        ];
        for inside in [
            "2606:4700:10:1::20",
            "2606:4700:10:1:ffff:1:2:3",
            "2606:4700:10:2::1",
            "2606:4700:10:3:1::",
            "2606:4700:20:ffff::1",
            "140.82.121.63",
            "::ffff:140.82.121.1",
            "64:ff9b::8c52:7901",
            "140.82.122.4",
        ] {
            assert!(!leads_out(inside.parse().unwrap(), &own), "{inside}");
        }
        for outside in [
            "2606:4700:10::1",
            "2606:4700:10:4::20",
            "2606:4700:21::1",
            "140.82.121.64",
            "140.82.122.5",
        ] {
            assert!(leads_out(outside.parse().unwrap(), &own), "{outside}");
        }
    }

    #[test]
    fn the_networks_of_this_computer_are_read() {
        let own = own_networks().unwrap();
        assert!(own.iter().any(|network| network.address.is_loopback()));
    }
}
