//! What people ask of [`Peering`]: pairing, approving, the window, the key.
use kiln_model::{
    CloseReason, DashboardId, Endpoint, ErrorCode, Now, PairingStatus, PairingStep, Pin, Reply,
    Side, TerminateReason,
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
        let hint = "See the receivers with: kiln receivers list";
        let text = "There is no receiver with this pin.";
        self.out.refuse(id, ErrorCode::NotFound, text, hint);
    }

    pub(super) fn no_such_offloader(&mut self, id: RequestId) {
        let hint =
            "See who asks with: kiln requests, and who may build here with: kiln offloaders list";
        let text = "There is no offloader with this id.";
        self.out.refuse(id, ErrorCode::NotFound, text, hint);
    }

    /// Returns who we are, or refuses: before that, and while the key changes, nothing is asked of
    /// others.
    pub(super) fn identity_or_refuse(&mut self, id: RequestId) -> Option<Identity> {
        let hint = "Try again in a moment; if it stays so, look at: kiln status";
        match (&self.identity, &self.life) {
            (Some(identity), Life::Running) => return Some(identity.clone()),
            (None, _) => self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                "The identity of this computer is not loaded.",
                hint,
            ),
            (Some(_), Life::Clearing(_) | Life::Rotating(_)) => self.out.refuse(
                id,
                ErrorCode::Unavailable,
                "The key of this computer is being changed.",
                hint,
            ),
            (Some(_), Life::Stopping) => {
                self.out
                    .refuse(id, ErrorCode::Unavailable, "Kiln stops.", "Start it again.");
            }
        }
        None
    }

    pub(super) fn rotate(&mut self, id: RequestId) {
        if matches!(self.life, Life::Clearing(_) | Life::Rotating(_)) {
            let text = "The key is being changed already.";
            let hint = "Wait until it is done.";
            self.out.refuse(id, ErrorCode::AlreadyExists, text, hint);
        } else if self.identity_or_refuse(id).is_some() {
            self.life = Life::Clearing(id);
            self.give_up("The key of this computer is being changed.");
        }
    }

    pub(super) fn rotation_ended(&mut self, result: Result<(), String>) {
        let (Life::Clearing(id) | Life::Rotating(id)) = self.life else {
            return;
        };
        self.life = Life::Running;
        match result {
            Ok(()) => self.out.reply(id, Reply::Done),
            Err(text) => {
                let hint = "The old key stays. Solve what is named, then try again.";
                self.out.refuse(id, ErrorCode::Internal, text, hint);
            }
        }
    }

    /// Ends everything that we began: clients, probes, questions, calls.
    pub(super) fn give_up(&mut self, why: &str) {
        self.asking.abort(why, &mut self.out);
        for waiting in self.probes.abort(&mut self.out) {
            match waiting {
                WantedBy::Discovery => {}
                WantedBy::Receiver(link) => self.out.close(link, None),
                WantedBy::Person(id) => {
                    let hint = "Ask again afterwards.";
                    self.out.refuse(id, ErrorCode::Unavailable, why, hint);
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
            Some("label must contain only printable characters")
        } else if typed_key.is_some_and(|key| key.chars().count() > MAX_TYPED_KEY) {
            Some("pairing_key must be at most 64 characters")
        } else if !typed_key.is_none_or(is_printable) {
            Some("pairing_key must contain only printable characters")
        } else if wish.pin.pin() == identity.pin {
            Some("This is the pin of this computer.")
        } else {
            None
        };
        if let Some(text) = refused {
            let hint = "Nothing was sent. Correct it and ask again.";
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
            let text = "The receiver has not accepted the pairing yet.";
            let hint = "Accept it there first.";
            self.out.refuse(id, code, text, hint);
        } else if pairing.endpoint.same_place(endpoint) {
            let text = "The receiver is already stored with this host and port.";
            self.out.refuse(id, code, text, "Nothing has to be done.");
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
                "This computer does not build for others, so nobody could ask.",
                "Switch it on first: kiln settings set receiver on",
            );
        }
    }

    pub(super) fn approve(&mut self, id: RequestId, dashboard_id: &DashboardId, now: Now) {
        if let Some(asking) = self.pending.remove(dashboard_id) {
            self.doorman(|doorman| doorman.admit_for_good(asking, now.wall));
            self.out.reply(id, Reply::Done);
        } else if self.peers.get(dashboard_id).is_some() {
            let text = "This offloader is approved already.";
            let hint = "Nothing has to be done.";
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
        self.out.push(Effect::ForgetPeer(dashboard_id.clone(), pin));
        if let Some(link) = session {
            let reason = TerminateReason::ServerShuttingDown;
            let why = CloseReason::WeTerminated(reason);
            self.out.push(Effect::SessionDown { link, pin, why });
            self.out.close(link, Some(reason));
        }
        self.out.reply(id, Reply::Done);
    }
}
