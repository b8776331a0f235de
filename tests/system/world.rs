//! [`World`]: whole engines in one process, on simulated time and a simulated network.
//!
//! Nothing waits for real time. The runtime is tokio's with its own clock paused: that clock moves
//! only when no task can go on and no blocking call is under way, so a tokio timer that ends says
//! that everything that can happen now has happened ([`World::settle`]). The engines never see that
//! clock; theirs is a [`SimClock`], which [`World::run_for`] moves from deadline to deadline.
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiln_engine::{Ended, IdentityChoice, Node, Ports, Site, StartError, StartOptions};
use kiln_esphome::Surroundings;
use kiln_ipc::{ClientMessage, Event, Follow, Lines, MAX_ANSWER, PROTOCOL, ServerMessage};
use kiln_model::{
    BuildChoice, Endpoint, Job, JobStatus, Label, LinkState, Pin, Port, Reply, Request, Tier, View,
};
use kiln_ports::Clock as _;
use kiln_testkit::{
    Bell, DirStore, MemoryControl, MemorySecrets, OpenBox, ScriptedActivity, ScriptedProcesses,
    ScriptedSleep, SimClock, SimMulticast, SimNet, SimSerialPorts,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::esphome::{Esphome, VERSION};

/// Port on which every receiver listens.
const LINK_PORT: u16 = 6055;

/// Time and networks that all hosts share. Clones are the same world.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) net: SimNet,
    pub(crate) multicast: SimMulticast,
}

impl World {
    /// Makes a world without hosts.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(SimClock::new());
        Self {
            net: SimNet::new(Arc::clone(&clock)),
            clock,
            multicast: SimMulticast::new(),
        }
    }

    /// Lets everything happen that can happen without time passing.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Moves time on by `by`, stopping at every deadline on the way.
    pub(crate) async fn run_for(&self, by: Duration) {
        let end = self.clock.now().mono + by;
        self.settle().await;
        loop {
            let now = self.clock.now().mono;
            let next = self.clock.next_deadline().unwrap_or(end).min(end);
            if next > now {
                self.clock.advance(next.since(now));
            }
            self.settle().await;
            if next >= end {
                return;
            }
        }
    }

    /// Moves time on to the next deadline of anybody.
    pub(crate) async fn run_to_next(&self) {
        let now = self.clock.now().mono;
        let next = self.clock.next_deadline().unwrap_or(now);
        self.clock.advance(next.since(now));
        self.settle().await;
    }

    /// Moves time on in small steps until `done` says so.
    ///
    /// # Panics
    ///
    /// After `limit`.
    pub(crate) async fn run_until(&self, limit: Duration, mut done: impl AsyncFnMut() -> bool) {
        let end = self.clock.now().mono + limit;
        self.settle().await;
        while !done().await {
            let now = self.clock.now().mono;
            assert!(now < end, "it did not happen within {limit:?}");
            self.run_for(Duration::from_millis(500)).await;
        }
    }

    /// Makes a host and starts its node. It has one environment and a device called `kitchen`.
    pub(crate) async fn host(&self, number: u8, name: &str) -> Host {
        let mut host = self.cold_host(number, name);
        host.start().await.unwrap();
        host
    }

    /// Makes a host whose node does not run.
    pub(crate) fn cold_host(&self, number: u8, name: &str) -> Host {
        let home = tempfile::tempdir().unwrap();
        let esphome = Esphome::new(name);
        let tools = esphome.clone();
        let host = Host {
            world: self.clone(),
            name: name.to_owned(),
            ip: [10, 0, 0, number].into(),
            store: Arc::new(DirStore::new()),
            serial: Arc::new(SimSerialPorts::default()),
            secrets: Arc::new(MemorySecrets::default()),
            processes: Arc::new(ScriptedProcesses::new(move |c| tools.answer(c))),
            activity: Arc::default(),
            sleep: Arc::default(),
            sandbox: Arc::new(OpenBox::claiming(Tier::Boxed)),
            esphome,
            seed: u64::from(number),
            home,
            running: None,
        };
        let environment = host.path("environments").join(format!("esphome-{VERSION}"));
        std::fs::create_dir_all(environment.join("bin")).unwrap();
        std::fs::write(environment.join("bin/python"), "").unwrap();
        let record = format!(r#"{{"version": "{VERSION}", "size_bytes": 1}}"#);
        std::fs::write(environment.join("kiln-environment.json"), record).unwrap();
        std::fs::create_dir_all(host.path("esphome")).unwrap();
        std::fs::create_dir_all(host.path("scratch")).unwrap();
        host.add_device("kitchen");
        host
    }
}

/// One machine: its disk, keyring, programs and network address outlive its node.
pub(crate) struct Host {
    pub(crate) world: World,
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    pub(crate) store: Arc<DirStore>,
    pub(crate) serial: Arc<SimSerialPorts>,
    pub(crate) secrets: Arc<MemorySecrets>,
    pub(crate) processes: Arc<ScriptedProcesses>,
    pub(crate) activity: Arc<ScriptedActivity>,
    pub(crate) sleep: Arc<ScriptedSleep>,
    pub(crate) sandbox: Arc<OpenBox>,
    pub(crate) esphome: Esphome,
    seed: u64,
    home: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    client: Client,
    stop: oneshot::Sender<()>,
    node: JoinHandle<Ended>,
}

impl Host {
    /// Returns a path below the host's home.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    /// Writes a configuration.
    pub(crate) fn add_device(&self, name: &str) {
        let text = format!("esphome:\n  name: {name}\nesp8266:\n  board: d1_mini\n");
        let path = self.path("esphome").join(format!("{name}.yaml"));
        std::fs::write(path, text).unwrap();
    }

    /// Starts the node on what the disk and the keyring hold.
    pub(crate) async fn start(&mut self) -> Result<(), StartError> {
        self.start_as(IdentityChoice::Stored).await
    }

    /// Starts the node with this choice of identity.
    pub(crate) async fn start_as(&mut self, identity: IdentityChoice) -> Result<(), StartError> {
        let (control, bell) = MemoryControl::new();
        self.seed += 1000;
        let ports = Ports {
            clock: Arc::clone(&self.world.clock) as _,
            net: Arc::new(self.world.net.host(self.ip)),
            discovery: Arc::new(self.world.multicast.join(self.ip)),
            processes: Arc::clone(&self.processes) as _,
            sandbox: Arc::clone(&self.sandbox) as _,
            secrets: Arc::clone(&self.secrets) as _,
            store: Arc::clone(&self.store) as _,
            serial: Arc::clone(&self.serial) as _,
            control: Box::new(control),
            activity: Arc::clone(&self.activity) as _,
            sleep: Arc::clone(&self.sleep) as _,
        };
        let home = self.home.path().display().to_string();
        let variables = [("HOME", home.clone()), ("PATH", format!("{home}/bin"))];
        let site = Site {
            received: self.path("received"),
            state: self.path("state"),
            environments: self.path("environments"),
            scratch: self.path("scratch"),
            home: self.home.path().to_owned(),
            version: "0.1.0".to_owned(),
            machine: self.name.clone(),
            surroundings: Surroundings::new(
                variables.map(|(key, value)| (key.to_owned(), value)).into(),
            ),
            seed: self.seed,
        };
        let options = StartOptions {
            identity,
            changes: Vec::new(),
            bootstrap: None,
        };
        let node = Node::start(ports, site, options).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let asked = async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let node = tokio::spawn(node.serve(asked, |_| {}));
        let client = Client::connect(&bell);
        self.running = Some(Running { client, stop, node });
        self.world.settle().await;
        Ok(())
    }

    /// Stops the node politely.
    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().expect("a node that runs");
        running.stop.send(()).expect("a node that listens");
        let mut node = running.node;
        for _ in 0..120 {
            self.world.settle().await;
            if node.is_finished() {
                let ended = (&mut node).await.unwrap();
                assert_eq!(ended, Ended::Asked);
                return;
            }
            self.world.run_for(Duration::from_millis(500)).await;
        }
        panic!("{} does not stop", self.name);
    }

    /// Ends the node as SIGKILL does: nothing is said, nothing is written.
    pub(crate) async fn kill(&mut self) {
        let running = self.running.take().expect("a node that runs");
        self.world.net.power_off(self.ip);
        running.node.abort();
        // Aborted, so it has no result.
        let _ = running.node.await;
        self.world.settle().await;
    }

    /// Sends a request and lets time pass until it is answered.
    pub(crate) async fn ask(&self, request: Request) -> Reply {
        let running = self.running.as_ref().expect("a node that runs");
        let mut answer = running.client.send(request.clone());
        for _ in 0..240 {
            self.world.settle().await;
            if let Ok(reply) = answer.try_recv() {
                return reply;
            }
            self.world.run_for(Duration::from_millis(500)).await;
        }
        panic!("{}: nobody answers {request:?}", self.name);
    }

    /// Sends a request and does not wait for anything.
    pub(crate) fn tell(&self, request: Request) {
        let running = self.running.as_ref().expect("a node that runs");
        drop(running.client.send(request));
    }

    /// Begins to follow; what comes is in the inbox once the world settled.
    pub(crate) async fn follow(&self, follow: Follow) -> mpsc::UnboundedReceiver<Event> {
        let running = self.running.as_ref().expect("a node that runs");
        let inbox = running.client.follow(follow);
        self.world.settle().await;
        inbox
    }

    /// Returns the read model.
    pub(crate) async fn view(&self) -> View {
        match self.ask(Request::Status).await {
            Reply::Status(view) => *view,
            other => panic!("{other:?} is no status"),
        }
    }

    pub(crate) async fn pin(&self) -> Pin {
        self.view().await.identity.pin
    }

    /// Returns where the host's peer link is.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.ip.to_string(), LINK_PORT).unwrap()
    }

    /// Asks `receiver` to admit this host, the fingerprint compared.
    pub(crate) async fn ask_to_pair(&self, receiver: &Host) -> Reply {
        let endpoint = receiver.endpoint();
        let pin = match self.ask(Request::Preview(endpoint.clone())).await {
            Reply::Previewed { pin, .. } => pin,
            refused => return refused,
        };
        assert_eq!(pin, receiver.pin().await, "the fingerprints differ");
        self.ask(Request::Pair {
            endpoint,
            pin,
            pairing_key: None,
            label: Label::default(),
        })
        .await
    }

    /// Pairs this host with a receiver whose window is opened for it, and waits for the session.
    pub(crate) async fn pair_with(&self, receiver: &Host) {
        assert_eq!(receiver.ask(Request::OpenWindow).await, Reply::Done);
        assert_eq!(self.ask_to_pair(receiver).await, Reply::PairingPending);
        let id = self.view().await.identity.dashboard_id;
        assert_eq!(receiver.ask(Request::Approve(id, None)).await, Reply::Done);
        let world = self.world.clone();
        world
            .run_until(Duration::from_secs(60), async || self.is_connected().await)
            .await;
    }

    /// Returns whether a session to some receiver is open.
    pub(crate) async fn is_connected(&self) -> bool {
        let pairings = self.view().await.pairings;
        pairings.iter().any(|p| p.link == LinkState::Connected)
    }

    /// Starts an installation; returns its jobs.
    pub(crate) async fn install(&self, device: &str) -> Vec<Job> {
        self.install_by(device, BuildChoice::Auto).await
    }

    /// Starts an installation built where `build` says; returns its jobs.
    pub(crate) async fn install_by(&self, device: &str, build: BuildChoice) -> Vec<Job> {
        let request = Request::Install {
            device: device.to_owned(),
            build,
            port: Port::Ota,
        };
        match self.ask(request).await {
            Reply::Jobs(jobs) => jobs,
            other => panic!("{other:?} are no jobs"),
        }
    }

    /// Returns the jobs, oldest first.
    pub(crate) async fn jobs(&self) -> Vec<Job> {
        let mut jobs = self.view().await.jobs;
        jobs.reverse();
        jobs
    }

    /// Lets time pass until every job is final; returns what became of them, oldest first.
    pub(crate) async fn finish_jobs(&self, limit: Duration) -> Vec<JobStatus> {
        let world = self.world.clone();
        let end = world.clock.now().mono + limit;
        loop {
            world.settle().await;
            let jobs = self.jobs().await;
            if jobs.iter().all(|job| job.status.is_final()) {
                return jobs.iter().map(|job| job.status).collect();
            }
            assert!(world.clock.now().mono < end, "not final: {jobs:#?}");
            world.run_for(Duration::from_millis(500)).await;
        }
    }

    /// Returns the command lines with this subcommand that were started.
    pub(crate) fn started(&self, subcommand: &str) -> usize {
        let verb = format!(" {subcommand} ");
        let lines = self.processes.lines();
        lines.iter().filter(|line| line.contains(&verb)).count()
    }

    /// Returns the log of a job.
    pub(crate) fn log(&self, job: &Job) -> String {
        use kiln_ports::Store as _;
        std::fs::read_to_string(self.store.log_path(&job.id)).unwrap_or_default()
    }
}

/// A face connected to a node. Dropping it hangs up.
pub(crate) struct Client {
    orders: mpsc::UnboundedSender<Order>,
}

/// What a face wants, and where its answers go.
enum Order {
    Ask(Request, oneshot::Sender<Reply>),
    Follow(Follow, mpsc::UnboundedSender<Event>),
}

impl Client {
    fn connect(bell: &Bell) -> Self {
        let (orders, taken) = mpsc::unbounded_channel();
        tokio::spawn(talk(bell.ring().expect("a node that runs"), taken));
        Self { orders }
    }

    /// Sends a request; the answer comes when it comes.
    pub(crate) fn send(&self, request: Request) -> oneshot::Receiver<Reply> {
        let (answer, answered) = oneshot::channel();
        // A node that ended answers nothing, which the asking story notices.
        let _ = self.orders.send(Order::Ask(request, answer));
        answered
    }

    fn follow(&self, follow: Follow) -> mpsc::UnboundedReceiver<Event> {
        let (events, inbox) = mpsc::unbounded_channel();
        let _ = self.orders.send(Order::Follow(follow, events));
        inbox
    }
}

async fn talk(mut stream: DuplexStream, mut orders: mpsc::UnboundedReceiver<Order>) {
    let hello = ClientMessage::Hello {
        protocol: PROTOCOL,
        program: "a story".to_owned(),
    };
    let hello = kiln_ipc::encode_client(&hello).unwrap();
    if stream.write_all(hello.as_bytes()).await.is_err() {
        return;
    }
    let mut lines = Lines::new(MAX_ANSWER);
    let mut waiting = std::collections::HashMap::new();
    let mut follows: std::collections::HashMap<u64, mpsc::UnboundedSender<Event>> =
        std::collections::HashMap::new();
    let mut buffer = vec![0; 64 * 1024];
    for id in 0.. {
        let order = loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => break order,
                    None => return,
                },
                read = stream.read(&mut buffer) => match read {
                    Ok(length @ 1..) => lines.push(&buffer[..length]),
                    Ok(0) | Err(_) => return,
                },
            }
            while let Ok(Some(line)) = lines.next_line() {
                match kiln_ipc::decode_server(&line).unwrap() {
                    ServerMessage::Reply { id, reply } => {
                        let answer: oneshot::Sender<Reply> = waiting.remove(&id).unwrap();
                        // A story may have lost its interest.
                        let _ = answer.send(reply);
                    }
                    ServerMessage::Event { id, event } => {
                        let _ = follows[&id].send(event);
                    }
                    ServerMessage::Hello { .. } => {}
                    ServerMessage::Broken { error, .. } => panic!("{error}"),
                }
            }
        };
        let message = match order {
            Order::Ask(request, answer) => {
                waiting.insert(id, answer);
                ClientMessage::Request { id, request }
            }
            Order::Follow(follow, events) => {
                follows.insert(id, events);
                ClientMessage::Follow { id, follow }
            }
        };
        let line = kiln_ipc::encode_client(&message).unwrap();
        if stream.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}
