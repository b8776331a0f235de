//! [`EsphomeVersion`]: a version string that passed the peer's grammar.
use std::fmt;

/// A well-formed ESPHome version of at most 64 characters (peer-link.md §6.3, builds.md §1.2).
///
/// Digits are ASCII only. Everything that crosses a trust boundary is parsed into this type or
/// treated as absent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EsphomeVersion(String);

impl EsphomeVersion {
    /// Returns the version as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EsphomeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
