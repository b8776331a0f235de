//! What the tests of this crate share: vectors, hex, an open session.
use kiln_model::witness::Approved;
use kiln_model::{Capabilities, Hello, LinkIntent, PeerFacts};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::handshake::{ExpectHello, Initiator, Opening, PinCheck};
use crate::identity::StaticKey;
use crate::session::Session;

macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            "../../../tests/vectors/",
            $name,
            ".json"
        )))
        .unwrap()
    };
}
pub(crate) use vectors;

pub(crate) fn rows(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub(crate) fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

pub(crate) fn key(hex: &Value) -> StaticKey {
    StaticKey::from_bytes(Zeroizing::new(unhex(hex).try_into().unwrap())).unwrap()
}

/// Opens a session between (offloader, receiver) with keys made of one byte each.
pub(crate) fn session(kiln: bool) -> (Session, Session) {
    let initiator = StaticKey::from_bytes(Zeroizing::new([1; 32])).unwrap();
    let responder = StaticKey::from_bytes(Zeroizing::new([2; 32])).unwrap();
    let hello = Hello {
        dashboard_id: Some("A".parse().unwrap()),
        kiln,
        ..Hello::default()
    };
    let facts = PeerFacts {
        capabilities: Capabilities {
            kiln,
            ..Capabilities::default()
        },
        ..PeerFacts::default()
    };
    let (msg1, reply) = Initiator::start(&initiator, LinkIntent::PeerLink).unwrap();
    let (msg2, finish) = ExpectHello::new(&responder).unwrap().read(&msg1).unwrap();
    let check = PinCheck::Expect(responder.pin());
    let (msg3, answer) = reply.read(&msg2).unwrap().finish(check, &hello).unwrap();
    let knock = finish.read(&msg3).unwrap();
    let approved = Approved::assertion(initiator.pin());
    let (mut bytes, receiver) = knock.admit(approved, &facts).unwrap();
    match answer.read(&mut bytes).unwrap().1 {
        Opening::Session(offloader) => (*offloader, receiver),
        Opening::Close => panic!("ok opens a session"),
    }
}
