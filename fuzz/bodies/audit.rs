//! What is done with damaged lines of the audit. Shared by the fuzz target and the smoke test on
//! stable.
// A body that panics is a finding.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each user needs a part of it, and what must not be ends the run"
)]

use kiln_audit::{Head, read, verify};
use kiln_model::Verification;

/// Reads the first line as a head, the others as entries. What was understood can be written again
/// and is understood the same; and whatever they are, they verify only as they stand.
pub fn audit(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines().map(str::to_owned);
    let head = Head::read(&lines.next().unwrap_or_default());
    let mut lines: Vec<String> = lines.collect();
    if let Some(head) = &head {
        assert_eq!(Head::read(&head.text()).as_ref(), Some(head));
    }
    for entry in lines.iter().flat_map(|line| read(line)) {
        let (_, again) = Head::default().append(entry.at, &entry.fact);
        let again = read(&again).expect("an entry");
        assert_eq!((again.at, again.fact), (entry.at, entry.fact));
    }
    if let Verification::Intact(_) = verify(&lines, head.as_ref(), None)
        && lines.pop().is_some()
    {
        let cut = verify(&lines, head.as_ref(), None);
        assert!(matches!(cut, Verification::Broken { .. }));
    }
    let _ = Head::behind(&lines);
}
