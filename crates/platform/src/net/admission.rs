//! [`Admission`]: how often strangers may connect, and which half-open connections may stay (trust.md
//! §1.4, G7 and G8).
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

/// Half-open connections at once.
const TOTAL: usize = 64;
/// Of these, for one source address.
const PER_SOURCE: usize = 8;
/// Of these, kept for addresses that authenticated lately.
const KEPT: usize = 16;
/// How long an address counts as known.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);
/// Known addresses remembered; the longest unseen is forgotten first.
const KNOWN: usize = 256;

/// How often addresses that are not known may begin a handshake: one of them, and all together. It costs
/// a computer some hundred microseconds, and whoever asked an answer.
const OF_ONE: Rate = Rate {
    at_once: 20,
    span: Duration::from_millis(200),
};
const OF_ALL: Rate = Rate {
    at_once: 64,
    span: Duration::from_millis(50),
};

/// So many at once, and one more in each span.
struct Rate {
    at_once: u32,
    span: Duration,
}

impl Rate {
    /// Returns until when it is used after one more, or `None` for one too many.
    fn one_more(&self, used_until: Option<Instant>, now: Instant) -> Option<Instant> {
        let until = used_until.map_or(now, |until| until.max(now));
        let has_room = until.duration_since(now) < self.span * self.at_once;
        has_room.then(|| until + self.span)
    }
}

/// Shared by a listener and the connections it accepted.
#[derive(Clone, Default)]
pub(super) struct Admission(Arc<Mutex<Table>>);

impl Admission {
    /// Lets a connection in as half open, dropping the oldest half-open one that is in its way; or not,
    /// where strangers come too often.
    pub(super) fn admit(&self, source: IpAddr, tcp: &Arc<TcpStream>) -> Option<Ticket> {
        let mut table = self.table();
        let now = Instant::now();
        if !table.may_begin(source, now) {
            return None;
        }
        let (number, evicted) = table.admit(source, now);
        if let Some(entry) = table.half_open.get_mut(&number) {
            entry.tcp = Arc::downgrade(tcp);
        }
        drop(table);
        if let Some(victim) = evicted.and_then(|entry| entry.tcp.upgrade()) {
            let _ = socket2::SockRef::from(&*victim).shutdown(std::net::Shutdown::Both);
        }
        Some(Ticket {
            admission: self.clone(),
            number,
            source,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among the half-open ones; dropped with the connection.
pub(super) struct Ticket {
    admission: Admission,
    number: u64,
    source: IpAddr,
}

impl Ticket {
    /// Takes the connection out of the half-open ones and remembers its source.
    pub(super) fn authenticated(&self) {
        let mut table = self.admission.table();
        table.half_open.remove(&self.number);
        table.remember(self.source, Instant::now());
    }

    /// Returns whether nobody authenticated on this connection so far.
    pub(super) fn is_half_open(&self) -> bool {
        self.admission.table().half_open.contains_key(&self.number)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.table().half_open.remove(&self.number);
    }
}

struct HalfOpen {
    source: IpAddr,
    tcp: Weak<TcpStream>,
}

/// The decision itself; numbers rise, so the smallest is the oldest.
#[derive(Default)]
struct Table {
    half_open: BTreeMap<u64, HalfOpen>,
    known: HashMap<IpAddr, Instant>,
    next: u64,
    /// Until when strangers have used what they may, each and all together.
    of_one: HashMap<IpAddr, Instant>,
    of_all: Option<Instant>,
}

impl Table {
    /// Counts a handshake of a stranger; returns whether it is not one too many.
    fn may_begin(&mut self, source: IpAddr, now: Instant) -> bool {
        if self.known.contains_key(&source) {
            return true;
        }
        // Those of all are bounded, and so is what is kept here.
        self.of_one.retain(|_, until| *until > now);
        let one = OF_ONE.one_more(self.of_one.get(&source).copied(), now);
        let all = OF_ALL.one_more(self.of_all, now);
        let (Some(one), Some(_)) = (one, all) else {
            return false;
        };
        self.of_one.insert(source, one);
        self.of_all = all;
        true
    }

    fn admit(&mut self, source: IpAddr, now: Instant) -> (u64, Option<HalfOpen>) {
        self.known
            .retain(|_, seen| now.saturating_duration_since(*seen) < KNOWN_FOR);
        let evicted = self
            .in_the_way(source)
            .and_then(|number| self.half_open.remove(&number));
        let number = self.next;
        self.next += 1;
        let entry = HalfOpen {
            source,
            tcp: Weak::new(),
        };
        self.half_open.insert(number, entry);
        (number, evicted)
    }

    fn in_the_way(&self, source: IpAddr) -> Option<u64> {
        let oldest_of = |fits: &dyn Fn(IpAddr) -> bool| {
            let mut numbers = self
                .half_open
                .iter()
                .filter(|(_, entry)| fits(entry.source))
                .map(|(number, _)| *number);
            (numbers.clone().count(), numbers.next())
        };
        let stranger = |address: IpAddr| !self.known.contains_key(&address);
        let (own, oldest_own) = oldest_of(&|address| address == source);
        if own >= PER_SOURCE {
            return oldest_own;
        }
        let (strangers, oldest_stranger) = oldest_of(&stranger);
        if stranger(source) && strangers >= TOTAL - KEPT {
            return oldest_stranger;
        }
        if self.half_open.len() >= TOTAL {
            return oldest_stranger.or(oldest_of(&|_| true).1);
        }
        None
    }

    fn remember(&mut self, source: IpAddr, now: Instant) {
        if self.known.len() >= KNOWN && !self.known.contains_key(&source) {
            let longest = self.known.iter().min_by_key(|(_, seen)| **seen);
            if let Some(address) = longest.map(|(address, _)| *address) {
                self.known.remove(&address);
            }
        }
        self.known.insert(source, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    fn fill(table: &mut Table, hosts: std::ops::Range<u32>, now: Instant) -> usize {
        hosts
            .filter(|n| table.admit(host(*n), now).1.is_some())
            .count()
    }

    #[tokio::test]
    async fn the_ninth_of_one_source_replaces_its_first() {
        let (mut table, now) = (Table::default(), Instant::now());
        for _ in 0..8 {
            assert!(table.admit(host(1), now).1.is_none());
        }
        table.admit(host(2), now);
        let evicted = table.admit(host(1), now).1.unwrap();
        assert_eq!(evicted.source, host(1));
        assert!(!table.half_open.contains_key(&0));
        assert_eq!(table.half_open.len(), 9);
    }

    #[tokio::test]
    async fn strangers_never_take_the_kept_slots() {
        let (mut table, now) = (Table::default(), Instant::now());
        assert_eq!(fill(&mut table, 0..1000, now), 1000 - 48);
        assert_eq!(table.half_open.len(), 48);
        for n in 2000..2016 {
            table.remember(host(n), now);
            assert!(table.admit(host(n), now).1.is_none());
        }
        assert_eq!(table.half_open.len(), 64);
        table.remember(host(3000), now);
        let evicted = table.admit(host(3000), now).1.unwrap();
        assert!(!table.known.contains_key(&evicted.source));
    }

    #[tokio::test]
    async fn strangers_who_come_too_often_are_sent_away_and_known_addresses_never() {
        let (mut table, now) = (Table::default(), Instant::now());
        let mut let_in = |source: u32, count: usize, now| {
            (0..count)
                .filter(|_| table.may_begin(host(source), now))
                .count()
        };
        assert_eq!(let_in(1, 100, now), 20);
        assert_eq!(let_in(1, 100, now + Duration::from_secs(1)), 5);
        let many: usize = (100..300)
            .map(|n| let_in(n, 1, now + Duration::from_secs(1)))
            .sum();
        assert_eq!(many, 64 - 5, "all of them together");
        assert_eq!(let_in(2, 1, now + Duration::from_secs(1)), 0);
        assert_eq!(let_in(2, 1, now + Duration::from_secs(2)), 1);
        table.remember(host(3), now);
        assert!((0..1000).all(|_| table.may_begin(host(3), now)));
        table.may_begin(host(4), now + Duration::from_secs(60));
        assert_eq!(table.of_one.len(), 1, "who stays away is forgotten");
    }

    #[tokio::test]
    async fn an_address_is_known_for_a_day() {
        let (mut table, now) = (Table::default(), Instant::now());
        table.remember(host(1), now);
        table.admit(host(2), now + KNOWN_FOR - Duration::from_secs(1));
        assert!(table.known.contains_key(&host(1)));
        table.admit(host(2), now + KNOWN_FOR);
        assert!(!table.known.contains_key(&host(1)));
    }

    #[tokio::test]
    async fn the_memory_of_known_addresses_is_bounded() {
        let (mut table, now) = (Table::default(), Instant::now());
        for n in 0..300 {
            table.remember(host(n), now + Duration::from_secs(u64::from(n)));
        }
        assert_eq!(table.known.len(), KNOWN);
        assert!(table.known.contains_key(&host(299)));
        assert!(!table.known.contains_key(&host(0)));
    }
}
