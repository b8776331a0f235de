//! [`Links`]: every peer-link connection of this node and the tasks that drive them.
//!
//! One task per connection reads, one writes; the listener has one of its own. Every task belongs
//! to [`Links`], which waits for all of them in [`Links::shutdown`]. The methods are orders: they
//! return at once, and what becomes of them arrives as events. Nothing here decides who is
//! trusted or what is built.
mod blob_reader;
mod blob_writer;
mod dialer;
mod download;
mod last_heard;
mod listener;
mod reports;
mod task;
mod upload;
mod writer;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kiln_archive::PackedArtifacts;
use kiln_domain::peering::{self, KnockAnswer, Purpose};
use kiln_domain::{Event, work};
use kiln_model::{
    ArtifactsRefusal, BlobId, Endpoint, LinkId, Message, Mono, Pin, SubmitHeader, TerminateReason,
    WireJobId,
};
use kiln_peer_link::StaticKey;
use kiln_ports::{Clock, Discovery, Net, Store};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use self::last_heard::LastHeard;
use self::upload::Upload;
use self::writer::{Outbox, Outgoing};
use crate::lock::lock;

/// All links of a node. Clones are the same links.
#[derive(Clone)]
pub struct Links(Arc<Shared>);

impl Links {
    /// Makes a node without connections. What happens on them goes to `events`; while nobody drains
    /// it, links stop reading.
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
            bound: Mutex::new(None),
            closing: watch::Sender::new(false),
            tasks: Mutex::new(Some(JoinSet::new())),
            accepted: AtomicU64::new(0),
        }))
    }

    /// Uses this key for every handshake that begins from now on.
    pub fn set_identity(&self, key: StaticKey) {
        *lock(&self.0.identity) = Some(key);
    }

    /// Returns the key that is used.
    pub(crate) fn identity(&self) -> Option<StaticKey> {
        self.0.identity()
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

    /// Answers a peer that knocked; with `admit` a session starts. Ends with `Closed`, at once after
    /// the answer unless a session starts.
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
    /// more. A link that is gone has room for everything, and one that takes nothing for 90 s is
    /// ended.
    pub async fn output(&self, link: LinkId, job_id: &WireJobId, text: &str) {
        let outbox = self.0.outbox(link);
        if let Some(outbox) = outbox {
            outbox.output(job_id.clone(), text.to_owned()).await;
        }
    }

    /// Sends a sentence of our own as output of a job, without waiting for room.
    pub fn note(&self, link: LinkId, job_id: &WireJobId, text: &str) {
        if let Some(outbox) = self.0.outbox(link) {
            outbox.note(job_id.clone(), text.to_owned());
        }
    }

    /// Sends a header and the bundle it announces, after uploads that are under way; ends with
    /// `Uploaded`. The number of chunks is set here.
    pub fn upload(&self, link: LinkId, header: SubmitHeader, bundle: BlobId) {
        let path = self.0.store.blob_path(&bundle);
        let header = Box::new(header);
        if let Err(upload) = self.0.stream(link, Upload::Bundle { header, path })
            && let Some(lost) = upload.link_lost(link)
        {
            self.0.emit_later(lost);
        }
    }

    /// Stops an upload that the receiver refused; it ends with `Uploaded`, if it did not already.
    pub fn stop_upload(&self, link: LinkId, job_id: &WireJobId) {
        if let Some(outbox) = self.0.outbox(link) {
            outbox.stop_upload(job_id.clone());
        }
    }

    /// Returns when a frame last came over an open session; `None` if it is over.
    pub fn last_heard(&self, link: LinkId) -> Option<Mono> {
        let links = lock(&self.0.links);
        links.get(&link).map(|handle| handle.heard.get())
    }

    /// Asks for artifacts and assembles them into a blob of this name; ends with `Downloaded`.
    pub fn download(&self, link: LinkId, job_id: WireJobId, tarball: BlobId) {
        self.0.command(link, Command::Download(job_id, tarball));
    }

    /// Streams artifacts, ending with exactly one `artifacts_end`. Returns when all of it is sent,
    /// or the link has ended and the file is no longer needed.
    pub async fn serve_artifacts(
        &self,
        link: LinkId,
        job_id: &WireJobId,
        path: PathBuf,
        packed: &PackedArtifacts,
    ) {
        let (served, over) = oneshot::channel();
        let (job_id, packed) = (job_id.clone(), packed.clone());
        // A link that has ended drops the order, and with it `served`.
        let _ = self.0.stream(
            link,
            Upload::Artifacts {
                job_id,
                path,
                packed: Box::new(packed),
                served,
            },
        );
        let _ = over.await;
    }

    /// Says that there are no artifacts. `detail` is for people, at most 256 characters of it.
    pub fn refuse_artifacts(
        &self,
        link: LinkId,
        job_id: &WireJobId,
        reason: ArtifactsRefusal,
        detail: &str,
    ) {
        let verdict = Err((Some(reason), detail.to_owned()));
        let job_id = job_id.clone();
        self.send(link, Message::ArtifactsEnd { job_id, verdict });
    }

    /// Says that an accepted submission is being unpacked: its wire id is taken.
    pub fn submission_prepared(&self, pin: Pin, job_id: &WireJobId) {
        self.0.prepare(pin, job_id);
    }

    /// Says that an accepted submission is not being unpacked (any more): its wire id may be used again.
    pub fn submission_settled(&self, pin: Pin, job_id: &WireJobId) {
        self.0.submission_settled(pin, job_id);
    }

    /// Returns where the listener is bound, as `ADDRESS:PORT`.
    pub fn listening(&self) -> Option<String> {
        lock(&self.0.bound).clone()
    }

    /// Ends every link politely and waits until no task is left. New orders are not taken, and
    /// events that nobody drains are lost.
    pub async fn shutdown(&self) {
        self.0.closing.send_replace(true);
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
struct Shared {
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    discovery: Arc<dyn Discovery>,
    store: Arc<dyn Store>,
    events: mpsc::Sender<Event>,
    identity: Mutex<Option<StaticKey>>,
    links: Mutex<HashMap<LinkId, Handle>>,
    preparing: Mutex<HashSet<(Pin, WireJobId)>>,
    listener: Mutex<Option<watch::Sender<()>>>,
    bound: Mutex<Option<String>>,
    closing: watch::Sender<bool>,
    tasks: Mutex<Option<JoinSet<()>>>,
    accepted: AtomicU64,
}

/// How the rest of the engine reaches the tasks of one link.
struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    outbox: Outbox,
    heard: LastHeard,
}

impl Handle {
    fn command(&self, command: Command) {
        // A link that ends at this moment tells so itself.
        let _ = self.commands.send(command);
    }
}

/// An order to a link's task.
enum Command {
    Answer(Box<KnockAnswer>),
    Close(Option<TerminateReason>),
    Download(WireJobId, BlobId),
    ShutDown,
}

/// The other end of a [`Handle`]: what the task of a link needs to be reached.
struct Ends {
    inbox: mpsc::UnboundedReceiver<Command>,
    outbox: Outbox,
    outgoing: Outgoing,
    heard: LastHeard,
}

impl Shared {
    /// Returns our key, once there is one.
    fn identity(&self) -> Option<StaticKey> {
        lock(&self.identity).clone()
    }

    /// Returns an id for an accepted connection; dials have even ones.
    fn accepted_id(&self) -> LinkId {
        LinkId(2 * self.accepted.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Makes a link reachable.
    fn register(&self, link: LinkId) -> Ends {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (outbox, outgoing) = Outbox::new();
        let heard = LastHeard::default();
        let handle = Handle {
            commands,
            outbox: outbox.clone(),
            heard: heard.clone(),
        };
        // Either this sees that the node stops, or the node that stops sees the link.
        let mut links = lock(&self.links);
        if *self.closing.borrow() {
            handle.command(Command::ShutDown);
        }
        links.insert(link, handle);
        drop(links);
        Ends {
            inbox,
            outbox,
            outgoing,
            heard,
        }
    }

    /// Makes a link unreachable; its last event may follow.
    fn forget(&self, link: LinkId) {
        lock(&self.links).remove(&link);
    }

    /// Tells the domain; waits while it is behind, but not for one that is stopping.
    async fn emit(&self, event: impl Into<Occurrence>) {
        let Occurrence(event) = event.into();
        let mut closing = self.closing.subscribe();
        let event = tokio::select! {
            biased;
            room = self.events.reserve() => match room {
                Ok(room) => return room.send(event),
                Err(_) => return,
            },
            _ = closing.wait_for(|closing| *closing) => event,
        };
        let _ = self.events.try_send(event);
    }

    /// Tells the domain from where waiting is not possible.
    fn emit_later(self: &Arc<Self>, event: impl Into<Occurrence>) {
        let (shared, event) = (Arc::clone(self), event.into());
        self.spawn(async move { shared.emit(event).await });
    }

    /// Runs a task until it ends by itself. After the shutdown began, none is taken on.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = lock(&self.tasks).as_mut() {
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "a link task failed");
                }
            }
            tasks.spawn(task);
        }
    }

    /// Notes that a complete submission goes to the domain, or is being unpacked.
    fn prepare(&self, pin: Pin, job_id: &WireJobId) {
        lock(&self.preparing).insert((pin, job_id.clone()));
    }

    /// Returns whether an accepted submission of this peer with this id is still being prepared.
    fn is_preparing(&self, pin: Pin, job_id: &WireJobId) -> bool {
        lock(&self.preparing).contains(&(pin, job_id.clone()))
    }

    /// Notes that a submission is out of preparation, or did not get as far as the domain.
    fn submission_settled(&self, pin: Pin, job_id: &WireJobId) {
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
            Command::Download(job_id, _) => self.emit_later(link_lost(link, job_id)),
            // What else was ordered ends with the `Closed` or `Dialled` that is on its way.
            Command::Answer(_) | Command::Close(_) | Command::ShutDown => {}
        }
    }

    /// Gives the order back if the link has ended.
    fn stream(&self, link: LinkId, upload: Upload) -> Result<(), Upload> {
        match self.outbox(link) {
            Some(outbox) => outbox.upload(upload),
            None => Err(upload),
        }
    }

    /// Notes where the listener is bound.
    fn bound(&self, address: Option<String>) {
        *lock(&self.bound) = address;
    }
}

/// Reports that a download ended with its link.
fn link_lost(link: LinkId, job_id: WireJobId) -> work::Event {
    work::Event::Downloaded(link, job_id, Err(work::DownloadFailure::LinkLost))
}

/// An event of either half of the domain.
struct Occurrence(Event);

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
