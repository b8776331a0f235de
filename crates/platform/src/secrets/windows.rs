//! Windows: the Credential Manager.
use std::sync::Arc;

use keyring_core::Error;
use keyring_core::api::CredentialStore;
use kiln_ports::secrets::SecretsError;
use windows_native_keyring_store::Store;

pub(super) use super::native::Keyring;

/// Opens the Credential Manager of this user.
pub(super) fn open() -> Result<Arc<CredentialStore>, Error> {
    Ok(Store::new()?)
}

/// Puts an error into our words. A session that was never logged on (a service account) has no
/// credential set; the store reports it as a lack of access.
pub(super) fn explain(error: Error) -> SecretsError {
    match error {
        Error::NoDefaultStore => SecretsError::Absent,
        Error::NoStorageAccess(_) => SecretsError::Absent,
        other => SecretsError::Failed(other.to_string()),
    }
}
