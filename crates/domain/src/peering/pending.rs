//! [`Pending`]: offloaders that ask to be admitted, and their connections that wait for the answer
//! (peer-link.md §4.3, §4.4).
use std::collections::BTreeMap;
use std::net::IpAddr;

use indexmap::IndexMap;
use kiln_model::{DashboardId, LinkId, PendingPeer, Pin};

/// Most entries (peer-link.md §11 Q15).
const CAPACITY: usize = 32;

/// Most entries of one source address: some dashboards may share a machine or a router.
const PER_SOURCE: usize = 4;

/// Most connections that wait for one entry. A real offloader has one, and a stale one after it
/// lost its network.
const WAITERS: usize = 4;

/// In memory only; emptied when the pairing window closes.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: IndexMap<DashboardId, PendingPeer>,
    waiters: BTreeMap<LinkId, Waiter>,
    /// Requests since the window opened that were worth an entry in the audit.
    news: usize,
}

/// A `pair_status` that is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) dashboard_id: DashboardId,
    pub(super) pin: Pin,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is in the list, and worth an entry in the audit.
    New,
    /// It is in the list.
    Yes,
    /// The id is in the list with another key.
    OtherKey,
    /// The list is full.
    Full,
}

impl Pending {
    /// Notes a request. There are [`PER_SOURCE`] entries per source address, the newest: a stranger
    /// must not fill the list. This machine itself is no stranger.
    pub(super) fn ask(&mut self, asking: PendingPeer) -> Noted {
        match self.entries.get_mut(&asking.dashboard_id) {
            Some(known) if known.pin != asking.pin => return Noted::OtherKey,
            Some(known) => {
                *known = asking;
                return Noted::Yes;
            }
            None => {}
        }
        let stranger = |ip: &IpAddr| !ip.to_canonical().is_loopback();
        if asking.peer_ip.as_ref().is_some_and(stranger) {
            let of_the_same = |known: &&PendingPeer| known.peer_ip == asking.peer_ip;
            let mut same = self.entries.values().filter(of_the_same);
            let oldest = same.next().map(|known| known.dashboard_id.clone());
            if let Some(oldest) = oldest.filter(|_| same.count() + 1 >= PER_SOURCE) {
                self.entries.shift_remove(&oldest);
            }
        }
        if self.entries.len() >= CAPACITY {
            return Noted::Full;
        }
        self.entries.insert(asking.dashboard_id.clone(), asking);
        // A stranger with ever new names must not push out what the audit holds.
        if self.news >= CAPACITY {
            return Noted::Yes;
        }
        self.news += 1;
        Noted::New
    }

    pub(super) fn get(&self, id: &DashboardId) -> Option<&PendingPeer> {
        self.entries.get(id)
    }

    pub(super) fn remove(&mut self, id: &DashboardId) -> Option<PendingPeer> {
        self.entries.shift_remove(id)
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.news = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PendingPeer> {
        self.entries.values()
    }

    /// Lets a connection wait. Returns the one that has to make room for it, if any.
    pub(super) fn wait(&mut self, link: LinkId, waiter: Waiter) -> Option<LinkId> {
        let of_the_same = |w: &Waiter| w.dashboard_id == waiter.dashboard_id;
        let mut same = self.waiters.iter().filter(|(_, w)| of_the_same(w));
        let oldest = same.next().map(|(link, _)| *link);
        let crowded = same.count() + 1 >= WAITERS;
        let evicted = oldest.filter(|_| crowded);
        if let Some(evicted) = evicted {
            self.waiters.remove(&evicted);
        }
        self.waiters.insert(link, waiter);
        evicted
    }

    /// Takes out the connections whose entry is gone or changed hands: they are looked up again.
    pub(super) fn take_woken(&mut self) -> Vec<(LinkId, Waiter)> {
        let entries = &self.entries;
        let woken: Vec<_> = self
            .waiters
            .iter()
            .filter(|(_, w)| {
                entries
                    .get(&w.dashboard_id)
                    .is_none_or(|entry| entry.pin != w.pin)
            })
            .map(|(link, waiter)| (*link, waiter.clone()))
            .collect();
        for (link, _) in &woken {
            self.waiters.remove(link);
        }
        woken
    }

    /// Takes out every waiting connection, because the listener goes.
    pub(super) fn take_waiters(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.waiters).into_keys().collect()
    }

    /// Forgets a connection that ended by itself.
    pub(super) fn handle_closed(&mut self, link: LinkId) {
        self.waiters.remove(&link);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{id, pending};
    use super::*;

    #[test]
    fn the_list_is_full_at_32_entries_and_still_refreshes_those_in_it() {
        let mut list = Pending::default();
        for n in 0..32 {
            assert_eq!(list.ask(pending(n, "127.0.0.1")), Noted::New);
        }
        assert_eq!(list.ask(pending(32, "127.0.0.1")), Noted::Full);
        assert_eq!(list.ask(pending(31, "127.0.0.1")), Noted::Yes);
        assert_eq!(list.iter().count(), 32);
    }

    #[test]
    fn dashboards_behind_one_address_can_ask_together_and_a_fifth_replaces_the_oldest() {
        let mut list = Pending::default();
        for n in 1..=4 {
            assert_eq!(list.ask(pending(n, "192.0.2.1")), Noted::New);
        }
        assert_eq!(list.ask(pending(5, "192.0.2.5")), Noted::New);
        assert_eq!(list.iter().count(), 5);
        assert_eq!(list.ask(pending(6, "192.0.2.1")), Noted::New);
        let left: Vec<_> = list.iter().map(|p| p.dashboard_id.clone()).collect();
        assert_eq!(left, [2, 3, 4, 5, 6].map(id));
    }

    #[test]
    fn of_one_window_only_so_many_requests_are_worth_an_entry() {
        let mut list = Pending::default();
        for n in 0..32 {
            assert_eq!(list.ask(pending(n, "192.0.2.1")), Noted::New);
        }
        assert_eq!(list.ask(pending(32, "192.0.2.1")), Noted::Yes);
        list.clear();
        assert_eq!(list.ask(pending(33, "192.0.2.1")), Noted::New);
    }

    #[test]
    fn the_oldest_of_five_connections_that_wait_for_one_entry_makes_room() {
        let mut list = Pending::default();
        list.ask(pending(1, "192.0.2.1"));
        let waiter = Waiter {
            dashboard_id: id(1),
            pin: pending(1, "192.0.2.1").pin,
        };
        for link in [1, 3, 5, 7] {
            assert_eq!(list.wait(LinkId(link), waiter.clone()), None);
        }
        assert_eq!(list.wait(LinkId(9), waiter), Some(LinkId(1)));
        assert_eq!(list.take_woken(), []);
        list.remove(&id(1));
        assert_eq!(list.take_woken().len(), 4);
    }
}
