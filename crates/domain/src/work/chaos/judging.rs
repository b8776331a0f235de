//! What must be true, whatever happened.
use std::collections::BTreeSet;

use kiln_model::{
    JobId, JobKind, JobOrigin, JobStatus, LinkId, Message, Pin, Placement, QueueStatus, WireJobId,
};

use super::actions::Parting;
use super::{OFFLOADERS, Op, Verdict, World};
use crate::work::{Drive, StoredJob};
use crate::{InTheWay, Lending, Occupancy, Role, Stance};

impl World {
    /// Counts what runs in the lane. Before a sleep a build is over before its process is.
    pub(super) fn in_lane(&self) -> usize {
        let lane = |op: &&Op| match op {
            Op::Build(id) | Op::Provision(id) => !self.ends.contains_key(id),
            _ => false,
        };
        self.ops.iter().filter(lane).count()
    }

    /// A job of this offloader whose bundle is being unpacked, or is and waits; not counting one that
    /// waits until its last result is fetched.
    pub(super) fn ahead_of(&self, pin: Pin) -> Option<&StoredJob> {
        let unpacking = self.ops.iter().filter_map(|op| match op {
            Op::Prepare(id) => Some(id),
            _ => None,
        });
        let all = self.unpacked.iter().chain(unpacking);
        let mut alive = all.filter_map(|id| self.store.get(id).filter(|_| !self.is_over(id)));
        let is_from = |stored: &StoredJob, link: Option<&LinkId>, wire: Option<&WireJobId>| {
            matches!(&stored.job.origin, JobOrigin::Offloader { pin: from, wire_job_id, .. }
                if *from == pin && wire.is_none_or(|wire| wire == wire_job_id))
                && link.is_none_or(|link| self.links.contains_key(link))
        };
        let served = |stored: &StoredJob| {
            self.ops.iter().any(|op| match op {
                Op::Serve(link, wire) => self.store.values().any(|other| {
                    is_from(other, Some(link), Some(wire))
                        && other.job.configuration == stored.job.configuration
                }),
                _ => false,
            })
        };
        alive.find(|stored| is_from(stored, None, None) && !served(stored))
    }

    fn is_over(&self, id: &JobId) -> bool {
        self.ends.contains_key(id)
    }

    /// A build or clean of somebody else that the machine runs or prepares to.
    pub(super) fn build_for_others(&self) -> Option<&JobId> {
        self.ops.iter().find_map(|op| match op {
            Op::Build(id) | Op::Provision(id) => {
                let job = &self.store.get(id)?.job;
                let foreign = matches!(job.origin, JobOrigin::Offloader { .. });
                let alive = !job.status.is_final();
                let runs_programs = matches!(job.kind, JobKind::Compile | JobKind::Clean);
                (foreign && alive && runs_programs).then_some(id)
            }
            _ => None,
        })
    }

    /// What is handed back is not unpacked first, to be built here for nobody.
    pub(super) fn judge_unpacking(&self) {
        let lasts = matches!(self.lending.stance, Stance::Lasting | Stance::Long);
        for op in &self.ops {
            if let Op::Prepare(id) = op
                && !self.is_over(id)
                && self.store[id].job.kind == JobKind::Compile
            {
                assert!(self.settings.receiver && !lasts, "{id} is unpacked");
            }
        }
    }

    /// The owner's needs come first, and what they do not touch goes on.
    pub(super) fn judge_yielding(&self, before: Option<&JobId>) {
        let Some(id) = self.build_for_others() else {
            return;
        };
        let driven = self.driven.get(id).copied().unwrap_or(Drive::Full);
        let leaves = self.stopping.contains(id);
        let stored = &self.store[id];
        let is_build = stored.job.kind == JobKind::Compile;
        let Lending {
            stance, in_the_way, ..
        } = self.lending;
        let receives = self.settings.receiver;
        let lends = receives && stance == Stance::Open && in_the_way == InTheWay::No;
        let lasts = !receives || matches!(stance, Stance::Lasting | Stance::Long);
        if before != Some(id) {
            assert!(lends || !is_build && lasts, "it was begun");
        }
        assert!(
            is_build || !leaves || stored.cancel_requested,
            "a clean is handed back"
        );
        match in_the_way {
            _ if leaves => {}
            InTheWay::No => match self.lending.occupancy {
                Occupancy::Idle => assert_eq!(driven, Drive::Full, "held for nobody"),
                Occupancy::InUse => assert_eq!(driven, Drive::Gentle),
            },
            InTheWay::Briefly(_) => assert_ne!(driven, Drive::Full),
            InTheWay::Still(_) if !is_build => assert_ne!(driven, Drive::Full),
            InTheWay::Still(_) => {
                assert_eq!(driven, Drive::Stopped);
                assert!(receives, "held by a receiver that is switched off");
            }
        }
    }

    pub(super) fn keep(&mut self, stored: StoredJob) {
        let id = stored.job.id.clone();
        if !self.order.contains(&id) {
            self.order.push(id.clone());
        }
        let status = stored.job.status;
        if stored.job.deferred {
            assert_eq!(status, JobStatus::Queued);
            self.flashed.remove(&id);
        }
        if status.is_final() {
            let end = self.ends.entry(id.clone()).or_insert(status);
            assert_eq!(*end, status, "two final states");
        } else {
            assert!(!self.ends.contains_key(&id), "a final job lives again");
        }
        if stored.cancel_requested && status.is_final() {
            assert_eq!(status, JobStatus::Cancelled, "a cancel lost");
        }
        if stored.job.kind == JobKind::Clean && !matches!(stored.job.origin, JobOrigin::Owner) {
            let reason = stored.job.failure_reason;
            assert_eq!(reason, None, "a clean that is handed back shows as failed");
        }
        match status {
            JobStatus::Completed => {
                self.completed.insert(id.clone());
            }
            JobStatus::Failed | JobStatus::Cancelled => {
                assert!(stored.job.error.as_ref().is_some_and(|e| !e.is_empty()));
            }
            JobStatus::Queued | JobStatus::Running => {}
        }
        self.store.insert(id, stored);
    }

    pub(super) fn sent(&mut self, link: LinkId, message: Message) {
        let (who, role) = self.links.get(&link).expect("sent over a dead link");
        let counts = match message {
            Message::JobStateChanged { job_id, status, .. } if status.is_final() => {
                self.told.entry((*who, job_id))
            }
            Message::SubmitJobAck {
                job_id,
                verdict: Ok(()),
            }
            | Message::ResetBuildEnvAck {
                job_id,
                verdict: Ok(()),
            } => {
                let key = (*who, job_id);
                // From now on it is there.
                self.missed.remove(&key);
                self.accepted.entry(key)
            }
            Message::ResetBuildEnv { job_id } => {
                return self.far.push((link, job_id, Verdict::Open));
            }
            Message::Terminate(_) => return self.ending.push(link),
            Message::QueueStatus(status) => {
                self.said.insert(link, status);
                return;
            }
            _ => return,
        };
        assert_ne!(*role, Role::Offloader, "told to a receiver");
        *counts.or_default() += 1;
    }

    /// What must be true after every event.
    pub(super) fn judge(&mut self) {
        for link in std::mem::take(&mut self.ending) {
            if let Some((who, _)) = self.links.get(&link) {
                self.hang_up(link, *who, Parting::Told);
            }
        }
        let jobs = self.work.jobs();
        let running = self.in_lane() > 0;
        let QueueStatus {
            idle,
            running: says,
            queue_depth,
            absence,
        } = self.work.queue_status();
        assert_eq!(says, running, "the queue status lies");
        let free = absence.is_none() && self.lending.in_the_way == InTheWay::No;
        assert_eq!(idle, !running && queue_depth == 0 && free);
        for (link, (who, _)) in &self.links {
            if OFFLOADERS.contains(who) {
                let said = self.said.get(link);
                assert_eq!(
                    said,
                    Some(&self.work.queue_status()),
                    "somebody was not told"
                );
            }
        }
        let mut servers = BTreeSet::new();
        for job in &jobs {
            let stored = self.store.get(&job.id);
            let stored = stored.expect("a job that is shown is kept");
            assert_eq!(stored.job.status, job.status, "kept and shown differ");
            if let (JobKind::Compile, JobStatus::Running, Placement::Remote { pin, .. }) =
                (job.kind, job.status, &job.placement)
            {
                assert!(servers.insert(*pin), "two compiles of ours on one receiver");
            }
            let waits = job.status == JobStatus::Queued && !running;
            let is_foreign = !matches!(job.origin, JobOrigin::Owner);
            if waits && is_foreign && job.kind == JobKind::Compile && !free {
                assert_ne!(job.reason, kiln_model::say::waits_for_lane());
            }
            if job.is_flash() {
                assert!(self.flashed.contains(&job.id));
            }
        }
        for (key, finals) in &self.told {
            let accepted = self.accepted.get(key).copied().unwrap_or(0);
            assert!(*finals <= accepted, "{key:?} ended {finals} times");
        }
        for answers in self.requests.values() {
            assert!(*answers <= 1, "a request is answered twice");
        }
    }
}
