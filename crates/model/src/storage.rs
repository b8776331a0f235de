//! [`Storage`]: what Kiln keeps on this computer's disk, for whom, and what of it may go.
use crate::link::words;
use crate::{EsphomeVersion, Pin, Timestamp};

words! {
    /// What is kept.
    StoredKind {
        /// A received configuration, unpacked.
        Bundle = "bundle",
        /// What was built of one device.
        Build = "build",
        /// Toolchains and caches of one offloader's builds.
        Toolchains = "toolchains",
        /// An ESPHome version that Kiln installed.
        Environment = "environment",
        /// Bundles and artifacts that are received or sent.
        Transfers = "transfers",
        /// Logs of the jobs that are still listed.
        Logs = "logs",
    }
}

words! {
    /// Why something is kept although room is wanted.
    Kept {
        /// A job needs it.
        InUse = "in_use",
        /// It is a result that its sender may still fetch.
        NotFetched = "not_fetched",
        /// The owner's own builds and bundles are made with it.
        OwnBuilds = "own_builds",
        /// It belongs to jobs that are still listed.
        Listed = "listed",
        /// It could not be deleted.
        Stuck = "stuck",
    }
}

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredItem {
    /// What.
    pub kind: StoredKind,
    /// For whom; `None` if it is not one offloader's.
    pub pin: Option<Pin>,
    /// Name of the configuration or device; empty if it is not one device's.
    pub device: String,
    /// Which ESPHome version it is.
    pub version: Option<EsphomeVersion>,
    /// Its size.
    pub bytes: u64,
    /// When it was used last.
    pub last_used: Timestamp,
    /// Why it stays; `None`: it may go.
    pub kept: Option<Kept>,
}

/// Everything that is kept, as of the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// When the disk was looked at; `None` before the first time.
    pub measured_at: Option<Timestamp>,
    /// What all of it takes.
    pub used_bytes: u64,
    /// What it may take; `None`: any amount.
    pub budget_bytes: Option<u64>,
    /// Room on the disk; `None` if that cannot be read.
    pub free_bytes: Option<u64>,
    /// Room below which nothing is built for others; `None`: not looked at.
    pub floor_bytes: Option<u64>,
    /// What may go, in the order in which it would; then what stays.
    pub items: Vec<StoredItem>,
}

/// What became of a wish for room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// What was deleted.
    pub freed: Vec<StoredItem>,
    /// What could not be deleted.
    pub left: Vec<StoredItem>,
}

impl Reclaimed {
    /// Returns what the deleted took, in bytes.
    pub fn freed_bytes(&self) -> u64 {
        self.freed.iter().map(|item| item.bytes).sum()
    }
}
