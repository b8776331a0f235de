//! [`Outputs`]: where a job's text goes: its log, and the offloader it works for.
//!
//! Lines never pass through the domain; only progress does.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_domain::work::StoredJob;
use kiln_model::{JobId, JobOrigin, LinkId, Pin, WireJobId};

use crate::job_log::JobLogs;
use crate::links::Links;

/// Routes text by job.
pub(crate) struct Outputs {
    logs: Arc<JobLogs>,
    links: Links,
    routes: Mutex<Routes>,
}

#[derive(Default)]
struct Routes {
    /// Received jobs and whom they work for.
    received: HashMap<JobId, (Pin, WireJobId)>,
    /// Open sessions with offloaders.
    offloaders: HashMap<Pin, LinkId>,
}

impl Outputs {
    pub(crate) fn new(logs: Arc<JobLogs>, links: Links) -> Self {
        Self {
            logs,
            links,
            routes: Mutex::default(),
        }
    }

    /// Learns from a stored job whom its text belongs to.
    pub(crate) fn learn(&self, stored: &StoredJob) {
        let mut routes = self.routes();
        let id = &stored.job.id;
        match &stored.job.origin {
            // Its end was told, or its wire id means a newer job: nothing more is said under it.
            JobOrigin::Offloader { .. } if stored.outcome_told => {
                routes.received.remove(id);
            }
            JobOrigin::Offloader {
                pin, wire_job_id, ..
            } => {
                let route = (*pin, wire_job_id.clone());
                routes.received.insert(id.clone(), route);
            }
            JobOrigin::Owner => {}
        }
        drop(routes);
        if stored.job.status.is_final() {
            self.logs.close(id);
        }
    }

    /// Forgets a job.
    pub(crate) fn forget(&self, job: &JobId) {
        self.routes().received.remove(job);
        self.logs.close(job);
    }

    /// An offloader's session opened.
    pub(crate) fn session_up(&self, pin: Pin, link: LinkId) {
        self.routes().offloaders.insert(pin, link);
    }

    /// A session ended; a newer one of the same peer stays.
    pub(crate) fn session_down(&self, pin: Pin, link: LinkId) {
        let mut routes = self.routes();
        if routes.offloaders.get(&pin) == Some(&link) {
            routes.offloaders.remove(&pin);
        }
    }

    /// Keeps text of a job as it came, terminators included, and passes it on.
    pub(crate) async fn text(&self, job: &JobId, text: &str) {
        self.logs.append(job, text);
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
        let routes = self.routes();
        let (pin, wire) = routes.received.get(job)?;
        let link = routes.offloaders.get(pin)?;
        Some((*link, wire.clone()))
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
