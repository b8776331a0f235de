//! [`Head`]: where the chain begins and ends; [`verify`]: whether it is as it was written.
use std::collections::BTreeSet;

use kiln_model::{AuditSpan, ChainFault, Digest, Fact, Timestamp, Verification};
use serde::{Deserialize, Serialize};

use crate::line::{self, Link, MAX_NUMBER};

/// Entries that are kept for sure; a busy household writes a hundred a day. A line has at most 4 KiB
/// and less than 800 bytes as a rule, so that the audit takes about 10 MB and never more than 80 MB.
pub const KEPT: u64 = 16_384;

/// Entries that are pruned at once, when there are so many more than [`KEPT`].
pub const PRUNED: u64 = 1_024;

/// Version of the shape of a stored head.
const SHAPE: u32 = 1;

/// Where the chain begins and ends. Written together with every entry, so that a cut at either end
/// is noticed, and pruning is told from a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the oldest entry that is kept.
    first: u64,
    /// Hash of the entry before that one, which is not kept any more; zero for the first ever.
    before: Digest,
    /// Number of the next entry.
    next: u64,
    /// Hash of the newest entry.
    last: Digest,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            first: 1,
            before: Digest::default(),
            next: 1,
            last: Digest::default(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    v: u32,
    first: u64,
    before: String,
    next: u64,
    last: String,
}

impl Head {
    /// Reads a stored head; `None` if it is none.
    pub fn read(text: &str) -> Option<Self> {
        let body: Body = serde_json::from_str(text).ok()?;
        let numbers = 0 < body.first && body.first <= body.next && body.next < MAX_NUMBER;
        (body.v <= SHAPE && numbers).then_some(())?;
        Some(Self {
            first: body.first,
            before: body.before.parse().ok()?,
            next: body.next,
            last: body.last.parse().ok()?,
        })
    }

    /// Returns the head as it is stored.
    pub fn text(&self) -> String {
        let body = Body {
            v: SHAPE,
            first: self.first,
            before: self.before.to_string(),
            next: self.next,
            last: self.last.to_string(),
        };
        // Numbers and texts can always be written.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// Goes on behind lines whose head is lost. [`verify`] sees from now on that it was: the chain
    /// begins anew with the next entry, and everything before it is out of place.
    pub fn behind(lines: &[String]) -> Self {
        let numbers = lines.iter().filter_map(|line| Link::read(line));
        let next = numbers.map(|link| link.number).max().unwrap_or(0) + 1;
        Self {
            first: next,
            next,
            ..Self::default()
        }
    }

    /// Adds an entry; returns its number and its line.
    pub fn append(&mut self, at: Timestamp, fact: &Fact) -> (u64, String) {
        let number = self.next;
        let (line, hash) = line::write(number, self.last, at, fact);
        self.next += 1;
        self.last = hash;
        (number, line)
    }

    /// Returns the number of the first entry that is to stay, if it is time to prune.
    pub fn prunes_to(&self) -> Option<u64> {
        let kept = self.next - self.first;
        (kept >= KEPT + PRUNED).then(|| self.next - KEPT)
    }

    /// Lets the chain begin with this line; what is before it is pruned. Returns the numbers that go,
    /// or `None` if it is no line of this chain.
    pub fn begin_with(&mut self, line: &str) -> Option<std::ops::Range<u64>> {
        let link = Link::read(line)?;
        (self.first..self.next)
            .contains(&link.number)
            .then_some(())?;
        let gone = self.first..link.number;
        self.first = link.number;
        self.before = link.previous;
        Some(gone)
    }

    fn span(&self) -> AuditSpan {
        AuditSpan {
            first: self.first,
            last: self.next - 1,
            head: self.last,
        }
    }
}

/// Returns whether these lines, in stored order, are what was written. `noted` is the hash of an
/// entry that has to be among them.
pub fn verify(lines: &[String], head: Option<&Head>, noted: Option<Digest>) -> Verification {
    match walk(lines, head, noted) {
        Ok(span) => Verification::Intact(span),
        Err((number, fault)) => Verification::Broken { number, fault },
    }
}

fn walk(
    lines: &[String],
    head: Option<&Head>,
    noted: Option<Digest>,
) -> Result<AuditSpan, (u64, ChainFault)> {
    let nothing = Head::default();
    let head = match head {
        Some(head) => head,
        None if lines.is_empty() => &nothing,
        None => return Err((0, ChainFault::NoAnchor)),
    };
    let (mut number, mut previous) = (head.first, head.before);
    let mut found = noted.is_none();
    for line in lines {
        let Some(link) = Link::read(line) else {
            return Err((number, ChainFault::Changed));
        };
        if link.number != number {
            return Err((number, misplaced(lines, &link, number, head)));
        }
        if link.hash != link.computed {
            return Err((number, ChainFault::Changed));
        }
        if link.previous != previous {
            // An entry that was rewritten together with its own hash shows in the one behind it.
            return Err((number.max(head.first + 1) - 1, ChainFault::Changed));
        }
        found |= noted == Some(link.hash);
        previous = link.hash;
        number += 1;
    }
    if number < head.next {
        return Err((number, ChainFault::EndCut));
    }
    if number > head.next {
        return Err((head.next, ChainFault::Reordered));
    }
    if previous != head.last && number > head.first {
        return Err((number - 1, ChainFault::Changed));
    }
    if !found {
        return Err((0, ChainFault::NotedMissing));
    }
    Ok(head.span())
}

/// Says what is wrong when another entry stands where this one is expected.
fn misplaced(lines: &[String], found: &Link, expected: u64, head: &Head) -> ChainFault {
    let others = lines.iter().filter_map(|line| Link::read(line));
    let numbers: BTreeSet<u64> = others.map(|link| link.number).collect();
    if found.number < head.first {
        ChainFault::NoAnchor
    } else if found.number < expected || numbers.contains(&expected) {
        ChainFault::Reordered
    } else if expected == head.first {
        ChainFault::BeginningCut
    } else {
        ChainFault::Missing
    }
}
