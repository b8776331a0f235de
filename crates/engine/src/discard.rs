//! [`Discard`]: the folder from which things are deleted, whatever a build made of them.
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_fs_ext::DirExt as _;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Permissions};

/// Numbers what is taken, so that two threads never give one name twice.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// A folder that no build can reach. What is deleted is moved into it first, and so is gone from where
/// it was at once and as a whole.
///
/// A build may leave folders that nobody may enter, and folders in folders beyond what a path or the
/// descriptors of a process allow. The former are opened up; of the latter each is moved here, so
/// that only one level is ever looked at.
#[derive(Debug)]
pub(crate) struct Discard {
    folder: Dir,
    /// What its owner may do in a folder: everything.
    everything: Permissions,
}

impl Discard {
    /// Opens the folder, and makes it if it is not there.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let folder = Dir::open_ambient_dir(path, ambient_authority())?;
        let everything = folder.dir_metadata()?.permissions();
        Ok(Self { folder, everything })
    }

    /// Takes what lies at `path` in `from`, a link itself and never what it leads to. Fine if absent.
    pub(crate) fn take(&self, from: &Dir, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let taken = match self.moved(from, path) {
            // A folder that its owner may not write cannot be moved either.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.open_up(from, path)?;
                self.moved(from, path)
            }
            other => other,
        };
        or_absent(taken)
    }

    /// Opens a folder of `parent`, in place of whatever else has this name.
    pub(crate) fn real_folder(&self, parent: &Dir, name: &str) -> io::Result<Dir> {
        match parent.symlink_metadata(name) {
            Ok(found) if found.is_dir() => self.open_up(parent, Path::new(name))?,
            Ok(_) => {
                self.take(parent, name)?;
                parent.create_dir(name)?;
            }
            Err(_) => parent.create_dir(name)?,
        }
        parent.open_dir_nofollow(name)
    }

    /// Deletes everything that was taken. What cannot be deleted keeps nothing else from it; the
    /// first error is returned.
    pub(crate) fn empty(&self) -> io::Result<()> {
        loop {
            let (mut failed, mut found) = (None, false);
            for entry in self.folder.entries()? {
                let entry = entry?;
                found = true;
                let deleted = match entry.file_type()?.is_dir() {
                    true => self.delete_folder(&entry.file_name()),
                    false => self.folder.remove_file_or_symlink(entry.file_name()),
                };
                if let Err(error) = or_absent(deleted) {
                    failed.get_or_insert(error);
                }
            }
            match failed {
                Some(error) => return Err(error),
                None if !found => return Ok(()),
                // What was moved up is deleted in the next round.
                None => {}
            }
        }
    }

    fn delete_folder(&self, name: &OsStr) -> io::Result<()> {
        self.open_up(&self.folder, Path::new(name))?;
        let folder = self.folder.open_dir_nofollow(name)?;
        for entry in folder.entries()? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => self.take(&folder, entry.file_name())?,
                false => or_absent(folder.remove_file_or_symlink(entry.file_name()))?,
            }
        }
        drop(folder);
        match self.folder.remove_dir(name) {
            // Some file systems skip entries while others are deleted; the next round finds them.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            other => other,
        }
    }

    fn moved(&self, from: &Dir, path: &Path) -> io::Result<()> {
        loop {
            let name = TAKEN.fetch_add(1, Ordering::Relaxed).to_string();
            // An earlier process may have left something of this name.
            if self.folder.symlink_metadata(&name).is_err() {
                return from.rename(path, &self.folder, &name);
            }
        }
    }

    fn open_up(&self, parent: &Dir, path: &Path) -> io::Result<()> {
        parent.set_permissions(path, self.everything.clone())
    }
}

fn or_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The folder, one beside it to take from, and both of them on the disk.
    fn world() -> (tempfile::TempDir, Discard, Dir) {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir(&from).unwrap();
        let discard = Discard::at(&dir.path().join("discard")).unwrap();
        let from = Dir::open_ambient_dir(from, ambient_authority()).unwrap();
        (dir, discard, from)
    }

    fn left(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path().join("discard")).unwrap().count()
    }

    #[test]
    fn folders_beyond_the_length_of_a_path_are_deleted() {
        let (dir, discard, from) = world();
        let mut deep = from.try_clone().unwrap();
        let name = "x".repeat(200);
        for _ in 0..40 {
            deep.create_dir(&name).unwrap();
            deep.write("file", "x").unwrap();
            deep = deep.open_dir(&name).unwrap();
        }
        discard.take(&from, &name).unwrap();
        assert!(from.symlink_metadata(&name).is_err());
        discard.empty().unwrap();
        assert_eq!(left(&dir), 0);
    }

    #[cfg(unix)]
    #[test]
    fn folders_that_nobody_may_enter_are_deleted_and_so_is_what_comes_after_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let (dir, discard, from) = world();
        for name in ["closed/inner", "open"] {
            from.create_dir_all(name).unwrap();
            from.write(format!("{name}/file"), "x").unwrap();
        }
        for name in ["closed/inner", "closed"] {
            let path = dir.path().join("from").join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
        }
        discard.take(&from, "closed").unwrap();
        discard.take(&from, "open").unwrap();
        discard.empty().unwrap();
        assert_eq!(left(&dir), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_goes_and_what_it_leads_to_stays() {
        let (dir, discard, from) = world();
        let photos = dir.path().join("photos");
        fs::create_dir(&photos).unwrap();
        fs::write(photos.join("1.jpg"), "x").unwrap();
        std::os::unix::fs::symlink(&photos, dir.path().join("from/link")).unwrap();
        let real = discard.real_folder(&from, "link").unwrap();
        assert_eq!(real.entries().unwrap().count(), 0);
        discard.empty().unwrap();
        assert!(photos.join("1.jpg").exists());
        assert!(from.symlink_metadata("link").unwrap().is_dir());
    }
}
