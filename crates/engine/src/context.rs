//! [`Context`]: what every step of a job needs of the engine.
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use kiln_domain::{
    Event,
    work::{self, Drive, Ending},
};
use kiln_esphome::{Invocation, Launcher, Purpose};
use kiln_model::{Confinement, EsphomeVersion, JobId, Sentence, Settings, say};
use kiln_ports::process::{Command, Priority};
use kiln_ports::{Activity, Clock, Processes, Sandbox, SerialPorts, Store};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::environments::Environments;
use crate::links::Links;
use crate::lock::lock;
use crate::node::Site;
use crate::outputs::Outputs;
use crate::particulars::Particulars;
use crate::received::ReceivedTrees;
use crate::roster::Roster;
use crate::tool::{Orders, Stop};

/// Shared by all steps.
pub(crate) struct Context {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) processes: Arc<dyn Processes>,
    pub(crate) sandbox: Arc<dyn Sandbox>,
    /// What it proved at the start.
    pub(crate) confinement: Confinement,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) serial: Arc<dyn SerialPorts>,
    pub(crate) activity: Arc<dyn Activity>,
    pub(crate) links: Links,
    pub(crate) outputs: Outputs,
    pub(crate) environments: Environments,
    pub(crate) roster: Roster,
    pub(crate) received: ReceivedTrees,
    /// What the audit tells of jobs that are under way.
    pub(crate) particulars: Particulars,
    pub(crate) site: Site,
    pub(crate) settings: watch::Sender<Settings>,
    pub(crate) events: mpsc::Sender<Event>,
}

impl Context {
    /// Tells the domain; waits while it has too much to do. A loop that ended listens no more.
    pub(crate) async fn tell(&self, event: Event) {
        if self.events.send(event).await.is_err() {
            tracing::debug!("an event came after the loop ended");
        }
    }

    /// Tells the domain which environments there are now.
    pub(crate) async fn tell_environments(&self) {
        let found = self.environments.scan().await;
        self.tell(Event::Work(work::Event::EnvironmentsChanged(found)))
            .await;
    }

    /// Returns the settings in force.
    pub(crate) fn settings(&self) -> Settings {
        self.settings.borrow().clone()
    }

    /// Returns the folder of the owner's configurations.
    pub(crate) fn esphome_dir(&self) -> PathBuf {
        self.settings.borrow().esphome_folder(&self.site.home)
    }

    /// Returns ESPHome's data folder for those configurations.
    pub(crate) fn own_data_dir(&self) -> PathBuf {
        self.site.surroundings.own_data_dir(&self.esphome_dir())
    }

    /// Returns how a version is started, `None` being the one for own builds; or what is missing.
    /// Right after the start it waits until it is known what is installed.
    pub(crate) async fn launcher(
        &self,
        version: Option<&EsphomeVersion>,
    ) -> Result<(EsphomeVersion, Launcher), Sentence> {
        self.environments.looked().await;
        self.environments.ask_again_if_replaced().await;
        self.environments
            .launcher(version)
            .ok_or_else(|| match version {
                Some(version) => say::version_not_installed(version),
                None => say::no_esphome(),
            })
    }

    /// Returns the command for an invocation: program, environment and priority.
    pub(crate) async fn command(
        &self,
        version: Option<&EsphomeVersion>,
        invocation: &Invocation<'_>,
        purpose: Purpose<'_>,
    ) -> Result<Command, Sentence> {
        let (_, launcher) = self.launcher(version).await?;
        Ok(Command {
            arguments: launcher.arguments(invocation),
            program: launcher.program,
            environment: self.site.surroundings.environment(purpose),
            directory: self.site.scratch.clone(),
            priority: match purpose {
                Purpose::Own | Purpose::Provision => Priority::Normal,
                Purpose::Received { .. } => Priority::Background,
            },
        })
    }
}

/// The running step of each job. Owns the tasks: [`Steps::finish`] waits for all of them.
#[derive(Default)]
pub(crate) struct Steps {
    tasks: JoinSet<()>,
    stops: Arc<Mutex<HashMap<JobId, watch::Sender<Orders>>>>,
    /// How hard the steps of a job may go, those to come as well.
    drives: HashMap<JobId, Drive>,
    closing: watch::Sender<bool>,
}

impl Steps {
    /// Starts a step of a job. A step that is still running for the same job goes on; its stop
    /// handle is replaced, since the domain never has two steps of one job at a time.
    pub(crate) fn start<F>(&mut self, job: &JobId, step: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Reap what ended, so that the set does not grow.
        while self.tasks.try_join_next().is_some() {}
        let drive = self.drives.get(job).copied().unwrap_or_default();
        let (ask, stop) = watch::channel(Orders { stop: None, drive });
        let held = ask.clone();
        lock(&self.stops).insert(job.clone(), ask);
        let stops = Arc::clone(&self.stops);
        let id = job.clone();
        let step = step(stop);
        self.tasks.spawn(async move {
            step.await;
            let mut stops = lock(&stops);
            if stops
                .get(&id)
                .is_some_and(|current| current.same_channel(&held))
            {
                stops.remove(&id);
            }
        });
    }

    /// Starts something that belongs to no job and cannot be stopped.
    pub(crate) fn start_free(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(work);
    }

    /// Starts something that belongs to no job and is given up when Kiln stops.
    pub(crate) fn start_expendable(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let mut closing = self.closing.subscribe();
        self.start_free(async move {
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => {}
                () = work => {}
            }
        });
    }

    /// Asks the running step of a job to stop. Nothing happens if there is none.
    pub(crate) fn stop(&self, job: &JobId, ending: Ending) {
        if let Some(ask) = lock(&self.stops).get(job) {
            ask.send_modify(|orders| orders.stop = Some(ending));
        }
    }

    /// Says how hard the running step of a job, and those that follow, may go.
    pub(crate) fn drive(&mut self, job: &JobId, drive: Drive) {
        self.drives.insert(job.clone(), drive);
        if let Some(ask) = lock(&self.stops).get(job) {
            ask.send_modify(|orders| orders.drive = drive);
        }
    }

    /// A job is over.
    pub(crate) fn forget(&mut self, job: &JobId) {
        self.drives.remove(job);
    }

    /// Asks every step to stop and waits for all.
    pub(crate) async fn finish(&mut self) {
        self.closing.send_replace(true);
        for ask in lock(&self.stops).values() {
            ask.send_modify(|orders| orders.stop = Some(Ending::Asked));
        }
        while self.tasks.join_next().await.is_some() {}
    }
}
