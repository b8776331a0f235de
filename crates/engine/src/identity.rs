//! Our identity: the X25519 key in the keyring and the public facts about it in the store.
//!
//! A missing, unreadable or odd key is an error with a next step, never a reason to make a new
//! one: a new identity silently breaks every pairing.
use std::str::FromStr;
use std::sync::Arc;

use kiln_model::{DashboardId, Pin, Sentence, say};
use kiln_peer_link::StaticKey;
use kiln_ports::secrets::{SecretBytes, SecretsError};
use kiln_ports::store::{Change, Row, StoreError};
use kiln_ports::{Secrets, Store};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::blocking::blocking;

/// Name of the private key among the secrets.
const KEY_NAME: &str = "identity";

/// Who we are.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The private key; does not print.
    pub(crate) key: StaticKey,
    /// Our stable id.
    pub(crate) dashboard_id: DashboardId,
}

/// Why there is no identity.
#[derive(Debug)]
pub enum IdentityError {
    /// The keyring did not answer as it should.
    Secrets(SecretsError),
    /// The store did not answer as it should.
    Store(StoreError),
    /// The store knows an identity, the keyring has no key.
    KeyGone(Option<Pin>),
    /// The keyring's entry is not a key.
    WrongSize(usize),
    /// The keyring's key is not the one the store knows.
    OtherKey {
        /// Pin of the keyring's key.
        found: Pin,
        /// Pin the store knows.
        known: Pin,
    },
    /// The key cannot be used, or the system gives no random numbers to make one from.
    Key(String),
}

impl IdentityError {
    /// Returns whether the keyring may have done what was asked of it all the same, now or later.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Secrets(SecretsError::Slow(_) | SecretsError::Failed(_)) => true,
            Self::Secrets(SecretsError::Locked | SecretsError::Denied | SecretsError::Absent)
            | Self::Store(_)
            | Self::KeyGone(_)
            | Self::WrongSize(_)
            | Self::OtherKey { .. }
            | Self::Key(_) => false,
        }
    }

    /// Returns whose key was looked for in vain.
    pub fn missed(&self) -> Option<Pin> {
        match self {
            Self::KeyGone(known) => *known,
            Self::OtherKey { known, .. } => Some(*known),
            Self::Secrets(_) | Self::Store(_) | Self::WrongSize(_) | Self::Key(_) => None,
        }
    }

    /// Returns it in words, with the next step.
    pub fn sentence(&self) -> Sentence {
        match self {
            IdentityError::Secrets(error) => error.sentence(),
            IdentityError::Store(error) => error.sentence(),
            IdentityError::KeyGone(pin) => {
                say::key_gone(pin.map_or_else(String::new, |pin| pin.short()))
            }
            IdentityError::WrongSize(bytes) => say::key_wrong_size(*bytes),
            IdentityError::OtherKey { found, known } => {
                say::key_other(found.short(), known.short())
            }
            IdentityError::Key(why) => say::key_unusable(why),
        }
    }
}

kiln_model::spoken_errors!(IdentityError);

impl From<SecretsError> for IdentityError {
    fn from(error: SecretsError) -> Self {
        Self::Secrets(error)
    }
}

impl From<StoreError> for IdentityError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The stored row, next to the secret.
#[derive(Serialize, Deserialize)]
struct StoredIdentity {
    dashboard_id: String,
    pin_sha256: String,
}

/// Loads the identity, or makes it on the very first start.
pub(crate) async fn load_or_create(
    secrets: &dyn Secrets,
    store: &Arc<dyn Store>,
) -> Result<Identity, IdentityError> {
    let known = stored(store).await?;
    let key = match secrets.load(KEY_NAME).await? {
        Some(secret) => Some(key_of(&secret)?),
        None => None,
    };
    let (dashboard_id, key) = match (known, key) {
        (Some((_, pin)), None) => {
            return Err(IdentityError::KeyGone(pin));
        }
        (Some((_, Some(known))), Some(key)) if key.pin() != known => {
            return Err(IdentityError::OtherKey {
                found: key.pin(),
                known,
            });
        }
        (Some((dashboard_id, Some(_))), Some(key)) => return Ok(Identity { key, dashboard_id }),
        // A rotation was cut short: whichever key is in the keyring is ours.
        (Some((dashboard_id, None)), Some(key)) => (dashboard_id, key),
        // The state directory was removed: the key is still ours.
        (None, Some(key)) => (fresh_id()?, key),
        (None, None) => {
            let key = fresh_key()?;
            keep_key(secrets, &key).await?;
            (fresh_id()?, key)
        }
    };
    let identity = Identity { key, dashboard_id };
    remember(store, &identity, Some(identity.key.pin())).await?;
    Ok(identity)
}

/// Puts a new key into the keyring, keeping `dashboard_id` (peer-link.md §1.6).
///
/// The row forgets its pin first, so that a crash at any point leaves a key that the next start
/// accepts. The caller writes it again, also after an error: with the key that is ours then.
pub(crate) async fn rotate(
    secrets: &dyn Secrets,
    store: &Arc<dyn Store>,
    dashboard_id: DashboardId,
) -> Result<Identity, IdentityError> {
    let identity = Identity {
        key: fresh_key()?,
        dashboard_id,
    };
    remember(store, &identity, None).await?;
    keep_key(secrets, &identity.key).await?;
    Ok(identity)
}

/// Deletes what is known of an identity, so that the next load makes a new one. Only on the
/// owner's explicit word.
pub(crate) async fn forget(
    secrets: &dyn Secrets,
    store: &Arc<dyn Store>,
) -> Result<(), IdentityError> {
    secrets.delete(KEY_NAME).await?;
    let store = Arc::clone(store);
    let gone = Change::Delete {
        kind: ROW.0.into(),
        key: ROW.1.into(),
    };
    blocking(move || store.apply(&[gone])).await?;
    Ok(())
}

/// Kind and key of the row.
pub(crate) const ROW: (&str, &str) = ("meta", "identity");

/// Returns the public facts that the store knows; no pin where a rotation was cut short.
pub(crate) async fn stored(
    store: &Arc<dyn Store>,
) -> Result<Option<(DashboardId, Option<Pin>)>, IdentityError> {
    let store = Arc::clone(store);
    let rows = blocking(move || store.rows(ROW.0)).await?;
    let Some(row) = rows.into_iter().find(|row| row.key == ROW.1) else {
        return Ok(None);
    };
    let damaged = || StoreError::Damaged("the identity row cannot be read".to_owned());
    let body: StoredIdentity = serde_json::from_str(&row.body).map_err(|_| damaged())?;
    let id = DashboardId::from_str(&body.dashboard_id).map_err(|_| damaged())?;
    Ok(Some((id, Pin::from_str(&body.pin_sha256).ok())))
}

async fn remember(
    store: &Arc<dyn Store>,
    identity: &Identity,
    pin: Option<Pin>,
) -> Result<(), IdentityError> {
    let row = row(&identity.dashboard_id, pin)?;
    let store = Arc::clone(store);
    blocking(move || store.apply(&[Change::Put(row)])).await?;
    Ok(())
}

/// Makes the row of an identity, for a change that includes more.
pub(crate) fn row(dashboard_id: &DashboardId, pin: Option<Pin>) -> Result<Row, StoreError> {
    let body = StoredIdentity {
        dashboard_id: dashboard_id.to_string(),
        pin_sha256: pin.map_or_else(String::new, |pin| pin.to_string()),
    };
    let body = serde_json::to_string(&body)
        .map_err(|e| StoreError::Failed(format!("the identity row cannot be written: {e}")))?;
    Ok(Row {
        kind: ROW.0.into(),
        key: ROW.1.into(),
        body,
    })
}

/// Returns whether these secrets hold our key with this pin; no if they do not answer.
pub async fn holds_key(secrets: &dyn Secrets, pin: Pin) -> bool {
    let found = secrets.load(KEY_NAME).await.ok().flatten();
    found.is_some_and(|secret| key_of(&secret).is_ok_and(|key| key.pin() == pin))
}

/// Puts a key into the keyring.
pub(crate) async fn keep_key(secrets: &dyn Secrets, key: &StaticKey) -> Result<(), SecretsError> {
    let secret = SecretBytes::new(key.expose().to_vec());
    secrets.store(KEY_NAME, secret).await
}

fn key_of(secret: &SecretBytes) -> Result<StaticKey, IdentityError> {
    let bytes = secret.expose();
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return Err(IdentityError::WrongSize(bytes.len()));
    }
    key.copy_from_slice(bytes);
    StaticKey::from_bytes(key).map_err(|e| IdentityError::Key(e.to_string()))
}

fn fresh_key() -> Result<StaticKey, IdentityError> {
    StaticKey::generate().map_err(|e| IdentityError::Key(e.to_string()))
}

fn fresh_id() -> Result<DashboardId, IdentityError> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|e| IdentityError::Key(e.to_string()))?;
    Ok(DashboardId::from_random(bytes))
}

#[cfg(test)]
mod tests {
    use kiln_testkit::{DirStore, MemorySecrets};

    use super::*;

    fn world() -> (MemorySecrets, Arc<dyn Store>) {
        (MemorySecrets::default(), Arc::new(DirStore::new()))
    }

    async fn start(
        secrets: &MemorySecrets,
        store: &Arc<dyn Store>,
    ) -> Result<(Pin, DashboardId), IdentityError> {
        let identity = load_or_create(secrets, store).await?;
        Ok((identity.key.pin(), identity.dashboard_id))
    }

    // Covers: B-01
    #[tokio::test]
    async fn an_identity_is_made_once() {
        let (secrets, store) = world();
        let first = start(&secrets, &store).await.unwrap();
        assert_eq!(start(&secrets, &store).await.unwrap(), first);
        assert_eq!(secrets.get(KEY_NAME).unwrap().len(), 32);
    }

    // Covers: B-05
    #[tokio::test]
    async fn an_id_of_32_characters_survives_restarts_and_rotations() {
        let (secrets, store) = world();
        let (pin, id) = start(&secrets, &store).await.unwrap();
        let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        assert!(
            id.as_str().len() == 32 && id.as_str().bytes().all(safe),
            "{id}"
        );
        rotate(&secrets, &store, id.clone()).await.unwrap();
        let (rotated, same) = start(&secrets, &store).await.unwrap();
        assert_ne!(rotated, pin);
        assert_eq!(same, id);
    }

    #[tokio::test]
    async fn a_keyring_that_fails_is_an_error_and_never_a_new_identity() {
        let (secrets, store) = world();
        let first = start(&secrets, &store).await.unwrap();
        for failure in [
            SecretsError::Locked,
            SecretsError::Denied,
            SecretsError::Absent,
            SecretsError::Slow(10),
            SecretsError::Failed("odd".to_owned()),
        ] {
            secrets.fail_after(0, failure.clone());
            let error = start(&secrets, &store).await.unwrap_err();
            assert_eq!(error.to_string(), failure.to_string());
            secrets.heal();
            assert_eq!(start(&secrets, &store).await.unwrap(), first);
        }
    }

    #[tokio::test]
    async fn a_first_start_without_a_keyring_leaves_nothing_behind() {
        let (secrets, store) = world();
        secrets.fail_after(0, SecretsError::Locked);
        start(&secrets, &store).await.unwrap_err();
        assert_eq!(store.rows(ROW.0).unwrap(), []);
        secrets.heal();
        start(&secrets, &store).await.unwrap();
    }

    #[tokio::test]
    async fn an_emptied_keyring_is_told_and_stays_empty() {
        let (secrets, store) = world();
        let (pin, _) = start(&secrets, &store).await.unwrap();
        let key = secrets.get(KEY_NAME).unwrap();
        secrets.empty();
        let error = start(&secrets, &store).await.unwrap_err();
        assert!(error.to_string().contains(&pin.short()), "{error}");
        assert_eq!(secrets.get(KEY_NAME), None);
        secrets.put(KEY_NAME, &key);
        assert_eq!(start(&secrets, &store).await.unwrap().0, pin);
    }

    // Covers: B-01
    #[tokio::test]
    async fn a_key_of_another_size_or_another_key_is_told_and_left_alone() {
        let (secrets, store) = world();
        start(&secrets, &store).await.unwrap();
        for odd in [&[][..], &[7; 31], &[7; 33], &[7; 32]] {
            secrets.put(KEY_NAME, odd);
            let error = start(&secrets, &store).await.unwrap_err();
            let expected = match odd.len() {
                32 => matches!(error, IdentityError::OtherKey { .. }),
                size => matches!(error, IdentityError::WrongSize(found) if found == size),
            };
            assert!(expected, "{error}");
            assert_eq!(secrets.get(KEY_NAME).unwrap(), odd);
        }
    }

    #[tokio::test]
    async fn a_removed_state_folder_costs_the_id_and_not_the_key() {
        let (secrets, store) = world();
        let (pin, id) = start(&secrets, &store).await.unwrap();
        let fresh: Arc<dyn Store> = Arc::new(DirStore::new());
        let (again, other) = start(&secrets, &fresh).await.unwrap();
        assert_eq!(again, pin);
        assert_ne!(other, id);
    }

    #[tokio::test]
    async fn a_rotation_that_the_keyring_refuses_changes_nothing() {
        let (secrets, store) = world();
        let first = start(&secrets, &store).await.unwrap();
        secrets.fail_after(0, SecretsError::Denied);
        let rotated = rotate(&secrets, &store, first.1.clone()).await;
        assert!(rotated.is_err());
        secrets.heal();
        assert_eq!(start(&secrets, &store).await.unwrap(), first);
        let rotated = rotate(&secrets, &store, first.1.clone()).await.unwrap();
        let (pin, id) = start(&secrets, &store).await.unwrap();
        assert_eq!((pin, id), (rotated.key.pin(), first.1));
    }
}
