//! Bodies of stored rows: what peers, pairings, jobs and settings look like as JSON.
//!
//! A body carries the version of its shape. Members that this version does not know are ignored,
//! missing optional ones take their default, and a row that cannot be read is left alone: it
//! costs itself, never its neighbours (peer-link.md §11, Q18). The identity row is not here; it
//! belongs to the identity.
mod given;
mod job;
mod pairing;
mod peer;
mod setting;

use std::str::FromStr;

use kiln_model::{Pin, PublicKey};
use kiln_ports::store::{Change, Row};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::given::{GIVEN, given, given_row};
pub use self::job::{JOB, job, job_row};
pub use self::pairing::{PAIRING, pairing, pairing_row};
pub use self::peer::{PEER, peer, peer_row};
pub(crate) use self::setting::setting_text;
pub use self::setting::{SETTING, settings, settings_rows};

/// Version of the shapes of all kinds. A change that an older Kiln would misread raises it.
pub(crate) const SHAPE: u32 = 1;

/// A row that cannot be read or made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored {kind} {key} cannot be used: {reason}")]
pub struct BadRecord {
    /// Kind of the row.
    pub kind: String,
    /// Its key.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

/// Takes a record away.
pub(crate) fn delete(kind: &str, key: &str) -> Change {
    Change::Delete {
        kind: kind.to_owned(),
        key: key.to_owned(),
    }
}

pub(crate) fn row(kind: &str, key: &str, body: &impl Serialize) -> Result<Row, BadRecord> {
    match serde_json::to_string(body) {
        Ok(body) => Ok(Row {
            kind: kind.into(),
            key: key.into(),
            body,
        }),
        Err(e) => Err(BadRecord {
            kind: kind.into(),
            key: key.into(),
            reason: e.to_string(),
        }),
    }
}

/// Reads a body of our shape; one of a newer shape is refused rather than guessed at.
pub(crate) fn parse<B: DeserializeOwned, T>(
    row: &Row,
    read: impl FnOnce(B) -> Result<T, String>,
) -> Result<T, BadRecord> {
    #[derive(Deserialize)]
    struct Shape {
        v: u32,
    }
    let bad = |reason| BadRecord {
        kind: row.kind.clone(),
        key: row.key.clone(),
        reason,
    };
    let shape: Shape = serde_json::from_str(&row.body).map_err(|e| bad(text(e)))?;
    if shape.v > SHAPE {
        return Err(bad(format!("a newer Kiln wrote it (shape {})", shape.v)));
    }
    let body = serde_json::from_str(&row.body).map_err(|e| bad(text(e)))?;
    read(body).map_err(bad)
}

/// A public key is written as the hex of its 32 bytes, like a pin.
fn hex(key: PublicKey) -> String {
    Pin(key.0).to_string()
}

fn public_key(digits: &str) -> Result<PublicKey, String> {
    match Pin::from_str(digits) {
        Ok(Pin(bytes)) => Ok(PublicKey(bytes)),
        Err(_) => Err("its public key is not 64 lower-case hex digits".to_owned()),
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use kiln_model::EsphomeVersion;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_body_makes_a_reader_panic(body in "\\PC{0,80}") {
            let row = Row { kind: JOB.into(), key: "k".into(), body };
            let _ = (peer(&row), pairing(&row), job(&row), settings(std::slice::from_ref(&row)));
        }
    }

    pub(super) fn version() -> impl Strategy<Value = EsphomeVersion> {
        (2020u16..2040, 1u8..13, 0u8..9)
            .prop_map(|(year, month, patch)| format!("{year}.{month}.{patch}").parse().unwrap())
    }
}
