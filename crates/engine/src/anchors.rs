//! Trust anchors: the keyring entries without which a stored row is not believed.
//!
//! One entry per pinned key and side. It holds the public key itself, so that a program that
//! can only write files can neither add a peer nor point a row at another key.
use kiln_model::{Pairing, Party, Peer, Pin, PublicKey, Sentence, Side, say};
use kiln_ports::Secrets;
use kiln_ports::secrets::{SecretBytes, SecretsError};
use kiln_ports::store::Change;

use crate::records;

/// What one entry of the keyring is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// In which direction the key is trusted.
    pub(crate) side: Side,
    /// Whose entry it is.
    pub(crate) pin: Pin,
    /// The trusted key; `None`: there is to be no entry.
    pub(crate) key: Option<PublicKey>,
}

/// What the keyring said to a trust anchor.
pub(crate) type Tried = (Anchor, Result<(), SecretsError>);

fn name(side: Side, pin: Pin) -> String {
    match side {
        Side::Offloader => format!("offloader-{pin}"),
        Side::Receiver => format!("receiver-{pin}"),
    }
}

/// Brings an entry to what it is to hold.
pub(crate) async fn make_so(secrets: &dyn Secrets, anchor: Anchor) -> Result<(), SecretsError> {
    let Anchor { side, pin, key } = anchor;
    match key {
        Some(key) => set(secrets, side, pin, key).await,
        None => remove(secrets, side, pin).await,
    }
}

/// Makes a key trusted.
pub(crate) async fn set(
    secrets: &dyn Secrets,
    side: Side,
    pin: Pin,
    key: PublicKey,
) -> Result<(), SecretsError> {
    secrets
        .store(&name(side, pin), SecretBytes::new(key.0.to_vec()))
        .await
}

/// Ends the trust in a key.
pub(crate) async fn remove(
    secrets: &dyn Secrets,
    side: Side,
    pin: Pin,
) -> Result<(), SecretsError> {
    secrets.delete(&name(side, pin)).await
}

/// A row that is not believed: its anchor is gone, or holds another key.
pub(crate) struct Lapsed {
    /// In which direction the key was trusted.
    pub(crate) side: Side,
    /// Whose it is.
    pub(crate) party: Party,
    /// Takes the row away: it can never be trusted again, only pairing again can.
    pub(crate) change: Change,
}

impl Lapsed {
    /// Says whom Kiln does not trust any more.
    pub(crate) fn notice(&self) -> Sentence {
        let (label, pin) = (format!("{:?}", self.party.label.as_str()), self.party.pin);
        match self.side {
            Side::Offloader => say::offloader_without_anchor(label, pin.short()),
            Side::Receiver => say::receiver_without_anchor(label, pin.short()),
        }
    }
}

/// Keeps the rows whose anchor is there and says the same; the others are in `lapsed` then.
pub(crate) async fn trusted(
    secrets: &dyn Secrets,
    peers: Vec<Peer>,
    pairings: Vec<Pairing>,
    lapsed: &mut Vec<Lapsed>,
) -> Result<(Vec<Peer>, Vec<Pairing>), SecretsError> {
    let mut kept = (Vec::new(), Vec::new());
    for peer in peers {
        if is_set(secrets, Side::Offloader, peer.pin, peer.public_key).await? {
            kept.0.push(peer);
        } else {
            lapsed.push(Lapsed {
                side: Side::Offloader,
                change: records::delete(records::PEER, peer.dashboard_id.as_str()),
                party: Party {
                    pin: peer.pin,
                    label: peer.label,
                },
            });
        }
    }
    for pairing in pairings {
        if is_set(secrets, Side::Receiver, pairing.pin, pairing.public_key).await? {
            kept.1.push(pairing);
        } else {
            lapsed.push(Lapsed {
                side: Side::Receiver,
                change: records::delete(records::PAIRING, &pairing.pin.to_string()),
                party: Party {
                    pin: pairing.pin,
                    label: pairing.label,
                },
            });
        }
    }
    Ok(kept)
}

async fn is_set(
    secrets: &dyn Secrets,
    side: Side,
    pin: Pin,
    key: PublicKey,
) -> Result<bool, SecretsError> {
    let anchor = secrets.load(&name(side, pin)).await?;
    Ok(anchor.is_some_and(|anchor| anchor.expose() == key.0))
}
