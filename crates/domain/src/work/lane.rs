//! The lanes of this machine at work: compiles one at a time, flashes beside them, and what their
//! processes come to. [`super::queue`] says who is next.
use kiln_model::{EnvironmentState, EsphomeVersion, JobId, JobKind, Now, Pin, Sentence, say};

use super::Work;
use super::effect::{BuildTree, Effect};
use super::event::{ProcessOutcome, StepFailure};
use super::jobs::{Entry, Step};
use super::outcome::{Outcome, or_else};
use super::queue::{Waiting, upload_slots};
use super::yielding::Hold;

impl Work {
    pub(super) fn start_compile(&mut self, now: Now) {
        if self.lane_is_held() {
            return;
        }
        let mut waiting = Vec::new();
        for (id, entry) in self.jobs.active() {
            if matches!(entry.step, Step::Lane) && self.may_start(id, entry) {
                let offloader = entry.sender().map(|s| s.0);
                waiting.push(Waiting { id, offloader });
            }
        }
        let Some(id) = self.turn.next(&waiting).cloned() else {
            return;
        };
        let own = self.own_version().cloned();
        let Some(entry) = self.jobs.get_mut(&id) else {
            return;
        };
        self.turn.served(entry.sender().map(|s| s.0));
        entry.mark_running(now);
        if entry.sender().is_some() {
            // It said what it waited for.
            entry.stored.job.reason = Sentence::default();
        }
        let wanted = entry.stored.job.target_version.clone();
        let kind = entry.stored.job.kind;
        // Our own ESPHome may be another version by the time the build begins.
        let named = wanted.clone().filter(|_| kind == JobKind::Compile);
        let foreign = wanted.filter(|v| Some(v) != own.as_ref());
        match (foreign, kind) {
            (Some(version), JobKind::Compile) if !version.is_pinnable() => {
                entry.step = Step::Building;
                self.announce(&id);
                let error = say::version_not_provisioned(&version);
                self.finish(&id, Outcome::declined(error), now);
                self.start_compile(now);
            }
            (Some(version), JobKind::Compile) => {
                entry.step = Step::Provisioning;
                self.announce(&id);
                self.push(Effect::Provision(id, version));
            }
            (Some(version), JobKind::Clean) => {
                entry.step = Step::Building;
                self.announce(&id);
                let there = self
                    .environments
                    .iter()
                    .any(|e| e.version == version && e.state == EnvironmentState::Ready);
                if !there {
                    self.note(
                        &id,
                        format!("ESPHome {version} is not installed here; cleaning with our own"),
                    );
                }
                self.build(&id, Some(version).filter(|_| there));
            }
            (Some(_), JobKind::ResetBuildEnv | JobKind::Upload) | (None, _) => {
                entry.step = Step::Building;
                self.announce(&id);
                self.build(&id, named);
            }
        }
    }

    /// A compile, clean or reset is under way on this machine.
    pub(super) fn lane_is_held(&self) -> bool {
        self.jobs.active().any(|(_, e)| e.step.holds_lane())
    }

    /// Nothing but the lane itself is in the way of this job.
    fn may_start(&self, id: &JobId, entry: &Entry) -> bool {
        match entry.sender().map(|s| s.0) {
            None => !self.own_tree_in_use(id, &entry.stored.job.configuration),
            Some(_) if !self.may_begin(entry) => false,
            Some(pin) if self.is_being_cleared(pin, entry) => false,
            Some(pin) => !self
                .transfers
                .is_serving(pin, &entry.stored.job.configuration),
        }
    }

    /// The lane would begin this job of the owner at once, if it waited there: of the owner's, the
    /// oldest is next.
    pub(super) fn lane_begins(&self, id: &JobId) -> bool {
        let is_next = |other: &JobId, e: &Entry| {
            e.is_owners() && matches!(e.step, Step::Lane) && self.may_start(other, e)
        };
        let mut older = self.jobs.active().take_while(|(other, _)| *other != id);
        let begins = self.jobs.get(id).is_some_and(|e| self.may_start(id, e));
        begins && !self.lane_is_held() && !older.any(|(other, e)| is_next(other, e))
    }

    /// What this job needs is being deleted; it is made again when that is done.
    fn is_being_cleared(&self, pin: Pin, entry: &Entry) -> bool {
        let version = entry.stored.job.target_version.as_ref();
        self.house.is_clearing(pin) || version.is_some_and(|v| self.house.is_removing(v))
    }

    fn build(&mut self, id: &JobId, version: Option<EsphomeVersion>) {
        let Some(entry) = self.jobs.get(id) else {
            return;
        };
        let tree = match (entry.sender().map(|s| s.0), entry.configuration()) {
            (None, Some(configuration)) => BuildTree::Own(configuration),
            (None, None) => BuildTree::OwnAll,
            (Some(pin), Some(configuration)) => BuildTree::Received { pin, configuration },
            (Some(pin), None) => BuildTree::ReceivedAll(pin),
        };
        let effect = Effect::Build {
            job: id.clone(),
            kind: entry.stored.job.kind,
            tree,
            version,
            bootloader: entry.stored.job.bootloader,
        };
        self.push(effect);
    }

    pub(super) fn provisioned(
        &mut self,
        id: &JobId,
        result: Result<EsphomeVersion, StepFailure>,
        now: Now,
    ) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        if !matches!(entry.step, Step::Provisioning) {
            return;
        }
        match result {
            Ok(_) if entry.stored.cancel_requested => {
                self.finish(id, Outcome::failed(say::cancelled()), now);
            }
            // It was to be handed back when its installation had just ended.
            Ok(_) if entry.hold == Hold::Leaving => {
                self.finish(id, Outcome::declined(self.sentence()), now);
            }
            Ok(version) => {
                entry.step = Step::Building;
                self.build(id, Some(version));
            }
            Err(StepFailure::Provision(error) | StepFailure::Failed(error)) => {
                let error = or_else(error, say::version_cannot_be_had());
                self.finish(id, Outcome::declined(error), now);
            }
            Err(StepFailure::Cancelled | StepFailure::LinkLost) if entry.hold == Hold::Leaving => {
                self.finish(id, Outcome::declined(self.sentence()), now);
            }
            Err(StepFailure::Cancelled | StepFailure::LinkLost) => {
                self.finish(id, Outcome::failed(say::provisioning_interrupted()), now);
            }
        }
    }

    pub(super) fn start_flashes(&mut self, now: Now) {
        let slots = upload_slots(self.own_version());
        for id in self.jobs.ids(|e| matches!(e.step, Step::FlashLane)) {
            let flashing = |e: &&Entry| matches!(e.step, Step::Flashing);
            let running = self.jobs.active().map(|(_, e)| e).filter(flashing).count();
            if running >= slots {
                return;
            }
            let Some(entry) = self.jobs.get(&id) else {
                continue;
            };
            let name = entry.stored.job.configuration.clone();
            if self.own_tree_in_use(&id, &name) || self.own_tree_about_to_go(&name) {
                continue;
            }
            let target = entry.configuration().zip(entry.stored.job.port.clone());
            let Some((configuration, port)) = target else {
                self.finish(&id, Outcome::failed(say::flash_without_device()), now);
                continue;
            };
            if let Some(entry) = self.jobs.get_mut(&id) {
                entry.mark_running(now);
                entry.step = Step::Flashing;
                // It said what it waited for.
                entry.stored.job.reason = Sentence::default();
            }
            self.announce(&id);
            self.push(Effect::Flash(id, configuration, port));
        }
    }

    /// Another job of the owner reads or writes this build tree right now.
    pub(super) fn own_tree_in_use(&self, id: &JobId, configuration: &str) -> bool {
        let touches = |step: &Step| match step {
            Step::Building | Step::Flashing => true,
            Step::Remote(run) => run.is_materialising(),
            _ => false,
        };
        let overlaps =
            |other: &str| other == configuration || other.is_empty() || configuration.is_empty();
        self.jobs.active().any(|(other, e)| {
            other != id
                && e.is_owners()
                && touches(&e.step)
                && overlaps(&e.stored.job.configuration)
        })
    }

    /// A clean or reset of this build tree waits or runs (builds.md §2.5, upload gate). One that a
    /// receiver does leaves our tree alone.
    pub(super) fn own_tree_about_to_go(&self, configuration: &str) -> bool {
        let local = |e: &Entry| e.is_owners() && e.run().is_none();
        self.jobs.active().any(|(_, e)| {
            local(e)
                && match e.stored.job.kind {
                    JobKind::ResetBuildEnv => true,
                    JobKind::Clean => e.stored.job.configuration == configuration,
                    JobKind::Compile | JobKind::Upload => false,
                }
        })
    }

    pub(super) fn process_ended(&mut self, id: &JobId, outcome: ProcessOutcome, now: Now) {
        let Some(entry) = self.jobs.get(id) else {
            return;
        };
        let flash = match entry.step {
            Step::Building => false,
            Step::Flashing => true,
            _ => return,
        };
        let leaving = entry.hold == Hold::Leaving;
        let can_go_back = !entry.is_owners() && entry.is(JobKind::Compile);
        let excuse = self.excuse().filter(|_| can_go_back);
        match (outcome, excuse) {
            (ProcessOutcome::Succeeded, _) => self.finish(id, Outcome::Completed, now),
            (ProcessOutcome::Failed { .. }, Some(excuse)) => {
                self.finish(id, Outcome::declined(excuse), now);
            }
            (ProcessOutcome::Failed { .. }, None) if flash && self.is_to_be_put_off(id) => {
                self.put_off(id);
            }
            (ProcessOutcome::Failed { exit_code, message }, None) => {
                let fallback = match exit_code {
                    Some(code) => say::ended_with_code(code),
                    None => say::ended_without_code(),
                };
                let outcome = Outcome::Failed {
                    error: or_else(message, fallback),
                    exit_code,
                    reason: None,
                };
                self.finish(id, outcome, now);
            }
            (ProcessOutcome::GivenUp(why), _) if can_go_back => {
                self.finish(id, Outcome::declined(say::declined(why)), now);
            }
            (ProcessOutcome::GivenUp(why), _) => self.finish(id, Outcome::failed(why), now),
            (ProcessOutcome::Killed, _) if leaving => {
                self.finish(id, Outcome::declined(self.sentence()), now);
            }
            (ProcessOutcome::Killed, _) => {
                self.finish(id, Outcome::failed(say::process_killed()), now);
            }
        }
    }

    pub(super) fn progressed(&mut self, id: &JobId, percent: u8) {
        let Some(entry) = self.jobs.get_mut(id).filter(|e| !e.is_over()) else {
            return;
        };
        let percent = percent.min(100);
        if entry.stored.job.progress < Some(percent) {
            entry.stored.job.progress = Some(percent);
            self.changed(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{BuildChoice, ErrorCode, JobStatus, Port, Reply, Request};

    use super::super::Event;
    use super::super::fixtures::{Shop, failed, wire, yaml};
    use super::*;

    #[test]
    fn what_is_given_up_here_is_handed_back_to_its_sender_and_the_owners_own_just_fails() {
        let (mut shop, link) = Shop::with_offloader();
        let foreign = shop.submit(link, "a", "kitchen");
        shop.prepared(&foreign);
        let slow = || ProcessOutcome::GivenUp("it took longer than 30 minutes".into());
        shop.ends(&foreign, slow());
        let text = "link-2 a failed [provision] this receiver does not build it: \
                    it took longer than 30 minutes";
        assert!(shop.acts().contains(&text.to_owned()));
        let (own, _) = shop.install("bath", BuildChoice::Auto);
        shop.ends(&own, slow());
        assert_eq!(shop.status(&own), JobStatus::Failed);
        assert_eq!(shop.job(&own).failure_reason, None);
    }

    // Covers: M21
    #[test]
    fn one_compile_runs_at_a_time_and_flashes_run_beside_it() {
        let mut shop = Shop::open();
        let (kitchen, flash) = shop.install("kitchen", BuildChoice::Auto);
        let (bath, _) = shop.install("bath", BuildChoice::Auto);
        assert_eq!(
            shop.acts(),
            ["build j1 compile own kitchen.yaml app only"],
            "the second waits"
        );
        shop.succeeds(&kitchen);
        assert_eq!(
            shop.acts(),
            [
                "build j3 compile own bath.yaml app only",
                "flash j2 kitchen.yaml Ota"
            ]
        );
        assert_eq!(shop.status(&bath), JobStatus::Running);
        assert_eq!(shop.status(&flash), JobStatus::Running);
    }

    // Covers: M22, M23, M65, R-25
    #[test]
    fn the_lane_is_free_before_an_end_is_told_and_every_transition_is_followed_by_the_status() {
        let mut shop = Shop::open();
        shop.offloader(8);
        assert_eq!(shop.lines(), ["link-8 queue idle"]);
        let link = shop.offloader(9);
        shop.lines();
        let job = shop.submit(link, "a", "kitchen");
        shop.lines();
        shop.prepared(&job);
        shop.succeeds(&job);
        assert_eq!(
            shop.lines(),
            [
                "link-9 a queued",
                "link-8 queue running=false depth=1",
                "link-9 queue running=false depth=1",
                "settled 9 a",
                "link-9 a running",
                "link-8 queue running=true depth=0",
                "link-9 queue running=true depth=0",
                "build j1 compile 9 kitchen.yaml with 2026.10.0",
                "link-9 a completed",
                "link-8 queue idle",
                "link-9 queue idle",
            ]
        );
    }

    // Covers: M23
    #[test]
    fn a_flash_leaves_the_lane_idle() {
        let mut shop = Shop::open();
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        shop.succeeds(&compile);
        assert_eq!(shop.status(&flash), JobStatus::Running);
        assert!(shop.work.queue_status().idle);
    }

    // Covers: M65, R-25
    #[test]
    fn offloaders_hear_of_the_owners_jobs_too() {
        let mut shop = Shop::open();
        shop.offloader(9);
        shop.lines();
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.succeeds(&job);
        assert_eq!(
            shop.lines_of("link"),
            [
                "link-9 queue running=false depth=1",
                "link-9 queue running=true depth=0",
                "link-9 queue idle"
            ]
        );
    }

    #[test]
    fn the_owner_goes_first_and_offloaders_take_turns() {
        let mut shop = Shop::open();
        let running = shop.compile("attic", BuildChoice::Auto);
        let [two, three] = [shop.offloader(2), shop.offloader(3)];
        let a1 = shop.submit_queued(two, "a1", "kitchen");
        let a2 = shop.submit_queued(two, "a2", "bath");
        let b1 = shop.submit_queued(three, "b1", "kitchen");
        let own = shop.compile("bath", BuildChoice::Auto);
        shop.lines();
        for id in [&running, &own, &a1, &b1, &a2] {
            shop.succeeds(id);
        }
        assert_eq!(
            shop.lines_of("build"),
            [
                "build j5 compile own bath.yaml",
                "build j2 compile 2 kitchen.yaml with 2026.10.0",
                "build j4 compile 3 kitchen.yaml with 2026.10.0",
                "build j3 compile 2 bath.yaml with 2026.10.0",
            ]
        );
    }

    // Covers: M27
    #[test]
    fn a_cancelled_queued_job_leaves_the_queue_at_once_and_never_starts() {
        let mut shop = Shop::open();
        let running = shop.compile("kitchen", BuildChoice::Auto);
        let waiting = shop.compile("bath", BuildChoice::Auto);
        assert_eq!(shop.work.queue_status().queue_depth, 1);
        assert_eq!(shop.cancel(&waiting), Reply::Done);
        assert_eq!(shop.status(&waiting), JobStatus::Cancelled);
        assert_eq!(shop.work.queue_status().queue_depth, 0);
        shop.lines();
        shop.succeeds(&running);
        assert!(shop.acts().is_empty());
    }

    // Covers: M28
    #[test]
    fn a_cancel_beats_every_later_outcome() {
        for outcome in [
            ProcessOutcome::Succeeded,
            failed("boom"),
            ProcessOutcome::Killed,
        ] {
            let mut shop = Shop::open();
            let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
            shop.lines();
            shop.cancel(&compile);
            assert_eq!(shop.acts(), ["stop j1"]);
            assert_eq!(shop.status(&compile), JobStatus::Running);
            shop.ends(&compile, outcome);
            assert_eq!(shop.status(&compile), JobStatus::Cancelled);
            assert_eq!(shop.status(&flash), JobStatus::Cancelled);
        }
    }

    // Covers: M28
    #[test]
    fn a_cancelled_flash_ends_cancelled_even_if_it_came_through() {
        let mut shop = Shop::open();
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        shop.succeeds(&compile);
        shop.cancel(&flash);
        shop.succeeds(&flash);
        assert_eq!(shop.status(&flash), JobStatus::Cancelled);
    }

    // Covers: M29
    #[test]
    fn an_ended_or_unknown_job_cannot_be_cancelled() {
        let mut shop = Shop::open();
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.succeeds(&job);
        let ended = shop.ask_in_vain(&Request::Cancel(job));
        assert_eq!(ended.code, ErrorCode::InvalidArgs);
        let unknown = shop.ask_in_vain(&Request::Cancel(JobId::from_random(1)));
        assert_eq!(unknown.code, ErrorCode::NotFound);
    }

    #[test]
    fn a_second_cancel_stops_nothing_twice() {
        let mut shop = Shop::open();
        let job = shop.compile("kitchen", BuildChoice::Auto);
        shop.cancel(&job);
        shop.lines();
        assert_eq!(shop.cancel(&job), Reply::Done);
        assert!(shop.acts().is_empty());
    }

    // Covers: M30
    #[test]
    fn a_flash_waits_for_a_clean_of_its_tree_and_for_a_reset() {
        for (clean, gates) in [
            (Some(("kitchen", false)), true),
            (Some(("bath", false)), false),
            (Some(("kitchen", true)), false),
            (None, true),
        ] {
            let mut shop = Shop::open();
            let link = shop.receiver(1);
            let (compile, flash) = shop.install("kitchen", BuildChoice::Local);
            shop.succeeds(&compile);
            // Puts the flash back into its lane beside a wiping job, as a restart may.
            let mut stored: Vec<_> = shop.store.clone();
            stored.retain(|s| s.job.id == flash);
            let mut flash_row = stored.pop().unwrap();
            flash_row.job.status = JobStatus::Queued;
            flash_row.released = true;
            let mut wipe = flash_row.clone();
            wipe.job.id = JobId::from_random(99);
            wipe.job.depends_on = None;
            wipe.job.port = None;
            wipe.job.kind = match clean {
                Some(_) => JobKind::Clean,
                None => JobKind::ResetBuildEnv,
            };
            wipe.job.configuration =
                clean.map_or_else(String::new, |(name, _)| format!("{name}.yaml"));
            if clean.is_some_and(|(_, remote)| remote) {
                wipe.job.placement = kiln_model::Placement::Remote {
                    pin: super::super::fixtures::pin(1),
                    label: kiln_model::Label::default(),
                    esphome_version: None,
                };
            }
            let id = wipe.job.id.clone();
            shop.store = vec![wipe, flash_row];
            shop.hang_up(1, link);
            shop.lines();
            shop.crash();
            let flashes = |shop: &mut Shop| shop.lines_of("flash").len();
            assert_eq!(flashes(&mut shop), usize::from(!gates), "{clean:?}");
            if gates {
                shop.succeeds(&id);
                assert_eq!(flashes(&mut shop), 1, "{clean:?}");
            }
        }
    }

    #[test]
    fn only_so_many_devices_are_flashed_at_once() {
        let mut shop = Shop::open();
        let names: Vec<String> = (0..11).map(|n| format!("lamp{n}")).collect();
        let devices = names.iter().map(|n| super::super::fixtures::device(n));
        shop.happens(Event::DevicesScanned(devices.collect()));
        let mut flashes = Vec::new();
        for name in &names {
            let (compile, flash) = shop.install(name, BuildChoice::Auto);
            shop.succeeds(&compile);
            flashes.push(flash);
        }
        assert_eq!(shop.lines_of("flash").len(), 9);
        shop.succeeds(&flashes[0]);
        assert_eq!(shop.lines_of("flash"), ["flash j20 lamp9.yaml Ota"]);
    }

    #[test]
    fn a_build_of_a_device_waits_until_its_interrupted_flash_is_gone() {
        let mut shop = Shop::open();
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        shop.succeeds(&compile);
        shop.lines();
        shop.cancel(&flash);
        shop.install("kitchen", BuildChoice::Auto);
        assert_eq!(shop.acts(), ["stop j2"]);
        shop.ends(&flash, ProcessOutcome::Killed);
        assert_eq!(shop.acts(), ["build j3 compile own kitchen.yaml app only"]);
    }

    // Covers: M77, R-42
    #[test]
    fn a_foreign_version_is_installed_before_the_build_and_a_failure_says_provision() {
        let (mut shop, link) = Shop::with_offloader();
        let wanted = EsphomeVersion::parse("2026.9.1");
        let job = shop.submit_with(link, "a", "kitchen", |h| {
            h.target_esphome_version.clone_from(&wanted);
        });
        shop.lines();
        shop.prepared(&job);
        assert_eq!(
            shop.acts(),
            [
                "link-2 a queued",
                "settled 2 a",
                "link-2 a running",
                "provision j1 2026.9.1"
            ]
        );
        let there = wanted.clone().unwrap();
        shop.happens(Event::Provisioned(job.clone(), Ok(there)));
        assert_eq!(
            shop.acts(),
            ["build j1 compile 2 kitchen.yaml with 2026.9.1"]
        );
        shop.succeeds(&job);

        let job = shop.submit_with(link, "b", "bath", |h| h.target_esphome_version = wanted);
        shop.prepared(&job);
        shop.lines();
        let no = StepFailure::Provision("no such release".into());
        shop.happens(Event::Provisioned(job.clone(), Err(no)));
        assert_eq!(shop.acts(), ["link-2 b failed [provision] no such release"]);
    }

    // Covers: M78, R-42
    #[test]
    fn a_version_that_cannot_be_installed_is_not_tried_and_the_next_job_starts() {
        let (mut shop, link) = Shop::with_offloader();
        let running = shop.submit_queued(link, "x", "attic");
        let wanted = EsphomeVersion::parse("2026.10.0-dev");
        let job = shop.submit_with(link, "v", "kitchen", |h| h.target_esphome_version = wanted);
        shop.prepared(&job);
        shop.submit_queued(link, "y", "bath");
        shop.lines();
        shop.succeeds(&running);
        assert_eq!(
            shop.acts(),
            [
                "link-2 x completed",
                "link-2 v running",
                "link-2 v failed [provision] cannot provision esphome version '2026.10.0-dev' \
                 (not a PyPI release or pre-release)",
                "unpack j3 of 2",
                "link-2 y queued",
                "settled 2 y",
                "link-2 y running",
                "build j3 compile 2 bath.yaml with 2026.10.0"
            ]
        );
    }

    #[test]
    fn a_tree_that_is_being_packed_is_not_built_in() {
        let (mut shop, link) = Shop::with_offloader();
        let first = shop.submit_queued(link, "a", "kitchen");
        shop.succeeds(&first);
        let job_id = wire("a");
        shop.says(link, kiln_model::Message::DownloadArtifacts { job_id });
        shop.lines();
        shop.submit_queued(link, "b", "kitchen");
        shop.submit_queued(link, "c", "bath");
        assert_eq!(
            shop.lines_of("build"),
            ["build j3 compile 2 bath.yaml with 2026.10.0"],
            "others pass"
        );
        let third = shop.work.jobs().remove(0).id;
        shop.succeeds(&third);
        assert!(shop.lines_of("build").is_empty());
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        assert_eq!(
            shop.lines_of("build"),
            ["build j2 compile 2 kitchen.yaml with 2026.10.0"]
        );
    }

    //
    #[test]
    fn a_sender_that_wants_no_bootloader_gets_none() {
        for skip in [false, true] {
            let (mut shop, link) = Shop::with_offloader();
            let job = shop.submit_with(link, "a", "kitchen", |h| h.skip_bootloader = skip);
            shop.prepared(&job);
            let suffix = if skip { " app only" } else { "" };
            assert_eq!(
                shop.lines_of("build"),
                [format!(
                    "build j1 compile 2 kitchen.yaml with 2026.10.0{suffix}"
                )]
            );
        }
    }

    #[test]
    fn a_clean_uses_a_foreign_version_only_if_it_is_there() {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit_with(link, "a", "kitchen", |h| {
            h.target = "clean".to_owned();
            h.target_esphome_version = EsphomeVersion::parse("2026.9.1");
        });
        shop.lines();
        shop.prepared(&job);
        assert_eq!(shop.lines_of("build"), ["build j1 clean 2 kitchen.yaml"]);
        assert!(
            shop.notes.iter().any(|(id, text)| {
                *id == job && text.contains("2026.9.1 is not installed here")
            })
        );
    }

    #[test]
    fn a_failure_without_words_gets_some() {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit_queued(link, "a", "kitchen");
        shop.lines();
        shop.ends(&job, failed(" "));
        assert_eq!(shop.acts(), ["link-2 a failed it ended with exit code 1"]);
        assert_eq!(shop.job(&job).exit_code, Some(1));
    }

    #[test]
    fn progress_only_rises_and_is_not_stored() {
        let mut shop = Shop::open();
        let job = shop.compile("kitchen", BuildChoice::Auto);
        let stored = shop.store.len();
        for percent in [10, 40, 20, 200] {
            shop.happens(Event::Progressed(job.clone(), percent));
        }
        assert_eq!(shop.job(&job).progress, Some(100));
        assert_eq!(shop.store.len(), stored);
    }

    // Covers: M20
    #[test]
    fn ids_of_peers_are_opaque_and_ours_are_twelve_hex_digits() {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit(link, "../../etc/passwd\u{0}", "kitchen");
        assert!(job.as_str().parse::<JobId>().is_ok());
        shop.prepared(&job);
        let route = shop.work.output_route(&job);
        assert_eq!(route, Some((link, wire("../../etc/passwd\u{0}"))));
    }

    #[test]
    fn a_serial_flash_gets_a_build_with_bootloader() {
        let mut shop = Shop::open();
        let port = Port::Serial("COM3".to_owned());
        let (compile, _) = shop.install_to("kitchen", BuildChoice::Auto, port);
        shop.succeeds(&compile);
        assert_eq!(
            shop.acts(),
            [
                "build j1 compile own kitchen.yaml",
                "flash j2 kitchen.yaml Serial(\"COM3\")"
            ]
        );
    }

    #[test]
    fn what_ends_without_having_begun_is_ignored() {
        let mut shop = Shop::open();
        let job = shop.compile("kitchen", BuildChoice::Auto);
        let queued = shop.compile("bath", BuildChoice::Auto);
        shop.lines();
        shop.succeeds(&queued);
        shop.happens(Event::Materialised(job.clone(), Ok(())));
        shop.happens(Event::Prepared(
            job.clone(),
            Ok(BuildTree::Own(yaml("kitchen"))),
        ));
        shop.succeeds(&JobId::from_random(5));
        assert_eq!(shop.status(&queued), JobStatus::Queued);
        assert_eq!(shop.status(&job), JobStatus::Running);
        assert!(shop.acts().is_empty());
    }
}
