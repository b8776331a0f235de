//! [`RetiredDashboard`]: the files of a Device Builder dashboard, read while it cannot run.
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use kiln_ports::dashboard::DashboardFiles;
use kiln_ports::secrets::SecretBytes;

use crate::process::command_lines;

/// Largest state file that is read. The real ones are kilobytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A dashboard that does not run and cannot start as long as this value lives, where the system
/// has its lock (builds.md §10.3). Nothing of it is ever written.
#[derive(Debug)]
pub struct RetiredDashboard {
    /// What it keeps on disk.
    pub files: DashboardFiles,
    _lock: Option<File>,
}

/// Why a dashboard's files are not taken.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The directory holds no state of a dashboard.
    #[error("{0} holds no Device Builder dashboard; name the folder of its configurations")]
    NoDashboard(PathBuf),
    /// It runs.
    #[error("the dashboard of {dir} runs{}; stop it first, and for good: two programs with one identity displace each other", pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    Running {
        /// Its directory.
        dir: PathBuf,
        /// Its process, if that is known.
        pid: Option<u64>,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RetiredDashboard {
    /// Reads the state files of the dashboard whose configurations lie in `dir`. `data_dir` is
    /// where it keeps its data, if that is not `dir/.esphome` (`ESPHOME_DATA_DIR`).
    ///
    /// # Errors
    /// [`RetireError`].
    pub fn open(dir: &Path, data_dir: Option<&Path>) -> Result<Self, RetireError> {
        let dir = std::path::absolute(dir).map_err(|source| RetireError::Io {
            path: dir.to_owned(),
            source,
        })?;
        let lock = lock(&dir, data_dir.unwrap_or(&dir.join(".esphome")))?;
        if command_lines().iter().any(|line| is_dashboard(line, &dir)) {
            return Err(RetireError::Running { dir, pid: None });
        }
        let file = |name: &str| read(&dir.join(name));
        let files = DashboardFiles {
            key: file(".device-builder-peer-link-key.bin")?.map(SecretBytes::new),
            metadata: file(".device-builder.json")?,
            receiver_peers: file(".receiver_peers.json")?,
            offloader_pairings: file(".offloader_pairings.json")?,
            has_configurations: has_configurations(&dir),
            dir,
        };
        if files.key.is_none() && files.metadata.is_none() {
            return Err(RetireError::NoDashboard(files.dir));
        }
        Ok(Self { files, _lock: lock })
    }
}

/// Takes the dashboard's own lock, if there is one: a dashboard that never ran here has none, and
/// nothing is made for it.
fn lock(dir: &Path, data_dir: &Path) -> Result<Option<File>, RetireError> {
    let path = data_dir.join(".device-builder.lock");
    let io = |source| RetireError::Io {
        path: path.clone(),
        source,
    };
    let mut file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let mut record = String::new();
            // The record is a help for people; without it the answer is the same.
            let _ = file.by_ref().take(4096).read_to_string(&mut record);
            let record: Option<serde_json::Value> = serde_json::from_str(&record).ok();
            Err(RetireError::Running {
                dir: dir.to_owned(),
                pid: record.and_then(|r| r.get("pid")?.as_u64()),
            })
        }
        Err(TryLockError::Error(e)) => Err(io(e)),
    }
}

/// Returns whether a command line is that of a dashboard of this directory. Only a hint, for
/// systems and versions without the lock: a relative path is not recognised.
fn is_dashboard(line: &str, dir: &Path) -> bool {
    let program = line.contains("device-builder") || line.contains("device_builder");
    program && dir.to_str().is_some_and(|dir| line.contains(dir))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RetireError> {
    let io = |source| RetireError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io(io::Error::other("it is larger than 16 MiB")));
    }
    Ok(Some(bytes))
}

fn has_configurations(dir: &Path) -> bool {
    let yaml = |entry: io::Result<fs::DirEntry>| {
        let name = entry.ok()?.file_name().to_str()?.to_ascii_lowercase();
        let yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        Some(yaml && name.trim_end_matches(".yaml") != "secrets")
    };
    fs::read_dir(dir).is_ok_and(|mut entries| entries.any(|e| yaml(e) == Some(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".esphome")).unwrap();
        for (name, content) in [
            (".device-builder-peer-link-key.bin", "k"),
            (".device-builder.json", "{}"),
            (".esphome/.device-builder.lock", r#"{"pid": 4711}"#),
            ("kitchen.yaml", "esphome:"),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        dir
    }

    #[test]
    fn files_are_read_as_they_are_and_missing_ones_are_absent() {
        let dir = dashboard();
        let retired = RetiredDashboard::open(dir.path(), None).unwrap();
        assert_eq!(retired.files.key.as_ref().unwrap().expose(), b"k");
        assert_eq!(retired.files.metadata.as_deref(), Some(&b"{}"[..]));
        assert_eq!(retired.files.receiver_peers, None);
        assert!(retired.files.has_configurations);
    }

    #[test]
    fn a_dashboard_that_holds_its_lock_is_left_alone_and_its_process_named() {
        let dir = dashboard();
        let running = File::open(dir.path().join(".esphome/.device-builder.lock")).unwrap();
        running.lock().unwrap();
        let error = RetiredDashboard::open(dir.path(), None).unwrap_err();
        assert!(error.to_string().contains("(process 4711)"), "{error}");
    }

    // Covers: B-07
    #[test]
    fn reading_changes_nothing_in_the_folder() {
        let dir = dashboard();
        let state = || {
            let entries = fs::read_dir(dir.path()).unwrap().map(Result::unwrap);
            let files = entries.filter(|e| e.file_type().unwrap().is_file());
            let mut all: Vec<_> = files
                .map(|e| {
                    let modified = e.metadata().unwrap().modified().unwrap();
                    (e.file_name(), modified, fs::read(e.path()).unwrap())
                })
                .collect();
            all.sort();
            all
        };
        let before = state();
        drop(RetiredDashboard::open(dir.path(), None).unwrap());
        assert_eq!(state(), before);
    }

    #[test]
    fn the_lock_is_found_where_the_data_lies() {
        let dir = dashboard();
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(".device-builder.lock");
        fs::write(&path, "").unwrap();
        let running = File::open(&path).unwrap();
        running.lock().unwrap();
        let error = RetiredDashboard::open(dir.path(), Some(data.path())).unwrap_err();
        assert!(matches!(error, RetireError::Running { pid: None, .. }));
    }

    #[test]
    fn it_cannot_start_while_its_files_are_in_our_hands() {
        let dir = dashboard();
        let retired = RetiredDashboard::open(dir.path(), None).unwrap();
        let starting = File::open(dir.path().join(".esphome/.device-builder.lock")).unwrap();
        assert!(starting.try_lock().is_err());
        drop(retired);
        starting.try_lock().unwrap();
    }

    #[test]
    fn another_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = RetiredDashboard::open(dir.path(), None).unwrap_err();
        assert!(matches!(error, RetireError::NoDashboard(_)));
        let error = RetiredDashboard::open(&dir.path().join("none"), None).unwrap_err();
        assert!(matches!(error, RetireError::NoDashboard(_)));
    }

    #[test]
    fn a_command_line_counts_only_for_its_own_directory() {
        let dir = Path::new("/config/esphome");
        assert!(is_dashboard(
            "python esphome-device-builder /config/esphome",
            dir
        ));
        assert!(is_dashboard(
            "python -m esphome_device_builder /config/esphome",
            dir
        ));
        assert!(!is_dashboard(
            "python esphome-device-builder /elsewhere",
            dir
        ));
        assert!(!is_dashboard("vi /config/esphome/kitchen.yaml", dir));
    }
}
