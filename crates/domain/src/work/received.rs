//! The receiver side: what offloaders ask of this machine (builds.md §5).
//!
//! A submission is a promise: it is durable before it is acknowledged and ends in exactly one outcome.
//! An outcome that comes while its sender is away is not told later (peer-link.md §5.3): every sender
//! gives up with its session, and a reference peer may mean a newer job by the same id.
//! What we do not want to build is accepted and handed back with the category `provision`, because every other
//! refusal shows the sender's user a failed install; with this one its dashboard builds itself.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::{
    ArtifactsRefusal, BlobId, Bootloader, ConfigurationName, JobId, JobKind, JobOrigin, JobStatus,
    Label, LinkId, MAX_BUNDLE, Message, Mono, Now, Pin, ResetRefusal, SubmitHeader, SubmitRefusal,
    Target, WireJobId, say,
};

use super::effect::{BuildTree, Effect};
use super::event::StepFailure;
use super::jobs::{Entry, Step, Voice, new_job};
use super::links::Links;
use super::outcome::Outcome;
use super::{Stage, Work};
use crate::Role;

/// Builds of one offloader that may wait or run here. A reference peer has one here at a time.
const MAX_BUILDS_PER_OFFLOADER: usize = 16;
/// The same for everything: a reference peer sends a clean for each device that is cleaned, and one that
/// is handed back shows as failed.
const MAX_JOBS_PER_OFFLOADER: usize = 128;
/// The same for their bundles, in bytes: these stay on the disk until the jobs are over.
const MAX_BUNDLES_PER_OFFLOADER: u64 = 2 * MAX_BUNDLE;
/// How long a sender may take until it fetches a result; a reference peer asks at once.
const FETCH: Duration = Duration::from_secs(30);

/// Transfers with offloaders.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Uploads in progress.
    arriving: BTreeSet<(LinkId, WireJobId)>,
    /// Artifact streams in progress.
    serving: BTreeMap<LinkId, Serving>,
    /// Results that are asked for and wait for a newer build by the same id.
    pub(super) postponed: BTreeMap<LinkId, (Pin, WireJobId)>,
    /// Results that their senders are about to fetch, and until when that is expected. A session that
    /// ends before costs the sender's user the install (builds.md §4.4).
    owed: BTreeMap<(Pin, WireJobId), Mono>,
}

/// An artifact stream.
#[derive(Debug)]
struct Serving {
    pin: Pin,
    wire: WireJobId,
    tree: BuildTree,
}

impl Intake {
    pub(super) fn started(&mut self, link: LinkId, wire: WireJobId) {
        self.arriving.insert((link, wire));
    }

    pub(super) fn dropped(&mut self, link: LinkId, wire: &WireJobId) {
        self.arriving.remove(&(link, wire.clone()));
    }

    pub(super) fn served(&mut self, link: LinkId, wire: &WireJobId) {
        if self.serving.get(&link).is_some_and(|s| s.wire == *wire)
            && let Some(served) = self.serving.remove(&link)
        {
            self.owed.remove(&(served.pin, served.wire));
        }
    }

    pub(super) fn session_down(&mut self, link: LinkId) {
        self.arriving.retain(|(l, _)| *l != link);
        self.serving.remove(&link);
        self.postponed.remove(&link);
    }

    /// Artifacts of this tree are being packed or sent: a build would change them meanwhile.
    pub(super) fn is_serving(&self, pin: Pin, configuration: &str) -> bool {
        self.serving.values().any(|s| match &s.tree {
            BuildTree::Received {
                pin: of,
                configuration: name,
            } => *of == pin && name.as_str() == configuration,
            BuildTree::Own(_) | BuildTree::OwnAll | BuildTree::ReceivedAll(_) => false,
        })
    }

    /// Returns the trees whose artifacts are being packed or sent.
    pub(super) fn served_trees(&self) -> impl Iterator<Item = &BuildTree> {
        self.serving.values().map(|serving| &serving.tree)
    }

    /// Returns the results that are about to be fetched.
    pub(super) fn owed(&self) -> impl Iterator<Item = &(Pin, WireJobId)> {
        self.owed.keys()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.arriving.is_empty() && self.serving.is_empty() && self.postponed.is_empty()
    }

    /// A result is there to be fetched.
    pub(super) fn built(&mut self, pin: Pin, wire: WireJobId, now: Mono) {
        self.owed.insert((pin, wire), now + FETCH);
    }

    /// Returns whom a transfer is made with, and who is here and about to fetch a result.
    pub(super) fn pins(&self, links: &Links) -> impl Iterator<Item = Pin> {
        let arriving = self
            .arriving
            .iter()
            .filter_map(|(link, _)| links.get(*link));
        let serving = self.serving.values().map(|serving| serving.pin);
        let postponed = self.postponed.values().map(|(pin, _)| *pin);
        let owed = self.owed.keys().map(|(pin, _)| *pin);
        let here = owed.filter(|pin| links.to_offloader(*pin).is_some());
        let arriving = arriving.map(|session| session.pin);
        arriving.chain(serving).chain(postponed).chain(here)
    }

    pub(super) fn expire(&mut self, now: Mono) {
        self.owed.retain(|_, until| *until > now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        self.owed.values().min().copied()
    }
}

impl Work {
    /// A frame on an open session.
    pub(super) fn received(&mut self, link: LinkId, message: Message, now: Now) {
        let Some(session) = self.links.get(link) else {
            return;
        };
        let pin = session.pin;
        match session.role {
            Role::Offloader => self.receiver_said(link, pin, message, now),
            Role::Receiver { .. } => self.offloader_said(link, pin, message, now),
        }
    }

    fn offloader_said(&mut self, link: LinkId, pin: Pin, message: Message, now: Now) {
        match message {
            Message::CancelJob { job_id } => self.cancel_received(pin, &job_id, now),
            Message::DownloadArtifacts { job_id } => self.download_requested(link, pin, job_id),
            Message::ResetBuildEnv { job_id } => self.reset_requested(link, pin, job_id, now),
            // Sessions are peering's, and the rest goes the other way.
            Message::Terminate(_)
            | Message::QueueStatus(_)
            | Message::SubmitJobAck { .. }
            | Message::JobStateChanged { .. }
            | Message::JobOutput { .. }
            | Message::ArtifactsStart { .. }
            | Message::ArtifactsEnd { .. }
            | Message::ResetBuildEnvAck { .. } => {}
        }
    }

    /// A bundle is complete: it is made a job, kept, and acknowledged, in this order.
    pub(super) fn submission_arrived(
        &mut self,
        link: LinkId,
        sender: Pin,
        header: SubmitHeader,
        configuration: &ConfigurationName,
        bundle: BlobId,
        now: Now,
    ) {
        self.intake.dropped(link, &header.job_id);
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
    pub(super) fn submission_not_kept(&mut self, link: LinkId, wire: &WireJobId, now: Now) {
        let Some(pin) = self.links.get(link).map(|session| session.pin) else {
            return;
        };
        let Some(id) = self.jobs.received(pin, wire).map(|(id, _)| id.clone()) else {
            return;
        };
        self.mute(&id);
        self.cancel(&id, say::job_not_kept(), now);
    }

    /// Nobody hears of this job any more.
    pub(super) fn mute(&mut self, id: &JobId) {
        if let Some(entry) = self.jobs.get_mut(id) {
            entry.voice = Voice::Muted;
        }
        // Its output goes nowhere from now on.
        self.save(id);
    }

    /// Who submits on a link, and what its jobs say of their origin.
    fn sender_on(
        &self,
        link: LinkId,
    ) -> Option<(Pin, impl FnOnce(WireJobId) -> JobOrigin + use<>)> {
        let session = self.links.get(link)?;
        let (pin, role) = (session.pin, session.role.clone());
        let (dashboard_id, label): (_, Label) = match role {
            Role::Offloader => return None,
            Role::Receiver {
                dashboard_id,
                label,
            } => (dashboard_id, label),
        };
        let origin = move |wire_job_id| JobOrigin::Offloader {
            pin,
            dashboard_id,
            wire_job_id,
            label,
        };
        Some((pin, origin))
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

    /// Unpacks the next bundle of every offloader, in the order of arrival (peer-link.md §5.8), one ahead
    /// of the lane: unpacked it takes up to two hundred times as much, and its sender chose how much. On
    /// a disk that is short all of them stay packed.
    pub(super) fn start_unpacking(&mut self) {
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
            let passes = || self.intake.is_serving(pin, &entry.stored.job.configuration);
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

    pub(super) fn prepared(
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

    /// Unknown and final ids are ignored: the frame has no answer (peer-link.md §5.9).
    fn cancel_received(&mut self, pin: Pin, wire: &WireJobId, now: Now) {
        let Some((id, entry)) = self.jobs.received(pin, wire) else {
            return;
        };
        let id = id.clone();
        let because = match entry.step {
            Step::Arrived | Step::Unpacking => say::cancelled_by_offloader_early(),
            _ => say::cancelled_by_offloader(),
        };
        self.cancel(&id, because, now);
    }

    pub(super) fn download_requested(&mut self, link: LinkId, pin: Pin, wire: WireJobId) {
        let resetting = |e: &Entry| e.is(JobKind::ResetBuildEnv) && e.run().is_none();
        let found = self.jobs.received(pin, &wire).map(|(_, e)| e);
        let tree = found.and_then(|e| e.configuration());
        let status = found.map(|e| e.stored.job.status);
        let is_second = self.intake.serving.values().any(|s| s.pin == pin)
            || self.intake.postponed.values().any(|(of, _)| *of == pin);
        let refusal = if is_second {
            ArtifactsRefusal::DuplicateDownload
        } else if self.stage != Stage::Serving {
            ArtifactsRefusal::ShuttingDown
        } else if self.waits_for_newer(pin, &wire) {
            self.intake.postponed.insert(link, (pin, wire));
            return;
        } else {
            match (status, tree) {
                (None, _) | (Some(_), None) => ArtifactsRefusal::UnknownJob,
                (Some(JobStatus::Completed), Some(_))
                    if self.jobs.active().any(|(_, e)| resetting(e)) =>
                {
                    ArtifactsRefusal::Busy
                }
                (Some(JobStatus::Completed), Some(configuration)) => {
                    let tree = BuildTree::Received { pin, configuration };
                    let serving = Serving {
                        pin,
                        wire: wire.clone(),
                        tree: tree.clone(),
                    };
                    self.intake.serving.insert(link, serving);
                    return self.push(Effect::ServeArtifacts(link, wire, tree));
                }
                (
                    Some(
                        JobStatus::Queued
                        | JobStatus::Running
                        | JobStatus::Failed
                        | JobStatus::Cancelled,
                    ),
                    Some(_),
                ) => ArtifactsRefusal::JobNotCompleted,
            }
        };
        let verdict = Err((Some(refusal), String::new()));
        let job_id = wire;
        self.send(link, Message::ArtifactsEnd { job_id, verdict });
    }

    /// Wipes what this offloader caused here, when nothing at all is going on (peer-link.md §5.12).
    fn reset_requested(&mut self, link: LinkId, pin: Pin, job_id: WireJobId, now: Now) {
        let refuse = |reason| Message::ResetBuildEnvAck {
            job_id: job_id.clone(),
            verdict: Err(Some(reason)),
        };
        if self.stage != Stage::Serving {
            return self.send(link, refuse(ResetRefusal::NotReady));
        }
        // A flash that waits for its device may wait for weeks and touches nothing meanwhile.
        let active = |e: &Entry| !matches!(e.step, Step::Away);
        let working = self.jobs.active().any(|(_, e)| active(e));
        if working || !self.intake.is_quiet() || !self.settings.receiver {
            return self.send(link, refuse(ResetRefusal::Busy));
        }
        let Some((_, origin)) = self.sender_on(link) else {
            return;
        };
        let id = self.new_id();
        let mut reset = new_job(id.clone(), JobKind::ResetBuildEnv, "", "", now.wall);
        reset.job.origin = origin(job_id.clone());
        reset.job.reason = say::asked_by_offloader(pin.short());
        self.jobs.insert(Entry::new(reset, Step::Lane));
        self.announce(&id);
        self.advance(now);
        let verdict = Ok(());
        self.send(link, Message::ResetBuildEnvAck { job_id, verdict });
    }

    /// Receiver: where output of a received job goes right now, beside its log. `None`: the owner's
    /// job, or the offloader is away or hears no more of it.
    pub fn output_route(&self, job: &JobId) -> Option<(LinkId, WireJobId)> {
        let entry = self.jobs.get(job)?;
        let (pin, wire) = entry.sender()?;
        let link = self.links.to_offloader(pin)?;
        (entry.voice == Voice::Heard).then(|| (link, wire.clone()))
    }

    /// Receiver: returns what [`Work::output_route`] says of each job whose output goes anywhere.
    pub fn output_routes(&self) -> impl Iterator<Item = (JobId, (LinkId, WireJobId))> + '_ {
        let all = self.jobs.iter();
        all.filter_map(|(id, _)| Some((id.clone(), self.output_route(id)?)))
    }

    /// Tells a sender what became of its job, if it is there.
    pub(super) fn tell_sender(&mut self, id: &JobId) {
        let Some((link, job_id)) = self.output_route(id) else {
            return;
        };
        let Some(entry) = self.jobs.get(id) else {
            return;
        };
        let job = &entry.stored.job;
        let error_message = match job.status {
            JobStatus::Failed | JobStatus::Cancelled => {
                job.error.clone().unwrap_or_default().into()
            }
            JobStatus::Queued | JobStatus::Running | JobStatus::Completed => String::new(),
        };
        let failure_reason = match job.status {
            JobStatus::Failed => job.failure_reason,
            _ => None,
        };
        let message = Message::JobStateChanged {
            job_id,
            status: job.status,
            error_message,
            failure_reason,
        };
        self.send(link, message);
    }

    /// A sender is here: it hears how busy we are.
    pub(super) fn offloader_up(&mut self, link: LinkId) {
        let status = self.queue_status();
        self.send(link, Message::QueueStatus(status));
    }
}

fn display_name<'a>(header: &'a SubmitHeader, configuration: &'a ConfigurationName) -> &'a str {
    let names = [&header.device_friendly_name, &header.device_name];
    let named = names.into_iter().find(|n| !n.is_empty());
    named.map_or(configuration.stem(), String::as_str)
}

#[cfg(test)]
mod tests {
    use kiln_model::{BuildChoice, FailureReason, Request};

    use super::super::Event;
    use super::super::ProcessOutcome;
    use super::super::fixtures::{Shop, failed, pin, step_failed, wire};
    use super::*;
    use crate::{Lending, Stance};

    fn cancel(shop: &mut Shop, link: LinkId, job: &str) {
        let job_id = wire(job);
        shop.says(link, Message::CancelJob { job_id });
    }

    fn download(shop: &mut Shop, link: LinkId, job: &str) {
        let job_id = wire(job);
        shop.says(link, Message::DownloadArtifacts { job_id });
    }

    fn reset(shop: &mut Shop, link: LinkId, job: &str) {
        let job_id = wire(job);
        shop.says(link, Message::ResetBuildEnv { job_id });
    }

    /// Frames to offloaders without queue statuses.
    fn frames(shop: &mut Shop) -> Vec<String> {
        let mut frames = shop.acts();
        frames.retain(|l| l.starts_with("link-"));
        frames
    }

    /// A kitchen job of offloader 2, completed, under the id `a`.
    fn completed() -> (Shop, LinkId) {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        shop.succeeds(&job);
        shop.lines();
        (shop, link)
    }

    // Covers: M59, R-32, R-37
    #[test]
    fn a_submission_is_kept_then_acknowledged_then_unpacked_queued_and_built() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        let mut work = Work::new(3);
        std::mem::swap(&mut work, &mut shop.work);
        let header = SubmitHeader {
            job_id: wire("a"),
            configuration_filename: "kitchen.yaml".to_owned(),
            target: "compile".to_owned(),
            total_bundle_bytes: 5,
            num_chunks: 1,
            bundle_sha256: String::new(),
            device_name: String::new(),
            device_friendly_name: String::new(),
            target_esphome_version: None,
            skip_bootloader: true,
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

    // Covers: M60, R-33, R-40
    #[test]
    fn a_bundle_that_cannot_be_unpacked_fails_once_with_the_agreed_text() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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

    // Covers: M61, R-41
    #[test]
    fn a_cancel_while_unpacking_ends_in_one_cancelled_and_no_build() {
        for result in [Ok(BuildTree::OwnAll), Err(StepFailure::Cancelled)] {
            let mut shop = Shop::open();
            let link = shop.offloader(2);
            let job = shop.submit(link, "a", "kitchen");
            shop.lines();
            cancel(&mut shop, link, "a");
            cancel(&mut shop, link, "a");
            assert_eq!(shop.acts(), ["stop j1"]);
            shop.happens(Event::Prepared(job, result));
            assert_eq!(
                shop.acts(),
                [
                    "link-2 a cancelled cancelled by the offloader before the build was queued",
                    "settled 2 a"
                ]
            );
        }
    }

    // Covers: R-35, R-41
    #[test]
    fn a_cancel_works_while_waiting_to_be_unpacked_queued_and_running() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        let first = shop.submit(link, "a", "kitchen");
        shop.submit(link, "b", "bath");
        shop.lines();
        cancel(&mut shop, link, "b");
        assert_eq!(
            frames(&mut shop),
            ["link-2 b cancelled cancelled by the offloader before the build was queued"]
        );
        shop.prepared(&first);
        let queued = shop.submit_queued(link, "c", "bath");
        shop.lines();
        cancel(&mut shop, link, "c");
        assert_eq!(
            frames(&mut shop),
            ["link-2 c cancelled cancelled by the offloader"]
        );
        assert_eq!(shop.status(&queued), JobStatus::Cancelled);
        cancel(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["stop j1"]);
        shop.ends(&first, ProcessOutcome::Killed);
        assert_eq!(
            frames(&mut shop),
            ["link-2 a cancelled cancelled by the offloader"]
        );
    }

    // Covers: R-41, R-48
    #[test]
    fn unknown_final_and_foreign_jobs_are_not_cancelled() {
        let (mut shop, link) = completed();
        cancel(&mut shop, link, "a");
        cancel(&mut shop, link, "zz");
        assert!(shop.acts().is_empty());
        let job = shop.submit_queued(link, "b", "bath");
        let other = shop.offloader(3);
        shop.lines();
        cancel(&mut shop, other, "b");
        assert!(shop.acts().is_empty());
        assert_eq!(shop.status(&job), JobStatus::Running);
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
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
            let mut shop = Shop::open();
            let link = shop.offloader(2);
            shop.lends(brief);
            shop.submit(link, "a", "kitchen");
            assert_eq!(shop.lines_of("unpack"), [""; 0]);
            known(&mut shop);
            assert_eq!(shop.lines_of("unpack"), ["unpack j1 of 2"]);
        }
    }

    // Covers: M62
    #[test]
    fn a_newer_submission_for_a_device_replaces_the_older_and_is_unpacked_when_that_is_gone() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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

    // Covers: M67, R-40
    #[test]
    fn a_lost_session_does_not_stop_the_build_and_what_it_came_to_meanwhile_is_not_told_later() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        shop.hang_up(2, link);
        shop.lines();
        assert_eq!(shop.work.output_route(&job), None);
        shop.succeeds(&job);
        assert!(shop.acts().is_empty());
        let back = shop.offloader_on(2, 9);
        assert_eq!(shop.lines(), ["link-9 queue idle"]);
        download(&mut shop, back, "a");
        assert_eq!(shop.acts(), ["serve link-9 a"], "its result is there");
    }

    // Covers: M67, R-37
    #[test]
    fn frames_of_a_running_job_go_to_the_senders_newest_session() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        let newer = shop.offloader_on(2, 9);
        shop.offloader_on(3, 8);
        shop.hang_up(2, link);
        shop.lines();
        assert_eq!(shop.work.output_route(&job), Some((newer, wire("a"))));
        shop.ends(&job, failed("boom"));
        assert_eq!(frames(&mut shop), ["link-9 a failed boom"]);
    }

    // Covers: R-24, M65
    #[test]
    fn a_new_session_hears_the_queue_status() {
        let mut shop = Shop::open();
        shop.compile("kitchen", BuildChoice::Auto);
        shop.compile("bath", BuildChoice::Auto);
        shop.lines();
        shop.offloader(2);
        assert_eq!(shop.lines(), ["link-2 queue running=true depth=1"]);
    }

    // Covers: R-45, R-47
    #[test]
    fn artifacts_are_served_for_completed_jobs_and_refused_for_others() {
        let (mut shop, link) = completed();
        download(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["serve link-2 a"]);
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        download(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["serve link-2 a"], "as often as it likes");
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        download(&mut shop, link, "zz");
        assert_eq!(shop.acts(), ["link-2 no artifacts zz Some(UnknownJob)"]);
        let next = shop.submit_queued(link, "b", "bath");
        shop.lines();
        download(&mut shop, link, "b");
        assert_eq!(shop.acts(), ["link-2 no artifacts b Some(JobNotCompleted)"]);
        shop.ends(&next, failed("boom"));
        shop.lines();
        download(&mut shop, link, "b");
        assert_eq!(shop.acts(), ["link-2 no artifacts b Some(JobNotCompleted)"]);
    }

    // Covers: R-46
    #[test]
    fn a_second_download_is_refused_and_leaves_the_first_alone() {
        let (mut shop, link) = completed();
        download(&mut shop, link, "a");
        shop.lines();
        download(&mut shop, link, "other");
        assert_eq!(
            shop.acts(),
            ["link-2 no artifacts other Some(DuplicateDownload)"]
        );
        shop.hang_up(2, link);
        let back = shop.offloader_on(2, 9);
        shop.lines();
        download(&mut shop, back, "a");
        assert_eq!(shop.acts(), ["serve link-9 a"], "a dead link holds nothing");
    }

    // Covers: R-48
    #[test]
    fn artifacts_of_another_offloader_do_not_exist() {
        let (mut shop, _) = completed();
        let other = shop.offloader(3);
        shop.lines();
        download(&mut shop, other, "a");
        assert_eq!(shop.acts(), ["link-3 no artifacts a Some(UnknownJob)"]);
    }

    // Covers: R-47
    #[test]
    fn a_newer_build_of_the_same_device_replaces_the_older_result() {
        let (mut shop, link) = completed();
        let newer = shop.submit_queued(link, "b", "kitchen");
        shop.succeeds(&newer);
        assert_eq!(shop.lines_of("forget"), ["forget j1"]);
        download(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["link-2 no artifacts a Some(UnknownJob)"]);
    }

    // Covers: M66, R-50
    #[test]
    fn a_reset_is_busy_while_anything_at_all_goes_on() {
        let refused = "link-2 reset refused r Some(Busy)";
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        let own = shop.compile("attic", BuildChoice::Auto);
        shop.lines();
        reset(&mut shop, link, "r");
        assert_eq!(shop.acts(), [refused], "the owner builds");
        shop.succeeds(&own);

        shop.happens(Event::SubmissionStarted(link, wire("a")));
        shop.lines();
        reset(&mut shop, link, "r");
        assert_eq!(shop.acts(), [refused], "chunks are arriving");
        let job = shop.submit(link, "a", "kitchen");
        shop.lines();
        reset(&mut shop, link, "r");
        assert_eq!(shop.acts(), [refused], "a bundle is being unpacked");
        shop.prepared(&job);
        shop.succeeds(&job);
        download(&mut shop, link, "a");
        shop.lines();
        reset(&mut shop, link, "r");
        assert_eq!(shop.acts(), [refused], "artifacts are being fetched");
        shop.happens(Event::ArtifactsServed(link, wire("a")));

        let other = shop.offloader(3);
        shop.happens(Event::SubmissionStarted(other, wire("x")));
        shop.lines();
        reset(&mut shop, link, "r");
        assert_eq!(shop.acts(), [refused], "another offloader uploads");
        shop.happens(Event::SubmissionDropped(other, wire("x")));
        reset(&mut shop, link, "r");
        assert_eq!(
            shop.acts(),
            [
                "link-2 r queued",
                "link-2 r running",
                "build j3 reset_build_env 2 everything",
                "link-2 reset ack r"
            ]
        );
    }

    #[test]
    fn a_header_that_was_read_on_a_session_that_is_over_is_no_upload_that_goes_on() {
        let mut shop = Shop::open();
        let (old, link) = (shop.offloader_on(2, 2), shop.offloader_on(2, 4));
        shop.hang_up(2, old);
        shop.happens(Event::SubmissionStarted(old, wire("a")));
        shop.lines();
        reset(&mut shop, link, "r");
        let last = shop.acts().pop();
        assert_eq!(last.as_deref(), Some("link-4 reset ack r"));
    }

    // Covers: R-51
    #[test]
    fn a_reset_ends_like_a_job_and_refuses_downloads_meanwhile() {
        let (mut shop, link) = completed();
        reset(&mut shop, link, "r");
        let job = shop.work.jobs().remove(0);
        assert_eq!(job.kind, JobKind::ResetBuildEnv);
        shop.lines();
        download(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["link-2 no artifacts a Some(Busy)"]);
        cancel(&mut shop, link, "r");
        shop.ends(&job.id, ProcessOutcome::Killed);
        assert_eq!(
            shop.acts(),
            ["stop j2", "link-2 r cancelled cancelled by the offloader"]
        );
    }

    #[test]
    fn what_is_too_much_is_accepted_and_handed_back() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
    fn a_bundle_that_cannot_be_unpacked_is_refused_or_handed_back_by_whose_fault_it_is() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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

    #[test]
    fn the_owner_can_cancel_a_received_job() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        shop.lines();
        shop.ask(&Request::Cancel(job.clone()));
        shop.ends(&job, ProcessOutcome::Killed);
        assert_eq!(frames(&mut shop), ["link-2 a cancelled cancelled"]);
    }

    // Covers: M26
    #[test]
    fn the_owners_install_leaves_a_received_job_of_the_same_name_alone() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        shop.install("kitchen", BuildChoice::Auto);
        assert_eq!(shop.status(&job), JobStatus::Running);
    }

    #[test]
    fn a_removed_offloader_takes_its_jobs_with_it() {
        let mut shop = Shop::open();
        let [two, three] = [shop.offloader(2), shop.offloader(3)];
        let running = shop.submit_queued(two, "a", "kitchen");
        let queued = shop.submit_queued(two, "b", "bath");
        let other = shop.submit_queued(three, "c", "bath");
        shop.lines();
        shop.work.offloader_forgotten(pin(2), shop.now);
        shop.ends(&running, ProcessOutcome::Killed);
        let acts = shop.acts();
        let told: Vec<_> = acts.iter().filter(|l| l.starts_with("link-2")).collect();
        assert!(told.is_empty(), "nobody there cancelled anything: {told:?}");
        let statuses = [&running, &queued, &other].map(|id| shop.status(id));
        assert_eq!(
            statuses,
            [
                JobStatus::Cancelled,
                JobStatus::Cancelled,
                JobStatus::Running
            ]
        );
    }

    #[test]
    fn a_bundle_without_its_session_is_dropped_and_its_id_is_free_again() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
        shop.hang_up(2, link);
        shop.lines();
        let header = SubmitHeader {
            job_id: wire("a"),
            configuration_filename: "kitchen.yaml".to_owned(),
            target: "compile".to_owned(),
            total_bundle_bytes: 5,
            num_chunks: 1,
            bundle_sha256: String::new(),
            device_name: String::new(),
            device_friendly_name: String::new(),
            target_esphome_version: None,
            skip_bootloader: false,
        };
        let bundle = shop.blob();
        shop.happens(Event::SubmissionArrived {
            link,
            pin: pin(2),
            header: Box::new(header),
            configuration: "kitchen.yaml".parse().unwrap(),
            bundle,
            verified: kiln_model::witness::DigestVerified::assertion(),
        });
        assert!(shop.work.jobs().is_empty());
        assert_eq!(shop.acts(), ["settled 2 a"]);
    }

    #[test]
    fn what_could_not_be_kept_is_not_built_and_its_sender_hears_no_more_of_it() {
        let mut shop = Shop::open();
        let link = shop.offloader(2);
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
