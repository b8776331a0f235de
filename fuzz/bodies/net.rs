//! What is done with hostile bytes from the network before and beside the peer link: WebSocket
//! frames, HTTP heads, DNS-SD records. Shared by the fuzz targets and the smoke test on stable.
// A body that panics is a finding.
#![allow(dead_code, unreachable_pub, reason = "each user needs a part of it")]

use kiln_platform::decoders::{self, Side};

/// Largest message in these bodies.
const LIMIT: usize = 300;

/// Reads a stream of frames as a listener and as a dialler would: no message above the limit, and
/// the same messages however the stream is cut.
pub fn websocket(data: &[u8]) {
    for side in [Side::Listener, Side::Dialler] {
        let whole = decoders::websocket(side, LIMIT, data.chunks(data.len().max(1)));
        assert!(whole.iter().all(|message| message.len() <= LIMIT));
        let pieces = decoders::websocket(side, LIMIT, data.chunks(3));
        assert_eq!(whole, pieces);
    }
}

/// Judges an HTTP head as both sides would. A request with an `Origin` is never upgraded.
pub fn upgrade(data: &[u8]) {
    decoders::upgrade_answer(data, "dGhlIHNhbXBsZSBub25jZQ==");
    let origin = b"\nOrigin:";
    let told = data
        .windows(origin.len())
        .any(|w| w.eq_ignore_ascii_case(origin));
    assert!(!(decoders::upgrade_request(data) && told));
}

/// Reads a record whose parts are separated by zero bytes: name, host, TXT entries. Nothing that is
/// shown can steer a terminal or grows without bound.
pub fn service(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0').map(str::to_owned);
    let (name, host) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let txt = parts.map(|entry| match entry.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.as_bytes().to_vec()),
        None => (entry, Vec::new()),
    });
    for shown in decoders::service(&name, &host, txt.collect()) {
        assert!(
            !shown.contains(|c: char| c.is_control()) && shown.len() <= 1024,
            "{shown:?}"
        );
    }
}
