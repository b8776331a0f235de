//! [`Held`]: what folders hold on the disk.
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Bytes and entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// Entries that cannot be looked at: nobody may, or their path is longer than a path can be.
    pub(crate) hidden: u64,
}

/// What an entry turned out to be.
enum Entry {
    Folder,
    /// Or anything else, with its bytes.
    File(u64),
}

impl Held {
    /// Adds what lies at `path`. Links inside are counted, not followed.
    pub(crate) fn with(self, path: &Path) -> Self {
        self.adding(path, |entry| {
            entry.metadata().map(|facts| match facts.is_dir() {
                true => Entry::Folder,
                false => Entry::File(facts.len()),
            })
        })
    }

    /// Adds the entries alone: no file is looked at, only folders are.
    pub(crate) fn counting(self, path: &Path) -> Self {
        self.adding(path, |entry| {
            entry.file_type().map(|kind| match kind.is_dir() {
                true => Entry::Folder,
                false => Entry::File(0),
            })
        })
    }

    /// A folder is looked into after the one that it is in, so that no more than one is ever open.
    fn adding(mut self, path: &Path, look: impl Fn(&DirEntry) -> io::Result<Entry>) -> Self {
        let mut folders = Vec::new();
        match path.symlink_metadata() {
            Ok(facts) if facts.is_dir() => folders.push(path.to_owned()),
            Ok(facts) => self.bytes += facts.len(),
            Err(error) => self.miss(&error),
        }
        while let Some(folder) = folders.pop() {
            match std::fs::read_dir(&folder) {
                Ok(entries) => {
                    for entry in entries.flatten() {
                        self.entries += 1;
                        match look(&entry) {
                            Ok(Entry::Folder) => folders.push(entry.path()),
                            Ok(Entry::File(bytes)) => self.bytes += bytes,
                            Err(error) => self.miss(&error),
                        }
                    }
                }
                Err(error) => self.miss(&error),
            }
        }
        self
    }

    /// Returns by how much this is more than `other`.
    pub(crate) fn without(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            entries: self.entries.saturating_sub(other.entries),
            hidden: self.hidden.saturating_sub(other.hidden),
        }
    }

    /// Counts what cannot be looked at, unless it is gone.
    fn miss(&mut self, error: &io::Error) {
        if error.kind() != ErrorKind::NotFound {
            self.hidden += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_lies_deeper_than_a_path_can_say_is_told_to_be_hidden() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "12345").unwrap();
        let plain = Held {
            bytes: 5,
            entries: 1,
            hidden: 0,
        };
        assert_eq!(Held::default().with(dir.path()), plain);
        let counted = Held { bytes: 0, ..plain };
        assert_eq!(Held::default().counting(dir.path()), counted);
        let root = cap_std::ambient_authority();
        let mut deep = cap_std::fs::Dir::open_ambient_dir(dir.path(), root).unwrap();
        for _ in 0..40 {
            deep.create_dir("x".repeat(200)).unwrap();
            deep = deep.open_dir("x".repeat(200)).unwrap();
        }
        deep.write("file", "12345").unwrap();
        assert_eq!(Held::default().with(dir.path()).hidden, 1);
        assert_eq!(Held::default().counting(dir.path()).hidden, 1);
    }
}
