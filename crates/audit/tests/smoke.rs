//! The fuzz body on stable: mutated lines, a bounded number of rounds, the same every time.
#![allow(clippy::unwrap_used, reason = "a test cannot go on")]

#[path = "../../../fuzz/bodies/audit.rs"]
mod audit;
#[path = "../../../fuzz/bodies/mutants.rs"]
mod mutants;

use kiln_audit::{Head, read, read_fact, verify};
use kiln_model::{Timestamp, Verification};
use serde_json::json;

#[test]
fn mutated_lines_do_no_harm() {
    let pin = "5b".repeat(32);
    let facts = [
        json!({"kind":"node","event":"started","version":"0.1.0","pin_sha256":pin,"tier":3}),
        json!({"kind":"pairing","event":"key_changed","side":"receiver","pin_sha256":pin,
            "label":"Tower","observed_pin_sha256":pin}),
        json!({"kind":"pairing","event":"rotated","pin_sha256":pin,"old_pin_sha256":pin}),
        json!({"kind":"session","event":"closed","side":"offloader","pin_sha256":pin,
            "label":"Laptop","reason":"the connection broke off"}),
        json!({"kind":"job","event":"ended","job":"0123456789ab","job_kind":"compile",
            "sender":{"pin_sha256":pin,"label":"Laptop"},"configuration":"kitchen.yaml",
            "built":"here","accepted_at":1.5,"started_at":2.0,"ended_at":3.25,
            "outcome":"completed","esphome_version":"2026.10.0","bundle_sha256":pin,"tier":3,
            "hosts":[{"host":"pypi.org:443","reach":"reached"}],"more_hosts":1}),
        json!({"kind":"setting","event":"changed","name":"receiver","old":"true","new":"false"}),
    ];
    let mut head = Head::default();
    let mut lines = Vec::new();
    for fact in facts {
        lines.push(head.append(Timestamp(7), &read_fact(fact).unwrap()).1);
    }
    // What is damaged has to be good at first.
    assert!(lines.iter().all(|line| read(line).is_ok()));
    let whole = verify(&lines, Some(&head), None);
    assert!(matches!(whole, Verification::Intact(_)));
    let all = format!("{}\n{}", head.text(), lines.join("\n"));
    let each = lines.iter().map(|line| format!("\n{line}"));
    let corpus: Vec<Vec<u8>> = each.chain([all]).map(String::into_bytes).collect();
    mutants::run(audit::audit, &corpus, 4_000);
}
