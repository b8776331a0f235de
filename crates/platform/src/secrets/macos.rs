//! macOS: the login keychain.
use apple_native_keyring_store::keychain::Store;
use keyring_core::Error;
use kiln_ports::secrets::{SecretBytes, SecretsError};

use super::native::Blocking;

/// The login keychain of this user.
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

/// Puts an error into our words. Numbers are those of Security.framework (`SecBase.h`), found in
/// the text because the store crate keeps its error type to itself.
fn explain(error: Error) -> SecretsError {
    match error {
        Error::NoDefaultStore => SecretsError::Absent,
        Error::NoStorageAccess(_) => {
            let text = error.to_string();
            // errSecInteractionNotAllowed: locked, and no window may be shown.
            if text.contains("-25308") || text.contains("nteraction is not allowed") {
                SecretsError::Locked
            } else if text.contains("-25307") || text.contains("-25294") {
                // errSecNoDefaultKeychain, errSecNoSuchKeychain
                SecretsError::Absent
            } else {
                SecretsError::Denied
            }
        }
        other => SecretsError::Failed(other.to_string()),
    }
}
