//! Windows: folders under the user's profile inherit an access list of the user, SYSTEM and
//! administrators.
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder and its parents. Fine if it exists. Access is what its parent grants: the user's
/// profile grants it to the user alone.
///
/// # Errors
/// Whatever the system says.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Nothing to do: NTFS journals names, and a folder cannot be flushed without administrator rights.
///
/// # Errors
/// None.
pub fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Nothing to do: new files inherit the access list of their folder.
pub(super) fn private_mode(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Returns what is wrong with a folder: here only that it is none. Access lists are inherited.
pub(crate) fn check_private_dir(path: &Path) -> io::Result<Option<String>> {
    let meta = fs::metadata(path)?;
    Ok((!meta.is_dir()).then(|| "it is not a folder".to_owned()))
}

/// Returns what is wrong with a file: nothing that can be seen here. Access lists are inherited.
pub(crate) fn check_private_file(path: &Path) -> io::Result<Option<String>> {
    fs::metadata(path).map(|_| None)
}
