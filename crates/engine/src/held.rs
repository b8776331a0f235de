//! [`Held`]: what folders hold on the disk.
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Bytes and entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// Entries that cannot be looked at: nobody may, or their path is longer than a path can be.
    pub(crate) hidden: u64,
}

impl Held {
    /// Adds what lies at `path`. Links inside are counted, not followed.
    pub(crate) fn with(mut self, path: &Path) -> Self {
        let mut folders = Vec::new();
        self.add(path.to_owned(), path.symlink_metadata(), &mut folders);
        while let Some(folder) = folders.pop() {
            match std::fs::read_dir(&folder) {
                Ok(entries) => {
                    for entry in entries.flatten() {
                        self.entries += 1;
                        self.add(entry.path(), entry.metadata(), &mut folders);
                    }
                }
                Err(error) => self.miss(&error),
            }
        }
        self
    }

    /// Adds one entry; a folder is looked into later, so that no more than one is ever open.
    fn add(&mut self, path: PathBuf, facts: io::Result<Metadata>, folders: &mut Vec<PathBuf>) {
        match facts {
            Ok(facts) if facts.is_dir() => folders.push(path),
            Ok(facts) => self.bytes += facts.len(),
            Err(error) => self.miss(&error),
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
        let root = cap_std::ambient_authority();
        let mut deep = cap_std::fs::Dir::open_ambient_dir(dir.path(), root).unwrap();
        for _ in 0..40 {
            deep.create_dir("x".repeat(200)).unwrap();
            deep = deep.open_dir("x".repeat(200)).unwrap();
        }
        deep.write("file", "12345").unwrap();
        assert_eq!(Held::default().with(dir.path()).hidden, 1);
    }
}
