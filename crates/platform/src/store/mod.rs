//! [`SqliteStore`]: rows in one SQLite file, blobs and job logs as files beside it.
mod schema;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_model::{BlobId, JobId};
use kiln_ports::Store;
use kiln_ports::store::{Change, Held, Row, StoreError};
use rusqlite::{Connection, ErrorCode, params};

use crate::files;

/// Ends the names of job logs.
const LOG: &str = ".log";

/// The store of one state folder. One change costs one append to the journal and one device sync,
/// however many rows there are.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Mutex<Connection>,
    blobs: PathBuf,
    job_logs: PathBuf,
}

impl SqliteStore {
    /// Opens `kiln.db` in the state folder, or makes it if there is none.
    ///
    /// A file that is damaged or from a newer Kiln is left byte for byte as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(state: &Path, job_logs: &Path) -> Result<Self, StoreError> {
        let blobs = state.join("blobs");
        for dir in [state, &blobs, job_logs] {
            files::create_private_dir(dir).map_err(from_io)?;
        }
        Ok(Self {
            connection: Mutex::new(schema::open(&state.join("kiln.db"))?),
            blobs,
            job_logs: job_logs.to_owned(),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere cannot leave a transaction half done: it is rolled back when dropped.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for SqliteStore {
    fn rows(&self, kind: &str) -> Result<Vec<Row>, StoreError> {
        let connection = self.connection();
        let mut select = connection
            .prepare_cached("SELECT key, body FROM row WHERE kind = ?1 ORDER BY id")
            .map_err(from_sqlite)?;
        let rows = select
            .query_map([kind], |row| {
                Ok(Row {
                    kind: kind.to_owned(),
                    key: row.get(0)?,
                    body: row.get(1)?,
                })
            })
            .map_err(from_sqlite)?;
        rows.collect::<Result<_, _>>().map_err(from_sqlite)
    }

    fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction().map_err(from_sqlite)?;
        for change in changes {
            match change {
                // The id of a row that is replaced stays: it is the order of first insertion.
                Change::Put(row) => transaction
                    .prepare_cached(
                        "INSERT INTO row (kind, key, body) VALUES (?1, ?2, ?3)
                         ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                    )
                    .and_then(|mut put| put.execute(params![row.kind, row.key, row.body])),
                Change::Delete { kind, key } => transaction
                    .prepare_cached("DELETE FROM row WHERE kind = ?1 AND key = ?2")
                    .and_then(|mut delete| delete.execute(params![kind, key])),
            }
            .map_err(from_sqlite)?;
        }
        transaction.commit().map_err(from_sqlite)
    }

    fn blob_path(&self, id: &BlobId) -> PathBuf {
        self.blobs.join(id.as_str())
    }

    fn create_blob(&self, id: &BlobId) -> Result<File, StoreError> {
        self.drop_blob(id)?;
        let blob = files::create_private(&self.blob_path(id)).map_err(from_io)?;
        // The name is durable first, so that syncing the content is all the caller has to do.
        files::sync_dir(&self.blobs).map_err(from_io)?;
        Ok(blob)
    }

    fn drop_blob(&self, id: &BlobId) -> Result<(), StoreError> {
        match fs::remove_file(self.blob_path(id)) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(from_io(e)),
        }
    }

    fn blobs(&self) -> Result<Vec<BlobId>, StoreError> {
        let mut ids = named(&self.blobs, BlobId::from_stored)?;
        ids.sort();
        Ok(ids)
    }

    fn logs(&self) -> Result<Vec<JobId>, StoreError> {
        named(&self.job_logs, |name| name.strip_suffix(LOG)?.parse().ok())
    }

    fn held(&self) -> Held {
        Held {
            blobs: held(&self.blobs),
            logs: held(&self.job_logs),
        }
    }

    fn log_path(&self, job: &JobId) -> PathBuf {
        self.job_logs.join(format!("{job}{LOG}"))
    }
}

/// Returns what the names of the files in a folder stand for.
fn named<T>(folder: &Path, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(from_io)? {
        let name = entry.map_err(from_io)?.file_name();
        all.extend(name.to_str().and_then(&read));
    }
    Ok(all)
}

/// Returns what the files in a folder take, in bytes.
fn held(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = files.filter_map(|file| file.metadata().ok().map(|facts| facts.len()));
    sizes.sum()
}

fn from_sqlite(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy) => StoreError::Failed(
            "another program has Kiln's records open; close it, then start Kiln again".to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged(error.to_string())
        }
        Some(_) | None => StoreError::Failed(error.to_string()),
    }
}

fn from_io(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
