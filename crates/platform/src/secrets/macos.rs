//! macOS: the login keychain.
use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::Error;
use keyring_core::api::CredentialStore;
use kiln_ports::secrets::SecretsError;

pub(super) use super::native::Keyring;

/// Opens the login keychain of this user.
pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
    Ok(Store::new()?)
}

/// Puts an error into our words. Numbers are those of Security.framework (`SecBase.h`), found in
/// the text because the store crate keeps its error type to itself.
pub(super) fn explain(error: Error) -> SecretsError {
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
