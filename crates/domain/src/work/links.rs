//! [`Links`]: open sessions, by link and by peer.
use kiln_model::{LinkId, Pin};

use crate::{Role, Session};

/// Open sessions in the order in which they came up. Of several with one peer the newest counts
/// (peer-link.md §5.3).
#[derive(Debug, Default)]
pub(super) struct Links {
    open: Vec<Session>,
}

impl Links {
    pub(super) fn insert(&mut self, session: Session) {
        self.remove(session.link);
        self.open.push(session);
    }

    pub(super) fn remove(&mut self, link: LinkId) {
        self.open.retain(|s| s.link != link);
    }

    pub(super) fn get(&self, link: LinkId) -> Option<&Session> {
        self.open.iter().find(|s| s.link == link)
    }

    /// Returns the session with this receiver, over which we send work.
    pub(super) fn to_receiver(&self, pin: Pin) -> Option<LinkId> {
        let mut newest = self.open.iter().rev();
        let found = newest.find(|s| s.pin == pin && s.role == Role::Offloader);
        found.map(|s| s.link)
    }

    /// Returns the session with this offloader, over which it sends us work.
    pub(super) fn to_offloader(&self, pin: Pin) -> Option<LinkId> {
        let newest = self.open.iter().rev();
        let mut found = newest.filter(|s| s.pin == pin).filter_map(serves);
        found.next()
    }

    /// Returns every session with an offloader.
    pub(super) fn offloaders(&self) -> impl Iterator<Item = LinkId> {
        self.open.iter().filter_map(serves)
    }
}

/// The link, if the peer sends us work over it.
fn serves(session: &Session) -> Option<LinkId> {
    match session.role {
        Role::Receiver { .. } => Some(session.link),
        Role::Offloader => None,
    }
}
