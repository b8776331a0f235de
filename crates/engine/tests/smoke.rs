//! The fuzz body on stable: mutated rows, a bounded number of rounds, the same every time.

#[path = "../../../fuzz/bodies/mutants.rs"]
mod mutants;
#[path = "../../../fuzz/bodies/records.rs"]
mod records;

use kiln_engine::records::{JOB, PAIRING, PEER};
use kiln_model::Settings;
use kiln_ports::store::Row;

#[test]
fn mutated_rows_do_no_harm() {
    let key = "5b".repeat(32);
    let peer = format!(
        r#"{{"v":1,"dashboard_id":"abc","pin_sha256":"{key}","static_x25519_pub":"{key}",
        "label":"Laptop","label_auto":false,"paired_at_us":1,"peer_ip":"10.0.0.1",
        "connect_back_port":6055,"friendly_name":"x","ha_addon":false}}"#
    );
    let pairing = format!(
        r#"{{"v":1,"pin_sha256":"{key}","static_x25519_pub":"{key}",
        "receiver_hostname":"tower.local","receiver_port":6055,"label":"Tower","label_auto":true,
        "paired_at_us":1,"status":"approved","enabled":true,"esphome_version":"2026.10.0",
        "auto_provision":true,"reset_build_env":false,"kiln":true}}"#
    );
    let job = format!(
        r#"{{"v":1,"id":"0123456789ab","kind":"compile","configuration":"kitchen.yaml",
        "origin":{{"by":"offloader","pin":"{key}","dashboard_id":"abc","wire_job_id":"w1",
        "label":"Laptop"}},"placement":{{"at":"local"}},"status":"running","created_at_us":1,
        "target_version":"2026.10.0","error":null,"progress":42,"losses":1}}"#
    );
    let row = |kind: &str, key: &str, body: &str| Row {
        kind: kind.to_owned(),
        key: key.to_owned(),
        body: body.to_owned(),
    };
    // What is damaged has to be good at first.
    kiln_engine::records::peer(&row(PEER, "abc", &peer)).unwrap();
    kiln_engine::records::pairing(&row(PAIRING, &key, &pairing)).unwrap();
    kiln_engine::records::job(&row(JOB, "0123456789ab", &job)).unwrap();
    let settings = kiln_engine::records::settings_rows(&Settings::default()).unwrap();
    let seeds = [("abc", &peer), (&key, &pairing), ("0123456789ab", &job)];
    let seeds = seeds.map(|(key, body)| format!("{key}\n{body}"));
    let settings = settings
        .iter()
        .map(|row| format!("{}\n{}", row.key, row.body));
    let corpus: Vec<Vec<u8>> = seeds
        .into_iter()
        .chain(settings)
        .map(String::into_bytes)
        .collect();
    mutants::run(records::records, &corpus, 4_000);
}
