//! Witnesses: values that prove a check was made. Each has one constructor called `assertion`,
//! and `tests/architecture` allows exactly one calling file for each.
use crate::Pin;

/// Proof that the peer with this pin is approved. Made only where the approved list is consulted.
#[derive(Debug, PartialEq, Eq)]
pub struct Approved(Pin);

impl Approved {
    /// Asserts that `pin` is on the approved list right now.
    pub fn assertion(pin: Pin) -> Self {
        Self(pin)
    }

    /// Returns the pin this is about.
    pub fn pin(&self) -> Pin {
        self.0
    }
}

/// Proof that a human compared this pin out of band, or gave it in full on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinConfirmed(Pin);

impl PinConfirmed {
    /// Asserts that `pin` was compared by a human.
    pub fn assertion(pin: Pin) -> Self {
        Self(pin)
    }

    /// Returns the pin this is about.
    pub fn pin(&self) -> Pin {
        self.0
    }
}

/// Proof that an assembled bundle or artifact had the announced size and SHA-256.
#[derive(Debug, PartialEq, Eq)]
pub struct DigestVerified(());

impl DigestVerified {
    /// Asserts that size and digest were compared and match.
    pub fn assertion() -> Self {
        Self(())
    }
}
