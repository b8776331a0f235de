//! [`Particulars`]: what the steps of a job find out and the audit tells, until the job is over.
use std::collections::HashMap;
use std::sync::Mutex;

use kiln_model::{Digest, EsphomeVersion, JobId, Pin, Tier, WireJobId};

use crate::contacts::Contacts;
use crate::lock::lock;

/// What is known of one job beside the job itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Particular {
    /// ESPHome version that it is built with here.
    pub(crate) version: Option<EsphomeVersion>,
    /// Hash of its bundle.
    pub(crate) bundle: Option<Digest>,
    /// Hash of its artifacts.
    pub(crate) artifacts: Option<Digest>,
    /// What holds it.
    pub(crate) tier: Option<Tier>,
    /// Hosts that it asked for.
    pub(crate) contacts: Contacts,
}

/// Artifacts that were packed for an offloader.
pub(crate) struct Packed {
    /// The offloader.
    pub(crate) pin: Pin,
    /// Its id of the job.
    pub(crate) wire_job: WireJobId,
    /// Hash of the archive.
    pub(crate) artifacts: Digest,
}

/// Shared by the loop and the steps that run beside it.
#[derive(Default)]
pub(crate) struct Particulars {
    jobs: Mutex<HashMap<JobId, Particular>>,
    packed: Mutex<Vec<Packed>>,
}

impl Particulars {
    /// Notes something about a job; returns what `change` does.
    pub(crate) fn note<R>(&self, job: &JobId, change: impl FnOnce(&mut Particular) -> R) -> R {
        change(lock(&self.jobs).entry(job.clone()).or_default())
    }

    /// Returns what is known of a job.
    pub(crate) fn of(&self, job: &JobId) -> Particular {
        lock(&self.jobs).get(job).cloned().unwrap_or_default()
    }

    /// Forgets a job.
    pub(crate) fn forget(&self, job: &JobId) {
        lock(&self.jobs).remove(job);
    }

    /// Artifacts were packed.
    pub(crate) fn packed(&self, packed: Packed) {
        lock(&self.packed).push(packed);
    }

    /// Takes out what was packed.
    pub(crate) fn take_packed(&self) -> Vec<Packed> {
        std::mem::take(&mut *lock(&self.packed))
    }
}
