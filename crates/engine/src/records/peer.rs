//! The row of an approved offloader.
use std::net::IpAddr;
use std::str::FromStr;

use kiln_model::{DashboardId, FriendlyName, Label, Peer, Pin, Timestamp};
use kiln_ports::store::Row;
use serde::{Deserialize, Serialize};

use super::{BadRecord, SHAPE, hex, parse, public_key, row, text};

/// Kind of an approved offloader's row.
pub const PEER: &str = "peer";

/// Makes the row of an approved offloader; its key is the `dashboard_id`.
pub fn peer_row(peer: &Peer) -> Result<Row, BadRecord> {
    let body = PeerBody {
        v: SHAPE,
        dashboard_id: peer.dashboard_id.to_string(),
        pin_sha256: peer.pin.to_string(),
        static_x25519_pub: hex(peer.public_key),
        label: peer.label.to_string(),
        label_auto: peer.label_auto,
        paired_at_us: peer.paired_at.0,
        peer_ip: peer.peer_ip,
        connect_back_port: peer.connect_back_port,
        friendly_name: peer.friendly_name.to_string(),
        ha_addon: peer.ha_addon,
    };
    row(PEER, peer.dashboard_id.as_str(), &body)
}

/// Reads the row of an approved offloader.
pub fn peer(row: &Row) -> Result<Peer, BadRecord> {
    let read = |b: PeerBody| {
        Ok(Peer {
            dashboard_id: DashboardId::from_str(&b.dashboard_id).map_err(text)?,
            pin: Pin::from_str(&b.pin_sha256).map_err(text)?,
            public_key: public_key(&b.static_x25519_pub)?,
            label: Label::clipped(&b.label),
            label_auto: b.label_auto,
            paired_at: Timestamp(b.paired_at_us),
            peer_ip: b.peer_ip,
            connect_back_port: b.connect_back_port.filter(|port| *port != 0),
            friendly_name: FriendlyName::clipped(&b.friendly_name),
            ha_addon: b.ha_addon,
        })
    };
    parse(row, read)
}

#[derive(Serialize, Deserialize)]
struct PeerBody {
    v: u32,
    dashboard_id: String,
    pin_sha256: String,
    static_x25519_pub: String,
    label: String,
    #[serde(default)]
    label_auto: bool,
    paired_at_us: i64,
    #[serde(default)]
    peer_ip: Option<IpAddr>,
    #[serde(default)]
    connect_back_port: Option<u16>,
    #[serde(default)]
    friendly_name: String,
    #[serde(default)]
    ha_addon: bool,
}

#[cfg(test)]
mod tests {
    use kiln_model::PublicKey;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_peer_comes_back_as_it_was_stored(
            dashboard_id in "[A-Za-z0-9_-]{1,64}",
            keys in any::<([u8; 32], [u8; 32])>(),
            names in ("\\PC{0,40}", "\\PC{0,40}"),
            flags in any::<(bool, bool)>(),
            paired_at in any::<i64>(),
            peer_ip in any::<Option<IpAddr>>(),
            port in proptest::option::of(1u16..),
        ) {
            let original = Peer {
                dashboard_id: dashboard_id.parse().unwrap(),
                pin: Pin(keys.0),
                public_key: PublicKey(keys.1),
                label: Label::clipped(&names.0),
                label_auto: flags.0,
                paired_at: Timestamp(paired_at),
                peer_ip,
                connect_back_port: port,
                friendly_name: FriendlyName::clipped(&names.1),
                ha_addon: flags.1,
            };
            prop_assert_eq!(peer(&peer_row(&original).unwrap()), Ok(original));
        }
    }
}
