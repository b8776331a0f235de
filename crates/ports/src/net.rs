//! [`Net`]: peer-link connections: binary WebSocket messages over TCP (peer-link.md §3).
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use kiln_model::{Sentence, say};

/// Largest message an accepted connection takes until [`Reader::limit`] is called: msg1 is 32
/// bytes and a short intent (trust.md §1.4).
pub const FIRST_MESSAGE_LIMIT: usize = 1024;

/// Why the network did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetError {
    /// No candidate port is free.
    NoFreePort {
        /// First tried.
        first: u16,
        /// Last tried.
        last: u16,
        /// On this address.
        host: String,
    },
    /// Refused, reset, unreachable, not a peer: the text says which.
    Failed(Sentence),
    /// Did not happen in time.
    TimedOut(Duration),
    /// The peer sent more than the limit in one message; the connection is closed (1009).
    TooLarge(usize),
}

impl NetError {
    /// Returns it in words.
    pub fn sentence(&self) -> Sentence {
        match self {
            NetError::NoFreePort { first, last, host } => say::no_free_port(*first, *last, host),
            NetError::Failed(why) => why.clone(),
            NetError::TimedOut(step) => say::no_answer_within(format!("{step:?}")),
            NetError::TooLarge(bytes) => say::message_too_large(*bytes),
        }
    }
}

kiln_model::spoken_errors!(NetError);

impl From<NetError> for Sentence {
    fn from(error: NetError) -> Self {
        error.sentence()
    }
}

/// One incoming WebSocket event.
#[derive(Debug)]
pub enum Incoming {
    /// A binary message.
    Binary(Vec<u8>),
    /// A text message; always a protocol error here.
    Text,
    /// Closed or reset by the other side, with its code if it gave one. Every later call says the
    /// same.
    Closed(Option<u16>),
}

/// The reading half. `next` is cancel safe. Reading and writing never wait for each other, so bulk
/// may flow both ways at once.
#[async_trait::async_trait]
pub trait Reader: Send {
    /// Waits for the next message. Pings are answered underneath.
    async fn next(&mut self) -> Result<Incoming, NetError>;

    /// Sets the largest message accepted from now on, in bytes. A frame that announces more is
    /// refused before anything is allocated for it. An accepted connection starts at
    /// [`FIRST_MESSAGE_LIMIT`].
    fn limit(&mut self, max_message_bytes: usize);

    /// Tells the listener that this peer is who it has to be: the connection no longer counts as
    /// half open, cannot be dropped in favour of a newer one, and its source address is preferred
    /// for the next 24 h. Does nothing on a dialled connection. The slot is released when both
    /// halves are dropped.
    fn authenticated(&mut self) {}
}

/// The writing half. Dropping it without `close` resets the connection.
#[async_trait::async_trait]
pub trait Writer: Send {
    /// Queues and flushes one binary message. Not cancel safe: a cancelled send ends the link.
    async fn send(&mut self, message: Vec<u8>) -> Result<(), NetError>;

    /// Queues one binary message without flushing; for bulk. Flushed by the next `send` or `flush`.
    async fn feed(&mut self, message: Vec<u8>) -> Result<(), NetError>;

    /// Flushes what was fed.
    async fn flush(&mut self) -> Result<(), NetError>;

    /// Sends a close frame and waits shortly (at most 2 s) for the other side to close.
    async fn close(&mut self, code: u16, reason: &str);
}

/// An upgraded connection.
pub struct Connection {
    /// Reading half.
    pub reader: Box<dyn Reader>,
    /// Writing half.
    pub writer: Box<dyn Writer>,
    /// The other side.
    pub peer: SocketAddr,
}

/// What ends when a listener has to be bound anew.
pub type Outdated = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A bound listener. Dropping it unbinds.
#[async_trait::async_trait]
pub trait Listener: Send {
    /// Waits for the next upgraded connection. Half-open connections are bounded in number, time
    /// and bytes underneath (trust.md §1.4); requests with an `Origin` header are refused.
    async fn accept(&mut self) -> Connection;

    /// Returns the bound port.
    fn port(&self) -> u16;

    /// Returns what ends once the addresses that its host stands for are others than those bound. The
    /// host may be an interface, and those get new addresses.
    fn outdated(&self) -> Outdated {
        Box::pin(std::future::pending())
    }
}

/// Listens and dials.
#[async_trait::async_trait]
pub trait Net: Send + Sync + 'static {
    /// Binds `host` (IP literal or interface name) at `first_port` or one of the nine following;
    /// 0 takes any free port.
    async fn listen(&self, host: &str, first_port: u16) -> Result<Box<dyn Listener>, NetError>;

    /// Connects to the first of `addresses` that answers and upgrades. The first of them has a little
    /// time ahead of the next, and so on, so that a dead one holds nobody up; each step is bounded by
    /// `step_timeout`. `max_message_bytes` is the reader's first limit.
    async fn dial(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        step_timeout: Duration,
        max_message_bytes: usize,
    ) -> Result<Connection, NetError>;

    /// Resolves a host name, or an address with a zone, through the system's resolver (not for
    /// `.local` names). The port of what is returned means nothing; the scope does.
    async fn resolve(&self, host: &str) -> Result<Vec<SocketAddr>, NetError>;
}
