//! [`Peers`]: offloaders that may use us, and which session each has (peer-link.md §4.8, §5.3).
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use indexmap::IndexMap;
use kiln_model::{DashboardId, Hello, LinkId, Peer, Pin};

/// Approved rows and at most one session per row; the newest session wins.
#[derive(Debug, Default)]
pub(super) struct Peers {
    rows: IndexMap<DashboardId, Peer>,
    sessions: BTreeMap<DashboardId, LinkId>,
}

/// Whether a row says something new and has to be saved.
#[derive(Debug, PartialEq)]
pub(super) enum Row {
    Changed(Peer),
    Same,
}

impl Peers {
    pub(super) fn get(&self, id: &DashboardId) -> Option<&Peer> {
        self.rows.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.rows.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Admits an offloader. The caller saves the row.
    pub(super) fn insert(&mut self, peer: Peer) {
        self.rows.insert(peer.dashboard_id.clone(), peer);
    }

    /// Forgets an offloader; returns its row and its live session.
    pub(super) fn remove(&mut self, id: &DashboardId) -> Option<(Peer, Option<LinkId>)> {
        let peer = self.rows.shift_remove(id)?;
        Some((peer, self.sessions.remove(id)))
    }

    /// Takes over what an approved offloader says when it asks again: the label only if it has one,
    /// never the pairing time (peer-link.md §4.3, row 1).
    pub(super) fn asked_again(&mut self, id: &DashboardId, hello: &Hello, source: IpAddr) -> Row {
        self.refresh(id, |peer| {
            if !hello.label.is_empty() {
                peer.label = hello.label.clone();
                peer.label_auto = hello.label_auto;
            }
            introduce(peer, hello, source);
        })
    }

    /// Takes over what an approved offloader says when a session starts; a known name, address or
    /// port is never erased (peer-link.md §4.8).
    pub(super) fn session_starts(&mut self, id: &DashboardId, hello: &Hello, from: IpAddr) -> Row {
        self.refresh(id, |peer| {
            introduce(peer, hello, from);
            peer.connect_back_port = hello.connect_back_port.or(peer.connect_back_port);
        })
    }

    fn refresh(&mut self, id: &DashboardId, change: impl FnOnce(&mut Peer)) -> Row {
        let Some(peer) = self.rows.get_mut(id) else {
            return Row::Same;
        };
        let before = peer.clone();
        change(peer);
        if *peer == before {
            Row::Same
        } else {
            Row::Changed(peer.clone())
        }
    }

    /// Installs a session; returns the older one that it displaces.
    pub(super) fn open(&mut self, id: DashboardId, link: LinkId) -> Option<LinkId> {
        self.sessions.insert(id, link)
    }

    /// Removes a session that ended. An older session that was displaced finds nothing: its end does
    /// not remove the newer one.
    pub(super) fn closed(&mut self, link: LinkId) -> Option<(DashboardId, Pin)> {
        let id = self.sessions.iter().find(|(_, l)| **l == link)?.0.clone();
        self.sessions.remove(&id);
        let pin = self.rows.get(&id)?.pin;
        Some((id, pin))
    }

    pub(super) fn is_connected(&self, id: &DashboardId) -> bool {
        self.sessions.contains_key(id)
    }

    /// Takes out every session, with the key of its peer, but those of some keys.
    pub(super) fn take_sessions(&mut self, but: &BTreeSet<Pin>) -> Vec<(DashboardId, Pin, LinkId)> {
        let rows = &self.rows;
        self.sessions
            .extract_if(.., |id, _| {
                rows.get(id).is_none_or(|peer| !but.contains(&peer.pin))
            })
            .filter_map(|(id, link)| rows.get(&id).map(|peer| (id, peer.pin, link)))
            .collect()
    }
}

fn introduce(peer: &mut Peer, hello: &Hello, source: IpAddr) {
    peer.peer_ip = Some(source);
    if !hello.friendly_name.is_empty() {
        peer.friendly_name = hello.friendly_name.clone();
    }
    peer.ha_addon = hello.ha_addon;
}

#[cfg(test)]
mod tests {
    use kiln_model::{FriendlyName, Label};

    use super::super::fixtures::{id, ip, peer};
    use super::*;

    fn one() -> Peers {
        let mut peers = Peers::default();
        peers.insert(peer(1));
        peers
    }

    //
    #[test]
    fn a_newer_session_displaces_the_older_whose_end_does_not_remove_it() {
        let mut peers = one();
        assert_eq!(peers.open(id(1), LinkId(1)), None);
        assert_eq!(peers.open(id(1), LinkId(3)), Some(LinkId(1)));
        assert_eq!(peers.closed(LinkId(1)), None);
        assert!(peers.is_connected(&id(1)));
        assert_eq!(peers.closed(LinkId(3)), Some((id(1), peer(1).pin)));
        assert!(!peers.is_connected(&id(1)));
    }

    //
    #[test]
    fn a_session_start_refreshes_the_row_and_never_erases_a_name_or_port() {
        let mut peers = one();
        let full = Hello {
            friendly_name: FriendlyName::clipped("ha"),
            ha_addon: true,
            connect_back_port: Some(6055),
            label: Label::clipped("not on this path"),
            ..Hello::default()
        };
        let row = peers.session_starts(&id(1), &full, ip("192.0.2.9"));
        let expected = Peer {
            friendly_name: FriendlyName::clipped("ha"),
            ha_addon: true,
            connect_back_port: Some(6055),
            peer_ip: Some(ip("192.0.2.9")),
            ..peer(1)
        };
        assert_eq!(row, Row::Changed(expected.clone()));
        let bare = Hello::default();
        let row = peers.session_starts(&id(1), &bare, ip("192.0.2.9"));
        let expected = Peer {
            ha_addon: false,
            ..expected
        };
        assert_eq!(row, Row::Changed(expected));
        assert_eq!(
            peers.session_starts(&id(1), &bare, ip("192.0.2.9")),
            Row::Same
        );
    }

    #[test]
    fn asking_again_without_a_label_keeps_the_label() {
        let mut peers = one();
        let mut hello = Hello {
            label_auto: true,
            ..Hello::default()
        };
        peers.asked_again(&id(1), &hello, ip("192.0.2.1"));
        assert_eq!(peers.get(&id(1)).map(|p| p.label_auto), Some(false));
        hello.label = Label::clipped("new");
        peers.asked_again(&id(1), &hello, ip("192.0.2.1"));
        let now = peers.get(&id(1)).unwrap();
        assert_eq!((now.label.as_str(), now.label_auto), ("new", true));
        assert_eq!(now.paired_at, peer(1).paired_at);
    }
}
