//! What people ask of [`Peering`]: pairing, approving, the window, the key.
use kiln_model::{
    CloseReason, DashboardId, Endpoint, ErrorCode, Now, PairingStatus, PairingStep, Pin, Reply,
    Sentence, Side, TerminateReason, say,
};

use super::asking::Wish;
use super::endpoint::{Probe, WantedBy};
use super::{Effect, Identity, Life, Peering};
use crate::text::is_printable;
use crate::{ClientId, RequestId};

/// Longest pairing key that a person types, in characters (peer-link.md §6.1).
const MAX_TYPED_KEY: usize = 64;

impl Peering {
    pub(super) fn no_such_receiver(&mut self, id: RequestId) {
        let hint = say::hint_receivers();
        let text = say::no_receiver_with_pin();
        self.out.refuse(id, ErrorCode::NotFound, text, hint);
    }

    pub(super) fn no_such_offloader(&mut self, id: RequestId) {
        let hint = say::hint_requests();
        let text = say::no_offloader_with_id();
        self.out.refuse(id, ErrorCode::NotFound, text, hint);
    }

    /// Returns who we are, or refuses: before that, and while the key changes, nothing is asked of
    /// others.
    pub(super) fn identity_or_refuse(&mut self, id: RequestId) -> Option<Identity> {
        let hint = say::hint_moment_or_status();
        match (&self.identity, &self.life) {
            (Some(identity), Life::Running) => return Some(identity.clone()),
            (None, _) => self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                say::identity_not_loaded(),
                hint,
            ),
            (Some(_), Life::Clearing(_) | Life::Rotating(_)) => {
                self.out
                    .refuse(id, ErrorCode::Unavailable, say::key_changing(), hint)
            }
            (Some(_), Life::Stopping) => {
                self.out.refuse(
                    id,
                    ErrorCode::Unavailable,
                    say::stops(),
                    say::hint_start_again(),
                );
            }
        }
        None
    }

    pub(super) fn rotate(&mut self, id: RequestId) {
        if matches!(self.life, Life::Clearing(_) | Life::Rotating(_)) {
            let text = say::key_changing_already();
            let hint = say::hint_wait();
            self.out.refuse(id, ErrorCode::AlreadyExists, text, hint);
        } else if self.identity_or_refuse(id).is_some() {
            self.life = Life::Clearing(id);
            self.give_up(&say::key_changing());
        }
    }

    pub(super) fn rotation_ended(&mut self, result: Result<(), Sentence>) {
        let (Life::Clearing(id) | Life::Rotating(id)) = self.life else {
            return;
        };
        self.life = Life::Running;
        match result {
            Ok(()) => self.out.reply(id, Reply::Done),
            Err(text) => {
                let hint = say::hint_old_key_stays();
                self.out.refuse(id, ErrorCode::Internal, text, hint);
            }
        }
    }

    /// Ends everything that we began: clients, probes, questions, calls.
    pub(super) fn give_up(&mut self, why: &Sentence) {
        self.asking.abort(why, &mut self.out);
        for waiting in self.probes.abort(&mut self.out) {
            match waiting {
                WantedBy::Discovery => {}
                WantedBy::Receiver(link) => self.out.close(link, None),
                WantedBy::Person(id) => {
                    let hint = say::hint_ask_again();
                    self.out
                        .refuse(id, ErrorCode::Unavailable, why.clone(), hint);
                }
            }
        }
        self.connect_back.abort(&mut self.out);
        self.pairings.restart_all(&mut self.out);
    }

    pub(super) fn preview(&mut self, id: RequestId, endpoint: Endpoint) {
        if self.identity_or_refuse(id).is_some() {
            self.asking.preview(id, endpoint, &mut self.out);
        }
    }

    pub(super) fn pair(&mut self, id: RequestId, wish: Wish, typed_key: Option<&str>) {
        let Some(identity) = self.identity_or_refuse(id) else {
            return;
        };
        let refused = if !is_printable(wish.label.as_str()) {
            Some(say::label_unprintable())
        } else if typed_key.is_some_and(|key| key.chars().count() > MAX_TYPED_KEY) {
            Some(say::pairing_key_too_long())
        } else if !typed_key.is_none_or(is_printable) {
            Some(say::pairing_key_unprintable())
        } else if wish.pin.pin() == identity.pin {
            Some(say::own_pin())
        } else {
            None
        };
        if let Some(text) = refused {
            let hint = say::hint_nothing_sent();
            self.out.refuse(id, ErrorCode::InvalidArgs, text, hint);
            return;
        }
        let key = typed_key.map(str::trim).filter(|key| !key.is_empty());
        let key = key.map(|key| key.to_owned().into());
        let who = self.introduction(&identity);
        self.asking.pair(id, wish, key, who, &mut self.out);
    }

    pub(super) fn edit_endpoint(&mut self, id: RequestId, pin: Pin, endpoint: &Endpoint, now: Now) {
        let Some(revision) = self.pairings.revision(pin) else {
            self.no_such_receiver(id);
            return;
        };
        if self.identity_or_refuse(id).is_none() {
            return;
        }
        let Some(pairing) = self.pairings.get(pin) else {
            return;
        };
        let code = ErrorCode::PreconditionFailed;
        if pairing.status != PairingStatus::Approved {
            let text = say::not_accepted_yet();
            let hint = say::hint_accept_first();
            self.out.refuse(id, code, text, hint);
        } else if pairing.endpoint.same_place(endpoint) {
            let text = say::same_place();
            self.out.refuse(id, code, text, say::hint_nothing());
        } else {
            let wanted_by = WantedBy::Person(id);
            let _ = self.probes.claim(pin, now.mono, wanted_by);
            let probe = Probe {
                pin,
                endpoint: endpoint.clone(),
                revision,
                wanted_by,
            };
            self.probes.start(probe, &mut self.out);
        }
    }

    pub(super) fn open_window(&mut self, client: ClientId, id: RequestId, now: Now) {
        if self.may_receive() {
            self.window.open(client, now.mono);
            self.out.reply(id, Reply::Done);
        } else {
            self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                say::nobody_could_ask(),
                say::hint_receive(),
            );
        }
    }

    pub(super) fn approve(
        &mut self,
        id: RequestId,
        dashboard_id: &DashboardId,
        compared: Option<Pin>,
        now: Now,
    ) {
        let asks = self.pending.get(dashboard_id).map(|asking| asking.pin);
        if let (Some(pin), Some(compared)) = (asks, compared)
            && pin != compared
        {
            let (text, hint) = (
                say::asks_with_another_key(pin.to_string()),
                say::hint_compare_screens(),
            );
            self.out
                .refuse(id, ErrorCode::PreconditionFailed, text, hint);
        } else if let Some(asking) = self.pending.remove(dashboard_id) {
            self.doorman(|doorman| doorman.admit_for_good(asking, now.wall));
            self.out.reply(id, Reply::Done);
        } else if self.peers.get(dashboard_id).is_some() {
            let text = say::approved_already();
            let hint = say::hint_nothing();
            self.out.refuse(id, ErrorCode::InvalidArgs, text, hint);
        } else {
            self.no_such_offloader(id);
        }
    }

    pub(super) fn reject(&mut self, id: RequestId, dashboard_id: &DashboardId) {
        match self.pending.remove(dashboard_id) {
            Some(asked) => {
                let who = (asked.pin, &asked.label);
                let step = PairingStep::Rejected;
                self.out.record(step, Side::Offloader, who, None);
                self.out.reply(id, Reply::Done);
            }
            None => self.no_such_offloader(id),
        }
    }

    /// Revokes an approval and ends the live session. The offloader reconnects, is told
    /// `no_approved_peer`, and tells its owner (peer-link.md §4.6).
    pub(super) fn remove_peer(&mut self, id: RequestId, dashboard_id: &DashboardId) {
        let Some((peer, session)) = self.peers.remove(dashboard_id) else {
            self.no_such_offloader(id);
            return;
        };
        let pin = peer.pin;
        self.connect_back.peer_removed(dashboard_id, &mut self.out);
        let is_shared = self.peers.iter().any(|other| other.pin == pin);
        let trusted_no_more = (!is_shared).then_some(pin);
        self.out
            .push(Effect::ForgetPeer(dashboard_id.clone(), trusted_no_more));
        if let Some(link) = session {
            let reason = TerminateReason::ServerShuttingDown;
            let why = CloseReason::WeTerminated(reason);
            self.out.push(Effect::SessionDown { link, pin, why });
            self.out.close(link, Some(reason));
        }
        self.out.reply(id, Reply::Done);
    }
}
