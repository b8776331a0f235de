//! Whether a signed manifest offers an update that may be installed. Pure: no network, no clock.
//!
//! A manifest is JSON, signed with minisign. Nothing in it is read before the signature is right.

mod manifest;
mod offer;
mod refusal;

pub use manifest::{MAX_MANIFEST, MAX_SIGNATURE};
pub use offer::{Answer, Asked, Update, verify};
pub use refusal::Refusal;
pub use semver::Version;
