//! The fuzz bodies on stable: mutated samples, a bounded number of rounds, the same every time.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../fuzz/bodies/mutants.rs"]
mod mutants;
#[path = "../../../fuzz/bodies/net.rs"]
mod net;

use mutants::run;

const ROUNDS: usize = 4_000;

#[test]
fn mutated_frames_do_no_harm() {
    let masked = [0x82, 0x85, 1, 2, 3, 4, b'i', b'g', b'o', b'h', b'n'];
    let plain = [0x82, 0x03, b'a', b'b', b'c', 0x89, 0x01, b'p'];
    let fragments = [
        0x02, 0x01, b'a', 0x00, 0x00, 0x80, 0x01, b'b', 0x88, 0x02, 3, 232,
    ];
    let large = [&[0x82, 0x7e, 0x01, 0x2c][..], &[7; 300]].concat();
    let corpus = [masked.to_vec(), plain.to_vec(), fragments.to_vec(), large];
    run(net::websocket, &corpus, ROUNDS);
}

#[test]
fn mutated_heads_do_no_harm() {
    let request = b"GET /remote-build/peer-link HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let page = b"GET / HTTP/1.1\r\nOrigin: http://a\r\n\r\n";
    let corpus = [request.to_vec(), answer.to_vec(), page.to_vec()];
    assert!(kiln_platform::decoders::upgrade_request(request));
    run(net::upgrade, &corpus, ROUNDS);
}

#[test]
fn mutated_records_do_no_harm() {
    let builder = "esphome-builder-q0hfq0st\0esphome-builder-q0hfq0st.local.\0\
        server_version=1.26.1b3\0friendly_name=MacBook-Pro\0remote_build_port=6056\0ha_addon=1";
    let device = "kitchen\0kitchen.local.\0version=2026.10.0\0config_hash=00ab12cd";
    let bidi = "a\u{202e}b\0h.local.\0friendly_name=\u{1b}[31m";
    let corpus = [builder, device, bidi].map(|text| text.as_bytes().to_vec());
    run(net::service, &corpus, ROUNDS);
}
