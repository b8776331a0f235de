//! What `esphome version` prints: `Version: 2026.10.0` (builds.md §14.1).
use kiln_model::EsphomeVersion;

use crate::ansi;

/// Returns whether the output names exactly this version: as a whole token, neither preceded nor
/// followed by a word character or a dot (builds.md §7.4).
pub fn names_version(output: &str, version: &EsphomeVersion) -> bool {
    let output = ansi::plain(output);
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    output.match_indices(version.as_str()).any(|(at, token)| {
        let before = output[..at].chars().next_back();
        let after = output[at + token.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Returns the version that an unknown ESPHome says it is.
pub fn version_of(output: &str) -> Option<EsphomeVersion> {
    let output = ansi::plain(output);
    output
        .lines()
        .find_map(|line| EsphomeVersion::parse(line.trim().strip_prefix("Version: ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_only_as_a_whole_token() {
        let version = EsphomeVersion::parse("2026.10.0").unwrap();
        let names = |output| names_version(output, &version);
        assert!(names("Version: 2026.10.0\n"));
        assert!(names("INFO x\n\x1b[32mVersion: 2026.10.0\x1b[0m"));
        assert!(names("2026.10.0"));
        for other in [
            "2026.10.0b6",
            "12026.10.0",
            "2026.10.01",
            "2026.10.0.1",
            "x2026.10.0",
            "",
        ] {
            assert!(!names(other), "{other}");
        }
    }

    #[test]
    fn an_unknown_esphome_is_asked_what_it_is() {
        let version = version_of("INFO reading\nVersion: 2026.10.0-dev\n");
        assert_eq!(version, EsphomeVersion::parse("2026.10.0-dev"));
        assert_eq!(version_of("Version: soon\n"), None);
        assert_eq!(version_of("2026.10.0"), None);
    }
}
