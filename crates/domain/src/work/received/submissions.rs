//! Submissions: bundles that arrived complete, and what becomes of them at once.
use kiln_model::{
    BlobId, Bootloader, ConfigurationName, JobId, JobKind, LinkId, MAX_BUNDLE, Message, Now, Pin,
    SubmitHeader, SubmitRefusal, Target, WireJobId, say,
};

use crate::work::effect::Effect;
use crate::work::jobs::{Entry, Step, new_job};
use crate::work::outcome::Outcome;
use crate::work::{Stage, Work};

/// Builds of one offloader that may wait or run here. A reference peer has one here at a time.
const MAX_BUILDS_PER_OFFLOADER: usize = 16;
/// The same for everything: a reference peer sends a clean for each device that is cleaned, and one that
/// is handed back shows as failed.
const MAX_JOBS_PER_OFFLOADER: usize = 128;
/// The same for their bundles, in bytes: these stay on the disk until the jobs are over.
const MAX_BUNDLES_PER_OFFLOADER: u64 = 2 * MAX_BUNDLE;

impl Work {
    /// A bundle is complete: it is made a job, kept, and acknowledged, in this order.
    pub(in crate::work) fn submission_arrived(
        &mut self,
        link: LinkId,
        sender: Pin,
        header: SubmitHeader,
        configuration: &ConfigurationName,
        bundle: BlobId,
        now: Now,
    ) {
        self.transfers.dropped(link, &header.job_id);
        let job_id = header.job_id.clone();
        let known = self.sender_on(link);
        let (Some((pin, origin)), true) = (known, self.stage == Stage::Serving) else {
            self.push(Effect::DropBlob(bundle));
            return self.push(Effect::SubmissionSettled(sender, header.job_id));
        };
        let kind = match Target::from_word(&header.target) {
            Some(Target::Compile) => JobKind::Compile,
            Some(Target::Clean) => JobKind::Clean,
            None => {
                self.push(Effect::DropBlob(bundle));
                let verdict = Err(Some(SubmitRefusal::InvalidHeader));
                self.send(link, Message::SubmitJobAck { job_id, verdict });
                return self.push(Effect::SubmissionSettled(pin, header.job_id));
            }
        };
        let id = self.new_id();
        let name = display_name(&header, configuration);
        let bytes = u64::try_from(header.total_bundle_bytes).unwrap_or_default();
        let mut stored = new_job(id.clone(), kind, configuration.as_str(), name, now.wall);
        stored.job.origin = origin(job_id.clone());
        stored.job.target_version = header.target_esphome_version;
        stored.job.bootloader = if header.skip_bootloader {
            Bootloader::Skip
        } else {
            Bootloader::Include
        };
        stored.job.reason = say::being_unpacked();
        stored.bundle = Some(bundle);
        stored.bundle_bytes = bytes;
        let all = self.active_of(pin).count();
        let builds = self
            .active_of(pin)
            .filter(|e| e.is(JobKind::Compile))
            .count();
        let held: u64 = self.active_of(pin).map(|e| e.stored.bundle_bytes).sum();
        let is_build = kind == JobKind::Compile;
        let is_full = all >= MAX_JOBS_PER_OFFLOADER
            || is_build && builds >= MAX_BUILDS_PER_OFFLOADER
            || held.saturating_add(bytes) > MAX_BUNDLES_PER_OFFLOADER;
        self.jobs.insert(Entry::new(stored, Step::Arrived));
        self.save(&id);
        let verdict = Ok(());
        let wire = job_id.clone();
        self.send(link, Message::SubmitJobAck { job_id, verdict });
        self.push(Effect::SubmissionSettled(pin, wire));
        self.changed(&id);
        if is_full {
            let why = say::receiver_full(all);
            return self.finish(&id, Outcome::declined(why), now);
        }
        if is_build && !self.settings.receiver {
            return self.finish(&id, Outcome::declined(say::receiver_takes_nothing()), now);
        }
        self.supersede_received(&id, now);
    }

    /// What its sender builds elsewhere is not built here as well. It has been told the outcome.
    pub(in crate::work) fn submission_not_kept(
        &mut self,
        link: LinkId,
        wire: &WireJobId,
        now: Now,
    ) {
        let Some(pin) = self.links.get(link).map(|session| session.pin) else {
            return;
        };
        let Some(id) = self.jobs.received(pin, wire).map(|(id, _)| id.clone()) else {
            return;
        };
        self.mute(&id);
        self.cancel(&id, say::job_not_kept(), now);
    }

    fn active_of(&self, pin: Pin) -> impl Iterator<Item = &Entry> {
        let active = self.jobs.active().map(|(_, e)| e);
        active.filter(move |e| e.sender().is_some_and(|s| s.0 == pin))
    }

    /// A newer submission for a configuration replaces the active ones of the same offloader. Its
    /// bundle is unpacked when they are gone, because that wipes the tree they build in. What an
    /// older job comes to is not told under a wire id that means the newer one (builds.md §4.6,
    /// trap 1).
    fn supersede_received(&mut self, newer: &JobId, now: Now) {
        let Some(entry) = self.jobs.get(newer) else {
            return;
        };
        let Some((pin, wire)) = entry.sender().map(|(pin, wire)| (pin, wire.clone())) else {
            return;
        };
        let configuration = entry.stored.job.configuration.clone();
        for id in self.jobs.ids(|e| e.sender().is_some_and(|s| s.0 == pin)) {
            let Some(older) = self.jobs.get(&id).filter(|_| id != *newer) else {
                continue;
            };
            if older.sender() == Some((pin, &wire)) {
                self.mute(&id);
            }
            let same = |e: &Entry| e.stored.job.configuration == configuration;
            if self.jobs.get(&id).is_some_and(same) {
                self.cancel(&id, say::replaced(), now);
            }
        }
    }
}

fn display_name<'a>(header: &'a SubmitHeader, configuration: &'a ConfigurationName) -> &'a str {
    let names = [&header.device_friendly_name, &header.device_name];
    let named = names.into_iter().find(|n| !n.is_empty());
    named.map_or(configuration.stem(), String::as_str)
}

#[cfg(test)]
mod tests {
    use kiln_model::{FailureReason, JobStatus};

    use super::super::tests::frames;
    use super::*;
    use crate::work::fixtures::{Shop, failed, header, pin, wire};
    use crate::work::{BuildTree, Event, ProcessOutcome};

    // Covers: M59, R-32, R-37
    #[test]
    fn a_submission_is_kept_then_acknowledged_then_unpacked_queued_and_built() {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit(link, "a", "kitchen");
        assert_eq!(
            shop.acts(),
            ["link-2 ack a", "settled 2 a", "unpack j1 of 2"]
        );
        shop.prepared(&job);
        assert_eq!(
            shop.acts(),
            [
                "link-2 a queued",
                "settled 2 a",
                "link-2 a running",
                "build j1 compile 2 kitchen.yaml with 2026.10.0"
            ]
        );
        // Until then a crash of the machine can lose what was unpacked.
        assert!(shop.store.last().unwrap().bundle.is_some());
        shop.succeeds(&job);
        assert_eq!(shop.acts(), ["link-2 a completed"]);
        assert!(shop.store.last().unwrap().bundle.is_none());
    }

    #[test]
    fn nothing_is_acknowledged_before_it_is_kept() {
        let (mut shop, link) = Shop::with_offloader();
        let mut work = Work::new(3);
        std::mem::swap(&mut work, &mut shop.work);
        let header = SubmitHeader {
            device_name: String::new(),
            skip_bootloader: true,
            ..header("a", "kitchen")
        };
        let event = Event::SubmissionArrived {
            link,
            pin: pin(2),
            header: Box::new(header),
            configuration: "kitchen.yaml".parse().unwrap(),
            bundle: BlobId::new("bundle", 1),
            verified: kiln_model::witness::DigestVerified::assertion(),
        };
        work.handle(event, shop.now);
        let first = work.poll_effect();
        let Some(crate::Effect::Work(Effect::SaveJob(stored))) = first else {
            panic!("{first:?}");
        };
        assert_eq!(stored.job.bootloader, Bootloader::Skip);
        assert_eq!(
            stored.job.device_name, "kitchen",
            "the stem, for want of a name"
        );
        let second = work.poll_effect();
        let ack = matches!(
            second,
            Some(crate::Effect::Work(Effect::Send(
                _,
                Message::SubmitJobAck { .. }
            )))
        );
        assert!(ack, "{second:?}");
    }

    // Covers: M62
    #[test]
    fn a_newer_submission_for_a_device_replaces_the_older_and_is_unpacked_when_that_is_gone() {
        let (mut shop, link) = Shop::with_offloader();
        let old = shop.submit_queued(link, "a", "kitchen");
        shop.lines();
        shop.submit(link, "b", "kitchen");
        assert_eq!(shop.acts(), ["link-2 ack b", "settled 2 b", "stop j1"]);
        shop.ends(&old, ProcessOutcome::Killed);
        assert_eq!(
            shop.acts(),
            [
                "link-2 a cancelled replaced by a newer job for this device",
                "unpack j2 of 2"
            ]
        );
    }

    // Covers: M62
    #[test]
    fn the_id_of_a_bundle_that_waits_packed_is_free_until_it_is_unpacked() {
        let (mut shop, link) = Shop::with_offloader();
        shop.submit_queued(link, "a", "kitchen");
        shop.submit_queued(link, "b", "bath");
        shop.lines();
        let packed = shop.submit(link, "c", "attic");
        assert_eq!(shop.acts(), ["link-2 ack c", "settled 2 c"]);
        shop.hang_up(2, link);
        let back = shop.offloader_on(2, 9);
        shop.submit(back, "c", "attic");
        assert_eq!(shop.acts(), ["link-9 ack c", "settled 2 c"]);
        assert_eq!(shop.status(&packed), JobStatus::Cancelled);
    }

    // Covers: M62
    #[test]
    fn the_end_of_a_replaced_job_is_not_told_under_the_id_of_the_new_one() {
        let (mut shop, link) = Shop::with_offloader();
        let old = shop.submit_queued(link, "a", "kitchen");
        shop.lines();
        let new = shop.submit(link, "a", "kitchen");
        shop.ends(&old, ProcessOutcome::Succeeded);
        shop.prepared(&new);
        assert_eq!(
            frames(&mut shop),
            ["link-2 ack a", "link-2 a queued", "link-2 a running"]
        );
        assert_eq!(shop.work.output_route(&old), None);
        assert!(shop.work.output_route(&new).is_some());
        shop.hang_up(2, link);
        shop.offloader_on(2, 9);
        assert!(frames(&mut shop).is_empty(), "nor later");
    }

    // Covers: M63, R-48
    #[test]
    fn the_same_device_of_two_offloaders_is_two_trees_and_two_stories() {
        let mut shop = Shop::open();
        let [two, three] = [shop.offloader(2), shop.offloader(3)];
        let a = shop.submit_queued(two, "x", "kitchen");
        let b = shop.submit_queued(three, "x", "kitchen");
        shop.succeeds(&a);
        let builds = shop.lines();
        let builds: Vec<_> = builds.iter().filter(|l| l.starts_with("build")).collect();
        assert_eq!(
            builds,
            [
                "build j1 compile 2 kitchen.yaml with 2026.10.0",
                "build j2 compile 3 kitchen.yaml with 2026.10.0"
            ]
        );
        shop.ends(&b, failed("syntax error"));
        assert_eq!(frames(&mut shop), ["link-3 x failed syntax error"]);
    }

    #[test]
    fn what_is_too_much_is_accepted_and_handed_back() {
        let (mut shop, link) = Shop::with_offloader();
        for n in 0..MAX_BUILDS_PER_OFFLOADER {
            shop.submit(link, &format!("a{n}"), &format!("lamp{n}"));
        }
        shop.lines();
        let clean = shop.submit_with(link, "clean", "hall", |h| h.target = "clean".to_owned());
        assert_eq!(shop.acts(), ["link-2 ack clean", "settled 2 clean"]);
        shop.cancel(&clean);
        shop.lines();
        shop.submit(link, "more", "kitchen");
        assert_eq!(
            shop.acts(),
            [
                "link-2 ack more",
                "settled 2 more",
                "link-2 more failed [provision] this receiver has 16 jobs of yours already"
            ]
        );
        let other = shop.offloader(3);
        shop.submit(other, "b", "kitchen");
        assert_eq!(shop.lines_of("unpack").len(), 1, "others are not affected");
    }

    #[test]
    fn bundles_that_together_are_too_large_are_handed_back() {
        let (mut shop, link) = Shop::with_offloader();
        let half = i64::try_from(MAX_BUNDLES_PER_OFFLOADER / 2).unwrap();
        let mut submit = |name: &str, bytes| {
            let job = shop.submit_with(link, name, name, |h| h.total_bundle_bytes = bytes);
            shop.job(&job).failure_reason
        };
        let ends = [submit("a", half), submit("b", half), submit("c", 1)];
        assert_eq!(ends, [None, None, Some(FailureReason::Provision)]);
    }

    #[test]
    fn a_receiver_that_is_switched_off_hands_back_what_waits_and_finishes_what_runs() {
        let (mut shop, link) = Shop::with_offloader();
        let running = shop.submit_queued(link, "a", "kitchen");
        let waiting = shop.submit_queued(link, "b", "bath");
        let unpacking = shop.submit(link, "u", "hall");
        shop.lines();
        shop.change(|s| s.receiver = false);
        let back = "failed [provision] this receiver was switched off before the build began";
        assert_eq!(
            frames(&mut shop),
            [format!("link-2 b {back}"), format!("link-2 u {back}")]
        );
        assert_eq!(shop.status(&waiting), JobStatus::Failed);
        shop.prepared(&unpacking);
        assert_eq!(frames(&mut shop), [""; 0]);
        shop.succeeds(&running);
        assert_eq!(frames(&mut shop), ["link-2 a completed"]);
        shop.submit(link, "c", "bath");
        assert_eq!(
            frames(&mut shop),
            [
                "link-2 ack c",
                "link-2 c failed [provision] this receiver does not take builds now"
            ]
        );
    }

    #[test]
    fn a_receiver_that_is_switched_off_does_the_cleans_that_wait_or_arrive() {
        let (mut shop, link) = Shop::with_offloader();
        let running = shop.submit_queued(link, "a", "kitchen");
        let clean = |h: &mut SubmitHeader| h.target = "clean".to_owned();
        let waiting = shop.submit_with(link, "b", "bath", clean);
        shop.prepared(&waiting);
        shop.change(|s| s.receiver = false);
        let late = shop.submit_with(link, "c", "hall", clean);
        shop.prepared(&late);
        for job in [&running, &waiting, &late] {
            shop.prepared(job);
            shop.succeeds(job);
            assert_eq!(shop.status(job), JobStatus::Completed);
        }
    }

    #[test]
    fn a_bundle_without_its_session_is_dropped_and_its_id_is_free_again() {
        let (mut shop, link) = Shop::with_offloader();
        shop.hang_up(2, link);
        shop.lines();
        let bundle = shop.blob();
        shop.happens(Event::SubmissionArrived {
            link,
            pin: pin(2),
            header: Box::new(header("a", "kitchen")),
            configuration: "kitchen.yaml".parse().unwrap(),
            bundle,
            verified: kiln_model::witness::DigestVerified::assertion(),
        });
        assert!(shop.work.jobs().is_empty());
        assert_eq!(shop.acts(), ["settled 2 a"]);
    }

    #[test]
    fn what_could_not_be_kept_is_not_built_and_its_sender_hears_no_more_of_it() {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit(link, "a", "kitchen");
        frames(&mut shop);
        shop.happens(Event::SubmissionNotKept(link, wire("a")));
        assert_eq!(shop.lines_of("stop"), ["stop j1"], "it was being unpacked");
        shop.happens(Event::Prepared(job.clone(), Ok(BuildTree::OwnAll)));
        assert_eq!(shop.status(&job), JobStatus::Cancelled);
        assert_eq!(shop.lines_of("build"), [""; 0]);
        assert_eq!(frames(&mut shop), [""; 0]);
    }
}
