//! [`Unsaved`]: what store and keyring refused, kept until they take it.
use kiln_model::{Mono, Pin, Side};
use kiln_peer_link::StaticKey;
use kiln_ports::store::Change;

use crate::anchors::Anchor;

/// The newest refused change of each record, in the order of their first refusal, and the trust
/// anchors that are not in the keyring, or not gone from it, yet. So it is with our own key, after a
/// change of it of which nobody knows whether it was made.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    changes: Vec<Change>,
    anchors: Vec<Anchor>,
    key: Option<StaticKey>,
    retry_at: Option<Mono>,
}

impl Unsaved {
    /// Keeps changes; a newer one of the same record replaces the older.
    pub(crate) fn keep(&mut self, changes: Vec<Change>, retry_at: Mono) {
        for change in changes {
            self.changes.retain(|old| record(old) != record(&change));
            self.changes.push(change);
        }
        self.retry_at = Some(retry_at);
    }

    /// Keeps what an entry of the keyring is to hold; the newest wish counts.
    pub(crate) fn keep_anchor(&mut self, anchor: Anchor, retry_at: Mono) {
        self.settle_anchor(anchor.side, anchor.pin);
        self.anchors.push(anchor);
        self.retry_at = Some(retry_at);
    }

    /// An entry of the keyring is as it is wanted.
    pub(crate) fn settle_anchor(&mut self, side: Side, pin: Pin) {
        self.anchors.retain(|a| (a.side, a.pin) != (side, pin));
    }

    /// Returns what the entry of this key is to hold, while that waits.
    pub(crate) fn anchor(&self, side: Side, pin: Pin) -> Option<Anchor> {
        let mut anchors = self.anchors.iter().copied();
        anchors.find(|a| (a.side, a.pin) == (side, pin))
    }

    /// Returns the trust anchors that wait.
    pub(crate) fn anchors(&self) -> Vec<Anchor> {
        self.anchors.clone()
    }

    /// Keeps our key, which the keyring may not have any more.
    pub(crate) fn keep_key(&mut self, key: StaticKey, retry_at: Mono) {
        self.key = Some(key);
        self.retry_at = Some(retry_at);
    }

    /// The keyring has our key.
    pub(crate) fn settle_key(&mut self) {
        self.key = None;
    }

    /// Returns our key, while it waits.
    pub(crate) fn key(&self) -> Option<&StaticKey> {
        self.key.as_ref()
    }

    /// The store took all changes.
    pub(crate) fn saved(&mut self) {
        self.changes.clear();
    }

    /// Returns whether no change waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns whether the newest state of this record waits.
    pub(crate) fn holds(&self, kind: &str, key: &str) -> bool {
        self.changes.iter().any(|c| record(c) == (kind, key))
    }

    /// Returns the changes that wait.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.changes.clone()
    }

    /// Returns when to try again.
    pub(crate) fn retry_at(&self) -> Option<Mono> {
        let waits = !self.changes.is_empty() || !self.anchors.is_empty() || self.key.is_some();
        self.retry_at.filter(|_| waits)
    }

    /// Sets when to try again.
    pub(crate) fn try_again_at(&mut self, at: Mono) {
        self.retry_at = Some(at);
    }
}

fn record(change: &Change) -> (&str, &str) {
    match change {
        Change::Put(row) => (&row.kind, &row.key),
        Change::Delete { kind, key } => (kind, key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_model::PublicKey;
    use kiln_ports::store::Row;

    fn put(key: &str, body: &str) -> Change {
        Change::Put(Row {
            kind: "job".into(),
            key: key.into(),
            body: body.into(),
        })
    }

    #[test]
    fn a_newer_change_of_a_record_replaces_the_older() {
        let mut unsaved = Unsaved::default();
        unsaved.keep(vec![put("a", "1"), put("b", "1")], Mono::default());
        unsaved.keep(vec![put("a", "2")], Mono::default());
        assert_eq!(unsaved.changes(), [put("b", "1"), put("a", "2")]);
    }

    #[test]
    fn what_waits_is_known_by_kind_and_key() {
        let mut unsaved = Unsaved::default();
        unsaved.keep(vec![put("a", "1")], Mono::default());
        assert!(unsaved.holds("job", "a"));
        assert!(!unsaved.holds("job", "b"));
        assert!(!unsaved.holds("peer", "a"));
    }

    #[test]
    fn the_newest_wish_for_an_anchor_waits_until_the_keyring_is_as_wanted() {
        let anchor = |key| Anchor {
            side: Side::Offloader,
            pin: Pin([1; 32]),
            key,
        };
        let mut unsaved = Unsaved::default();
        for key in [None, Some(PublicKey([2; 32]))] {
            unsaved.keep_anchor(anchor(key), Mono::default());
        }
        unsaved.saved();
        assert_eq!(unsaved.anchors(), [anchor(Some(PublicKey([2; 32])))]);
        assert_eq!(unsaved.retry_at(), Some(Mono::default()));
        unsaved.settle_anchor(Side::Receiver, Pin([1; 32]));
        assert_eq!(unsaved.anchors().len(), 1);
        unsaved.settle_anchor(Side::Offloader, Pin([1; 32]));
        assert_eq!(unsaved.retry_at(), None);
    }

    #[test]
    fn nothing_is_retried_when_nothing_waits() {
        let mut unsaved = Unsaved::default();
        unsaved.try_again_at(Mono::default());
        assert_eq!(unsaved.retry_at(), None);
    }
}
