//! [`Audit`]: the audit as rows of the store: added to, pruned, and asked.
//!
//! A line and the head are written in one transaction, together with the record that they tell of if
//! there is one: a crash loses both or none, and no promise waits for a disk because of the audit.
use std::collections::HashSet;
use std::sync::Arc;

use kiln_audit::{Head, PRUNED};
use kiln_domain::{Event, RequestId};
use kiln_model::{
    AuditQuestion, Digest, ErrorCode, Fact, Pin, Reply, RequestError, Side, Timestamp,
    Verification, say,
};
use kiln_ports::Store;
use kiln_ports::store::{Change, Row, StoreError};

use crate::blocking::blocking;
use crate::context::Context;
use crate::node::Node;

/// Kind of the rows. One row is the head, the others are lines; they are of one kind, so that one
/// reading of the store shows both as they belong together.
const AUDIT: &str = "audit";

/// Key of the head's row.
const HEAD: &str = "head";

/// Bytes of lines in one answer; the control channel carries 16 MiB.
const ANSWER: usize = 12 * 1024 * 1024;

/// Where the audit goes on, and lines that the store was not given yet.
pub(crate) struct Audit {
    head: Head,
    waiting: Vec<Change>,
    /// Where the audit was to begin when it was pruned last.
    pruned_to: u64,
}

/// What the store holds.
struct Stored {
    head: Option<Head>,
    /// In the order in which they were written.
    lines: Vec<String>,
}

impl Audit {
    /// Goes on where the store ends; returns as well who is trusted by what it says. A head that is
    /// lost is said by verifying, not mended.
    pub(crate) fn open(store: &dyn Store) -> Result<(Self, HashSet<(Side, Pin)>), StoreError> {
        let Stored { head, lines } = stored(store)?;
        let audit = Self {
            head: head.unwrap_or_else(|| Head::behind(&lines)),
            waiting: Vec::new(),
            pruned_to: 0,
        };
        Ok((audit, kiln_audit::trusted(&lines)))
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, at: Timestamp, fact: &Fact) {
        let (number, line) = self.head.append(at, fact);
        self.waiting.push(put(key(number), line));
    }

    /// Returns whether an entry was not given to the store yet.
    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes out what the store has to be given.
    pub(crate) fn take(&mut self) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.waiting);
        if !changes.is_empty() {
            changes.push(put(HEAD.to_owned(), self.head.text()));
        }
        changes
    }

    /// Returns the number of the first entry that is to stay, if it is time to prune. An audit that
    /// cannot be pruned, because it is broken, is not read again for each of its entries.
    fn prunes_to(&mut self) -> Option<u64> {
        let first = self.head.prunes_to()?;
        (first >= self.pruned_to + PRUNED).then_some(())?;
        self.pruned_to = first;
        Some(first)
    }

    /// Lets go of the oldest entries.
    fn prune(&mut self, rows: &[Row], first: u64) -> Vec<Change> {
        let begins = rows.iter().find(|row| row.key == key(first));
        let gone = begins.and_then(|row| self.head.begin_with(&row.body));
        // A line that is gone cannot be the beginning; the audit is broken and grows on.
        let mut changes: Vec<Change> = gone
            .into_iter()
            .flatten()
            .map(|number| Change::Delete {
                kind: AUDIT.to_owned(),
                key: key(number),
            })
            .collect();
        changes.push(put(HEAD.to_owned(), self.head.text()));
        changes
    }
}

impl Node {
    /// Gives the store what was not written along with a record, and prunes what is too much.
    pub(crate) async fn write_audit(&mut self) -> Result<(), String> {
        if self.audit.is_waiting() {
            self.keep(Vec::new()).await?;
        }
        if let Some(first) = self.audit.prunes_to() {
            let store = Arc::clone(&self.context.store);
            let rows = blocking(move || store.rows(AUDIT)).await;
            let pruned = self.audit.prune(&rows.map_err(|e| e.to_string())?, first);
            self.keep(pruned).await?;
        }
        Ok(())
    }
}

/// Answers a question from what the store holds.
pub(crate) async fn answer(context: Arc<Context>, id: RequestId, question: AuditQuestion) {
    let store = Arc::clone(&context.store);
    let reply = match blocking(move || stored(store.as_ref())).await {
        Ok(stored) => said(&stored, question),
        Err(error) => Reply::Refused(RequestError {
            code: ErrorCode::Internal,
            message: say::audit_unreadable(error.to_string()),
            hint: say::hint_disk(),
        }),
    };
    context.tell(Event::AuditRead(id, reply)).await;
}

fn said(stored: &Stored, question: AuditQuestion) -> Reply {
    let entries = || stored.lines.iter().flat_map(|line| kiln_audit::read(line));
    match question {
        AuditQuestion::Entries(filter) => {
            let all: Vec<_> = entries().collect();
            let unreadable = stored.lines.len() - all.len();
            Reply::Audit {
                entries: kiln_audit::select(all, &filter, fitting(&stored.lines)),
                unreadable: unreadable as u64,
            }
        }
        AuditQuestion::Verify { noted } => Reply::AuditVerified(verified(stored, noted)),
        AuditQuestion::Statistics { since } => {
            let all: Vec<_> = entries().collect();
            Reply::Statistics(kiln_audit::statistics(&all, since))
        }
    }
}

fn verified(stored: &Stored, noted: Option<Digest>) -> Verification {
    kiln_audit::verify(&stored.lines, stored.head.as_ref(), noted)
}

/// Returns how many of the newest lines fit into one answer.
fn fitting(lines: &[String]) -> usize {
    let mut left = ANSWER;
    let fits = |line: &&String| {
        let fits = line.len() <= left;
        left = left.saturating_sub(line.len());
        fits
    };
    lines.iter().rev().take_while(fits).count()
}

fn stored(store: &dyn Store) -> Result<Stored, StoreError> {
    store.rows(AUDIT).map(sorted)
}

fn sorted(rows: Vec<Row>) -> Stored {
    let (head, lines): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.key == HEAD);
    Stored {
        head: head.first().and_then(|row| Head::read(&row.body)),
        lines: lines.into_iter().map(|row| row.body).collect(),
    }
}

fn key(number: u64) -> String {
    format!("{number:016}")
}

fn put(key: String, body: String) -> Change {
    Change::Put(Row {
        kind: AUDIT.to_owned(),
        key,
        body,
    })
}

#[cfg(test)]
mod tests {
    use kiln_audit::KEPT;
    use kiln_model::AuditFilter;

    use super::*;

    fn fact(value: u64) -> Fact {
        Fact::Setting {
            name: "idle_minutes".to_owned(),
            old: String::new(),
            new: value.to_string(),
        }
    }

    /// An audit of so many entries, and the rows that the store was given.
    fn written(count: u64) -> (Audit, Vec<Row>) {
        let mut audit = Audit {
            head: Head::default(),
            waiting: Vec::new(),
            pruned_to: 0,
        };
        for number in 0..count {
            audit.add(Timestamp(number as i64), &fact(number));
        }
        let row = |change| match change {
            Change::Put(row) => row,
            Change::Delete { .. } => panic!("only added to"),
        };
        let rows = audit.take().into_iter().map(row).collect();
        (audit, rows)
    }

    #[test]
    fn nothing_is_written_when_nothing_happened() {
        let (mut audit, rows) = written(2);
        assert_eq!(rows.len(), 3, "two lines and the head");
        assert_eq!(audit.take(), []);
    }

    #[test]
    fn a_full_audit_lets_go_of_its_oldest_entries_and_still_verifies() {
        let (mut audit, mut rows) = written(KEPT + PRUNED);
        let first = audit.prunes_to().unwrap();
        let changes = audit.prune(&rows, first);
        assert_eq!(changes.len() as u64, PRUNED + 1);
        for change in changes {
            match change {
                Change::Delete { key, .. } => rows.retain(|row| row.key != key),
                Change::Put(head) => {
                    rows.retain(|row| row.key != head.key);
                    rows.push(head);
                }
            }
        }
        let stored = sorted(rows);
        assert_eq!(stored.lines.len() as u64, KEPT);
        let verdict = verified(&stored, None);
        assert!(matches!(verdict, Verification::Intact(span) if span.first == first));
        assert_eq!(audit.prunes_to(), None);
    }

    #[test]
    fn an_audit_that_cannot_be_pruned_grows_on_and_is_read_again_only_now_and_then() {
        let (mut audit, mut rows) = written(KEPT + PRUNED);
        let first = audit.prunes_to().unwrap();
        rows.retain(|row| row.key != key(first));
        assert_eq!(
            audit.prune(&rows, first).len(),
            1,
            "only the head, as it was"
        );
        let mut tries = 0;
        for number in 0..3 * PRUNED {
            audit.add(Timestamp(0), &fact(number));
            tries += usize::from(audit.prunes_to().is_some());
        }
        assert_eq!(tries, 3);
    }

    #[test]
    fn an_answer_holds_as_many_of_the_newest_entries_as_fit() {
        let line = "x".repeat(ANSWER / 4);
        let lines = vec![line; 9];
        assert_eq!(fitting(&lines), 4);
        let (_, rows) = written(9);
        let reply = said(
            &sorted(rows),
            AuditQuestion::Entries(AuditFilter::default()),
        );
        assert!(matches!(reply, Reply::Audit { entries, unreadable: 0 } if entries.len() == 9));
    }
}
