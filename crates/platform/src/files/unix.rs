//! Linux and macOS: modes and owners, `fsync` of folders.
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes a folder and its parents, 0700 where they are new. Fine if it exists.
///
/// # Errors
/// Whatever the system says.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes creations, renames and deletions in this folder durable.
///
/// # Errors
/// Whatever the system says.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Lets new files be 0600.
pub(super) fn private_mode(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Returns what is wrong if others could read or write this file.
pub(crate) fn check_private_file(path: &Path) -> io::Result<Option<String>> {
    let mode = fs::metadata(path)?.mode() & 0o777;
    Ok((mode & 0o077 != 0).then(|| {
        let path = path.display();
        format!("others may read {path} (mode {mode:03o}); run: chmod 600 {path}")
    }))
}

/// Returns what is wrong if others could write in this folder, or if it is not ours.
pub(crate) fn check_private_dir(path: &Path) -> io::Result<Option<String>> {
    let meta = fs::metadata(path)?;
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        return Ok(Some(format!(
            "it belongs to user {}, but Kiln runs as user {me}",
            meta.uid()
        )));
    }
    let mode = meta.mode() & 0o777;
    if mode & 0o022 != 0 {
        return Ok(Some(format!(
            "others may write in it (mode {mode:03o}); run: chmod 700 {}",
            path.display()
        )));
    }
    Ok(None)
}
