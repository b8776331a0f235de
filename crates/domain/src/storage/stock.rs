//! [`Stock`]: something on disk that can be deleted as a whole.
use std::collections::BTreeSet;

use kiln_model::{EsphomeVersion, Pin, StoredKind, Timestamp};

/// Names one thing on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stock {
    /// An unpacked configuration of an offloader, by the name of its folder.
    Bundle(Pin, String),
    /// What was built of one device of an offloader, by the name of its folder.
    Build(Pin, String),
    /// Everything else of an offloader's builds.
    Toolchains(Pin),
    /// An ESPHome version that Kiln installed.
    Environment(EsphomeVersion),
    /// Bundles and artifacts that are received or sent.
    Transfers,
    /// Logs of jobs.
    Logs,
}

impl Stock {
    /// Returns what it is.
    pub fn kind(&self) -> StoredKind {
        match self {
            Stock::Bundle(..) => StoredKind::Bundle,
            Stock::Build(..) => StoredKind::Build,
            Stock::Toolchains(_) => StoredKind::Toolchains,
            Stock::Environment(_) => StoredKind::Environment,
            Stock::Transfers => StoredKind::Transfers,
            Stock::Logs => StoredKind::Logs,
        }
    }

    /// Returns for whom it is kept, if that is one offloader.
    pub fn pin(&self) -> Option<Pin> {
        match self {
            Stock::Bundle(pin, _) | Stock::Build(pin, _) | Stock::Toolchains(pin) => Some(*pin),
            Stock::Environment(_) | Stock::Transfers | Stock::Logs => None,
        }
    }
}

/// What a look at the disk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub stock: Stock,
    /// Names of its configurations without the ending; none if it belongs to none, or nobody knows to
    /// which. Of a build there are several where one was renamed or copied and its node was not.
    pub devices: BTreeSet<String>,
    /// Its size.
    pub bytes: u64,
    /// When it was changed last, as far as its folder shows.
    pub touched: Timestamp,
}

/// How much of the disk to look at. Transfers and logs are always looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Everything.
    All,
    /// What there is of one offloader.
    Sender(Pin),
    /// The ESPHome versions.
    Environments,
}

impl Extent {
    /// Returns whether a look of this extent finds `stock` if it is there.
    pub fn covers(&self, stock: &Stock) -> bool {
        match (self, stock) {
            (Extent::All, _) | (_, Stock::Transfers | Stock::Logs) => true,
            (Extent::Sender(pin), stock) => stock.pin() == Some(*pin),
            (Extent::Environments, stock) => matches!(stock, Stock::Environment(_)),
        }
    }
}
