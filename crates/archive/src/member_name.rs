//! [`MemberName`]: a path inside an archive that is safe to create on every OS.
use kiln_model::{steers, storable_component};
use unicode_normalization::UnicodeNormalization;

/// Longest path of a member, in bytes (trust.md §1.7).
pub(crate) const MAX_PATH_BYTES: usize = 240;
/// Most components of a path, the file's own name included (trust.md §1.7).
pub(crate) const MAX_DEPTH: usize = 16;

/// A relative path with forward slashes whose every component can be stored on Linux, macOS and
/// Windows alike, at most [`MAX_PATH_BYTES`] long and [`MAX_DEPTH`] deep.
///
/// The name is kept as it came (a configuration refers to its files by exactly these bytes); only
/// comparisons between members normalise it, see [`MemberName::folded_prefix`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberName(String);

/// Why a member's name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Not UTF-8, or holds a NUL.
    #[error("is not valid text")]
    NotText,
    /// Empty, or longer than 240 bytes.
    #[error("is empty or longer than 240 bytes")]
    Length,
    /// More than 16 components.
    #[error("lies more than 16 folders deep")]
    Depth,
    /// Starts at a root, a drive or a share.
    #[error("is an absolute path")]
    Absolute,
    /// Holds `.` or `..` as a component, on either separator.
    #[error("climbs out of its folder")]
    Climbs,
    /// Holds control, direction or invisible characters.
    #[error("holds invisible characters")]
    Invisible,
    /// Cannot be stored on some OS: reserved device, forbidden character, trailing dot or space.
    #[error("cannot be stored on every system")]
    Unstorable,
}

impl MemberName {
    /// Checks the raw bytes of a name. A folder's trailing slash is the caller's business.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, NameFault> {
        let name = std::str::from_utf8(raw).map_err(|_| NameFault::NotText)?;
        if name.is_empty() || name.len() > MAX_PATH_BYTES {
            return Err(NameFault::Length);
        }
        if name.contains('\0') {
            return Err(NameFault::NotText);
        }
        if name.contains(is_invisible) {
            return Err(NameFault::Invisible);
        }
        let has_drive =
            name.as_bytes().get(1) == Some(&b':') && name.starts_with(|c: char| c.is_alphabetic());
        if name.starts_with(['/', '\\']) || has_drive {
            return Err(NameFault::Absolute);
        }
        if name.split(['/', '\\']).any(|c| c == "." || c == "..") {
            return Err(NameFault::Climbs);
        }
        if name.split('/').count() > MAX_DEPTH {
            return Err(NameFault::Depth);
        }
        if !name.split('/').all(storable_component) {
            return Err(NameFault::Unstorable);
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the path with forward slashes.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the components, outermost first.
    pub(crate) fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Returns each prefix of the path, from the first component to the whole name.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> {
        let cuts = self.0.match_indices('/').map(|(at, _)| at);
        cuts.chain([self.0.len()])
            .filter_map(|end| self.0.get(..end))
    }
}

/// Returns the form under which two names count as equal: what case-insensitive and
/// normalising file systems may merge, merged (full upper then lower case, then NFD).
pub(crate) fn folded(name: &str) -> String {
    name.nfd()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfd()
        .collect()
}

/// Returns a peer's text as it may stand in a message: escaped, at most 80 characters.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let cut: String = text.chars().take(80).collect();
    let escaped = cut.escape_debug().to_string();
    escaped.chars().take(80).collect()
}

/// Returns whether a name that holds this character does not look like what it is. What joins
/// letters and emoji, and the tags of flags, is part of how people write, and stays.
pub(crate) fn is_invisible(c: char) -> bool {
    let joins = matches!(c, '\u{200c}' | '\u{200d}' | '\u{e0020}'..='\u{e007f}');
    steers(c) && !joins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(name: &[u8]) -> Option<NameFault> {
        MemberName::parse(name).err()
    }

    #[test]
    fn ordinary_names_pass() {
        for name in [
            "manifest.json",
            "a/b/c.h",
            "Schrift-ü.ttf",
            "Schrift-u\u{308}.ttf",
            ".gitignore",
            "日本語/字.png",
            "comet/concert.h",
        ] {
            assert_eq!(fault(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn names_that_mean_something_else_somewhere_are_refused() {
        for (name, why) in [
            (&b""[..], NameFault::Length),
            (b"/etc/passwd", NameFault::Absolute),
            (b"\\\\srv\\share", NameFault::Absolute),
            (b"C:/x", NameFault::Absolute),
            (b"c:x", NameFault::Absolute),
            (b"a/../b", NameFault::Climbs),
            (b"a\\..\\b", NameFault::Climbs),
            (b"./a", NameFault::Climbs),
            (b"a//b", NameFault::Unstorable),
            (b"a\\b", NameFault::Unstorable),
            (b"ab:stream", NameFault::Unstorable),
            (b"lib/NUL.txt", NameFault::Unstorable),
            (b"dot.", NameFault::Unstorable),
            (b"a\0b", NameFault::NotText),
            (b"\xff", NameFault::NotText),
            (b"\xc0\xaf", NameFault::NotText),
            ("a\u{202e}gpj.exe".as_bytes(), NameFault::Invisible),
            (b"a\x1bb", NameFault::Invisible),
        ] {
            assert_eq!(fault(name), Some(why), "{}", shown(name));
        }
    }

    #[test]
    fn prefixes_end_with_the_name_itself() {
        let name = MemberName::parse(b"a/b/c").unwrap();
        assert_eq!(name.prefixes().collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
    }

    #[test]
    fn names_that_some_file_system_merges_fold_to_one() {
        for (one, other) in [
            ("README", "readme"),
            ("ü", "u\u{308}"),
            ("straße", "STRASSE"),
            ("K", "\u{212a}"),
        ] {
            assert_eq!(folded(one), folded(other), "{one}");
        }
        assert_ne!(folded("a"), folded("b"));
    }
}
