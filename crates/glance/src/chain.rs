//! [`Chain`]: one thing that the owner started: a build, a flash, or a build with the flash after it.
use std::time::Duration;

use kiln_model::{Job, JobId, JobKind, JobOrigin, JobStatus, Timestamp};

/// The jobs that belong together.
#[derive(Clone, Copy)]
pub(crate) struct Chain<'a> {
    /// The first of them; names the chain.
    pub(crate) first: &'a Job,
    /// The flash that waits for the build.
    flash: Option<&'a Job>,
}

/// How far a chain is.
#[derive(Clone, Copy)]
pub(crate) enum Progress<'a> {
    /// Something is to be done still.
    Going,
    /// Only the device is missing: it is flashed when it comes online.
    Waiting,
    /// All done; with the last job.
    Done(&'a Job),
    /// Ended without result; with the job that failed.
    Failed(&'a Job),
    /// Somebody stopped it.
    Stopped,
}

impl<'a> Chain<'a> {
    /// Returns every build and flash of the owner, in the order of the view.
    pub(crate) fn all(jobs: &'a [Job]) -> Vec<Self> {
        let mine = |job: &&Job| job.origin == JobOrigin::Owner;
        let part = |job: &&Job| matches!(job.kind, JobKind::Compile | JobKind::Upload);
        let own: Vec<&Job> = jobs.iter().filter(mine).filter(part).collect();
        let known = |id: &JobId| own.iter().any(|job| job.id == *id);
        let leads = |job: &&&Job| !job.depends_on.as_ref().is_some_and(known);
        let chain = |first: &&'a Job| Chain {
            first,
            flash: own
                .iter()
                .find(|job| job.depends_on.as_ref() == Some(&first.id))
                .copied(),
        };
        own.iter().filter(leads).map(chain).collect()
    }

    pub(crate) fn progress(&self) -> Progress<'a> {
        let last = self.flash.unwrap_or(self.first);
        let parts = [Some(self.first), self.flash];
        let failed = |job: &&Job| job.status == JobStatus::Failed;
        let stopped = |job: &Job| job.status == JobStatus::Cancelled;
        if let Some(failed) = parts.into_iter().flatten().find(failed) {
            Progress::Failed(failed)
        } else if parts.into_iter().flatten().any(stopped) {
            Progress::Stopped
        } else if last.status == JobStatus::Completed {
            Progress::Done(last)
        } else if last.deferred {
            Progress::Waiting
        } else {
            Progress::Going
        }
    }

    /// Returns how long it was worked on until now; waiting for a device in between is no work.
    pub(crate) fn worked(&self, now: Timestamp) -> Duration {
        let parts = [Some(self.first), self.flash];
        parts
            .into_iter()
            .flatten()
            .map(|job| worked(job, now))
            .sum()
    }
}

fn worked(job: &Job, now: Timestamp) -> Duration {
    job.started_at.map_or(Duration::ZERO, |began| {
        since(began, job.completed_at.unwrap_or(now))
    })
}

/// Returns the time from one moment to a later one; nothing if the clock was set back.
pub(crate) fn since(from: Timestamp, to: Timestamp) -> Duration {
    let micros = to.0.saturating_sub(from.0);
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
