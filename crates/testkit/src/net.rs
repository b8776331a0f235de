//! [`SimNet`]: peer-link connections in memory, on simulated time, with scripted faults.
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kiln_model::Mono;
use kiln_ports::clock::Clock;
use kiln_ports::net::{Connection, Incoming, Listener, Net, NetError, Reader, Writer};
use tokio::sync::{mpsc, watch};

use crate::SimClock;

/// Messages one direction holds before its writer has to wait.
const PIPE_MESSAGES: usize = 32;

/// Fed messages held back until a flush, so that a forgotten flush shows.
const FEED_MESSAGES: usize = 8;

/// What the way between two hosts does with messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Carries them.
    Open,
    /// Swallows them and tells nobody; dials run into their timeout.
    Silent,
    /// Refuses dials; open connections are not touched (see [`SimNet::reset`]).
    Unreachable,
}

/// Changes messages on their way; gets sender and recipient.
type Tamper = Box<dyn FnMut(IpAddr, IpAddr, &mut Vec<u8>) + Send>;

/// A network in memory. Clones are the same network.
#[derive(Clone)]
pub struct SimNet(Arc<Inner>);

struct Inner {
    clock: Arc<SimClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listeners: HashMap<SocketAddr, mpsc::UnboundedSender<Connection>>,
    names: BTreeMap<String, Vec<IpAddr>>,
    wires: HashMap<(IpAddr, IpAddr), Wire>,
    connections: Vec<(IpAddr, IpAddr, watch::Sender<bool>)>,
    latency: Duration,
    next_port: u16,
    tamper: Option<Tamper>,
    text_from: Option<IpAddr>,
    dials: Vec<SocketAddr>,
    /// How often each host lost its power.
    boots: HashMap<IpAddr, u64>,
}

impl SimNet {
    /// Makes a network without hosts.
    pub fn new(clock: Arc<SimClock>) -> Self {
        let state = State {
            next_port: 40_000,
            ..State::default()
        };
        Self(Arc::new(Inner {
            clock,
            state: Mutex::new(state),
        }))
    }

    /// Returns the [`Net`] of the host with this address.
    pub fn host(&self, address: IpAddr) -> SimHost {
        let boot = self.lock().boots.get(&address).copied().unwrap_or_default();
        SimHost {
            net: self.clone(),
            address,
            boot,
        }
    }

    /// Takes a host off the network as a crash does: its listeners are gone, its connections are
    /// reset, and a [`SimHost`] made before can neither dial nor listen any more.
    pub fn power_off(&self, address: IpAddr) {
        let mut state = self.lock();
        *state.boots.entry(address).or_default() += 1;
        state.listeners.retain(|at, _| at.ip() != address);
        for (x, y, dead) in &state.connections {
            if *x == address || *y == address {
                dead.send_replace(true);
            }
        }
    }

    /// Makes a name resolve through the system's resolver.
    pub fn name(&self, name: &str, addresses: &[IpAddr]) {
        self.lock().names.insert(name.into(), addresses.to_vec());
    }

    /// Sets what the way between two hosts does, for open connections too.
    pub fn wire(&self, a: IpAddr, b: IpAddr, wire: Wire) {
        self.lock().wires.insert(pair(a, b), wire);
    }

    /// Delays every message sent from now on by this much simulated time.
    pub fn latency(&self, latency: Duration) {
        self.lock().latency = latency;
    }

    /// Resets every open connection between two hosts.
    pub fn reset(&self, a: IpAddr, b: IpAddr) {
        for (x, y, dead) in &self.lock().connections {
            if pair(*x, *y) == pair(a, b) {
                dead.send_replace(true);
            }
        }
    }

    /// Passes every message through `tamper` from now on.
    pub fn tamper(&self, tamper: impl FnMut(IpAddr, IpAddr, &mut Vec<u8>) + Send + 'static) {
        self.lock().tamper = Some(Box::new(tamper));
    }

    /// Makes the next message from this host arrive as a text message.
    pub fn garble_into_text(&self, from: IpAddr) {
        self.lock().text_from = Some(from);
    }

    /// Returns every address that was tried so far, in order.
    pub fn dials(&self) -> Vec<SocketAddr> {
        self.lock().dials.clone()
    }

    fn wire_between(&self, a: IpAddr, b: IpAddr) -> Wire {
        let state = self.lock();
        state.wires.get(&pair(a, b)).copied().unwrap_or(Wire::Open)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes both ends of a connection.
    fn connect(&self, from: SocketAddr, to: SocketAddr, limit: usize) -> (Connection, Connection) {
        let (dead, _) = watch::channel(false);
        {
            let mut state = self.lock();
            state.connections.retain(|(_, _, dead)| !dead.is_closed());
            state.connections.push((from.ip(), to.ip(), dead.clone()));
        }
        let (up_in, up_out) = mpsc::channel(PIPE_MESSAGES);
        let (down_in, down_out) = mpsc::channel(PIPE_MESSAGES);
        let end = |me: SocketAddr, peer: SocketAddr, outbox, inbox, limit| Connection {
            reader: Box::new(SimReader {
                net: self.clone(),
                inbox,
                dead: dead.subscribe(),
                held: None,
                limit,
            }),
            writer: Box::new(SimWriter {
                net: self.clone(),
                from: me.ip(),
                to: peer.ip(),
                outbox,
                fed: Vec::new(),
                dead: dead.clone(),
                closed: false,
            }),
            peer,
        };
        let near = end(from, to, up_in, down_out, limit);
        let far = end(to, from, down_in, up_out, 4 << 20);
        (near, far)
    }
}

/// One host of a [`SimNet`].
#[derive(Clone)]
pub struct SimHost {
    net: SimNet,
    address: IpAddr,
    boot: u64,
}

impl SimHost {
    /// Waits for ever if the host lost its power since.
    async fn powered(&self) {
        let boot = self.net.lock().boots.get(&self.address).copied();
        if boot.unwrap_or_default() != self.boot {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait::async_trait]
impl Net for SimHost {
    async fn listen(&self, host: &str, first_port: u16) -> Result<Box<dyn Listener>, NetError> {
        self.powered().await;
        let mut state = self.net.lock();
        let candidates = match first_port {
            0 => {
                state.next_port += 1;
                state.next_port..=state.next_port
            }
            first => first..=first.saturating_add(9),
        };
        let free = candidates
            .clone()
            .find(|port| !state.listeners.contains_key(&(self.address, *port).into()));
        let Some(port) = free else {
            return Err(NetError::NoFreePort {
                first: *candidates.start(),
                last: *candidates.end(),
                host: host.into(),
            });
        };
        let (backlog, accepted) = mpsc::unbounded_channel();
        let address = SocketAddr::new(self.address, port);
        state.listeners.insert(address, backlog);
        Ok(Box::new(SimListener {
            net: self.net.clone(),
            address,
            accepted,
        }))
    }

    async fn dial(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        step_timeout: Duration,
        max_message_bytes: usize,
    ) -> Result<Connection, NetError> {
        self.powered().await;
        let mut error = NetError::Failed(format!("{host} has no address").into());
        for to in addresses {
            self.net.lock().dials.push(*to);
            match self.net.wire_between(self.address, to.ip()) {
                Wire::Open => {}
                Wire::Unreachable => {
                    error = NetError::Failed(format!("{to} is unreachable").into());
                    continue;
                }
                Wire::Silent => {
                    let clock = &self.net.0.clock;
                    clock.sleep_until(clock.now().mono + step_timeout).await;
                    error = NetError::TimedOut(step_timeout);
                    continue;
                }
            }
            let Some(backlog) = self.net.lock().listeners.get(to).cloned() else {
                error = NetError::Failed(format!("{to} refused the connection").into());
                continue;
            };
            let from = {
                let mut state = self.net.lock();
                state.next_port += 1;
                SocketAddr::new(self.address, state.next_port)
            };
            let (near, far) = self.net.connect(from, *to, max_message_bytes);
            if backlog.send(far).is_ok() {
                return Ok(near);
            }
        }
        Err(error)
    }

    async fn resolve(&self, host: &str) -> Result<Vec<SocketAddr>, NetError> {
        let with_port = |address: &IpAddr| SocketAddr::new(*address, 0);
        match self.net.lock().names.get(host) {
            Some(addresses) => Ok(addresses.iter().map(with_port).collect()),
            None => Err(NetError::Failed(format!("{host} is not known").into())),
        }
    }
}

struct SimListener {
    net: SimNet,
    address: SocketAddr,
    accepted: mpsc::UnboundedReceiver<Connection>,
}

#[async_trait::async_trait]
impl Listener for SimListener {
    async fn accept(&mut self) -> Connection {
        match self.accepted.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.net.lock().listeners.remove(&self.address);
    }
}

/// A message and when it arrives.
type Parcel = (Mono, Incoming);

struct SimReader {
    net: SimNet,
    inbox: mpsc::Receiver<Parcel>,
    dead: watch::Receiver<bool>,
    held: Option<Parcel>,
    limit: usize,
}

impl SimReader {
    async fn parcel(&mut self) -> Result<Incoming, NetError> {
        if self.held.is_none() {
            self.held = self.inbox.recv().await;
        }
        let due = self.held.as_ref().map(|(due, _)| *due);
        if let Some(due) = due {
            self.net.0.clock.sleep_until(due).await;
        }
        match self.held.take() {
            None => Ok(Incoming::Closed(None)),
            Some((due, Incoming::Closed(code))) => {
                self.held = Some((due, Incoming::Closed(code)));
                Ok(Incoming::Closed(code))
            }
            Some((_, Incoming::Binary(m))) if m.len() > self.limit => {
                Err(NetError::TooLarge(self.limit))
            }
            Some((_, incoming)) => Ok(incoming),
        }
    }
}

#[async_trait::async_trait]
impl Reader for SimReader {
    async fn next(&mut self) -> Result<Incoming, NetError> {
        let mut dead = self.dead.clone();
        let reset_by_script = async {
            // Both writers gone is no reset: what was sent before still arrives.
            if dead.wait_for(|dead| *dead).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = reset_by_script => Ok(Incoming::Closed(None)),
            incoming = self.parcel() => incoming,
        }
    }

    fn limit(&mut self, max_message_bytes: usize) {
        self.limit = max_message_bytes;
    }
}

struct SimWriter {
    net: SimNet,
    from: IpAddr,
    to: IpAddr,
    outbox: mpsc::Sender<Parcel>,
    fed: Vec<Vec<u8>>,
    dead: watch::Sender<bool>,
    closed: bool,
}

impl SimWriter {
    fn due(&self) -> Mono {
        self.net.0.clock.now().mono + self.net.lock().latency
    }

    fn swallows(&self) -> bool {
        self.net.wire_between(self.from, self.to) == Wire::Silent
    }
}

#[async_trait::async_trait]
impl Writer for SimWriter {
    async fn send(&mut self, message: Vec<u8>) -> Result<(), NetError> {
        self.fed.push(message);
        self.flush().await
    }

    async fn feed(&mut self, message: Vec<u8>) -> Result<(), NetError> {
        self.fed.push(message);
        if self.fed.len() < FEED_MESSAGES {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        for mut message in std::mem::take(&mut self.fed) {
            if self.closed || *self.dead.borrow() {
                return Err(reset());
            }
            if self.swallows() {
                continue;
            }
            if let Some(tamper) = &mut self.net.lock().tamper {
                tamper(self.from, self.to, &mut message);
            }
            let incoming = match self.net.lock().text_from.take_if(|from| *from == self.from) {
                Some(_) => Incoming::Text,
                None => Incoming::Binary(message),
            };
            let parcel = (self.due(), incoming);
            let mut dead = self.dead.subscribe();
            tokio::select! {
                sent = self.outbox.send(parcel) => sent.map_err(|_| reset())?,
                _ = dead.wait_for(|dead| *dead) => return Err(reset()),
            }
        }
        Ok(())
    }

    async fn close(&mut self, code: u16, _reason: &str) {
        if self.closed || self.flush().await.is_err() {
            return;
        }
        self.closed = true;
        let parcel = (self.due(), Incoming::Closed(Some(code)));
        if !self.swallows() && self.outbox.try_send(parcel).is_err() {
            self.dead.send_replace(true);
        }
    }
}

impl Drop for SimWriter {
    fn drop(&mut self) {
        if !self.closed && !self.swallows() {
            self.dead.send_replace(true);
        }
    }
}

fn reset() -> NetError {
    NetError::Failed("the connection was reset".into())
}

fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        clock: Arc<SimClock>,
        net: SimNet,
        a: SimHost,
        b: SimHost,
    }

    fn world() -> World {
        let clock = Arc::new(SimClock::new());
        let net = SimNet::new(clock.clone());
        let (a, b) = (ip(1), ip(2));
        World {
            a: net.host(a),
            b: net.host(b),
            clock,
            net,
        }
    }

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    async fn connected(world: &World) -> (Connection, Connection) {
        let mut listener = world.b.listen("0.0.0.0", 6055).await.unwrap();
        let to = SocketAddr::new(ip(2), listener.port());
        let near = world
            .a
            .dial("b", &[to], Duration::from_secs(10), 100)
            .await
            .unwrap();
        (near, listener.accept().await)
    }

    fn bytes(incoming: Result<Incoming, NetError>) -> Vec<u8> {
        match incoming {
            Ok(Incoming::Binary(bytes)) => bytes,
            other => panic!("expected a message, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn messages_arrive_in_order_and_a_close_carries_its_code() {
        let world = world();
        let (mut near, mut far) = connected(&world).await;
        near.writer.feed(vec![1]).await.unwrap();
        near.writer.send(vec![2]).await.unwrap();
        near.writer.close(1000, "").await;
        drop(near.writer);
        assert_eq!(bytes(far.reader.next().await), [1]);
        assert_eq!(bytes(far.reader.next().await), [2]);
        assert!(matches!(
            far.reader.next().await,
            Ok(Incoming::Closed(Some(1000)))
        ));
    }

    #[tokio::test]
    async fn a_reset_ends_both_ends() {
        let world = world();
        let (mut near, mut far) = connected(&world).await;
        world.net.reset(ip(1), ip(2));
        assert!(matches!(
            near.reader.next().await,
            Ok(Incoming::Closed(None))
        ));
        assert!(far.writer.send(vec![1]).await.is_err());
    }

    #[tokio::test]
    async fn a_writer_dropped_without_close_resets_the_connection() {
        let world = world();
        let (near, mut far) = connected(&world).await;
        drop(near.writer);
        assert!(matches!(
            far.reader.next().await,
            Ok(Incoming::Closed(None))
        ));
    }

    #[tokio::test]
    async fn a_silent_wire_lets_a_dial_run_into_its_timeout() {
        let world = world();
        world.net.wire(ip(1), ip(2), Wire::Silent);
        let to = SocketAddr::new(ip(2), 6055);
        let dial = tokio::spawn({
            let a = world.a.clone();
            async move {
                a.dial("b", &[to], Duration::from_secs(10), 100)
                    .await
                    .map(|_| ())
            }
        });
        while world.clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_secs(10));
        assert_eq!(
            dial.await.unwrap(),
            Err(NetError::TimedOut(Duration::from_secs(10)))
        );
    }

    #[tokio::test]
    async fn the_next_of_ten_ports_is_taken_when_the_first_is_busy() {
        let world = world();
        let _first = world.a.listen("", 6055).await.unwrap();
        assert_eq!(world.a.listen("", 6055).await.unwrap().port(), 6056);
    }

    #[tokio::test]
    async fn a_message_above_the_readers_limit_is_an_error() {
        let world = world();
        let (mut near, mut far) = connected(&world).await;
        far.writer.send(vec![0; 101]).await.unwrap();
        assert_eq!(
            near.reader.next().await.map(|_| ()),
            Err(NetError::TooLarge(100))
        );
    }
}
