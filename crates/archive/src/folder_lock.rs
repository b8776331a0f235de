//! [`FolderLock`]: one archive at a time is unpacked in a folder, however many threads want to.
use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, LazyLock, LockResult, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cap_fs_ext::MetadataExt;
use cap_std::fs::Dir;

/// How long a waiting thread goes without looking at its cancellation flag.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Folders in use, by device and file number.
static BUSY: LazyLock<Mutex<HashSet<(u64, u64)>>> = LazyLock::new(Mutex::default);
static RELEASED: Condvar = Condvar::new();

/// Keeps other calls of this process out of a folder until it is dropped. Other processes have no
/// business there: one node owns its state directory.
#[derive(Debug)]
pub(crate) struct FolderLock(u64, u64);

impl FolderLock {
    /// Waits for the folder. `None` once `cancel` is set.
    pub(crate) fn hold(folder: &Dir, cancel: &AtomicBool) -> io::Result<Option<Self>> {
        let found = folder.dir_metadata()?;
        let (device, number) = (found.dev(), found.ino());
        let mut busy = locked(BUSY.lock());
        while !cancel.load(Ordering::Relaxed) {
            if busy.insert((device, number)) {
                return Ok(Some(Self(device, number)));
            }
            let woken = RELEASED.wait_timeout(busy, LOOK_UP);
            busy = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(None)
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        locked(BUSY.lock()).remove(&(self.0, self.1));
        RELEASED.notify_all();
    }
}

/// A thread that panicked between two statements left a set that is still one.
fn locked<T>(result: LockResult<MutexGuard<'_, T>>) -> MutexGuard<'_, T> {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Dir) {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(place.path(), cap_std::ambient_authority()).unwrap();
        (place, dir)
    }

    #[test]
    fn a_folder_is_held_by_one_and_others_are_free() {
        let (go, stop) = (AtomicBool::new(false), AtomicBool::new(true));
        let ((_one, one), (_two, two)) = (folder(), folder());
        let held = FolderLock::hold(&one, &go).unwrap().unwrap();
        assert!(FolderLock::hold(&two, &go).unwrap().is_some());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| FolderLock::hold(&one, &go).unwrap().is_some());
            drop(held);
            assert!(waiting.join().unwrap());
        });
        assert!(FolderLock::hold(&one, &stop).unwrap().is_none());
        assert!(FolderLock::hold(&one, &go).unwrap().is_some());
    }
}
