//! [`Unsaved`]: what store and keyring refused, kept until they take it.
use kiln_model::{Mono, Pin, PublicKey, Side};
use kiln_ports::store::Change;

/// The newest refused change of each record, in the order of their first refusal, and the trust
/// anchors that are not in the keyring yet.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    changes: Vec<Change>,
    anchors: Vec<(Side, Pin, PublicKey)>,
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

    /// Keeps a trust anchor.
    pub(crate) fn keep_anchor(&mut self, side: Side, pin: Pin, key: PublicKey, retry_at: Mono) {
        self.anchored(side, pin);
        self.anchors.push((side, pin, key));
        self.retry_at = Some(retry_at);
    }

    /// A trust anchor is in the keyring, or not wanted any more.
    pub(crate) fn anchored(&mut self, side: Side, pin: Pin) {
        self.anchors.retain(|(d, p, _)| (*d, *p) != (side, pin));
    }

    /// Returns whether this trust anchor waits.
    pub(crate) fn wants_anchor(&self, side: Side, pin: Pin) -> bool {
        let wanted = |(d, p, _): &(Side, Pin, PublicKey)| (*d, *p) == (side, pin);
        self.anchors.iter().any(wanted)
    }

    /// Returns the trust anchors that wait.
    pub(crate) fn anchors(&self) -> Vec<(Side, Pin, PublicKey)> {
        self.anchors.clone()
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
        let waits = !self.changes.is_empty() || !self.anchors.is_empty();
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
    fn an_anchor_waits_until_the_keyring_takes_it_or_nobody_wants_it() {
        let (pin, key) = (Pin([1; 32]), PublicKey([2; 32]));
        let mut unsaved = Unsaved::default();
        for _ in 0..2 {
            unsaved.keep_anchor(Side::Offloader, pin, key, Mono::default());
        }
        unsaved.saved();
        assert_eq!(unsaved.anchors(), [(Side::Offloader, pin, key)]);
        assert_eq!(unsaved.retry_at(), Some(Mono::default()));
        unsaved.anchored(Side::Receiver, pin);
        assert_eq!(unsaved.anchors().len(), 1);
        unsaved.anchored(Side::Offloader, pin);
        assert_eq!(unsaved.retry_at(), None);
    }

    #[test]
    fn nothing_is_retried_when_nothing_waits() {
        let mut unsaved = Unsaved::default();
        unsaved.try_again_at(Mono::default());
        assert_eq!(unsaved.retry_at(), None);
    }
}
