//! Unpacking: which bundle is next, and what its unpacking comes to.
use std::collections::{BTreeMap, BTreeSet};

use kiln_model::{JobId, JobKind, Now, Pin, say};

use crate::work::Work;
use crate::work::effect::{BuildTree, Effect};
use crate::work::event::StepFailure;
use crate::work::jobs::{Entry, Step};
use crate::work::outcome::Outcome;

impl Work {
    /// Unpacks the next bundle of every offloader, in the order of arrival (peer-link.md §5.8), one ahead
    /// of the lane: unpacked it takes up to two hundred times as much, and its sender chose how much. On
    /// a disk that is short all of them stay packed.
    pub(in crate::work) fn start_unpacking(&mut self) {
        if self.is_unread() || self.is_disk_short() {
            return;
        }
        let mut next: BTreeMap<Pin, JobId> = BTreeMap::new();
        let mut ahead: BTreeSet<Pin> = BTreeSet::new();
        for (id, entry) in self.jobs.active() {
            let Some((pin, _)) = entry.sender() else {
                continue;
            };
            // One that waits until its last result is fetched lets others pass.
            let passes = || {
                self.transfers
                    .is_serving(pin, &entry.stored.job.configuration)
            };
            match entry.step {
                Step::Arrived => {
                    next.entry(pin).or_insert_with(|| id.clone());
                }
                Step::Unpacking => {
                    ahead.insert(pin);
                }
                Step::Lane if !passes() => {
                    ahead.insert(pin);
                }
                _ => {}
            }
        }
        next.retain(|pin, _| !ahead.contains(pin));
        for (pin, id) in next {
            let Some(entry) = self.jobs.get(&id) else {
                continue;
            };
            let name = &entry.stored.job.configuration;
            // Names that differ in their ending, or on some systems in capitals, share a folder.
            let folder = |e: &Entry| Some(e.configuration()?.stem().to_lowercase());
            let is_in_tree = |e: &Entry| {
                let shares = folder(e) == folder(entry);
                let waits = matches!(e.step, Step::Lane) && e.stored.job.configuration != *name;
                e.sender().is_some_and(|s| s.0 == pin)
                    && (e.step.holds_lane() && (shares || e.is(JobKind::ResetBuildEnv))
                        || waits && shares)
            };
            let is_in_use = self.jobs.active().any(|(_, e)| is_in_tree(e));
            if is_in_use || self.house.is_clearing(pin) {
                continue;
            }
            let facts = entry.configuration().zip(entry.stored.bundle.clone());
            let wire = entry.sender().map(|(_, wire)| wire.clone());
            let Some(((configuration, bundle), wire)) = facts.zip(wire) else {
                continue;
            };
            if let Some(entry) = self.jobs.get_mut(&id) {
                entry.step = Step::Unpacking;
            }
            self.explain(&id, say::being_unpacked());
            self.push(Effect::Prepare {
                job: id,
                pin,
                wire,
                configuration,
                bundle,
            });
        }
    }

    pub(in crate::work) fn prepared(
        &mut self,
        id: &JobId,
        result: Result<BuildTree, StepFailure>,
        now: Now,
    ) {
        let entry = self.jobs.get_mut(id);
        let Some(entry) = entry.filter(|e| matches!(e.step, Step::Unpacking)) else {
            return;
        };
        match result {
            Ok(_) if entry.stored.cancel_requested => {
                self.finish(id, Outcome::failed(say::extract_failed()), now);
            }
            Ok(_) => {
                entry.step = Step::Lane;
                entry.stored.job.reason = say::waits_for_lane();
                // The bundle stays until the job is over: it is on the disk for certain, and what was
                // unpacked of it is not.
                let sender = entry.sender().map(|(pin, wire)| (pin, wire.clone()));
                self.announce(id);
                if let Some((pin, wire)) = sender {
                    self.push(Effect::SubmissionSettled(pin, wire));
                }
            }
            Err(StepFailure::Provision(why)) => {
                self.finish(id, Outcome::declined(say::declined(why)), now);
            }
            Err(StepFailure::Failed(detail)) => {
                self.note(id, format!("the bundle cannot be unpacked: {detail}"));
                self.finish(id, Outcome::failed(say::extract_failed()), now);
            }
            Err(StepFailure::Cancelled | StepFailure::LinkLost) => {
                self.finish(id, Outcome::failed(say::extract_failed()), now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::JobStatus;

    use super::super::tests::frames;
    use super::*;
    use crate::work::Event;
    use crate::work::fixtures::{Shop, step_failed};
    use crate::{Lending, Stance};

    // Covers: M60, R-33, R-40
    #[test]
    fn a_bundle_that_cannot_be_unpacked_fails_once_with_the_agreed_text() {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit(link, "a", "kitchen");
        shop.lines();
        let broken = || Err(step_failed("not a gzip file"));
        shop.happens(Event::Prepared(job.clone(), broken()));
        shop.happens(Event::Prepared(job.clone(), broken()));
        assert_eq!(
            shop.acts(),
            [
                "link-2 a failed receiver could not process the bundle: extract_failed",
                "settled 2 a"
            ]
        );
        assert!(
            shop.notes
                .iter()
                .any(|(_, n)| n.contains("not a gzip file"))
        );
    }

    // Covers: R-36
    #[test]
    fn bundles_of_one_offloader_are_unpacked_in_order_and_offloaders_beside_each_other() {
        let mut shop = Shop::open();
        let [two, three] = [shop.offloader(2), shop.offloader(3)];
        shop.lines();
        let first = shop.submit(two, "a", "kitchen");
        shop.submit(two, "b", "bath");
        shop.submit(three, "c", "kitchen");
        let unpack = |shop: &mut Shop| shop.lines_of("unpack");
        assert_eq!(unpack(&mut shop), ["unpack j1 of 2", "unpack j3 of 3"]);
        shop.happens(Event::Prepared(first, Err(step_failed("x"))));
        assert_eq!(unpack(&mut shop), ["unpack j2 of 2"]);
    }

    #[test]
    fn of_each_sender_one_bundle_is_unpacked_ahead_of_the_lane() {
        let mut shop = Shop::open();
        let [two, three] = [shop.offloader(2), shop.offloader(3)];
        let runs = shop.submit_queued(two, "a", "kitchen");
        shop.lines();
        let next = shop.submit(two, "b", "bath");
        shop.submit(two, "c", "attic");
        let of_another = shop.submit(three, "d", "kitchen");
        let unpack = |shop: &mut Shop| shop.lines_of("unpack");
        assert_eq!(unpack(&mut shop), ["unpack j2 of 2", "unpack j4 of 3"]);
        shop.prepared(&next);
        shop.prepared(&of_another);
        assert_eq!(unpack(&mut shop), [""; 0], "one is ahead");
        shop.succeeds(&runs);
        assert_eq!(unpack(&mut shop), [""; 0], "the lane is the other's turn");
        shop.succeeds(&of_another);
        assert_eq!(unpack(&mut shop), ["unpack j3 of 2"]);
    }

    #[test]
    fn on_a_disk_that_is_short_a_bundle_stays_packed_until_there_is_room() {
        let (mut shop, link) = Shop::with_offloader();
        shop.has_free(2_047);
        let job = shop.submit(link, "a", "kitchen");
        assert_eq!(shop.lines_of("unpack"), [""; 0]);
        assert_eq!(shop.status(&job), JobStatus::Queued);
        shop.has_free(2_048);
        assert_eq!(shop.lines_of("unpack"), ["unpack j1 of 2"]);
        assert_eq!(shop.job(&job).reason, say::being_unpacked());
    }

    #[test]
    fn until_it_is_known_how_much_room_there_is_a_bundle_stays_packed() {
        let brief = Lending {
            stance: Stance::Brief,
            ..Lending::FREE
        };
        let ends: [fn(&mut Shop); 2] = [
            |shop| shop.has_free(100_000),
            |shop| shop.lends(Lending::FREE),
        ];
        for known in ends {
            let (mut shop, link) = Shop::with_offloader();
            shop.lends(brief);
            shop.submit(link, "a", "kitchen");
            assert_eq!(shop.lines_of("unpack"), [""; 0]);
            known(&mut shop);
            assert_eq!(shop.lines_of("unpack"), ["unpack j1 of 2"]);
        }
    }

    #[test]
    fn a_bundle_that_cannot_be_unpacked_is_refused_or_handed_back_by_whose_fault_it_is() {
        let (mut shop, link) = Shop::with_offloader();
        for (name, fault, said) in [
            (
                "a",
                StepFailure::Provision("the disk is full".into()),
                "link-2 a failed [provision] this receiver does not build it: the disk is full",
            ),
            (
                "b",
                step_failed("it has no manifest"),
                "link-2 b failed receiver could not process the bundle: extract_failed",
            ),
        ] {
            let job = shop.submit(link, name, name);
            shop.lines();
            shop.happens(Event::Prepared(job, Err(fault)));
            assert_eq!(frames(&mut shop), [said]);
        }
    }

    #[test]
    fn configurations_that_share_a_folder_are_not_unpacked_over_each_other() {
        let (mut shop, link) = Shop::with_offloader();
        let running = shop.submit_queued(link, "r", "bath");
        let first = shop.submit_queued(link, "a", "kitchen");
        shop.lines();
        let second = shop.submit(link, "b", "Kitchen");
        assert!(shop.lines_of("unpack").is_empty());
        shop.succeeds(&running);
        shop.succeeds(&first);
        assert_eq!(shop.status(&first), JobStatus::Completed);
        assert_eq!(shop.lines_of("unpack").len(), 1);
        assert_eq!(shop.status(&second), JobStatus::Queued);
    }
}
