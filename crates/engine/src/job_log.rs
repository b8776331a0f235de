//! [`JobLogs`]: what a job's tools said, one append-only file per job, and who reads along.
//!
//! A log is written block by block as it comes, without a sync: after a crash of Kiln nothing is
//! missing, after a power cut at most what the system had not written yet.
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{Arc, Mutex};

use kiln_model::JobId;
use kiln_ports::Store;
use tokio::sync::broadcast;

use crate::lock::lock;

/// How much is kept of what the tools of a job say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Of a job of the owner 64 MiB (trust.md §1.7).
    Owners,
    /// Of a job of somebody else, who has all of it, 4 MiB: history keeps hundreds of them, and none of
    /// their logs goes before its job.
    Guests,
}

impl Keep {
    fn bytes(self) -> u64 {
        match self {
            Keep::Owners => 64 << 20,
            Keep::Guests => 4 << 20,
        }
    }
}

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

    /// Appends text of a job's tools as it came, terminators kept, as far as so much is kept. A log that
    /// cannot be written is reported once per block and otherwise does not stop the job.
    pub(crate) fn append(&self, job: &JobId, keep: Keep, text: &str) {
        self.with(job, |log| log.write_within(keep.bytes(), text));
    }

    /// Appends a notice of Kiln's own, however much there is: `*** text ***` on a line of its own
    /// (builds.md §2.11).
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
        lock(&self.open).remove(job);
        // Without readers there is nobody to tell.
        let _ = self.changes.send(job.clone());
    }

    fn with(&self, job: &JobId, write: impl FnOnce(&mut LogFile) -> std::io::Result<()>) {
        let mut open = lock(&self.open);
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

    fn write_within(&mut self, most: u64, text: &str) -> std::io::Result<()> {
        if self.bytes > most {
            return Ok(());
        }
        self.write(text)?;
        // What Kiln says itself takes nothing from it.
        self.bytes += text.len() as u64;
        if self.bytes > most {
            self.write("\n*** log is full; the rest is not kept ***\n")?;
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> std::io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.file.write_all(text.as_bytes())?;
        self.ends_in_terminator = text.ends_with(['\n', '\r']);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kiln_testkit::DirStore;

    use super::*;

    #[test]
    fn of_a_job_of_somebody_else_the_beginning_is_kept_and_what_kiln_says_of_it() {
        let store = Arc::new(DirStore::new());
        let logs = JobLogs::new(Arc::clone(&store) as Arc<dyn Store>);
        let [guest, own] = [1, 2].map(JobId::from_random);
        let block = "0123456789abcde\n".repeat(1 << 16);
        for _ in 0..8 {
            logs.append(&guest, Keep::Guests, &block);
            logs.append(&own, Keep::Owners, &block);
        }
        logs.note(&guest, "it was handed back");
        let chatty = JobId::from_random(3);
        logs.append(&chatty, Keep::Guests, &block.repeat(3));
        logs.note(&chatty, &block);
        logs.append(&chatty, Keep::Guests, &block.repeat(2));
        let log = |job| std::fs::read_to_string(store.log_path(job)).unwrap();
        assert_eq!(log(&own), block.repeat(8));
        let end = "\n*** log is full; the rest is not kept ***\n*** it was handed back ***\n";
        let kept = log(&guest);
        assert!(kept.ends_with(end), "{}", &kept[kept.len() - 200..]);
        let most = Keep::Guests.bytes() + block.len() as u64 + end.len() as u64;
        assert!(kept.len() as u64 <= most, "{}", kept.len());
        assert!(log(&chatty).ends_with("the rest is not kept ***\n"));
    }
}
