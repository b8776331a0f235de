//! [`Ledger`]: for how long this computer built for each offloader in the last day. A build has the
//! compile lane to itself, so its running time is what it kept others from. It is not processor time:
//! that is told on some systems only, not of programs that ended apart from their parents, and would
//! let a build that waits hold the lane all day.
use std::time::Duration;

use kiln_model::{JobId, JobKind, Mono, Now, Pin, Timestamp, say};

use super::Work;
use super::effect::{Effect, Given};
use super::jobs::{Entry, Step};
use super::outcome::Outcome;
use super::yielding::{Hold, is_of_guest};
use crate::Sleep;

/// How far back it counts, in microseconds.
const DAY: i64 = 24 * 3_600 * 1_000_000;

/// What was built in the last day, in the order in which it ended. Its rows outlive their jobs, of which
/// history keeps only the newest of each device.
#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<Given>);

impl Ledger {
    /// Says of what ended in the future, by a clock that was set back since, that it ended just now: else
    /// it would count until that clock has caught up. Returns it.
    fn call_back(&mut self, now: Timestamp) -> Vec<Given> {
        let ahead = self.0.iter_mut().filter(|given| given.ended > now);
        ahead
            .map(|given| {
                given.ended = now;
                given.clone()
            })
            .collect()
    }

    /// Drops what ended more than a day ago; returns the jobs of that.
    fn forget_old(&mut self, now: Timestamp) -> Vec<JobId> {
        let old = self.0.extract_if(.., |given| !is_recent(given.ended, now));
        old.map(|given| given.job).collect()
    }

    /// Returns for how long builds of this offloader ran.
    fn of(&self, pin: Pin, now: Timestamp) -> Duration {
        let counts = |given: &&Given| given.pin == pin && is_recent(given.ended, now);
        self.0.iter().filter(counts).map(|given| given.took).sum()
    }
}

/// Says for how long a job that is over ran for somebody else, if it did. The time in which it had to
/// stand still, or the computer slept, was not given; that a clock was set meanwhile changes nothing.
pub(super) fn given_for(entry: &Entry, now: Now) -> Option<Given> {
    let (pin, _) = entry.sender().filter(|_| is_of_guest(entry))?;
    let took = now.mono.since(entry.began?);
    Some(Given {
        job: entry.stored.job.id.clone(),
        pin,
        ended: now.wall,
        took: took.saturating_sub(entry.stood),
    })
}

fn is_recent(ended: Timestamp, now: Timestamp) -> bool {
    now.0.saturating_sub(ended.0) < DAY
}

impl Work {
    /// Takes over what was given in the last run.
    pub(super) fn load_given(&mut self, given: Vec<Given>, now: Now) {
        self.ledger.0 = given;
        self.bring_up_to_date(now.wall);
    }

    fn bring_up_to_date(&mut self, now: Timestamp) {
        for given in self.ledger.call_back(now) {
            self.push(Effect::SaveGiven(Box::new(given)));
        }
        for job in self.ledger.forget_old(now) {
            self.push(Effect::ForgetGiven(job));
        }
    }

    /// The system goes to sleep, or woke up. While it sleeps nobody's build runs.
    pub fn slept(&mut self, sleep: Sleep, now: Mono) {
        let (from, asleep) = match sleep {
            Sleep::Asleep { since } => (self.asleep.unwrap_or(since), Some(now)),
            Sleep::Awake => (self.asleep.unwrap_or(now), None),
        };
        self.asleep = asleep;
        for id in self.jobs.ids(is_of_guest) {
            let Some(entry) = self.jobs.get_mut(&id) else {
                continue;
            };
            // The time of what stands still is counted as that anyway.
            match (entry.began, entry.hold) {
                (None, _) | (_, Hold::Stopped(_)) => {}
                (Some(began), _) => entry.stood += now.since(from.max(began)),
            }
        }
    }

    /// Notes what was given with a job that is over. Kept before the end of the job is: what is built
    /// again after a crash replaces its row.
    pub(super) fn give(&mut self, given: Given) {
        self.bring_up_to_date(given.ended);
        self.push(Effect::SaveGiven(Box::new(given.clone())));
        self.ledger.0.push(given);
    }

    /// Hands back what waits for an offloader that had its part of the day.
    pub(super) fn keep_to_budgets(&mut self, now: Now) {
        let minutes = self.settings.daily_minutes;
        if minutes == 0 {
            return;
        }
        self.bring_up_to_date(now.wall);
        let budget = Duration::from_secs(u64::from(minutes) * 60);
        let waits = |e: &Entry| {
            let is_waiting = matches!(e.step, Step::Arrived | Step::Lane);
            let spent = |(pin, _): (Pin, _)| self.ledger.of(pin, now.wall) >= budget;
            is_waiting && e.is(JobKind::Compile) && e.sender().is_some_and(spent)
        };
        for id in self.jobs.ids(waits) {
            let why = say::daily_minutes_used(minutes);
            self.finish(&id, Outcome::declined(say::declined(why)), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kiln_model::{AvailabilityReason as Reason, FailureReason, JobId, JobStatus, LinkId};

    use super::super::Event;
    use super::super::fixtures::Shop;
    use crate::{InTheWay, Lending, Sleep};

    /// A node that builds for ten minutes a day for each of two offloaders.
    fn frugal() -> (Shop, LinkId, LinkId) {
        let mut shop = Shop::open();
        shop.settings.daily_minutes = 10;
        shop.happens(Event::SettingsChanged(shop.settings.clone()));
        let links = (shop.offloader(2), shop.offloader(3));
        (shop, links.0, links.1)
    }

    fn build_for(shop: &mut Shop, link: LinkId, name: &str, seconds: u64) -> JobId {
        let job = shop.submit_queued(link, name, name);
        assert_eq!(shop.status(&job), JobStatus::Running);
        shop.pass(seconds);
        shop.succeeds(&job);
        job
    }

    fn is_handed_back(shop: &Shop, job: &JobId) -> bool {
        shop.job(job).failure_reason == Some(FailureReason::Provision)
    }

    #[test]
    fn who_had_its_part_of_the_day_gets_its_builds_back_and_others_do_not() {
        let (mut shop, greedy, modest) = frugal();
        build_for(&mut shop, greedy, "kitchen", 599);
        build_for(&mut shop, greedy, "bath", 1);
        let late = shop.submit_queued(greedy, "attic", "attic");
        assert!(is_handed_back(&shop, &late));
        let text = "this receiver does not build it: it built for this sender for 10 minutes in the \
                    last 24 hours, as long as its owner allows";
        assert_eq!(shop.job(&late).error.as_deref(), Some(text));
        build_for(&mut shop, modest, "hall", 1);
        shop.pass(24 * 3_600);
        build_for(&mut shop, greedy, "attic", 1);
    }

    #[test]
    fn what_waits_while_the_part_is_used_up_is_handed_back_as_well() {
        let (mut shop, greedy, _) = frugal();
        let first = shop.submit_queued(greedy, "kitchen", "kitchen");
        let second = shop.submit_queued(greedy, "bath", "bath");
        shop.pass(1_200);
        shop.succeeds(&first);
        assert_eq!(
            shop.status(&first),
            JobStatus::Completed,
            "what runs is built"
        );
        assert!(is_handed_back(&shop, &second));
    }

    #[test]
    fn a_restart_forgets_nothing_of_it() {
        let (mut shop, greedy, _) = frugal();
        build_for(&mut shop, greedy, "kitchen", 600);
        shop.crash();
        let greedy = shop.offloader(2);
        let late = shop.submit_queued(greedy, "bath", "bath");
        assert!(is_handed_back(&shop, &late));
    }

    #[test]
    fn what_history_dropped_still_counts_after_a_restart() {
        let (mut shop, greedy, _) = frugal();
        build_for(&mut shop, greedy, "kitchen", 540);
        let job = shop.submit_queued(greedy, "kitchen", "kitchen");
        shop.lends(Lending {
            in_the_way: InTheWay::Still(Reason::UserActive),
            ..Lending::FREE
        });
        shop.pass(300);
        shop.lends(Lending::FREE);
        shop.pass(59);
        shop.succeeds(&job);
        shop.crash();
        let greedy = shop.offloader(2);
        build_for(&mut shop, greedy, "bath", 1);
        let late = shop.submit_queued(greedy, "attic", "attic");
        assert!(is_handed_back(&shop, &late));
        shop.pass(24 * 3_600);
        build_for(&mut shop, greedy, "attic", 1);
        assert_eq!(shop.given.len(), 1, "what is older is not kept");
    }

    #[test]
    fn a_clock_that_was_set_back_counts_nothing_for_ever() {
        let (mut shop, greedy, _) = frugal();
        build_for(&mut shop, greedy, "kitchen", 600);
        shop.now.wall.0 -= 365 * super::DAY;
        shop.crash();
        let greedy = shop.offloader(2);
        shop.pass(24 * 3_600);
        build_for(&mut shop, greedy, "attic", 1);
    }

    #[test]
    fn a_clock_that_is_set_back_while_kiln_runs_counts_nothing_for_longer_than_a_day() {
        let (mut shop, greedy, _) = frugal();
        build_for(&mut shop, greedy, "kitchen", 600);
        shop.now.wall.0 -= 365 * super::DAY;
        let late = shop.submit_queued(greedy, "bath", "bath");
        assert!(is_handed_back(&shop, &late));
        shop.crash();
        let greedy = shop.offloader(2);
        shop.pass(24 * 3_600);
        build_for(&mut shop, greedy, "attic", 1);
    }

    #[test]
    fn a_clock_that_is_set_while_a_build_runs_makes_it_neither_longer_nor_shorter() {
        let (mut shop, link, _) = frugal();
        for (name, seconds, step) in [("kitchen", 300, super::DAY / 3), ("bath", 299, -super::DAY)]
        {
            let job = shop.submit_queued(link, name, name);
            shop.pass(seconds);
            shop.now.wall.0 += step;
            shop.succeeds(&job);
        }
        build_for(&mut shop, link, "attic", 1);
        let late = shop.submit_queued(link, "hall", "hall");
        assert!(is_handed_back(&shop, &late));
    }

    /// The system sleeps for eight hours; `told` says when Kiln hears of it.
    fn sleeps(shop: &mut Shop, told: Told) {
        let since = shop.now.mono;
        let asleep = |shop: &mut Shop| {
            shop.work.slept(Sleep::Asleep { since }, shop.now.mono);
            shop.lends(Lending {
                in_the_way: InTheWay::Still(Reason::Sleeping),
                ..Lending::FREE
            });
        };
        if told == Told::Before {
            asleep(shop);
        }
        shop.now.mono = shop.now.mono + EIGHT_HOURS;
        shop.now.wall.0 += super::DAY / 3;
        if told == Told::Afterwards {
            asleep(shop);
        }
        shop.work.slept(Sleep::Awake, shop.now.mono);
        shop.lends(Lending::FREE);
    }

    const EIGHT_HOURS: Duration = Duration::from_secs(8 * 3_600);

    #[derive(Clone, Copy, PartialEq)]
    enum Told {
        Before,
        Afterwards,
    }

    #[test]
    fn the_time_in_which_the_computer_sleeps_is_given_to_nobody() {
        for told in [Told::Before, Told::Afterwards] {
            let (mut shop, link, _) = frugal();
            let build = shop.submit_queued(link, "kitchen", "kitchen");
            shop.pass(300);
            sleeps(&mut shop, told);
            assert!(is_handed_back(&shop, &build));
            let clean = shop.submit_with(link, "c", "bath", |header| {
                header.target = "clean".to_owned();
            });
            shop.prepared(&clean);
            shop.pass(100);
            sleeps(&mut shop, told);
            shop.pass(100);
            shop.succeeds(&clean);
            build_for(&mut shop, link, "attic", 100);
            let late = shop.submit_queued(link, "hall", "hall");
            assert!(is_handed_back(&shop, &late), "all else was");
        }
    }

    #[test]
    fn a_clean_counts_like_a_build_and_is_done_when_the_part_is_used_up() {
        let (mut shop, greedy, _) = frugal();
        let clean = |shop: &mut Shop, seconds| {
            let clean = shop.submit_with(greedy, "c", "kitchen", |header| {
                header.target = "clean".to_owned();
            });
            shop.prepared(&clean);
            shop.pass(seconds);
            shop.succeeds(&clean);
            assert_eq!(shop.status(&clean), JobStatus::Completed);
        };
        clean(&mut shop, 600);
        let late = shop.submit_queued(greedy, "bath", "bath");
        assert!(is_handed_back(&shop, &late));
        clean(&mut shop, 1);
    }

    #[test]
    fn the_time_in_which_a_build_stands_still_is_not_counted() {
        let (mut shop, link, _) = frugal();
        let job = shop.submit_queued(link, "kitchen", "kitchen");
        shop.lends(Lending {
            in_the_way: InTheWay::Still(Reason::UserActive),
            ..Lending::FREE
        });
        shop.pass(590);
        shop.lends(Lending::FREE);
        shop.pass(20);
        shop.succeeds(&job);
        build_for(&mut shop, link, "bath", 1);
    }

    #[test]
    fn without_a_number_there_is_no_end() {
        let (mut shop, link, _) = frugal();
        shop.settings.daily_minutes = 0;
        shop.happens(Event::SettingsChanged(shop.settings.clone()));
        build_for(&mut shop, link, "kitchen", 80_000);
        build_for(&mut shop, link, "bath", 1);
    }
}
