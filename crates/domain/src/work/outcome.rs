//! [`Outcome`]: what became of a job. Here all jobs end.
use kiln_model::{FailureReason, JobId, JobKind, JobStatus, Now, Sentence};

use super::Work;
use super::effect::{Effect, Ending};
use super::jobs::Step;
use super::ledger::given_for;
use super::yielding::Hold;
use crate::storage::Extent;

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Completed,
    Failed {
        error: Sentence,
        exit_code: Option<i32>,
        reason: Option<FailureReason>,
    },
    Cancelled(Sentence),
}

impl Outcome {
    /// An ordinary failure with its sentence.
    pub(super) fn failed(error: impl Into<Sentence>) -> Self {
        Outcome::Failed {
            error: error.into(),
            exit_code: None,
            reason: None,
        }
    }

    /// "Please build it yourself": the sender's dashboard does, without a failed install.
    pub(super) fn declined(error: impl Into<Sentence>) -> Self {
        Outcome::Failed {
            error: error.into(),
            exit_code: None,
            reason: Some(FailureReason::Provision),
        }
    }
}

impl Work {
    /// Ends a job. A cancel that was asked for beats the outcome. The order matters (builds.md
    /// §2.4): the slot is free before anybody hears of the end.
    pub(super) fn finish(&mut self, id: &JobId, outcome: Outcome, now: Now) {
        let Some(entry) = self.jobs.get_mut(id).filter(|e| !e.is_over()) else {
            return;
        };
        let outcome = match outcome {
            Outcome::Completed | Outcome::Failed { .. } if entry.stored.cancel_requested => {
                Outcome::Cancelled(entry.cancelled_because.clone())
            }
            Outcome::Completed | Outcome::Failed { .. } | Outcome::Cancelled(_) => outcome,
        };
        let step = std::mem::replace(&mut entry.step, Step::Over);
        let bundle = entry.stored.bundle.take();
        let settled = match step {
            Step::Unpacking => entry.sender().map(|(pin, w)| (pin, w.clone())),
            _ => None,
        };
        let completed = outcome == Outcome::Completed;
        if completed
            && entry.is(JobKind::Compile)
            && let Some((pin, wire)) = entry.sender()
        {
            self.transfers.built(pin, wire.clone(), now.mono);
        }
        let job = &mut entry.stored.job;
        job.completed_at = Some(now.wall);
        job.deferred = false;
        (job.status, job.error) = match outcome {
            Outcome::Completed => {
                job.exit_code = Some(0);
                (JobStatus::Completed, None)
            }
            Outcome::Failed {
                error,
                exit_code,
                reason,
            } => {
                job.exit_code = exit_code;
                job.failure_reason = reason;
                (JobStatus::Failed, Some(error))
            }
            Outcome::Cancelled(error) => (JobStatus::Cancelled, Some(error)),
        };
        let ended = job.status;
        // It stood still until now, if it did.
        entry.hold_as(Hold::Free, now.mono);
        let given = given_for(entry, now);
        let scan = completed && entry.is_owners();
        let sender = entry.sender().map(|(pin, _)| pin);
        if let Step::Remote(run) = step {
            self.release_receiver(id, run);
        }
        if let Some(given) = given {
            self.give(given);
        }
        self.announce(id);
        if let Some((pin, wire)) = settled {
            self.push(Effect::SubmissionSettled(pin, wire));
        }
        if let Some(blob) = bundle {
            self.push(Effect::DropBlob(blob));
        }
        if scan {
            self.push(Effect::ScanDevices);
        }
        if let Some(pin) = sender {
            self.look(Extent::Sender(pin));
        }
        self.settle_dependents(id, ended, now);
        for old in self.jobs.prune(id) {
            self.push(Effect::ForgetJob(old));
        }
    }

    /// Cancels a job at whatever it is; nothing happens to a final one. A step that is under way is
    /// stopped and ends the job when it is gone.
    pub(super) fn cancel(&mut self, id: &JobId, because: Sentence, now: Now) {
        let Some(entry) = self.jobs.get_mut(id).filter(|e| !e.is_over()) else {
            return;
        };
        if entry.stored.cancel_requested {
            return;
        }
        entry.cancelled_because = because.clone();
        match &entry.step {
            Step::Arrived
            | Step::Lane
            | Step::Pool(_)
            | Step::Held
            | Step::Away
            | Step::FlashLane => self.finish(id, Outcome::Cancelled(because), now),
            Step::Unpacking | Step::Provisioning | Step::Building | Step::Flashing => {
                entry.stored.cancel_requested = true;
                self.save(id);
                self.push(Effect::Stop(id.clone(), Ending::Asked));
            }
            Step::Remote(_) => {
                entry.stored.cancel_requested = true;
                self.save(id);
                self.cancel_run(id, now);
            }
            Step::Over => {}
        }
    }
}

/// Returns `text`, or `fallback` if it says nothing.
pub(super) fn or_else(text: impl Into<Sentence>, fallback: Sentence) -> Sentence {
    let text = text.into();
    if text.trim().is_empty() {
        fallback
    } else {
        text
    }
}
