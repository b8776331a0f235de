//! The pool: compiles that may be built elsewhere wait here until a receiver, or this machine,
//! takes them (builds.md §3). The receiver is chosen when work starts, not when it is asked for.
//!
//! Two deliberate differences from the reference peer. The startup grace ends with the first usable
//! receiver that connects and lasts 3 s at most, not always 20 s. A build that lost its receiver
//! waits 20 s for a receiver before it may go local, because most losses are short.
use std::time::Duration;

use kiln_model::{JobId, JobKind, Mono, Now, Pairing, Pin, Placement};

use super::jobs::{Entry, Step};
use super::machine::{Outcome, Work};
use super::schedule::{Link, Receiver, Standing, Target};

/// Longest time after a start in which nothing is dispatched.
pub(super) const STARTUP_GRACE: Duration = Duration::from_secs(3);
/// How long a build that lost its receiver does not go local, and how long one run waits for a link
/// to come back (builds.md §3 allows 10 to 30 s).
pub(super) const RECONNECT_GRACE: Duration = Duration::from_secs(20);
/// How long a build for one chosen receiver waits while that is not connected. Longer than the
/// longest wait between two dials (30 s).
const CHOSEN_PATIENCE: Duration = Duration::from_secs(60);
/// How often a build may lose its receiver (builds.md §17).
const MAX_LOSSES: u8 = 3;

/// What a pass decided for one waiting compile.
enum Verdict {
    /// Build there.
    Remote(Pin),
    /// Build here.
    Local,
    /// Stay.
    Wait,
    /// Stay, but not beyond this moment.
    WaitUntil(Mono),
    /// Give up.
    Fail,
}

impl Work {
    /// One pass over everything that waits, oldest first. Each decision sees the ones before it, so
    /// two compiles never take the same receiver, nor the single local slot.
    pub(super) fn dispatch(&mut self, now: Now) {
        if self.grace.is_some() {
            return;
        }
        for id in self.jobs.ids(|e| matches!(e.step, Step::Pool(_))) {
            self.refresh_conditions();
            let (verdict, reason) = self.judge(&id, now);
            match verdict {
                Verdict::Remote(pin) => self.start_run(&id, pin, &reason, now),
                Verdict::Local => self.go_local(&id, format!("this computer: {reason}")),
                Verdict::Wait => {
                    self.drop_spent_patience(&id, now);
                    self.explain(&id, reason);
                }
                Verdict::WaitUntil(until) => {
                    if let Some(entry) = self.jobs.get_mut(&id) {
                        entry.step = Step::Pool(Some(until));
                    }
                    self.explain(&id, reason);
                }
                Verdict::Fail => {
                    self.finish(&id, Outcome::failed(reason), now);
                }
            }
        }
    }

    /// A patience that ended has nothing left to decide.
    fn drop_spent_patience(&mut self, id: &JobId, now: Now) {
        if let Some(entry) = self.jobs.get_mut(id)
            && let Step::Pool(Some(end)) = entry.step
            && end <= now.mono
        {
            entry.step = Step::Pool(None);
        }
    }

    fn judge(&self, id: &JobId, now: Now) -> (Verdict, String) {
        let Some(entry) = self.jobs.get(id) else {
            return (Verdict::Wait, String::new());
        };
        let patience = match entry.step {
            Step::Pool(patience) => patience,
            _ => None,
        };
        if let Some(pin) = entry.stored.only_on {
            return self.judge_chosen(pin, patience, now);
        }
        let decision = self.receivers.pick_dispatch_target();
        let verdict = match decision.outcome {
            Target::Remote(pin) => Verdict::Remote(pin),
            Target::Wait => Verdict::Wait,
            Target::Local | Target::NoCompatiblePeer
                if self.settings.remote_builds && patience.is_some_and(|end| end > now.mono) =>
            {
                let reason = format!("waits a moment for its receiver: {decision}");
                return (Verdict::Wait, reason);
            }
            Target::Local => Verdict::Local,
            Target::NoCompatiblePeer => Verdict::Fail,
        };
        (verdict, decision.to_string())
    }

    /// The owner chose one receiver and no other.
    fn judge_chosen(&self, pin: Pin, patience: Option<Mono>, now: Now) -> (Verdict, String) {
        let Some(found) = self.receivers.standing(pin) else {
            return (
                Verdict::Fail,
                "the chosen receiver is not paired any more".to_owned(),
            );
        };
        if !self.settings.remote_builds {
            let reason = format!("{found}, but remote builds were switched off");
            return (Verdict::Fail, reason);
        }
        let verdict = match (found.standing, patience) {
            (Standing::Idle | Standing::BusyWithOthers | Standing::QueueUnknown, _) => {
                Verdict::Remote(pin)
            }
            (Standing::BusyWithOurs, _) => Verdict::Wait,
            (Standing::LinkClosed, None) => Verdict::WaitUntil(now.mono + CHOSEN_PATIENCE),
            (Standing::LinkClosed, Some(end)) if end > now.mono => Verdict::Wait,
            (Standing::LinkClosed, Some(_))
            | (Standing::NotApproved | Standing::Disabled | Standing::OtherVersion, _) => {
                Verdict::Fail
            }
        };
        (verdict, format!("{found}, and you chose it"))
    }

    /// The compile is built on this machine.
    pub(super) fn go_local(&mut self, id: &JobId, reason: String) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        entry.clear_run_state();
        entry.stored.job.placement = Placement::Local;
        entry.step = Step::Lane;
        self.explain(id, reason);
        self.announce(id);
    }

    /// A build lost its receiver: it is routed again, three times (builds.md §3).
    pub(super) fn lost(&mut self, id: &JobId, why: &str, now: Now) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        if entry.stored.cancel_requested || entry.stored.job.kind != JobKind::Compile {
            return self.finish(id, Outcome::failed(why), now);
        }
        entry.stored.losses = entry.stored.losses.saturating_add(1);
        let losses = entry.stored.losses;
        if losses > MAX_LOSSES {
            let error = format!("given up after losing the receiver {losses} times: {why}");
            return self.finish(id, Outcome::failed(error), now);
        }
        let until = now.mono + RECONNECT_GRACE;
        let step = std::mem::replace(&mut entry.step, Step::Pool(Some(until)));
        entry.revert_to_pending_remote();
        if let Step::Remote(run) = step {
            self.release_receiver(id, run);
        }
        self.note(
            id,
            format!("{why}; choosing again ({losses} of {MAX_LOSSES})"),
        );
        self.announce(id);
    }

    /// Takes over all pairings. What is known of links and queues stays.
    pub(super) fn take_pairings(&mut self, pairings: &[Pairing], now: Now) {
        let gone = |pin: &Pin| pairings.iter().all(|p| p.pin != *pin);
        let before: Vec<Pin> = self.pairings.iter().map(|p| p.pin).collect();
        for pin in before.into_iter().filter(gone) {
            self.receivers.remove(pin);
            for id in self.jobs.ids(|e| e.run().is_some_and(|r| r.pin == pin)) {
                self.lost(&id, "the receiver is not paired any more", now);
            }
        }
        self.pairings = pairings.to_vec();
        for pairing in pairings {
            let known = self.receivers.get(pairing.pin);
            let mut receiver = Receiver::of(pairing);
            receiver.queue = known.and_then(|r| r.queue);
            receiver.ours_in_flight = self.drives_compile_on(pairing.pin);
            receiver.link = self.link_state(pairing.pin);
            self.receivers.put(receiver);
        }
        self.end_grace();
    }

    pub(super) fn receiver_up(&mut self, pin: Pin) {
        self.receivers.update(pin, |r| r.link = Link::Open);
        let chosen = |e: &Entry| matches!(e.step, Step::Pool(_)) && e.stored.only_on == Some(pin);
        for id in self.jobs.ids(chosen) {
            if let Some(entry) = self.jobs.get_mut(&id) {
                entry.step = Step::Pool(None);
            }
        }
        self.end_grace();
    }

    /// The grace is for receivers that are about to connect: it ends when the first one does.
    fn end_grace(&mut self) {
        let usable = |s: Standing| match s {
            Standing::NotApproved | Standing::Disabled | Standing::LinkClosed => false,
            Standing::OtherVersion
            | Standing::BusyWithOurs
            | Standing::Idle
            | Standing::BusyWithOthers
            | Standing::QueueUnknown => true,
        };
        let mut pins = self.pairings.iter().map(|p| p.pin);
        if pins.any(|pin| {
            self.receivers
                .standing(pin)
                .is_some_and(|r| usable(r.standing))
        }) {
            self.grace = None;
        }
    }

    pub(super) fn link_state(&self, pin: Pin) -> Link {
        match self.links.to_receiver(pin) {
            Some(_) => Link::Open,
            None => Link::Closed,
        }
    }

    /// A compile of ours is under way there.
    pub(super) fn drives_compile_on(&self, pin: Pin) -> bool {
        let there = |e: &Entry| e.is(JobKind::Compile) && e.run().is_some_and(|r| r.pin == pin);
        self.jobs.active().any(|(_, e)| there(e))
    }

    /// Returns how people know a receiver.
    pub(super) fn receiver_name(&self, pin: Pin) -> String {
        match self.receivers.get(pin) {
            Some(r) if !r.label.is_empty() => r.label.to_string(),
            Some(_) | None => format!("receiver {}", pin.short()),
        }
    }
}
