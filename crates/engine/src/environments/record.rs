//! [`Record`]: what makes a folder an environment.
use std::path::{Path, PathBuf};

use kiln_model::EsphomeVersion;
use serde::{Deserialize, Serialize};
use tokio::fs;

use crate::held::Held;

/// The record that makes a folder an environment.
pub(super) const RECORD: &str = "kiln-environment.json";

/// Where an environment's interpreter is, on one system or another.
const PYTHONS: [&str; 2] = ["bin/python", "Scripts/python.exe"];

/// Written last, when the environment answered.
#[derive(Deserialize, Serialize)]
pub(super) struct Record {
    pub(super) version: String,
    /// Size of the environment.
    pub(super) size_bytes: u64,
    /// Older records do not say it: their environments are the owner's.
    #[serde(default = "owners")]
    pub(super) made_for: MadeFor,
}

/// For whom an environment was made. Once it is the owner's it stays that.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MadeFor {
    /// A build of somebody else wanted it, or nobody knows who did.
    Others,
    /// The owner asked for it.
    Owner,
}

fn owners() -> MadeFor {
    MadeFor::Owner
}

/// The interpreter of an environment: the one that exists, else where it would be.
pub(super) fn python_in(folder: &Path) -> PathBuf {
    let places = PYTHONS.map(|place| folder.join(place));
    let [first, ..] = &places;
    places
        .iter()
        .find(|place| place.is_file())
        .unwrap_or(first)
        .clone()
}

/// Reads the record; `None` if it is missing, of another version, or without interpreter.
pub(super) async fn read_record(folder: &Path, version: &EsphomeVersion) -> Option<Record> {
    let record: Record = serde_json::from_slice(&fs::read(folder.join(RECORD)).await.ok()?).ok()?;
    (record.version == version.as_str() && python_in(folder).is_file()).then_some(record)
}

/// Writes the record whole and synced.
pub(super) async fn write_record(folder: &Path, record: &Record) -> std::io::Result<()> {
    let (written, place) = (folder.join("kiln-environment.new"), folder.join(RECORD));
    let mut file = fs::File::create(&written).await?;
    tokio::io::AsyncWriteExt::write_all(&mut file, &serde_json::to_vec(record)?).await?;
    file.sync_all().await?;
    drop(file);
    fs::rename(&written, &place).await
}

/// Bytes in a folder; links count as themselves. What cannot be read counts nothing.
pub(super) async fn size_of(folder: &Path) -> u64 {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || Held::default().with(&folder).bytes)
        .await
        .unwrap_or_default()
}
