//! Giving way to the owner: what becomes of others' jobs while this computer is not lent.
//!
//! A short absence keeps what waits, a long one hands it back. What runs gets fewer cores, then is
//! stopped in its tracks while its session lives on, and is handed back when that takes too long. A
//! clean cannot be handed back: its sender would show it as failed. Where a build is, it is done in a
//! gentle way; it takes two minutes at most. The owner's own jobs are never touched.
use std::collections::BTreeSet;
use std::time::Duration;

use kiln_model::{
    Absence, AvailabilityReason as Reason, JobId, JobKind, Mono, Now, Pin, Sentence, say,
};

use super::Work;
use super::effect::{Drive, Effect, Ending};
use super::jobs::{Entry, Step};
use super::outcome::Outcome;
use crate::availability::is_scarce;
use crate::{InTheWay, Lending, Occupancy, Stance};

/// How the running build or clean of somebody else is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// As ever.
    #[default]
    Free,
    /// Within the limits for an owner who is there.
    Gentle,
    /// Stopped since then.
    Stopped(Mono),
    /// Being ended, to be handed back.
    Leaving,
}

impl Entry {
    /// Treats the build in another way from now on.
    pub(super) fn hold_as(&mut self, hold: Hold, now: Mono) {
        if let Hold::Stopped(at) = self.hold {
            self.stood += now.since(at);
        }
        self.hold = hold;
    }
}

impl Work {
    /// Whether, and how, this computer is lent to others has changed, or not.
    pub fn lend(&mut self, lending: Lending, now: Now) {
        if lending == self.lending {
            return;
        }
        self.lending = lending;
        self.tell_new_queue();
        self.advance(now);
    }

    /// Returns whether builds of others may start.
    pub(super) fn lends(&self) -> bool {
        self.settings.receiver
            && self.lending.stance == Stance::Open
            && self.lending.in_the_way == InTheWay::No
    }

    /// Returns whether what waits is handed back, as far as that is possible.
    fn hands_back(&self) -> bool {
        !self.settings.receiver || matches!(self.lending.stance, Stance::Lasting | Stance::Long)
    }

    /// Returns whether this job of somebody else may start. A clean that cannot be kept is done.
    pub(super) fn may_begin(&self, entry: &Entry) -> bool {
        match entry.stored.job.kind {
            JobKind::Compile => self.lends(),
            JobKind::Clean => self.lends() || self.hands_back(),
            JobKind::ResetBuildEnv | JobKind::Upload => true,
        }
    }

    /// Returns whether a build or a clean of somebody else runs.
    pub fn builds_for_others(&self) -> bool {
        self.jobs.active().any(|(_, e)| is_guest(e))
    }

    /// Returns whether a build or a clean of somebody else runs and goes on.
    pub fn goes_on_for_others(&self) -> bool {
        let goes_on = |e: &Entry| matches!(e.hold, Hold::Free | Hold::Gentle);
        let mut active = self.jobs.active().map(|(_, e)| e);
        active.any(|e| is_guest(e) && goes_on(e))
    }

    /// Returns the offloaders that have a session.
    pub fn senders(&self) -> BTreeSet<Pin> {
        let links = self.links.offloaders();
        let sessions = links.filter_map(|link| self.links.get(link));
        sessions.map(|session| session.pin).collect()
    }

    /// Returns the offloaders that would lose something if their session ended now: a job of theirs is
    /// active, a bundle arrives, or a result is fetched or about to be.
    pub fn at_stake(&self) -> BTreeSet<Pin> {
        let jobs = self.jobs.active().filter_map(|(_, e)| e.sender());
        let jobs = jobs.map(|(pin, _)| pin);
        jobs.chain(self.transfers.pins(&self.links)).collect()
    }

    /// Treats others' jobs as the owner's needs demand.
    pub(super) fn give_way(&mut self, now: Now) {
        if self.hands_back() {
            let why = match self.settings.receiver {
                true => self.sentence(),
                false => say::receiver_switched_off(),
            };
            let waits = |e: &Entry| {
                let is_waiting = matches!(e.step, Step::Arrived | Step::Unpacking | Step::Lane);
                !e.is_owners() && is_waiting && e.is(JobKind::Compile)
            };
            for id in self.jobs.ids(waits) {
                // Nobody waits for the end of its unpacking: its sender may be gone by then, and the
                // folder has a lock for whoever comes next.
                let unpacks = |e: &Entry| matches!(e.step, Step::Unpacking);
                if self.jobs.get(&id).is_some_and(unpacks) {
                    self.push(Effect::Stop(id.clone(), Ending::AtOnce));
                }
                self.finish(&id, Outcome::declined(why.clone()), now);
            }
        }
        self.treat_builds(now);
    }

    /// Treats the running builds and cleans of others as the owner's needs demand.
    pub(super) fn treat_builds(&mut self, now: Now) {
        for id in self.jobs.ids(is_guest) {
            self.treat(&id, now);
        }
    }

    /// Says of what is kept why it does not begin.
    pub(super) fn explain_waiting(&mut self) {
        let waits = |e: &Entry| is_of_guest(e) && matches!(e.step, Step::Arrived | Step::Lane);
        let is_short = self.is_disk_short();
        for id in self.jobs.ids(waits) {
            let packed = |e: &Entry| matches!(e.step, Step::Arrived);
            let begins = |e: &Entry| self.may_begin(e) && !(is_short && packed(e));
            let begins = self.jobs.get(&id).is_none_or(begins);
            let why = match self.reason().filter(|_| !begins) {
                Some(reason) => say::waits_until_lent(because(reason)),
                None => say::waits_for_lane(),
            };
            self.explain(&id, why);
        }
    }

    fn treat(&mut self, id: &JobId, now: Now) {
        let Some(entry) = self.jobs.get(id) else {
            return;
        };
        let (hold, is_build) = (entry.hold, entry.is(JobKind::Compile));
        if self.reason() == Some(Reason::Sleeping) && is_build {
            // There is no time to wait for its end: the sender has to hear of it before the sleep.
            self.push(Effect::Stop(id.clone(), Ending::Asked));
            return self.finish(id, Outcome::declined(self.sentence()), now);
        }
        let wanted = match self.wanted(hold, now) {
            Hold::Leaving if !is_build => Hold::Gentle,
            Hold::Stopped(_) if !is_build && self.hands_back() => Hold::Gentle,
            wanted => wanted,
        };
        if wanted == hold {
            return;
        }
        if let Some(entry) = self.jobs.get_mut(id) {
            entry.hold_as(wanted, now.mono);
        }
        let why = self.reason().map_or_else(say::absent_not_lent, because);
        let noun = if is_build { "build" } else { "clean" };
        match wanted {
            Hold::Free => {
                self.note(
                    id,
                    format!("the {noun} goes on: this computer is free again"),
                );
                self.push(Effect::Drive(id.clone(), Drive::Full));
            }
            Hold::Gentle => {
                self.push(Effect::Drive(id.clone(), Drive::Gentle));
                self.note(id, format!("the {noun} goes on with fewer cores: {why}"));
            }
            Hold::Stopped(_) => {
                self.push(Effect::Drive(id.clone(), Drive::Stopped));
                let minutes = self.settings.yield_minutes;
                let then = match is_build {
                    true => format!("If that lasts longer than {minutes} min, it is handed back"),
                    false => "If that lasts longer than a few minutes, it goes on with fewer cores"
                        .to_owned(),
                };
                self.note(id, format!("the {noun} waits: {why}. {then}"));
            }
            Hold::Leaving => {
                self.note(id, format!("the build is handed back: {why}"));
                let ending = match self.is_running_short() {
                    true => Ending::AtOnce,
                    false => Ending::Asked,
                };
                self.push(Effect::Stop(id.clone(), ending));
            }
        }
    }

    fn wanted(&self, hold: Hold, now: Now) -> Hold {
        let Lending {
            absence,
            in_the_way,
            occupancy,
            ..
        } = self.lending;
        let cap = self.yield_cap();
        let outlasts = |absence| is_longer(absence, cap, now);
        let hopeless = self.is_running_short() || absence.is_some_and(outlasts);
        match (hold, in_the_way) {
            (Hold::Leaving, _) => Hold::Leaving,
            (_, InTheWay::No) => match occupancy {
                Occupancy::Idle => Hold::Free,
                Occupancy::InUse => Hold::Gentle,
            },
            _ if hopeless => Hold::Leaving,
            (Hold::Stopped(at), _) if at + cap <= now.mono => Hold::Leaving,
            (Hold::Stopped(at), _) => Hold::Stopped(at),
            (Hold::Free | Hold::Gentle, InTheWay::Briefly(_)) => Hold::Gentle,
            (Hold::Free | Hold::Gentle, InTheWay::Still(_)) if cap.is_zero() => Hold::Leaving,
            (Hold::Free | Hold::Gentle, InTheWay::Still(_)) => Hold::Stopped(now.mono),
        }
    }

    /// Returns whether a build takes what there is too little of. That does not pass by: another ten
    /// seconds, and nothing of it is left.
    fn is_running_short(&self) -> bool {
        let absence = self.lending.absence.map(|absence| absence.reason);
        let in_the_way = match self.lending.in_the_way {
            InTheWay::No => None,
            InTheWay::Briefly(reason) | InTheWay::Still(reason) => Some(reason),
        };
        absence.into_iter().chain(in_the_way).any(is_scarce)
    }

    /// Returns when a running build is to be treated in another way.
    pub(super) fn yield_deadline(&self) -> Option<Mono> {
        let due = |entry: &Entry| match entry.hold {
            Hold::Stopped(at) => Some(at + self.yield_cap()),
            Hold::Free | Hold::Gentle | Hold::Leaving => None,
        };
        let builds = self.jobs.active().filter(|(_, e)| is_guest(e));
        builds.filter_map(|(_, e)| due(e)).min()
    }

    /// Returns for how long a build stands still at most. Nothing waits for a receiver that is switched
    /// off.
    fn yield_cap(&self) -> Duration {
        match self.settings.receiver {
            true => Duration::from_secs(u64::from(self.settings.yield_minutes) * 60),
            false => Duration::ZERO,
        }
    }

    /// Returns why this computer is not lent, is about not to be, or not all of it. That receiving is off
    /// stands in the way of no build that runs already, so it is named last.
    fn reason(&self) -> Option<Reason> {
        let absence = self.lending.absence.map(|absence| absence.reason);
        let in_the_way = match self.lending.in_the_way {
            InTheWay::No => match self.lending.occupancy {
                Occupancy::Idle => None,
                Occupancy::InUse => Some(Reason::UserActive),
            },
            InTheWay::Briefly(reason) | InTheWay::Still(reason) => Some(reason),
        };
        let lasting = absence.filter(|reason| *reason != Reason::UserOff);
        lasting.or(in_the_way).or(absence)
    }

    /// Returns why a build that failed just now may have failed through this computer: memory or disk
    /// are short, or were a moment ago.
    pub(super) fn excuse(&self) -> Option<Sentence> {
        self.lending
            .short
            .map(|reason| say::declined(because(reason)))
    }

    /// Returns what the person who waits for a handed-back build reads.
    pub(super) fn sentence(&self) -> Sentence {
        let why = self.reason().map_or_else(say::absent_not_lent, because);
        say::declined(why)
    }
}

/// It ends later than anybody would wait for.
fn is_longer(absence: Absence, cap: Duration, now: Now) -> bool {
    let ends = absence.until.map(|end| end.0.saturating_sub(now.wall.0));
    let cap = i64::try_from(cap.as_micros()).unwrap_or(i64::MAX);
    ends.is_some_and(|left| left > cap)
}

/// A program of somebody else runs.
fn is_guest(entry: &Entry) -> bool {
    is_of_guest(entry) && entry.step.holds_lane()
}

/// Runs a program of somebody else: a build, or a clean, which reads a configuration and so runs what
/// that wants.
pub(super) fn is_of_guest(entry: &Entry) -> bool {
    let runs_programs = match entry.stored.job.kind {
        JobKind::Compile | JobKind::Clean => true,
        JobKind::ResetBuildEnv | JobKind::Upload => false,
    };
    !entry.is_owners() && runs_programs
}

/// What a sender reads of the reason.
fn because(reason: Reason) -> Sentence {
    match reason {
        Reason::Ready => say::absent_ready(),
        Reason::UserActive => say::absent_user_active(),
        Reason::Battery => say::absent_battery(),
        Reason::PowerSaver => say::absent_power_saver(),
        Reason::Thermal => say::absent_thermal(),
        Reason::CpuBusy => say::absent_cpu_busy(),
        Reason::LowRam => say::absent_low_ram(),
        Reason::LowDisk => say::absent_low_disk(),
        Reason::Hours => say::absent_hours(),
        Reason::ExclusiveApp => say::absent_exclusive_app(),
        Reason::Metered => say::absent_metered(),
        Reason::Snoozed => say::absent_snoozed(),
        Reason::UserOff => say::absent_user_off(),
        Reason::Sleeping => say::absent_sleeping(),
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{FailureReason, JobStatus, LinkId, Message, Timestamp};

    use super::super::fixtures::{Shop, failed, wire};
    use super::super::{Event, ProcessOutcome, StepFailure};
    use super::*;

    impl Shop {
        /// The owner's needs changed just now.
        fn lent(&mut self, stance: Stance, reason: Reason, until: Option<Timestamp>) {
            let lending = Lending {
                stance,
                absence: Some(Absence { reason, until }),
                in_the_way: match reason {
                    Reason::UserOff => InTheWay::No,
                    reason => InTheWay::Briefly(reason),
                },
                occupancy: Occupancy::Idle,
                short: Some(reason).filter(|reason| is_scarce(*reason)),
            };
            self.lends(lending);
        }

        /// Receiving is switched off.
        fn switched_off(&mut self) {
            self.change(|settings| settings.receiver = false);
            self.lent(Stance::Long, Reason::UserOff, None);
        }

        /// Somebody comes to a computer that is free, or whose receiving is off.
        fn gets(&mut self, in_the_way: InTheWay) {
            let lending = Lending {
                in_the_way,
                ..self.work.lending
            };
            self.lends(lending);
        }

        fn submit_clean(&mut self, link: LinkId, job: &str, configuration: &str) -> JobId {
            let clean = self.submit_with(link, job, configuration, |header| {
                header.target = "clean".to_owned();
            });
            self.prepared(&clean);
            clean
        }

        /// What came does not pass.
        fn stays(&mut self) {
            let reason = self.work.reason().expect("something is in the way");
            self.gets(InTheWay::Still(reason));
        }

        fn busy(&mut self) {
            self.lent(Stance::Brief, Reason::UserActive, None);
        }

        fn free(&mut self) {
            self.lends(Lending::FREE);
        }
    }

    /// An offloader whose build runs.
    fn building() -> (Shop, LinkId, JobId) {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit_queued(link, "a", "kitchen");
        assert_eq!(shop.status(&job), JobStatus::Running);
        shop.lines();
        (shop, link, job)
    }

    #[test]
    fn a_short_absence_keeps_what_arrives_and_builds_it_afterwards() {
        let (mut shop, link) = Shop::with_offloader();
        shop.lines();
        shop.busy();
        assert_eq!(shop.lines(), ["link-2 queue absent=user_active depth=0"]);
        let job = shop.submit_queued(link, "a", "kitchen");
        assert_eq!(shop.status(&job), JobStatus::Queued);
        let why = "waits a moment: its owner is using this computer";
        assert_eq!(shop.job(&job).reason, why);
        assert_eq!(shop.notes.last(), Some(&(job.clone(), why.to_owned())));
        assert!(!shop.work.at_stake().is_empty());
        shop.lines();
        shop.free();
        assert_eq!(shop.status(&job), JobStatus::Running);
        assert_eq!(
            shop.lines_of("build"),
            ["build j1 compile 2 kitchen.yaml with 2026.10.0"]
        );
    }

    #[test]
    fn until_anything_was_read_what_arrives_is_kept_and_this_computer_is_not_called_idle() {
        let (mut shop, link) = Shop::with_offloader();
        shop.lends(Lending {
            stance: Stance::Brief,
            ..Lending::FREE
        });
        assert!(!shop.work.queue_status().idle);
        let job = shop.submit_queued(link, "a", "kitchen");
        assert_eq!(shop.status(&job), JobStatus::Queued);
        shop.free();
        assert_eq!(shop.status(&job), JobStatus::Running);
    }

    #[test]
    fn a_long_absence_hands_back_what_waits_so_that_it_is_built_elsewhere() {
        let (mut shop, link) = Shop::with_offloader();
        shop.busy();
        let early = shop.submit_queued(link, "a", "kitchen");
        shop.lent(Stance::Lasting, Reason::UserActive, None);
        let late = shop.submit_queued(link, "b", "bath");
        for job in [early, late] {
            let job = shop.job(&job);
            assert_eq!(job.status, JobStatus::Failed);
            assert_eq!(job.failure_reason, Some(FailureReason::Provision));
            let text = "this receiver does not build it: its owner is using this computer";
            assert_eq!(job.error.as_deref(), Some(text));
        }
        assert!(shop.work.at_stake().is_empty());
    }

    #[test]
    fn a_clean_is_done_whoever_uses_the_computer() {
        let (mut shop, link) = Shop::with_offloader();
        shop.lent(Stance::Long, Reason::Battery, None);
        let clean = shop.submit_clean(link, "c", "kitchen");
        assert_eq!(shop.lines_of("drive"), ["drive j1 Gentle"]);
        shop.stays();
        assert_eq!(shop.lines_of("drive"), [""; 0], "it is over in a moment");
        shop.succeeds(&clean);
        assert_eq!(shop.status(&clean), JobStatus::Completed);
    }

    #[test]
    fn a_clean_gives_way_like_a_build_but_is_never_handed_back() {
        let (mut shop, link) = Shop::with_offloader();
        let clean = shop.submit_clean(link, "c", "kitchen");
        assert!(shop.work.builds_for_others(), "the owner is watched");
        shop.busy();
        shop.stays();
        assert_eq!(
            shop.lines_of("drive"),
            ["drive j1 Gentle", "drive j1 Stopped"]
        );
        let second = shop.submit_clean(link, "d", "bath");
        shop.lent(Stance::Lasting, Reason::UserActive, None);
        shop.stays();
        assert_eq!(
            shop.lines_of("drive"),
            ["drive j1 Gentle"],
            "nobody waits for it any more"
        );
        for reason in [Reason::LowDisk, Reason::Sleeping, Reason::UserOff] {
            shop.lent(Stance::Long, reason, None);
        }
        shop.pass(1_800);
        assert_eq!(shop.lines_of("stop"), [""; 0]);
        shop.succeeds(&clean);
        shop.succeeds(&second);
        let ends = [&clean, &second].map(|job| shop.status(job));
        assert_eq!(ends, [JobStatus::Completed; 2]);
    }

    #[test]
    fn of_a_clean_that_stands_still_nobody_is_told_that_it_is_handed_back() {
        let (mut shop, link) = Shop::with_offloader();
        shop.submit_clean(link, "c", "kitchen");
        shop.busy();
        shop.stays();
        assert_eq!(shop.lines_of("drive").last().unwrap(), "drive j1 Stopped");
        let (_, told) = shop.notes.last().unwrap();
        assert!(told.starts_with("the clean waits: its owner"), "{told}");
        assert!(!told.contains("handed back"), "{told}");
    }

    #[test]
    fn a_clean_is_kept_while_the_absence_is_brief() {
        let (mut shop, link) = Shop::with_offloader();
        shop.busy();
        let clean = shop.submit_clean(link, "c", "kitchen");
        assert_eq!(shop.status(&clean), JobStatus::Queued);
        shop.free();
        assert_eq!(shop.status(&clean), JobStatus::Running);
        assert_eq!(shop.lines_of("drive"), [""; 0]);
    }

    #[test]
    fn who_cannot_begin_anything_does_not_say_that_it_is_idle() {
        let mut shop = Shop::open();
        shop.offloader(2);
        assert_eq!(shop.lines(), ["link-2 queue idle"]);
        shop.gets(InTheWay::Briefly(Reason::UserActive));
        assert_eq!(shop.lines(), ["link-2 queue running=false depth=0"]);
        shop.gets(InTheWay::Still(Reason::UserActive));
        assert_eq!(shop.lines(), [""; 0], "that is nothing new");
        shop.free();
        assert_eq!(shop.lines(), ["link-2 queue idle"]);
    }

    #[test]
    fn the_owners_own_builds_are_never_affected() {
        let mut shop = Shop::open();
        shop.lent(Stance::Long, Reason::Battery, None);
        let own = shop.compile("attic", kiln_model::BuildChoice::Auto);
        assert_eq!(shop.status(&own), JobStatus::Running);
        shop.pass(3_600);
        assert_eq!(shop.lines_of("drive"), [""; 0]);
        assert_eq!(shop.status(&own), JobStatus::Running);
    }

    #[test]
    fn a_running_build_is_slowed_at_once_then_stopped_and_goes_on_when_the_owner_leaves() {
        let (mut shop, _, job) = building();
        shop.busy();
        assert_eq!(shop.lines_of("drive"), ["drive j1 Gentle"]);
        shop.stays();
        assert_eq!(shop.lines_of("drive"), ["drive j1 Stopped"]);
        shop.pass(300);
        assert_eq!(
            shop.status(&job),
            JobStatus::Running,
            "its sender still waits"
        );
        shop.free();
        assert_eq!(shop.lines_of("drive"), ["drive j1 Full"]);
        let told: Vec<&str> = shop.notes.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(
            told,
            [
                "the build goes on with fewer cores: its owner is using this computer",
                "the build waits: its owner is using this computer. If that lasts longer than 10 min, \
                 it is handed back",
                "the build goes on: this computer is free again",
            ]
        );
        shop.succeeds(&job);
        assert_eq!(shop.status(&job), JobStatus::Completed);
    }

    #[test]
    fn an_owner_who_only_passes_by_costs_the_build_nothing_but_cores() {
        let (mut shop, _, _) = building();
        let passing = Lending {
            in_the_way: InTheWay::Briefly(Reason::UserActive),
            ..Lending::FREE
        };
        shop.lends(passing);
        shop.pass(60);
        shop.free();
        assert_eq!(shop.lines_of("drive"), ["drive j1 Gentle", "drive j1 Full"]);
    }

    #[test]
    fn an_owner_who_lets_builds_go_on_beside_them_only_limits_them() {
        let (mut shop, link, job) = building();
        let beside = Lending {
            occupancy: Occupancy::InUse,
            ..Lending::FREE
        };
        shop.lends(beside);
        assert_eq!(shop.lines_of("drive"), ["drive j1 Gentle"]);
        let (_, told) = shop.notes.last().unwrap();
        let text = "the build goes on with fewer cores: its owner is using this computer";
        assert_eq!(told, text);
        shop.pass(3_600);
        shop.succeeds(&job);
        assert_eq!(shop.status(&job), JobStatus::Completed);
        let next = shop.submit_queued(link, "b", "bath");
        assert_eq!(shop.status(&next), JobStatus::Running, "others are taken");
        let begun = shop.lines();
        let at = |line: &str| begun.iter().position(|l| l.starts_with(line));
        assert!(at("build j2") < at("drive j2 Gentle"), "{begun:?}");
        shop.free();
        assert_eq!(shop.lines_of("drive"), ["drive j2 Full"]);
    }

    #[test]
    fn what_stood_still_goes_on_within_the_limits_when_only_the_owner_is_there() {
        let (mut shop, _, _) = building();
        shop.lends(Lending {
            in_the_way: InTheWay::Still(Reason::CpuBusy),
            ..Lending::FREE
        });
        shop.lends(Lending {
            occupancy: Occupancy::InUse,
            ..Lending::FREE
        });
        assert_eq!(
            shop.lines_of("drive"),
            ["drive j1 Stopped", "drive j1 Gentle"]
        );
    }

    #[test]
    fn an_owner_who_stays_stops_the_build_of_a_computer_that_became_free_just_now() {
        let (mut shop, link, job) = building();
        let staying = Lending {
            in_the_way: InTheWay::Still(Reason::UserActive),
            ..Lending::FREE
        };
        shop.lends(staying);
        assert_eq!(shop.lines_of("drive"), ["drive j1 Stopped"]);
        let (_, told) = shop.notes.last().unwrap();
        assert!(told.starts_with("the build waits: its owner is using this computer"));
        let next = shop.submit_queued(link, "b", "bath");
        shop.pass(600);
        assert_eq!(shop.lines_of("stop"), ["stop j1"]);
        shop.ends(&job, ProcessOutcome::Killed);
        assert_eq!(
            shop.status(&next),
            JobStatus::Queued,
            "nothing new is begun"
        );
    }

    #[test]
    fn what_is_held_too_long_is_handed_back() {
        let (mut shop, _, job) = building();
        shop.busy();
        shop.stays();
        shop.pass(599);
        assert_eq!(shop.lines_of("stop"), [""; 0]);
        shop.lent(Stance::Long, Reason::UserActive, None);
        shop.pass(1);
        assert_eq!(shop.lines_of("stop"), ["stop j1"]);
        assert!(
            !shop.work.at_stake().is_empty(),
            "its end is still to be told"
        );
        shop.ends(&job, ProcessOutcome::Killed);
        let job = shop.job(&job);
        assert_eq!(job.failure_reason, Some(FailureReason::Provision));
        assert!(shop.work.at_stake().is_empty());
    }

    #[test]
    fn who_does_not_hold_builds_hands_them_back_when_the_owner_stays() {
        let mut shop = Shop::open();
        shop.settings.yield_minutes = 0;
        shop.happens(Event::SettingsChanged(shop.settings.clone()));
        let link = shop.offloader(2);
        shop.submit_queued(link, "a", "kitchen");
        shop.busy();
        assert_eq!(shop.lines_of("stop"), [""; 0]);
        shop.stays();
        assert_eq!(shop.lines_of("stop"), ["stop j1"]);
    }

    #[test]
    fn who_switches_receiving_off_lets_a_free_build_go_on_and_sends_a_held_one_back() {
        for (held, stops) in [(false, &[][..]), (true, &["stop j1"])] {
            let (mut shop, _, _) = building();
            if held {
                shop.busy();
                shop.stays();
            }
            shop.change(|settings| settings.receiver = false);
            let absence = Some(Absence {
                reason: Reason::UserOff,
                until: None,
            });
            shop.lends(Lending {
                absence,
                ..shop.work.lending
            });
            assert_eq!(shop.lines_of("stop"), stops);
        }
    }

    #[test]
    fn what_goes_on_after_receiving_is_switched_off_gives_way_and_is_never_held() {
        let (mut shop, _, job) = building();
        shop.switched_off();
        assert_eq!(shop.acts(), [""; 0]);
        shop.gets(InTheWay::Briefly(Reason::UserActive));
        shop.gets(InTheWay::No);
        shop.gets(InTheWay::Briefly(Reason::Battery));
        shop.gets(InTheWay::Still(Reason::Battery));
        let steps = [
            "drive j1 Gentle",
            "drive j1 Full",
            "drive j1 Gentle",
            "stop j1",
        ];
        assert_eq!(shop.acts(), steps);
        shop.ends(&job, ProcessOutcome::Killed);
        let text = "this receiver does not build it: this computer runs on battery";
        assert_eq!(shop.job(&job).error.as_deref(), Some(text));
        let (mut shop, _, _) = building();
        shop.switched_off();
        shop.gets(InTheWay::Briefly(Reason::LowDisk));
        assert_eq!(shop.acts(), ["stop j1 at once"], "it fills no disk either");
    }

    #[test]
    fn a_build_that_ends_while_it_is_handed_back_has_its_own_outcome() {
        for (outcome, status) in [
            (ProcessOutcome::Succeeded, JobStatus::Completed),
            (failed("a typing error"), JobStatus::Failed),
        ] {
            let (mut shop, _, job) = building();
            shop.change(|settings| settings.yield_minutes = 0);
            shop.busy();
            shop.stays();
            assert_eq!(shop.lines_of("stop"), ["stop j1"]);
            shop.ends(&job, outcome);
            assert_eq!(shop.status(&job), status);
            assert_eq!(shop.job(&job).failure_reason, None);
        }
    }

    #[test]
    fn a_build_that_fails_where_memory_or_disk_are_short_is_handed_back() {
        for reason in [Reason::LowRam, Reason::LowDisk] {
            let (mut shop, _, job) = building();
            shop.lends(Lending {
                in_the_way: InTheWay::Briefly(Reason::UserActive),
                short: Some(reason),
                ..Lending::FREE
            });
            shop.ends(&job, failed("the compiler ended with exit code 1"));
            let job = shop.job(&job);
            assert_eq!(
                job.failure_reason,
                Some(FailureReason::Provision),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn an_absence_known_to_outlast_the_cap_is_not_waited_for() {
        let (mut shop, _, _) = building();
        let end = Timestamp(shop.now.wall.0 + 1_800_000_000);
        shop.lent(Stance::Long, Reason::Snoozed, Some(end));
        assert_eq!(shop.acts(), ["stop j1"]);
    }

    #[test]
    fn a_disk_or_memory_that_fills_up_is_not_waited_for_although_it_counts_as_open() {
        for reason in [Reason::LowDisk, Reason::LowRam] {
            let (mut shop, _, _) = building();
            shop.gets(InTheWay::Briefly(reason));
            assert_eq!(shop.acts(), ["stop j1 at once"], "it takes more meanwhile");
        }
    }

    #[test]
    fn a_build_whose_version_is_being_installed_is_handed_back_as_well() {
        // The installation is stopped, or had just ended.
        for end in [Err(StepFailure::Cancelled), Ok("2026.9.0".parse().unwrap())] {
            let (mut shop, link) = Shop::with_offloader();
            let job = shop.submit_with(link, "a", "kitchen", |header| {
                header.target_esphome_version = "2026.9.0".parse().ok();
            });
            shop.prepared(&job);
            shop.lent(Stance::Brief, Reason::LowDisk, None);
            assert_eq!(shop.lines_of("stop"), ["stop j1 at once"]);
            shop.happens(Event::Provisioned(job.clone(), end));
            assert_eq!(
                shop.job(&job).failure_reason,
                Some(FailureReason::Provision)
            );
        }
    }

    #[test]
    fn before_a_sleep_the_sender_hears_of_its_build_without_waiting_for_its_end() {
        let (mut shop, link, job) = building();
        shop.lent(Stance::Long, Reason::Sleeping, None);
        let text = "link-2 a failed [provision] this receiver does not build it: \
                    this computer goes to sleep";
        assert!(shop.lines().contains(&text.to_owned()));
        shop.ends(&job, ProcessOutcome::Killed);
        assert_eq!(shop.status(&job), JobStatus::Failed);
        let _ = link;
    }

    #[test]
    fn a_bundle_that_is_being_unpacked_at_a_sleep_is_handed_back_and_not_built_after_it() {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit(link, "a", "kitchen");
        shop.lines();
        shop.lent(Stance::Long, Reason::Sleeping, None);
        let text = "link-2 a failed [provision] this receiver does not build it: \
                    this computer goes to sleep";
        assert_eq!(shop.acts(), ["stop j1 at once", text, "settled 2 a"]);
        shop.hang_up(2, link);
        shop.free();
        shop.prepared(&job);
        assert_eq!(shop.lines_of("build"), [""; 0]);
        assert_eq!(shop.status(&job), JobStatus::Failed);
    }

    #[test]
    fn a_cancel_of_a_stopped_build_is_a_cancel() {
        let (mut shop, link, job) = building();
        shop.busy();
        shop.stays();
        shop.says(link, Message::CancelJob { job_id: wire("a") });
        shop.ends(&job, ProcessOutcome::Killed);
        assert_eq!(shop.status(&job), JobStatus::Cancelled);
    }

    #[test]
    fn a_result_that_is_about_to_be_fetched_keeps_the_session() {
        let (mut shop, link, job) = building();
        shop.succeeds(&job);
        shop.lent(Stance::Long, Reason::Battery, None);
        assert!(!shop.work.at_stake().is_empty());
        let job_id = wire("a");
        shop.says(link, Message::DownloadArtifacts { job_id });
        assert!(!shop.work.at_stake().is_empty());
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        assert!(shop.work.at_stake().is_empty());
    }

    #[test]
    fn a_result_that_nobody_fetches_is_not_waited_for_for_ever() {
        let (mut shop, _, job) = building();
        shop.succeeds(&job);
        shop.pass(30);
        assert!(shop.work.at_stake().is_empty());
    }

    #[test]
    fn an_upload_that_arrives_is_heard_out() {
        let (mut shop, link) = Shop::with_offloader();
        shop.happens(Event::SubmissionStarted(link, wire("a")));
        shop.lent(Stance::Long, Reason::Battery, None);
        assert!(!shop.work.at_stake().is_empty());
        let job = shop.submit_queued(link, "a", "kitchen");
        assert_eq!(
            shop.job(&job).failure_reason,
            Some(FailureReason::Provision)
        );
        assert!(shop.work.at_stake().is_empty());
    }

    #[test]
    fn a_kiln_that_is_needed_by_its_owner_gets_no_builds_from_us() {
        let mut shop = Shop::open();
        let tower = shop.receiver(1);
        let absence = Some(Absence {
            reason: Reason::UserActive,
            until: None,
        });
        let absent = kiln_model::QueueStatus {
            absence,
            ..kiln_model::QueueStatus::of(false, 0)
        };
        shop.says(tower, Message::QueueStatus(absent));
        let job = shop.compile("attic", kiln_model::BuildChoice::Auto);
        assert_eq!(shop.job(&job).placement, kiln_model::Placement::Local);
        assert!(
            shop.job(&job).reason.contains("needed by its owner"),
            "{}",
            shop.job(&job).reason
        );
    }
}
