//! [`Window`]: when offloaders we do not know are heard (peer-link.md §4.3).
use std::collections::BTreeMap;
use std::time::Duration;

use kiln_model::Mono;

use crate::ClientId;

/// How long one "open" lasts (peer-link.md §4.3).
pub(super) const LIFETIME: Duration = Duration::from_secs(300);

/// One entry per client that opened; open while any entry is unexpired. Closed by default, never
/// kept on disk.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: BTreeMap<ClientId, Entry>,
}

#[derive(Debug)]
struct Entry {
    until: Mono,
    owner: Owner,
}

#[derive(Debug, PartialEq, Eq)]
enum Owner {
    Here,
    Gone,
}

impl Window {
    /// Opens for `client`, or extends its entry.
    pub(super) fn open(&mut self, client: ClientId, now: Mono) {
        let until = now + LIFETIME;
        let owner = Owner::Here;
        self.entries.insert(client, Entry { until, owner });
    }

    /// Removes the entry of `client`, and entries whose clients are gone: a command line that opened
    /// the window is another client when it comes back to close it.
    pub(super) fn close(&mut self, client: ClientId) {
        self.entries
            .retain(|of, entry| *of != client && entry.owner == Owner::Here);
    }

    /// Removes every entry: nobody may ask any more.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Lets the entry of a client that is gone age out.
    pub(super) fn client_gone(&mut self, client: ClientId) {
        if let Some(entry) = self.entries.get_mut(&client) {
            entry.owner = Owner::Gone;
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) {
        self.entries.retain(|_, entry| now < entry.until);
    }

    /// Returns when the last entry expires; `None` while closed.
    pub(super) fn until(&self) -> Option<Mono> {
        self.entries.values().map(|entry| entry.until).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ClientId = ClientId(1);
    const B: ClientId = ClientId(2);

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[derive(Clone, Copy)]
    enum Step {
        Open(ClientId),
        Close(ClientId),
        Gone(ClientId),
    }
    use Step::{Close, Gone, Open};

    #[track_caller]
    fn check(steps: &[(u64, Step)], look: u64, open: bool) {
        let mut window = Window::default();
        for (time, step) in steps {
            window.handle_timeout(at(*time));
            match step {
                Open(client) => window.open(*client, at(*time)),
                Close(client) => window.close(*client),
                Gone(client) => window.client_gone(*client),
            }
        }
        window.handle_timeout(at(look));
        assert_eq!(window.until().is_some(), open);
    }

    //
    #[test]
    fn the_window_is_open_while_any_entry_is_younger_than_300_seconds() {
        check(&[], 0, false);
        check(&[(0, Open(A))], 299, true);
        check(&[(0, Open(A))], 300, false);
        check(&[(0, Open(A)), (200, Open(A))], 499, true);
        check(&[(0, Open(A)), (200, Open(A))], 500, false);
        check(&[(0, Open(A)), (100, Open(B))], 399, true);
        check(&[(0, Open(A)), (100, Open(B))], 400, false);
    }

    #[test]
    fn closing_removes_only_the_entry_of_the_asking_client() {
        check(&[(0, Open(A)), (1, Close(A))], 2, false);
        check(&[(0, Open(A)), (1, Open(B)), (2, Close(A))], 3, true);
        check(&[(0, Open(A)), (1, Close(B))], 2, true);
    }

    #[test]
    fn an_entry_outlives_its_client_and_can_then_be_closed_by_another() {
        check(&[(0, Open(A)), (1, Gone(A))], 299, true);
        check(&[(0, Open(A)), (1, Gone(A))], 300, false);
        check(&[(0, Open(A)), (1, Gone(A)), (2, Close(B))], 3, false);
    }
}
