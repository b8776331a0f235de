//! What is done with damaged rows of the state database. Shared by the fuzz target and the smoke
//! test on stable.
// A body that panics is a finding.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each user needs a part of it, and what must not be ends the run"
)]

use kiln_engine::records;
use kiln_ports::store::Row;

/// Reads a row of each kind: the first line is its key, the rest its body. What was understood can
/// be written again and is understood the same.
pub fn records(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (key, body) = text.split_once('\n').unwrap_or(("key", &text));
    let row = |kind: &str| Row {
        kind: kind.to_owned(),
        key: key.to_owned(),
        body: body.to_owned(),
    };
    if let Ok(peer) = records::peer(&row(records::PEER)) {
        let again = records::peer_row(&peer).expect("a row");
        assert_eq!(records::peer(&again).as_ref(), Ok(&peer));
    }
    if let Ok(pairing) = records::pairing(&row(records::PAIRING)) {
        let again = records::pairing_row(&pairing).expect("a row");
        assert_eq!(records::pairing(&again).as_ref(), Ok(&pairing));
    }
    if let Ok(job) = records::job(&row(records::JOB)) {
        let again = records::job_row(&job).expect("a row");
        assert_eq!(records::job(&again).as_ref(), Ok(&job));
    }
    let (settings, _) = records::settings(&[row(records::SETTING)]);
    let rows = records::settings_rows(&settings).expect("rows");
    assert_eq!(records::settings(&rows), (settings, Vec::new()));
}
