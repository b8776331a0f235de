//! [`JobLogs`]: what a job's tools said, one append-only file per job, and who reads along.
//!
//! A log is written block by block as it comes, without a sync: after a crash of Kiln nothing is
//! missing, after a power cut at most what the system had not written yet.
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_model::JobId;
use kiln_ports::Store;
use tokio::sync::broadcast;

/// Largest log kept of one job, in bytes (trust.md §1.7).
const MAX_BYTES: u64 = 64 << 20;

/// Readers that fall behind by more than this many changes look at the file's length instead.
const CHANGES_KEPT: usize = 1024;

/// All logs.
pub(crate) struct JobLogs {
    store: Arc<dyn Store>,
    open: Mutex<HashMap<JobId, LogFile>>,
    changes: broadcast::Sender<JobId>,
}

struct LogFile {
    file: File,
    bytes: u64,
    ends_in_terminator: bool,
}

impl JobLogs {
    /// Makes the set of logs of one store.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            open: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
        }
    }

    /// Tells from now on which job's log grew.
    pub(crate) fn changes(&self) -> broadcast::Receiver<JobId> {
        self.changes.subscribe()
    }

    /// Appends text as it came, terminators kept. A log that cannot be written is reported once
    /// per block and otherwise does not stop the job.
    pub(crate) fn append(&self, job: &JobId, text: &str) {
        self.with(job, |log| log.write(text));
    }

    /// Appends a notice of Kiln's own: `*** text ***` on a line of its own (builds.md §2.11).
    pub(crate) fn note(&self, job: &JobId, text: &str) -> String {
        let mut line = format!("*** {text} ***\n");
        self.with(job, |log| {
            if !log.ends_in_terminator {
                line.insert(0, '\n');
            }
            log.write(&line)
        });
        line
    }

    /// Closes the file of a job that is final. A later append opens it again.
    pub(crate) fn close(&self, job: &JobId) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(job);
        // Without readers there is nobody to tell.
        let _ = self.changes.send(job.clone());
    }

    fn with(&self, job: &JobId, write: impl FnOnce(&mut LogFile) -> std::io::Result<()>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match open.entry(job.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => write(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                LogFile::open(&self.store.log_path(job)).and_then(|log| write(entry.insert(log)))
            }
        };
        drop(open);
        if let Err(error) = result {
            tracing::warn!(%job, %error, "the log of this job is incomplete");
        }
        let _ = self.changes.send(job.clone());
    }
}

impl LogFile {
    fn open(path: &std::path::Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            file,
            bytes,
            ends_in_terminator: true,
        })
    }

    fn write(&mut self, text: &str) -> std::io::Result<()> {
        if text.is_empty() || self.bytes > MAX_BYTES {
            return Ok(());
        }
        self.file.write_all(text.as_bytes())?;
        self.bytes += text.len() as u64;
        self.ends_in_terminator = text.ends_with(['\n', '\r']);
        if self.bytes > MAX_BYTES {
            self.file
                .write_all(b"\n*** log is full; the rest is not kept ***\n")?;
        }
        Ok(())
    }
}
