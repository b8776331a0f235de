//! Time as values: [`Mono`] for deadlines, [`Timestamp`] for people and records.
use std::{fmt, ops, time::Duration};

/// A point on a monotonic clock that also advances while the machine sleeps.
///
/// The origin is arbitrary and differs between processes; only differences mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub Duration);

impl Mono {
    /// Returns the time from `earlier` to `self`, or zero if `earlier` is later.
    pub fn since(self, earlier: Mono) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl ops::Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, rhs: Duration) -> Mono {
        Mono(self.0.saturating_add(rhs))
    }
}

/// A civil point in time: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns seconds since the Unix epoch with fraction, as the peer's state files carry them.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Makes a timestamp from seconds since the Unix epoch; a value that is not finite gives 0.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1e6) as i64)
    }
}

impl fmt::Display for Timestamp {
    /// Seconds since the epoch; faces format it for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.as_seconds())
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// For deadlines: advances while the machine sleeps, never jumps back.
    pub mono: Mono,
    /// For records and people: may jump when the clock is set.
    pub wall: Timestamp,
}
