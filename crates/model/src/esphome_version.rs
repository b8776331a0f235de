//! [`EsphomeVersion`]: a version string that passed the peer's grammar, its shapes and its order.
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Longest version kept, in bytes (builds.md §1.2).
const MAX_BYTES: usize = 64;

/// A well-formed ESPHome version of at most 64 characters (peer-link.md §6.3, builds.md §1.2).
///
/// Digits are ASCII only. Everything that crosses a trust boundary is parsed into this type or
/// treated as absent. Equality is textual; [`EsphomeVersion::order_key`] compares by meaning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EsphomeVersion(String);

/// The text is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an ESPHome version such as 2026.10.0 or 2026.10.0b1")]
pub struct InvalidEsphomeVersion;

impl EsphomeVersion {
    /// Returns the version, or `None` if `text` is not well-formed or too long: what a peer says
    /// wrongly counts as not said.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= MAX_BYTES && well_formed(&text.to_ascii_lowercase()))
            .then(|| Self(text.to_owned()))
    }

    /// Returns the version as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether an environment of exactly this version can be installed: a release,
    /// optionally followed by `a`, `b` or `rc` and digits.
    pub fn is_pinnable(&self) -> bool {
        self.order_key().is_some()
    }

    /// Returns what a pinnable version is ordered by; `None` if it is not pinnable.
    pub fn order_key(&self) -> Option<OrderKey<'_>> {
        let rest = release(&self.0)?;
        let release = &self.0[..self.0.len() - rest.len()];
        let mut release: Vec<_> = release.split('.').map(Number::of).collect();
        while release.len() > 1 && release.last().is_some_and(|n| n.0.is_empty()) {
            release.pop();
        }
        if rest.is_empty() {
            let stage = Stage::Final;
            return Some(OrderKey {
                release,
                stage,
                number: Number(""),
            });
        }
        let (stage, number) = [
            ("a", Stage::Alpha),
            ("b", Stage::Beta),
            ("rc", Stage::Candidate),
        ]
        .into_iter()
        .find_map(|(word, stage)| Some((stage, rest.strip_prefix(word)?)))?;
        let all_digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        all_digits.then(|| OrderKey {
            release,
            stage,
            number: Number::of(number),
        })
    }

    /// Returns whether the release line (the first two numbers after an optional `v`) is at least
    /// `year.month`; false when there are no two numbers.
    pub fn release_line_at_least(&self, year: u32, month: u32) -> bool {
        let text = self.0.strip_prefix(['v', 'V']).unwrap_or(&self.0);
        let digits = |t: &str| t.bytes().take_while(u8::is_ascii_digit).count();
        let (first, rest) = text.split_at(digits(text));
        let Some(rest) = rest.strip_prefix('.') else {
            return false;
        };
        let second = &rest[..digits(rest)];
        if first.is_empty() || second.is_empty() {
            return false;
        }
        let line = (Number::of(first), Number::of(second));
        let (year, month) = (year.to_string(), month.to_string());
        line >= (Number::of(&year), Number::of(&month))
    }

    /// Returns whether this ESPHome knows `--skip-bootloader` (builds.md §7.1: from 2026.10).
    pub fn knows_skip_bootloader(&self) -> bool {
        self.release_line_at_least(2026, 10)
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
        Self::parse(text).ok_or(InvalidEsphomeVersion)
    }
}

/// What pinnable versions are ordered by (builds.md §1.2): release numbers without trailing zeros,
/// then alpha, beta, candidate and final, then the stage's number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey<'a> {
    release: Vec<Number<'a>>,
    stage: Stage,
    number: Number<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alpha,
    Beta,
    Candidate,
    Final,
}

/// A decimal number of any length: its digits without leading zeros, so zero is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number<'a>(&'a str);

impl<'a> Number<'a> {
    fn of(digits: &'a str) -> Self {
        Self(digits.trim_start_matches('0'))
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), self.0).cmp(&(other.0.len(), other.0))
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Matches the grammar of peer-link.md §6.3; `text` is lower case. Each part is taken greedily,
/// which loses nothing: no part can begin with what ends the one before it.
fn well_formed(text: &str) -> bool {
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

/// Strips `digit+ ("." digit+)*`.
fn release(text: &str) -> Option<&str> {
    let mut rest = digits(text)?;
    while let Some(more) = rest.strip_prefix('.').and_then(digits) {
        rest = more;
    }
    Some(rest)
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

    fn rows(file: &str, table: &str) -> Vec<serde_json::Value> {
        let all: serde_json::Value = serde_json::from_str(file).unwrap();
        all[table].as_array().unwrap().clone()
    }

    const BUILDS: &str = include_str!("../../../tests/vectors/build-vectors.json");
    const VERSIONS: &str = include_str!("../../../tests/vectors/versions.json");

    /// Writes a key the way the vectors do: release numbers, final or not, stage, stage number.
    fn as_vector(key: &OrderKey<'_>) -> serde_json::Value {
        let number = |n: &Number<'_>| n.0.parse::<u64>().unwrap_or(0);
        let release: Vec<u64> = key.release.iter().map(number).collect();
        let (is_final, stage) = match key.stage {
            Stage::Alpha => (0, 0),
            Stage::Beta => (0, 1),
            Stage::Candidate => (0, 2),
            Stage::Final => (1, 0),
        };
        serde_json::json!([release, is_final, stage, number(&key.number)])
    }

    // Covers: M17
    #[test]
    fn every_version_shape_of_the_vectors_is_reproduced() {
        let rows = rows(BUILDS, "version_shape");
        assert_eq!(rows.len(), 19);
        for row in rows {
            let text = row["version"].as_str().unwrap();
            let version = EsphomeVersion::parse(text);
            let is = |f: fn(&EsphomeVersion) -> bool| version.as_ref().is_some_and(f);
            assert_eq!(version.is_some(), row["pep440"], "{text}");
            assert_eq!(is(|v| release(&v.0) == Some("")), row["release"], "{text}");
            assert_eq!(is(EsphomeVersion::is_pinnable), row["pinnable"], "{text}");
            let key = version.as_ref().and_then(EsphomeVersion::order_key);
            assert_eq!(
                key.as_ref().map_or(serde_json::Value::Null, as_vector),
                row["order_key"],
                "{text}"
            );
        }
    }

    // Covers: M18
    #[test]
    fn a_version_from_a_peer_that_is_malformed_or_too_long_counts_as_absent() {
        let rows = rows(VERSIONS, "strings");
        assert_eq!(rows.len(), 20);
        for row in rows {
            let kept = row["in"].as_str().and_then(EsphomeVersion::parse);
            let text = kept.as_ref().map_or("", EsphomeVersion::as_str);
            assert_eq!(text, row["coerced"], "{row}");
            let is = |f: fn(&EsphomeVersion) -> bool| kept.as_ref().is_some_and(f);
            if let Some(pinnable) = row["pinnable"].as_bool() {
                assert_eq!(is(EsphomeVersion::is_pinnable), pinnable, "{row}");
                assert_eq!(is(|v| release(&v.0) == Some("")), row["release"], "{row}");
            }
        }
        assert!(EsphomeVersion::parse(&"1".repeat(64)).is_some());
        assert!(EsphomeVersion::parse(&"1".repeat(65)).is_none());
        assert!(EsphomeVersion::parse("٢٠٢٦.١").is_none(), "ASCII only");
    }

    // Covers: M19
    #[test]
    fn versions_order_by_meaning_and_not_by_text() {
        fn compare(a: &str, b: &str) -> Ordering {
            let (a, b) = (a.parse::<EsphomeVersion>(), b.parse::<EsphomeVersion>());
            let (a, b) = (a.unwrap(), b.unwrap());
            a.order_key().unwrap().cmp(&b.order_key().unwrap())
        }
        assert_eq!(compare("2026.10.0b6", "2026.10.0"), Ordering::Less);
        assert_eq!(compare("2026.6", "2026.6.0"), Ordering::Equal);
        assert_eq!(compare("2026.9.9", "2026.10.0"), Ordering::Less);
        assert_eq!(compare("2026.10.0a9", "2026.10.0b1"), Ordering::Less);
        assert_eq!(compare("2026.10.0rc1", "2026.10.0b10"), Ordering::Greater);
        assert_eq!(compare("2026.06", "2026.6"), Ordering::Equal);
        assert_eq!(compare("0", "0.0"), Ordering::Equal);
        let long = "9".repeat(60);
        assert_eq!(compare(&long, "2026"), Ordering::Greater);
    }

    #[test]
    fn only_a_release_line_from_2026_10_on_gets_skip_bootloader() {
        let rows = rows(VERSIONS, "skip_bootloader_gate");
        assert_eq!(rows.len(), 7);
        for row in rows {
            let version = EsphomeVersion::parse(row["version"].as_str().unwrap());
            let knows = version.is_some_and(|v| v.knows_skip_bootloader());
            assert_eq!(knows, row["skip_bootloader_allowed"], "{row}");
        }
    }

    #[test]
    fn the_grammar_takes_every_optional_part_and_nothing_else() {
        for good in [
            "1",
            "v1.2",
            "V1",
            "1!2.3",
            "1a",
            "1-alpha_2",
            "1.PREVIEW",
            "1c3",
            "1post",
            "1.post-2",
            "1-3",
            "1.dev",
            "1_dev_4",
            "1rc1.post2.dev3+a.b-c_d",
            "1a-",
            "1a--1",
            "2026.10-dev",
        ] {
            assert!(EsphomeVersion::parse(good).is_some(), "{good}");
        }
        for bad in [
            "v",
            ".1",
            "1.",
            "1..2",
            "1!",
            "!1",
            "1+",
            "1+a.",
            "1+a..b",
            "1x",
            "1-",
            "1 ",
            " 1",
            "1\n",
            "1dev1post1",
            "1;x",
            "1/..",
            "1é",
        ] {
            assert!(EsphomeVersion::parse(bad).is_none(), "{bad}");
        }
    }
}
