//! [`Outputs`]: where a job's text goes: its log, and the offloader it works for.
//!
//! Lines never pass through the domain; only progress does.
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use kiln_model::{Job, JobId, JobOrigin, LinkId, WireJobId};

use crate::job_log::{JobLogs, Keep};
use crate::links::Links;
use crate::lock::lock;

/// Routes text by job. Who hears of a job is decided by the domain; steps that run beside the loop
/// read it here.
pub(crate) struct Outputs {
    logs: Arc<JobLogs>,
    links: Links,
    routes: Mutex<HashMap<JobId, (LinkId, WireJobId)>>,
    /// Jobs of others.
    guests: Mutex<HashSet<JobId>>,
}

impl Outputs {
    pub(crate) fn new(logs: Arc<JobLogs>, links: Links) -> Self {
        Self {
            logs,
            links,
            routes: Mutex::default(),
            guests: Mutex::default(),
        }
    }

    /// A job changed: its text goes there from now on, beside its log.
    pub(crate) fn route(&self, job: &Job, route: Option<(LinkId, WireJobId)>) {
        match route {
            Some(route) => self.routes().insert(job.id.clone(), route),
            None => self.routes().remove(&job.id),
        };
        if let JobOrigin::Offloader { .. } = job.origin {
            self.guests().insert(job.id.clone());
        }
        if job.status.is_final() {
            self.logs.close(&job.id);
        }
    }

    /// A session opened or ended: these are all routes.
    pub(crate) fn route_all(&self, routes: impl Iterator<Item = (JobId, (LinkId, WireJobId))>) {
        *self.routes() = routes.collect();
    }

    /// Forgets a job.
    pub(crate) fn forget(&self, job: &JobId) {
        self.routes().remove(job);
        self.guests().remove(job);
        self.logs.close(job);
    }

    /// Keeps text of a job as it came, terminators included, and passes it on.
    pub(crate) async fn text(&self, job: &JobId, text: &str) {
        let keep = match self.guests().contains(job) {
            true => Keep::Guests,
            false => Keep::Owners,
        };
        self.logs.append(job, keep, text);
        self.pass_on(job, text).await;
    }

    /// Keeps a notice of Kiln's own and passes it on, without waiting for a slow offloader.
    pub(crate) fn note(&self, job: &JobId, text: &str) {
        let line = self.logs.note(job, text);
        if let Some((link, wire)) = self.listener(job) {
            self.links.note(link, &wire, &line);
        }
    }

    /// Without a session the text only goes to the log: the build goes on.
    async fn pass_on(&self, job: &JobId, text: &str) {
        if let Some((link, wire)) = self.listener(job) {
            self.links.output(link, &wire, text).await;
        }
    }

    /// Returns who hears of a job at once, if somebody does.
    fn listener(&self, job: &JobId) -> Option<(LinkId, WireJobId)> {
        self.routes().get(job).cloned()
    }

    fn guests(&self) -> MutexGuard<'_, HashSet<JobId>> {
        lock(&self.guests)
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<JobId, (LinkId, WireJobId)>> {
        lock(&self.routes)
    }
}
