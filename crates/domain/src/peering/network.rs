//! What peers and the network do to [`Peering`]: knocks, answers to our dials, ends, sightings.
use kiln_model::witness::Approved;
use kiln_model::{
    CloseReason, DashboardId, DiscoveredHost, ErrorCode, IntentReason, Label, LinkId, Now,
    PeerFacts, Pin, Reply, ResponseKind, Sentence, TerminateReason, say,
};

use super::admission::{Doorman, Knock, Said, Verdict};
use super::asking;
use super::connect_back::{self, Call};
use super::endpoint::{Found, Probe, WantedBy};
use super::hosts::Claim;
use super::listener::Serves;
use super::pairings::Reach;
use super::pending::Waiter;
use super::{DialAnswer, DialFailure, Effect, KnockAnswer, Life, Peering};
use crate::{RequestId, Role, Session};

impl Peering {
    pub(super) fn listen_failed(&mut self, error: Sentence, now: Now) {
        if self.bootstrap.until().is_some() {
            self.bootstrap.disarm();
            self.out.push(Effect::BootstrapFailed(error.to_string()));
        }
        self.listener.handle_failed(error, now.mono);
    }

    pub(super) fn doorman<T>(&mut self, ask: impl FnOnce(&mut Doorman<'_>) -> T) -> Option<T> {
        let identity = self.identity.as_ref()?;
        let serves = match self.listener.bound() {
            Some((serves, _)) => serves,
            None => Serves::ConnectBackOnly,
        };
        let mut doorman = Doorman {
            serves,
            own: identity.pin,
            hearing: self.hearing,
            peers: &mut self.peers,
            pending: &mut self.pending,
            bootstrap: &mut self.bootstrap,
            out: &mut self.out,
        };
        Some(ask(&mut doorman))
    }

    pub(super) fn knocked(&mut self, knock: Knock, now: Now) {
        // What knocks at a door that is not there, or is on its way out, is not answered.
        if self.listener.bound().is_none() || self.life != Life::Running {
            self.out.close(knock.link, None);
            return;
        }
        match self.doorman(|doorman| doorman.decide(&knock, now.wall)) {
            Some(Verdict::ConnectBack) => self.called(knock, now),
            Some(Verdict::Admit {
                approved,
                dashboard_id,
                label,
            }) => self.admit(knock.link, approved, dashboard_id, label, now),
            Some(Verdict::Say(said)) => self.say(knock.link, knock.pin, said),
            None => self.out.close(knock.link, None),
        }
    }

    /// Starts a session; an older one of the same offloader ends after the new one is installed.
    pub(super) fn admit(
        &mut self,
        link: LinkId,
        approved: Approved,
        dashboard_id: DashboardId,
        label: Label,
        now: Now,
    ) {
        let pin = approved.pin();
        let of = Some((dashboard_id.clone(), pin));
        let answer = KnockAnswer::admitting(approved, self.own_facts());
        self.answer(link, answer, of);
        if let Some(old) = self.peers.open(dashboard_id.clone(), link) {
            let reason = TerminateReason::Superseded;
            let why = CloseReason::WeTerminated(reason);
            self.out.push(Effect::SessionDown {
                link: old,
                pin,
                why,
            });
            self.out.close(old, Some(reason));
        }
        self.connect_back
            .session_opened(dashboard_id.clone(), now.mono, &mut self.out);
        let role = Role::Receiver {
            dashboard_id,
            label,
        };
        self.out
            .push(Effect::SessionUp(Session { link, pin, role }));
    }

    pub(super) fn say(&mut self, link: LinkId, pin: Pin, said: Said) {
        match said {
            Said::Answer(kind, reason) => {
                let answer = KnockAnswer {
                    reason,
                    ..KnockAnswer::saying(kind, self.own_facts())
                };
                self.answer(link, answer, None);
            }
            Said::Approved(id) => {
                let answer = KnockAnswer::saying(ResponseKind::Approved, self.own_facts());
                self.answer(link, answer, Some((id, pin)));
            }
            Said::Previewed {
                requires_pairing_key,
            } => {
                let answer = KnockAnswer {
                    requires_pairing_key,
                    ..KnockAnswer::saying(ResponseKind::Ok, self.own_facts())
                };
                self.answer(link, answer, None);
            }
            Said::Wait(dashboard_id) => {
                let waiter = Waiter { dashboard_id, pin };
                if let Some(crowded_out) = self.pending.wait(link, waiter) {
                    self.out.close(crowded_out, None);
                }
            }
        }
    }

    fn answer(&mut self, link: LinkId, answer: KnockAnswer, approval: Option<(DashboardId, Pin)>) {
        self.out.push(Effect::Answer {
            link,
            answer,
            approval,
        });
    }

    fn own_facts(&self) -> PeerFacts {
        PeerFacts {
            friendly_name: self.own_name(),
            ..self.facts.clone()
        }
    }

    /// A receiver tells us where it is; answered when a probe has asked there.
    pub(super) fn called(&mut self, knock: Knock, now: Now) {
        let call = Call {
            link: knock.link,
            pin: knock.pin,
            port: knock.hello.peer_link_port,
            source: knock.source,
        };
        let judged = connect_back::judge(&call, &self.pairings, &mut self.probes, now.mono);
        match (judged, self.pairings.revision(call.pin)) {
            (Ok(endpoint), Some(revision)) => {
                let probe = Probe {
                    pin: call.pin,
                    endpoint,
                    revision,
                    wanted_by: WantedBy::Receiver(call.link),
                };
                self.probes.start(probe, &mut self.out);
            }
            (Ok(_), None) => self.refuse_call(call.link, IntentReason::NoApprovedPeer),
            (Err(reason), _) => self.refuse_call(call.link, reason),
        }
    }

    pub(super) fn refuse_call(&mut self, link: LinkId, reason: IntentReason) {
        let answer = KnockAnswer::refusing(reason, self.own_facts());
        self.answer(link, answer, None);
    }

    pub(super) fn dialled(
        &mut self,
        link: LinkId,
        outcome: Result<DialAnswer, DialFailure>,
        now: Now,
    ) {
        let Some(own) = self.identity.as_ref().map(|identity| identity.pin) else {
            return;
        };
        let out = &mut self.out;
        if self.asking.owns(link) {
            if let Some(granted) = self.asking.handle_dialled(link, outcome, own, out) {
                self.pairings.store(granted, now, out);
            }
        } else if self.probes.owns(link) {
            if let Some((probe, found)) = self.probes.handle_dialled(link, outcome) {
                self.probed(probe, found);
            }
        } else if self.connect_back.owns(link) {
            self.connect_back
                .handle_dialled(link, outcome, now.mono, out);
        } else {
            // A link that nobody knows was given up before its answer came.
            self.pairings.handle_dialled(link, outcome, own, now, out);
        }
    }

    pub(super) fn probed(&mut self, probe: Probe, found: Found) {
        let same = self.pairings.revision(probe.pin) == Some(probe.revision);
        let reach = self.pairings.reach(probe.pin);
        let good = found == Found::ThePinned;
        match probe.wanted_by {
            WantedBy::Discovery => {
                if good && same && reach != Reach::NotApproved {
                    self.rebind(&probe);
                }
            }
            WantedBy::Receiver(link) => {
                if !good {
                    self.refuse_call(link, IntentReason::ProbeFailed);
                } else if !same || reach == Reach::NotApproved {
                    self.refuse_call(link, IntentReason::NoApprovedPeer);
                } else if reach == Reach::Connected {
                    self.refuse_call(link, IntentReason::AlreadyConnected);
                } else {
                    self.rebind(&probe);
                    let answer = KnockAnswer::saying(ResponseKind::Ok, self.own_facts());
                    self.answer(link, answer, None);
                }
            }
            WantedBy::Person(id) => self.edited(id, &probe, found, same, reach),
        }
    }

    pub(super) fn edited(
        &mut self,
        id: RequestId,
        probe: &Probe,
        found: Found,
        same: bool,
        reach: Reach,
    ) {
        match found {
            Found::Another => self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                say::another_key_there(),
                say::hint_pair_again(),
            ),
            Found::Nobody(reason) => asking::unreachable_peer(id, &reason, &mut self.out),
            Found::ThePinned if !same => self.out.refuse(
                id,
                ErrorCode::NotFound,
                say::pairing_replaced(),
                say::hint_look_again(),
            ),
            Found::ThePinned if reach == Reach::NotApproved => self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                say::pairing_not_approved(),
                say::hint_look_again(),
            ),
            Found::ThePinned => {
                self.rebind(probe);
                self.out.reply(id, Reply::Done);
            }
        }
    }

    pub(super) fn rebind(&mut self, probe: &Probe) {
        let endpoint = probe.endpoint.normalised();
        self.pairings.move_to(probe.pin, endpoint, &mut self.out);
        self.probes.release(probe.pin);
    }

    pub(super) fn closed(&mut self, link: LinkId, reason: &CloseReason, now: Now) {
        if self.asking.owns(link) || self.probes.owns(link) || self.connect_back.owns(link) {
            self.dialled(link, Err(reason.clone().into()), now);
            return;
        }
        if let Some((id, pin)) = self.peers.closed(link) {
            let why = reason.clone();
            self.out.push(Effect::SessionDown { link, pin, why });
            self.connect_back.session_closed(id, now.mono);
            return;
        }
        self.pending.handle_closed(link);
        self.probes.handle_knock_closed(link);
        // Links that nobody knows any more were closed by us.
        self.pairings
            .handle_closed(link, reason, now, &mut self.out);
    }

    pub(super) fn host_seen(&mut self, host: DiscoveredHost) {
        let pairings = &self.pairings;
        self.hosts.seen(host, |pin| match pairings.reach(pin) {
            Reach::NotApproved => Claim::Stranger,
            Reach::NotConnected | Reach::Connected => Claim::Paired,
        });
    }
}
