//! [`EsphomeVersion`]: a version string that passed the peer's grammar.
use std::fmt;
use std::str::FromStr;

/// A well-formed ESPHome version of at most 64 characters (peer-link.md §6.3, builds.md §1.2).
///
/// Digits are ASCII only. Everything that crosses a trust boundary is parsed into this type or
/// treated as absent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EsphomeVersion(String);

/// The text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an ESPHome version looks like 2026.10.0")]
pub struct InvalidEsphomeVersion;

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

impl FromStr for EsphomeVersion {
    type Err = InvalidEsphomeVersion;

    fn from_str(text: &str) -> Result<Self, InvalidEsphomeVersion> {
        if text.len() <= 64 && well_formed(&text.to_ascii_lowercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEsphomeVersion)
        }
    }
}

/// Matches the grammar of peer-link.md §6.3; `text` is lower case. Each part is taken greedily,
/// which loses nothing: no part can begin with what ends the one before it.
fn well_formed(text: &str) -> bool {
    let release = |rest| {
        let mut rest = digits(rest)?;
        while let Some(more) = rest.strip_prefix('.').and_then(digits) {
            rest = more;
        }
        Some(rest)
    };
    let rest = text.strip_prefix('v').unwrap_or(text);
    let rest = digits(rest)
        .and_then(|r| r.strip_prefix('!'))
        .unwrap_or(rest);
    let Some(rest) = release(rest) else {
        return false;
    };
    const PRE: &[&str] = &["alpha", "beta", "preview", "pre", "rc", "a", "b", "c"];
    let rest = tagged(rest, PRE).unwrap_or(rest);
    let rest = tagged(rest, &["post"])
        .or_else(|| rest.strip_prefix('-').and_then(digits))
        .unwrap_or(rest);
    let rest = tagged(rest, &["dev"]).unwrap_or(rest);
    match rest.strip_prefix('+') {
        Some(local) => local
            .split(separator)
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric())),
        None => rest.is_empty(),
    }
}

fn separator(c: char) -> bool {
    matches!(c, '-' | '_' | '.')
}

/// Strips one or more ASCII digits.
fn digits(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

/// Strips `[-_.]? word [-_.]? digit*`.
fn tagged<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    let text = text.strip_prefix(separator).unwrap_or(text);
    let rest = words.iter().find_map(|word| text.strip_prefix(word))?;
    let rest = rest.strip_prefix(separator).unwrap_or(rest);
    Some(digits(rest).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_kept_or_dropped_as_the_vectors_say() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/vectors/versions.json")).unwrap();
        for row in vectors["strings"].as_array().unwrap() {
            let Some(text) = row["in"].as_str() else {
                continue;
            };
            let kept = text.parse::<EsphomeVersion>();
            let kept = kept.as_ref().map(EsphomeVersion::as_str).unwrap_or("");
            assert_eq!(kept, row["coerced"], "{text:?}");
        }
    }
}
