//! Whether there is a node, how it is, and how it stops.
use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{OWN, Script, TOWER, asking, job, kiln, reply, status, view};
use crate::shows;

#[tokio::test]
async fn without_a_node_every_verb_says_how_to_start_one() {
    let told = kiln("status", "", Script::absent()).await;
    shows(
        &told,
        expect![[r#"
        exit 3
        --- out
        --- err
        kiln: No Kiln is running here.
              Start one with `kiln serve`.
    "#]],
    );
    let told = kiln("--json jobs", "", Script::absent()).await;
    shows(
        &told,
        expect![[r#"
        exit 3
        --- out
        --- err
        {"error":{"code":"no_node","hint":"Start one with `kiln serve`.","message":"No Kiln is running here."}}
    "#]],
    );
}

#[tokio::test]
async fn a_node_of_another_contract_is_not_asked_anything() {
    let told = kiln("status", "", Script::of_protocol(2)).await;
    shows(
        &told,
        expect![[r#"
        exit 1
        --- out
        --- err
        kiln: The running Kiln 9.9.9 speaks another language (2); restart it.
    "#]],
    );
    assert!(told.heard.is_empty());
}

#[tokio::test]
async fn a_node_that_goes_away_is_an_error() {
    let told = kiln("devices", "", Script::new().on_all("devices", vec![])).await;
    shows(
        &told,
        expect![[r#"
        exit 1
        --- out
        --- err
        kiln: The running Kiln went away.
    "#]],
    );
}

#[tokio::test]
async fn status_says_what_matters_and_escapes_what_others_wrote() {
    let changes = json!({
        "requests": [asking("Lap\u{202e}top")],
        "window": {"state": "open", "seconds_left": 42},
        "jobs": [job("0123456789ab", "compile", "running")],
        "notices": ["The keyring is locked. Unlock it."],
        "sandbox": {"tier": 3, "detail": "They have files and a network of their own."},
        "alerts": [{
            "pin_sha256": TOWER, "label": "Tower", "endpoint": "tower:6055",
            "kind": "pin_mismatch", "observed_pin_sha256": OWN, "since": 1.0,
        }, {
            "pin_sha256": OWN, "label": "Barn", "endpoint": "barn:6055",
            "kind": "peer_revoked", "observed_pin_sha256": null, "since": 1.0,
        }],
    });
    let told = kiln("status", "", Script::new().on("status", status(changes))).await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        Compiling for others: ready, listening on port 6055.
        Box for builds of others: tier 3. They have files and a network of their own.
        ESPHome 2026.10.0 for your own builds.
        New offloaders may ask for 42 more seconds.
        1 jobs under way, 0 receivers, 0 offloaders.
        Lap\u{202e}top asks to be paired; `kiln requests` shows its fingerprint.
        Tower needs you: another key answers there. If that is right, forget it and pair again.
        Barn needs you: its owner did not let this computer in. Ask there, then pair again.
        The keyring is locked. Unlock it.
        --- err
    "#]],
    );
}

#[tokio::test]
async fn status_says_how_much_is_used_of_what_when_the_disk_is_short() {
    let item = |kind: &str, bytes: u64, kept: Option<&str>| {
        json!({"kind": kind, "pin_sha256": TOWER, "device": "", "version": null, "bytes": bytes,
               "last_used": 1.0, "kept": kept})
    };
    let short = |storage: Value| {
        let mut changes = json!({"availability": {
            "open": false, "reason": "low_disk", "since": null, "until": null, "inputs": [],
        }});
        changes["storage"] = storage;
        Script::new().on("status", status(changes))
    };
    let over = json!({
        "measured_at": 1.0, "used_bytes": 21_500_000_000_u64, "budget_bytes": 20_000_000_000_u64,
        "free_bytes": 90_000_000_000_u64, "floor_bytes": 2_000_000_000,
        "items": [item("toolchains", 15_000_000_000, Some("in_use")),
                  item("build", 6_000_000_000, Some("not_fetched")),
                  item("bundle", 500_000_000, Some("in_use"))],
    });
    let told = kiln("status", "", short(over)).await;
    let lines: Vec<&str> = told.out.lines().take(2).collect();
    assert_eq!(
        lines,
        [
            "Paused: too little disk space is free. Resumes when there is room again.",
            "Kiln uses 21.5 GB of 20.0 GB, most of it for toolchains (15.0 GB) and builds (6.0 GB). \
             `kiln storage` shows all of it, `kiln settings set storage_budget_mb=MB` allows more.",
        ]
    );
    let full = json!({
        "measured_at": 1.0, "used_bytes": 3_000_000_000_u64, "budget_bytes": 20_000_000_000_u64,
        "free_bytes": 1_200_000_000, "floor_bytes": 2_000_000_000,
        "items": [item("build", 3_000_000_000, None)],
    });
    let told = kiln("status", "", short(full)).await;
    assert_eq!(
        told.out.lines().nth(1),
        Some(
            "1.2 GB are free on this disk, 2.0 GB have to stay free; Kiln uses 3.0 GB, most of it for \
             builds (3.0 GB). `kiln storage` shows all of it, `kiln storage reclaim` deletes what can \
             be made again."
        )
    );
}

#[tokio::test]
async fn a_pause_is_asked_for_and_what_is_so_now_is_said() {
    let done = || reply("done");
    let availability = |reason: &str, until: Value| {
        json!({"availability": {
            "open": false, "reason": reason, "since": 1.0, "until": until, "inputs": [],
        }})
    };
    let script = Script::new()
        .on("pause", done())
        .on("status", status(availability("snoozed", Value::Null)));
    let told = kiln("pause", "", script).await;
    assert_eq!(told.heard[0]["for"], "forever");
    assert_eq!(told.out, "Paused by you. Resumes with `kiln resume`.\n");
    let script = Script::new().on("pause", done()).on(
        "status",
        status(availability("snoozed", json!(1_790_000_000.0))),
    );
    let told = kiln("pause 2h", "", script).await;
    assert_eq!(told.heard[0]["for"], "2h");
    assert!(
        told.out.starts_with("Paused by you until 2026-"),
        "{}",
        told.out
    );
    let script = Script::new()
        .on("resume", done())
        .on("status", status(availability("battery", Value::Null)));
    let told = kiln("resume", "", script).await;
    assert_eq!(told.out, "Paused: on battery. Resumes on mains.\n");
}

#[tokio::test]
async fn a_stopped_node_may_be_gone_before_it_answers() {
    let script = Script::new().on("status", status(json!({})));
    let told = kiln("stop", "", script.on_all("shutdown", vec![])).await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        Kiln has stopped. Builds that were under way go on when it starts again.
        --- err
    "#]],
    );
}

/// An event of the read model, in which `kitchen` is flashed or was.
fn flash_is(state: &str) -> Value {
    let jobs = json!({"jobs": [job("0123456789ab", "upload", state)]});
    json!({"event": "view", "view": view(jobs)})
}

#[tokio::test]
async fn a_stop_waits_for_a_device_that_is_being_flashed_unless_it_shall_not() {
    let flashing = || {
        let jobs = json!({"jobs": [job("0123456789ab", "upload", "running")]});
        Script::new().on("status", status(jobs))
    };
    let views = || vec![flash_is("running"), flash_is("completed")];
    let followed = || flashing().on_all("view", views());
    let told = kiln("stop", "", followed().on("shutdown", reply("done"))).await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        Kiln has stopped. Builds that were under way go on when it starts again.
        --- err
        kitchen is being flashed and may not start again if it is left half-way. Kiln stops when that is done, after 10 minutes at the latest. `kiln stop --now` does not wait.
    "#]],
    );
    let told = kiln("--json stop", "", followed().on("shutdown", reply("done"))).await;
    assert_eq!(told.out, "{\"reply\":\"done\"}\n");
    let hurried = Script::new().on("shutdown", reply("done"));
    let told = kiln("stop --now", "", hurried).await;
    assert!(told.text.starts_with("exit 0"), "{}", told.text);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_hangs_keeps_kiln_from_stopping_for_ten_minutes_and_a_node_that_hangs_is_told()
 {
    let jobs = json!({"jobs": [job("0123456789ab", "upload", "running")]});
    let script = Script::new().on("status", status(jobs));
    let script = script.on_all("view", vec![flash_is("running")]);
    let told = kiln("stop", "", script.on("shutdown", reply("done"))).await;
    assert!(told.text.starts_with("exit 0"), "{}", told.text);
    let script = Script::new().on("status", status(json!({})));
    let script = script.on("shutdown", reply("done")).that_stays();
    let told = kiln("stop", "", script).await;
    shows(
        &told,
        expect![[r#"
        exit 4
        --- out
        --- err
        kiln: It was not done within 60 s; it goes on.
              Look with `kiln jobs` or `kiln receivers`.
    "#]],
    );
}
