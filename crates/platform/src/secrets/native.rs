//! [`Keyring`]: those with calls that block (Keychain, Credential Manager), on a thread that may.
use std::sync::Arc;

use keyring_core::{Entry, Error};
use kiln_ports::secrets::{SecretBytes, SecretsError};
use tokio::sync::Semaphore;

use super::os::{explain, open};

/// One keyring. At most one thread waits for it: a call that was given up keeps its turn until the
/// keyring answers, and the following ones time out in the queue instead of piling up threads.
pub(super) struct Keyring {
    instance: String,
    turn: Arc<Semaphore>,
}

impl Keyring {
    pub(super) fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) async fn load(&self, name: &str) -> Result<Option<SecretBytes>, SecretsError> {
        self.call(name, |entry| match entry.get_secret() {
            Ok(bytes) => Ok(Some(SecretBytes::new(bytes))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    pub(super) async fn store(&self, name: &str, secret: SecretBytes) -> Result<(), SecretsError> {
        self.call(name, move |entry| entry.set_secret(secret.expose()))
            .await
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        self.call(name, |entry| match entry.delete_credential() {
            Err(Error::NoEntry) => Ok(()),
            other => other,
        })
        .await
    }

    async fn call<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(Entry) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, SecretsError> {
        let failed = |text: String| SecretsError::Failed(text);
        let turn = self.turn.clone().acquire_owned().await;
        let turn = turn.map_err(|e| failed(e.to_string()))?;
        let (instance, name) = (self.instance.clone(), name.to_owned());
        let result = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // For every access, so that no failure is remembered.
            open()?.build(&instance, &name, None).and_then(work)
        });
        result
            .await
            .map_err(|e| failed(e.to_string()))?
            .map_err(explain)
    }
}
