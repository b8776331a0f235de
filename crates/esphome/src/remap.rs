//! Paths of another machine (builds.md §9.2): read in their own flavour, put below a local folder.
//!
//! The raw text is parsed, never the local path type: that one would destroy a POSIX path on
//! Windows and the other way round.

/// Whose rules a path follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// `/` separates; names are case-sensitive.
    Posix,
    /// `/` and `\` separate; names are compared without case.
    Windows,
}

impl Flavour {
    /// Recognises an absolute Windows path (drive letter, colon and either slash, or two
    /// backslashes); everything else is POSIX.
    pub fn of(path: &str) -> Self {
        match path.as_bytes() {
            [b'\\', b'\\', ..] => Flavour::Windows,
            [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic() => Flavour::Windows,
            _ => Flavour::Posix,
        }
    }

    fn parts(self, path: &str) -> Vec<&str> {
        let separates = move |c| c == '/' || (c == '\\' && self == Flavour::Windows);
        path.split(separates)
            .filter(|p| !p.is_empty() && *p != ".")
            .collect()
    }

    fn same(self, a: &str, b: &str) -> bool {
        match self {
            Flavour::Posix => a == b,
            Flavour::Windows => a.to_lowercase() == b.to_lowercase(),
        }
    }
}

/// The path climbs out of the folder it claims to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path of the receiver leaves its build folder")]
pub struct Escapes;

/// Returns `path` relative to `base` with `/` between its parts, empty if it is `base` itself, or
/// `None` if it is not below `base`. The parts contain no `..`.
pub fn below(path: &str, base: &str) -> Result<Option<String>, Escapes> {
    let flavour = Flavour::of(path);
    let rooted = |p: &str| match flavour {
        Flavour::Posix => p.starts_with('/'),
        Flavour::Windows => true,
    };
    if flavour != Flavour::of(base) || rooted(path) != rooted(base) {
        return Ok(None);
    }
    let (path, base) = (flavour.parts(path), flavour.parts(base));
    let Some((head, rest)) = path.split_at_checked(base.len()) else {
        return Ok(None);
    };
    if !head.iter().zip(&base).all(|(a, b)| flavour.same(a, b)) {
        return Ok(None);
    }
    if rest.contains(&"..") {
        return Err(Escapes);
    }
    Ok(Some(rest.join("/")))
}

/// Moves `path` from `base` to `local_base`; a path that is not below `base` stays as it is.
pub fn remap(path: &str, base: &str, local_base: &str) -> Result<String, Escapes> {
    Ok(match below(path, base)? {
        Some(rest) => join(local_base, &rest),
        None => path.to_owned(),
    })
}

/// Appends `/`-separated parts to a local path, with the separator that path uses.
pub fn join(local_base: &str, relative: &str) -> String {
    let (separator, relative) = match Flavour::of(local_base) {
        Flavour::Posix => ("/", relative.to_owned()),
        Flavour::Windows => ("\\", relative.replace('/', "\\")),
    };
    let base = local_base.trim_end_matches(['/', '\\']);
    match relative.as_str() {
        "" => local_base.to_owned(),
        rest => format!("{base}{separator}{rest}"),
    }
}

/// Returns what follows the last separator of either kind, possibly nothing.
pub fn basename(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::vectors;

    // Covers: M87
    #[test]
    fn every_path_remap_row_of_the_vectors_is_reproduced() {
        let rows = vectors("path_remap");
        assert_eq!(rows.len(), 9);
        for row in rows {
            let text = |key: &str| row[key].as_str().unwrap();
            let (from, to) = (text("receiver_build_path"), text("offloader_build_path"));
            let result = remap(text("receiver_path"), from, to);
            assert_eq!(
                result.unwrap_or("error".to_owned()),
                text("result"),
                "{row}"
            );
        }
    }

    #[test]
    fn every_basename_row_of_the_vectors_is_reproduced() {
        let rows = vectors("basename");
        assert_eq!(rows.len(), 6);
        for row in rows {
            assert_eq!(
                basename(row["path"].as_str().unwrap()),
                row["basename"],
                "{row}"
            );
        }
    }

    #[test]
    fn a_local_windows_folder_gets_backslashes() {
        let moved = remap("/r/b/.pioenvs/n/firmware.bin", "/r/b", r"C:\esphb\b");
        assert_eq!(moved.as_deref(), Ok(r"C:\esphb\b\.pioenvs\n\firmware.bin"));
    }

    #[test]
    fn neither_a_shared_prefix_nor_another_flavour_is_below() {
        for (path, base) in [
            ("/r/build/nn/x", "/r/build/n"),
            ("/r/build", "/r/build/n"),
            ("r/build/n/x", "/r/build/n"),
            (r"C:\r\n\x", "/r/n"),
            ("/R/n/x", "/r/n"),
            ("", "/r/n"),
        ] {
            assert_eq!(below(path, base), Ok(None), "{path}");
        }
        assert_eq!(below("/r/n/../n/x", "/r/n"), Err(Escapes));
        assert_eq!(below(r"c:\R\n\..\x", "C:/r/n"), Err(Escapes));
        assert_eq!(below("/r/n/a//./b", "/r/n/"), Ok(Some("a/b".to_owned())));
    }
}
