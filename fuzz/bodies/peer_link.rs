//! What is done with hostile bytes: each body panics exactly if a decoder of the peer link does, or
//! if it breaks a promise. Shared by the fuzz targets and the smoke test on stable.
// Each target uses one body; an `expect` that fails is a finding.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each user needs a part of it, and what must not be ends the run"
)]

use kiln_model::{FirmwareOffset, Hello, LinkIntent, SubmitHeader, WireJobId};
use kiln_peer_link::{
    Dialect, Download, ExpectHello, Fed, Frame, Initiator, Intake, PinCheck, Side, StaticKey,
    decoders, limits, split_output,
};
use zeroize::Zeroizing;

/// Decodes a session frame in both roles and dialects. What was understood can be said again and
/// is understood the same; the short cut for chunks agrees with the JSON reader.
pub fn frames(data: &[u8]) {
    for side in [Side::Receiver, Side::Offloader] {
        for dialect in [Dialect::Reference, Dialect::Kiln] {
            let mut frame = data.to_vec();
            let Ok(frame) = decoders::frame(side, dialect, &mut frame) else {
                continue;
            };
            // Longer texts for people are cut when they are said.
            if let Frame::Message(message) = frame
                && data.len() <= limits::MAX_ERROR_MESSAGE
            {
                let mut again = decoders::encode(&message);
                let heard = decoders::frame(side, dialect, &mut again);
                assert_eq!(heard, Ok(Frame::Message(message)));
            }
        }
        let mut fast = data.to_vec();
        let fast = decoders::frame(side, Dialect::Reference, &mut fast).map(meaning);
        let slow = decoders::frame_by_json(side, data).map(meaning);
        assert_eq!(fast, slow);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let pieces = split_output(&WireJobId("0a1b2c3d4e5f".to_owned()), text);
        assert_eq!(pieces.collect::<String>(), text);
    }
}

/// Everything a frame says, whichever way it was read.
fn meaning(frame: Frame<'_>) -> String {
    let Frame::Chunk(chunk) = frame else {
        return format!("{frame:?}");
    };
    let said = (chunk.job_id.to_string(), chunk.index, chunk.is_last);
    let mut download = Download::new();
    // The bytes come out of an assembler that expects exactly this chunk as its only one.
    let started = download.start(1 << 20, 1, "", FirmwareOffset::Zero);
    let fed = started.and_then(|()| download.chunk(chunk));
    format!("{said:?} {fed:?}")
}

/// Plays a hostile initiator against a responder: raw msg1 and msg3, then the payloads of an
/// honest handshake.
pub fn responder(data: &[u8]) {
    let (first, second) = data.split_at(data.len() / 2);
    if let Ok((_, finish)) = responding().read(first) {
        assert!(finish.read(second).is_err(), "nobody made this msg3");
    }
    let (msg1, reply) = Initiator::start(&key(1), LinkIntent::Preview).expect("a handshake");
    let (msg2, finish) = responding().read(&msg1).expect("an honest msg1");
    let found = reply.read(&msg2).expect("an honest msg2");
    let msg3 = found.finish(PinCheck::LearnOnly, &Hello::default());
    assert!(msg3.is_ok());
    assert!(finish.read(data).is_err(), "nobody made this msg3");

    let _ = decoders::intent(data);
    let hello = decoders::hello(data);
    for intent in LinkIntent::ALL {
        let said = decoders::encode_hello(*intent, &hello);
        assert!(said.len() <= limits::MAX_MSG3 || hello.pairing_key.is_some());
        let heard = decoders::hello(&said);
        assert!(heard.dashboard_id.is_none() || heard.dashboard_id == hello.dashboard_id);
    }
}

/// Plays a hostile responder against an initiator: raw msg2, a raw answer, then the payload of an
/// honest one.
pub fn initiator(data: &[u8]) {
    for intent in LinkIntent::ALL {
        let (msg1, reply) = Initiator::start(&key(1), *intent).expect("a handshake");
        assert!(reply.read(data).is_err(), "nobody made this msg2");

        let (_, reply) = Initiator::start(&key(1), *intent).expect("a handshake");
        let (msg2, _) = responding().read(&msg1).expect("an honest msg1");
        assert!(reply.read(&msg2).is_err(), "this belongs to another msg1");

        let (msg1, reply) = Initiator::start(&key(1), *intent).expect("a handshake");
        let (msg2, _) = responding().read(&msg1).expect("an honest msg1");
        let found = reply.read(&msg2).expect("an honest msg2");
        let check = PinCheck::Expect(key(2).pin());
        let (_, answer) = found.finish(check, &Hello::default()).expect("the pin");
        assert!(
            answer.read(&mut data.to_vec()).is_err(),
            "nobody made this answer"
        );

        let _ = decoders::answer(*intent, data);
    }
}

/// Feeds chunks cut from `data` into an upload and a download. Whatever completes has the
/// announced size, and nothing more than that is ever handed on.
pub fn intake(data: &[u8]) {
    let Some((&[total, chunks, digest], rest)) = data.split_first_chunk() else {
        return;
    };
    let sha256 = if digest % 2 == 0 { ABC } else { "00" };
    let mut intake = Intake::new();
    let mut download = Some(Download::new());
    let header = SubmitHeader {
        job_id: WireJobId("j".to_owned()),
        configuration_filename: "a.yaml".to_owned(),
        target: "compile".to_owned(),
        total_bundle_bytes: i64::from(total) - 1,
        num_chunks: i64::from(chunks) - 1,
        bundle_sha256: sha256.to_owned(),
        device_name: String::new(),
        device_friendly_name: String::new(),
        target_esphome_version: None,
        skip_bootloader: false,
    };
    let announced = usize::from(total).saturating_sub(1);
    let accepted = intake.header(header.clone(), |_| false).is_ok();
    if let Some(stream) = &mut download {
        let started = stream.start(
            header.total_bundle_bytes,
            header.num_chunks,
            sha256,
            FirmwareOffset::Zero,
        );
        assert_eq!(started.is_ok(), accepted);
    }
    let (mut stored, mut fetched) = (0, 0);
    for line in rest.split(|byte| *byte == b'\n') {
        let mut frame = line.to_vec();
        let decoded = decoders::frame(Side::Receiver, Dialect::Kiln, &mut frame);
        match decoded {
            Ok(Frame::Chunk(chunk)) => match intake.chunk(chunk) {
                Ok(Fed::Write(bytes)) => stored += bytes.len(),
                Ok(Fed::Complete(bytes, _)) => {
                    assert_eq!(stored + bytes.len(), announced);
                    stored = 0;
                }
                Err(_) => stored = 0,
            },
            Ok(Frame::SubmitJob(header)) if header.job_id.0 == "again" => {
                let begun = intake.header(header, |_| false).is_ok();
                stored = if begun { 0 } else { stored };
            }
            Ok(_) | Err(_) => {}
        }
        let mut frame = line.to_vec();
        if let Ok(Frame::Chunk(chunk)) = decoders::frame(Side::Offloader, Dialect::Kiln, &mut frame)
        {
            match download.as_mut().map(|stream| stream.chunk(chunk)) {
                Some(Ok(bytes)) => fetched += bytes.len(),
                Some(Err(_)) | None => download = None,
            }
        }
        assert!(fetched <= announced);
    }
    let finished = download.map(|stream| stream.end(Ok(())));
    assert!(!matches!(finished, Some(Ok(_))) || fetched == announced);
}

/// SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn key(byte: u8) -> StaticKey {
    StaticKey::from_bytes(Zeroizing::new([byte; 32])).expect("any bytes are a key")
}

fn responding() -> ExpectHello {
    ExpectHello::new(&key(2)).expect("a handshake")
}
