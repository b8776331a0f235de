//! [`Jobs`]: the job table. What exactly happens to a job is its [`Step`], the single source of
//! truth from which lanes, pool and queue status are derived; a job is never tracked twice.
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use indexmap::IndexMap;
use kiln_model::{
    Bootloader, ConfigurationName, JobId, JobKind, JobOrigin, JobStatus, Mono, Now, Pin, Placement,
    Sentence, Timestamp, WireJobId, say,
};

use super::effect::StoredJob;
use super::remote::Run;
use super::yielding::Hold;

/// Final compiles and uploads kept, in fair shares (builds.md §2.12).
const PRIMARY_HISTORY: usize = 500;
/// The same of cleans and resets (builds.md §2.12).
const OTHER_HISTORY: usize = 5;

/// All jobs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    table: IndexMap<JobId, Entry>,
}

/// One job with what is known of it beyond the store.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stored: StoredJob,
    pub(super) step: Step,
    /// Whether its sender hears of it.
    pub(super) voice: Voice,
    /// What a cancelled job says, once somebody asked.
    pub(super) cancelled_because: Sentence,
    /// How its build is treated, if it is somebody else's and runs.
    pub(super) hold: Hold,
    /// When work on it began, in this run.
    pub(super) began: Option<Mono>,
    /// For how long since then its build stood still, or the computer slept.
    pub(super) stood: Duration,
    /// How often it was taken up again at a receiver over a newer link, in this run.
    pub(super) taken_up: u8,
}

/// Whether a sender hears of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// On whichever session it has at the time.
    Heard,
    /// No more: it was told the outcome, is forgotten, or means a newer job by the same id.
    Muted,
}

/// What exactly happens to a job right now. A restart derives it from the stored job.
#[derive(Debug)]
pub(super) enum Step {
    /// Received: its bundle waits to be unpacked.
    Arrived,
    /// Received: its bundle is being unpacked.
    Unpacking,
    /// Waits in the compile lane.
    Lane,
    /// Holds the compile lane while its ESPHome version is installed.
    Provisioning,
    /// Holds the compile lane.
    Building,
    /// Waits for a receiver. With a patience it does not go local, or fail, before that moment.
    Pool(Option<Mono>),
    /// A receiver works on it.
    Remote(Run),
    /// Waits for its prerequisite.
    Held,
    /// A flash that waits for its device to come online.
    Away,
    /// Waits in the upload lane.
    FlashLane,
    /// Holds an upload slot.
    Flashing,
    /// Final.
    Over,
}

impl Step {
    /// Holds the compile lane.
    pub(super) fn holds_lane(&self) -> bool {
        matches!(self, Step::Provisioning | Step::Building)
    }
}

impl Entry {
    pub(super) fn new(stored: StoredJob, step: Step) -> Self {
        Self {
            stored,
            step,
            voice: Voice::Heard,
            cancelled_because: say::cancelled(),
            hold: Hold::Free,
            began: None,
            stood: Duration::ZERO,
            taken_up: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.step, Step::Over)
    }

    /// Returns the configuration; `None` for a reset.
    pub(super) fn configuration(&self) -> Option<ConfigurationName> {
        self.stored.job.configuration.parse().ok()
    }

    /// Returns the offloader and its id for the job; `None` for the owner's.
    pub(super) fn sender(&self) -> Option<(Pin, &WireJobId)> {
        match &self.stored.job.origin {
            JobOrigin::Owner => None,
            JobOrigin::Offloader {
                pin, wire_job_id, ..
            } => Some((*pin, wire_job_id)),
        }
    }

    /// Returns whether this is the owner's.
    pub(super) fn is_owners(&self) -> bool {
        self.sender().is_none()
    }

    pub(super) fn is(&self, kind: JobKind) -> bool {
        self.stored.job.kind == kind
    }

    /// Returns the run, if a receiver works on it.
    pub(super) fn run(&self) -> Option<&Run> {
        match &self.step {
            Step::Remote(run) => Some(run),
            _ => None,
        }
    }

    /// Returns the run, if a receiver works on it.
    pub(super) fn run_mut(&mut self) -> Option<&mut Run> {
        match &mut self.step {
            Step::Remote(run) => Some(run),
            _ => None,
        }
    }

    /// Work begins.
    pub(super) fn mark_running(&mut self, now: Now) {
        self.stored.job.status = JobStatus::Running;
        self.stored.job.started_at = Some(now.wall);
        self.began = Some(now.mono);
        self.stood = Duration::ZERO;
    }

    /// Forgets what one attempt left behind; the job is queued again (builds.md §2.3).
    pub(super) fn clear_run_state(&mut self) {
        self.began = None;
        let job = &mut self.stored.job;
        job.status = JobStatus::Queued;
        job.started_at = None;
        job.completed_at = None;
        job.exit_code = None;
        job.error = None;
        job.failure_reason = None;
        job.progress = None;
        self.stored.attempt = None;
    }

    /// Back to "some receiver, not yet chosen".
    pub(super) fn revert_to_pending_remote(&mut self) {
        self.clear_run_state();
        self.stored.job.placement = Placement::RemotePending;
    }

    /// Jobs of which only the newest final one is kept, and the newest that completed.
    fn history_key(&self) -> (Option<Pin>, &str, JobKind) {
        let job = &self.stored.job;
        (self.sender().map(|s| s.0), &job.configuration, job.kind)
    }
}

impl Jobs {
    pub(super) fn insert(&mut self, entry: Entry) {
        self.table.insert(entry.stored.job.id.clone(), entry);
    }

    pub(super) fn get(&self, id: &JobId) -> Option<&Entry> {
        self.table.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &JobId) -> Option<&mut Entry> {
        self.table.get_mut(id)
    }

    pub(super) fn contains(&self, id: &JobId) -> bool {
        self.table.contains_key(id)
    }

    /// Returns all jobs, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&JobId, &Entry)> {
        self.table.iter()
    }

    /// Returns the jobs that are not final, oldest first.
    pub(super) fn active(&self) -> impl Iterator<Item = (&JobId, &Entry)> {
        self.table.iter().filter(|(_, e)| !e.is_over())
    }

    /// Returns the ids of the active jobs that fit, so that the table can be changed meanwhile.
    pub(super) fn ids(&self, fits: impl Fn(&Entry) -> bool) -> Vec<JobId> {
        let fitting = self.active().filter(|(_, e)| fits(e));
        fitting.map(|(id, _)| id.clone()).collect()
    }

    /// Returns the newest job that an offloader knows by this id.
    pub(super) fn received(&self, pin: Pin, wire: &WireJobId) -> Option<(&JobId, &Entry)> {
        let mut newest = self.table.iter().rev();
        newest.find(|(_, e)| e.sender() == Some((pin, wire)))
    }

    /// Returns whether a job that an offloader knew by this id before the newest one completed.
    pub(super) fn completed_before(&self, pin: Pin, wire: &WireJobId) -> bool {
        let newest = self.table.values().rev();
        let mut of_id = newest.filter(|e| e.sender() == Some((pin, wire))).skip(1);
        of_id.any(|e| e.stored.job.status == JobStatus::Completed)
    }

    /// Drops final jobs that history does not keep, after `id` became final; returns the dropped.
    pub(super) fn prune(&mut self, id: &JobId) -> Vec<JobId> {
        let Some(newest) = self.table.get(id) else {
            return Vec::new();
        };
        let primary = is_primary(newest);
        let key = newest.history_key();
        let forgettable = |e: &Entry| e.is_over() && is_primary(e) == primary;
        let mut drop: Vec<JobId> = Vec::new();
        if primary {
            let alike = |(other, e): &(&JobId, &Entry)| {
                *other != id && forgettable(e) && e.history_key() == key
            };
            let is_done = |e: &Entry| e.stored.job.status == JobStatus::Completed;
            // What did not go well does not make forgotten when it last did, and how long that took. Of
            // senders it is forgotten: there is one tree of a device, and it is the newest's.
            let mut keeps_last = newest.is_owners() && !is_done(newest);
            for (other, entry) in self.table.iter().rev().filter(alike) {
                if keeps_last && is_done(entry) {
                    keeps_last = false;
                } else {
                    drop.push(other.clone());
                }
            }
        }
        let keep = if primary {
            PRIMARY_HISTORY
        } else {
            OTHER_HISTORY
        };
        // The oldest of whoever has most goes first, so that nobody pushes out what others did.
        let mut shares: BTreeMap<Option<Pin>, VecDeque<(usize, JobId)>> = BTreeMap::new();
        let rest = self.table.iter().enumerate();
        let rest = rest.filter(|(_, (other, e))| forgettable(e) && !drop.contains(other));
        for (at, (other, entry)) in rest {
            let sender = entry.sender().map(|(pin, _)| pin);
            let share = shares.entry(sender).or_default();
            share.push_back((at, other.clone()));
        }
        let kept: usize = shares.values().map(VecDeque::len).sum();
        for _ in keep..kept {
            let most = |share: &&mut VecDeque<(usize, JobId)>| {
                let oldest = share.front().map(|(at, _)| *at);
                (share.len(), Reverse(oldest))
            };
            let largest = shares.values_mut().max_by_key(most);
            drop.extend(largest.and_then(VecDeque::pop_front).map(|(_, id)| id));
        }
        for other in &drop {
            self.table.shift_remove(other);
        }
        drop
    }
}

fn is_primary(entry: &Entry) -> bool {
    match entry.stored.job.kind {
        JobKind::Compile | JobKind::Upload => true,
        JobKind::Clean | JobKind::ResetBuildEnv => false,
    }
}

/// Makes a stored job in its first state.
pub(super) fn new_job(
    id: JobId,
    kind: JobKind,
    configuration: &str,
    device_name: &str,
    now: Timestamp,
) -> StoredJob {
    StoredJob {
        job: kiln_model::Job {
            id,
            kind,
            configuration: configuration.to_owned(),
            device_name: device_name.to_owned(),
            origin: JobOrigin::Owner,
            placement: Placement::Local,
            status: JobStatus::Queued,
            depends_on: None,
            port: None,
            bootloader: Bootloader::Include,
            target_version: None,
            created_at: now,
            started_at: None,
            completed_at: None,
            exit_code: None,
            error: None,
            failure_reason: None,
            progress: None,
            reason: Sentence::default(),
            deferred: false,
        },
        bundle: None,
        bundle_bytes: 0,
        attempt: None,
        losses: 0,
        only_on: None,
        released: false,
        cancel_requested: false,
    }
}
