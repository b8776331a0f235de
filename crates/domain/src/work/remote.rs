//! The life of a [`Run`]: from its bundle to its artifacts, as links, receivers and the owner have it
//! (builds.md §4).
mod detached;
mod run;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kiln_model::{
    ArtifactsRefusal, BlobId, Bootloader, CloseReason, FailureReason, JobId, JobKind, JobStatus,
    LinkId, MAX_BUNDLE, Message, Mono, Now, Pin, Placement, Sentence, SubmitHeader, SubmitRefusal,
    Target, TerminateReason, WireJobId, say,
};

use super::dispatch::RECONNECT_GRACE;
use super::effect::{Effect, Ending};
use super::event::{BundleFacts, DownloadFailure, StepFailure};
use super::jobs::Step;
use super::outcome::{Outcome, or_else};
use super::{Stage, Work};

use self::detached::is_lost;
pub(super) use self::run::Run;
use self::run::{Phase, Retry};

/// When a link is asked again whether anything was heard on it: by then its next ping is answered.
const NEXT_LOOK: Duration = Duration::from_secs(30);
/// How long the end of a session may follow on the end of a build that it explains.
const LAST_WORD: Duration = Duration::from_secs(5);
/// When a receiver that still sends other artifacts is asked again for ours.
const TURN: Duration = Duration::from_secs(2);
/// Longest wait for the answer to a cancel (builds.md §4.5).
const CANCEL_PATIENCE: Duration = Duration::from_secs(30);

/// What links carry for us beyond the runs that still care.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    /// Chunks are being sent from this blob.
    streaming: BTreeMap<(LinkId, WireJobId), BlobId>,
    /// Nobody waits for this submission any more: if it is accepted, it is cancelled.
    abandoned: BTreeSet<(LinkId, WireJobId)>,
    /// Links over which artifacts come, also such that nobody waits for any more: one at a time.
    fetching: BTreeMap<LinkId, WireJobId>,
    /// Builds that may go on at receivers which are away, and that nobody waits for any more: they are
    /// cancelled when their receivers are back.
    left: VecDeque<(Pin, WireJobId)>,
}

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
        let other = match &placement {
            Placement::Remote {
                esphome_version, ..
            } => esphome_version.clone(),
            Placement::Local | Placement::RemotePending => None,
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
        entry.mark_running(now);
        let is_compile = entry.is(JobKind::Compile);
        if is_compile {
            self.receivers.update(pin, |r| r.ours_in_flight = true);
        }
        self.explain(id, reason);
        if let Some(version) = other.filter(|_| is_compile) {
            let name = self.receiver_name(pin);
            self.note(
                id,
                format!("{name} builds with ESPHome {version}, not with this computer's version"),
            );
        }
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
            Ok(bundle) if bundle.bytes > MAX_BUNDLE => {
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
                Phase::Completed { .. } => self.try_download(&id),
                Phase::Detached { .. } => self.take_up_again(&id),
                Phase::Accepted { .. } => self.try_ask_again(&id),
                Phase::DownloadAgain { .. } => self.try_download_again(&id),
                Phase::Delivered { .. } => self.try_materialise(&id),
                Phase::Bundling
                | Phase::Uploading { .. }
                | Phase::AwaitingAck { .. }
                | Phase::Doubted { .. }
                | Phase::Asking { .. }
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
                run.phase = Phase::awaiting_ack(link, wire.clone(), now.mono);
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
            // Set when it is sent: chunks are as large as the session allows.
            num_chunks: 0,
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
                run.phase = Phase::awaiting_ack(link, wire.clone(), now.mono);
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
                    unheard: None,
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
        self.heard(link, wire);
        let Some((id, run)) = self.run_mut_at(link, wire) else {
            return;
        };
        match run.phase {
            Phase::AwaitingAck { .. } | Phase::Accepted { .. } | Phase::Asking { .. } => {}
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
                self.doubt(&id, outcome, now);
            }
            (JobStatus::Failed, Some(FailureReason::Provision)) => {
                self.cannot_provision(&id, name, error, now);
            }
            (JobStatus::Failed, None) if error.trim().is_empty() => {
                let error = say::failed_there(name, say::build_failed_there());
                self.doubt(&id, Outcome::failed(error), now);
            }
            (JobStatus::Failed, None) => {
                self.finish(&id, Outcome::failed(say::failed_there(name, error)), now);
            }
        }
    }

    /// A reference receiver that is stopped or updated first ends its builds, as cancelled or as failed
    /// without a word, then its sessions. Then nobody meant that end, and the build is routed again.
    fn doubt(&mut self, id: &JobId, outcome: Outcome, now: Now) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let is_known = entry.stored.cancel_requested || !entry.is(JobKind::Compile);
        let bound = entry.run().and_then(Run::bound);
        let bound = bound.map(|(link, wire)| (link, wire.clone()));
        match (bound, entry.run_mut()) {
            (Some((link, wire)), Some(run)) if !is_known => {
                run.phase = Phase::Doubted {
                    link,
                    wire,
                    until: now.mono + LAST_WORD,
                    outcome,
                };
            }
            _ => self.finish(id, outcome, now),
        }
    }

    fn completed_there(&mut self, id: &JobId, link: LinkId, wire: &WireJobId, now: Now) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let download = entry.is(JobKind::Compile) && !entry.stored.cancel_requested;
        match entry.run_mut() {
            Some(run) if download => {
                // It may have been asked for already.
                let asked = matches!(run.phase, Phase::Asking { .. });
                let wire = wire.clone();
                if asked {
                    run.phase = Phase::Downloading { link, wire };
                } else {
                    run.phase = Phase::Completed {
                        link,
                        wire,
                        not_before: None,
                    };
                    self.try_download(id);
                }
            }
            Some(_) | None => self.finish(id, Outcome::Completed, now),
        }
    }

    /// Asks for artifacts, if it is time and none come over that link: those of a run that was cancelled
    /// come to their end, and a second request would be refused.
    fn try_download(&mut self, id: &JobId) {
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        let Phase::Completed {
            link,
            wire,
            not_before: None,
        } = &run.phase
        else {
            return;
        };
        let (link, wire) = (*link, wire.clone());
        if self.uploads.fetching.contains_key(&link) {
            return;
        }
        self.uploads.fetching.insert(link, wire.clone());
        run.phase = Phase::Downloading {
            link,
            wire: wire.clone(),
        };
        self.push(Effect::Download(link, wire));
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
        if self.uploads.fetching.get(&link) == Some(wire) {
            self.uploads.fetching.remove(&link);
        }
        let found = self.run_mut_at(link, wire);
        let awaits =
            |run: &Run| matches!(run.phase, Phase::Downloading { .. } | Phase::Asking { .. });
        let found = found.filter(|(_, run)| awaits(run));
        let Some((id, run)) = found else {
            if let Ok(blob) = result {
                self.push(Effect::DropBlob(blob));
            }
            return;
        };
        let (pin, retry) = (run.pin, run.retry);
        let is_asked = matches!(run.phase, Phase::Asking { .. });
        let failure = match result {
            Ok(blob) => {
                run.phase = Phase::Delivered { blob };
                return;
            }
            Err(failure) if is_asked => return self.asked_in_vain(&id, failure, now),
            Err(failure) => failure,
        };
        let name = self.receiver_name(pin);
        match failure {
            // It was asked for just before it was completed.
            DownloadFailure::Refused(Some(ArtifactsRefusal::JobNotCompleted), _)
                if retry == Retry::Left =>
            {
                self.download_again(&id, None, now);
            }
            DownloadFailure::LinkLost => self.download_again(&id, Some(link), now),
            DownloadFailure::Stalled => self.download_again(&id, None, now),
            DownloadFailure::Refused(Some(ArtifactsRefusal::DuplicateDownload), _) => {
                self.download_later(&id, link, now);
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

    /// The receiver still sends artifacts over an earlier session of ours, which it does not know to be
    /// over (peer-link.md §5.3): it is asked again for a while.
    fn download_later(&mut self, id: &JobId, link: LinkId, now: Now) {
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        let Some((_, wire)) = run.bound() else {
            return;
        };
        let wire = wire.clone();
        let patience = *run.turn_by.get_or_insert(now.mono + RECONNECT_GRACE);
        if patience <= now.mono {
            return self.download_again(id, None, now);
        }
        run.phase = Phase::Completed {
            link,
            wire,
            not_before: Some(now.mono + TURN),
        };
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
        run.phase = Phase::Completed {
            link,
            wire,
            not_before: None,
        };
        self.try_download(id);
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
            Phase::Bundling => self.push(Effect::Stop(id.clone(), Ending::Asked)),
            Phase::Asking { link, wire, .. } => {
                let (link, job_id) = (*link, wire.clone());
                self.send(link, Message::CancelJob { job_id });
                self.finish(id, Outcome::Cancelled(because), now);
            }
            Phase::Accepted { link, wire, .. } => {
                let (link, job_id) = (*link, wire.clone());
                run.cancel_by = Some(now.mono + CANCEL_PATIENCE);
                self.send(link, Message::CancelJob { job_id });
            }
            // Ends when the tree is whole again.
            Phase::Materialising { .. } => {}
            Phase::Ready { .. }
            | Phase::Uploading { .. }
            | Phase::AwaitingAck { .. }
            | Phase::Doubted { .. }
            | Phase::Completed { .. }
            | Phase::Detached { .. }
            | Phase::Downloading { .. }
            | Phase::DownloadAgain { .. }
            | Phase::Delivered { .. } => self.finish(id, Outcome::Cancelled(because), now),
        }
    }

    /// A run is over: what it held is given back.
    pub(super) fn release_receiver(&mut self, id: &JobId, run: Run) {
        let pin = run.pin;
        let entry = self.jobs.get(id);
        let is_cancelled = entry.is_some_and(|e| e.stored.cancel_requested);
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
            Phase::Detached { wire, .. } => self.leave(pin, wire),
            // Its link was lost before the cancel was answered.
            Phase::Accepted { link, wire, .. }
                if is_cancelled && self.links.get(link).is_none() =>
            {
                self.leave(pin, wire);
            }
            Phase::Bundling
            | Phase::Ready { bundle: None, .. }
            | Phase::Accepted { .. }
            | Phase::Doubted { .. }
            | Phase::Completed { .. }
            | Phase::Asking { .. }
            | Phase::Downloading { .. }
            | Phase::DownloadAgain { .. } => {}
        }
        let others = self.jobs.active().filter(|(other, _)| *other != id);
        let compiles = others.filter(|(_, e)| e.is(JobKind::Compile));
        let busy = compiles.filter_map(|(_, e)| e.run()).any(|r| r.pin == pin);
        self.receivers.update(pin, |r| r.ours_in_flight = busy);
    }

    pub(super) fn receiver_down(&mut self, link: LinkId, pin: Pin, why: &CloseReason, now: Now) {
        let state = self.link_state(pin);
        self.update_receiver(pin, now, |r| r.link = state);
        self.uploads.abandoned.retain(|(l, _)| *l != link);
        self.uploads.fetching.remove(&link);
        if self.stage == Stage::Stopping {
            return;
        }
        for id in self.jobs.ids(|e| e.run().is_some_and(|r| r.hangs_on(link))) {
            let Some(run) = self.jobs.get(&id).and_then(|e| e.run()) else {
                continue;
            };
            if let Phase::Completed { .. } | Phase::Downloading { .. } = run.phase {
                self.download_again(&id, Some(link), now);
            } else if is_lost(why) && self.outlives_its_link(&id) {
                self.detach(&id, now);
            } else {
                let why = self.closed_link_of(&id);
                self.lost(&id, why, now);
            }
        }
    }

    pub(super) fn expire_runs(&mut self, now: Now) {
        for id in self.jobs.ids(|e| e.run().is_some()) {
            let Some(run) = self.jobs.get_mut(&id).and_then(|e| e.run_mut()) else {
                continue;
            };
            let due = |at: Mono| at <= now.mono;
            if run.cancel_by.is_some_and(due) {
                self.finish(&id, Outcome::Cancelled(say::cancelled_unconfirmed()), now);
                continue;
            }
            match &mut run.phase {
                Phase::Ready {
                    until: Some(until), ..
                }
                | Phase::DownloadAgain { until, .. }
                    if due(*until) =>
                {
                    let why = self.closed_link_of(&id);
                    self.lost(&id, why, now);
                }
                Phase::Detached { until, .. } if due(*until) => {
                    let why = self.closed_link_of(&id);
                    self.stayed_away(&id, why, now);
                }
                Phase::Accepted {
                    unheard: Some(unheard),
                    ..
                } => {
                    unheard.ask = unheard.ask.filter(|at| !due(*at));
                    if due(unheard.end()) {
                        let why = say::silent_there(self.receiver_name_of(&id));
                        self.lost(&id, why, now);
                    }
                }
                Phase::Doubted { until, outcome, .. } if due(*until) => {
                    let outcome = outcome.clone();
                    self.finish(&id, outcome, now);
                }
                Phase::Completed { not_before, .. } if not_before.is_some_and(due) => {
                    *not_before = None;
                }
                // A receiver that vanished counts as connected until its silence lasts too long.
                Phase::AwaitingAck {
                    link, wire, until, ..
                } if due(*until) => {
                    *until = now.mono + NEXT_LOOK;
                    let look = Effect::LookAtLink(*link, wire.clone());
                    self.push(look);
                }
                _ => {}
            }
        }
    }

    /// Ends a submission that is not answered, if its receiver is there. One that is not ends with its
    /// session, and is routed again.
    pub(super) fn link_looked(&mut self, link: LinkId, wire: &WireJobId, heard: Mono, now: Now) {
        let Some((id, run)) = self.run_mut_at(link, wire) else {
            return;
        };
        let pin = run.pin;
        if let Phase::AwaitingAck { since, .. } = run.phase
            && heard > since
        {
            let error = say::no_answer_in_a_minute(self.receiver_name(pin));
            self.finish(&id, Outcome::failed(error), now);
        }
    }

    fn closed_link_of(&self, id: &JobId) -> Sentence {
        say::lost_connection(self.receiver_name_of(id))
    }

    fn receiver_name_of(&self, id: &JobId) -> Sentence {
        let pin = self.jobs.get(id).and_then(|e| e.run()).map(|r| r.pin);
        pin.map_or_else(Sentence::default, |pin| self.receiver_name(pin))
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
                self.update_receiver(pin, now, |r| r.queue = Some(status));
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
mod tests;
