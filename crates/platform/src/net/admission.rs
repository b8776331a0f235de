//! [`Admission`]: how often strangers may connect, and which half-open connections may stay (trust.md
//! §1.4, G7 and G8).
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
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

/// How often those may begin a handshake who are not known: one of them, and all together. It costs a
/// computer some hundred microseconds, and whoever asked an answer.
const OF_ONE: Rate = Rate {
    at_once: 20,
    span: Duration::from_millis(200),
};
const OF_ALL: Rate = Rate {
    at_once: 64,
    span: Duration::from_millis(50),
};

/// Who has begun none for so long is let in although all together began too many: a flood from one place
/// keeps nobody else out.
const LATELY: Duration = Duration::from_secs(10);
/// So many are remembered for that; a flood from more places is held to what all together may.
const REMEMBERED: usize = 512;

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

/// Shared by listeners, which come and go with settings, and the connections they accepted.
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
    /// Until when strangers have used what they may: each, if it was lately, and all together.
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
        self.of_one.retain(|_, until| *until + LATELY > now);
        let stranger = one_of(source);
        let before = self.of_one.get(&stranger).copied();
        let is_new = before.is_none() && self.of_one.len() < REMEMBERED;
        let all = OF_ALL.one_more(self.of_all, now);
        let Some(one) = OF_ONE
            .one_more(before, now)
            .filter(|_| all.is_some() || is_new)
        else {
            return false;
        };
        self.of_one.insert(stranger, one);
        self.of_all = all.or(self.of_all);
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

/// Returns what counts as one stranger: an address, of IPv6 its network, since a computer has as many
/// addresses there as it likes. Whoever shares it with a flood, and is not known, comes over IPv4.
fn one_of(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
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

    fn let_in(table: &mut Table, sources: impl Iterator<Item = IpAddr>, now: Instant) -> usize {
        sources
            .filter(|source| table.may_begin(*source, now))
            .count()
    }

    #[tokio::test]
    async fn a_stranger_who_comes_too_often_is_sent_away_and_a_known_address_never() {
        let (mut table, now) = (Table::default(), Instant::now());
        let again = |n| std::iter::repeat_n(host(n), 100);
        assert_eq!(let_in(&mut table, again(1), now), 20);
        let later = now + Duration::from_secs(1);
        assert_eq!(let_in(&mut table, again(1), later), 5);
        table.remember(host(2), now);
        assert_eq!(let_in(&mut table, again(2), now), 100);
        table.may_begin(host(3), now + Duration::from_secs(60));
        assert_eq!(table.of_one.len(), 1, "who stays away is forgotten");
    }

    #[tokio::test]
    async fn a_flood_from_one_ipv6_network_is_one_stranger_and_keeps_nobody_else_out() {
        let (mut table, now) = (Table::default(), Instant::now());
        let flood = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, n, n, n, n]);
        assert_eq!(let_in(&mut table, (0..1000).map(flood), now), 20);
        let other = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert!(table.may_begin(other, now));
    }

    #[tokio::test]
    async fn who_was_not_there_lately_is_let_in_although_others_use_up_what_all_may() {
        let (mut table, now) = (Table::default(), Instant::now());
        // Four neighbours come 1,000 times each second.
        let flood = |table: &mut Table, now| {
            let all = (0..4000).map(|n| host(n % 4));
            let_in(table, all, now)
        };
        assert_eq!(flood(&mut table, now), 64);
        assert!(table.may_begin(host(9), now));
        assert!(!table.may_begin(host(9), now), "it was there just now");
        for second in 1..15 {
            let now = now + Duration::from_secs(second);
            assert_eq!(flood(&mut table, now), 20, "what a flood gets is the same");
        }
        assert!(table.may_begin(host(9), now + Duration::from_secs(14)));
    }

    #[tokio::test]
    async fn a_flood_from_everywhere_is_held_to_what_all_may() {
        let (mut table, now) = (Table::default(), Instant::now());
        assert_eq!(let_in(&mut table, (0..5000).map(host), now), REMEMBERED);
        let later = now + Duration::from_secs(1);
        assert_eq!(let_in(&mut table, (5000..9000).map(host), later), 20);
        assert!(table.of_one.len() <= REMEMBERED + 20);
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
