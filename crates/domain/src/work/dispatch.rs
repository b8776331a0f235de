//! The pool: compiles that may be built elsewhere wait here until a receiver, or this machine,
//! takes them (builds.md §3). The receiver is chosen when work starts, not when it is asked for.
//!
//! Three deliberate differences from the reference peer. The startup grace ends with the first usable
//! receiver that connects and lasts 3 s at most, not always 20 s. When a receiver is lost, all that waits
//! stays for 20 s before any of it goes local, because most losses are short; so does the build whose link
//! is lost, although another receiver is idle, for it goes on there. And this machine takes what no
//! receiver can build one by one, as its lane is free for it: what waits longer is there for a receiver
//! that comes back meanwhile.
use std::time::Duration;

use kiln_model::{JobId, JobKind, Mono, Now, Pairing, Pin, Placement, Sentence, say};

use super::Work;
use super::jobs::{Entry, Step};
use super::outcome::Outcome;
use super::schedule::{Link, Pool, Receiver, Rule, Standing, Target};

/// Longest time after a start in which nothing is dispatched.
pub(super) const STARTUP_GRACE: Duration = Duration::from_secs(3);
/// How long nothing that waits goes local after a receiver was lost, and how long one run waits for a
/// link to come back (builds.md §3 allows 10 to 30 s).
pub(super) const RECONNECT_GRACE: Duration = Duration::from_secs(20);
/// How long a build for one chosen receiver waits while that is not connected. Longer than the
/// longest wait between two dials (30 s).
const CHOSEN_PATIENCE: Duration = Duration::from_secs(60);
/// How often a build may lose its receiver (builds.md §17), and a flash its device.
pub(super) const MAX_LOSSES: u8 = 3;

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
        if self.grace.is_some() || self.awaits_own_version() {
            return;
        }
        self.refresh_conditions();
        for id in self.jobs.ids(|e| matches!(e.step, Step::Pool(_))) {
            let (verdict, reason) = self.judge(&id, now);
            match verdict {
                Verdict::Remote(pin) => self.start_run(&id, pin, reason, now),
                Verdict::Local => {
                    self.go_local(&id, say::here_because(reason));
                    self.refresh_conditions();
                }
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

    fn judge(&self, id: &JobId, now: Now) -> (Verdict, Sentence) {
        let Some(entry) = self.jobs.get(id) else {
            return (Verdict::Wait, Sentence::default());
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
                let reason = say::waits_a_moment(decision.sentence());
                return (Verdict::Wait, reason);
            }
            Target::Local if decision.rule == Rule::Fallback && !self.lane_begins(id) => {
                let reason = match decision.tally.intended {
                    0 => decision.sentence(),
                    _ => say::waits_for_either(decision.sentence()),
                };
                return (Verdict::Wait, reason);
            }
            Target::Local => Verdict::Local,
            Target::NoCompatiblePeer => Verdict::Fail,
        };
        (verdict, decision.sentence())
    }

    /// Counts the owner's builds that wait for this computer or a receiver, whichever is free first.
    /// What is given a moment for its receiver leaves this computer to others until then.
    pub(super) fn waiting_for_either(&self) -> usize {
        if self.receivers.pick_dispatch_target().rule != Rule::Fallback {
            return 0;
        }
        let waits = |e: &Entry| matches!(e.step, Step::Pool(None)) && e.stored.only_on.is_none();
        self.jobs.active().filter(|(_, e)| waits(e)).count()
    }

    /// The owner chose one receiver and no other.
    fn judge_chosen(&self, pin: Pin, patience: Option<Mono>, now: Now) -> (Verdict, Sentence) {
        let Some(found) = self.receivers.standing(pin) else {
            return (Verdict::Fail, say::chosen_not_paired());
        };
        if !self.settings.remote_builds {
            let reason = say::chosen_but_switched_off(found.sentence());
            return (Verdict::Fail, reason);
        }
        let verdict = match (found.standing, patience) {
            (Standing::Idle | Standing::BusyWithOthers | Standing::QueueUnknown, _) => {
                Verdict::Remote(pin)
            }
            (Standing::BusyWithOurs, _) => Verdict::Wait,
            (Standing::LinkClosed | Standing::NotLent, None) => {
                Verdict::WaitUntil(now.mono + CHOSEN_PATIENCE)
            }
            (Standing::LinkClosed | Standing::NotLent, Some(end)) if end > now.mono => {
                Verdict::Wait
            }
            (Standing::LinkClosed | Standing::NotLent, Some(_))
            | (Standing::NotApproved | Standing::Disabled | Standing::OtherVersion, _) => {
                Verdict::Fail
            }
        };
        (verdict, say::as_chosen(found.sentence()))
    }

    /// The compile is built on this machine.
    pub(super) fn go_local(&mut self, id: &JobId, reason: Sentence) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        entry.clear_run_state();
        entry.stored.job.placement = Placement::Local;
        entry.step = Step::Lane;
        self.explain(id, reason);
        self.announce(id);
    }

    /// A build lost its receiver, which may be back in a moment.
    pub(super) fn lost(&mut self, id: &JobId, why: Sentence, now: Now) {
        self.route_again(id, why, Some(now.mono + RECONNECT_GRACE), now);
    }

    /// A build lost its receiver, which was waited for.
    pub(super) fn stayed_away(&mut self, id: &JobId, why: Sentence, now: Now) {
        self.route_again(id, why, None, now);
    }

    /// A build that lost its receiver is routed again, three times (builds.md §3).
    fn route_again(&mut self, id: &JobId, why: Sentence, patience: Option<Mono>, now: Now) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        if entry.stored.cancel_requested || entry.stored.job.kind != JobKind::Compile {
            return self.finish(id, Outcome::failed(why), now);
        }
        entry.stored.losses = entry.stored.losses.saturating_add(1);
        let losses = entry.stored.losses;
        if losses > MAX_LOSSES {
            let error = say::given_up_after_losses(losses, why);
            return self.finish(id, Outcome::failed(error), now);
        }
        let step = std::mem::replace(&mut entry.step, Step::Pool(patience));
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
            let leaves = |e: &Entry| {
                let run = e.run();
                run.is_some_and(|r| r.pin == pin && r.needs_receiver())
            };
            for id in self.jobs.ids(leaves) {
                self.lost(&id, say::receiver_not_paired(), now);
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

    /// Changes what is known of a receiver. One that could build and cannot any more may be back in a
    /// moment: until then nothing that waits goes local or fails, unless the same build may be what takes
    /// it down again and again.
    pub(super) fn update_receiver(
        &mut self,
        pin: Pin,
        now: Now,
        change: impl FnOnce(&mut Receiver),
    ) {
        let can_build = |receivers: &Pool| {
            let found = receivers.standing(pin);
            found.is_some_and(|found| found.standing.can_build())
        };
        let could_build = can_build(&self.receivers);
        self.receivers.update(pin, change);
        let again = |(_, e): (&JobId, &Entry)| {
            let often = e.stored.losses > 0 || e.taken_up > 1;
            often && e.run().is_some_and(|run| run.pin == pin)
        };
        if !could_build || can_build(&self.receivers) || self.jobs.active().any(again) {
            return;
        }
        let waits = |e: &Entry| matches!(e.step, Step::Pool(_)) && e.stored.only_on.is_none();
        for id in self.jobs.ids(waits) {
            if let Some(entry) = self.jobs.get_mut(&id) {
                entry.step = Step::Pool(Some(now.mono + RECONNECT_GRACE));
            }
        }
    }

    pub(super) fn receiver_up(&mut self, pin: Pin) {
        self.receivers.update(pin, |r| r.link = Link::Open);
        self.cancel_left(pin);
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
            Standing::NotApproved
            | Standing::Disabled
            | Standing::LinkClosed
            | Standing::NotLent => false,
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
    pub(super) fn receiver_name(&self, pin: Pin) -> Sentence {
        match self.receivers.get(pin) {
            Some(r) if !r.label.is_empty() => r.label.as_str().into(),
            Some(_) | None => say::nameless_receiver(pin.short()),
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{
        Absence, AvailabilityReason, BuildChoice, FailureReason, JobStatus, LinkId, Message,
        PairingStatus, QueueStatus, VersionPolicy,
    };

    use super::super::Event;
    use super::super::fixtures::{Shop, installed, pairing, pin, version};
    use super::*;

    // Covers: M36
    #[test]
    fn two_compiles_never_take_the_same_receiver() {
        let mut shop = Shop::open();
        shop.receiver(1);
        shop.lines();
        shop.compile("kitchen", BuildChoice::Auto);
        let second = shop.compile("bath", BuildChoice::Auto);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
        assert_eq!(shop.status(&second), JobStatus::Queued);
        assert!(shop.job(&second).reason.contains("R1: builds for us"));
    }

    // Covers: M37
    #[test]
    fn two_receivers_build_at_the_same_time() {
        let mut shop = Shop::open();
        shop.receiver(1);
        shop.receiver(2);
        shop.lines();
        let first = shop.compile("kitchen", BuildChoice::Auto);
        let second = shop.compile("bath", BuildChoice::Auto);
        assert_eq!(
            shop.acts(),
            ["bundle j1 kitchen.yaml", "bundle j2 bath.yaml"]
        );
        let on = |id: &JobId| match shop.job(id).placement {
            Placement::Remote { pin, .. } => Some(pin),
            Placement::Local | Placement::RemotePending => None,
        };
        assert_eq!((on(&first), on(&second)), (Some(pin(1)), Some(pin(2))));
    }

    // Covers: M38
    #[test]
    fn a_receiver_that_is_free_again_gets_the_next_waiting_compile() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let first = shop.compile("kitchen", BuildChoice::Auto);
        shop.compile("bath", BuildChoice::Auto);
        let wire = shop.building_on(&first, link);
        shop.lines();
        shop.state_with(link, &wire, JobStatus::Failed, "boom", None);
        assert_eq!(shop.acts(), ["bundle j2 bath.yaml"]);
    }

    // Covers: M39
    #[test]
    fn nothing_is_dispatched_in_the_startup_grace_but_it_ends_with_the_first_receiver() {
        let mut shop = Shop::new();
        shop.pair(pairing(1));
        shop.start(Vec::new());
        let job = shop.compile("kitchen", BuildChoice::Auto);
        assert!(shop.acts().is_empty());
        shop.connect(1, 1);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
        assert_eq!(shop.status(&job), JobStatus::Running);
    }

    // Covers: M39
    #[test]
    fn no_receiver_is_judged_before_our_own_version_is_known() {
        let mut shop = Shop::new();
        shop.policy(VersionPolicy::ExactRequired);
        let mut other = pairing(1);
        other.esphome_version = Some(version("2026.9.0"));
        shop.pair(other);
        shop.start(Vec::new());
        shop.happens(Event::EnvironmentsChanged(Vec::new()));
        shop.happens(Event::VersionAsked);
        shop.connect(1, 1);
        shop.pass(3);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        assert!(shop.job(&job).reason.contains("has said its version"));
        assert!(shop.acts().is_empty(), "nothing is sent to another version");
        shop.happens(Event::EnvironmentsChanged(vec![installed("2026.10.0")]));
        shop.happens(Event::VersionAnswered);
        assert_eq!(shop.status(&job), JobStatus::Failed, "as the policy wants");
        assert!(shop.acts().is_empty());
    }

    #[test]
    fn what_waits_for_our_own_version_goes_on_when_there_is_none() {
        let mut shop = Shop::new();
        shop.pair(pairing(1));
        shop.start(Vec::new());
        shop.happens(Event::EnvironmentsChanged(Vec::new()));
        shop.happens(Event::VersionAsked);
        shop.connect(1, 1);
        shop.compile("kitchen", BuildChoice::Auto);
        assert!(shop.acts().is_empty());
        shop.happens(Event::VersionAnswered);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
    }

    // Covers: M39
    #[test]
    fn the_startup_grace_lasts_three_seconds_at_most() {
        let mut shop = Shop::new();
        let mut off = pairing(2);
        off.enabled = false;
        shop.pair(off);
        shop.pair(pairing(1));
        shop.start(Vec::new());
        shop.compile("kitchen", BuildChoice::Auto);
        shop.connect(2, 2);
        shop.pass(2);
        assert!(
            shop.acts().is_empty(),
            "a disabled receiver does not end it"
        );
        shop.pass(1);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
    }

    #[test]
    fn a_receiver_can_be_chosen_before_it_has_connected_after_a_start() {
        let mut shop = Shop::new();
        shop.pair(pairing(1));
        shop.start(Vec::new());
        shop.compile("kitchen", BuildChoice::On(pin(1)));
        shop.pass(30);
        assert!(shop.acts().is_empty());
        shop.connect(1, 1);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
    }

    #[test]
    fn without_pairings_nothing_waits_for_the_grace() {
        let mut shop = Shop::new();
        shop.start(Vec::new());
        shop.compile("kitchen", BuildChoice::Auto);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
    }

    /// A compile that waits under `exact_required` for its disconnected receiver.
    fn waiting() -> (Shop, JobId) {
        let mut shop = Shop::open();
        shop.policy(VersionPolicy::ExactRequired);
        let link = shop.receiver(1);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.building_on(&job, link);
        shop.hang_up(1, link);
        shop.pass(30);
        shop.lines();
        assert_eq!(shop.status(&job), JobStatus::Queued);
        (shop, job)
    }

    // Covers: M10, M40
    #[test]
    fn a_receiver_that_connects_wakes_what_waits() {
        let (mut shop, _) = waiting();
        shop.connect(1, 7);
        assert_eq!(shop.acts(), ["link-7 cancel w1", "bundle j1 kitchen.yaml"]);
    }

    // Covers: M40
    #[test]
    fn an_approval_and_an_enable_wake_what_waits() {
        let (mut shop, _) = waiting();
        let mut other = pairing(2);
        other.status = PairingStatus::Pending;
        other.enabled = false;
        shop.pair(other.clone());
        shop.connect(2, 2);
        other.status = PairingStatus::Approved;
        shop.pair(other.clone());
        assert!(shop.acts().is_empty());
        other.enabled = true;
        shop.pair(other);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
    }

    // Covers: M1, M40
    #[test]
    fn the_master_switch_wakes_what_waits() {
        let (mut shop, _) = waiting();
        shop.change(|s| s.remote_builds = false);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
    }

    // Covers: M11, M40
    #[test]
    fn a_changed_policy_wakes_what_waits() {
        let (mut shop, _) = waiting();
        shop.policy(VersionPolicy::Any);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
    }

    // Covers: M9, M40
    #[test]
    fn overflow_to_this_machine_takes_one_compile() {
        let mut shop = Shop::open();
        shop.receiver(1);
        shop.compile("kitchen", BuildChoice::Auto);
        shop.compile("bath", BuildChoice::Auto);
        let third = shop.compile("attic", BuildChoice::Auto);
        shop.lines();
        shop.change(|s| s.include_local = true);
        assert_eq!(shop.acts(), ["build j2 compile own bath.yaml"]);
        assert_eq!(shop.job(&third).placement, Placement::RemotePending);
    }

    #[test]
    fn a_queue_status_is_kept_for_the_faces_and_the_choice() {
        let mut shop = Shop::open();
        let one = shop.receiver(1);
        shop.receiver(2);
        let busy = QueueStatus::of(true, 3);
        shop.says(one, Message::QueueStatus(busy));
        assert_eq!(shop.work.receiver_queue(&pin(1)), Some(busy));
        shop.lines();
        let job = shop.compile("kitchen", BuildChoice::Auto);
        assert!(shop.job(&job).reason.contains("receiver R2: idle"));
    }

    // Covers: M41
    #[test]
    fn three_losses_are_routed_again_and_the_fourth_fails() {
        let mut shop = Shop::open();
        let job = {
            shop.receiver(1);
            shop.compile("kitchen", BuildChoice::Auto)
        };
        let mut link = kiln_model::LinkId(1);
        for n in 1..=4 {
            shop.building_on(&job, link);
            shop.leaves(1, link);
            if n < 4 {
                assert_eq!(shop.status(&job), JobStatus::Queued, "loss {n}");
                link = shop.connect(1, 10 + n);
            }
        }
        assert_eq!(shop.status(&job), JobStatus::Failed);
        assert!(shop.error(&job).contains("4 times"), "{}", shop.error(&job));
        assert_eq!(shop.submissions(), 4);
        let said = |text: &str| shop.notes.iter().any(|(_, note)| note.contains(text));
        assert!(said("lost the connection to R1; choosing again (3 of 3)"));
    }

    #[test]
    fn a_lost_build_goes_local_only_after_a_moment() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.building_on(&job, link);
        shop.lines();
        shop.leaves(1, link);
        shop.pass(19);
        assert!(shop.acts().is_empty());
        assert!(shop.job(&job).reason.contains("R1: link closed"));
        shop.pass(1);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
        assert_eq!(shop.job(&job).placement, Placement::Local);
    }

    /// Three compiles for one receiver: the first builds there, the others wait.
    fn three() -> (Shop, LinkId, [JobId; 3]) {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let names = ["kitchen", "bath", "attic"];
        let jobs = names.map(|name| shop.compile(name, BuildChoice::Auto));
        shop.building_on(&jobs[0], link);
        shop.lines();
        (shop, link, jobs)
    }

    fn all_say(shop: &Shop, jobs: &[JobId], text: &str) {
        for job in jobs {
            let reason = shop.job(job).reason;
            assert!(reason.contains(text), "{reason}");
        }
    }

    /// What a receiver says whose owner sits down at it.
    fn absent() -> Message {
        let absence = Absence {
            reason: AvailabilityReason::UserActive,
            until: None,
        };
        Message::QueueStatus(QueueStatus {
            absence: Some(absence),
            ..QueueStatus::of(true, 0)
        })
    }

    #[test]
    fn a_short_loss_of_a_receiver_sends_nothing_of_what_waits_for_it_elsewhere() {
        let (mut shop, link, jobs) = three();
        shop.hang_up(1, link);
        shop.pass(19);
        assert!(shop.acts().is_empty());
        all_say(&shop, &jobs[1..], "waits a moment for its receiver");
        shop.connect(1, 9);
        assert_eq!(shop.acts(), ["download link-9 w1"], "it is taken up again");
        shop.pass(60);
        assert!(shop.acts().is_empty());
        all_say(&shop, &jobs[1..], "waits for a receiver to finish our work");
    }

    #[test]
    fn this_machine_takes_one_of_what_waits_at_a_time_and_a_receiver_that_is_back_the_next() {
        let (mut shop, link, jobs) = three();
        shop.hang_up(1, link);
        shop.pass(20);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
        let waiting = "waits for this computer or a receiver, whichever is free first: \
                       no receiver can build now: receiver R1: link closed";
        all_say(&shop, &jobs[1..], waiting);
        shop.crash();
        shop.pass(60);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
        all_say(&shop, &jobs[1..], waiting);
        shop.connect(1, 9);
        assert_eq!(shop.acts(), ["bundle j2 bath.yaml"]);
        shop.succeeds(&jobs[0]);
        assert!(shop.acts().is_empty(), "the receiver is there for the rest");
        let place = |job: &JobId| shop.job(job).placement;
        assert_eq!(place(&jobs[0]), Placement::Local);
        assert_eq!(place(&jobs[2]), Placement::RemotePending);
    }

    #[test]
    fn offloaders_hear_of_what_waits_for_either_and_of_no_idle_lane_between_two_builds() {
        let (mut shop, link, jobs) = three();
        shop.offloader(2);
        shop.hang_up(1, link);
        shop.pass(19);
        let is_idle = |line: &String| line == "link-2 queue idle";
        assert!(shop.lines_of("link-2").iter().all(is_idle));
        shop.pass(1);
        let told = shop.lines_of("link-2");
        assert_eq!(told.last().unwrap(), "link-2 queue running=true depth=2");
        shop.succeeds(&jobs[0]);
        let told = shop.lines_of("link-2");
        assert!(!told.iter().any(is_idle));
        assert_eq!(told.last().unwrap(), "link-2 queue running=true depth=1");
        // From now on it waits for the receiver alone.
        shop.policy(VersionPolicy::ExactRequired);
        assert_eq!(
            shop.lines_of("link-2"),
            ["link-2 queue running=true depth=0"]
        );
        assert_eq!(shop.status(&jobs[2]), JobStatus::Queued);
    }

    #[test]
    fn what_waits_behind_a_build_that_takes_its_receiver_down_again_is_built_here() {
        let (mut shop, link, jobs) = three();
        shop.leaves(1, link);
        shop.pass(5);
        let mut link = shop.connect(1, 9);
        for next in 10..12 {
            shop.building_on(&jobs[0], link);
            shop.lines();
            shop.pass(10);
            shop.leaves(1, link);
            shop.pass(5);
            link = shop.connect(1, next);
        }
        let place = |job: &JobId| shop.job(job).placement;
        assert_eq!(place(&jobs[1]), Placement::Local);
        assert_eq!(shop.status(&jobs[1]), JobStatus::Running);
        assert_eq!(
            shop.status(&jobs[0]),
            JobStatus::Running,
            "it is given its tries"
        );
    }

    #[test]
    fn what_waits_behind_a_build_whose_link_is_lost_again_and_again_is_built_here() {
        let (mut shop, mut link, jobs) = three();
        for next in 9..11 {
            shop.hang_up(1, link);
            shop.pass(5);
            link = shop.connect(1, next);
            shop.pass(10);
        }
        assert_eq!(shop.job(&jobs[1]).placement, Placement::RemotePending);
        // From now on it may be the build that takes its receiver down.
        shop.hang_up(1, link);
        shop.pass(5);
        assert_eq!(shop.job(&jobs[1]).placement, Placement::Local);
        shop.connect(1, 11);
        assert_eq!(shop.status(&jobs[0]), JobStatus::Running);
        assert_eq!(shop.submissions(), 1);
    }

    #[test]
    fn when_no_receiver_comes_back_this_machine_builds_all_that_waits_in_its_order() {
        let (mut shop, link, jobs) = three();
        shop.hang_up(1, link);
        shop.pass(20);
        for (job, yaml) in jobs.iter().zip(["kitchen", "bath", "attic"]) {
            let builds = shop.acts();
            assert_eq!(builds.len(), 1, "{builds:?}");
            assert!(builds[0].ends_with(&format!("own {yaml}.yaml")));
            shop.succeeds(job);
            assert_eq!(shop.status(job), JobStatus::Completed);
        }
    }

    #[test]
    fn an_owner_who_sits_down_at_the_receiver_for_a_moment_sends_nothing_of_what_waits_elsewhere() {
        let (mut shop, link, jobs) = three();
        shop.says(link, absent());
        shop.pass(19);
        assert!(shop.acts().is_empty());
        all_say(&shop, &jobs[1..], "R1: needed by its owner");
        shop.says(link, Message::QueueStatus(QueueStatus::of(true, 0)));
        shop.pass(60);
        assert!(shop.acts().is_empty());
        // This time its owner stays: this machine takes one of the two, and no more.
        shop.says(link, absent());
        shop.pass(60);
        assert_eq!(shop.acts(), ["build j2 compile own bath.yaml"]);
        shop.says(link, Message::QueueStatus(QueueStatus::of(true, 0)));
        shop.state_with(link, &shop.wire(1), JobStatus::Failed, "boom", None);
        assert_eq!(shop.acts(), ["bundle j3 attic.yaml"]);
        assert_eq!(shop.status(&jobs[1]), JobStatus::Running);
    }

    #[test]
    fn what_is_asked_for_while_the_receiver_is_away_is_there_for_it_when_it_comes() {
        let mut shop = Shop::open();
        shop.pair(pairing(1));
        for name in ["kitchen", "bath"] {
            shop.compile(name, BuildChoice::Auto);
        }
        let here = shop.compile("attic", BuildChoice::Local);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
        shop.connect(1, 1);
        assert_eq!(shop.acts(), ["bundle j2 bath.yaml"]);
        assert_eq!(shop.job(&here).placement, Placement::Local, "as chosen");
    }

    #[test]
    fn what_waits_for_either_and_what_waits_for_this_machine_alone_are_built_by_age() {
        let mut shop = Shop::open();
        shop.pair(pairing(1));
        let first = shop.compile("kitchen", BuildChoice::Local);
        let second = shop.compile("bath", BuildChoice::Auto);
        shop.compile("attic", BuildChoice::Local);
        shop.succeeds(&first);
        shop.succeeds(&second);
        assert_eq!(
            shop.acts(),
            [
                "build j1 compile own kitchen.yaml",
                "build j2 compile own bath.yaml",
                "build j3 compile own attic.yaml"
            ]
        );
    }

    #[test]
    fn a_build_whose_receiver_says_that_it_goes_goes_to_another_at_once() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.receiver(2);
        shop.building_on(&job, link);
        shop.lines();
        shop.leaves(1, link);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
        assert!(shop.job(&job).reason.contains("R2"));
    }

    #[test]
    fn a_build_whose_link_is_lost_goes_to_another_receiver_when_its_own_stays_away() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.receiver(2);
        shop.building_on(&job, link);
        shop.lines();
        shop.hang_up(1, link);
        shop.pass(19);
        assert!(shop.acts().is_empty(), "it may go on there");
        shop.pass(1);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
        assert!(shop.job(&job).reason.contains("R2"));
    }

    // Covers: M42, O-27
    #[test]
    fn a_receiver_that_cannot_provision_hands_the_job_to_this_machine_as_queued() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let busy = shop.compile("attic", BuildChoice::Local);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        let wire = shop.building_on(&job, link);
        shop.lines();
        let provision = Some(FailureReason::Provision);
        shop.state_with(link, &wire, JobStatus::Failed, "no pip", provision);
        assert_eq!(shop.status(&job), JobStatus::Queued);
        assert_eq!(shop.job(&job).failure_reason, None);
        assert!(shop.job(&job).reason.contains("R1 declined (no pip)"));
        shop.succeeds(&busy);
        assert_eq!(shop.acts(), ["build j2 compile own kitchen.yaml"]);
        // A cancel meanwhile would have worked: the status is truthful.
        assert_eq!(shop.status(&job), JobStatus::Running);
    }

    #[test]
    fn a_chosen_receiver_that_declines_fails_the_job() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let job = shop.compile("kitchen", BuildChoice::On(pin(1)));
        let wire = shop.building_on(&job, link);
        let provision = Some(FailureReason::Provision);
        shop.state_with(link, &wire, JobStatus::Failed, "no pip", provision);
        assert_eq!(shop.status(&job), JobStatus::Failed);
        assert_eq!(shop.error(&job), "R1: no pip");
    }

    #[test]
    fn a_chosen_receiver_that_stays_away_fails_the_job_with_the_reason() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        shop.receiver(2);
        let job = shop.compile("kitchen", BuildChoice::On(pin(1)));
        shop.building_on(&job, link);
        shop.hang_up(1, link);
        shop.pass(90);
        assert_eq!(shop.status(&job), JobStatus::Failed);
        assert!(shop.error(&job).contains("receiver R1: link closed"));
    }

    // Covers: M43
    #[test]
    fn an_unpaired_receiver_loses_its_build_to_another() {
        let mut shop = Shop::open();
        shop.receiver(1);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.receiver(2);
        shop.bundled(&job);
        shop.lines();
        shop.unpair(1);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
        assert!(shop.job(&job).reason.contains("R2"));
    }

    // Covers: M10, M7
    #[test]
    fn exact_required_fails_a_waiting_job_when_nobody_can_ever_fit() {
        let (mut shop, job) = waiting();
        let mut other = pairing(1);
        other.esphome_version = Some(version("2026.9.1"));
        shop.pair(other);
        shop.connect(1, 7);
        assert_eq!(shop.status(&job), JobStatus::Failed);
        let error = shop.error(&job);
        assert!(error.contains("R1: another ESPHome version"), "{error}");
    }

    #[test]
    fn a_placement_names_the_receivers_version_only_if_it_builds_with_another_one() {
        let mut shop = Shop::open();
        let mut old = pairing(1);
        old.esphome_version = Some(version("2026.9.1"));
        shop.pair(old.clone());
        shop.connect(1, 1);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        let named = |shop: &Shop, job: &JobId| match shop.job(job).placement {
            Placement::Remote {
                esphome_version, ..
            } => esphome_version,
            Placement::Local | Placement::RemotePending => None,
        };
        assert_eq!(named(&shop, &job), Some(version("2026.9.1")));
        let told = "R1 builds with ESPHome 2026.9.1, not with this computer's version";
        let tells =
            |shop: &Shop, job: &JobId| shop.notes.iter().any(|(j, n)| j == job && n == told);
        assert!(tells(&shop, &job), "{:?}", shop.notes);
        old.pin = pin(2);
        old.capabilities.auto_provision = true;
        shop.pair(old);
        shop.connect(2, 2);
        let job = shop.compile("bath", BuildChoice::Auto);
        assert_eq!(named(&shop, &job), None);
        assert!(!tells(&shop, &job));
    }

    #[test]
    fn a_new_version_of_ours_is_seen_by_the_next_pass() {
        let mut shop = Shop::open();
        shop.happens(Event::EnvironmentsChanged(vec![installed("2026.9.0")]));
        shop.policy(VersionPolicy::Exact);
        shop.receiver(1);
        shop.lines();
        shop.compile("kitchen", BuildChoice::Auto);
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
        shop.happens(Event::EnvironmentsChanged(vec![installed("2026.10.0")]));
        shop.compile("bath", BuildChoice::Auto);
        assert_eq!(shop.acts(), ["bundle j2 bath.yaml"]);
    }
}
