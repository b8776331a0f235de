//! [`DashboardId`]: the stable public id of one installation; never a secret or a credential.
use std::fmt;
use std::str::FromStr;

/// 1–64 characters of `A-Z a-z 0-9 _ -` (peer-link.md §1.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DashboardId(String);

/// The text is not a dashboard id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a dashboard id is 1 to 64 characters of A-Z, a-z, 0-9, _ and -")]
pub struct InvalidDashboardId;

impl DashboardId {
    /// Encodes 24 random bytes as unpadded base64url: 32 characters.
    pub fn from_random(bytes: [u8; 24]) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let digit = |v: u32| char::from(ALPHABET[(v & 63) as usize]);
        let text = bytes
            .chunks_exact(3)
            .flat_map(|c| {
                let v = u32::from(c[0]) << 16 | u32::from(c[1]) << 8 | u32::from(c[2]);
                [digit(v >> 18), digit(v >> 12), digit(v >> 6), digit(v)]
            })
            .collect();
        Self(text)
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the mDNS host label of an installation (peer-link.md §2.1): `esphome-builder-` and the
/// first eight characters of its id, or `esphome-builder` alone when nothing usable is left.
pub fn host_label(id: &DashboardId) -> String {
    let text = id.0.to_ascii_lowercase().replace('_', "-");
    // Cut first, then trim: `_abcDEF-ghij` gives `abcdef`.
    let suffix: String = text.chars().take(8).collect();
    match suffix.trim_matches('-') {
        "" => "esphome-builder".to_owned(),
        suffix => format!("esphome-builder-{suffix}"),
    }
}

impl fmt::Display for DashboardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DashboardId {
    type Err = InvalidDashboardId;

    fn from_str(text: &str) -> Result<Self, InvalidDashboardId> {
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidDashboardId)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Covers: B-30
    #[test]
    fn host_labels_are_those_of_the_vectors() {
        let vectors = include_str!("../../../tests/vectors/mdns.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let mut compared = 0;
        for row in vectors["hostnames"].as_array().unwrap() {
            // The empty id of the vectors is none that this type can hold.
            let Ok(id) = row["dashboard_id"].as_str().unwrap().parse() else {
                continue;
            };
            assert_eq!(
                format!("{}.local", host_label(&id)),
                row["hostname"].as_str().unwrap()
            );
            compared += 1;
        }
        assert_eq!(compared, 6);
    }
}
