//! [`remaining`]: how long a job will still take, judged by the last one of its kind.
use std::time::Duration;

use kiln_model::{Job, JobOrigin, JobStatus, Placement, Timestamp};

/// Returns the time a job probably still takes: what the last one for the same device, of the same
/// kind and in the same place took, less what has passed. `None` when there was none, or when it
/// takes longer than that already.
pub(crate) fn remaining(job: &Job, jobs: &[Job], now: Timestamp) -> Option<Duration> {
    let alike = |other: &&Job| {
        other.status == JobStatus::Completed
            && other.kind == job.kind
            && other.configuration == job.configuration
            && same_place(&other.placement, &job.placement)
            && same_person(&other.origin, &job.origin)
    };
    let last = jobs.iter().filter(alike).max_by_key(|j| j.completed_at)?;
    let usual = last.completed_at?.0.checked_sub(last.started_at?.0)?;
    let passed = now.0.checked_sub(job.started_at?.0)?;
    let left = u64::try_from(usual.checked_sub(passed)?).ok()?;
    (left > 0).then_some(Duration::from_micros(left))
}

fn same_place(a: &Placement, b: &Placement) -> bool {
    match (a, b) {
        (Placement::Remote { pin: a, .. }, Placement::Remote { pin: b, .. }) => a == b,
        (Placement::Local, Placement::Local) => true,
        (Placement::Local | Placement::RemotePending | Placement::Remote { .. }, _) => false,
    }
}

fn same_person(a: &JobOrigin, b: &JobOrigin) -> bool {
    match (a, b) {
        (JobOrigin::Owner, JobOrigin::Owner) => true,
        (JobOrigin::Offloader { pin: a, .. }, JobOrigin::Offloader { pin: b, .. }) => a == b,
        (JobOrigin::Owner | JobOrigin::Offloader { .. }, _) => false,
    }
}
