//! [`BlobWriter`]: a blob that comes in over a link, written behind the reader's back.
//!
//! Two blocks of memory go round: one is filled while the other is written on a thread that may
//! wait for the disk. The first failure of the disk is kept and told at the end; until then the
//! rest of the stream is swallowed, so that its sender can be answered properly.
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use kiln_model::BlobId;
use kiln_ports::Store;
use kiln_ports::store::StoreError;
use tokio::task::JoinHandle;

/// Bytes that go to disk at once: few enough to stay in a cache, enough to make the hand-over
/// between threads cheap.
const BLOCK: usize = 256 * 1024;

/// A blob being written. Dropping it deletes what is there.
pub(super) struct BlobWriter {
    store: Arc<dyn Store>,
    id: BlobId,
    block: Vec<u8>,
    disk: Disk,
}

/// The other side of the hand-over.
enum Disk {
    /// Nothing to do; has the file once there is one, and the spare block.
    Idle(Option<File>, Vec<u8>),
    /// Writes a block.
    Busy(JoinHandle<Result<(File, Vec<u8>), StoreError>>),
    /// Failed; whatever comes is swallowed.
    Broken(StoreError),
    /// The blob is complete and belongs to somebody else.
    Done,
}

impl BlobWriter {
    /// Begins a blob of this name. Nothing touches the disk yet.
    pub(super) fn new(store: Arc<dyn Store>, id: BlobId) -> Self {
        let disk = Disk::Idle(None, Vec::new());
        Self {
            store,
            id,
            block: Vec::new(),
            disk,
        }
    }

    /// Begins a blob under a name that no blob has.
    pub(super) fn fresh(store: Arc<dyn Store>, kind: &str) -> Self {
        match getrandom::u64() {
            Ok(number) => Self::new(store, BlobId::new(kind, number)),
            Err(error) => {
                let broken = StoreError::Failed(format!("no random numbers: {error}"));
                let mut blob = Self::new(store, BlobId::new(kind, 0));
                blob.disk = Disk::Broken(broken);
                blob
            }
        }
    }

    /// Appends bytes. Waits only while both blocks are full.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !matches!(self.disk, Disk::Broken(_)) {
            let room = BLOCK - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.hand_over().await;
            }
        }
    }

    /// Returns the blob's name once it is complete on disk and synced.
    pub(super) async fn finish(mut self) -> Result<BlobId, StoreError> {
        self.settle().await;
        let (file, block) = match std::mem::replace(&mut self.disk, Disk::Done) {
            Disk::Idle(file, _) => (file, std::mem::take(&mut self.block)),
            Disk::Broken(error) => {
                self.disk = Disk::Broken(error.clone());
                return Err(error);
            }
            Disk::Busy(_) | Disk::Done => return Err(broken("a blob was finished twice")),
        };
        let (store, id) = (Arc::clone(&self.store), self.id.clone());
        let synced = tokio::task::spawn_blocking(move || {
            let mut file = opened(file, store.as_ref(), &id)?;
            file.write_all(&block)
                .and_then(|()| file.sync_all())
                .map_err(of_disk)?;
            sync_folder(&store.blob_path(&id));
            Ok(())
        });
        match synced.await.unwrap_or_else(|e| Err(broken(e))) {
            Ok(()) => Ok(self.id.clone()),
            Err(error) => {
                self.disk = Disk::Broken(error.clone());
                Err(error)
            }
        }
    }

    /// Gives the blob up and deletes what is there of it.
    pub(super) async fn discard(mut self) {
        self.settle().await;
        let started = !matches!(self.disk, Disk::Idle(None, _));
        self.disk = Disk::Done;
        if started {
            let (store, id) = (Arc::clone(&self.store), self.id.clone());
            let _ = tokio::task::spawn_blocking(move || delete(store.as_ref(), &id)).await;
        }
    }

    async fn hand_over(&mut self) {
        self.settle().await;
        let (file, spare) = match std::mem::replace(&mut self.disk, Disk::Done) {
            Disk::Idle(file, spare) => (file, spare),
            other @ (Disk::Busy(_) | Disk::Broken(_) | Disk::Done) => {
                self.disk = other;
                self.block.clear();
                return;
            }
        };
        let mut block = std::mem::replace(&mut self.block, spare);
        let (store, id) = (Arc::clone(&self.store), self.id.clone());
        self.disk = Disk::Busy(tokio::task::spawn_blocking(move || {
            let mut file = opened(file, store.as_ref(), &id)?;
            file.write_all(&block).map_err(of_disk)?;
            block.clear();
            Ok((file, block))
        }));
    }

    /// Waits until the disk is not busy.
    async fn settle(&mut self) {
        if let Disk::Busy(writing) = &mut self.disk {
            self.disk = match writing.await.unwrap_or_else(|e| Err(broken(e))) {
                Ok((file, spare)) => Disk::Idle(Some(file), spare),
                Err(error) => Disk::Broken(error),
            };
        }
    }
}

impl Drop for BlobWriter {
    /// Only where a task was cut off; every planned way goes through `discard` or `finish`.
    fn drop(&mut self) {
        match std::mem::replace(&mut self.disk, Disk::Done) {
            Disk::Idle(None, _) | Disk::Done => {}
            // A file is closed before it is deleted; not every system takes it the other way.
            disk @ (Disk::Idle(Some(_), _) | Disk::Busy(_) | Disk::Broken(_)) => {
                drop(disk);
                delete(self.store.as_ref(), &self.id);
            }
        }
    }
}

fn delete(store: &dyn Store, id: &BlobId) {
    if let Err(error) = store.drop_blob(id) {
        tracing::warn!(%id, %error, "an unfinished blob could not be deleted");
    }
}

fn opened(file: Option<File>, store: &dyn Store, id: &BlobId) -> Result<File, StoreError> {
    match file {
        Some(file) => Ok(file),
        None => store.create_blob(id),
    }
}

/// Makes the name as durable as the bytes. Not every system lets a folder be opened for that; those
/// write names through.
fn sync_folder(path: &Path) {
    let folder = path.parent().map(File::open);
    if let Some(Err(error)) = folder.map(|f| f.and_then(|f| f.sync_all())) {
        tracing::debug!(%error, "the folder of a blob was not synced");
    }
}

fn of_disk(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Failed(error.to_string()),
    }
}

fn broken(reason: impl ToString) -> StoreError {
    StoreError::Failed(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_testkit::DirStore;

    #[tokio::test]
    async fn a_blob_of_many_blocks_comes_out_as_it_went_in() {
        let store = Arc::new(DirStore::new());
        let bytes: Vec<u8> = (0..3 * BLOCK + 17).map(|i| (i % 251) as u8).collect();
        let mut blob = BlobWriter::fresh(store.clone(), "bundle");
        for piece in bytes.chunks(32_768) {
            blob.write(piece).await;
        }
        let id = blob.finish().await.unwrap();
        assert_eq!(std::fs::read(store.blob_path(&id)).unwrap(), bytes);
        assert_eq!(store.blobs().unwrap(), [id]);
    }

    #[tokio::test]
    async fn a_full_disk_is_told_at_the_end_and_leaves_nothing() {
        let store = Arc::new(DirStore::new());
        store.fill_disk();
        let mut blob = BlobWriter::fresh(store.clone(), "bundle");
        for _ in 0..5 {
            blob.write(&[7; BLOCK]).await;
        }
        assert_eq!(blob.finish().await, Err(StoreError::Full));
        assert!(store.blobs().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_blob_given_up_leaves_nothing() {
        let store = Arc::new(DirStore::new());
        let mut blob = BlobWriter::fresh(store.clone(), "bundle");
        blob.write(&[7; 2 * BLOCK]).await;
        blob.discard().await;
        assert!(store.blobs().unwrap().is_empty());
    }
}
