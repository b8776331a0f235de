//! JSON of [`Storage`] and of what became of a wish for room.
use kiln_model::{
    EsphomeVersion, Kept, Pin, Reclaimed, Storage, StoredItem, StoredKind, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::form::{self, Form, mirrored};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Storage")]
struct StorageJson {
    #[serde(with = "form")]
    measured_at: Option<Timestamp>,
    used_bytes: u64,
    budget_bytes: Option<u64>,
    free_bytes: Option<u64>,
    floor_bytes: Option<u64>,
    #[serde(with = "form")]
    items: Vec<StoredItem>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StoredItem")]
struct StoredItemJson {
    #[serde(with = "form")]
    kind: StoredKind,
    #[serde(rename = "pin_sha256", with = "form")]
    pin: Option<Pin>,
    device: String,
    #[serde(with = "form")]
    version: Option<EsphomeVersion>,
    bytes: u64,
    #[serde(with = "form")]
    last_used: Timestamp,
    #[serde(with = "form")]
    kept: Option<Kept>,
}

/// The sum is for readers; it is not read back.
#[derive(Serialize, Deserialize)]
struct ReclaimedJson {
    #[serde(default)]
    freed_bytes: u64,
    #[serde(with = "form")]
    freed: Vec<StoredItem>,
    #[serde(with = "form")]
    left: Vec<StoredItem>,
}

impl Form for Reclaimed {
    fn put<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        ReclaimedJson {
            freed_bytes: self.freed_bytes(),
            freed: self.freed.clone(),
            left: self.left.clone(),
        }
        .serialize(to)
    }

    fn take<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ReclaimedJson { freed, left, .. } = ReclaimedJson::deserialize(from)?;
        Ok(Self { freed, left })
    }
}

mirrored!(Storage => StorageJson, StoredItem => StoredItemJson);
