//! [`OsSecrets`]: the keyring of the operating system. [`FileSecrets`]: files, when chosen.
mod file;
#[cfg(not(target_os = "linux"))]
mod native;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use std::time::Duration;

use kiln_ports::Secrets;
use kiln_ports::secrets::{SecretBytes, SecretsError};

pub use file::FileSecrets;

/// Longest time one call may take: a locked Secret Service blocks for as long as its window is
/// open.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Secrets in the keyring: Secret Service, Keychain or Credential Manager. Nothing is cached: a
/// keyring that was locked or absent is used as soon as it is there.
pub struct OsSecrets {
    keyring: os::Keyring,
    patience: Duration,
}

impl OsSecrets {
    /// Uses the entries of this instance ([`crate::Paths::instance`]). Touches no keyring yet.
    pub fn new(instance: &str) -> Self {
        Self::with_patience(instance, PATIENCE)
    }

    /// The same with another limit of time per call.
    pub fn with_patience(instance: &str, patience: Duration) -> Self {
        Self {
            keyring: os::Keyring::new(instance),
            patience,
        }
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, SecretsError>>,
    ) -> Result<T, SecretsError> {
        match tokio::time::timeout(self.patience, call).await {
            Ok(answer) => answer,
            Err(_) => Err(SecretsError::Slow(self.patience.as_secs())),
        }
    }
}

#[async_trait::async_trait]
impl Secrets for OsSecrets {
    async fn load(&self, name: &str) -> Result<Option<SecretBytes>, SecretsError> {
        self.within(self.keyring.load(name)).await
    }

    async fn store(&self, name: &str, secret: SecretBytes) -> Result<(), SecretsError> {
        self.within(self.keyring.store(name, secret)).await
    }

    async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        self.within(self.keyring.delete(name)).await
    }
}
