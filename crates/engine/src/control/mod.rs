//! [`ControlServer`]: the local front door: requests in, replies and followed changes out.
//!
//! Every client has one task that owns everything done for it; the server owns the clients. What a
//! slow client does not read never waits in memory: a view is replaced by a newer one, jobs are
//! listed anew, and a log is read from its file as fast as the client takes it.
mod client;
mod follow;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_domain::{ClientId, Event, RequestId};
use kiln_ipc::ServerMessage;
use kiln_model::{Job, Reply, View};
use kiln_ports::{Control, Store};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;

use crate::job_log::JobLogs;

/// Job changes that wait for a slow client before it gets the whole list again.
const JOB_CHANGES: usize = 256;

/// The front door and everybody behind it.
pub(crate) struct ControlServer {
    desk: Arc<Desk>,
    tasks: JoinSet<()>,
}

/// What the clients' tasks share.
struct Desk {
    version: String,
    events: mpsc::Sender<Event>,
    store: Arc<dyn Store>,
    logs: Arc<JobLogs>,
    view: watch::Sender<Option<Arc<View>>>,
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
        let desk = Arc::new(Desk {
            version,
            events,
            store,
            logs,
            view: watch::Sender::new(None),
            jobs: broadcast::Sender::new(JOB_CHANGES),
            waiting: Mutex::default(),
            next_request: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(control, Arc::clone(&desk)));
        Self { desk, tasks }
    }

    /// Answers a request. A client that left gets nothing.
    pub(crate) fn reply(&self, id: RequestId, reply: Reply) {
        let Some(waiting) = self.desk.waiting().remove(&id) else {
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

    /// Shows the read model to whoever follows it, if it differs from the last one.
    pub(crate) fn show(&self, mut view: View) {
        self.desk.view.send_if_modified(|shown| {
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

    /// Tells whoever follows the jobs.
    pub(crate) fn job_changed(&self, job: &Job) {
        if self.desk.jobs.receiver_count() > 0 {
            // Without receivers there is nobody to tell.
            let _ = self.desk.jobs.send(Arc::new(job.clone()));
        }
    }

    /// Closes the door and ends every client's task.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_request(&self) -> RequestId {
        RequestId(self.next_request.fetch_add(1, Ordering::Relaxed))
    }
}

async fn accept(mut control: Box<dyn Control>, desk: Arc<Desk>) {
    // Owned by this task: when it is ended, so are they.
    let mut clients = JoinSet::new();
    for number in 0.. {
        let stream = control.accept().await;
        while clients.try_join_next().is_some() {}
        clients.spawn(client::serve(stream, ClientId(number), Arc::clone(&desk)));
    }
}
