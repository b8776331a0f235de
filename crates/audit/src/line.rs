//! One stored line: the hash, a space, and the JSON that it is the hash of.
use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use kiln_model::{AuditFilter, Digest, Entry, Fact, FactKind, PairingStep, Pin, Side, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fact;

/// Version of the shape. A change that an older Kiln would misread raises it.
const SHAPE: u32 = 1;

/// Largest number of an entry that is understood: what a JSON number carries everywhere.
pub(crate) const MAX_NUMBER: u64 = 1 << 53;

/// Hex digits of a hash.
const HASH: usize = 64;

/// The line is no entry, or not of a shape that this version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no entry of the audit")]
pub struct BadLine;

/// What chains a line to its neighbours. What else stands in it is only hashed here, so that
/// entries of a newer Kiln verify as well.
#[derive(Serialize, Deserialize)]
struct Body<F> {
    v: u32,
    n: u64,
    prev: String,
    at: f64,
    fact: F,
}

/// A line as far as the chain cares.
pub(crate) struct Link {
    pub(crate) number: u64,
    pub(crate) previous: Digest,
    /// As it stands in the line.
    pub(crate) hash: Digest,
    /// As it has to be.
    pub(crate) computed: Digest,
}

impl Link {
    pub(crate) fn read(line: &str) -> Option<Self> {
        let (hash, json) = line.split_at_checked(HASH)?;
        let json = json.strip_prefix(' ')?;
        let body: Body<serde::de::IgnoredAny> = serde_json::from_str(json).ok()?;
        (body.n < MAX_NUMBER).then_some(())?;
        Some(Self {
            number: body.n,
            previous: body.prev.parse().ok()?,
            hash: exact(hash)?,
            computed: hash_of(json),
        })
    }
}

/// Makes a line; returns its hash as well.
pub(crate) fn write(number: u64, previous: Digest, at: Timestamp, of: &Fact) -> (String, Digest) {
    let body = Body {
        v: SHAPE,
        n: number,
        prev: previous.to_string(),
        at: fact::seconds(at),
        fact: fact::fact_json(of),
    };
    // See `fact_json`: nothing here cannot be written.
    let json = serde_json::to_string(&body).unwrap_or_default();
    let hash = hash_of(&json);
    (format!("{hash} {json}"), hash)
}

/// Reads a line for people. Whether it is what was written is not looked at: [`crate::verify`] does.
///
/// # Errors
/// [`BadLine`].
pub fn read(line: &str) -> Result<Entry, BadLine> {
    let (hash, json) = line.split_at_checked(HASH).ok_or(BadLine)?;
    let body: Body<Value> = serde_json::from_str(json).map_err(|_| BadLine)?;
    if body.v > SHAPE {
        return Err(BadLine);
    }
    Ok(Entry {
        number: body.n,
        at: fact::time(body.at).ok_or(BadLine)?,
        hash: exact(hash).ok_or(BadLine)?,
        fact: fact::read_fact(body.fact).ok_or(BadLine)?,
    })
}

/// Returns the entries that are wanted, oldest first, at most `most` of them, the newest.
pub fn select(entries: Vec<Entry>, filter: &AuditFilter, most: usize) -> Vec<Entry> {
    let fits = |entry: &Entry| {
        filter.since.is_none_or(|since| entry.at >= since)
            && filter.kind.is_none_or(|kind| entry.fact.kind() == kind)
            && filter.peer.is_none_or(|pin| entry.fact.involves(pin))
    };
    let mut fitting: Vec<Entry> = entries.into_iter().filter(fits).collect();
    let wanted = filter.limit.map_or(most, |limit| limit as usize).min(most);
    fitting.drain(..fitting.len().saturating_sub(wanted));
    fitting
}

/// Returns who is trusted, as far as the entries tell.
pub fn trusted(lines: &[String]) -> HashSet<(Side, Pin)> {
    // Most lines are of another kind, and are not worth reading.
    let kind = format!("\"{}\"", FactKind::Pairing.word());
    let pairings = lines.iter().filter(|line| line.contains(&kind));
    let mut trusted = HashSet::new();
    for entry in pairings.flat_map(|line| read(line)) {
        let Fact::Pairing(fact) = entry.fact else {
            continue;
        };
        let who = (fact.side, fact.party.pin);
        match fact.step {
            PairingStep::Approved | PairingStep::Found => trusted.insert(who),
            PairingStep::Removed => trusted.remove(&who),
            PairingStep::Asked
            | PairingStep::Rejected
            | PairingStep::Revoked
            | PairingStep::KeyChanged
            | PairingStep::Superseded => continue,
        };
    }
    trusted
}

/// Reads a hash as it was written: in lower case, so that no flipped bit goes unseen.
fn exact(hash: &str) -> Option<Digest> {
    let Pin(bytes) = hash.parse().ok()?;
    Some(Digest(bytes))
}

fn hash_of(json: &str) -> Digest {
    let computed = digest(&SHA256, json.as_bytes());
    let mut hash = Digest::default();
    for (byte, of) in hash.0.iter_mut().zip(computed.as_ref()) {
        *byte = *of;
    }
    hash
}
