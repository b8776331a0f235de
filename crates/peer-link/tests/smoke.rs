//! The fuzz bodies on stable: mutated recordings, a bounded number of rounds, the same every time.
// Helpers outside the test functions may stop at the first surprise too.
#![allow(clippy::unwrap_used)]

#[path = "../../../fuzz/bodies/peer_link.rs"]
mod bodies;
#[path = "../../../fuzz/bodies/mutants.rs"]
mod mutants;

use mutants::run;
use serde_json::Value;

/// Rounds per target; a second or two each without optimisation.
const ROUNDS: usize = 4_000;

#[test]
fn mutated_frames_do_no_harm() {
    run(bodies::frames, &frames(), ROUNDS);
}

#[test]
fn mutated_messages_of_an_initiator_do_no_harm() {
    let mut corpus = recorded(&["msg1_hex", "msg3_hex"]);
    corpus.extend(payloads(&["msg1_payload_utf8", "msg3_payload_utf8"]));
    run(bodies::responder, &corpus, ROUNDS / 8);
}

#[test]
fn mutated_messages_of_a_responder_do_no_harm() {
    let mut corpus = recorded(&["msg2_hex"]);
    corpus.extend(answers());
    run(bodies::initiator, &corpus, ROUNDS / 32);
}

#[test]
fn mutated_uploads_do_no_harm_and_honest_ones_complete() {
    let chunk = |index: u8, data: &str, is_last: bool| {
        format!(
            r#"{{"type":"submit_job_chunk","job_id":"j","chunk_index":{index},"data_b64":"{data}","is_last":{is_last}}}"#
        )
    };
    let honest = [chunk(0, "YQ==", false), chunk(1, "YmM=", true)].join("\n");
    let artifacts = honest.replace("submit_job_chunk", "artifacts_chunk");
    let binary = [
        b"\0\0\x01j".as_slice(),
        &[0; 8],
        b"a\n\0\x01\x01j\x01",
        &[0; 7],
        b"bc",
    ]
    .concat();
    let corpus: Vec<Vec<u8>> = [honest.into_bytes(), artifacts.into_bytes(), binary]
        .into_iter()
        // Announces three bytes in two chunks, with their digest.
        .map(|stream| [[4, 3, 0].as_slice(), &stream].concat())
        .collect();
    run(bodies::intake, &corpus, ROUNDS);
}

fn vectors() -> Value {
    let text = include_str!("../../../tests/vectors/noise_xx.json");
    serde_json::from_str(text).unwrap()
}

/// Recorded messages, by the members that hold them in hex.
fn recorded(members: &[&str]) -> Vec<Vec<u8>> {
    let all = vectors();
    let rows = all["vectors"].as_array().unwrap();
    let texts = rows
        .iter()
        .flat_map(|row| members.iter().map(move |member| &row[*member]));
    texts
        .map(|hex| {
            let hex = hex.as_str().unwrap();
            let byte = |i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
            (0..hex.len() / 2).map(byte).collect()
        })
        .collect()
}

/// Recorded payloads, by the members that hold them as text.
fn payloads(members: &[&str]) -> Vec<Vec<u8>> {
    let all = vectors();
    let rows = all["vectors"].as_array().unwrap();
    let texts = rows
        .iter()
        .flat_map(|row| members.iter().map(move |member| &row[*member]));
    texts
        .map(|text| text.as_str().unwrap().as_bytes().to_vec())
        .collect()
}

fn transports() -> Vec<Vec<u8>> {
    let all = vectors();
    let rows = all["vectors"].as_array().unwrap();
    let frames = rows
        .iter()
        .flat_map(|row| row["transport"].as_array().unwrap());
    frames
        .map(|frame| {
            frame["plaintext_utf8"]
                .as_str()
                .unwrap()
                .as_bytes()
                .to_vec()
        })
        .collect()
}

fn answers() -> Vec<Vec<u8>> {
    let mut all = transports();
    all.retain(|text| text.starts_with(b"{\"intent_response\""));
    all
}

/// Recorded frames and one frame of every type.
fn frames() -> Vec<Vec<u8>> {
    let text = include_str!("../../../tests/vectors/frame_schema.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    let tables = schema.as_array().unwrap().iter();
    let firsts = tables.map(|table| serde_json::to_vec(&table["cases"][0]["frame"]).unwrap());
    transports().into_iter().chain(firsts).collect()
}
