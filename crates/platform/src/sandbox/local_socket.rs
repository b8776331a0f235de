//! [`LocalSocket`]: a socket in the file system, as programs of this computer listen on it.
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What a program of this computer listens on.
pub(super) struct LocalSocket {
    _listener: UnixListener,
    _folder: TempDir,
}

impl LocalSocket {
    /// Opens one, and returns its path.
    pub(super) fn listen() -> io::Result<(Self, PathBuf)> {
        // In the system's folder: the path of a socket may have 108 characters only.
        let folder = tempfile::Builder::new().prefix("kiln-").tempdir()?;
        let path = folder.path().join("s");
        let socket = Self {
            _listener: UnixListener::bind(&path)?,
            _folder: folder,
        };
        Ok((socket, path))
    }

    /// Returns whether it can be connected to.
    pub(super) fn reaches(path: &Path) -> bool {
        UnixStream::connect(path).is_ok()
    }
}
