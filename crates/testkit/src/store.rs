//! [`DirStore`]: records in memory, blobs and logs in a temporary folder that goes with it.
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_model::{BlobId, JobId};
use kiln_ports::Store;
use kiln_ports::store::{Change, Held, Row, StoreError};
use tempfile::TempDir;

/// A store that lives as long as the test. A restart is a second engine on the same store.
pub struct DirStore {
    dir: TempDir,
    rows: Mutex<Vec<Row>>,
    refuse: Mutex<Option<StoreError>>,
    disk_is_full: Mutex<bool>,
}

impl DirStore {
    /// Makes an empty store.
    ///
    /// # Panics
    ///
    /// If the system has no room for a temporary folder.
    #[allow(clippy::expect_used)]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for part in ["blobs", "logs"] {
            fs::create_dir(dir.path().join(part)).expect("a folder in a fresh folder");
        }
        Self {
            dir,
            rows: Mutex::default(),
            refuse: Mutex::default(),
            disk_is_full: Mutex::default(),
        }
    }

    /// Makes every `apply` fail with this from now on; `None` heals it.
    pub fn refuse(&self, error: Option<StoreError>) {
        *lock(&self.refuse) = error;
    }

    /// Makes every blob that is created from now on refuse its first byte for want of room. Needs
    /// a system with `/dev/full`.
    pub fn fill_disk(&self) {
        *lock(&self.disk_is_full) = true;
    }
}

impl Default for DirStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for DirStore {
    fn rows(&self, kind: &str) -> Result<Vec<Row>, StoreError> {
        let rows = lock(&self.rows);
        Ok(rows.iter().filter(|r| r.kind == kind).cloned().collect())
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        if let Some(error) = lock(&self.refuse).clone() {
            return Err(error);
        }
        let mut rows = lock(&self.rows);
        for change in changes {
            match change {
                Change::Put(new) => {
                    let same = |r: &&mut Row| r.kind == new.kind && r.key == new.key;
                    match rows.iter_mut().find(same) {
                        Some(old) => *old = new.clone(),
                        None => rows.push(new.clone()),
                    }
                }
                Change::Delete { kind, key } => {
                    rows.retain(|r| r.kind != *kind || r.key != *key);
                }
            }
        }
        Ok(())
    }

    fn blob_path(&self, id: &BlobId) -> PathBuf {
        self.dir.path().join("blobs").join(id.as_str())
    }

    fn create_blob(&self, id: &BlobId) -> Result<File, StoreError> {
        let failed = |e: std::io::Error| StoreError::Failed(e.to_string());
        let path = match *lock(&self.disk_is_full) {
            true => PathBuf::from("/dev/full"),
            false => self.blob_path(id),
        };
        File::create(path).map_err(failed)
    }

    fn drop_blob(&self, id: &BlobId) -> Result<(), StoreError> {
        match fs::remove_file(self.blob_path(id)) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(StoreError::Failed(e.to_string())),
        }
    }

    fn blobs(&self) -> Result<Vec<BlobId>, StoreError> {
        let failed = |e: std::io::Error| StoreError::Failed(e.to_string());
        let entries = fs::read_dir(self.dir.path().join("blobs")).map_err(failed)?;
        let mut ids: Vec<BlobId> = entries
            .filter_map(|e| BlobId::from_stored(e.ok()?.file_name().to_str()?))
            .collect();
        ids.sort();
        Ok(ids)
    }

    fn held(&self) -> Held {
        let files = |folder: &str| {
            let entries = fs::read_dir(self.dir.path().join(folder));
            let sizes = entries.into_iter().flatten().flatten();
            let sizes = sizes.filter_map(|file| file.metadata().ok().map(|facts| facts.len()));
            sizes.sum()
        };
        Held {
            blobs: files("blobs"),
            logs: files("logs"),
        }
    }

    fn logs(&self) -> Result<Vec<JobId>, StoreError> {
        let failed = |e: std::io::Error| StoreError::Failed(e.to_string());
        let entries = fs::read_dir(self.dir.path().join("logs")).map_err(failed)?;
        let id = |name: &str| name.strip_suffix(".log")?.parse().ok();
        let ids = entries.filter_map(|e| id(e.ok()?.file_name().to_str()?));
        Ok(ids.collect())
    }

    fn log_path(&self, job: &JobId) -> PathBuf {
        self.dir.path().join("logs").join(format!("{job}.log"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_the_order_of_their_first_insertion() {
        let store = DirStore::new();
        let put = |key: &str, body: &str| {
            Change::Put(Row {
                kind: "job".into(),
                key: key.into(),
                body: body.into(),
            })
        };
        store
            .apply(&[put("b", "1"), put("a", "2"), put("b", "3")])
            .unwrap();
        let bodies: Vec<String> = store
            .rows("job")
            .unwrap()
            .into_iter()
            .map(|r| r.body)
            .collect();
        assert_eq!(bodies, ["3", "2"]);
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let store = DirStore::new();
        store.refuse(Some(StoreError::Full));
        let change = Change::Put(Row {
            kind: "job".into(),
            key: "a".into(),
            body: "{}".into(),
        });
        assert_eq!(
            store.apply(std::slice::from_ref(&change)),
            Err(StoreError::Full)
        );
        assert!(store.rows("job").unwrap().is_empty());
    }
}
