//! Prints how fast one core seals and opens bundle chunks: `cargo bench -p kiln-tests --bench wire`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods)]
// A measurement is read by people, reads the clock, and may stop at the first surprise.
use std::time::Instant;

use kiln_model::witness::Approved;
use kiln_model::{Hello, LinkIntent, PeerFacts, SubmitHeader, WireJobId};
use kiln_peer_link::{
    Chunker, ExpectHello, Fed, Frame, Initiator, Intake, Opening, PinCheck, Session, StaticKey,
};

const TOTAL: usize = 128 << 20;

fn main() {
    for kiln in [false, true] {
        let (offloader, receiver) = session(kiln);
        let (mut sealer, _) = offloader.split();
        let (_, mut opener) = receiver.split();
        let data: Vec<u8> = (0..TOTAL).map(|i| ((i * 31) >> 5) as u8).collect();
        let chunker = Chunker::new(TOTAL as u64, sealer.chunk_size());
        let mut intake = Intake::new();
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &data);
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
        let header = SubmitHeader {
            job_id: WireJobId("0a1b2c3d4e5f".into()),
            configuration_filename: "kitchen.yaml".into(),
            target: "compile".into(),
            total_bundle_bytes: TOTAL as i64,
            num_chunks: chunker.num_chunks() as i64,
            bundle_sha256: hex(sha256.as_ref()),
            device_name: String::new(),
            device_friendly_name: String::new(),
            target_esphome_version: None,
            skip_bootloader: false,
        };
        assert!(intake.header(header, |_| false).is_ok());

        let start = Instant::now();
        let sealed: Vec<Vec<u8>> = chunker
            .map(|piece| {
                let from = piece.index as usize * sealer.chunk_size();
                let piece_data = &data[from..from + piece.len];
                sealer.chunk("0a1b2c3d4e5f", piece, piece_data).unwrap()
            })
            .collect();
        let sealing = start.elapsed();
        let start = Instant::now();
        let mut complete = false;
        for mut message in sealed {
            let Frame::Chunk(chunk) = opener.open(&mut message).unwrap() else {
                continue;
            };
            complete |= matches!(intake.chunk(chunk), Ok(Fed::Complete(..)));
        }
        let opening = start.elapsed();
        assert!(complete);
        let rate = |t: std::time::Duration| TOTAL as f64 / 1e6 / t.as_secs_f64();
        println!(
            "kiln {kiln}: seal {:.0} MB/s, open and check {:.0} MB/s",
            rate(sealing),
            rate(opening)
        );
    }
    let start = Instant::now();
    for _ in 0..500 {
        let _ = session(false);
    }
    println!("handshake, both sides: {:?}", start.elapsed() / 500);
}

fn session(kiln: bool) -> (Session, Session) {
    let (ours, theirs) = (
        StaticKey::generate().unwrap(),
        StaticKey::generate().unwrap(),
    );
    let hello = Hello {
        kiln,
        ..Hello::default()
    };
    let mut facts = PeerFacts::default();
    facts.capabilities.kiln = kiln;
    let (msg1, reply) = Initiator::start(&ours, LinkIntent::PeerLink).unwrap();
    let (msg2, finish) = ExpectHello::new(&theirs).unwrap().read(&msg1).unwrap();
    let found = reply.read(&msg2).unwrap();
    let (msg3, answer) = found
        .finish(PinCheck::Expect(theirs.pin()), &hello)
        .unwrap();
    let approved = Approved::assertion(ours.pin());
    let knock = finish.read(&msg3).unwrap();
    let (mut bytes, receiver) = knock.admit(approved, &facts).unwrap();
    match answer.read(&mut bytes).unwrap().1 {
        Opening::Session(offloader) => (*offloader, receiver),
        Opening::Close => unreachable!("ok opens a session"),
    }
}
