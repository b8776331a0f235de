//! The audit: told, asked for, verified, counted.
use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{OWN, Script, TOWER, kiln, receiver, status};
use crate::shows;

fn entry(number: u64, fact: Value) -> Value {
    let mut entry = json!({"number": number, "at": 1.0, "hash": OWN});
    for (name, value) in fact.as_object().unwrap() {
        entry[name] = value.clone();
    }
    entry
}

#[tokio::test]
async fn the_audit_is_told_in_sentences_and_escapes_what_others_wrote() {
    let tower = json!({"pin_sha256": TOWER, "label": "Tow\u{202e}er"});
    let entries = [
        json!({"kind": "node", "event": "started", "version": "0.1.0", "pin_sha256": OWN, "tier": 3}),
        json!({"kind": "pairing", "event": "asked", "side": "offloader", "pin_sha256": TOWER,
            "label": "Tow\u{202e}er"}),
        json!({"kind": "pairing", "event": "key_changed", "side": "receiver", "pin_sha256": TOWER,
            "label": "", "observed_pin_sha256": OWN}),
        json!({"kind": "session", "event": "closed", "side": "offloader", "pin_sha256": TOWER,
            "label": "Tower", "reason": "the connection broke off"}),
        json!({"kind": "job", "event": "ended", "job": "0123456789ab", "job_kind": "compile",
            "sender": tower, "configuration": "kitchen.yaml", "built": "here",
            "accepted_at": 1.0, "started_at": 1.0, "ended_at": 3.5, "outcome": "completed",
            "tier": 3, "hosts": [{"host": "pypi.org:443", "reach": "reached"},
            {"host": "evil:443", "reach": "refused"}], "more_hosts": 2}),
        json!({"kind": "setting", "event": "changed", "name": "idle_minutes", "old": "3", "new": "7"}),
    ];
    let entries: Vec<Value> = (1..).zip(entries).map(|(n, fact)| entry(n, fact)).collect();
    let line = json!({"reply": "audit", "entries": entries, "unreadable": 1});
    let told = kiln("audit", "", Script::new().on("audit", line)).await;
    assert_eq!(told.heard[0]["limit"], 100);
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            NR  WHEN                 KIND     WHAT
            1   DATE TIME  node     Kiln 0.1.0 started with key aaa8fff7, boxes of tier 3
            2   DATE TIME  pairing  offloader Tow\u{202e}er (bc841db8) asked to be paired
            3   DATE TIME  pairing  another key (aaa8fff7) answered for receiver bc841db8
            4   DATE TIME  session  session with offloader Tower (bc841db8) closed: the connection broke off
            5   DATE TIME  job      0123456789ab compile kitchen.yaml for Tow\u{202e}er (bc841db8): completed here, 2.5 s, tier 3, asked for pypi.org:443, evil:443 (refused) and 2 more
            6   DATE TIME  setting  idle_minutes changed from "3" to "7"
            --- err
            Some entries cannot be read (1); `kiln audit verify` says more.
        "#]],
    );
}

#[tokio::test]
async fn entries_are_asked_for_by_time_kind_and_computer() {
    let line = json!({"reply": "audit", "entries": [], "unreadable": 0});
    let now =
        || status(json!({"at": 90_000.0, "receivers": [receiver("Tower", TOWER, "tower:6055")]}));
    let script = Script::new()
        .on("status", now())
        .on("status", now())
        .on("audit", line);
    let asked = "audit --since 1d --kind job --peer tower --limit 0";
    let told = kiln(asked, "", script).await;
    let expected = json!({
        "request": "audit", "since": 3600.0, "kind": "job", "pin_sha256": TOWER, "limit": null,
    });
    assert_eq!(told.heard[2], expected);
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        There is no such entry.
        --- err
    "#]],
    );
}

#[tokio::test]
async fn verifying_shows_the_head_and_a_broken_audit_is_a_failure_that_names_the_entry() {
    let intact = json!({
        "reply": "audit_verified", "verdict": "intact", "first": 1, "last": 7, "head": OWN,
    });
    let told = kiln("audit verify", "", Script::new().on("verify_audit", intact)).await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        The audit is intact: entries 1 to 7.
        head  aaa8fff703b50b2297f4f6e13508f72420d96fd01ebb84cb074449caaef64041
        --- err
    "#]],
    );
    let broken = json!({
        "reply": "audit_verified", "verdict": "broken", "number": 3, "fault": "changed",
    });
    let script = || Script::new().on("verify_audit", broken.clone());
    let noted = format!("audit verify --noted {OWN}");
    let told = kiln(&noted, "", script()).await;
    assert_eq!(told.heard[0]["noted"], OWN);
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            --- err
            kiln: The audit is broken: entry 3 was changed.
                  Somebody or something wrote to Kiln's files; `kiln audit` shows what is left.
        "#]],
    );
    let told = kiln("audit verify --json", "", script()).await;
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            {"fault":"changed","number":3,"reply":"audit_verified","verdict":"broken"}
            --- err
            {"error":{"code":"audit_broken","hint":"Somebody or something wrote to Kiln's files; `kiln audit` shows what is left.","message":"The audit is broken: entry 3 was changed."}}
        "#]],
    );
}

#[tokio::test]
async fn statistics_say_what_was_given_and_gained() {
    let line = json!({
        "reply": "statistics", "since": 1.0,
        "given": [{"pin_sha256": TOWER, "label": "Tower", "completed": 12, "failed": 1,
            "cancelled": 0, "handed_back": 2, "seconds": 3725}],
        "gained": [{"pin_sha256": OWN, "label": "", "completed": 3, "seconds": 90, "compared": 2,
            "saved_seconds": -30}],
    });
    let told = kiln("audit statistics", "", Script::new().on("statistics", line)).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            Since DATE TIME.
            Built for others: 12, 1 h 2 min of this computer's time.
            FOR               DONE  FAILED  CANCELLED  HANDED BACK  TIME
            Tower (bc841db8)  12    1       0          2            1 h 2 min
            Built by others: 3, 30.0 s lost in the 2 that can be compared.
            BY        DONE  TIME    SAVED
            aaa8fff7  3     90.0 s  -30.0 s
            --- err
        "#]],
    );
    let nothing = json!({"reply": "statistics", "since": null, "given": [], "gained": []});
    let told = kiln(
        "audit statistics",
        "",
        Script::new().on("statistics", nothing),
    )
    .await;
    assert!(told.out.starts_with("Nothing was written yet."));
}
