//! Linux: the Secret Service over D-Bus, asynchronously, so that a call which is given up leaves
//! no thread behind. Never asks it to unlock: a window of the keyring in the middle of a start
//! would block for minutes, and a node without a screen for ever.
use std::collections::HashMap;

use kiln_ports::secrets::{SecretBytes, SecretsError};
use secret_service::{EncryptionType, Error, Item, SecretService};
use tokio::sync::Mutex;
use zbus::DBusError as _;

/// How the secret is labelled for programs that look at the keyring.
const CONTENT_TYPE: &str = "application/octet-stream";

/// The Secret Service and a connection to it: made when first needed, dropped by any failure (also
/// by a call that is given up in the middle), made again by the next call.
pub(super) struct Keyring {
    instance: String,
    service: Mutex<Option<SecretService<'static>>>,
}

/// What to do with an entry.
#[derive(Clone, Copy)]
enum Order<'a> {
    Load,
    Store(&'a SecretBytes),
    Delete,
}

impl Keyring {
    pub(super) fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            service: Mutex::new(None),
        }
    }

    pub(super) async fn load(&self, name: &str) -> Result<Option<SecretBytes>, SecretsError> {
        self.run(name, Order::Load).await
    }

    pub(super) async fn store(&self, name: &str, secret: SecretBytes) -> Result<(), SecretsError> {
        self.run(name, Order::Store(&secret)).await.map(drop)
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        self.run(name, Order::Delete).await.map(drop)
    }

    /// Follows an order. A service that was restarted has forgotten our session: what fails on an
    /// old connection is tried once more on a new one.
    async fn run(&self, name: &str, order: Order<'_>) -> Result<Option<SecretBytes>, SecretsError> {
        let mut slot = self.service.lock().await;
        if let Some(service) = slot.take() {
            match self.follow(&service, name, order).await {
                Ok(answer) => {
                    *slot = Some(service);
                    return Ok(answer);
                }
                Err(error @ (Error::Locked | Error::Prompt)) => return Err(explain(error)),
                Err(_) => {}
            }
        }
        let connected = SecretService::connect(EncryptionType::Dh).await;
        let service = connected.map_err(explain)?;
        let answer = self.follow(&service, name, order).await;
        let answer = answer.map_err(explain)?;
        *slot = Some(service);
        Ok(answer)
    }

    async fn follow(
        &self,
        service: &SecretService<'static>,
        name: &str,
        order: Order<'_>,
    ) -> Result<Option<SecretBytes>, Error> {
        let found = self.find(service, name).await?;
        match (order, found) {
            (Order::Load, Some(item)) => {
                return Ok(Some(SecretBytes::new(item.get_secret().await?)));
            }
            (Order::Store(secret), Some(item)) => {
                item.set_secret(secret.expose(), CONTENT_TYPE).await?;
            }
            (Order::Store(secret), None) => {
                let label = format!("{} {name}", self.instance);
                let collection = service.get_default_collection().await?;
                let attributes = self.attributes(name);
                collection
                    .create_item(&label, attributes, secret.expose(), true, CONTENT_TYPE)
                    .await?;
            }
            (Order::Delete, Some(item)) => item.delete().await?,
            (Order::Load | Order::Delete, None) => {}
        }
        Ok(None)
    }

    /// Finds the entry of this name. While the default collection is locked nothing is an answer,
    /// also not "no such entry": some keyrings do not search what is locked.
    async fn find<'a>(
        &self,
        service: &'a SecretService<'static>,
        name: &str,
    ) -> Result<Option<Item<'a>>, Error> {
        let found = service.search_items(self.attributes(name)).await?;
        if let Some(item) = found.unlocked.into_iter().next() {
            return Ok(Some(item));
        }
        if !found.locked.is_empty() || service.get_default_collection().await?.is_locked().await? {
            return Err(Error::Locked);
        }
        Ok(None)
    }

    /// The attributes that the `keyring` family of libraries uses, so that its tools find them.
    fn attributes<'a>(&'a self, name: &'a str) -> HashMap<&'a str, &'a str> {
        HashMap::from([("service", self.instance.as_str()), ("username", name)])
    }
}

/// Puts an error of the service into our words.
fn explain(error: Error) -> SecretsError {
    use zbus::Error::{Address, Connection, InputOutput, MethodError};
    match &error {
        Error::Locked => SecretsError::Locked,
        Error::Prompt => SecretsError::Denied,
        // `NoResult`: a service without a default collection has no place for a secret.
        Error::Unavailable | Error::NoResult => SecretsError::Absent,
        Error::Zbus(Address(_) | Connection(..) | InputOutput(_)) => SecretsError::Absent,
        Error::Zbus(MethodError(name, ..)) => by_name(name.as_str(), &error),
        Error::ZbusFdo(fdo) => by_name(fdo.name().as_str(), &error),
        _ => SecretsError::Failed(error.to_string()),
    }
}

/// The same for an error that came over the bus.
fn by_name(name: &str, error: &Error) -> SecretsError {
    match name {
        "org.freedesktop.Secret.Error.IsLocked" => SecretsError::Locked,
        "org.freedesktop.DBus.Error.AccessDenied" => SecretsError::Denied,
        "org.freedesktop.DBus.Error.ServiceUnknown"
        | "org.freedesktop.DBus.Error.NameHasNoOwner"
        | "org.freedesktop.DBus.Error.Disconnected"
        | "org.freedesktop.DBus.Error.NoReply" => SecretsError::Absent,
        _ => SecretsError::Failed(error.to_string()),
    }
}
