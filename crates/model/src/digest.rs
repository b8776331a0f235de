//! [`Digest`]: the SHA-256 of a bundle, of artifacts, or of an entry of the audit.
use std::fmt;
use std::str::FromStr;

use crate::Pin;

/// A SHA-256, written as 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// The text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hex digits")]
pub struct InvalidDigest;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Pin(self.0).fmt(f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    /// Peers write either case (peer-link.md §5.6).
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        match text.to_ascii_lowercase().parse::<Pin>() {
            Ok(Pin(bytes)) => Ok(Self(bytes)),
            Err(_) => Err(InvalidDigest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_in_either_case_and_written_in_lower_case() {
        let upper = "AB".repeat(32);
        let digest: Digest = upper.parse().unwrap();
        assert_eq!(digest.to_string(), "ab".repeat(32));
        assert_eq!("ab".parse::<Digest>(), Err(InvalidDigest));
        assert_eq!("é".repeat(32).parse::<Digest>(), Err(InvalidDigest));
    }
}
