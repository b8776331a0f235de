//! The receiver side: what offloaders ask of this machine (builds.md §5).
//!
//! A submission is a promise: it is durable before it is acknowledged and ends in exactly one outcome.
//! An outcome that comes while its sender is away is not told later (peer-link.md §5.3): every sender
//! gives up with its session, and a reference peer may mean a newer job by the same id.
//! What we do not want to build is accepted and handed back with the category `provision`, because every other
//! refusal shows the sender's user a failed install; with this one its dashboard builds itself.
mod postponed;
mod submissions;
mod transfers;
mod unpacking;

use kiln_model::{
    JobId, JobKind, JobOrigin, JobStatus, Label, LinkId, Message, Now, Pin, ResetRefusal,
    WireJobId, say,
};

pub(super) use self::transfers::Transfers;
use super::jobs::{Entry, Step, Voice, new_job};
use super::{Stage, Work};
use crate::Role;

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
        if working || !self.transfers.is_quiet() || !self.settings.receiver {
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

#[cfg(test)]
mod tests;
