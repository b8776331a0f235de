//! [`Links`]: every peer-link connection of this node and the tasks that drive them.
//!
//! One task per connection reads, one writes; the listener has one of its own. Every task belongs
//! to [`Links`], which waits for all of them in [`Links::shutdown`]. The methods are orders: they
//! return at once, and what becomes of them arrives as events. Nothing here decides who is
//! trusted or what is built.
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_domain::peering::{self, Purpose};
use kiln_domain::{Event, work};
use kiln_model::witness::Approved;
use kiln_model::{
    BlobId, Endpoint, FirmwareOffset, IntentReason, LinkId, Message, PeerFacts, Pin, ResponseKind,
    SubmitHeader, TerminateReason, WireJobId,
};
use kiln_peer_link::StaticKey;
use kiln_ports::{Clock, Discovery, Net, Store};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::dialer;
use crate::link_writer::{Desk, Outbox};
use crate::listener;
use crate::upload::Upload;

/// All links of a node. Clones are the same links.
#[derive(Clone)]
pub struct Links(Arc<Shared>);

/// An artifact tarball that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Tarball {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, lower-case hex.
    pub sha256: String,
    /// Flash offset of the main image.
    pub firmware_offset: FirmwareOffset,
}

/// What the owner of a link says to a peer that knocked.
#[derive(Debug)]
pub struct KnockAnswer {
    /// First word.
    pub kind: ResponseKind,
    /// Reason, when refused.
    pub reason: Option<IntentReason>,
    /// What we announce of ourselves.
    pub facts: PeerFacts,
    /// `preview` of a headless receiver.
    pub requires_pairing_key: bool,
    /// `Some`: a session starts. `None`: the connection is closed after the answer.
    pub admit: Option<Approved>,
}

impl Links {
    /// Makes a node without connections. What happens on them goes to `events`, which has to be
    /// drained at all times, also during [`Links::shutdown`].
    pub fn new(
        net: Arc<dyn Net>,
        clock: Arc<dyn Clock>,
        discovery: Arc<dyn Discovery>,
        store: Arc<dyn Store>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self(Arc::new(Shared {
            net,
            clock,
            discovery,
            store,
            events,
            identity: Mutex::new(None),
            links: Mutex::default(),
            preparing: Mutex::default(),
            listener: Mutex::new(None),
            tasks: Mutex::new(Some(JoinSet::new())),
            accepted: AtomicU64::new(0),
        }))
    }

    /// Uses this key for every handshake that begins from now on.
    pub fn set_identity(&self, key: StaticKey) {
        *lock(&self.0.identity) = Some(key);
    }

    /// Binds the listener; ends with `Listening` or `ListenFailed`.
    pub fn listen(&self, host: &str, first_port: u16) {
        let (stop, stopped) = watch::channel(());
        *lock(&self.0.listener) = Some(stop);
        let (shared, host) = (Arc::clone(&self.0), host.to_owned());
        self.0
            .spawn(listener::run(shared, host, first_port, stopped));
    }

    /// Unbinds the listener and drops connections that did not knock yet; ends with
    /// `ListenerClosed`, after which nobody knocks.
    pub fn stop_listening(&self) {
        let running = lock(&self.0.listener)
            .take()
            .filter(|stop| !stop.is_closed());
        if running.is_none() {
            self.0.emit_later(peering::Event::ListenerClosed);
        }
    }

    /// Answers a peer that knocked. Ends with `Closed`, at once after the answer unless a session
    /// starts.
    pub fn answer(&self, link: LinkId, answer: KnockAnswer) {
        self.0.command(link, Command::Answer(Box::new(answer)));
    }

    /// Opens a connection as initiator; ends with `Dialled`, or with `Closed` if it was given up
    /// before. After `ok` to a `peer_link` it is open until `Closed`.
    pub fn dial(
        &self,
        link: LinkId,
        endpoint: Endpoint,
        skip: Vec<IpAddr>,
        expect: Option<Pin>,
        purpose: Purpose,
    ) {
        let ends = self.0.register(link);
        let order = dialer::Order {
            link,
            endpoint,
            skip,
            expect,
            purpose,
        };
        self.0.spawn(dialer::run(Arc::clone(&self.0), order, ends));
    }

    /// Ends a connection or dial. An open session is told `terminate` first.
    pub fn close(&self, link: LinkId, terminate: Option<TerminateReason>) {
        self.0.command(link, Command::Close(terminate));
    }

    /// Sends a frame. States of a job stay in order with its output; everything else may overtake
    /// bulk and output. Dropped when the link is gone.
    pub fn send(&self, link: LinkId, message: Message) {
        if let Message::Terminate(reason) = message {
            return self.close(link, Some(reason));
        }
        if let Some(outbox) = self.0.outbox(link) {
            outbox.message(message);
        }
    }

    /// Sends output of a job, terminators kept, one frame per line; returns when there is room for
    /// more. A link that is gone has room for everything.
    pub async fn output(&self, link: LinkId, job_id: WireJobId, text: String) {
        let outbox = self.0.outbox(link);
        if let Some(outbox) = outbox {
            outbox.output(job_id, text).await;
        }
    }

    /// Sends a header and the bundle it announces, after uploads that are under way; ends with
    /// `Uploaded`. The number of chunks is set here.
    pub fn upload(&self, link: LinkId, header: SubmitHeader, bundle: &BlobId) {
        let path = self.0.store.blob_path(bundle);
        self.0.stream(
            link,
            Upload::Bundle {
                header: Box::new(header),
                path,
            },
        );
    }

    /// Asks for artifacts and assembles them; ends with `Downloaded`.
    pub fn download(&self, link: LinkId, job_id: WireJobId) {
        self.0.command(link, Command::Download(job_id));
    }

    /// Streams artifacts, ending with exactly one `artifacts_end`; ends with `ArtifactsServed`.
    pub fn serve_artifacts(&self, link: LinkId, job_id: WireJobId, tarball: Tarball) {
        self.0.stream(link, Upload::Artifacts { job_id, tarball });
    }

    /// Says that an accepted submission is out of preparation: its wire id may be used again.
    pub fn submission_settled(&self, pin: Pin, job_id: &WireJobId) {
        lock(&self.0.preparing).remove(&(pin, job_id.clone()));
    }

    /// Ends every link politely and waits until no task is left. New orders are not taken.
    pub async fn shutdown(&self) {
        *lock(&self.0.listener) = None;
        let tasks = lock(&self.0.tasks).take();
        for handle in lock(&self.0.links).values() {
            handle.command(Command::ShutDown);
        }
        if let Some(tasks) = tasks {
            tasks.join_all().await;
        }
    }
}

/// What every task of a link needs.
pub(crate) struct Shared {
    pub(crate) net: Arc<dyn Net>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) discovery: Arc<dyn Discovery>,
    pub(crate) store: Arc<dyn Store>,
    events: mpsc::Sender<Event>,
    identity: Mutex<Option<StaticKey>>,
    links: Mutex<HashMap<LinkId, Handle>>,
    preparing: Mutex<HashSet<(Pin, WireJobId)>>,
    listener: Mutex<Option<watch::Sender<()>>>,
    tasks: Mutex<Option<JoinSet<()>>>,
    accepted: AtomicU64,
}

/// How the rest of the engine reaches the tasks of one link.
struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    outbox: Outbox,
}

impl Handle {
    fn command(&self, command: Command) {
        // A link that ends at this moment tells so itself.
        let _ = self.commands.send(command);
    }
}

/// An order to a link's task.
pub(crate) enum Command {
    Answer(Box<KnockAnswer>),
    Close(Option<TerminateReason>),
    Download(WireJobId),
    ShutDown,
}

/// The other end of a [`Handle`]: what the task of a link needs to be reached.
pub(crate) struct Ends {
    pub(crate) inbox: mpsc::UnboundedReceiver<Command>,
    pub(crate) outbox: Outbox,
    pub(crate) desk: Desk,
}

impl Shared {
    /// Returns our key, once there is one.
    pub(crate) fn identity(&self) -> Option<StaticKey> {
        lock(&self.identity).clone()
    }

    /// Returns an id for an accepted connection; dials have even ones.
    pub(crate) fn accepted_id(&self) -> LinkId {
        LinkId(2 * self.accepted.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Makes a link reachable.
    pub(crate) fn register(&self, link: LinkId) -> Ends {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (outbox, desk) = Outbox::new();
        let handle = Handle {
            commands,
            outbox: outbox.clone(),
        };
        lock(&self.links).insert(link, handle);
        Ends {
            inbox,
            outbox,
            desk,
        }
    }

    /// Makes a link unreachable; its last event may follow.
    pub(crate) fn forget(&self, link: LinkId) {
        lock(&self.links).remove(&link);
    }

    /// Tells the domain; waits while it is behind.
    pub(crate) async fn emit(&self, event: impl Into<Occurrence>) {
        // Nobody listens any more only after the node has stopped.
        let _ = self.events.send(event.into().0).await;
    }

    /// Tells the domain from where waiting is not possible.
    pub(crate) fn emit_later(self: &Arc<Self>, event: impl Into<Occurrence>) {
        let (shared, event) = (Arc::clone(self), event.into());
        self.spawn(async move { shared.emit(event).await });
    }

    /// Runs a task until it ends by itself. After the shutdown began, none is taken on.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = lock(&self.tasks).as_mut() {
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "a link task failed");
                }
            }
            tasks.spawn(task);
        }
    }

    /// Notes that a complete submission goes to be prepared.
    pub(crate) fn prepare(&self, pin: Pin, job_id: &WireJobId) {
        lock(&self.preparing).insert((pin, job_id.clone()));
    }

    /// Returns whether an accepted submission of this peer with this id is still being prepared.
    pub(crate) fn is_preparing(&self, pin: Pin, job_id: &WireJobId) -> bool {
        lock(&self.preparing).contains(&(pin, job_id.clone()))
    }

    /// Notes that a submission did not get as far as the domain.
    pub(crate) fn submission_lost(&self, pin: Pin, job_id: &WireJobId) {
        lock(&self.preparing).remove(&(pin, job_id.clone()));
    }

    fn outbox(&self, link: LinkId) -> Option<Outbox> {
        lock(&self.links)
            .get(&link)
            .map(|handle| handle.outbox.clone())
    }

    fn command(self: &Arc<Self>, link: LinkId, command: Command) {
        let command = match lock(&self.links).get(&link) {
            Some(handle) => match handle.commands.send(command) {
                Ok(()) => return,
                Err(undelivered) => undelivered.0,
            },
            None => command,
        };
        match command {
            Command::Download(job_id) => self.emit_later(link_lost(link, job_id)),
            // What else was ordered ends with the `Closed` or `Dialled` that is on its way.
            Command::Answer(_) | Command::Close(_) | Command::ShutDown => {}
        }
    }

    fn stream(self: &Arc<Self>, link: LinkId, upload: Upload) {
        let undelivered = match self.outbox(link) {
            Some(outbox) => outbox.upload(upload),
            None => Err(upload),
        };
        if let Err(upload) = undelivered {
            self.emit_later(upload.link_lost(link));
        }
    }
}

/// Reports that a download ended with its link.
pub(crate) fn link_lost(link: LinkId, job_id: WireJobId) -> work::Event {
    work::Event::Downloaded(link, job_id, Err(work::DownloadFailure::LinkLost))
}

/// An event of either half of the domain.
pub(crate) struct Occurrence(Event);

impl From<peering::Event> for Occurrence {
    fn from(event: peering::Event) -> Self {
        Self(Event::Peering(event))
    }
}

impl From<work::Event> for Occurrence {
    fn from(event: work::Event) -> Self {
        Self(Event::Work(event))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
