//! Linux: the Secret Service over D-Bus, asynchronously, so that a call which is given up leaves
//! no thread behind. Never asks it to unlock: a window of the keyring in the middle of a start
//! would block for minutes, and a node without a screen for ever.
use std::collections::HashMap;
use std::sync::Arc;

use kiln_ports::secrets::{SecretBytes, SecretsError};
use secret_service::{EncryptionType, Error, Item, SecretService};
use tokio::sync::Mutex;

/// How the secret is labelled for programs that look at the keyring.
const CONTENT_TYPE: &str = "application/octet-stream";

/// The connection to the Secret Service, made when first needed and again after a failure.
pub(super) struct Keyring {
    instance: String,
    service: Mutex<Option<Arc<SecretService<'static>>>>,
}

/// What a search found.
enum Found<'a> {
    Item(Item<'a>),
    Nothing,
}

impl Keyring {
    pub(super) fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            service: Mutex::new(None),
        }
    }

    pub(super) async fn load(&self, name: &str) -> Result<Option<SecretBytes>, SecretsError> {
        let service = self.service().await?;
        let result = async {
            match self.find(&service, name).await? {
                Found::Item(item) => Ok(Some(SecretBytes::new(item.get_secret().await?))),
                Found::Nothing => Ok(None),
            }
        };
        self.settled(result.await).await
    }

    pub(super) async fn store(&self, name: &str, secret: SecretBytes) -> Result<(), SecretsError> {
        let service = self.service().await?;
        let result = async {
            if let Found::Item(item) = self.find(&service, name).await? {
                return item.set_secret(secret.expose(), CONTENT_TYPE).await;
            }
            let label = format!("{} {name}", self.instance);
            service
                .get_default_collection()
                .await?
                .create_item(
                    &label,
                    self.attributes(name),
                    secret.expose(),
                    true,
                    CONTENT_TYPE,
                )
                .await
                .map(|_| ())
        };
        self.settled(result.await).await
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        let service = self.service().await?;
        let result = async {
            match self.find(&service, name).await? {
                Found::Item(item) => item.delete().await,
                Found::Nothing => Ok(()),
            }
        };
        self.settled(result.await).await
    }

    /// Finds the entry of this name. While the default collection is locked nothing is an answer,
    /// also not "no such entry": some keyrings do not search what is locked.
    async fn find<'a>(
        &self,
        service: &'a SecretService<'static>,
        name: &str,
    ) -> Result<Found<'a>, Error> {
        let found = service.search_items(self.attributes(name)).await?;
        if let Some(item) = found.unlocked.into_iter().next() {
            return Ok(Found::Item(item));
        }
        if !found.locked.is_empty() || service.get_default_collection().await?.is_locked().await? {
            return Err(Error::Locked);
        }
        Ok(Found::Nothing)
    }

    /// The attributes that the `keyring` family of libraries uses, so that its tools find them.
    fn attributes<'a>(&'a self, name: &'a str) -> HashMap<&'a str, &'a str> {
        HashMap::from([("service", self.instance.as_str()), ("username", name)])
    }

    async fn service(&self) -> Result<Arc<SecretService<'static>>, SecretsError> {
        let mut slot = self.service.lock().await;
        if let Some(service) = &*slot {
            return Ok(service.clone());
        }
        let connected = SecretService::connect(EncryptionType::Dh).await;
        let service = Arc::new(connected.map_err(explain)?);
        *slot = Some(service.clone());
        Ok(service)
    }

    /// Passes a result on; after a failure the next call connects anew, because the service may
    /// have been restarted and have forgotten our session.
    async fn settled<T>(&self, result: Result<T, Error>) -> Result<T, SecretsError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                *self.service.lock().await = None;
                Err(explain(error))
            }
        }
    }
}

/// Puts an error of the service into our words.
fn explain(error: Error) -> SecretsError {
    match error {
        Error::Locked => SecretsError::Locked,
        Error::Prompt => SecretsError::Denied,
        // `NoResult`: a service without a default collection has no place for a secret.
        Error::Unavailable | Error::NoResult => SecretsError::Absent,
        other => {
            let text = other.to_string();
            if text.contains("org.freedesktop.Secret.Error.IsLocked") {
                SecretsError::Locked
            } else if text.contains("AccessDenied") {
                SecretsError::Denied
            } else {
                SecretsError::Failed(text)
            }
        }
    }
}
