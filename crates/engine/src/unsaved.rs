//! [`Unsaved`]: changes that the store refused, kept until it takes them.
use kiln_model::Mono;
use kiln_ports::store::Change;

/// The newest refused change of each record, in the order of their first refusal.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    changes: Vec<Change>,
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

    /// Returns whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns whether the newest state of this record waits.
    pub(crate) fn holds(&self, kind: &str, key: &str) -> bool {
        self.changes.iter().any(|c| record(c) == (kind, key))
    }

    /// Returns everything that waits.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.changes.clone()
    }

    /// Returns when to try again.
    pub(crate) fn retry_at(&self) -> Option<Mono> {
        self.retry_at.filter(|_| !self.changes.is_empty())
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
    fn nothing_is_retried_when_nothing_waits() {
        let mut unsaved = Unsaved::default();
        unsaved.try_again_at(Mono::default());
        assert_eq!(unsaved.retry_at(), None);
    }
}
