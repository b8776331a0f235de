//! Folders and files by handle: every step refuses to follow a link.
use std::io;

use cap_fs_ext::{DirExt, FollowSymlinks, MetadataExt, OpenOptionsFollowExt};
use cap_std::fs::{Dir, File, OpenOptions};

/// A chain of open folders below a root, so that sorted paths open each folder once.
pub(crate) struct Walk<'a> {
    root: &'a Dir,
    open: Vec<(String, Dir)>,
}

impl<'a> Walk<'a> {
    /// Starts at `root`, which is never left.
    pub(crate) fn new(root: &'a Dir) -> Self {
        Self {
            root,
            open: Vec::new(),
        }
    }

    /// Opens the folder at `path` (its components), making what is missing.
    pub(crate) fn make<'p>(&mut self, path: impl Iterator<Item = &'p str>) -> io::Result<&Dir> {
        self.go(path, |parent, name| match parent.create_dir(name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        })
    }

    /// Opens the folder at `path`; an error if it is not there.
    pub(crate) fn enter<'p>(&mut self, path: impl Iterator<Item = &'p str>) -> io::Result<&Dir> {
        self.go(path, |_, _| Ok(()))
    }

    fn go<'p>(
        &mut self,
        path: impl Iterator<Item = &'p str>,
        before: impl Fn(&Dir, &str) -> io::Result<()>,
    ) -> io::Result<&Dir> {
        let mut depth = 0;
        for name in path {
            if self.open.get(depth).is_none_or(|(open, _)| open != name) {
                self.open.truncate(depth);
                let parent = self.open.last().map_or(self.root, |(_, dir)| dir);
                before(parent, name)?;
                let dir = parent.open_dir_nofollow(name)?;
                self.open.push((name.to_owned(), dir));
            }
            depth += 1;
        }
        self.open.truncate(depth);
        Ok(self.open.last().map_or(self.root, |(_, dir)| dir))
    }
}

/// Splits a checked relative path into its folders and its last component.
pub(crate) fn split_leaf(path: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, leaf) = path.rsplit_once('/').unwrap_or(("", path));
    (folders.split('/').filter(|c| !c.is_empty()), leaf)
}

/// Makes a new file; an error if anything of that name is there, be it a dangling link.
pub(crate) fn create_fresh(folder: &Dir, name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .follow(FollowSymlinks::No);
    folder.open_with(name, &options)
}

/// Opens `path` below `root` for reading if it is a plain file with a single name.
///
/// `None` if nothing is there. A link, a device, a folder, or a file that has a second name
/// elsewhere (a hard link may be somebody's private file) is an error.
pub(crate) fn open_plain(root: &Dir, path: &str) -> io::Result<Option<File>> {
    let (folders, leaf) = split_leaf(path);
    let mut walk = Walk::new(root);
    let folder = match walk.enter(folders) {
        Ok(folder) => folder,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    // Looked at before opening as well: opening a pipe would wait for its writer.
    match folder.symlink_metadata(leaf) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(not_plain(path)),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No);
    let file = folder.open_with(leaf, &options)?;
    let found = file.metadata()?;
    if !found.is_file() || MetadataExt::nlink(&found) != 1 {
        return Err(not_plain(path));
    }
    Ok(Some(file))
}

/// Opens a folder of `parent`, replacing anything of that name that is not a real folder.
pub(crate) fn real_folder(parent: &Dir, name: &str) -> io::Result<Dir> {
    match parent.symlink_metadata(name) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            parent.remove_file_or_symlink(name)?;
            parent.create_dir(name)?;
        }
        Err(_) => parent.create_dir(name)?,
    }
    parent.open_dir_nofollow(name)
}

/// Deletes whatever has this name, links themselves and never what they point to. Fine if absent.
pub(crate) fn remove_any(parent: &Dir, name: &str) -> io::Result<()> {
    let removed = match parent.symlink_metadata(name) {
        Ok(found) if found.is_dir() => parent.remove_dir_all(name),
        Ok(_) => parent.remove_file_or_symlink(name),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if !is_absent(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Returns whether a real folder of this name is there.
pub(crate) fn is_real_folder(parent: &Dir, name: &str) -> bool {
    parent
        .symlink_metadata(name)
        .is_ok_and(|found| found.is_dir())
}

/// Returns whether the error says that nothing is there.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn not_plain(path: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{path} is not a plain file of its own"),
    )
}
