//! What is done with hostile lines of the control channel. Shared by the fuzz targets and the smoke
//! test on stable.
// A body that panics is a finding.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each user needs a part of it, and what must not be ends the run"
)]

use kiln_ipc::{Lines, decode_client, decode_server, encode_client, encode_server};

/// Longest line in these bodies, so that the limit is met as well.
const LIMIT: usize = 4096;

/// Cuts a stream into lines and reads each in both directions. What was understood can be said
/// again and is understood the same; a line that is not understood has an answer.
pub fn control(data: &[u8]) {
    let mut lines = Lines::new(LIMIT);
    for piece in data.chunks(7) {
        lines.push(piece);
        loop {
            match lines.next_line() {
                Ok(Some(line)) => one(&line),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

fn one(line: &[u8]) {
    assert!(line.len() <= LIMIT && !line.contains(&b'\n'));
    match decode_client(line) {
        Ok(message) => {
            let again = encode_client(&message).expect("a short line");
            assert_eq!(
                decode_client(again.trim_end().as_bytes()).as_ref(),
                Ok(&message)
            );
        }
        Err(error) => drop(encode_server(&error.answer()).expect("a short line")),
    }
    if let Ok(message) = decode_server(line) {
        let again = encode_server(&message).expect("a short line");
        // Times are kept to the microsecond, so only the second writing is settled.
        let settled = decode_server(again.trim_end().as_bytes()).expect("our own line");
        let again = encode_server(&settled).expect("a short line");
        assert_eq!(decode_server(again.trim_end().as_bytes()), Ok(settled));
    }
}
