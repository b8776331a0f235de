//! The HTTP upgrade, both sides: one bounded request, one bounded answer, nothing else of HTTP.
use std::io::{self, ErrorKind};

use bytes::{BufMut, BytesMut};
use kiln_model::say;
use kiln_ports::net::NetError;
use tokio::net::TcpStream;
use tungstenite::handshake::{client::generate_key, derive_accept_key};

/// The only path there is (peer-link.md §3.2).
const PATH: &str = "/remote-build/peer-link";

/// Largest request or answer head, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// Most header lines of a head.
const MAX_HEADERS: usize = 64;

/// Why a request is not upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
}

impl Refusal {
    fn status(self) -> &'static str {
        match self {
            Refusal::BadRequest => "400 Bad Request",
            Refusal::Forbidden => "403 Forbidden",
            Refusal::NotFound => "404 Not Found",
            Refusal::MethodNotAllowed => "405 Method Not Allowed\r\nAllow: GET",
            Refusal::HeadTooLarge => "431 Request Header Fields Too Large",
        }
    }
}

/// Answers one request. Returns what the client sent after it, or `None` when it was refused or
/// the client went away. The caller bounds the time.
pub(super) async fn accept(tcp: &TcpStream) -> Option<BytesMut> {
    let (verdict, rest) = match read_head(tcp).await {
        Ok(Some((head, rest))) => (judge(&head), rest),
        Ok(None) => (Err(Refusal::HeadTooLarge), BytesMut::new()),
        Err(_) => return None,
    };
    let answer = match &verdict {
        Ok(accept_key) => format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept_key}\r\n\r\n"
        ),
        Err(refusal) => format!(
            "HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            refusal.status()
        ),
    };
    write_all(tcp, answer.as_bytes()).await.ok()?;
    verdict.is_ok().then_some(rest)
}

/// Asks for the upgrade; returns what the server sent after its answer. The caller bounds the time.
pub(super) async fn request(tcp: &TcpStream, host: &str, port: u16) -> Result<BytesMut, NetError> {
    let key = generate_key();
    let broken =
        |error: io::Error| NetError::Failed(say::no_answer_to_upgrade(super::spoken(&error)));
    write_all(tcp, ask(host, port, &key).as_bytes())
        .await
        .map_err(broken)?;
    let (head, rest) = read_head(tcp).await.map_err(broken)?.ok_or_else(|| {
        NetError::Failed("the answer to the upgrade is too long; this is not a peer".into())
    })?;
    check_answer(&head, &key).map_err(|why| NetError::Failed(why.into()))?;
    Ok(rest)
}

fn ask(host: &str, port: u16, key: &str) -> String {
    let host = host.split('%').next().unwrap_or(host).trim_end_matches('.');
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    format!(
        "GET {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Decides on a request head; the value of `Sec-WebSocket-Accept` if it is upgraded. Query,
/// cookies, authorisation, subprotocols and extensions are ignored. `Origin` means a web page:
/// browsers always send one, peers never do (trust.md §1.4).
pub(super) fn judge(head: &[u8]) -> Result<String, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        // A head that ends before our blank line would hide what comes after.
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Ok(httparse::Status::Complete(_) | httparse::Status::Partial) | Err(_) => {
            return Err(Refusal::BadRequest);
        }
    }
    let target = request.path.unwrap_or_default();
    if target.split('?').next() != Some(PATH) {
        return Err(Refusal::NotFound);
    }
    if request.method != Some("GET") {
        return Err(Refusal::MethodNotAllowed);
    }
    let headers: &[httparse::Header<'_>] = request.headers;
    if value(headers, "origin").is_some() {
        return Err(Refusal::Forbidden);
    }
    let key = value(headers, "sec-websocket-key").ok_or(Refusal::BadRequest)?;
    let wanted = request.version == Some(1)
        && asks_for_websocket(headers)
        && value(headers, "sec-websocket-version") == Some("13")
        && key.len() == 24
        && key.ends_with("==");
    if !wanted {
        return Err(Refusal::BadRequest);
    }
    Ok(derive_accept_key(key.as_bytes()))
}

pub(super) fn check_answer(head: &[u8], key: &str) -> Result<(), String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let complete = answer.parse(head) == Ok(httparse::Status::Complete(head.len()));
    let Some(code) = answer.code.filter(|_| complete) else {
        return Err("the answer to the upgrade is not HTTP; this is not a peer".into());
    };
    if code != 101 {
        return Err(format!(
            "the upgrade was answered with HTTP status {code}; this is not a peer"
        ));
    }
    let headers: &[httparse::Header<'_>] = answer.headers;
    let agreed = asks_for_websocket(headers)
        && value(headers, "sec-websocket-accept") == Some(&derive_accept_key(key.as_bytes()))
        && value(headers, "sec-websocket-extensions").is_none()
        && value(headers, "sec-websocket-protocol").is_none();
    if !agreed {
        return Err("the upgrade was answered wrongly; this is not a peer".into());
    }
    Ok(())
}

fn asks_for_websocket(headers: &[httparse::Header<'_>]) -> bool {
    let lists = |name: &str, word: &str| {
        value(headers, name)
            .is_some_and(|v| v.split(',').any(|w| w.trim().eq_ignore_ascii_case(word)))
    };
    lists("upgrade", "websocket") && lists("connection", "upgrade")
}

fn value<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
    // Present but unreadable must not look absent: `Origin` is refused by being there.
    Some(std::str::from_utf8(header.value).unwrap_or_default())
}

/// Reads up to the blank line; `None` when it does not come within [`MAX_HEAD`] bytes.
async fn read_head(tcp: &TcpStream) -> io::Result<Option<(BytesMut, BytesMut)>> {
    let mut bytes = BytesMut::with_capacity(1024);
    let mut searched: usize = 0;
    loop {
        let room = MAX_HEAD - bytes.len();
        if room == 0 {
            return Ok(None);
        }
        bytes.reserve(room.min(1024));
        match tcp.try_read_buf(&mut (&mut bytes).limit(room)) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                tcp.readable().await?;
                continue;
            }
            Err(error) => return Err(error),
        }
        let from = searched.saturating_sub(3);
        let found = bytes
            .get(from..)
            .and_then(|tail| tail.windows(4).position(|w| w == b"\r\n\r\n"));
        if let Some(at) = found {
            let rest = bytes.split_off(from + at + 4);
            // The rest gets a buffer of its own, so that the head is freed.
            return Ok(Some((bytes, BytesMut::from(&rest[..]))));
        }
        searched = bytes.len();
    }
}

async fn write_all(tcp: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match tcp.try_write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => tcp.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "GET /remote-build/peer-link HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
         Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    #[test]
    fn the_sample_of_the_rfc_is_upgraded() {
        assert_eq!(
            judge(GOOD.as_bytes()),
            Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned())
        );
    }

    #[test]
    fn every_other_request_is_refused_with_its_status() {
        let with = |from: &str, to: &str| GOOD.replacen(from, to, 1);
        for (request, refusal) in [
            (with("peer-link HTTP", "peer-link/ HTTP"), Refusal::NotFound),
            (with("/remote-build/peer-link", "/"), Refusal::NotFound),
            (with("GET", "POST"), Refusal::MethodNotAllowed),
            (with("GET", "HEAD"), Refusal::MethodNotAllowed),
            (with("Host: h", "Origin: null"), Refusal::Forbidden),
            (with("Host: h", "oRIGIN: \u{e9}"), Refusal::Forbidden),
            (with("Upgrade: websocket\r\n", ""), Refusal::BadRequest),
            (with("13", "8"), Refusal::BadRequest),
            (with("==", ""), Refusal::BadRequest),
            (with("HTTP/1.1", "HTTP/1.0"), Refusal::BadRequest),
            (with("HTTP/1.1", "HTTP/9"), Refusal::BadRequest),
            (
                with("\r\n\r\n", "\n\nOrigin: a\r\n\r\n"),
                Refusal::BadRequest,
            ),
            (
                with("\r\n\r\n", &("\r\nA: b".repeat(100) + "\r\n\r\n")),
                Refusal::HeadTooLarge,
            ),
        ] {
            assert_eq!(judge(request.as_bytes()), Err(refusal), "{request}");
        }
    }

    #[test]
    fn a_query_is_ignored() {
        let request = GOOD.replacen("peer-link", "peer-link?x=1", 1);
        assert!(judge(request.as_bytes()).is_ok());
    }

    #[test]
    fn an_answer_with_an_extension_or_a_wrong_key_is_refused() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let good = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
             Connection: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(check_answer(good.as_bytes(), key), Ok(()));
        for bad in [
            good.replacen("s3p", "S3p", 1),
            good.replacen(
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
                1,
            ),
            good.replacen("101", "302", 1),
            "SSH-2.0-x\r\n\r\n".to_owned(),
        ] {
            assert!(check_answer(bad.as_bytes(), key).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_request_names_the_host_as_a_url_would() {
        assert!(ask("fe80::1%eth0", 6055, "k").contains("Host: [fe80::1]:6055\r\n"));
        assert!(ask("box.local.", 6055, "k").contains("Host: box.local:6055\r\n"));
        assert!(judge(ask("h", 1, &generate_key()).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_heads_never_panic(bytes: Vec<u8>) {
            let _ = judge(&bytes);
            let _ = check_answer(&bytes, "k");
        }
    }
}
