//! [`Run`]: one build on a receiver, as the offloader sees it (builds.md §4).
//!
//! A run belongs to the link over which its submission went and to a wire id that no other attempt
//! ever had, so neither an old link nor an old attempt can speak for it. Cleans and resets on
//! receivers are runs too; unlike the reference peer's they hold no compile lane while they wait.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::{
    ArtifactsRefusal, BlobId, Bootloader, FailureReason, JobId, JobKind, JobStatus, LinkId,
    Message, Mono, Now, Pin, Placement, Sentence, SubmitHeader, SubmitRefusal, Target,
    TerminateReason, WireJobId, say,
};

use super::dispatch::RECONNECT_GRACE;
use super::effect::Effect;
use super::event::{BundleFacts, DownloadFailure, StepFailure};
use super::jobs::Step;
use super::machine::{Outcome, Stage, Work, or_else};
use crate::Deadline;

/// Largest compressed bundle a receiver takes, in bytes (builds.md §17).
const MAX_BUNDLE_BYTES: u64 = 134_217_728;
/// Raw bytes per chunk (builds.md §17).
const CHUNK_BYTES: u64 = 32_768;
/// Longest wait for the verdict on an upload, from its last chunk (peer-link.md §5.7).
const ACK_PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for the answer to a cancel (builds.md §4.5).
const CANCEL_PATIENCE: Duration = Duration::from_secs(30);

/// One attempt on one receiver.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) pin: Pin,
    phase: Phase,
    /// When a cancel that is not answered ends the job here.
    cancel_by: Option<Mono>,
    retry: Retry,
}

/// Whether the download was tried again already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    Left,
    Used,
}

#[derive(Debug)]
enum Phase {
    /// Its bundle is being made.
    Bundling,
    /// Waits for the link, or for its turn on it; `until` runs while the link is closed. A reset
    /// has no bundle.
    Ready {
        bundle: Option<BundleFacts>,
        until: Option<Mono>,
    },
    /// Chunks are being sent.
    Uploading { link: LinkId, wire: WireJobId },
    /// All is sent; the verdict is due.
    AwaitingAck {
        link: LinkId,
        wire: WireJobId,
        until: Mono,
    },
    /// Accepted: it waits or builds there.
    Accepted { link: LinkId, wire: WireJobId },
    /// Completed there; its artifacts are on the way.
    Downloading { link: LinkId, wire: WireJobId },
    /// Completed there; the download is tried again, over a newer link than `not`.
    DownloadAgain {
        wire: WireJobId,
        not: Option<LinkId>,
        until: Mono,
    },
    /// Its artifacts are here and wait until nobody uses the local build tree.
    Delivered { blob: BlobId },
    /// Its artifacts are being put into the local build tree.
    Materialising { blob: BlobId },
}

impl Run {
    fn new(pin: Pin, phase: Phase) -> Self {
        Self {
            pin,
            phase,
            cancel_by: None,
            retry: Retry::Left,
        }
    }

    pub(super) fn is_materialising(&self) -> bool {
        matches!(self.phase, Phase::Materialising { .. })
    }

    /// Returns when something has to happen even if nobody says anything.
    pub(super) fn deadline(&self) -> Option<(Mono, Deadline)> {
        let phase = match &self.phase {
            Phase::Ready { until, .. } => until.map(|at| (at, "LinkGrace")),
            Phase::AwaitingAck { until, .. } => Some((*until, "SubmitAck")),
            Phase::DownloadAgain { until, .. } => Some((*until, "DownloadRetry")),
            Phase::Bundling
            | Phase::Uploading { .. }
            | Phase::Accepted { .. }
            | Phase::Downloading { .. }
            | Phase::Delivered { .. }
            | Phase::Materialising { .. } => None,
        };
        let cancel = self.cancel_by.map(|at| (at, "CancelAnswer"));
        phase.into_iter().chain(cancel).min_by_key(|(at, _)| *at)
    }

    /// Returns the link and wire id this run is bound to, once it is.
    fn bound(&self) -> Option<(LinkId, &WireJobId)> {
        match &self.phase {
            Phase::Uploading { link, wire }
            | Phase::AwaitingAck { link, wire, .. }
            | Phase::Accepted { link, wire }
            | Phase::Downloading { link, wire } => Some((*link, wire)),
            Phase::Bundling
            | Phase::Ready { .. }
            | Phase::DownloadAgain { .. }
            | Phase::Delivered { .. }
            | Phase::Materialising { .. } => None,
        }
    }

    /// Still needs its receiver, and can leave it: a bundle in the making is not interrupted, and
    /// firmware that is here needs nobody.
    pub(super) fn needs_receiver(&self) -> bool {
        match &self.phase {
            Phase::Ready { .. }
            | Phase::Uploading { .. }
            | Phase::AwaitingAck { .. }
            | Phase::Accepted { .. }
            | Phase::Downloading { .. }
            | Phase::DownloadAgain { .. } => true,
            Phase::Bundling | Phase::Delivered { .. } | Phase::Materialising { .. } => false,
        }
    }

    /// An upload of this run occupies the link: only one may (peer-link.md §5.6).
    fn occupies(&self, link: LinkId) -> bool {
        match &self.phase {
            Phase::Uploading { link: l, .. } | Phase::AwaitingAck { link: l, .. } => *l == link,
            _ => false,
        }
    }
}

/// What links carry for us beyond the runs that still care.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    /// Chunks are being sent from this blob.
    streaming: BTreeMap<(LinkId, WireJobId), BlobId>,
    /// Nobody waits for this submission any more: if it is accepted, it is cancelled.
    abandoned: BTreeSet<(LinkId, WireJobId)>,
}

/// The life of a run.
impl Work {
    /// Starts a run of a job that waits, on this receiver.
    pub(super) fn start_run(&mut self, id: &JobId, pin: Pin, reason: Sentence, now: Now) {
        self.refresh_conditions();
        let placement = match self.receivers.get(pin) {
            Some(receiver) => receiver.placement(self.receivers.conditions()),
            None => Placement::Remote {
                pin,
                label: kiln_model::Label::default(),
                esphome_version: None,
            },
        };
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let configuration = entry.configuration();
        let phase = match configuration {
            Some(_) => Phase::Bundling,
            None => Phase::Ready {
                bundle: None,
                until: None,
            },
        };
        entry.step = Step::Remote(Run::new(pin, phase));
        entry.stored.job.placement = placement;
        entry.mark_running(now.wall);
        if entry.is(JobKind::Compile) {
            self.receivers.update(pin, |r| r.ours_in_flight = true);
        }
        self.explain(id, reason);
        self.announce(id);
        if let Some(configuration) = configuration {
            self.push(Effect::MakeBundle(id.clone(), configuration));
        }
    }

    pub(super) fn bundle_made(
        &mut self,
        id: &JobId,
        result: Result<BundleFacts, StepFailure>,
        now: Now,
    ) {
        let entry = self.jobs.get_mut(id);
        let waits = entry.filter(|e| e.run().is_some_and(|r| matches!(r.phase, Phase::Bundling)));
        let Some(entry) = waits else {
            if let Ok(bundle) = result {
                self.push(Effect::DropBlob(bundle.blob));
            }
            return;
        };
        if entry.stored.cancel_requested {
            if let Ok(bundle) = result {
                self.push(Effect::DropBlob(bundle.blob));
            }
            return self.finish(id, Outcome::failed(say::cancelled()), now);
        }
        match result {
            Ok(bundle) if bundle.bytes > MAX_BUNDLE_BYTES => {
                let mib = bundle.bytes >> 20;
                let error = say::bundle_too_large(mib);
                self.push(Effect::DropBlob(bundle.blob));
                self.finish(id, Outcome::failed(error), now);
            }
            Ok(bundle) => {
                if let Some(run) = entry.run_mut() {
                    run.phase = Phase::Ready {
                        bundle: Some(bundle),
                        until: None,
                    };
                }
            }
            Err(StepFailure::Failed(error) | StepFailure::Provision(error)) => {
                let error = or_else(error, say::bundle_failed());
                self.finish(id, Outcome::failed(error), now);
            }
            Err(StepFailure::Cancelled | StepFailure::LinkLost) => {
                self.finish(id, Outcome::failed(say::bundle_interrupted()), now);
            }
        }
    }

    /// Lets every run take the step it waits for, if it can now.
    pub(super) fn advance_runs(&mut self, now: Now) {
        for id in self.jobs.ids(|e| e.run().is_some()) {
            let Some(run) = self.jobs.get(&id).and_then(|e| e.run()) else {
                continue;
            };
            match &run.phase {
                Phase::Ready { .. } => self.try_submit(&id, now),
                Phase::DownloadAgain { .. } => self.try_download_again(&id),
                Phase::Delivered { .. } => self.try_materialise(&id),
                Phase::Bundling
                | Phase::Uploading { .. }
                | Phase::AwaitingAck { .. }
                | Phase::Accepted { .. }
                | Phase::Downloading { .. }
                | Phase::Materialising { .. } => {}
            }
        }
    }

    /// Submits a run that is ready, if its link is open and free.
    fn try_submit(&mut self, id: &JobId, now: Now) {
        let Some(pin) = self.jobs.get(id).and_then(|e| e.run()).map(|r| r.pin) else {
            return;
        };
        if self.receivers.get(pin).is_none() {
            return self.lost(id, say::receiver_not_paired(), now);
        }
        let link = self.links.to_receiver(pin);
        let free = link.filter(|link| !self.is_occupied(*link));
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        let Phase::Ready { bundle, until } = &mut run.phase else {
            return;
        };
        match link {
            Some(_) => *until = None,
            None => {
                until.get_or_insert(now.mono + RECONNECT_GRACE);
            }
        }
        let Some(link) = free else {
            return;
        };
        let wire = self.ids.wire();
        match bundle.take() {
            Some(bundle) => {
                run.phase = Phase::Uploading {
                    link,
                    wire: wire.clone(),
                };
                self.submit(id, link, wire, bundle);
            }
            None => {
                run.phase = Phase::AwaitingAck {
                    link,
                    wire: wire.clone(),
                    until: now.mono + ACK_PATIENCE,
                };
                self.send(link, Message::ResetBuildEnv { job_id: wire });
            }
        }
    }

    fn submit(&mut self, id: &JobId, link: LinkId, wire: WireJobId, bundle: BundleFacts) {
        let target_esphome_version = self.own_version().cloned();
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        entry.stored.attempt = Some(wire.clone());
        let job = &entry.stored.job;
        let target = match job.kind {
            JobKind::Clean => Target::Clean,
            JobKind::Compile | JobKind::Upload | JobKind::ResetBuildEnv => Target::Compile,
        };
        let mut devices = self.devices.iter();
        let device = devices.find(|d| d.configuration.as_str() == job.configuration);
        let header = SubmitHeader {
            job_id: wire.clone(),
            configuration_filename: job.configuration.clone(),
            target: target.word().to_owned(),
            total_bundle_bytes: i64::try_from(bundle.bytes).unwrap_or(i64::MAX),
            num_chunks: i64::try_from(bundle.bytes.div_ceil(CHUNK_BYTES)).unwrap_or(i64::MAX),
            bundle_sha256: bundle.sha256,
            device_name: device.map_or_else(String::new, |d| d.name.clone()),
            device_friendly_name: device.map_or_else(String::new, |d| d.friendly_name.clone()),
            target_esphome_version,
            skip_bootloader: job.bootloader == Bootloader::Skip,
        };
        self.uploads
            .streaming
            .insert((link, wire), bundle.blob.clone());
        self.save(id);
        self.push(Effect::Upload(link, Box::new(header), bundle.blob));
    }

    /// Only one upload at a time may use a link (peer-link.md §5.6).
    fn is_occupied(&self, link: LinkId) -> bool {
        let streams = self.uploads.streaming.keys().any(|(l, _)| *l == link);
        let mut runs = self.jobs.active().filter_map(|(_, e)| e.run());
        streams || runs.any(|r| r.occupies(link))
    }

    pub(super) fn uploaded(
        &mut self,
        link: LinkId,
        wire: &WireJobId,
        result: Result<(), StepFailure>,
        now: Now,
    ) {
        if let Some(blob) = self.uploads.streaming.remove(&(link, wire.clone())) {
            self.push(Effect::DropBlob(blob));
        }
        let Some((id, run)) = self.run_mut_at(link, wire) else {
            return;
        };
        if !matches!(run.phase, Phase::Uploading { .. }) {
            return;
        }
        match result {
            Ok(()) => {
                run.phase = Phase::AwaitingAck {
                    link,
                    wire: wire.clone(),
                    until: now.mono + ACK_PATIENCE,
                };
            }
            Err(StepFailure::LinkLost) => {
                let why = self.closed_link_of(&id);
                self.lost(&id, why, now);
            }
            Err(StepFailure::Failed(error) | StepFailure::Provision(error)) => {
                let error = or_else(error, say::bundle_not_sent());
                self.finish(&id, Outcome::failed(error), now);
            }
            Err(StepFailure::Cancelled) => {
                self.finish(&id, Outcome::failed(say::sending_interrupted()), now);
            }
        }
    }

    /// The verdict on a submission or a reset, with its word.
    fn acked(
        &mut self,
        link: LinkId,
        wire: &WireJobId,
        verdict: Result<(), Option<&'static str>>,
        now: Now,
    ) {
        if self.uploads.abandoned.remove(&(link, wire.clone())) {
            if verdict.is_ok() {
                let job_id = wire.clone();
                self.send(link, Message::CancelJob { job_id });
            }
            return;
        }
        let Some((id, run)) = self.run_mut_at(link, wire) else {
            return;
        };
        let streaming = match run.phase {
            Phase::Uploading { .. } => true,
            Phase::AwaitingAck { .. } => false,
            _ => return,
        };
        let pin = run.pin;
        match verdict {
            Ok(()) => {
                run.phase = Phase::Accepted {
                    link,
                    wire: wire.clone(),
                };
            }
            Err(word) => {
                if streaming {
                    self.push(Effect::StopUpload(link, wire.clone()));
                }
                let name = self.receiver_name(pin);
                if word == Some(SubmitRefusal::DuplicateSubmit.word()) {
                    // An upload of an earlier session blocks that peer until this one ends too
                    // (peer-link.md §11, Q3). Peering dials again.
                    let reason = TerminateReason::ClientStopped;
                    self.send(link, Message::Terminate(reason));
                    let why = say::upload_in_the_way(name);
                    return self.lost(&id, why, now);
                }
                let why = word.map_or_else(say::no_reason_given, Sentence::from);
                let error = say::refused_there(name, why);
                self.finish(&id, Outcome::failed(error), now);
            }
        }
    }

    /// A receiver says what became of a job.
    fn state_changed(
        &mut self,
        link: LinkId,
        wire: &WireJobId,
        status: JobStatus,
        error: String,
        reason: Option<FailureReason>,
        now: Now,
    ) {
        let Some((id, run)) = self.run_mut_at(link, wire) else {
            return;
        };
        match run.phase {
            Phase::AwaitingAck { .. } | Phase::Accepted { .. } => {}
            _ => return,
        }
        let pin = run.pin;
        let name = self.receiver_name(pin);
        match (status, reason) {
            (JobStatus::Queued, _) => self.explain(&id, say::queued_there(name)),
            (JobStatus::Running, _) => self.explain(&id, say::works_there(name)),
            (JobStatus::Completed, _) => self.completed_there(&id, link, wire, now),
            (JobStatus::Cancelled, _) => {
                let outcome = Outcome::Cancelled(say::cancelled_there(name));
                self.finish(&id, outcome, now);
            }
            (JobStatus::Failed, Some(FailureReason::Provision)) => {
                self.cannot_provision(&id, name, error, now);
            }
            (JobStatus::Failed, None) => {
                let error = or_else(error, say::build_failed_there());
                self.finish(&id, Outcome::failed(say::failed_there(name, error)), now);
            }
        }
    }

    fn completed_there(&mut self, id: &JobId, link: LinkId, wire: &WireJobId, now: Now) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let download = entry.is(JobKind::Compile) && !entry.stored.cancel_requested;
        match entry.run_mut() {
            Some(run) if download => {
                run.phase = Phase::Downloading {
                    link,
                    wire: wire.clone(),
                };
                self.push(Effect::Download(link, wire.clone()));
            }
            Some(_) | None => self.finish(id, Outcome::Completed, now),
        }
    }

    /// The receiver cannot have our ESPHome version, or declines for another reason: the job is
    /// built here, if the owner did not choose otherwise.
    fn cannot_provision(&mut self, id: &JobId, name: Sentence, error: String, now: Now) {
        let error = or_else(error, say::version_not_there());
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let may_move = entry.is(JobKind::Compile) && entry.stored.only_on.is_none();
        if !may_move || entry.stored.cancel_requested {
            return self.finish(id, Outcome::failed(say::failed_there(name, error)), now);
        }
        let step = std::mem::replace(&mut entry.step, Step::Lane);
        if let Step::Remote(run) = step {
            self.release_receiver(id, run);
        }
        self.go_local(id, say::here_as_declined(name, error));
    }

    pub(super) fn downloaded(
        &mut self,
        link: LinkId,
        wire: &WireJobId,
        result: Result<BlobId, DownloadFailure>,
        now: Now,
    ) {
        let found = self.run_mut_at(link, wire);
        let found = found.filter(|(_, run)| matches!(run.phase, Phase::Downloading { .. }));
        let Some((id, run)) = found else {
            if let Ok(blob) = result {
                self.push(Effect::DropBlob(blob));
            }
            return;
        };
        let (pin, retry) = (run.pin, run.retry);
        let failure = match result {
            Ok(blob) => {
                run.phase = Phase::Delivered { blob };
                return;
            }
            Err(failure) => failure,
        };
        let name = self.receiver_name(pin);
        match failure {
            DownloadFailure::LinkLost => self.download_again(&id, Some(link), now),
            DownloadFailure::Stalled
            | DownloadFailure::Refused(Some(ArtifactsRefusal::DuplicateDownload), _) => {
                self.download_again(&id, None, now);
            }
            DownloadFailure::Refused(Some(ArtifactsRefusal::ShuttingDown), _) => {
                self.download_again(&id, Some(link), now);
            }
            DownloadFailure::Refused(Some(ArtifactsRefusal::UnknownJob), _)
                if retry == Retry::Used =>
            {
                let why = say::build_forgotten(name);
                self.lost(&id, why, now);
            }
            DownloadFailure::Refused(reason, detail) => {
                let word = reason.map(|reason| reason.word().into());
                let detail = or_else(detail, word.unwrap_or_else(say::no_reason_given));
                let error = say::not_delivered(name, detail);
                self.finish(&id, Outcome::failed(error), now);
            }
            DownloadFailure::Invalid(detail) => {
                let error = say::broken_firmware(name, detail);
                self.finish(&id, Outcome::failed(error), now);
            }
            DownloadFailure::Disk(detail) => {
                let error = say::firmware_not_stored(detail);
                self.finish(&id, Outcome::failed(error), now);
            }
        }
    }

    /// The receiver keeps a finished build, so one interrupted download is tried again.
    fn download_again(&mut self, id: &JobId, not: Option<LinkId>, now: Now) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let Some(run) = entry.run_mut() else {
            return;
        };
        let Some((_, wire)) = run.bound() else {
            return;
        };
        let wire = wire.clone();
        match run.retry {
            Retry::Left => {
                run.retry = Retry::Used;
                run.phase = Phase::DownloadAgain {
                    wire,
                    not,
                    until: now.mono + RECONNECT_GRACE,
                };
                self.note(id, "the download was interrupted; trying once more");
            }
            Retry::Used => self.lost(id, say::download_interrupted_twice(), now),
        }
    }

    fn try_download_again(&mut self, id: &JobId) {
        let Some(run) = self.jobs.get(id).and_then(|e| e.run()) else {
            return;
        };
        let Some(link) = self.links.to_receiver(run.pin) else {
            return;
        };
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        let Phase::DownloadAgain { wire, not, .. } = &run.phase else {
            return;
        };
        if *not == Some(link) {
            return;
        }
        let wire = wire.clone();
        run.phase = Phase::Downloading {
            link,
            wire: wire.clone(),
        };
        self.push(Effect::Download(link, wire));
    }

    fn try_materialise(&mut self, id: &JobId) {
        let Some(entry) = self.jobs.get(id) else {
            return;
        };
        let Some(configuration) = entry.configuration() else {
            return;
        };
        if self.own_tree_in_use(id, configuration.as_str()) {
            return;
        }
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        let Phase::Delivered { blob } = &run.phase else {
            return;
        };
        let blob = blob.clone();
        run.phase = Phase::Materialising { blob: blob.clone() };
        self.push(Effect::Materialise(id.clone(), configuration, blob));
    }

    pub(super) fn materialised(&mut self, id: &JobId, result: Result<(), StepFailure>, now: Now) {
        let run = self.jobs.get(id).and_then(|e| e.run());
        if !run.is_some_and(Run::is_materialising) {
            return;
        }
        match result {
            Ok(()) => self.finish(id, Outcome::Completed, now),
            Err(StepFailure::Failed(error) | StepFailure::Provision(error)) => {
                let error = or_else(error, say::firmware_does_not_fit());
                self.finish(id, Outcome::failed(error), now);
            }
            Err(StepFailure::Cancelled | StepFailure::LinkLost) => {
                self.finish(id, Outcome::failed(say::firmware_interrupted()), now);
            }
        }
    }

    /// The flag is set; this does what the phase needs.
    pub(super) fn cancel_run(&mut self, id: &JobId, now: Now) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let because = entry.cancelled_because.clone();
        let Some(run) = entry.run_mut() else {
            return;
        };
        match &run.phase {
            // Ends when the process is gone.
            Phase::Bundling => self.push(Effect::Stop(id.clone())),
            Phase::Accepted { link, wire } => {
                let (link, job_id) = (*link, wire.clone());
                run.cancel_by = Some(now.mono + CANCEL_PATIENCE);
                self.send(link, Message::CancelJob { job_id });
            }
            // Ends when the tree is whole again.
            Phase::Materialising { .. } => {}
            Phase::Ready { .. }
            | Phase::Uploading { .. }
            | Phase::AwaitingAck { .. }
            | Phase::Downloading { .. }
            | Phase::DownloadAgain { .. }
            | Phase::Delivered { .. } => self.finish(id, Outcome::Cancelled(because), now),
        }
    }

    /// A run is over: what it held is given back.
    pub(super) fn release_receiver(&mut self, id: &JobId, run: Run) {
        let pin = run.pin;
        match run.phase {
            Phase::Ready {
                bundle: Some(bundle),
                ..
            } => self.push(Effect::DropBlob(bundle.blob)),
            Phase::Delivered { blob } | Phase::Materialising { blob } => {
                self.push(Effect::DropBlob(blob));
            }
            // The receiver may still accept it. A bundle that is half sent cannot be taken back
            // without ending the session, so it is sent to its end and cancelled then.
            Phase::Uploading { link, wire } | Phase::AwaitingAck { link, wire, .. } => {
                if self.links.get(link).is_some() {
                    self.uploads.abandoned.insert((link, wire));
                }
            }
            Phase::Bundling
            | Phase::Ready { bundle: None, .. }
            | Phase::Accepted { .. }
            | Phase::Downloading { .. }
            | Phase::DownloadAgain { .. } => {}
        }
        let others = self.jobs.active().filter(|(other, _)| *other != id);
        let compiles = others.filter(|(_, e)| e.is(JobKind::Compile));
        let busy = compiles.filter_map(|(_, e)| e.run()).any(|r| r.pin == pin);
        self.receivers.update(pin, |r| r.ours_in_flight = busy);
    }

    pub(super) fn receiver_down(&mut self, link: LinkId, pin: Pin, now: Now) {
        let state = self.link_state(pin);
        self.receivers.update(pin, |r| r.link = state);
        self.uploads.abandoned.retain(|(l, _)| *l != link);
        if self.stage == Stage::Stopping {
            return;
        }
        let bound = |r: &Run| r.bound().is_some_and(|(l, _)| l == link);
        for id in self.jobs.ids(|e| e.run().is_some_and(bound)) {
            let Some(run) = self.jobs.get(&id).and_then(|e| e.run()) else {
                continue;
            };
            if let Phase::Downloading { .. } = run.phase {
                self.download_again(&id, Some(link), now);
            } else {
                let why = self.closed_link_of(&id);
                self.lost(&id, why, now);
            }
        }
    }

    pub(super) fn expire_runs(&mut self, now: Now) {
        for id in self.jobs.ids(|e| e.run().is_some()) {
            let Some(run) = self.jobs.get(&id).and_then(|e| e.run()) else {
                continue;
            };
            let due = |at: Mono| at <= now.mono;
            if run.cancel_by.is_some_and(due) {
                self.finish(&id, Outcome::Cancelled(say::cancelled_unconfirmed()), now);
                continue;
            }
            match &run.phase {
                Phase::Ready {
                    until: Some(until), ..
                }
                | Phase::DownloadAgain { until, .. }
                    if due(*until) =>
                {
                    let why = self.closed_link_of(&id);
                    self.lost(&id, why, now);
                }
                Phase::AwaitingAck { until, .. } if due(*until) => {
                    let name = self.receiver_name(run.pin);
                    let error = say::no_answer_in_a_minute(name);
                    self.finish(&id, Outcome::failed(error), now);
                }
                _ => {}
            }
        }
    }

    fn closed_link_of(&self, id: &JobId) -> Sentence {
        let pin = self.jobs.get(id).and_then(|e| e.run()).map(|r| r.pin);
        let name = pin.map_or_else(Sentence::default, |pin| self.receiver_name(pin));
        say::lost_connection(name)
    }

    /// Returns the job that is bound to this wire id on this link.
    pub(super) fn run_at(&self, link: LinkId, wire: &WireJobId) -> Option<JobId> {
        let bound = |r: &Run| r.bound() == Some((link, wire));
        let mut active = self.jobs.active();
        let found = active.find(|(_, e)| e.run().is_some_and(bound));
        found.map(|(id, _)| id.clone())
    }

    fn run_mut_at(&mut self, link: LinkId, wire: &WireJobId) -> Option<(JobId, &mut Run)> {
        let id = self.run_at(link, wire)?;
        let run = self.jobs.get_mut(&id)?.run_mut()?;
        Some((id, run))
    }

    /// A frame from a receiver.
    pub(super) fn receiver_said(&mut self, link: LinkId, pin: Pin, message: Message, now: Now) {
        match message {
            Message::QueueStatus(status) => {
                self.receivers.update(pin, |r| r.queue = Some(status));
                self.push(Effect::ViewChanged);
            }
            Message::SubmitJobAck { job_id, verdict } => {
                let verdict = verdict.map_err(|reason| reason.map(|r| r.word()));
                self.acked(link, &job_id, verdict, now);
            }
            Message::ResetBuildEnvAck { job_id, verdict } => {
                let verdict = verdict.map_err(|reason| reason.map(|r| r.word()));
                self.acked(link, &job_id, verdict, now);
            }
            Message::JobStateChanged {
                job_id,
                status,
                error_message,
                failure_reason,
            } => self.state_changed(link, &job_id, status, error_message, failure_reason, now),
            // Sessions are peering's, artifacts the download's, and the rest goes the other way.
            Message::Terminate(_)
            | Message::JobOutput { .. }
            | Message::CancelJob { .. }
            | Message::DownloadArtifacts { .. }
            | Message::ArtifactsStart { .. }
            | Message::ArtifactsEnd { .. }
            | Message::ResetBuildEnv { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{BuildChoice, QueueStatus, ResetRefusal};

    use super::super::Event;
    use super::super::fixtures::{Shop, failed, pin, step_failed, wire};
    use super::*;

    /// A kitchen install whose compile is on receiver 1 over link 1, where it is bundled.
    fn started() -> (Shop, JobId, JobId, LinkId) {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
        shop.lines();
        (shop, compile, flash, link)
    }

    /// The same, accepted by the receiver.
    fn accepted() -> (Shop, JobId, LinkId, WireJobId) {
        let (mut shop, compile, _, link) = started();
        let wire = shop.building_on(&compile, link);
        shop.lines();
        (shop, compile, link, wire)
    }

    // Covers: M44, M54
    #[test]
    fn a_remote_build_goes_all_the_way_and_then_its_flash_runs_here() {
        let (mut shop, compile, flash, link) = started();
        shop.bundled(&compile);
        assert_eq!(shop.acts(), ["upload link-1 w1 compile kitchen.yaml"]);
        let w1 = shop.wire(1);
        assert_eq!(shop.work.log_of(link, &w1), Some(compile.clone()));
        shop.accepted(link, 1);
        shop.state(link, &w1, JobStatus::Queued);
        assert!(shop.job(&compile).reason.contains("R1: queued there"));
        shop.state(link, &w1, JobStatus::Running);
        assert!(shop.job(&compile).reason.contains("R1: works on it"));
        shop.state(link, &w1, JobStatus::Completed);
        assert_eq!(shop.acts(), ["download link-1 w1"]);
        assert_eq!(shop.status(&compile), JobStatus::Running);
        let blob = shop.blob();
        shop.happens(Event::Downloaded(link, w1, Ok(blob)));
        assert_eq!(shop.acts(), ["materialise j1 kitchen.yaml"]);
        assert_eq!(shop.status(&compile), JobStatus::Running);
        shop.happens(Event::Materialised(compile.clone(), Ok(())));
        assert_eq!(shop.status(&compile), JobStatus::Completed);
        assert_eq!(shop.job(&compile).exit_code, Some(0));
        assert_eq!(shop.acts(), ["flash j2 kitchen.yaml Ota"]);
        assert_eq!(shop.status(&flash), JobStatus::Running);
    }

    // Covers: M47
    #[test]
    fn the_header_says_what_to_build_with_which_version() {
        let mut shop = Shop::open();
        shop.receiver(1);
        let mut work = Work::new(1);
        let (compile, _) = shop.install("kitchen", BuildChoice::Auto);
        std::mem::swap(&mut work, &mut shop.work);
        let blob = shop.blob();
        let facts = BundleFacts {
            blob,
            bytes: 32_769,
            sha256: "ab".to_owned(),
        };
        work.handle(Event::BundleMade(compile, Ok(facts)), shop.now);
        let header = std::iter::from_fn(|| work.poll_effect()).find_map(|e| match e {
            crate::Effect::Work(Effect::Upload(_, header, _)) => Some(header),
            _ => None,
        });
        let header = header.unwrap();
        assert_eq!(header.target, "compile");
        assert_eq!(header.configuration_filename, "kitchen.yaml");
        assert_eq!((header.total_bundle_bytes, header.num_chunks), (32_769, 2));
        let version = header.target_esphome_version.unwrap();
        assert_eq!(version.as_str(), "2026.10.0");
        assert!(header.skip_bootloader, "an OTA flash needs none");
    }

    // Covers: M45, R-48
    #[test]
    fn frames_of_other_receivers_ids_and_attempts_are_ignored() {
        let (mut shop, compile, _, w1) = accepted();
        let other = shop.receiver(2);
        shop.state(other, &w1, JobStatus::Completed);
        shop.state(LinkId(1), &wire("unknown"), JobStatus::Failed);
        shop.state(LinkId(77), &w1, JobStatus::Failed);
        assert_eq!(shop.status(&compile), JobStatus::Running);
        assert!(shop.acts().is_empty());
        assert_eq!(shop.work.log_of(other, &w1), None);
    }

    // Covers: M46
    #[test]
    fn a_bundle_that_no_receiver_takes_is_not_sent() {
        let (mut shop, compile, _, _) = started();
        shop.bundled_with(&compile, 134_217_729);
        assert_eq!(shop.status(&compile), JobStatus::Failed);
        assert!(shop.error(&compile).contains("128 MiB"));
        assert!(shop.acts().is_empty());
        let again = shop.compile("kitchen", BuildChoice::Auto);
        shop.bundled_with(&again, 134_217_728);
        assert_eq!(shop.lines_of("upload").len(), 1);
    }

    #[test]
    fn a_bundle_that_cannot_be_made_fails_the_job_with_the_tools_words() {
        let (mut shop, compile, flash, _) = started();
        let error = Err(step_failed("secret wifi_password not defined"));
        shop.happens(Event::BundleMade(compile.clone(), error));
        assert_eq!(shop.error(&compile), "secret wifi_password not defined");
        assert_eq!(shop.status(&flash), JobStatus::Cancelled);
    }

    // Covers: M48
    #[test]
    fn a_cancel_while_bundling_sends_nothing() {
        let (mut shop, compile, _, _) = started();
        shop.cancel(&compile);
        assert_eq!(shop.acts(), ["stop j1"]);
        shop.bundled(&compile);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        assert!(shop.acts().is_empty());
    }

    // Covers: M49, O-29
    #[test]
    fn a_cancel_while_it_builds_sends_one_frame_and_waits_for_the_answer() {
        let (mut shop, compile, link, w1) = accepted();
        shop.cancel(&compile);
        shop.cancel(&compile);
        assert_eq!(shop.acts(), ["link-1 cancel w1"]);
        assert_eq!(shop.status(&compile), JobStatus::Running);
        shop.state(link, &w1, JobStatus::Cancelled);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    }

    // Covers: M28, M49
    #[test]
    fn a_cancel_beats_the_receivers_outcome_and_the_lost_link() {
        for status in [JobStatus::Completed, JobStatus::Failed] {
            let (mut shop, compile, link, w1) = accepted();
            shop.cancel(&compile);
            shop.state(link, &w1, status);
            assert_eq!(shop.status(&compile), JobStatus::Cancelled);
            assert_eq!(shop.acts(), ["link-1 cancel w1"], "nothing is downloaded");
        }
        let (mut shop, compile, link, w1) = accepted();
        shop.cancel(&compile);
        let provision = Some(FailureReason::Provision);
        shop.state_with(link, &w1, JobStatus::Failed, "", provision);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        let (mut shop, compile, link, _) = accepted();
        shop.cancel(&compile);
        shop.hang_up(1, link);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    }

    // Covers: M50, O-29
    #[test]
    fn a_cancel_without_a_link_ends_at_once() {
        let (mut shop, compile, link, w1) = accepted();
        shop.state(link, &w1, JobStatus::Completed);
        shop.hang_up(1, link);
        shop.lines();
        shop.cancel(&compile);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        assert!(shop.acts().is_empty());

        let (mut shop, compile, link, _) = accepted();
        shop.hang_up(1, link);
        shop.lines();
        shop.cancel(&compile);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        assert!(shop.acts().is_empty());
    }

    #[test]
    fn an_unanswered_cancel_ends_after_half_a_minute() {
        let (mut shop, compile, link, w1) = accepted();
        shop.cancel(&compile);
        shop.pass(29);
        assert_eq!(shop.status(&compile), JobStatus::Running);
        shop.pass(1);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        shop.state(link, &w1, JobStatus::Completed);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    }

    #[test]
    fn a_cancel_during_the_upload_ends_here_and_is_passed_on_with_the_ack() {
        let (mut shop, compile, _, link) = started();
        shop.bundled(&compile);
        shop.lines();
        shop.cancel(&compile);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        // The next submission waits until the link is free of this one.
        let next = shop.compile("bath", BuildChoice::Auto);
        shop.bundled(&next);
        assert_eq!(shop.acts(), ["bundle j3 bath.yaml"]);
        shop.accepted(link, 1);
        assert_eq!(
            shop.acts(),
            ["upload link-1 w2 compile bath.yaml", "link-1 cancel w1"]
        );
    }

    #[test]
    fn a_cancel_during_the_download_drops_what_comes() {
        let (mut shop, compile, link, w1) = accepted();
        shop.state(link, &w1, JobStatus::Completed);
        shop.cancel(&compile);
        shop.lines();
        shop.delivered(&compile, link, 1);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        assert!(shop.acts().is_empty());
    }

    // Covers: M51, O-24
    #[test]
    fn every_attempt_has_a_wire_id_of_its_own_and_old_ones_say_nothing() {
        let (mut shop, compile, link, w1) = accepted();
        shop.hang_up(1, link);
        let again = shop.connect(1, 9);
        let w2 = shop.building_on(&compile, again);
        assert_ne!(w1, w2);
        // The receiver supersedes the old build and says so, under its old id.
        shop.state(again, &w1, JobStatus::Cancelled);
        assert_eq!(shop.status(&compile), JobStatus::Running);
        shop.lines();
        shop.state(again, &w2, JobStatus::Completed);
        assert_eq!(shop.acts(), ["download link-9 w2"]);
    }

    // Covers: M52
    #[test]
    fn a_link_that_dropped_and_healed_before_the_submission_is_no_loss() {
        let (mut shop, compile, _, link) = started();
        shop.hang_up(1, link);
        shop.connect(1, 9);
        shop.bundled(&compile);
        assert_eq!(shop.acts(), ["upload link-9 w1 compile kitchen.yaml"]);
        shop.accepted(LinkId(9), 1);
        assert_eq!(shop.status(&compile), JobStatus::Running);
        assert!(!shop.notes.iter().any(|(_, n)| n.contains("lost")));
    }

    #[test]
    fn a_submission_waits_a_moment_for_its_link() {
        let (mut shop, compile, _, link) = started();
        shop.hang_up(1, link);
        shop.bundled(&compile);
        shop.pass(5);
        assert!(shop.acts().is_empty());
        shop.connect(1, 9);
        assert_eq!(shop.acts(), ["upload link-9 w1 compile kitchen.yaml"]);
    }

    // Covers: O-28
    #[test]
    fn a_link_lost_while_uploading_or_awaiting_the_ack_routes_again() {
        for acked in [false, true] {
            let (mut shop, compile, _, link) = started();
            shop.bundled(&compile);
            let w1 = shop.wire(1);
            if acked {
                shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
            }
            shop.hang_up(1, link);
            if !acked {
                let lost = Err(StepFailure::LinkLost);
                shop.happens(Event::Uploaded(link, w1, lost));
            }
            assert_eq!(shop.status(&compile), JobStatus::Queued);
            assert_eq!(shop.store.last().unwrap().losses, 1);
        }
    }

    #[test]
    fn a_loss_that_is_told_twice_counts_once() {
        let (mut shop, compile, _, link) = started();
        shop.bundled(&compile);
        let w1 = shop.wire(1);
        shop.happens(Event::Uploaded(link, w1, Err(StepFailure::LinkLost)));
        assert_eq!(shop.lines_of("bundle").len(), 1, "the link is still there");
        shop.hang_up(1, link);
        let losses = shop.store.iter().filter(|s| s.job.id == compile);
        assert_eq!(losses.map(|s| s.losses).max(), Some(1));
    }

    // Covers: M53
    #[test]
    fn a_failure_without_text_gets_one() {
        let (mut shop, compile, link, w1) = accepted();
        shop.state(link, &w1, JobStatus::Failed);
        assert_eq!(shop.status(&compile), JobStatus::Failed);
        assert_eq!(
            shop.error(&compile),
            "R1: the build failed there; its output says why"
        );
    }

    // Covers: O-26
    #[test]
    fn an_end_without_a_beginning_is_honoured() {
        let (mut shop, compile, _, link) = started();
        shop.bundled(&compile);
        let w1 = shop.wire(1);
        shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
        shop.lines();
        shop.state(link, &w1, JobStatus::Cancelled);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        assert_eq!(shop.error(&compile), "R1 cancelled it");
    }

    // Covers: O-25
    #[test]
    fn states_before_the_ack_of_a_reset_are_tolerated() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let request = kiln_model::Request::ResetEnvironment(Some(pin(1)));
        let job = shop.ask_jobs(&request).remove(0);
        let w1 = shop.wire(1);
        shop.state(link, &w1, JobStatus::Queued);
        shop.state(link, &w1, JobStatus::Running);
        let verdict = Ok(());
        let job_id = w1.clone();
        shop.says(link, Message::ResetBuildEnvAck { job_id, verdict });
        shop.state(link, &w1, JobStatus::Completed);
        assert_eq!(shop.status(&job), JobStatus::Completed);
        assert_eq!(shop.lines_of("download").len(), 0);
    }

    #[test]
    fn a_refused_reset_fails_with_the_word() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let request = kiln_model::Request::ResetEnvironment(Some(pin(1)));
        let job = shop.ask_jobs(&request).remove(0);
        let message = Message::ResetBuildEnvAck {
            job_id: shop.wire(1),
            verdict: Err(Some(ResetRefusal::Busy)),
        };
        shop.says(link, message);
        assert_eq!(shop.error(&job), "R1 refused it: busy");
    }

    // Covers: O-22
    #[test]
    fn an_ack_that_does_not_come_fails_the_job_without_a_second_submission() {
        let (mut shop, compile, _, link) = started();
        shop.bundled(&compile);
        shop.pass(300);
        assert_eq!(
            shop.status(&compile),
            JobStatus::Running,
            "it still streams"
        );
        let w1 = shop.wire(1);
        shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
        shop.pass(59);
        assert_eq!(shop.status(&compile), JobStatus::Running);
        shop.pass(1);
        assert_eq!(shop.status(&compile), JobStatus::Failed);
        assert_eq!(shop.submissions(), 1);
        shop.lines();
        let verdict = Ok(());
        shop.says(
            link,
            Message::SubmitJobAck {
                job_id: w1,
                verdict,
            },
        );
        assert_eq!(shop.acts(), ["link-1 cancel w1"], "nobody waits for it");
    }

    // Covers: O-23
    #[test]
    fn a_refusal_stops_the_upload_and_its_echoes_are_ignored() {
        let (mut shop, compile, _, link) = started();
        shop.bundled(&compile);
        shop.lines();
        let refused = |reason| Message::SubmitJobAck {
            job_id: wire(""),
            verdict: Err(Some(reason)),
        };
        let with_id = |message, id: &WireJobId| match message {
            Message::SubmitJobAck { verdict, .. } => Message::SubmitJobAck {
                job_id: id.clone(),
                verdict,
            },
            other => other,
        };
        let w1 = shop.wire(1);
        shop.says(link, with_id(refused(SubmitRefusal::InvalidHeader), &w1));
        assert_eq!(shop.acts(), ["stop upload link-1 w1"]);
        assert_eq!(shop.error(&compile), "R1 refused it: invalid_header");
        shop.says(link, with_id(refused(SubmitRefusal::NoInflightSubmit), &w1));
        shop.says(link, with_id(refused(SubmitRefusal::NoInflightSubmit), &w1));
        assert!(shop.acts().is_empty());
        let next = shop.compile("bath", BuildChoice::Auto);
        shop.bundled(&next);
        assert_eq!(
            shop.lines_of("upload").len(),
            0,
            "chunks are still on the way"
        );
        let stopped = Err(StepFailure::Cancelled);
        shop.happens(Event::Uploaded(link, w1, stopped));
        assert_eq!(shop.lines_of("upload").len(), 1);
    }

    // Covers: O-21
    #[test]
    fn uploads_to_one_receiver_wait_for_each_other() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let jobs = shop.clean("kitchen");
        let compile = shop.compile("bath", BuildChoice::Auto);
        shop.lines();
        shop.bundled(&jobs[1]);
        shop.bundled(&compile);
        assert_eq!(shop.acts(), ["upload link-1 w1 clean kitchen.yaml"]);
        let w1 = shop.wire(1);
        shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
        assert!(shop.acts().is_empty(), "until the verdict");
        let verdict = Ok(());
        shop.says(
            link,
            Message::SubmitJobAck {
                job_id: w1,
                verdict,
            },
        );
        assert_eq!(shop.acts(), ["upload link-1 w2 compile bath.yaml"]);
    }

    #[test]
    fn a_remote_clean_completes_without_a_download_and_fails_with_its_link() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let first = shop.clean("kitchen").remove(1);
        let w1 = shop.building_on(&first, link);
        shop.lines();
        shop.state(link, &w1, JobStatus::Completed);
        assert_eq!(shop.status(&first), JobStatus::Completed);
        let second = shop.clean("bath").remove(1);
        shop.building_on(&second, link);
        shop.hang_up(1, link);
        assert_eq!(shop.status(&second), JobStatus::Failed);
        assert_eq!(shop.lines_of("download").len(), 0);
    }

    #[test]
    fn a_remote_clean_holds_no_lane() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let jobs = shop.clean("kitchen");
        shop.succeeds(&jobs[0]);
        shop.building_on(&jobs[1], link);
        assert_eq!(shop.work.queue_status(), QueueStatus::of(false, 0));
    }

    #[test]
    fn a_download_is_tried_once_more_after_a_reconnect() {
        let (mut shop, compile, link, w1) = accepted();
        shop.state(link, &w1, JobStatus::Completed);
        shop.lines();
        let lost = Err(DownloadFailure::LinkLost);
        shop.happens(Event::Downloaded(link, w1.clone(), lost));
        assert!(shop.acts().is_empty(), "not over the dying link");
        shop.hang_up(1, link);
        let again = shop.connect(1, 9);
        assert_eq!(shop.acts(), ["download link-9 w1"]);
        shop.delivered(&compile, again, 1);
        assert_eq!(shop.status(&compile), JobStatus::Completed);
    }

    #[test]
    fn a_receiver_that_forgot_the_build_or_stays_away_loses_it() {
        let (mut shop, compile, link, w1) = accepted();
        shop.state(link, &w1, JobStatus::Completed);
        shop.hang_up(1, link);
        let again = shop.connect(1, 9);
        let forgot = Some(ArtifactsRefusal::UnknownJob);
        let refused = Err(DownloadFailure::Refused(forgot, Sentence::default()));
        shop.happens(Event::Downloaded(again, w1, refused));
        assert_eq!(shop.lines_of("bundle"), ["bundle j1 kitchen.yaml"]);
        assert_eq!(shop.status(&compile), JobStatus::Running);

        let (mut shop, compile, link, w1) = accepted();
        shop.state(link, &w1, JobStatus::Completed);
        shop.hang_up(1, link);
        shop.pass(20);
        assert_eq!(shop.status(&compile), JobStatus::Queued);
    }

    // Covers: O-30, O-31
    #[test]
    fn firmware_that_does_not_come_right_fails_the_job() {
        let refused = DownloadFailure::Refused(
            Some(ArtifactsRefusal::PackFailed),
            "platform HOST unknown".into(),
        );
        for (failure, words) in [
            (refused, "platform HOST unknown"),
            (
                DownloadFailure::Refused(None, Sentence::default()),
                "no reason",
            ),
            (DownloadFailure::Invalid("hash".into()), "broken"),
            (DownloadFailure::Disk("full".into()), "full"),
        ] {
            let (mut shop, compile, link, w1) = accepted();
            shop.state(link, &w1, JobStatus::Completed);
            shop.happens(Event::Downloaded(link, w1, Err(failure)));
            assert_eq!(shop.status(&compile), JobStatus::Failed);
            assert!(shop.error(&compile).contains(words), "{words}");
        }
    }

    // Covers: M54
    #[test]
    fn firmware_that_does_not_fit_fails_the_job_and_flashes_nothing() {
        let (mut shop, compile, flash, link) = started();
        let w1 = shop.building_on(&compile, link);
        shop.state(link, &w1, JobStatus::Completed);
        let blob = shop.blob();
        shop.happens(Event::Downloaded(link, w1, Ok(blob)));
        let error = Err(step_failed("platformio.ini is missing"));
        shop.happens(Event::Materialised(compile.clone(), error));
        assert_eq!(shop.error(&compile), "platformio.ini is missing");
        assert_eq!(shop.status(&flash), JobStatus::Cancelled);
    }

    #[test]
    fn artifacts_wait_for_the_build_tree() {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let (first, flash) = shop.install("kitchen", BuildChoice::Local);
        shop.succeeds(&first);
        let second = shop.compile("kitchen", BuildChoice::Auto);
        let w1 = shop.building_on(&second, link);
        shop.state(link, &w1, JobStatus::Completed);
        let blob = shop.blob();
        shop.lines();
        shop.happens(Event::Downloaded(link, w1, Ok(blob)));
        assert!(
            shop.acts().is_empty(),
            "the superseded flash still reads it"
        );
        shop.ends(&flash, failed("killed"));
        assert_eq!(shop.lines_of("materialise").len(), 1);
    }

    #[test]
    fn a_receiver_that_clings_to_an_old_upload_is_left_and_dialled_again() {
        let (mut shop, compile, _, link) = started();
        shop.bundled(&compile);
        shop.lines();
        let w1 = shop.wire(1);
        shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
        let message = Message::SubmitJobAck {
            job_id: w1,
            verdict: Err(Some(SubmitRefusal::DuplicateSubmit)),
        };
        shop.says(link, message);
        assert_eq!(
            shop.acts(),
            ["link-1 terminate client_stopped", "bundle j1 kitchen.yaml"]
        );
        shop.hang_up(1, link);
        shop.connect(1, 9);
        shop.bundled(&compile);
        assert_eq!(shop.acts(), ["upload link-9 w2 compile kitchen.yaml"]);
    }
}
