//! Taking over the identity and pairings of a dashboard that is being retired.
mod files;

pub use files::{Legacy, LegacyError};
