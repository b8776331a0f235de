//! Taking over the identity and pairings of a dashboard that is being retired.
//!
//! Wholly or not at all, as far as two places can be: everything in the store changes in one
//! transaction that names the new key, then the key goes into the keyring. If the keyring refuses,
//! the transaction is undone. A crash between the two leaves a node that does not start with the
//! wrong key but says so, and the same import completes it.
mod files;

use std::collections::HashSet;
use std::sync::Arc;

use kiln_model::{DashboardId, Pin, Side};
use kiln_ports::secrets::SecretsError;
use kiln_ports::store::{Change, Row, StoreError};
use kiln_ports::{Secrets, Store};

use crate::anchors;
use crate::blocking::blocking;
use crate::identity::{self, IdentityError};
use crate::records::{self, BadRecord};

pub use files::{Legacy, LegacyError};

/// What happens to peers that this Kiln has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They stay, and nothing is taken over.
    Keep,
    /// They go, with the identity that they know.
    Replace,
}

/// What was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// Our pin from now on.
    pub pin: Pin,
    /// Our id from now on.
    pub dashboard_id: DashboardId,
    /// Offloaders that may use us.
    pub peers: usize,
    /// Receivers that we may use.
    pub pairings: usize,
    /// What could not be taken over, one sentence each.
    pub notices: Vec<String>,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// This Kiln is paired already.
    #[error(
        "this Kiln has pairings of its own ({0}), which would be lost; forget them first, or add \
         --replace"
    )]
    Paired(usize),
    /// The keyring.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store knows of our identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A row cannot be made.
    #[error(transparent)]
    Record(#[from] BadRecord),
}

/// Takes a dashboard over: key, id, peers, pairings and switches. No node may run on this store.
///
/// Where the store holds this identity already, from an earlier import, rows are added and
/// refreshed and nothing is lost.
///
/// # Errors
/// [`ImportError`]; nothing is changed then.
pub async fn take_over(
    legacy: Legacy,
    existing: Existing,
    secrets: &dyn Secrets,
    store: &Arc<dyn Store>,
) -> Result<TakenOver, ImportError> {
    let pin = legacy.key.pin();
    let known = identity::stored(store).await?.and_then(|(_, pin)| pin);
    let before = Before::read(store).await?;
    let replaced = match known {
        Some(known) if known == pin => Vec::new(),
        Some(_) | None => before.paired(),
    };
    if !replaced.is_empty() && existing == Existing::Keep {
        return Err(ImportError::Paired(replaced.len()));
    }
    // Anchors without rows trust nobody, so they may come first.
    for peer in &legacy.peers {
        anchors::set(secrets, Side::Offloader, peer.pin, peer.public_key).await?;
    }
    for pairing in &legacy.pairings {
        anchors::set(secrets, Side::Receiver, pairing.pin, pairing.public_key).await?;
    }
    let changes = changes(&legacy, &before, &replaced)?;
    let undo = before.undo(&changes);
    apply(store, changes).await?;
    if let Err(error) = identity::keep_key(secrets, &legacy.key).await {
        apply(store, undo).await?;
        return Err(error.into());
    }
    let mut notices = legacy.notices;
    for (side, old) in stale_anchors(&replaced, &legacy.peers, &legacy.pairings) {
        if let Err(error) = anchors::remove(secrets, side, old).await {
            notices.push(format!(
                "An entry of a replaced peer stays in the keyring, where it does nothing: {error}."
            ));
        }
    }
    Ok(TakenOver {
        pin,
        dashboard_id: legacy.dashboard_id,
        peers: legacy.peers.len(),
        pairings: legacy.pairings.len(),
        notices,
    })
}

/// Everything the import may change, as it was.
struct Before(Vec<Row>);

impl Before {
    async fn read(store: &Arc<dyn Store>) -> Result<Self, StoreError> {
        let store = Arc::clone(store);
        blocking(move || {
            let mut rows = Vec::new();
            for kind in [
                identity::ROW.0,
                records::PEER,
                records::PAIRING,
                records::SETTING,
            ] {
                rows.extend(store.rows(kind)?);
            }
            Ok(Self(rows))
        })
        .await
    }

    fn of_kind(&self, kind: &str) -> Vec<Row> {
        let rows = self.0.iter().filter(|row| row.kind == kind);
        rows.cloned().collect()
    }

    fn paired(&self) -> Vec<Row> {
        let mut rows = self.of_kind(records::PEER);
        rows.extend(self.of_kind(records::PAIRING));
        rows
    }

    /// Returns the changes that lead back from `changes`.
    fn undo(&self, changes: &[Change]) -> Vec<Change> {
        let back = |change: &Change| {
            let (kind, key) = match change {
                Change::Put(row) => (&row.kind, &row.key),
                Change::Delete { kind, key } => (kind, key),
            };
            let old = self.0.iter().find(|r| &r.kind == kind && &r.key == key);
            match old {
                Some(row) => Change::Put(row.clone()),
                None => Change::Delete {
                    kind: kind.clone(),
                    key: key.clone(),
                },
            }
        };
        changes.iter().map(back).collect()
    }
}

fn changes(legacy: &Legacy, before: &Before, replaced: &[Row]) -> Result<Vec<Change>, ImportError> {
    // A setting that cannot be read keeps its default, as it does at every start.
    let (mut settings, _) = records::settings(&before.of_kind(records::SETTING));
    legacy.adjust(&mut settings);
    let mut rows = vec![identity::row(&legacy.dashboard_id, Some(legacy.key.pin()))?];
    for peer in &legacy.peers {
        rows.push(records::peer_row(peer)?);
    }
    for pairing in &legacy.pairings {
        rows.push(records::pairing_row(pairing)?);
    }
    rows.extend(records::settings_rows(&settings)?);
    let gone = replaced.iter().map(|row| Change::Delete {
        kind: row.kind.clone(),
        key: row.key.clone(),
    });
    Ok(gone.chain(rows.into_iter().map(Change::Put)).collect())
}

async fn apply(store: &Arc<dyn Store>, changes: Vec<Change>) -> Result<(), StoreError> {
    let store = Arc::clone(store);
    blocking(move || store.apply(&changes)).await
}

/// Returns the anchors of replaced rows that no new row needs.
fn stale_anchors(
    replaced: &[Row],
    peers: &[kiln_model::Peer],
    pairings: &[kiln_model::Pairing],
) -> Vec<(Side, Pin)> {
    let offloaders: HashSet<Pin> = peers.iter().map(|p| p.pin).collect();
    let receivers: HashSet<Pin> = pairings.iter().map(|p| p.pin).collect();
    let old = |row: &Row| match row.kind.as_str() {
        records::PEER => {
            let pin = records::peer(row).ok()?.pin;
            (!offloaders.contains(&pin)).then_some((Side::Offloader, pin))
        }
        _ => {
            let pin = records::pairing(row).ok()?.pin;
            (!receivers.contains(&pin)).then_some((Side::Receiver, pin))
        }
    };
    replaced.iter().filter_map(old).collect()
}

#[cfg(test)]
mod tests {
    use kiln_ports::dashboard::DashboardFiles;
    use kiln_ports::secrets::SecretBytes;
    use kiln_testkit::{DirStore, MemorySecrets};
    use serde_json::Value;

    use super::*;

    /// A Kiln on disk, without a node.
    struct Kiln {
        secrets: MemorySecrets,
        disk: Arc<DirStore>,
        store: Arc<dyn Store>,
    }

    impl Kiln {
        fn new() -> Self {
            let disk = Arc::new(DirStore::new());
            Self {
                secrets: MemorySecrets::default(),
                store: disk.clone(),
                disk,
            }
        }

        async fn import(&self, key: u8, existing: Existing) -> Result<TakenOver, ImportError> {
            let legacy = Legacy::read(&dashboard(key)).unwrap();
            take_over(legacy, existing, &self.secrets, &self.store).await
        }

        /// What a start would find: our pin, and whom it trusts.
        async fn start(&self) -> Result<(Pin, Vec<String>, Vec<String>), String> {
            let identity = identity::load_or_create(&self.secrets, &self.store).await;
            let identity = identity.map_err(|e| e.to_string())?;
            let read = crate::stored::load(&self.store, &self.secrets).await;
            let stored = read.map_err(|e| e.to_string())?;
            assert_eq!(stored.problems, [""; 0]);
            let peers = stored.peers.iter().map(|p| p.label.to_string());
            let pairings = stored.pairings.iter().map(|p| p.label.to_string());
            Ok((identity.key.pin(), peers.collect(), pairings.collect()))
        }

        fn rows(&self) -> Vec<Row> {
            let kinds = ["meta", "peer", "pairing", "setting"];
            kinds
                .iter()
                .flat_map(|k| self.store.rows(k).unwrap())
                .collect()
        }
    }

    /// The dashboard of the vectors, with a key of this byte.
    fn dashboard(key: u8) -> DashboardFiles {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../../tests/vectors/storage.json")).unwrap();
        let bytes = |name: &str| Some(vectors[name].as_str().unwrap().as_bytes().to_vec());
        DashboardFiles {
            dir: "/config/esphome".into(),
            has_configurations: true,
            key: Some(SecretBytes::new(vec![key; 32])),
            metadata: Some(br#"{"_dashboard_identity":{"dashboard_id":"me"}}"#.to_vec()),
            receiver_peers: bytes("receiver_peers_bytes_utf8"),
            offloader_pairings: bytes("offloader_pairings_bytes_utf8"),
        }
    }

    fn lists(peers: &[&str], pairings: &[&str]) -> (Vec<String>, Vec<String>) {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        (owned(peers), owned(pairings))
    }

    // Covers: B-02, B-28
    #[tokio::test]
    async fn a_start_after_an_import_is_the_dashboard_it_was() {
        let kiln = Kiln::new();
        let taken = kiln.import(1, Existing::Keep).await.unwrap();
        assert_eq!(
            (taken.peers, taken.pairings, taken.notices.len()),
            (1, 1, 0)
        );
        assert_eq!(kiln.secrets.get("identity").unwrap(), [1; 32]);
        let (pin, peers, pairings) = kiln.start().await.unwrap();
        assert_eq!(pin, taken.pin);
        assert_eq!((peers, pairings), lists(&["L"], &["Build box"]));
        let (settings, _) = records::settings(&kiln.store.rows("setting").unwrap());
        assert!(settings.receiver);
        assert_eq!(settings.esphome_dir, "/config/esphome");
    }

    #[tokio::test]
    async fn an_identity_without_pairings_is_replaced() {
        let kiln = Kiln::new();
        kiln.start().await.unwrap();
        let taken = kiln.import(1, Existing::Keep).await.unwrap();
        assert_eq!(kiln.start().await.unwrap().0, taken.pin);
    }

    #[tokio::test]
    async fn own_pairings_are_not_given_up_unasked() {
        let kiln = Kiln::new();
        kiln.import(1, Existing::Keep).await.unwrap();
        let before = kiln.rows();
        let error = kiln.import(2, Existing::Keep).await.unwrap_err();
        assert!(matches!(error, ImportError::Paired(2)));
        assert_eq!(kiln.rows(), before);
        assert_eq!(kiln.secrets.get("identity").unwrap(), [1; 32]);

        let taken = kiln.import(2, Existing::Replace).await.unwrap();
        assert_eq!(kiln.start().await.unwrap().0, taken.pin);
    }

    #[tokio::test]
    async fn the_same_dashboard_can_be_imported_again() {
        let kiln = Kiln::new();
        kiln.import(1, Existing::Keep).await.unwrap();
        let before = kiln.rows();
        kiln.import(1, Existing::Keep).await.unwrap();
        assert_eq!(kiln.rows(), before);
    }

    #[tokio::test]
    async fn a_keyring_that_refuses_leaves_everything_as_it_was() {
        let kiln = Kiln::new();
        let own = kiln.start().await.unwrap();
        let before = kiln.rows();
        // Two anchors are stored before the key.
        for calls in 0..3 {
            kiln.secrets.fail_after(calls, SecretsError::Denied);
            let error = kiln.import(1, Existing::Keep).await.unwrap_err();
            assert!(matches!(error, ImportError::Secrets(SecretsError::Denied)));
            kiln.secrets.heal();
            assert_eq!(kiln.rows(), before, "after {calls} calls");
            assert_eq!(kiln.start().await.unwrap(), own);
        }
    }

    #[tokio::test]
    async fn a_full_disk_leaves_everything_as_it_was() {
        let kiln = Kiln::new();
        let own = kiln.start().await.unwrap();
        kiln.disk.refuse(Some(StoreError::Full));
        let error = kiln.import(1, Existing::Keep).await.unwrap_err();
        assert!(matches!(error, ImportError::Store(StoreError::Full)));
        kiln.disk.refuse(None);
        assert_eq!(kiln.start().await.unwrap(), own);
    }

    #[tokio::test]
    async fn an_import_that_was_cut_off_is_told_and_completed_by_the_same_one() {
        let kiln = Kiln::new();
        kiln.start().await.unwrap();
        let own = kiln.secrets.get("identity").unwrap();
        kiln.import(1, Existing::Keep).await.unwrap();
        // As after a crash before the last step.
        kiln.secrets.put("identity", &own);
        let error = kiln.start().await.unwrap_err();
        assert!(error.contains("another key"), "{error}");
        let taken = kiln.import(1, Existing::Keep).await.unwrap();
        let (pin, peers, pairings) = kiln.start().await.unwrap();
        assert_eq!(pin, taken.pin);
        assert_eq!((peers, pairings), lists(&["L"], &["Build box"]));
    }
}
