//! [`Paths`]: where everything of one Kiln lies.
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::files;

/// The folders of one Kiln. Two Kilns with different folders share nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    home: Option<PathBuf>,
    /// Settings that a person edits.
    pub settings: PathBuf,
    /// Database, blobs, job logs, secrets kept in a file: what is worth a backup.
    pub state: PathBuf,
    /// ESPHome environments and received builds: can be made again.
    pub cache: PathBuf,
    /// Control socket. On Unix its path has to fit about 100 bytes.
    pub runtime: PathBuf,
    /// Where older builds have their socket, which may still run after an upgrade; `None` where that
    /// is the same folder.
    pub earlier_runtime: Option<PathBuf>,
    /// Kiln's own logs.
    pub logs: PathBuf,
}

/// Why the folders cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// The user has no home folder.
    #[error("this user has no home folder; set KILN_HOME to a folder for Kiln")]
    NoHome,
    /// A folder cannot be made or read.
    #[error("{path} cannot be used: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder is not private to us.
    #[error("{path} cannot be used: {problem}")]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and how to repair it.
        problem: String,
    },
}

impl Paths {
    /// Finds the folders: all below `home` (the value of `KILN_HOME`) if it is given and not
    /// empty, else where this operating system keeps such things. Makes nothing.
    ///
    /// # Errors
    /// [`PathsError::NoHome`] when neither is there, [`PathsError::Io`] when a relative `home`
    /// cannot be made absolute.
    pub fn find(home: Option<OsString>) -> Result<Self, PathsError> {
        match home.filter(|h| !h.is_empty()) {
            Some(home) => Self::below(Path::new(&home)),
            None => Self::of_the_system(),
        }
    }

    fn below(home: &Path) -> Result<Self, PathsError> {
        let home = std::path::absolute(home).map_err(|source| PathsError::Io {
            path: home.to_owned(),
            source,
        })?;
        Ok(Self {
            settings: home.join("settings"),
            state: home.join("state"),
            cache: home.join("cache"),
            runtime: home.join("run"),
            earlier_runtime: None,
            logs: home.join("logs"),
            home: Some(home),
        })
    }

    fn of_the_system() -> Result<Self, PathsError> {
        let dirs = directories::ProjectDirs::from("", "", "kiln").ok_or(PathsError::NoHome)?;
        let state = dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir());
        Ok(Self {
            home: None,
            settings: dirs.config_local_dir().to_owned(),
            cache: dirs.cache_dir().to_owned(),
            logs: state.join("logs"),
            // A session's own folder is unknown to other sessions of its user, and gone with it.
            runtime: state.join("run"),
            earlier_runtime: dirs.runtime_dir().map(Path::to_owned),
            state: state.to_owned(),
        })
    }

    /// Makes the folders that are missing (0700) and checks that nobody else can write in them.
    ///
    /// # Errors
    /// [`PathsError::Io`] or [`PathsError::NotPrivate`] for the first folder that is not usable.
    pub fn prepare(&self) -> Result<(), PathsError> {
        let folders = [
            &self.settings,
            &self.state,
            &self.cache,
            &self.runtime,
            &self.logs,
        ];
        for path in self.home.iter().chain(folders) {
            let io = |source| PathsError::Io {
                path: path.clone(),
                source,
            };
            files::create_private_dir(path).map_err(io)?;
            if let Some(problem) = files::check_private_dir(path).map_err(io)? {
                return Err(PathsError::NotPrivate {
                    path: path.clone(),
                    problem,
                });
            }
        }
        Ok(())
    }

    /// Returns the name that keeps this Kiln's keyring entries and processes apart from those of
    /// another one: `kiln`, or `kiln:` and the folder given as `KILN_HOME`.
    pub fn instance(&self) -> String {
        match &self.home {
            None => "kiln".to_owned(),
            Some(home) => format!("kiln:{}", home.display()),
        }
    }

    /// Returns the folder of job logs.
    pub fn job_logs(&self) -> PathBuf {
        self.logs.join("jobs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_lies_below_kiln_home_when_it_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("h");
        let paths = Paths::find(Some(home.clone().into_os_string())).unwrap();
        for p in [
            &paths.settings,
            &paths.state,
            &paths.cache,
            &paths.runtime,
            &paths.logs,
        ] {
            assert!(p.starts_with(&home), "{}", p.display());
        }
        paths.prepare().unwrap();
        paths.prepare().unwrap();
        assert!(paths.runtime.is_dir());
    }

    #[test]
    fn the_door_is_found_from_every_session_of_its_owner() {
        let paths = Paths::find(None).unwrap();
        assert_eq!(paths.runtime, paths.state.join("run"));
        // Once more in a session that has a folder of its own for sockets.
        let variable = "XDG_RUNTIME_DIR";
        if std::env::var_os(variable).is_some_and(|folder| folder == "/session") {
            let earlier = cfg!(target_os = "linux").then(|| "/session/kiln".into());
            assert_eq!(paths.earlier_runtime, earlier);
        } else {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            again.args(["the_door_is_found_from_every_session_of_its_owner"]);
            let output = again.env(variable, "/session").output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }

    #[test]
    fn two_homes_have_two_instances_and_none_is_the_plain_one() {
        let of = |h: &str| Paths::find(Some(h.into())).unwrap().instance();
        assert_ne!(of("/a"), of("/b"));
        assert_ne!(of("/a"), Paths::find(None).unwrap().instance());
        assert_eq!(
            Paths::find(None).unwrap(),
            Paths::find(Some("".into())).unwrap()
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_in_is_refused_with_the_cure() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(dir.path().into())).unwrap();
        paths.prepare().unwrap();
        let mode = |m| std::fs::Permissions::from_mode(m);
        assert_eq!(
            std::fs::metadata(&paths.state)
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
        std::fs::set_permissions(&paths.state, mode(0o777)).unwrap();
        let error = paths.prepare().unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
    }
}
