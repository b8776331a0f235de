//! The receiver side: what offloaders ask of this machine (builds.md §5).
//!
//! A submission is a promise: it is durable before it is acknowledged, it ends in exactly one
//! outcome, and an outcome that could not be told is told when its sender is back. What we do not
//! want to build is accepted and handed back with the category `provision`, because every other
//! refusal shows the sender's user a failed install; with this one its dashboard builds itself.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::{
    ArtifactsRefusal, Availability, BlobId, Bootloader, ConfigurationName, FailureReason, JobId,
    JobKind, JobOrigin, JobStatus, Label, LinkId, Message, Mono, Now, Pin, ResetRefusal,
    SubmitHeader, SubmitRefusal, Target, WireJobId,
};

use super::effect::{BuildTree, Effect};
use super::event::StepFailure;
use super::jobs::{Entry, Frames, Step, new_job};
use super::machine::{Outcome, Stage, Work};
use crate::peering::Role;

/// How often unused bundles are looked for (builds.md §7.5).
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Jobs of one offloader that may wait or run here. A reference peer has one compile and a few
/// cleans here at a time.
const MAX_JOBS_PER_OFFLOADER: usize = 16;
/// What every offloader reads when its bundle cannot be unpacked (peer-link.md §5.8).
const EXTRACT_FAILED: &str = "receiver could not process the bundle: extract_failed";

/// Transfers with offloaders.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Uploads in progress.
    arriving: BTreeSet<(LinkId, WireJobId)>,
    /// Artifact streams in progress.
    serving: BTreeMap<LinkId, Serving>,
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
        if self.serving.get(&link).is_some_and(|s| s.wire == *wire) {
            self.serving.remove(&link);
        }
    }

    pub(super) fn session_down(&mut self, link: LinkId) {
        self.arriving.retain(|(l, _)| *l != link);
        self.serving.remove(&link);
    }

    fn is_quiet(&self) -> bool {
        self.arriving.is_empty() && self.serving.is_empty()
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
        header: SubmitHeader,
        configuration: &ConfigurationName,
        bundle: BlobId,
        now: Now,
    ) {
        self.intake.dropped(link, &header.job_id);
        let job_id = header.job_id.clone();
        let sender = self.sender_on(link);
        let (Some((pin, origin)), true) = (sender, self.stage == Stage::Serving) else {
            return self.push(Effect::DropBlob(bundle));
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
        let mut stored = new_job(id.clone(), kind, configuration.as_str(), name, now.wall);
        stored.job.origin = origin(job_id.clone());
        stored.job.target_version = header.target_esphome_version;
        stored.job.bootloader = if header.skip_bootloader {
            Bootloader::Skip
        } else {
            Bootloader::Include
        };
        stored.job.reason = "its bundle is being unpacked".to_owned();
        stored.bundle = Some(bundle);
        let full = self.active_of(pin) >= MAX_JOBS_PER_OFFLOADER;
        self.jobs.insert(Entry::new(stored, Step::Arrived));
        self.save(&id);
        let verdict = Ok(());
        self.send(link, Message::SubmitJobAck { job_id, verdict });
        self.changed(&id);
        if full {
            let text = format!("this receiver has {MAX_JOBS_PER_OFFLOADER} jobs of yours already");
            return self.finish(&id, declined(text), now);
        }
        if self.availability() != Availability::Open {
            let text = "this receiver does not take builds now".to_owned();
            return self.finish(&id, declined(text), now);
        }
        self.supersede_received(pin, &id, now);
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

    fn active_of(&self, pin: Pin) -> usize {
        let of = |e: &Entry| e.sender().is_some_and(|s| s.0 == pin);
        self.jobs.active().filter(|(_, e)| of(e)).count()
    }

    /// A newer submission for a configuration replaces the active ones of the same offloader. Its
    /// bundle is unpacked when they are gone, because that wipes the tree they build in.
    fn supersede_received(&mut self, pin: Pin, newer: &JobId, now: Now) {
        let Some(entry) = self.jobs.get(newer) else {
            return;
        };
        let configuration = entry.stored.job.configuration.clone();
        let wire = entry.sender().map(|s| s.1.clone());
        let same = |e: &Entry| {
            e.sender().is_some_and(|s| s.0 == pin) && e.stored.job.configuration == configuration
        };
        for id in self.jobs.ids(same) {
            let Some(older) = self.jobs.get_mut(&id).filter(|_| id != *newer) else {
                continue;
            };
            if older.sender().map(|s| s.1) == wire.as_ref() {
                older.frames = Frames::Suppressed;
            }
            self.cancel(&id, "replaced by a newer job for this device", now);
        }
    }

    /// Unpacks the next bundle of every offloader, in the order of arrival (peer-link.md §5.8).
    pub(super) fn start_unpacking(&mut self) {
        let mut blocked: BTreeSet<Pin> = BTreeSet::new();
        let mut start = Vec::new();
        for (id, entry) in self.jobs.active() {
            let Some((pin, _)) = entry.sender() else {
                continue;
            };
            match entry.step {
                Step::Unpacking => {
                    blocked.insert(pin);
                }
                Step::Arrived if !blocked.contains(&pin) => {
                    blocked.insert(pin);
                    start.push((id.clone(), pin));
                }
                _ => {}
            }
        }
        for (id, pin) in start {
            let unpacking = |e: &Entry| {
                matches!(e.step, Step::Unpacking) && e.sender().is_some_and(|s| s.0 == pin)
            };
            let Some(entry) = self.jobs.get(&id) else {
                continue;
            };
            let name = &entry.stored.job.configuration;
            let in_tree = |e: &Entry| {
                e.step.holds_lane()
                    && e.sender().is_some_and(|s| s.0 == pin)
                    && (e.stored.job.configuration == *name || e.is(JobKind::ResetBuildEnv))
            };
            if self.jobs.active().any(|(_, e)| unpacking(e) || in_tree(e)) {
                continue;
            }
            let facts = entry.configuration().zip(entry.stored.bundle.clone());
            let Some((configuration, bundle)) = facts else {
                continue;
            };
            if let Some(entry) = self.jobs.get_mut(&id) {
                entry.step = Step::Unpacking;
            }
            self.push(Effect::Prepare {
                job: id,
                pin,
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
                self.finish(id, Outcome::failed(EXTRACT_FAILED), now);
            }
            Ok(_) => {
                entry.step = Step::Lane;
                entry.stored.job.reason = "waits for the compile lane".to_owned();
                let bundle = entry.stored.bundle.take();
                let sender = entry.sender().map(|(pin, wire)| (pin, wire.clone()));
                self.announce(id);
                if let Some((pin, wire)) = sender {
                    self.push(Effect::SubmissionSettled(pin, wire));
                }
                if let Some(blob) = bundle {
                    self.push(Effect::DropBlob(blob));
                }
            }
            Err(StepFailure::Failed(detail) | StepFailure::Provision(detail)) => {
                self.note(id, format!("the bundle cannot be unpacked: {detail}"));
                self.finish(id, Outcome::failed(EXTRACT_FAILED), now);
            }
            Err(StepFailure::Cancelled | StepFailure::LinkLost) => {
                self.finish(id, Outcome::failed(EXTRACT_FAILED), now);
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
            Step::Arrived | Step::Unpacking => {
                "cancelled by the offloader before the build was queued"
            }
            _ => "cancelled by the offloader",
        };
        self.cancel(&id, because, now);
    }

    fn download_requested(&mut self, link: LinkId, pin: Pin, wire: WireJobId) {
        let resetting = |e: &Entry| e.is(JobKind::ResetBuildEnv) && e.run().is_none();
        let found = self.jobs.received(pin, &wire).map(|(_, e)| e);
        let tree = found.and_then(|e| e.configuration());
        let status = found.map(|e| e.stored.job.status);
        let refusal = if self.intake.serving.values().any(|s| s.pin == pin) {
            ArtifactsRefusal::DuplicateDownload
        } else if self.stage != Stage::Serving {
            ArtifactsRefusal::ShuttingDown
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
        if working || !self.intake.is_quiet() || self.availability() != Availability::Open {
            return self.send(link, refuse(ResetRefusal::Busy));
        }
        let Some((_, origin)) = self.sender_on(link) else {
            return;
        };
        let id = self.new_id();
        let mut reset = new_job(id.clone(), JobKind::ResetBuildEnv, "", "", now.wall);
        reset.job.origin = origin(job_id.clone());
        reset.job.reason = format!("offloader {} asked for it", pin.short());
        self.jobs.insert(Entry::new(reset, Step::Lane));
        self.announce(&id);
        self.advance(now);
        let verdict = Ok(());
        self.send(link, Message::ResetBuildEnvAck { job_id, verdict });
    }

    /// Tells a sender what became of its job, if it is there. An outcome is marked as told after it
    /// was sent, so that a crash between the two tells it twice rather than never.
    pub(super) fn tell_sender(&mut self, id: &JobId) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let Some((pin, wire)) = entry.sender() else {
            return;
        };
        let (pin, job_id) = (pin, wire.clone());
        let job = &entry.stored.job;
        let is_final = job.status.is_final();
        match entry.frames {
            Frames::Sent => {}
            Frames::Suppressed => {
                if is_final {
                    entry.stored.outcome_told = true;
                    self.save(id);
                }
                return;
            }
        }
        let Some(link) = self.links.to_offloader(pin) else {
            return;
        };
        let error_message = match job.status {
            JobStatus::Failed | JobStatus::Cancelled => job.error.clone().unwrap_or_default(),
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
        if is_final && let Some(entry) = self.jobs.get_mut(id) {
            entry.stored.outcome_told = true;
            self.save(id);
        }
    }

    /// A sender is here: it hears how busy we are, and what became of its jobs meanwhile.
    pub(super) fn offloader_up(&mut self, link: LinkId, pin: Pin) {
        let status = self.queue_status();
        self.send(link, Message::QueueStatus(status));
        let untold = |e: &Entry| {
            e.is_over() && !e.stored.outcome_told && e.sender().is_some_and(|s| s.0 == pin)
        };
        let entries = self.jobs.iter().filter(|(_, e)| untold(e));
        let ids: Vec<JobId> = entries.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.tell_sender(&id);
        }
    }

    /// The owner switched receiving off: what did not start is handed back. What runs goes on,
    /// because its result can still be fetched.
    pub(super) fn decline_waiting(&mut self, now: Now) {
        let waits = |e: &Entry| !e.is_owners() && matches!(e.step, Step::Arrived | Step::Lane);
        for id in self.jobs.ids(waits) {
            let text = "this receiver was switched off before the build began".to_owned();
            self.finish(&id, declined(text), now);
        }
    }

    /// Deletes unpacked bundles that nobody used for the time the owner set.
    pub(super) fn sweep(&mut self, now: Now) {
        let due = |at: Mono| at <= now.mono;
        if !self.sweep_at.is_some_and(due) {
            return;
        }
        self.sweep_at = Some(now.mono + SWEEP_EVERY);
        let active = self.jobs.active().filter_map(|(_, e)| {
            let (pin, _) = e.sender()?;
            let configuration = e.configuration()?;
            Some(BuildTree::Received { pin, configuration })
        });
        let served = self.intake.serving.values().map(|s| s.tree.clone());
        let keep = active.chain(served).collect();
        let older_than = self.settings.cleanup_ttl_seconds;
        self.push(Effect::Sweep { older_than, keep });
    }
}

/// "Please build it yourself": the sender's dashboard does, without a failed install.
fn declined(error: String) -> Outcome {
    Outcome::Failed {
        error,
        exit_code: None,
        reason: Some(FailureReason::Provision),
    }
}

fn display_name<'a>(header: &'a SubmitHeader, configuration: &'a ConfigurationName) -> &'a str {
    let names = [&header.device_friendly_name, &header.device_name];
    let named = names.into_iter().find(|n| !n.is_empty());
    named.map_or(configuration.stem(), String::as_str)
}
