//! [`Ids`]: new job and wire ids from a seeded generator, so that a run can be repeated in a test.
use kiln_model::{JobId, WireJobId};

/// A splitmix64 generator. Ids have to be unique, not secret.
#[derive(Debug)]
pub(super) struct Ids {
    state: u64,
}

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns an id for a job of ours.
    pub(super) fn job(&mut self) -> JobId {
        JobId::from_random(self.next())
    }

    /// Returns an id for one submission attempt, in the form the reference peer uses.
    pub(super) fn wire(&mut self) -> WireJobId {
        WireJobId(JobId::from_random(self.next()).to_string())
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
