//! Takes over the jobs of the last run (builds.md §2.12): nothing that was promised is lost, nothing
//! is done twice that must not be.
use kiln_model::{JobId, JobKind, JobStatus, Now, Placement, say};

use super::dispatch::STARTUP_GRACE;
use super::effect::StoredJob;
use super::install::first_step;
use super::jobs::{Entry, Step};
use super::outcome::Outcome;
use super::{Stage, Work};
use crate::storage::Extent;

impl Work {
    /// Takes over the jobs of the last run: all are known before the first is placed.
    pub(super) fn load(&mut self, stored: Vec<StoredJob>, now: Now) {
        self.stage = Stage::Serving;
        self.grace = Some(now.mono + STARTUP_GRACE);
        for stored in stored {
            self.jobs.insert(Entry::new(stored, Step::Held));
        }
        let all: Vec<JobId> = self.jobs.iter().map(|(id, _)| id.clone()).collect();
        for id in &all {
            let Some(entry) = self.jobs.get_mut(id) else {
                continue;
            };
            if entry.stored.job.status.is_final() {
                entry.step = Step::Over;
            }
        }
        for id in &all {
            self.place_loaded(id, now);
        }
        self.look(Extent::All);
    }

    fn place_loaded(&mut self, id: &JobId, now: Now) {
        let Some(entry) = self.jobs.get_mut(id).filter(|e| !e.is_over()) else {
            return;
        };
        if entry.stored.cancel_requested {
            return self.finish(id, Outcome::Cancelled(say::cancelled()), now);
        }
        let interrupted = entry.stored.job.status == JobStatus::Running;
        if interrupted && entry.is(JobKind::Upload) {
            // Whether the device took the firmware is unknown, and no job flashes twice.
            return self.finish(id, Outcome::failed(say::stopped_while_flashing()), now);
        }
        if interrupted {
            entry.clear_run_state();
        }
        if entry.is_owners() {
            self.place_own(id, now);
        } else if let Some(entry) = self.jobs.get_mut(id) {
            entry.step = match entry.stored.bundle {
                Some(_) => {
                    entry.stored.job.reason = say::being_unpacked();
                    Step::Arrived
                }
                None => Step::Lane,
            };
        }
        if interrupted {
            self.note(id, "Kiln was restarted meanwhile; this starts again");
            self.save(id);
        }
    }

    /// Places one of the owner's jobs after a restart (builds.md §2.12).
    fn place_own(&mut self, id: &JobId, now: Now) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        match entry.stored.job.kind {
            JobKind::Compile => {
                if let Placement::Remote { .. } = entry.stored.job.placement {
                    entry.revert_to_pending_remote();
                }
                entry.step = first_step(&entry.stored);
            }
            JobKind::Clean | JobKind::ResetBuildEnv => match entry.stored.job.placement {
                Placement::Remote { pin, .. } => {
                    self.start_run(id, pin, say::continues_after_restart(), now);
                }
                Placement::Local | Placement::RemotePending => entry.step = Step::Lane,
            },
            JobKind::Upload if entry.stored.job.deferred => entry.step = Step::Away,
            JobKind::Upload => self.place_flash(id, now),
        }
    }

    fn place_flash(&mut self, id: &JobId, now: Now) {
        let Some(entry) = self.jobs.get(id) else {
            return;
        };
        let before = entry.stored.job.depends_on.as_ref();
        let before = before.and_then(|first| self.jobs.get(first));
        let completed = |e: &Entry| e.stored.job.status == JobStatus::Completed;
        match before {
            _ if entry.stored.released => self.release(id),
            Some(first) if completed(first) => self.release(id),
            Some(first) if !first.stored.job.status.is_final() => {}
            Some(_) | None => {
                self.finish(id, Outcome::Cancelled(say::build_is_gone()), now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{BuildChoice, Port, Reply};

    use super::super::Event;
    use super::super::ProcessOutcome;
    use super::super::fixtures::{Shop, failed, pin};
    use super::*;

    fn markers(shop: &Shop, id: &JobId) -> usize {
        let notes = shop.notes.iter();
        notes
            .filter(|(job, text)| job == id && text.contains("restarted"))
            .count()
    }

    // Covers: M31
    #[test]
    fn a_remote_build_waits_for_a_receiver_again_after_a_crash() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.building_on(&job, link);
        shop.lines();
        shop.crash();
        let restored = shop.job(&job);
        assert_eq!(restored.status, JobStatus::Queued);
        assert_eq!(restored.placement, Placement::RemotePending);
        assert_eq!(restored.started_at, None);
        assert_eq!(markers(&shop, &job), 1);
        shop.connect(1, 9);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
    }

    #[test]
    fn a_local_build_starts_again_after_a_crash_in_its_old_order() {
        let mut shop = Shop::open();
        let first = shop.compile("kitchen", BuildChoice::Auto);
        let second = shop.compile("bath", BuildChoice::Auto);
        shop.lines();
        shop.crash();
        assert_eq!(shop.acts(), ["build j1 compile own kitchen.yaml"]);
        assert_eq!((markers(&shop, &first), markers(&shop, &second)), (1, 0));
    }

    // Covers: M32
    #[test]
    fn a_restored_flash_runs_waits_or_ends_by_what_became_of_its_build() {
        let mut shop = Shop::open();
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        let rows = |shop: &Shop, status, released| {
            let latest = |id: &JobId| {
                let found = shop.store.iter().rev().find(|s| s.job.id == *id);
                found.unwrap().clone()
            };
            let (mut first, mut second) = (latest(&compile), latest(&flash));
            first.job.status = status;
            second.released = released;
            (first, second)
        };
        for (status, released, gone, expected) in [
            (JobStatus::Completed, false, false, JobStatus::Running),
            (JobStatus::Completed, true, true, JobStatus::Running),
            (JobStatus::Queued, false, false, JobStatus::Queued),
            (JobStatus::Failed, false, false, JobStatus::Cancelled),
            (JobStatus::Completed, false, true, JobStatus::Cancelled),
        ] {
            let (first, second) = rows(&shop, status, released);
            let mut restored = Shop::open();
            restored.store = if gone {
                vec![second]
            } else {
                vec![first, second]
            };
            restored.crash();
            assert_eq!(restored.status(&flash), expected, "{status:?} {released}");
        }
    }

    #[test]
    fn an_interrupted_flash_is_not_repeated_by_itself() {
        let mut shop = Shop::open();
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        shop.succeeds(&compile);
        shop.lines();
        shop.crash();
        assert_eq!(shop.status(&flash), JobStatus::Failed);
        assert!(shop.error(&flash).contains("install again"));
        assert!(shop.lines_of("flash").is_empty());
    }

    #[test]
    fn received_jobs_resume_and_their_sender_hears_the_end_if_it_is_back_by_then() {
        let (mut shop, link) = Shop::with_offloader();
        let running = shop.submit_queued(link, "a", "kitchen");
        let unpacking = shop.submit(link, "b", "bath");
        shop.lines();
        shop.crash();
        // What was unpacked before may have been lost with the machine's memory.
        assert_eq!(shop.acts(), ["unpack j1 of 2"]);
        shop.prepared(&running);
        assert_eq!(
            shop.acts(),
            [
                "settled 2 a",
                "build j1 compile 2 kitchen.yaml with 2026.10.0",
                "unpack j2 of 2"
            ]
        );
        shop.prepared(&unpacking);
        shop.succeeds(&running);
        shop.offloader_on(2, 9);
        assert!(shop.lines_of("link-9 a").is_empty(), "that is over");
        shop.ends(&unpacking, failed("boom"));
        assert_eq!(shop.acts(), ["link-9 b failed boom"]);
    }

    #[test]
    fn a_cancel_that_was_asked_for_survives_a_crash() {
        let (mut shop, link) = Shop::with_offloader();
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        shop.cancel(&compile);
        let received = shop.submit(link, "a", "bath");
        shop.says(
            link,
            kiln_model::Message::CancelJob {
                job_id: super::super::fixtures::wire("a"),
            },
        );
        shop.lines();
        shop.crash();
        let statuses = [&compile, &flash, &received].map(|id| shop.status(id));
        assert_eq!(statuses, [JobStatus::Cancelled; 3]);
        assert!(shop.lines_of("build").is_empty());
    }

    #[test]
    fn a_graceful_stop_ends_no_job_and_the_next_start_goes_on() {
        let mut shop = Shop::open();
        let receiver = shop.receiver(1);
        let remote = shop.compile("kitchen", BuildChoice::Auto);
        shop.building_on(&remote, receiver);
        let local = shop.compile("bath", BuildChoice::Local);
        let link = shop.offloader(2);
        let received = shop.submit_queued(link, "a", "attic");
        shop.lines();
        shop.happens(Event::ShuttingDown);
        shop.ends(&local, ProcessOutcome::Killed);
        shop.hang_up(1, receiver);
        shop.hang_up(2, link);
        assert!(shop.acts().is_empty(), "nobody is told of a cancel");
        shop.crash();
        for id in [&remote, &local, &received] {
            assert!(!shop.status(id).is_final());
        }
        let losses = shop.store.iter().filter(|s| s.job.id == remote);
        assert_eq!(losses.map(|s| s.losses).max(), Some(0), "that was no loss");
    }

    #[test]
    fn what_succeeds_during_a_graceful_stop_has_succeeded() {
        let mut shop = Shop::open();
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        shop.lines();
        shop.happens(Event::ShuttingDown);
        shop.succeeds(&compile);
        assert_eq!(shop.status(&compile), JobStatus::Completed);
        assert!(shop.lines_of("flash").is_empty());
        shop.crash();
        assert_eq!(shop.lines_of("flash").len(), 1);
        assert_eq!(shop.status(&flash), JobStatus::Running);
    }

    #[test]
    fn a_remote_clean_keeps_its_receiver_over_a_crash() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let clean = shop.clean("kitchen").remove(1);
        shop.building_on(&clean, link);
        shop.lines();
        shop.crash();
        shop.bundled(&clean);
        shop.connect(1, 9);
        assert_eq!(
            shop.lines_of("upload"),
            ["upload link-9 w2 clean kitchen.yaml"]
        );
    }

    #[test]
    fn a_chosen_receiver_is_still_the_chosen_one_after_a_crash() {
        let mut shop = Shop::open();
        shop.receiver(1);
        shop.receiver(2);
        let job = shop.compile("kitchen", BuildChoice::On(pin(2)));
        shop.lines();
        shop.crash();
        shop.connect(1, 11);
        shop.pass(10);
        assert!(shop.acts().is_empty());
        shop.connect(2, 12);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
        assert!(shop.job(&job).reason.contains("R2"));
    }

    // Covers: M33
    #[test]
    fn history_keeps_the_newest_compile_and_flash_of_each_device() {
        let mut shop = Shop::open();
        let mut last = Vec::new();
        for device in ["kitchen", "bath", "kitchen", "kitchen"] {
            let (compile, flash) = shop.install(device, BuildChoice::Auto);
            shop.succeeds(&compile);
            shop.succeeds(&flash);
            last.push((compile, flash));
        }
        assert_eq!(shop.work.jobs().len(), 4);
        for at in [1, 3] {
            assert!(shop.exists(&last[at].0) && shop.exists(&last[at].1));
        }
        shop.crash();
        assert_eq!(shop.work.jobs().len(), 4);
    }

    // Covers: M33
    #[test]
    fn what_fails_leaves_the_last_that_went_well_in_history() {
        let mut shop = Shop::open();
        let (well, flashed) = shop.install("kitchen", BuildChoice::Auto);
        shop.succeeds(&well);
        shop.succeeds(&flashed);
        let mut failures = Vec::new();
        for _ in 0..3 {
            let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
            shop.ends(&compile, failed("syntax"));
            failures.push((compile, flash));
        }
        let kept: Vec<_> = shop.work.jobs().into_iter().map(|job| job.id).collect();
        let (failed, cancelled) = failures[2].clone();
        assert_eq!(kept, [cancelled, failed, flashed, well]);
        let again = shop.compile("kitchen", BuildChoice::Auto);
        shop.succeeds(&again);
        let compiles = shop.work.jobs().into_iter();
        let compiles = compiles.filter(|job| job.kind == JobKind::Compile);
        assert_eq!(compiles.map(|job| job.id).collect::<Vec<_>>(), [again]);
    }

    // Covers: M33
    #[test]
    fn history_is_bounded() {
        let mut shop = Shop::open();
        for n in 0..7 {
            for id in shop.clean(["kitchen", "bath"][n % 2]) {
                shop.succeeds(&id);
            }
        }
        assert_eq!(shop.work.jobs().len(), 5);
        let devices = (0..300).map(|n| super::super::fixtures::device(&format!("d{n}")));
        shop.happens(Event::DevicesScanned(devices.collect()));
        for n in 0..300 {
            let port = Port::Address("10.0.0.1".to_owned());
            let (compile, flash) = shop.install_to(&format!("d{n}"), BuildChoice::Auto, port);
            shop.succeeds(&compile);
            shop.succeeds(&flash);
        }
        assert_eq!(shop.work.jobs().len(), 505);
    }

    #[test]
    fn who_sends_most_pushes_out_only_what_it_sent() {
        let mut shop = Shop::open();
        let (greedy, modest) = (shop.offloader(2), shop.offloader(3));
        let (own, _) = shop.install("kitchen", BuildChoice::Local);
        shop.succeeds(&own);
        let built = |shop: &mut Shop, link, name: String| {
            let job = shop.submit_queued(link, &name, &name);
            shop.succeeds(&job);
            job
        };
        let small = built(&mut shop, modest, "hall".to_owned());
        shop.settings.daily_minutes = 0;
        shop.happens(Event::SettingsChanged(shop.settings.clone()));
        let many: Vec<_> = (0..510)
            .map(|n| built(&mut shop, greedy, format!("d{n}")))
            .collect();
        assert!(shop.exists(&own), "the owner's");
        assert!(shop.exists(&small), "another sender's");
        let kept = many.iter().filter(|job| shop.exists(job)).count();
        assert_eq!(kept, 498);
        assert!(shop.exists(&many[509]) && !shop.exists(&many[11]));
    }

    #[test]
    fn an_ended_job_is_not_touched_by_a_restart() {
        let mut shop = Shop::open();
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.ends(&job, failed("boom"));
        let before = shop.job(&job);
        let saved = shop.store.len();
        shop.crash();
        assert_eq!(shop.job(&job), before);
        assert!(shop.store.len() <= saved, "nothing is written again");
        let again = shop.ask(&kiln_model::Request::Cancel(job));
        assert!(matches!(shop.reply_to(again), Some(Reply::Refused(_))));
    }
}
