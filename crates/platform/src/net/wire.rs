//! [`Wire`]: one upgraded TCP connection and its two halves.
//!
//! The halves share the socket but no lock: the reader owns the source, the writer the sink. The
//! only thing that crosses is the answer to a ping, which the reader sends itself when the sink is
//! free and leaves in a slot for the writer otherwise.
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use kiln_model::say;
use kiln_ports::net::{Connection, Incoming, NetError, Reader, Writer};
use tokio::net::TcpStream;

use super::admission::Ticket;
use super::frame::{Header, Mask, Opcode, Violation, apply_mask};

/// Bytes read ahead. Small on purpose: a silent stranger costs this much and no more (trust.md
/// G9), and bulk does not pass through it: payloads are read straight into their message.
const READ_AHEAD: usize = 4096;

/// Bytes that [`Writer::feed`] may leave unwritten.
const HIGH_WATER: usize = 256 * 1024;

/// Slices given to the system in one write.
const SLICES: usize = 32;

/// Longest wait for the other side's half of a close; a stranger gets less, as it holds a place
/// among the half-open connections.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
const CLOSE_WAIT_HALF_OPEN: Duration = Duration::from_millis(500);

const OVERSIZE: u16 = 1009;
const PROTOCOL_ERROR: u16 = 1002;

/// Which side of the upgrade this is; clients mask what they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// Makes the two halves of an upgraded connection. `early` is what was read beyond the upgrade.
pub(super) fn connection(
    tcp: Arc<TcpStream>,
    role: Role,
    early: BytesMut,
    limit: usize,
    ticket: Option<Ticket>,
) -> io::Result<Connection> {
    let peer = tcp.peer_addr()?;
    let wire = Arc::new(Wire {
        tcp,
        role,
        ticket,
        limit: AtomicUsize::new(limit),
        closed: AtomicBool::new(false),
        pong: Mutex::new(None),
        source: tokio::sync::Mutex::new(Source::new(early)),
        sink: tokio::sync::Mutex::new(Sink {
            queue: VecDeque::new(),
            queued: 0,
            written: 0,
            masks: Masks::default(),
            closing: false,
        }),
    });
    Ok(Connection {
        reader: Box::new(WireReader(Arc::clone(&wire))),
        writer: Box::new(WireWriter(wire)),
        peer,
    })
}

/// Returns the binary messages of a stream, for [`super::decoders`].
pub(super) fn messages<'a>(
    role: Role,
    limit: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Vec<Vec<u8>> {
    let (mut source, limit) = (Source::new(BytesMut::new()), AtomicUsize::new(limit));
    let mut messages = Vec::new();
    for piece in pieces {
        source.ahead.extend_from_slice(piece);
        loop {
            match source.parse(role, &limit) {
                Ok(Found::Message(Incoming::Binary(message))) => messages.push(message),
                Ok(Found::Message(Incoming::Text | Incoming::Closed(_)) | Found::Ping(_)) => {}
                Ok(Found::Nothing) => break,
                Ok(Found::Close(_)) | Err(_) => return messages,
            }
        }
    }
    messages
}

struct Wire {
    tcp: Arc<TcpStream>,
    role: Role,
    ticket: Option<Ticket>,
    limit: AtomicUsize,
    closed: AtomicBool,
    pong: Mutex<Option<Vec<u8>>>,
    source: tokio::sync::Mutex<Source>,
    sink: tokio::sync::Mutex<Sink>,
}

impl Wire {
    fn pong(&self) -> Option<Vec<u8>> {
        self.pong
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Sends the waiting answer to a ping if the sink is free and empty. Called by whoever left
    /// the answer and by whoever frees the sink, so none is forgotten; at most one waits, as only
    /// the newest ping has to be answered (RFC 6455 §5.5.3).
    fn answer_ping(&self) {
        while let Ok(mut sink) = self.sink.try_lock() {
            if sink.queued > 0 && !matches!(sink.write_some(&self.tcp), Ok(()) if sink.queued == 0)
            {
                return;
            }
            let Some(payload) = self.pong() else { return };
            sink.push(self.role, Opcode::Pong, payload);
            let _ = sink.write_some(&self.tcp);
        }
    }

    /// Returns whether nobody has said yet who this is.
    fn is_half_open(&self) -> bool {
        self.ticket.as_ref().is_some_and(Ticket::is_half_open)
    }

    /// Sends a close frame if none was sent; whether it leaves now depends on the socket.
    fn say_close(&self, payload: Vec<u8>) {
        if let Ok(mut sink) = self.sink.try_lock() {
            sink.push_close(self.role, payload);
            let _ = sink.write_some(&self.tcp);
        }
    }
}

struct WireReader(Arc<Wire>);

#[async_trait::async_trait]
impl Reader for WireReader {
    async fn next(&mut self) -> Result<Incoming, NetError> {
        self.0.source.lock().await.next(&self.0).await
    }

    fn limit(&mut self, max_message_bytes: usize) {
        self.0.limit.store(max_message_bytes, Ordering::Relaxed);
    }

    fn authenticated(&mut self) {
        if let Some(ticket) = &self.0.ticket {
            ticket.authenticated();
        }
    }
}

struct WireWriter(Arc<Wire>);

impl WireWriter {
    async fn put(&self, message: Vec<u8>, leave: usize) -> Result<(), NetError> {
        let mut sink = self.0.sink.lock().await;
        if let Some(payload) = self.0.pong() {
            sink.push(self.0.role, Opcode::Pong, payload);
        }
        sink.push(self.0.role, Opcode::Binary, message);
        sink.drain(&self.0.tcp, leave).await?;
        drop(sink);
        self.0.answer_ping();
        Ok(())
    }
}

#[async_trait::async_trait]
impl Writer for WireWriter {
    async fn send(&mut self, message: Vec<u8>) -> Result<(), NetError> {
        self.put(message, 0).await
    }

    async fn feed(&mut self, message: Vec<u8>) -> Result<(), NetError> {
        self.put(message, HIGH_WATER).await
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        self.0.sink.lock().await.drain(&self.0.tcp, 0).await?;
        self.0.answer_ping();
        Ok(())
    }

    async fn close(&mut self, code: u16, reason: &str) {
        let wire = &self.0;
        let goodbye = async {
            {
                let mut sink = wire.sink.lock().await;
                sink.push_close(wire.role, close_payload(code, reason));
                sink.drain(&wire.tcp, 0).await?;
            }
            // Somebody else may be reading; then this waits until they saw the end.
            let mut source = wire.source.lock().await;
            while source.end.is_none() {
                source.next(wire).await?;
            }
            source.skim(&wire.tcp).await;
            Ok::<(), NetError>(())
        };
        let patience = if wire.is_half_open() {
            CLOSE_WAIT_HALF_OPEN
        } else {
            CLOSE_WAIT
        };
        let _ = tokio::time::timeout(patience, goodbye).await;
        wire.closed.store(true, Ordering::Relaxed);
        let _ = socket2::SockRef::from(&*wire.tcp).shutdown(std::net::Shutdown::Both);
    }
}

impl Drop for WireWriter {
    fn drop(&mut self) {
        if !self.0.closed.load(Ordering::Relaxed) {
            let socket = socket2::SockRef::from(&*self.0.tcp);
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Code and text of a close frame; the text is cut so that the frame stays legal.
fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    let mut room = 123;
    for c in reason.chars() {
        if c.len_utf8() > room {
            break;
        }
        room -= c.len_utf8();
        payload.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    payload
}

/// The incoming direction.
struct Source {
    /// Read but not parsed.
    ahead: BytesMut,
    /// Payload of the message that is being received.
    message: Vec<u8>,
    /// Kind of the message that is being received, from its first frame to its last.
    open: Option<Opcode>,
    /// Data frame whose payload is being received.
    frame: Option<DataFrame>,
    /// The other side's end, with its code.
    end: Option<Option<u16>>,
    rest: Rest,
}

/// What the other side has sent beyond the end of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// It is in the way: a socket that is closed over it takes our last words back.
    Unread,
}

#[derive(Clone, Copy)]
struct DataFrame {
    last: bool,
    mask: Option<Mask>,
    done: usize,
    left: usize,
}

/// What was found in the bytes read so far.
enum Found {
    Nothing,
    Message(Incoming),
    Ping(Vec<u8>),
    Close(Vec<u8>),
}

/// Why reading cannot go on.
enum Broken {
    Peer(Violation),
    TooLarge(usize),
}

impl From<Violation> for Broken {
    fn from(violation: Violation) -> Self {
        Broken::Peer(violation)
    }
}

impl Source {
    fn new(ahead: BytesMut) -> Self {
        Self {
            ahead,
            message: Vec::new(),
            open: None,
            frame: None,
            end: None,
            rest: Rest::Nothing,
        }
    }

    /// Reads what is not wanted, until the other side ends as well.
    async fn skim(&mut self, tcp: &TcpStream) {
        while self.rest == Rest::Unread {
            self.frame = None;
            self.ahead.clear();
            if self.fill(tcp).await == 0 {
                self.rest = Rest::Nothing;
            }
        }
    }

    async fn next(&mut self, wire: &Wire) -> Result<Incoming, NetError> {
        loop {
            if let Some(code) = self.end {
                return Ok(Incoming::Closed(code));
            }
            match self.parse(wire.role, &wire.limit) {
                Ok(Found::Message(message)) => return Ok(message),
                Ok(Found::Ping(payload)) => {
                    *wire.pong.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
                    wire.answer_ping();
                }
                Ok(Found::Close(payload)) => {
                    let code = payload.first_chunk::<2>().map(|c| u16::from_be_bytes(*c));
                    self.end = Some(code);
                    wire.say_close(payload.get(..2).unwrap_or_default().to_vec());
                }
                Ok(Found::Nothing) => {
                    if self.fill(&wire.tcp).await == 0 {
                        self.end = Some(None);
                    }
                }
                Err(Broken::TooLarge(limit)) => {
                    self.end = Some(None);
                    self.rest = Rest::Unread;
                    // A session says in its own words why it ends, before its writer closes.
                    if wire.is_half_open() {
                        wire.say_close(close_payload(OVERSIZE, ""));
                    }
                    return Err(NetError::TooLarge(limit));
                }
                Err(Broken::Peer(Violation(why))) => {
                    self.end = Some(None);
                    wire.say_close(close_payload(PROTOCOL_ERROR, why));
                    return Err(NetError::Failed(
                        format!("the peer broke the WebSocket protocol: {why}").into(),
                    ));
                }
            }
        }
    }

    /// Takes what can be taken from the bytes read so far.
    fn parse(&mut self, role: Role, limit: &AtomicUsize) -> Result<Found, Broken> {
        loop {
            if let Some(frame) = &mut self.frame {
                let ready = frame.left.min(self.ahead.len());
                let start = self.message.len();
                self.message.extend_from_slice(&self.ahead.split_to(ready));
                frame.took(self.message.get_mut(start..).unwrap_or_default());
                if frame.left > 0 {
                    return Ok(Found::Nothing);
                }
                let last = frame.last;
                self.frame = None;
                if last {
                    return Ok(Found::Message(self.take_message()));
                }
            }
            let Some((header, size)) = Header::decode(&self.ahead)? else {
                return Ok(Found::Nothing);
            };
            if header.mask.is_some() != (role == Role::Server) {
                return Err(Violation("only clients mask").into());
            }
            match header.opcode {
                Opcode::Ping | Opcode::Pong | Opcode::Close => {
                    // At most 125 bytes: `decode` saw to that.
                    let length = usize::try_from(header.length).unwrap_or_default();
                    if self.ahead.len() < size + length {
                        return Ok(Found::Nothing);
                    }
                    self.ahead.advance(size);
                    let mut payload = self.ahead.split_to(length).to_vec();
                    if let Some(mask) = header.mask {
                        apply_mask(mask, 0, &mut payload);
                    }
                    match header.opcode {
                        Opcode::Ping => return Ok(Found::Ping(payload)),
                        Opcode::Close if payload.len() == 1 => {
                            return Err(Violation("a close frame of one byte").into());
                        }
                        Opcode::Close => return Ok(Found::Close(payload)),
                        Opcode::Pong | Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
                    }
                }
                Opcode::Continuation if self.open.is_none() => {
                    return Err(Violation("a continuation of nothing").into());
                }
                Opcode::Text | Opcode::Binary if self.open.is_some() => {
                    return Err(Violation("a message inside a message").into());
                }
                Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                    let limit = limit.load(Ordering::Relaxed);
                    let room = limit.saturating_sub(self.message.len());
                    let length = usize::try_from(header.length)
                        .ok()
                        .filter(|l| *l <= room)
                        .ok_or(Broken::TooLarge(limit))?;
                    self.ahead.advance(size);
                    self.message.reserve_exact(length);
                    self.open.get_or_insert(header.opcode);
                    self.frame = Some(DataFrame {
                        last: header.last,
                        mask: header.mask,
                        done: 0,
                        left: length,
                    });
                }
            }
        }
    }

    fn take_message(&mut self) -> Incoming {
        let message = std::mem::take(&mut self.message);
        match self.open.take() {
            Some(Opcode::Text) => Incoming::Text,
            Some(
                Opcode::Binary | Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong,
            )
            | None => Incoming::Binary(message),
        }
    }

    /// Reads more bytes; 0 at the end of the stream, also when it was reset. A payload in progress
    /// is read straight into its message.
    async fn fill(&mut self, tcp: &TcpStream) -> usize {
        loop {
            let read = match &mut self.frame {
                Some(frame) => {
                    let start = self.message.len();
                    let read = tcp.try_read_buf(&mut (&mut self.message).limit(frame.left));
                    frame.took(self.message.get_mut(start..).unwrap_or_default());
                    read
                }
                None => {
                    self.ahead
                        .reserve(READ_AHEAD.saturating_sub(self.ahead.len()));
                    tcp.try_read_buf(&mut self.ahead)
                }
            };
            match read {
                Ok(count) => return count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if tcp.readable().await.is_err() {
                        return 0;
                    }
                }
                Err(_) => return 0,
            }
        }
    }
}

impl DataFrame {
    /// Accounts for the next piece of payload and unmasks it.
    fn took(&mut self, piece: &mut [u8]) {
        if let Some(mask) = self.mask {
            apply_mask(mask, self.done, piece);
        }
        self.done += piece.len();
        self.left = self.left.saturating_sub(piece.len());
    }
}

/// The outgoing direction: whole frames that wait for the socket, written many at a time without
/// being copied.
struct Sink {
    queue: VecDeque<Vec<u8>>,
    /// Bytes in `queue` not yet written.
    queued: usize,
    /// Bytes of the first entry already written.
    written: usize,
    masks: Masks,
    /// A close frame was queued; nothing may follow it.
    closing: bool,
}

impl Sink {
    fn push(&mut self, role: Role, opcode: Opcode, mut payload: Vec<u8>) {
        if self.closing {
            return;
        }
        let mask = match role {
            Role::Client => Some(self.masks.next()),
            Role::Server => None,
        };
        if let Some(mask) = mask {
            apply_mask(mask, 0, &mut payload);
        }
        let header = Header {
            last: true,
            opcode,
            length: payload.len() as u64,
            mask,
        };
        for part in [header.encode(), payload] {
            if !part.is_empty() {
                self.queued += part.len();
                self.queue.push_back(part);
            }
        }
    }

    fn push_close(&mut self, role: Role, payload: Vec<u8>) {
        self.push(role, Opcode::Close, payload);
        self.closing = true;
    }

    /// Writes until at most `leave` bytes wait.
    async fn drain(&mut self, tcp: &TcpStream, leave: usize) -> Result<(), NetError> {
        while self.queued > leave {
            match self.write_some(tcp) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tcp.writable().await.map_err(failed)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    fn write_some(&mut self, tcp: &TcpStream) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut skip = self.written;
        for (slice, part) in slices.iter_mut().zip(&self.queue) {
            *slice = IoSlice::new(part.get(skip..).unwrap_or_default());
            skip = 0;
        }
        let filled = self.queue.len().min(SLICES);
        let mut count = tcp.try_write_vectored(slices.get(..filled).unwrap_or_default())?;
        self.queued = self.queued.saturating_sub(count);
        while let Some(first) = self.queue.front() {
            let left = first.len() - self.written;
            if count < left {
                self.written += count;
                break;
            }
            count -= left;
            self.written = 0;
            self.queue.pop_front();
        }
        Ok(())
    }
}

fn failed(error: io::Error) -> NetError {
    NetError::Failed(say::connection_broke(super::spoken(&error)))
}

/// Random masks, drawn from the system sixty-four at a time. Should the system have none, the mask
/// is zero: masking protects proxies, not the content, which is ciphertext.
#[derive(Default)]
struct Masks {
    pool: Vec<Mask>,
}

impl Masks {
    fn next(&mut self) -> Mask {
        if self.pool.is_empty() {
            let mut bytes = [0; 256];
            let _ = getrandom::fill(&mut bytes);
            self.pool.extend(bytes.as_chunks::<4>().0);
        }
        self.pool.pop().unwrap_or_default()
    }
}
