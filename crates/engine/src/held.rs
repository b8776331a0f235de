//! [`Held`]: what folders hold on the disk.
use std::path::Path;

/// Bytes and entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

impl Held {
    /// Adds what lies at `path`. Links inside are counted, not followed; what cannot be read counts
    /// nothing.
    pub(crate) fn with(mut self, path: &Path) -> Self {
        let Ok(facts) = path.symlink_metadata() else {
            return self;
        };
        if !facts.is_dir() {
            self.bytes += facts.len();
            return self;
        }
        let entries = std::fs::read_dir(path);
        for entry in entries.into_iter().flatten().flatten() {
            self.entries += 1;
            self = self.with(&entry.path());
        }
        self
    }
}
