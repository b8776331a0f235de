//! The row of what was given to an offloader.
use std::str::FromStr;
use std::time::Duration;

use kiln_domain::work::Given;
use kiln_model::{JobId, Pin, Timestamp};
use kiln_ports::store::Row;
use serde::{Deserialize, Serialize};

use super::{BadRecord, SHAPE, parse, row, text};

/// Kind of a row of what was given to an offloader.
pub const GIVEN: &str = "given";

/// Makes the row of what was given with a job; its key is our job id.
pub fn given_row(given: &Given) -> Result<Row, BadRecord> {
    let body = GivenBody {
        v: SHAPE,
        pin_sha256: given.pin.to_string(),
        ended_us: given.ended.0,
        took_us: u64::try_from(given.took.as_micros()).unwrap_or(u64::MAX),
    };
    row(GIVEN, given.job.as_str(), &body)
}

/// Reads the row of what was given with a job.
pub fn given(row: &Row) -> Result<Given, BadRecord> {
    let read = |b: GivenBody| {
        Ok(Given {
            job: JobId::from_str(&row.key).map_err(text)?,
            pin: Pin::from_str(&b.pin_sha256).map_err(text)?,
            ended: Timestamp(b.ended_us),
            took: Duration::from_micros(b.took_us),
        })
    };
    parse(row, read)
}

#[derive(Serialize, Deserialize)]
struct GivenBody {
    v: u32,
    pin_sha256: String,
    ended_us: i64,
    took_us: u64,
}
