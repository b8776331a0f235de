//! [`Ledger`]: for how long this computer built for each offloader in the last day. A build has the
//! compile lane to itself, so its running time is what it kept others from. It is not processor time:
//! that is told on some systems only, not of programs that ended apart from their parents, and would
//! let a build that waits hold the lane all day.
use std::time::Duration;

use kiln_model::{JobKind, Now, Pin, Timestamp, say};

use super::jobs::{Entry, Step};
use super::machine::Work;
use super::received::declined;

/// How far back it counts, in microseconds.
const DAY: i64 = 24 * 3_600 * 1_000_000;

/// Builds of the last day, in the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct Ledger(Vec<Given>);

/// One build.
#[derive(Debug)]
struct Given {
    pin: Pin,
    ended: Timestamp,
    took: Duration,
}

impl Ledger {
    /// A job is over: notes how long it built for somebody else, if it did. The time in which it had
    /// to stand still was not given.
    pub(super) fn note(&mut self, entry: &Entry) {
        let job = &entry.stored.job;
        let times = job.started_at.zip(job.completed_at);
        let (Some((pin, _)), Some((began, ended)), JobKind::Compile) =
            (entry.sender(), times, job.kind)
        else {
            return;
        };
        let took = Duration::from_micros(ended.0.saturating_sub(began.0).max(0).unsigned_abs());
        let took = took.saturating_sub(entry.stood);
        self.0.retain(|given| is_recent(given.ended, ended));
        self.0.push(Given { pin, ended, took });
    }

    /// Returns for how long builds of this offloader ran.
    fn of(&self, pin: Pin, now: Timestamp) -> Duration {
        let counts = |given: &&Given| given.pin == pin && is_recent(given.ended, now);
        self.0.iter().filter(counts).map(|given| given.took).sum()
    }
}

/// What ended later than now was before the clock was set back; it counts as well.
fn is_recent(ended: Timestamp, now: Timestamp) -> bool {
    now.0.saturating_sub(ended.0) < DAY
}

impl Work {
    /// Hands back what waits for an offloader that had its part of the day.
    pub(super) fn keep_to_budgets(&mut self, now: Now) {
        let minutes = self.settings.daily_minutes;
        if minutes == 0 {
            return;
        }
        let budget = Duration::from_secs(u64::from(minutes) * 60);
        let waits = |e: &Entry| {
            let is_waiting = matches!(e.step, Step::Arrived | Step::Lane);
            let spent = |(pin, _): (Pin, _)| self.ledger.of(pin, now.wall) >= budget;
            is_waiting && e.is(JobKind::Compile) && e.sender().is_some_and(spent)
        };
        for id in self.jobs.ids(waits) {
            let why = say::daily_minutes_used(minutes);
            self.finish(&id, declined(say::declined(why)), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{AvailabilityReason as Reason, FailureReason, JobId, JobStatus, LinkId};

    use super::super::Event;
    use super::super::fixtures::Shop;
    use crate::{InTheWay, Lending};

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
