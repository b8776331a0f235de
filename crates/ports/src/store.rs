//! [`Store`]: durable records, blobs and job logs.
use std::fs::File;
use std::path::PathBuf;

use kiln_model::{BlobId, Sentence, say};

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The disk is full; nothing was changed.
    Full,
    /// The file was written by a newer Kiln (schema version given).
    Newer(i64),
    /// The file is damaged; it was left as it is.
    Damaged(String),
    /// Anything else, in the system's words.
    Failed(String),
}

impl StoreError {
    /// Returns it in words.
    pub fn sentence(&self) -> Sentence {
        match self {
            StoreError::Full => say::disk_full(),
            StoreError::Newer(schema) => say::state_newer(schema.to_string()),
            StoreError::Damaged(why) => say::state_damaged(why),
            StoreError::Failed(why) => why.into(),
        }
    }
}

kiln_model::spoken_errors!(StoreError);

/// One record: a row of a kind under a key, its body a JSON text that the engine owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `peer`, `pairing`, `job`, `setting`, `meta`.
    pub kind: String,
    /// Unique within its kind.
    pub key: String,
    /// JSON.
    pub body: String,
}

/// One change; a list of them is applied wholly or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Insert or replace.
    Put(Row),
    /// Delete; fine if absent.
    Delete {
        /// Kind.
        kind: String,
        /// Key.
        key: String,
    },
}

/// What blobs and logs take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// All blobs.
    pub blobs: u64,
    /// Logs of all jobs.
    pub logs: u64,
}

/// Records, blobs and logs of one state directory. All calls may block on the disk: call from a
/// thread that may.
pub trait Store: Send + Sync + 'static {
    /// Returns every row of a kind, in order of first insertion.
    fn rows(&self, kind: &str) -> Result<Vec<Row>, StoreError>;

    /// Applies changes in one transaction; synced when it returns.
    fn apply(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Returns where a blob lies or would lie.
    fn blob_path(&self, id: &BlobId) -> PathBuf;

    /// Creates an empty blob that only this user can read (0600), replacing a left-over of the same
    /// name. The caller writes it, syncs it, and names it in a record before anything relies on it.
    fn create_blob(&self, id: &BlobId) -> Result<File, StoreError>;

    /// Deletes a blob; fine if absent.
    fn drop_blob(&self, id: &BlobId) -> Result<(), StoreError>;

    /// Lists blobs on disk, for the sweep of those that no record names.
    fn blobs(&self) -> Result<Vec<BlobId>, StoreError>;

    /// Returns what blobs and logs take; what cannot be read counts nothing.
    fn held(&self) -> Held;

    /// Lists jobs that have a log on disk, for the sweep of those that no record names.
    fn logs(&self) -> Result<Vec<kiln_model::JobId>, StoreError>;

    /// Returns where the log of a job lies; our own job ids only.
    fn log_path(&self, job: &kiln_model::JobId) -> PathBuf;
}
