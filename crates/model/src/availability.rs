//! [`Availability`]: may this computer compile for others now, and why not.

use crate::link::words;

words! {
    /// Why this computer does not compile for others. The codes are stable.
    AvailabilityReason {
        /// It does: nothing stands in the way.
        Ready = "ready",
        /// The owner switched receiving off.
        UserOff = "user_off",
    }
}

/// The decision and its explanation in one value. Inputs beyond the owner's switch (activity,
/// power, load, hours) plug in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Takes builds.
    Open,
    /// Does not, for this reason.
    Closed(AvailabilityReason),
}

impl Availability {
    /// Returns the reason code; `ready` when open.
    pub fn reason(self) -> AvailabilityReason {
        match self {
            Availability::Open => AvailabilityReason::Ready,
            Availability::Closed(reason) => reason,
        }
    }
}
