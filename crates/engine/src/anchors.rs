//! Trust anchors: the keyring entries without which a stored row is not believed.
//!
//! One entry per pinned key and side. It holds the public key itself, so that a program that
//! can only write files can neither add a peer nor point a row at another key.
use kiln_model::{Label, Pairing, Peer, Pin, PublicKey, Sentence, Side, say};
use kiln_ports::Secrets;
use kiln_ports::secrets::{SecretBytes, SecretsError};

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

/// Keeps the rows whose anchor is there and says the same; the others are named in `problems`.
pub(crate) async fn trusted(
    secrets: &dyn Secrets,
    peers: Vec<Peer>,
    pairings: Vec<Pairing>,
    problems: &mut Vec<Sentence>,
) -> Result<(Vec<Peer>, Vec<Pairing>), SecretsError> {
    let mut kept = (Vec::new(), Vec::new());
    for peer in peers {
        if is_set(secrets, Side::Offloader, peer.pin, peer.public_key).await? {
            kept.0.push(peer);
        } else {
            problems.push(say::offloader_without_anchor(
                quoted(&peer.label),
                peer.pin.short(),
            ));
        }
    }
    for pairing in pairings {
        if is_set(secrets, Side::Receiver, pairing.pin, pairing.public_key).await? {
            kept.1.push(pairing);
        } else {
            problems.push(say::receiver_without_anchor(
                quoted(&pairing.label),
                pairing.pin.short(),
            ));
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

fn quoted(label: &Label) -> String {
    format!("{:?}", label.as_str())
}
