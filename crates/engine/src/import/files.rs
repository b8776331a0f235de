//! What the state files of a dashboard mean (peer-link.md §1.1, §1.3, §4.8). Pure.
//!
//! A key that is missing or broken is an error: where the dashboard would make a new one over it,
//! every pairing would be lost. A broken row costs itself and is named (peer-link.md §11, Q18).
use std::str::FromStr as _;

use kiln_model::{
    Capabilities, DashboardId, Endpoint, EsphomeVersion, FriendlyName, Label, Pairing,
    PairingStatus, Peer, Pin, PublicKey, Settings, Timestamp, VersionPolicy,
};
use kiln_peer_link::{StaticKey, pin_of};
use kiln_ports::dashboard::DashboardFiles;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Everything of a dashboard that Kiln takes over.
#[derive(Debug)]
pub struct Legacy {
    /// Its private key.
    pub key: StaticKey,
    /// Its id, by which its receivers know it.
    pub dashboard_id: DashboardId,
    /// Offloaders it approved.
    pub peers: Vec<Peer>,
    /// Receivers that approved it.
    pub pairings: Vec<Pairing>,
    /// Switches it kept; applied to ours by [`Legacy::adjust`].
    switches: Switches,
    /// What could not be taken over, one sentence each.
    pub notices: Vec<String>,
}

/// Why a dashboard cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LegacyError {
    /// There is no key.
    #[error("this dashboard has no key, so nobody knows it; pair Kiln instead")]
    NoKey,
    /// The key is not one.
    #[error(
        "the key of this dashboard is damaged ({0} bytes instead of 32); restore \
         .device-builder-peer-link-key.bin from a backup, or pair Kiln instead"
    )]
    DamagedKey(usize),
    /// The crypto library refused the key.
    #[error("the key of this dashboard cannot be used: {0}")]
    UnusableKey(String),
    /// `.device-builder.json` cannot be read.
    #[error(
        ".device-builder.json of this dashboard is damaged ({0}); restore it from a backup, \
         or pair Kiln instead"
    )]
    DamagedMetadata(String),
    /// There is no usable id.
    #[error("this dashboard has no id, so no receiver knows it; pair Kiln instead")]
    NoId,
}

#[derive(Debug, Default)]
struct Switches {
    receiver: bool,
    cleanup_ttl_seconds: Option<u32>,
    remote_builds: Option<bool>,
    version_policy: Option<VersionPolicy>,
    include_local: Option<bool>,
    esphome_dir: Option<String>,
}

impl Legacy {
    /// Reads the files.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub fn read(files: &DashboardFiles) -> Result<Self, LegacyError> {
        let key = key(files.key.as_ref().map(|k| k.expose()))?;
        let metadata = metadata(files.metadata.as_deref())?;
        let dashboard_id = dashboard_id(&metadata)?;
        let mut notices = Vec::new();
        let peers = list(
            &files.receiver_peers,
            "receiver_peers",
            "peers",
            &mut notices,
        );
        let peers = good(peers.1, peer, "peer", &mut notices);
        let (top, rows) = list(
            &files.offloader_pairings,
            "offloader_pairings",
            "pairings",
            &mut notices,
        );
        let pairings = good(rows, pairing, "pairing", &mut notices);
        let mut switches = switches(&metadata, &top);
        // A dashboard listens unless told otherwise; Kiln listens only for somebody.
        switches.receiver &= !peers.is_empty();
        let dir = files.dir.to_str().map(str::to_owned);
        switches.esphome_dir = dir.filter(|_| files.has_configurations);
        Ok(Self {
            key,
            dashboard_id,
            peers,
            pairings,
            switches,
            notices,
        })
    }

    /// Puts the dashboard's switches into our settings; what the owner chose here for the folder
    /// of configurations stays.
    pub fn adjust(&self, settings: &mut Settings) {
        let from = &self.switches;
        settings.receiver = from.receiver;
        settings.cleanup_ttl_seconds = from
            .cleanup_ttl_seconds
            .unwrap_or(settings.cleanup_ttl_seconds);
        settings.remote_builds = from.remote_builds.unwrap_or(settings.remote_builds);
        settings.version_policy = from.version_policy.unwrap_or(settings.version_policy);
        settings.include_local = from.include_local.unwrap_or(settings.include_local);
        if let (true, Some(dir)) = (settings.esphome_dir.is_empty(), &from.esphome_dir) {
            settings.esphome_dir.clone_from(dir);
        }
    }
}

fn key(bytes: Option<&[u8]>) -> Result<StaticKey, LegacyError> {
    let bytes = bytes.ok_or(LegacyError::NoKey)?;
    let secret: [u8; 32] = bytes
        .try_into()
        .map_err(|_| LegacyError::DamagedKey(bytes.len()))?;
    StaticKey::from_bytes(Zeroizing::new(secret))
        .map_err(|e| LegacyError::UnusableKey(e.to_string()))
}

fn metadata(bytes: Option<&[u8]>) -> Result<Map<String, Value>, LegacyError> {
    let damaged = |e: String| LegacyError::DamagedMetadata(e);
    match serde_json::from_slice(bytes.ok_or(LegacyError::NoId)?) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(damaged("it is not an object".to_owned())),
        Err(e) => Err(damaged(e.to_string())),
    }
}

/// The legacy place counts only when the new one has no id (peer-link.md §1.3).
fn dashboard_id(metadata: &Map<String, Value>) -> Result<DashboardId, LegacyError> {
    let at = |block: &str| {
        let id = metadata.get(block)?.get("dashboard_id")?.as_str()?;
        (!id.is_empty()).then_some(id)
    };
    let id = at("_dashboard_identity").or_else(|| at("_remote_build"));
    let id = id.ok_or(LegacyError::NoId)?;
    DashboardId::from_str(id).map_err(|e| LegacyError::DamagedMetadata(e.to_string()))
}

/// A missing block reads as enabled, a malformed one as disabled (builds.md §10.2).
fn switches(metadata: &Map<String, Value>, pairings: &Map<String, Value>) -> Switches {
    let block = metadata.get("_remote_build");
    let member = |name: &str| block.and_then(|b| b.get(name));
    let receiver = match block {
        None => true,
        Some(Value::Object(members)) => match members.get("enabled") {
            None => true,
            Some(enabled) => enabled == &Value::Bool(true),
        },
        Some(_) => false,
    };
    let ttl = member("cleanup_ttl_seconds").and_then(Value::as_i64);
    let policy = pairings.get("version_match_policy").and_then(Value::as_str);
    let flag = |name: &str| pairings.get(name).and_then(Value::as_bool);
    Switches {
        receiver,
        cleanup_ttl_seconds: ttl.and_then(|t| t.clamp(3_600, 2_592_000).try_into().ok()),
        remote_builds: flag("remote_builds_enabled"),
        version_policy: policy.and_then(VersionPolicy::from_word),
        include_local: flag("include_local_in_pool"),
        esphome_dir: None,
    }
}

/// Returns the members of a state file and its rows. A file that cannot be read is like none, and
/// is named (B-29).
fn list(
    bytes: &Option<Vec<u8>>,
    file: &str,
    member: &str,
    notices: &mut Vec<String>,
) -> (Map<String, Value>, Vec<Value>) {
    let Some(bytes) = bytes else {
        return Default::default();
    };
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(bytes);
    let rows = |members: &Map<String, Value>| members.get(member)?.as_array().cloned();
    match parsed {
        Ok(members) => match rows(&members) {
            Some(rows) => (members, rows),
            None => {
                notices.push(format!("The file .{file}.json has no list of {member}."));
                (members, Vec::new())
            }
        },
        Err(e) => {
            notices.push(format!(
                "The file .{file}.json is damaged and was left out: {e}."
            ));
            Default::default()
        }
    }
}

/// Keeps the rows that can be read, the last one of each key, and names the others.
fn good<T: Keyed>(
    rows: Vec<Value>,
    read: fn(&Value) -> Result<T, String>,
    what: &str,
    notices: &mut Vec<String>,
) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for (row, number) in rows.iter().zip(1..) {
        match read(row) {
            Ok(value) => {
                kept.retain(|other| other.key() != value.key());
                kept.push(value);
            }
            Err(problem) => {
                let label = row.get("label").and_then(Value::as_str).unwrap_or_default();
                notices.push(format!(
                    "The {what} {number} {label:?} was left out: {problem}; pair it again."
                ));
            }
        }
    }
    kept
}

trait Keyed {
    type Key: PartialEq;
    fn key(&self) -> Self::Key;
}

impl Keyed for Peer {
    type Key = DashboardId;
    fn key(&self) -> DashboardId {
        self.dashboard_id.clone()
    }
}

impl Keyed for Pairing {
    type Key = Pin;
    fn key(&self) -> Pin {
        self.pin
    }
}

fn peer(row: &Value) -> Result<Peer, String> {
    let (public_key, pin) = keys(row)?;
    Ok(Peer {
        dashboard_id: text(row, "dashboard_id")?.parse().map_err(said)?,
        pin,
        public_key,
        label: Label::clipped(text(row, "label")?),
        label_auto: flag(row, "label_auto", false),
        paired_at: paired_at(row)?,
        peer_ip: optional(row, "peer_ip").parse().ok(),
        connect_back_port: row
            .get("connect_back_port")
            .and_then(Value::as_u64)
            .and_then(|p| u16::try_from(p).ok())
            .filter(|p| *p != 0),
        friendly_name: FriendlyName::clipped(optional(row, "friendly_name")),
        ha_addon: flag(row, "ha_addon", false),
    })
}

fn pairing(row: &Value) -> Result<Pairing, String> {
    let (public_key, pin) = keys(row)?;
    let port = row.get("receiver_port").and_then(Value::as_u64);
    let port = port.and_then(|p| u16::try_from(p).ok());
    match row.get("status").map(Value::as_str) {
        None | Some(Some("approved")) => {}
        Some(Some("pending")) => return Err("it was not approved yet".to_owned()),
        Some(_) => return Err("its status is odd".to_owned()),
    }
    Ok(Pairing {
        pin,
        public_key,
        endpoint: Endpoint::new(text(row, "receiver_hostname")?, port.unwrap_or(0))
            .map_err(said)?,
        label: Label::clipped(text(row, "label")?),
        label_auto: flag(row, "receiver_label_auto", false),
        paired_at: paired_at(row)?,
        status: PairingStatus::Approved,
        enabled: flag(row, "enabled", true),
        esphome_version: EsphomeVersion::parse(optional(row, "esphome_version")),
        capabilities: Capabilities {
            auto_provision: flag(row, "auto_provision_supported", false),
            reset_build_env: flag(row, "reset_build_env_supported", false),
            ..Capabilities::default()
        },
        friendly_name: FriendlyName::clipped(optional(row, "friendly_name")),
        ha_addon: flag(row, "ha_addon", false),
    })
}

/// Reads key and pin of a row. They have to belong together: trust is in the pin, and a row whose
/// key is another one says two things.
fn keys(row: &Value) -> Result<(PublicKey, Pin), String> {
    let pin: Pin = text(row, "pin_sha256")?.parse().map_err(said)?;
    let encoded = text(row, "static_x25519_pub")?;
    // The reference peer's encoder ends with a line feed (peer-link.md §4.8).
    let decoded = base64_simd::STANDARD
        .decode_to_vec(encoded.trim_ascii())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = PublicKey(decoded.ok_or("its key is not 32 bytes in base64")?);
    if pin_of(&key) != pin {
        return Err("its pin is not that of its key".to_owned());
    }
    Ok((key, pin))
}

fn paired_at(row: &Value) -> Result<Timestamp, String> {
    let seconds = row.get("paired_at").and_then(Value::as_f64);
    seconds
        .map(Timestamp::from_seconds)
        .ok_or_else(|| "paired_at is not a number".to_owned())
}

fn text<'a>(row: &'a Value, name: &str) -> Result<&'a str, String> {
    row.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{name} is not a text"))
}

/// A member without which a row is complete; odd values count as absent.
fn optional<'a>(row: &'a Value, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn flag(row: &Value, name: &str, default: bool) -> bool {
    row.get(name).and_then(Value::as_bool).unwrap_or(default)
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use kiln_ports::secrets::SecretBytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../../tests/vectors/storage.json")).unwrap()
    }

    /// The files of a dashboard as the reference peer writes them.
    fn files() -> DashboardFiles {
        let bytes = |name: &str| Some(vectors()[name].as_str().unwrap().as_bytes().to_vec());
        DashboardFiles {
            dir: "/config/esphome".into(),
            has_configurations: true,
            key: Some(SecretBytes::new((1..=32).collect())),
            metadata: Some(br#"{"_dashboard_identity":{"dashboard_id":"me"}}"#.to_vec()),
            receiver_peers: bytes("receiver_peers_bytes_utf8"),
            offloader_pairings: bytes("offloader_pairings_bytes_utf8"),
        }
    }

    fn with_metadata(metadata: Value) -> DashboardFiles {
        DashboardFiles {
            metadata: Some(metadata.to_string().into_bytes()),
            ..files()
        }
    }

    /// The vector's pairings file after a change of its only row.
    fn with_pairing(change: impl Fn(&mut Value)) -> DashboardFiles {
        let mut file = vectors()["offloader_pairings_json"].clone();
        change(&mut file["pairings"][0]);
        DashboardFiles {
            offloader_pairings: Some(file.to_string().into_bytes()),
            ..files()
        }
    }

    // Covers: B-01, B-28
    #[test]
    fn files_of_the_reference_peer_are_taken_over_unchanged() {
        let legacy = Legacy::read(&files()).unwrap();
        assert_eq!(legacy.notices, [""; 0]);
        // The worked example of peer-link.md §1.2.
        let pin = "aaa8fff703b50b2297f4f6e13508f72420d96fd01ebb84cb074449caaef64041";
        assert_eq!(legacy.key.pin().to_string(), pin);
        assert_eq!(legacy.dashboard_id.as_str(), "me");

        let peer = &legacy.peers[0];
        assert_eq!(peer.public_key.0, std::array::from_fn(|i| i as u8));
        assert_eq!(peer.dashboard_id.as_str(), "abc");
        assert_eq!(peer.paired_at, Timestamp(1_700_000_000_500_000));
        assert_eq!(peer.peer_ip, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(peer.connect_back_port, Some(6055));
        assert_eq!(
            (peer.label.as_str(), peer.friendly_name.as_str()),
            ("L", "ha")
        );
        assert!(peer.ha_addon && peer.label_auto);

        let pairing = &legacy.pairings[0];
        let place = "esphome-builder-q0hfq0st.local:6055".parse().unwrap();
        assert_eq!(pairing.endpoint, place);
        assert_eq!(pairing.pin, peer.pin);
        assert_eq!(pairing.label.as_str(), "Build box");
        assert_eq!(pairing.esphome_version, EsphomeVersion::parse("2026.10.0"));
        assert!(pairing.capabilities.auto_provision && pairing.capabilities.reset_build_env);
        assert!(pairing.enabled && pairing.label_auto && !pairing.ha_addon);
        assert_eq!(pairing.status, PairingStatus::Approved);
    }

    // Covers: B-28
    #[test]
    fn a_key_counts_with_and_without_its_line_feed() {
        let bare = with_pairing(|row| {
            let key = row["static_x25519_pub"]
                .as_str()
                .unwrap()
                .trim_end()
                .to_owned();
            row["static_x25519_pub"] = key.into();
        });
        assert_eq!(
            Legacy::read(&bare).unwrap().pairings,
            Legacy::read(&files()).unwrap().pairings
        );
    }

    // Covers: B-01
    #[test]
    fn a_broken_key_is_an_error_and_never_replaced() {
        let with_key = |key: Option<Vec<u8>>| DashboardFiles {
            key: key.map(SecretBytes::new),
            ..files()
        };
        for size in [0, 31, 33] {
            let error = Legacy::read(&with_key(Some(vec![7; size]))).unwrap_err();
            assert_eq!(error, LegacyError::DamagedKey(size));
        }
        let error = Legacy::read(&with_key(None)).unwrap_err();
        assert_eq!(error, LegacyError::NoKey);
        // Every 32 bytes are a key, also degenerate ones.
        Legacy::read(&with_key(Some(vec![0; 32]))).unwrap();
    }

    // Covers: B-06
    #[test]
    fn an_id_at_the_legacy_place_counts_only_when_the_new_place_has_none() {
        let cases = [
            (
                json!({"_dashboard_identity": {"dashboard_id": "new"}, "_remote_build": {"dashboard_id": "old"}}),
                Some("new"),
            ),
            (
                json!({"_dashboard_identity": {"dashboard_id": ""}, "_remote_build": {"dashboard_id": "old"}}),
                Some("old"),
            ),
            (
                json!({"_dashboard_identity": {"dashboard_id": 5}, "_remote_build": {"dashboard_id": "old"}}),
                Some("old"),
            ),
            (
                json!({"_remote_build": {"dashboard_id": "old"}}),
                Some("old"),
            ),
            (json!({"_remote_build": {}}), None),
            (json!({}), None),
        ];
        for (metadata, expected) in cases {
            let legacy = Legacy::read(&with_metadata(metadata.clone()));
            let id = legacy.map(|l| l.dashboard_id.to_string());
            assert_eq!(
                id,
                expected.map(str::to_owned).ok_or(LegacyError::NoId),
                "{metadata}"
            );
        }
    }

    #[test]
    fn damaged_metadata_is_an_error_that_names_the_file() {
        for bytes in [
            &b"{"[..],
            b"[]",
            b"",
            br#"{"_dashboard_identity":{"dashboard_id":"a b"}}"#,
        ] {
            let damaged = DashboardFiles {
                metadata: Some(bytes.to_vec()),
                ..files()
            };
            let error = Legacy::read(&damaged).unwrap_err();
            assert!(
                error.to_string().contains(".device-builder.json"),
                "{error}"
            );
        }
    }

    // Covers: B-29, M105
    #[test]
    fn a_damaged_list_costs_itself_and_is_named() {
        for bytes in [&b"{"[..], b"[]", b"", b"{}", br#"{"peers":5}"#, b"\xff"] {
            let damaged = DashboardFiles {
                receiver_peers: Some(bytes.to_vec()),
                ..files()
            };
            let legacy = Legacy::read(&damaged).unwrap();
            assert_eq!(legacy.peers.len(), 0);
            assert_eq!(legacy.pairings.len(), 1);
            assert_eq!(legacy.notices.len(), 1);
            assert!(legacy.notices[0].contains(".receiver_peers.json"));
        }
    }

    #[test]
    fn a_bad_row_costs_itself_and_is_named() {
        let changes: [(&str, Value); 9] = [
            ("pin_sha256", json!("630D")),
            ("pin_sha256", json!("a".repeat(64))),
            ("static_x25519_pub", json!("AAEC")),
            ("static_x25519_pub", json!(5)),
            ("receiver_port", json!(0)),
            ("receiver_port", json!(65_536)),
            ("receiver_hostname", json!("  ")),
            ("paired_at", json!("yesterday")),
            ("status", json!("pending")),
        ];
        for (member, value) in changes {
            let bad = with_pairing(|row| row[member] = value.clone());
            let legacy = Legacy::read(&bad).unwrap();
            assert_eq!(legacy.pairings.len(), 0, "{member} = {value}");
            assert!(
                legacy.notices[0].contains("Build box"),
                "{:?}",
                legacy.notices
            );
            assert_eq!(legacy.peers.len(), 1);
        }
    }

    #[test]
    fn odd_optional_members_take_their_default() {
        let odd = with_pairing(|row| {
            for name in ["enabled", "esphome_version", "friendly_name", "ha_addon"] {
                row[name] = json!(["odd"]);
            }
            row["from_the_future"] = json!(1);
        });
        let legacy = Legacy::read(&odd).unwrap();
        assert_eq!(legacy.notices, [""; 0]);
        let pairing = &legacy.pairings[0];
        assert!(pairing.enabled && !pairing.ha_addon);
        assert_eq!(pairing.esphome_version, None);
    }

    #[test]
    fn of_two_rows_with_one_key_the_last_counts() {
        let mut file = vectors()["offloader_pairings_json"].clone();
        let mut second = file["pairings"][0].clone();
        second["label"] = json!("Newer");
        file["pairings"].as_array_mut().unwrap().push(second);
        let twice = DashboardFiles {
            offloader_pairings: Some(file.to_string().into_bytes()),
            ..files()
        };
        let legacy = Legacy::read(&twice).unwrap();
        assert_eq!(legacy.pairings.len(), 1);
        assert_eq!(legacy.pairings[0].label.as_str(), "Newer");
    }

    // Covers: M102, M103
    #[test]
    fn switches_are_taken_over_as_the_dashboard_understands_them() {
        let receiver = |block: Value| {
            let metadata = json!({
                "_dashboard_identity": {"dashboard_id": "me"}, "_remote_build": block
            });
            let mut settings = Settings::default();
            Legacy::read(&with_metadata(metadata))
                .unwrap()
                .adjust(&mut settings);
            (settings.receiver, settings.cleanup_ttl_seconds)
        };
        assert_eq!(receiver(json!({})), (true, 86_400));
        assert_eq!(receiver(json!({"enabled": false})), (false, 86_400));
        assert_eq!(receiver(json!({"enabled": "yes"})), (false, 86_400));
        assert_eq!(receiver(json!("odd")), (false, 86_400));
        assert_eq!(receiver(json!({"cleanup_ttl_seconds": 1})), (true, 3_600));
        assert_eq!(
            receiver(json!({"cleanup_ttl_seconds": 99_999_999})),
            (true, 2_592_000)
        );
        assert_eq!(
            receiver(json!({"cleanup_ttl_seconds": true})),
            (true, 86_400)
        );

        let mut settings = Settings::default();
        let nobody = DashboardFiles {
            receiver_peers: None,
            ..files()
        };
        Legacy::read(&nobody).unwrap().adjust(&mut settings);
        assert!(!settings.receiver, "nothing listens for nobody");
        assert_eq!(settings.esphome_dir, "/config/esphome");
    }

    proptest! {
        #[test]
        fn no_file_content_makes_the_reader_panic(
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            files in proptest::array::uniform3(proptest::option::of("[\\[\\]{}\":,a-z0-9]{0,60}")),
        ) {
            let [metadata, peers, pairings] = files.map(|f| f.map(String::into_bytes));
            let _ = Legacy::read(&DashboardFiles {
                dir: "/".into(),
                has_configurations: false,
                key: key.map(SecretBytes::new),
                metadata,
                receiver_peers: peers,
                offloader_pairings: pairings,
            });
        }
    }
}
