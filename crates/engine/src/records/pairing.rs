//! The row of a receiver.
use std::str::FromStr;

use kiln_model::{
    Capabilities, Endpoint, FriendlyName, Label, Pairing, PairingStatus, Pin, Timestamp,
};
use kiln_ports::store::Row;
use serde::{Deserialize, Serialize};

use super::{BadRecord, SHAPE, hex, parse, public_key, row, text};

/// Kind of an approved receiver's row.
pub const PAIRING: &str = "pairing";

/// Makes the row of a receiver; its key is the pin.
pub fn pairing_row(pairing: &Pairing) -> Result<Row, BadRecord> {
    let body = PairingBody {
        v: SHAPE,
        pin_sha256: pairing.pin.to_string(),
        static_x25519_pub: hex(pairing.public_key),
        receiver_hostname: pairing.endpoint.host().to_owned(),
        receiver_port: pairing.endpoint.port(),
        label: pairing.label.to_string(),
        label_auto: pairing.label_auto,
        paired_at_us: pairing.paired_at.0,
        status: match pairing.status {
            PairingStatus::Pending => "pending".into(),
            PairingStatus::Approved => "approved".into(),
        },
        enabled: pairing.enabled,
        esphome_version: pairing.esphome_version.as_ref().map(ToString::to_string),
        auto_provision: pairing.capabilities.auto_provision,
        reset_build_env: pairing.capabilities.reset_build_env,
        kiln: pairing.capabilities.kiln,
        friendly_name: pairing.friendly_name.to_string(),
        ha_addon: pairing.ha_addon,
    };
    row(PAIRING, &pairing.pin.to_string(), &body)
}

/// Reads the row of a receiver.
pub fn pairing(row: &Row) -> Result<Pairing, BadRecord> {
    let read = |b: PairingBody| {
        Ok(Pairing {
            pin: Pin::from_str(&b.pin_sha256).map_err(text)?,
            public_key: public_key(&b.static_x25519_pub)?,
            endpoint: Endpoint::new(&b.receiver_hostname, b.receiver_port).map_err(text)?,
            label: Label::clipped(&b.label),
            label_auto: b.label_auto,
            paired_at: Timestamp(b.paired_at_us),
            status: match b.status.as_str() {
                "approved" => PairingStatus::Approved,
                "pending" => PairingStatus::Pending,
                other => return Err(format!("its status is {other:?}")),
            },
            enabled: b.enabled,
            esphome_version: b.esphome_version.and_then(|v| v.parse().ok()),
            capabilities: Capabilities {
                auto_provision: b.auto_provision,
                reset_build_env: b.reset_build_env,
                kiln: b.kiln,
            },
            friendly_name: FriendlyName::clipped(&b.friendly_name),
            ha_addon: b.ha_addon,
        })
    };
    parse(row, read)
}

#[derive(Serialize, Deserialize)]
struct PairingBody {
    v: u32,
    pin_sha256: String,
    static_x25519_pub: String,
    receiver_hostname: String,
    receiver_port: u16,
    label: String,
    #[serde(default)]
    label_auto: bool,
    paired_at_us: i64,
    status: String,
    enabled: bool,
    #[serde(default)]
    esphome_version: Option<String>,
    #[serde(default)]
    auto_provision: bool,
    #[serde(default)]
    reset_build_env: bool,
    #[serde(default)]
    kiln: bool,
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
    use crate::records::tests::version;

    proptest! {
        #[test]
        fn a_pairing_comes_back_as_it_was_stored(
            keys in any::<([u8; 32], [u8; 32])>(),
            host in "[a-z0-9.-]{1,60}",
            port in 1u16..,
            names in ("\\PC{0,40}", "\\PC{0,40}"),
            flags in any::<[bool; 7]>(),
            paired_at in any::<i64>(),
            version in proptest::option::of(version()),
        ) {
            let original = Pairing {
                pin: Pin(keys.0),
                public_key: PublicKey(keys.1),
                endpoint: Endpoint::new(&host, port).unwrap(),
                label: Label::clipped(&names.0),
                label_auto: flags[0],
                paired_at: Timestamp(paired_at),
                status: if flags[1] { PairingStatus::Approved } else { PairingStatus::Pending },
                enabled: flags[2],
                esphome_version: version,
                capabilities: Capabilities {
                    auto_provision: flags[3],
                    reset_build_env: flags[4],
                    kiln: flags[5],
                },
                friendly_name: FriendlyName::clipped(&names.1),
                ha_addon: flags[6],
            };
            prop_assert_eq!(pairing(&pairing_row(&original).unwrap()), Ok(original));
        }
    }
}
