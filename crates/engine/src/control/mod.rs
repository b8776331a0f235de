//! [`ControlServer`]: the local front door: requests in, replies and followed changes out.
//!
//! Every client has one task that owns everything done for it; the server owns the clients. What a
//! slow client does not read never waits in memory: a view is replaced by a newer one, jobs are
//! listed anew, and a log is read from its file as fast as the client takes it.
mod client;
mod follow;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use kiln_domain::{ClientId, Event, RequestId};
use kiln_ipc::ServerMessage;
use kiln_model::{Device, EnvironmentInfo, Job, Reply, Request, View};
use kiln_ports::{Control, Store};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::job_log::JobLogs;
use crate::lock::lock;

/// Job changes that wait for a slow client before it gets the whole list again.
const JOB_CHANGES: usize = 256;

/// The front door and everybody behind it.
pub(crate) struct ControlServer {
    counter: Arc<Counter>,
    tasks: JoinSet<()>,
    /// Dropped, it shuts the door.
    open: oneshot::Sender<()>,
}

/// What the clients' tasks share.
struct Counter {
    version: String,
    events: mpsc::Sender<Event>,
    store: Arc<dyn Store>,
    logs: Arc<JobLogs>,
    /// The read model; `None` while nobody looks, so that it is not built for nobody.
    view: watch::Sender<Option<Arc<View>>>,
    devices: watch::Sender<Option<Arc<Vec<Device>>>>,
    environments: watch::Sender<Option<Arc<Vec<EnvironmentInfo>>>>,
    jobs: broadcast::Sender<Arc<Job>>,
    /// Who waits for which answer.
    waiting: Mutex<HashMap<RequestId, Waiting>>,
    next_request: AtomicU64,
}

/// A request under way.
struct Waiting {
    /// The client's own number for it.
    id: u64,
    /// Where its answers go.
    out: mpsc::Sender<ServerMessage>,
}

impl ControlServer {
    /// Opens the door.
    pub(crate) fn start(
        control: Box<dyn Control>,
        version: String,
        events: mpsc::Sender<Event>,
        store: Arc<dyn Store>,
        logs: Arc<JobLogs>,
    ) -> Self {
        let counter = Arc::new(Counter {
            version,
            events,
            store,
            logs,
            view: watch::Sender::new(None),
            devices: watch::Sender::new(None),
            environments: watch::Sender::new(None),
            jobs: broadcast::Sender::new(JOB_CHANGES),
            waiting: Mutex::default(),
            next_request: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        let (open, closing) = oneshot::channel();
        tasks.spawn(accept(control, Arc::clone(&counter), closing));
        Self {
            counter,
            tasks,
            open,
        }
    }

    /// Answers a request. A client that left gets nothing. What the answer says is news to whoever
    /// follows it, too.
    pub(crate) fn reply(&self, id: RequestId, reply: Reply) {
        match &reply {
            Reply::Devices(devices) => self.show_devices(devices),
            Reply::Environments(environments) => self.show_environments(environments),
            _ => {}
        }
        let Some(waiting) = self.counter.waiting().remove(&id) else {
            return;
        };
        let message = ServerMessage::Reply {
            id: waiting.id,
            reply,
        };
        // A client with this many unread answers does not read at all.
        if let Err(error) = waiting.out.try_send(message) {
            tracing::debug!(%error, "an answer found no reader");
        }
    }

    /// Shows the read model to whoever follows it, if it differs from the last one. `view` is not
    /// called while nobody looks; who begins to look has it made ([`Counter::ask`]).
    pub(crate) fn show(&self, view: impl FnOnce() -> Option<View>) {
        if self.counter.view.receiver_count() == 0 {
            self.counter.view.send_replace(None);
            return;
        }
        let Some(mut view) = view() else { return };
        self.counter.view.send_if_modified(|shown| {
            let at = view.at;
            if let Some(old) = shown.as_deref() {
                // A view is made for each change; its time alone is none.
                view.at = old.at;
                if *old == view {
                    return false;
                }
            }
            view.at = at;
            *shown = Some(Arc::new(view));
            true
        });
    }

    /// Shows the owner's devices to whoever follows them, if they changed.
    pub(crate) fn show_devices(&self, devices: &[Device]) {
        show_list(&self.counter.devices, devices);
    }

    /// Shows the installed versions to whoever follows them, if they changed.
    pub(crate) fn show_environments(&self, environments: &[EnvironmentInfo]) {
        show_list(&self.counter.environments, environments);
    }

    /// Tells whoever follows the jobs.
    pub(crate) fn job_changed(&self, job: &Job) {
        if self.counter.jobs.receiver_count() > 0 {
            // Without receivers there is nobody to tell.
            let _ = self.counter.jobs.send(Arc::new(job.clone()));
        }
    }

    /// Shuts the door, then hangs up on every client.
    pub(crate) async fn stop(self) {
        drop(self.open);
        self.tasks.join_all().await;
    }
}

impl Counter {
    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, Waiting>> {
        lock(&self.waiting)
    }

    fn new_request(&self) -> RequestId {
        RequestId(self.next_request.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks for what somebody begins to follow. Nobody waits for the answer: it is shown to all
    /// that follow, by the same path as every later change.
    async fn ask(&self, client: ClientId, request: Request) {
        let event = Event::Requested {
            client,
            id: self.new_request(),
            request,
        };
        if self.events.send(event).await.is_err() {
            tracing::debug!("somebody began to follow after the loop ended");
        }
    }
}

/// Replaces a list that is followed. Nothing is kept for nobody: who begins to follow asks anew.
fn show_list<T: Clone + PartialEq>(shown: &watch::Sender<Option<Arc<Vec<T>>>>, list: &[T]) {
    if shown.receiver_count() == 0 {
        shown.send_replace(None);
        return;
    }
    shown.send_if_modified(|shown| {
        let is_new = shown.as_deref().is_none_or(|old| old.as_slice() != list);
        if is_new {
            *shown = Some(Arc::new(list.to_vec()));
        }
        is_new
    });
}

async fn accept(
    mut control: Box<dyn Control>,
    counter: Arc<Counter>,
    mut closing: oneshot::Receiver<()>,
) {
    // Owned by this task: when it is ended, so are they.
    let mut clients = JoinSet::new();
    for number in 0.. {
        let stream = tokio::select! {
            stream = control.accept() => stream,
            _ = &mut closing => break,
        };
        while clients.try_join_next().is_some() {}
        clients.spawn(client::serve(
            stream,
            ClientId(number),
            Arc::clone(&counter),
        ));
    }
    // Whoever is hung up on finds the door shut.
    drop(control);
    clients.shutdown().await;
}
