//! [`TcpNet`]: peer-link connections over TCP and WebSocket (peer-link.md §3).
//!
//! The framing is Kiln's own and a few hundred lines, because what a peer link needs is what the
//! common WebSocket libraries do not give: two halves that never wait for each other, a message
//! limit that changes while the connection lives and holds before anything is allocated, 4 KiB
//! instead of 128 KiB per silent stranger, and payloads that are neither copied into an output
//! buffer nor out of an input buffer. In return it speaks only what peers speak: no extension is
//! ever offered or accepted, no subprotocol, no redirect, and nothing is sent in fragments.

mod admission;
pub(crate) mod decoders;
mod frame;
mod listener;
mod upgrade;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kiln_model::{Sentence, say};
use kiln_ports::Net;
use kiln_ports::net::{Connection, Listener, NetError};
use tokio::net::TcpStream;
use tokio::time::timeout;

use admission::Admission;
use listener::TcpPeerListener;
use wire::Role;

/// Idle time before the first keep-alive probe, and between probes. Long polls cross NATs that
/// forget a silent connection after some minutes (peer-link.md §11, Q16).
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));

/// How long an address is tried alone before the next is tried beside it (RFC 8305 §8).
const AHEAD: Duration = Duration::from_millis(250);

/// Longest wait for the system's resolver, which itself may try for half a minute.
const RESOLVE: Duration = Duration::from_secs(10);

/// The system's network.
#[derive(Default)]
pub struct TcpNet {
    admission: Admission,
}

#[async_trait::async_trait]
impl Net for TcpNet {
    async fn listen(&self, host: &str, first_port: u16) -> Result<Box<dyn Listener>, NetError> {
        let admission = self.admission.clone();
        Ok(Box::new(
            TcpPeerListener::bind(host, first_port, admission).await?,
        ))
    }

    async fn dial(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        step_timeout: Duration,
        max_message_bytes: usize,
    ) -> Result<Connection, NetError> {
        let mut why = NetError::Failed(say::host_without_address(host));
        let mut candidates = addresses.iter().copied();
        let mut dialling = FuturesUnordered::new();
        loop {
            let next = candidates.next();
            dialling.extend(
                next.map(|address| dial_one(host, address, step_timeout, max_message_bytes)),
            );
            let done = match next {
                Some(_) => timeout(AHEAD, dialling.next()).await.ok(),
                None => Some(dialling.next().await),
            };
            match done {
                Some(Some(Ok(connection))) => return Ok(connection),
                Some(Some(Err(error))) => why = error,
                // All have failed.
                Some(None) => return Err(why),
                None => {}
            }
        }
    }

    async fn resolve(&self, host: &str) -> Result<Vec<SocketAddr>, NetError> {
        let found = timeout(RESOLVE, tokio::net::lookup_host((host, 0)))
            .await
            .map_err(|_| NetError::TimedOut(RESOLVE))?
            .map_err(|e| NetError::Failed(say::host_unknown(host, e.to_string())))?;
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }
}

/// Says what the system said of a connection.
fn spoken(error: &io::Error) -> Sentence {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => say::refused_by_host(),
        io::ErrorKind::ConnectionReset => say::reset_by_host(),
        io::ErrorKind::HostUnreachable => say::host_unreachable(),
        io::ErrorKind::NetworkUnreachable => say::network_unreachable(),
        _ => error.to_string().into(),
    }
}

async fn dial_one(
    host: &str,
    address: SocketAddr,
    step: Duration,
    limit: usize,
) -> Result<Connection, NetError> {
    let tcp = timeout(step, TcpStream::connect(address))
        .await
        .map_err(|_| NetError::TimedOut(step))?
        .map_err(|e| NetError::Failed(say::cannot_connect(address.to_string(), spoken(&e))))?;
    tune(&tcp);
    let early = timeout(step, upgrade::request(&tcp, host, address.port()))
        .await
        .map_err(|_| NetError::TimedOut(step))??;
    wire::connection(Arc::new(tcp), Role::Client, early, limit, None)
        .map_err(|e| NetError::Failed(say::connection_broke(spoken(&e))))
}

/// Sends small frames at once and notices a peer that vanished. Neither is worth failing for.
fn tune(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let (idle, interval) = KEEP_ALIVE;
    let probes = socket2::TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval);
    let _ = socket2::SockRef::from(tcp).set_tcp_keepalive(&probes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use kiln_ports::net::{FIRST_MESSAGE_LIMIT, Incoming};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
    use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

    const STEP: Duration = Duration::from_secs(10);

    async fn listener() -> (Box<dyn Listener>, SocketAddr) {
        let listener = TcpNet::default().listen("127.0.0.1", 0).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], listener.port()));
        (listener, address)
    }

    async fn dial(to: &[SocketAddr], step: Duration, limit: usize) -> Result<Connection, NetError> {
        TcpNet::default().dial("localhost", to, step, limit).await
    }

    async fn pair() -> (Connection, Connection) {
        let (mut listener, address) = listener().await;
        let addresses = [address];
        let (server, client) = tokio::join!(listener.accept(), dial(&addresses, STEP, 61_440));
        (client.unwrap(), server)
    }

    fn binary(incoming: Result<Incoming, NetError>) -> Vec<u8> {
        match incoming {
            Ok(Incoming::Binary(message)) => message,
            other => panic!("expected a binary message, got {other:?}"),
        }
    }

    async fn stock_client(address: SocketAddr) -> tokio_tungstenite::WebSocketStream<TcpStream> {
        let tcp = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/remote-build/peer-link");
        tokio_tungstenite::client_async(url, tcp).await.unwrap().0
    }

    #[tokio::test]
    async fn messages_of_every_length_class_cross_both_ways() {
        let (mut client, mut server) = pair().await;
        server.reader.limit(200_000);
        client.reader.limit(200_000);
        for length in [0usize, 1, 125, 126, 4096, 61_440, 65_535, 65_536, 150_000] {
            let message: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let (sent, got) =
                tokio::join!(client.writer.send(message.clone()), server.reader.next());
            sent.unwrap();
            assert!(binary(got) == message, "{length} up");
            let (sent, got) =
                tokio::join!(server.writer.send(message.clone()), client.reader.next());
            sent.unwrap();
            assert!(binary(got) == message, "{length} down");
        }
    }

    #[tokio::test]
    async fn bulk_in_both_directions_at_once_does_not_lock_up() {
        let (client, server) = pair().await;
        let run = |mut side: Connection| async move {
            side.reader.limit(61_440);
            let mut writer = side.writer;
            let send = async {
                for n in 0..500u32 {
                    writer.feed(vec![n as u8; 44_000]).await.unwrap();
                }
                writer.flush().await.unwrap();
            };
            let mut reader = side.reader;
            let receive = async {
                for n in 0..500u32 {
                    let message = binary(reader.next().await);
                    assert!(message.len() == 44_000 && message[0] == n as u8);
                }
            };
            tokio::join!(send, receive);
            (reader, writer)
        };
        tokio::join!(run(client), run(server));
    }

    #[tokio::test]
    async fn a_stock_websocket_client_is_understood_with_fragments_and_pings() {
        let (mut listener, address) = listener().await;
        let (mut server, mut stock) = tokio::join!(listener.accept(), stock_client(address));
        let piece = |data: &[u8], op, last| {
            Message::Frame(Frame::message(data.to_vec(), OpCode::Data(op), last))
        };
        for message in [
            piece(b"he", Data::Binary, false),
            Message::Ping(b"alive?".to_vec().into()),
            piece(b"l", Data::Continue, false),
            piece(b"lo", Data::Continue, true),
            Message::Text("no".into()),
        ] {
            stock.feed(message).await.unwrap();
        }
        stock.flush().await.unwrap();
        assert_eq!(binary(server.reader.next().await), b"hello");
        assert!(matches!(server.reader.next().await, Ok(Incoming::Text)));
        let pong = stock.next().await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(b"alive?".to_vec().into()));
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        stock.close(Some(frame)).await.unwrap();
        for _ in 0..2 {
            let end = server.reader.next().await;
            assert!(matches!(end, Ok(Incoming::Closed(Some(1000)))));
        }
    }

    #[tokio::test]
    async fn a_stock_websocket_server_is_understood() {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let stock = async {
            let (tcp, _) = socket.accept().await.unwrap();
            let mut stock = tokio_tungstenite::accept_async(tcp).await.unwrap();
            let echo = stock.next().await.unwrap().unwrap();
            stock.send(echo).await.unwrap();
            stock.next().await.unwrap().unwrap()
        };
        let ours = async {
            let dialled = dial(&[address], STEP, 65_535).await;
            let mut ours = dialled.unwrap();
            ours.writer.send(vec![7; 60_000]).await.unwrap();
            assert!(binary(ours.reader.next().await) == vec![7; 60_000]);
            ours.writer.close(1001, "Server shutting down").await;
        };
        let (last, ()) = tokio::join!(stock, ours);
        let frame = CloseFrame {
            code: CloseCode::Away,
            reason: "Server shutting down".into(),
        };
        assert_eq!(last, Message::Close(Some(frame)));
    }

    #[tokio::test]
    async fn a_message_above_the_limit_ends_with_1009_whether_whole_or_in_fragments() {
        for fragments in [1usize, 3] {
            let (mut listener, address) = listener().await;
            let (mut server, mut stock) = tokio::join!(listener.accept(), stock_client(address));
            for n in 0..fragments {
                let (op, last) = match n {
                    0 => (Data::Binary, fragments == 1),
                    n => (Data::Continue, n + 1 == fragments),
                };
                let bytes = vec![0; FIRST_MESSAGE_LIMIT / fragments + 1];
                let frame = Frame::message(bytes, OpCode::Data(op), last);
                stock.send(Message::Frame(frame)).await.unwrap();
            }
            let refused = server.reader.next().await.unwrap_err();
            assert_eq!(refused, NetError::TooLarge(FIRST_MESSAGE_LIMIT));
            let (close, ()) = tokio::join!(stock.next(), server.writer.close(1000, ""));
            let Some(Ok(Message::Close(Some(frame)))) = close else {
                panic!("expected a close frame, got {close:?}");
            };
            assert_eq!(frame.code, CloseCode::Size);
        }
    }

    //
    #[tokio::test]
    async fn a_session_says_why_a_message_is_too_large_before_it_closes() {
        let (mut listener, address) = listener().await;
        let (mut server, mut stock) = tokio::join!(listener.accept(), stock_client(address));
        server.reader.authenticated();
        server.reader.limit(65_535);
        stock
            .feed(Message::Binary(vec![0; 3_000_000].into()))
            .await
            .unwrap();
        let theirs = async {
            let _ = stock.flush().await;
            let said = stock.next().await.unwrap().unwrap();
            let close = stock.next().await.unwrap().unwrap();
            (said, close)
        };
        let ours = async {
            let refused = server.reader.next().await.unwrap_err();
            assert_eq!(refused, NetError::TooLarge(65_535));
            server.writer.send(b"too large".to_vec()).await.unwrap();
            server.writer.close(1000, "").await;
        };
        let ((said, close), ()) = tokio::join!(theirs, ours);
        assert_eq!(said, Message::Binary(b"too large".to_vec().into()));
        let Message::Close(Some(frame)) = close else {
            panic!("expected a close frame, got {close:?}");
        };
        assert_eq!(frame.code, CloseCode::Normal);
    }

    #[tokio::test]
    async fn an_address_that_answers_nothing_holds_up_nobody() {
        // Connections are taken by the system and never upgraded.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut listener, address) = listener().await;
        let candidates = [silent.local_addr().unwrap(), address];
        let never = Duration::from_secs(3600);
        let (dialled, _) = tokio::join!(dial(&candidates, never, 65_535), listener.accept());
        assert_eq!(dialled.unwrap().peer, address);
    }

    #[tokio::test]
    async fn a_zone_of_an_address_is_kept() {
        let found = TcpNet::default().resolve("fe80::1%1").await.unwrap();
        let SocketAddr::V6(address) = found[0] else {
            panic!("expected IPv6, got {found:?}");
        };
        assert_eq!(address.scope_id(), 1);
    }

    #[tokio::test]
    async fn an_announced_terabyte_is_refused_by_its_header_alone() {
        let (mut listener, address) = listener().await;
        let (mut server, stock) = tokio::join!(listener.accept(), stock_client(address));
        let mut raw = stock.into_inner();
        let header = [0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        raw.write_all(&header).await.unwrap();
        let refused = server.reader.next().await.unwrap_err();
        assert_eq!(refused, NetError::TooLarge(FIRST_MESSAGE_LIMIT));
    }

    #[tokio::test]
    async fn cancelling_a_read_loses_nothing() {
        let (mut listener, address) = listener().await;
        let (mut server, stock) = tokio::join!(listener.accept(), stock_client(address));
        let mut raw = stock.into_inner();
        let frame = [0x82, 0x85, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o'];
        for byte in frame {
            raw.write_all(&[byte]).await.unwrap();
            tokio::select! {
                biased;
                got = server.reader.next() => {
                    assert_eq!(binary(got), b"hello");
                    return;
                }
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(binary(server.reader.next().await), b"hello");
    }

    #[tokio::test]
    async fn a_writer_dropped_without_a_close_resets_the_link() {
        let (mut client, server) = pair().await;
        drop(server);
        let end = client.reader.next().await;
        assert!(matches!(end, Ok(Incoming::Closed(None))));
    }

    //
    #[tokio::test]
    async fn requests_that_are_no_upgrade_get_their_status_and_no_connection() {
        let (mut listener, address) = listener().await;
        let ask = |request: &'static str| async move {
            let mut tcp = TcpStream::connect(address).await.unwrap();
            tcp.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            tcp.read_to_string(&mut answer).await.unwrap();
            answer[9..12].to_owned()
        };
        let asking = async {
            for (request, status) in [
                ("GET / HTTP/1.1\r\n\r\n", "404"),
                ("GET /remote-build/peer-link/ HTTP/1.1\r\n\r\n", "404"),
                ("GET /remote-build/peer-link HTTP/1.1\r\n\r\n", "400"),
                ("POST /remote-build/peer-link HTTP/1.1\r\n\r\n", "405"),
                (
                    "GET /remote-build/peer-link HTTP/1.1\r\nOrigin: http://a\r\n\r\n",
                    "403",
                ),
                ("\0\0\0\0\r\n\r\n", "400"),
            ] {
                assert_eq!(ask(request).await, status, "{request}");
            }
        };
        tokio::select! {
            _ = listener.accept() => panic!("something was upgraded"),
            () = asking => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_dropped_after_three_seconds() {
        let (mut listener, address) = listener().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET /remote").await.unwrap();
        let mut nothing = Vec::new();
        tokio::select! {
            _ = listener.accept() => panic!("something was upgraded"),
            _ = async {
                silent.read_to_end(&mut nothing).await.unwrap();
                half.read_to_end(&mut nothing).await.unwrap();
            } => {}
        }
        assert!(nothing.is_empty());
    }

    #[tokio::test]
    async fn the_ninth_half_open_connection_of_an_address_ends_the_first_unless_it_authenticated() {
        let (mut listener, address) = listener().await;
        let mut open = Vec::new();
        for n in 0..10 {
            let (mut server, stock) = tokio::join!(listener.accept(), stock_client(address));
            if n == 0 {
                server.reader.authenticated();
            }
            open.push((server, stock));
        }
        let end = open[1].0.reader.next().await;
        assert!(matches!(end, Ok(Incoming::Closed(None))));
        for n in [0, 2, 9] {
            let (server, stock) = &mut open[n];
            let message = Message::Binary(vec![1].into());
            stock.send(message).await.unwrap();
            assert_eq!(binary(server.reader.next().await), [1]);
        }
    }

    #[tokio::test]
    async fn who_authenticated_is_known_to_the_next_listener_as_well() {
        let net = TcpNet::default();
        let listen = async || {
            let listener = net.listen("127.0.0.1", 0).await.unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], listener.port()));
            (listener, address)
        };
        let (mut before, address) = listen().await;
        let (mut server, _stock) = tokio::join!(before.accept(), stock_client(address));
        server.reader.authenticated();
        drop((server, before));
        let (mut next, address) = listen().await;
        // More than a stranger may.
        for _ in 0..50 {
            let both = async { tokio::join!(next.accept(), stock_client(address)) };
            tokio::time::timeout(STEP, both).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_taken_port_leads_to_the_next_and_ten_taken_ports_to_an_error() {
        let (first, address) = listener().await;
        let start = address.port().min(u16::MAX - 9);
        let mut held = vec![first];
        let failure = loop {
            match TcpNet::default().listen("127.0.0.1", start).await {
                Ok(next) => {
                    assert!((start..=start + 9).contains(&next.port()));
                    held.push(next);
                }
                Err(error) => break error,
            }
        };
        let expected = NetError::NoFreePort {
            first: start,
            last: start + 9,
            host: "127.0.0.1".to_owned(),
        };
        assert_eq!(failure, expected);
    }

    #[tokio::test]
    async fn an_interface_name_binds_its_addresses_and_an_unknown_one_is_refused() {
        let interfaces = if_addrs::get_if_addrs().unwrap();
        let loopback = interfaces.iter().find(|i| i.is_loopback()).unwrap();
        let listener = TcpNet::default()
            .listen(&loopback.name, 40_000)
            .await
            .unwrap();
        let address = SocketAddr::new(loopback.ip(), listener.port());
        TcpStream::connect(address).await.unwrap();
        let refused = TcpNet::default()
            .listen("no-such-thing", 0)
            .await
            .err()
            .unwrap();
        assert!(refused.to_string().contains("no-such-thing"));
    }

    #[tokio::test]
    async fn dialling_goes_on_to_the_next_address() {
        let (mut listener, address) = listener().await;
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        let addresses = [closed, address];
        let dialling = dial(&addresses, STEP, 1024);
        let (_server, client) = tokio::join!(listener.accept(), dialling);
        assert_eq!(client.unwrap().peer, address);
        let refused = dial(&[closed], STEP, 1024).await;
        assert!(matches!(refused.err().unwrap(), NetError::Failed(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_and_stays_silent_times_out() {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let refused = dial(&[address], STEP, 1024).await;
        assert_eq!(refused.err().unwrap(), NetError::TimedOut(STEP));
    }

    /// Upgrades from a source address of its own; Linux has all of 127.0.0.0/8.
    #[cfg(target_os = "linux")]
    async fn stock_client_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((source, 0))).unwrap();
        let tcp = socket.connect(to).await.unwrap();
        let url = format!("ws://{to}/remote-build/peer-link");
        let upgraded = tokio_tungstenite::client_async(url, tcp).await.unwrap();
        upgraded.0.into_inner()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_flood_of_mute_strangers_neither_piles_up_nor_hurts_a_known_peer() {
        // As many as are let in at once; who comes more often is sent away.
        const STRANGERS: usize = 60;
        const OPEN: usize = 48;
        let (mut listener, address) = listener().await;
        let (accepted, mut connections) = tokio::sync::mpsc::unbounded_channel();
        let accepting = async move {
            loop {
                accepted.send(listener.accept().await).unwrap();
            }
        };
        let story = async {
            let mut peer = stock_client_from([127, 0, 0, 1], address).await;
            let mut known = connections.recv().await.unwrap();
            known.reader.authenticated();
            let (mut strangers, mut held) = (Vec::new(), Vec::new());
            for n in 0..STRANGERS {
                let source = [127, 0, 1, (n / 8) as u8];
                strangers.push(stock_client_from(source, address).await);
                held.push(connections.recv().await.unwrap());
            }
            // The known address gets in again although every open slot is taken.
            let _again = stock_client_from([127, 0, 0, 1], address).await;
            let mut again = connections.recv().await.unwrap();
            for stranger in strangers.iter_mut().take(STRANGERS - OPEN) {
                let mut end = Vec::new();
                // Ended by the listener, whichever way the system says so.
                let _ = stranger.read_to_end(&mut end).await;
            }
            let frame = [0x82, 0x81, 0, 0, 0, 0, b'x'];
            peer.write_all(&frame).await.unwrap();
            assert_eq!(binary(known.reader.next().await), b"x");
            for stranger in strangers.iter_mut().skip(STRANGERS - OPEN) {
                stranger.write_all(&frame).await.unwrap();
            }
            for connection in held.iter_mut().skip(STRANGERS - OPEN) {
                assert_eq!(binary(connection.reader.next().await), b"x");
            }
            again.writer.send(b"y".to_vec()).await.unwrap();
        };
        tokio::select! {
            () = accepting => {}
            () = story => {}
        }
    }
}
