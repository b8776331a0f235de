//! Windows: the Credential Manager.
use keyring_core::Error;
use kiln_ports::secrets::{SecretBytes, SecretsError};
use windows_native_keyring_store::Store;

use super::native::Blocking;

/// The Credential Manager of this user.
pub(super) struct Keyring(Blocking);

impl Keyring {
    pub(super) fn new(instance: &str) -> Self {
        Self(Blocking::new(instance, || Ok(Store::new()?), explain))
    }

    pub(super) async fn load(&self, name: &str) -> Result<Option<SecretBytes>, SecretsError> {
        self.0.load(name).await
    }

    pub(super) async fn store(&self, name: &str, secret: SecretBytes) -> Result<(), SecretsError> {
        self.0.store(name, secret).await
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        self.0.delete(name).await
    }
}

/// Puts an error into our words. A session that was never logged on (a service account) has no
/// credential set; the store reports it as a lack of access.
fn explain(error: Error) -> SecretsError {
    match error {
        Error::NoDefaultStore => SecretsError::Absent,
        Error::NoStorageAccess(_) => SecretsError::Absent,
        other => SecretsError::Failed(other.to_string()),
    }
}
