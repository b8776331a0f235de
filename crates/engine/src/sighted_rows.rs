//! Rows of devices that were seen in the network; the key is the device's name.
use kiln_domain::work::Sighted;
use kiln_ports::store::Row;
use serde::{Deserialize, Serialize};

use crate::records::{BadRecord, SHAPE, parse, row};

/// Kind of such a row.
pub(crate) const SIGHTED: &str = "sighted";

#[derive(Serialize, Deserialize)]
struct SightedBody {
    v: u32,
    version: String,
}

/// Makes the row of a device.
pub(crate) fn sighted_row(sighted: &Sighted) -> Result<Row, BadRecord> {
    let body = SightedBody {
        v: SHAPE,
        version: sighted.version.clone(),
    };
    row(SIGHTED, &sighted.name, &body)
}

/// Reads the row of a device.
pub(crate) fn sighted(row: &Row) -> Result<Sighted, BadRecord> {
    let read = |b: SightedBody| {
        Ok(Sighted {
            name: row.key.clone(),
            version: b.version,
        })
    };
    parse(row, read)
}
