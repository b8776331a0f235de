//! [`FileSecrets`]: one 0600 file per secret in a 0700 folder; only when the owner chose it.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kiln_ports::Secrets;
use kiln_ports::secrets::{SecretBytes, SecretsError};

use crate::files;

/// Secrets as files. Anybody who can read the user's files can read them: for machines without a
/// keyring.
#[derive(Clone, Debug)]
pub struct FileSecrets {
    dir: PathBuf,
}

impl FileSecrets {
    /// Keeps secrets in this folder, which is made (0700) when the first one is stored.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// The name in hex, so that any name is a file name and no two are the same on any system.
    fn path(&self, name: &str) -> PathBuf {
        let hex: String = name.bytes().map(|b| format!("{b:02x}")).collect();
        self.dir.join(hex)
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, SecretsError> {
        let (dir, path) = (self.dir.clone(), self.path(name));
        let result = tokio::task::spawn_blocking(move || work(&dir, &path)).await;
        let result = result.map_err(|e| SecretsError::Failed(e.to_string()))?;
        result.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => SecretsError::Denied,
            _ => SecretsError::Failed(error.to_string()),
        })
    }
}

#[async_trait::async_trait]
impl Secrets for FileSecrets {
    async fn load(&self, name: &str) -> Result<Option<SecretBytes>, SecretsError> {
        self.run(name, |_, path| {
            match files::check_private_file(path) {
                Ok(None) => {}
                Ok(Some(problem)) => return Err(io::Error::other(problem)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            }
            Ok(Some(SecretBytes::new(fs::read(path)?)))
        })
        .await
    }

    async fn store(&self, name: &str, secret: SecretBytes) -> Result<(), SecretsError> {
        self.run(name, move |dir, path| {
            files::create_private_dir(dir)?;
            files::atomic_write(path, secret.expose())
        })
        .await
    }

    async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        self.run(name, |dir, path| match fs::remove_file(path) {
            Ok(()) => files::sync_dir(dir),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> SecretBytes {
        SecretBytes::new(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_secret_can_be_stored_replaced_read_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(&dir.path().join("secrets"));
        assert!(secrets.load("a").await.unwrap().is_none());
        secrets.store("a", bytes("one")).await.unwrap();
        secrets.store("A", bytes("other")).await.unwrap();
        secrets.store("a", bytes("two")).await.unwrap();
        assert_eq!(secrets.load("a").await.unwrap().unwrap().expose(), b"two");
        secrets.delete("a").await.unwrap();
        secrets.delete("a").await.unwrap();
        assert!(secrets.load("a").await.unwrap().is_none());
        assert_eq!(secrets.load("A").await.unwrap().unwrap().expose(), b"other");
    }

    #[tokio::test]
    async fn a_name_is_never_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(&dir.path().join("secrets"));
        secrets.store("../../x", bytes("one")).await.unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(secrets.load("../../x").await.unwrap().is_some());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_can_reach_a_secret() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(&dir.path().join("secrets"));
        secrets.store("a", bytes("one")).await.unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&secrets.dir), 0o700);
        assert_eq!(mode(&secrets.path("a")), 0o600);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_secret_that_others_can_read_is_refused_with_the_cure() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(dir.path());
        secrets.store("a", bytes("one")).await.unwrap();
        fs::set_permissions(secrets.path("a"), fs::Permissions::from_mode(0o644)).unwrap();
        let error = secrets.load("a").await.unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    // Covers: B-01
    #[tokio::test]
    async fn an_unreadable_secret_is_an_error_and_not_an_absent_one() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = FileSecrets::new(dir.path());
        fs::create_dir(secrets.path("a")).unwrap();
        assert!(matches!(
            secrets.load("a").await.unwrap_err(),
            SecretsError::Failed(_) | SecretsError::Denied
        ));
    }
}
