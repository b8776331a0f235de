//! Words of the artifact download, and names of stored blobs.
use std::fmt;

use crate::link::words;

words! {
    /// Why artifacts are not delivered (peer-link.md §5.10).
    ArtifactsRefusal {
        /// Another download of this offloader runs.
        DuplicateDownload = "duplicate_download",
        /// No such job from this offloader.
        UnknownJob = "unknown_job",
        /// The job is not completed.
        JobNotCompleted = "job_not_completed",
        /// A reset is active.
        Busy = "busy",
        /// Going away.
        ShuttingDown = "shutting_down",
        /// Required files are missing.
        BuildDirMissing = "build_dir_missing",
        /// Packing failed, or too large.
        PackFailed = "pack_failed",
        /// Sending failed.
        StreamFailed = "stream_failed",
    }
}

/// Flash offset of the main image (peer-link.md §5.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareOffset {
    /// `0x0`.
    Zero,
    /// `0x10000`: platforms whose name starts with `esp32`.
    Esp32,
}

impl FirmwareOffset {
    /// Returns the wire word.
    pub fn word(self) -> &'static str {
        match self {
            FirmwareOffset::Zero => "0x0",
            FirmwareOffset::Esp32 => "0x10000",
        }
    }
}

/// Name of a blob in the store: the job it belongs to and what it is. Safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(String);

impl BlobId {
    /// Makes a blob id from a kind and a number of our own choosing, never from a peer's text.
    pub fn new(kind: &str, number: u64) -> Self {
        Self(format!("{kind}-{number:016x}"))
    }

    /// Reads an id that [`BlobId::new`] made, for example from the store.
    pub fn from_stored(text: &str) -> Option<Self> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && (1..=64).contains(&text.len());
        fits.then(|| Self(text.to_owned()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
