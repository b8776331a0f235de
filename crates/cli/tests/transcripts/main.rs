//! Transcripts of commands against a node in memory: what people and programs see.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod harness;

use expect_test::{Expect, expect};
use harness::{
    OWN, Script, TOWER, Transcript, asking, job, kiln, offloader, on_terminal, receiver, reply,
    run, status, to_nobody, view,
};
use kiln_cli::{Answerer, Reader};
use serde_json::{Value, json};

fn shows(transcript: &Transcript, expected: Expect) {
    expected.assert_eq(&transcript.text);
}

fn previewed() -> Value {
    json!({
        "reply": "previewed", "pin_sha256": TOWER, "requires_pairing_key": false,
        "friendly_name": "tower\u{1b}[2J",
    })
}

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
async fn the_identity_is_shown_in_every_form_that_is_compared() {
    let told = kiln(
        "identity",
        "",
        Script::new().on("status", status(json!({}))),
    )
    .await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        emoji         📕 📕 🎅 📌 🎧 🔨 🦋
        names         Book, Book, Santa, Pin, Headphones, Hammer, Butterfly
        fingerprint   aa a8 ff f7 03 b5 0b 22 97 f4 f6 e1 35 08 f7 24
                      20 d9 6f d0 1e bb 84 cb 07 44 49 ca ae f6 40 41
        id            own-id
        name          desk
        --- err
    "#]],
    );
    let told = kiln(
        "identity --json",
        "",
        Script::new().on("status", status(json!({}))),
    )
    .await;
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object["pin_sha256"], OWN);
    assert_eq!(object["dashboard_id"], "own-id");
}

#[tokio::test]
async fn a_new_key_is_made_on_a_terminal_only_after_a_yes() {
    let told = on_terminal("identity rotate", "\n", Script::new()).await;
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            --- err
            Make a new key? Every computer has to be paired again. [y/N] kiln: The key was not changed.
        "#]],
    );
    let script = Script::new()
        .on("rotate_identity", reply("done"))
        .on("status", status(json!({})));
    on_terminal("identity rotate --yes", "", script).await;
}

#[tokio::test]
async fn who_has_read_enough_ends_a_verb_well_and_without_a_word() {
    let jobs = || {
        let jobs = json!([job("0123456789ab", "compile", "completed")]);
        json!({"reply": "jobs", "jobs": jobs})
    };
    for verb in ["jobs", "jobs --json"] {
        let told = to_nobody(verb, Script::new().on("jobs", jobs())).await;
        assert_eq!(told.text, "exit 0\n--- out\n--- err\n", "{verb}");
    }
}

#[tokio::test]
async fn where_nobody_can_be_asked_nothing_is_destroyed_without_a_yes_among_the_arguments() {
    let people = || {
        let receivers = json!([receiver("Tower", TOWER, "192.0.2.8:6055")]);
        let offloaders = json!([offloader("Laptop", TOWER)]);
        let both = json!({ "receivers": receivers, "offloaders": offloaders });
        Script::new().on("status", status(both))
    };
    let flash = || {
        let jobs = json!({"reply": "jobs", "jobs": [job("0123456789ab", "upload", "running")]});
        Script::new().on("jobs", jobs)
    };
    let verbs: [(&str, &dyn Fn() -> Script, &str); 7] = [
        ("identity rotate", &Script::new, "rotate_identity"),
        ("storage reclaim", &|| looked(stored()), "reclaim"),
        ("cancel 0123", &flash, "cancel"),
        ("env reset", &Script::new, "reset_environment"),
        ("env reset --on Tower", &people, "reset_environment"),
        ("receivers forget Tower", &people, "unpair"),
        ("offloaders forget Laptop", &people, "remove_peer"),
    ];
    let (terminal, pipe) = (Reader::Terminal, Reader::Pipe);
    for (verb, script, request) in verbs {
        for (reader, answerer, json) in [
            (pipe, Answerer::Script, ""),
            (pipe, Answerer::Person, ""),
            (terminal, Answerer::Script, ""),
            (terminal, Answerer::Person, " --json"),
        ] {
            let arguments = format!("{verb}{json}");
            let told = run(&arguments, "y\n", script(), (reader, answerer)).await;
            assert!(told.text.starts_with("exit 2"), "{verb}: {}", told.text);
            assert!(told.text.contains("add `--yes`"), "{verb}: {}", told.text);
            let asked = |name: &Value| name["request"] == request;
            assert!(!told.heard.iter().any(asked), "{verb}");
        }
    }
    let script = people().on("unpair", reply("done"));
    let told = kiln("receivers forget Tower --yes", "", script).await;
    assert_eq!(told.heard[1]["pin_sha256"], TOWER);
    let script = flash().on("cancel", reply("done"));
    let told = kiln("cancel 0123 --yes", "", script).await;
    assert_eq!(told.heard[1]["job"], "0123456789ab");
    let told = on_terminal("offloaders forget Laptop", "n\n", people()).await;
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            --- err
            Forget Laptop? To work together again, both have to be paired again. [y/N] kiln: Nothing was forgotten.
        "#]],
    );
}

#[tokio::test]
async fn pairing_shows_both_keys_whole_and_does_nothing_without_a_yes() {
    for answer in ["\n", "n\n", "", "yess\n"] {
        let script = Script::new()
            .on("preview", previewed())
            .on("status", status(json!({})));
        let told = kiln("pair tower.local", answer, script).await;
        if answer == "\n" {
            shows(
                &told,
                expect![[r#"
                    exit 1
                    --- out
                    --- err
                    tower\u{1b}[2J at tower.local:6055 answers with

                    emoji         🔑 🐼 🌳 ❤️ 🔒 🌷 🎺
                    names         Key, Panda, Tree, Heart, Lock, Flower, Trumpet
                    fingerprint   bc 84 1d b8 fe a3 ef d8 45 55 a7 f8 ee b9 25 03
                                  3c 90 c9 d5 03 4b 1a 4c 48 a6 c8 7d e3 c0 eb de

                    Its own screen has to show the same. It will be shown this computer's:

                    emoji         📕 📕 🎅 📌 🎧 🔨 🦋
                    names         Book, Book, Santa, Pin, Headphones, Hammer, Butterfly
                    fingerprint   aa a8 ff f7 03 b5 0b 22 97 f4 f6 e1 35 08 f7 24
                                  20 d9 6f d0 1e bb 84 cb 07 44 49 ca ae f6 40 41

                    Are emoji and fingerprint the same on the other screen? [y/N] kiln: Not paired: the fingerprints were not confirmed.
                "#]],
            );
        }
        assert!(told.text.starts_with("exit 1"), "{answer:?}");
        assert_eq!(told.heard.len(), 2);
    }
}

#[tokio::test]
async fn a_confirmed_pairing_asks_with_the_key_that_was_shown() {
    let script = Script::new()
        .on("preview", previewed())
        .on("status", status(json!({})))
        .on("pair", reply("pairing_pending"));
    let told = kiln("pair tower.local:7000 --label Tower", "y\n", script).await;
    assert!(told.text.starts_with("exit 0"), "{}", told.text);
    let expected = json!({
        "request": "pair", "endpoint": "tower.local:7000", "pin_sha256": TOWER, "label": "Tower",
    });
    assert_eq!(told.heard[2], expected);
}

#[tokio::test]
async fn a_given_pin_asks_nothing_and_refuses_another_key() {
    let script = Script::new()
        .on("preview", previewed())
        .on("pair", reply("paired"));
    let told = kiln(&format!("pair tower --pin {TOWER}"), "", script).await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        Paired.
        --- err
    "#]],
    );
    let script = Script::new().on("preview", previewed());
    let told = kiln(&format!("pair tower --pin {OWN}"), "y\n", script).await;
    shows(
        &told,
        expect![[r#"
        exit 1
        --- out
        --- err
        kiln: tower:6055 answers with another key: bc841db8fea3efd84555a7f8eeb925033c90c9d5034b1a4c48a6c87de3c0ebde.
              Compare it with the pin that its own screen shows.
    "#]],
    );
}

#[tokio::test]
async fn a_receiver_without_a_screen_wants_its_key() {
    let mut headless = previewed();
    headless["requires_pairing_key"] = json!(true);
    let script = Script::new().on("preview", headless.clone());
    let told = kiln(&format!("pair tower --pin {TOWER}"), "", script).await;
    shows(
        &told,
        expect![[r#"
        exit 2
        --- out
        --- err
        kiln: That receiver wants the one-time key it shows; give it with --key.
    "#]],
    );
    let script = Script::new()
        .on("preview", headless)
        .on("pair", reply("paired"));
    let line = format!("pair tower --pin {TOWER} --key ABCD-EFGH-JKMN-PQRS");
    let told = kiln(&line, "", script).await;
    assert_eq!(told.heard[1]["pairing_key"], "ABCD-EFGH-JKMN-PQRS");
}

#[tokio::test]
async fn pairing_can_wait_for_the_decision() {
    let event = |receivers: Value| {
        let view = view(json!({ "receivers": receivers }));
        json!({"event": "view", "view": view})
    };
    let mut pending = receiver("Tower", TOWER, "tower:6055");
    pending["status"] = json!("pending");
    pending["link"] = json!("awaiting_approval");
    let approved = receiver("Tower", TOWER, "tower:6055");
    let script = |last: Value| {
        Script::new()
            .on("preview", previewed())
            .on("pair", reply("pairing_pending"))
            .on_all("view", vec![event(json!([pending])), event(last)])
    };
    let line = format!("pair tower --wait --pin {TOWER}");
    let told = kiln(&line, "", script(json!([approved]))).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            Paired.
            --- err
            Asked. Its owner has to approve this computer now.
        "#]],
    );
    let told = kiln(&line, "", script(json!([]))).await;
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            --- err
            Asked. Its owner has to approve this computer now.
            kiln: The owner of the receiver declined.
                  Ask there, then pair again.
        "#]],
    );
}

#[tokio::test]
async fn receivers_are_listed_with_hostile_names_made_visible() {
    let receivers = json!([
        receiver("To\u{1b}]0;x\u{7}wer", TOWER, "tower.local:6055"),
        receiver("Attic", OWN, "[fd00::1]:6056"),
    ]);
    let script = Script::new().on("status", status(json!({ "receivers": receivers })));
    let told = kiln("receivers", "", script).await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        LABEL                 ADDRESS           ESPHOME    PIN       LINK       STATE
        To\u{1b}]0;x\u{7}wer  tower.local:6055  2026.10.0  bc841db8  connected  busy, 2 waiting
        Attic                 [fd00::1]:6056    2026.10.0  aaa8fff7  connected  busy, 2 waiting
        --- err
    "#]],
    );
}

#[tokio::test]
async fn a_receiver_is_found_by_label_host_or_eight_digits_of_its_pin() {
    let receivers = json!([
        receiver("Tower", TOWER, "tower.local.:6055"),
        receiver("Attic", OWN, "192.0.2.9:6055"),
    ]);
    let all = || Script::new().on("status", status(json!({ "receivers": receivers })));
    for name in ["Tower", "tOWER", "tower.local", "bc841db8", TOWER] {
        let script = all().on("set_pairing_enabled", reply("done"));
        let told = kiln(&format!("receivers disable {name}"), "", script).await;
        let expected =
            json!({"request": "set_pairing_enabled", "pin_sha256": TOWER, "enabled": false});
        assert_eq!(told.heard.last(), Some(&expected), "{name}");
    }
    // Seven digits are too few; a machine's own name counts, but not when it names two.
    let attics = json!([
        receiver("One", TOWER, "192.0.2.8:6055"),
        receiver("Two", OWN, "192.0.2.9:6055"),
    ]);
    for (name, receivers) in [
        ("bc841db", &receivers),
        ("cellar", &receivers),
        ("tower", &attics),
    ] {
        let script = Script::new().on("status", status(json!({ "receivers": receivers })));
        let told = kiln(&format!("receivers forget {name}"), "", script).await;
        assert!(told.text.starts_with("exit 2"), "{}", told.text);
        assert_eq!(told.heard.len(), 1);
    }
}

#[tokio::test]
async fn an_offloader_that_asks_is_shown_and_approved_under_its_key_alone() {
    let asks = || Script::new().on("status", status(json!({"requests": [asking("Laptop")]})));
    shows(
        &kiln("requests", "", asks()).await,
        expect![[r#"
            exit 0
            --- out
            Laptop from 192.0.2.7
            emoji         🔑 🐼 🌳 ❤️ 🔒 🌷 🎺
            names         Key, Panda, Tree, Heart, Lock, Flower, Trumpet
            fingerprint   bc 84 1d b8 fe a3 ef d8 45 55 a7 f8 ee b9 25 03
                          3c 90 c9 d5 03 4b 1a 4c 48 a6 c8 7d e3 c0 eb de
            id            abc

            Approve only if the other screen shows the same fingerprint: from then on its builds run on this computer.
            --- err
        "#]],
    );
    let script = asks().on("approve", reply("done"));
    let told = kiln(&format!("approve Laptop --pin {TOWER}"), "", script).await;
    assert_eq!(
        told.heard[1],
        json!({"request": "approve", "dashboard_id": "abc", "pin_sha256": TOWER})
    );
    let told = kiln(&format!("approve abc --pin {OWN}"), "", asks()).await;
    shows(
        &told,
        expect![[r#"
        exit 1
        --- out
        --- err
        kiln: It asks with another key: bc841db8fea3efd84555a7f8eeb925033c90c9d5034b1a4c48a6c87de3c0ebde.
              Compare it with the pin that its own screen shows.
    "#]],
    );
}

#[tokio::test]
async fn serial_ports_are_listed_with_what_keeps_them_from_being_used() {
    let answer = |ports: Value| {
        let advice = "Use a cable that carries data.";
        json!({"reply": "serial_ports", "ports": ports, "advice": advice})
    };
    let port = |path: &str, state: &str, problem: &str| {
        let usb = json!({"vendor": "10c4", "product": "ea60", "serial": "0001"});
        json!({
            "path": path, "product": "CP2102N \u{1b}[2J", "usb": usb, "state": state,
            "problem": problem,
        })
    };
    let two = json!([
        port("/dev/ttyUSB0", "usable", ""),
        port(
            "/dev/ttyUSB1",
            "busy",
            "/dev/ttyUSB1 is in use by minicom (process 77)."
        ),
    ]);
    let script = || Script::new().on("serial_ports", answer(two.clone()));
    shows(
        &kiln("ports", "", script()).await,
        expect![[r#"
        exit 0
        --- out
        PORT          DEVICE             USB        SERIAL NUMBER  STATE
        /dev/ttyUSB0  CP2102N \u{1b}[2J  10c4:ea60  0001           usable
        /dev/ttyUSB1  CP2102N \u{1b}[2J  10c4:ea60  0001           busy
        /dev/ttyUSB1 is in use by minicom (process 77).
        --- err
    "#]],
    );
    let told = kiln("--json ports", "", script()).await;
    assert_eq!(serde_json::from_str::<Value>(&told.out).unwrap(), two);
    let script = Script::new().on("serial_ports", answer(json!([])));
    shows(
        &kiln("ports", "", script).await,
        expect![[r#"
        exit 0
        --- out
        No serial port is connected.
        Use a cable that carries data.
        --- err
    "#]],
    );
}

#[tokio::test]
async fn an_install_that_is_waited_for_shows_its_log_and_its_end() {
    let (compile, flash) = ("0123456789ab", "ba9876543210");
    let event = |job: Value| json!({"event": "job", "job": job});
    let log = |text: &str| {
        vec![
            json!({"event": "log", "offset": 0, "text": text, "next": 9}),
            json!({"event": "end"}),
        ]
    };
    let script = |end: &str| {
        let made = [
            job(compile, "compile", "queued"),
            job(flash, "upload", "queued"),
        ];
        Script::new()
            .on("install", json!({"reply": "jobs", "jobs": made}))
            .on_all(
                "jobs",
                vec![
                    event(job(compile, "compile", "running")),
                    event(job(compile, "compile", "completed")),
                    event(job(flash, "upload", end)),
                ],
            )
            .on_all("log", log("INFO Compiling\u{1b}[2J\r\n"))
            .on_all("log", log("\u{1b}[32mINFO Flashed\u{1b}[0m\n"))
    };
    let told = kiln("install kitchen --local --wait", "", script("completed")).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            INFO Compiling
            ␛[32mINFO Flashed␛[0m
            0123456789ab  compile kitchen.yaml: completed after 2.5 s, on Tower (receiver Tower: idle)
            ba9876543210  upload kitchen.yaml: completed after 2.5 s, from here (receiver Tower: idle)
            --- err
            0123456789ab  compile kitchen.yaml: running, on Tower (receiver Tower: idle)
        "#]],
    );
    let expected =
        json!({"request": "install", "device": "kitchen", "build": "local", "port": "ota"});
    assert_eq!(told.heard[0], expected);
    let told = kiln("install kitchen --wait", "", script("failed")).await;
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            INFO Compiling
            ␛[32mINFO Flashed␛[0m
            0123456789ab  compile kitchen.yaml: completed after 2.5 s, on Tower (receiver Tower: idle)
            ba9876543210  upload kitchen.yaml: failed after 2.5 s, from here: The compiler failed.
            --- err
            0123456789ab  compile kitchen.yaml: running, on Tower (receiver Tower: idle)
            kiln: upload kitchen.yaml failed: The compiler failed. (`kiln logs ba9876543210`)
        "#]],
    );
}

#[tokio::test]
async fn logs_of_several_devices_are_shown_whole_and_one_after_the_other() {
    let (kitchen, bath) = ("0123456789ab", "ba9876543210");
    let of_bath = |status: &str| {
        let mut made = job(bath, "compile", status);
        made["configuration"] = json!("bath.yaml");
        made
    };
    let made = |job: Value| json!({"reply": "jobs", "jobs": [job]});
    let event = |job: Value| json!({"event": "job", "job": job});
    let log = |text: &str| json!({"event": "log", "offset": 0, "text": text, "next": 9});
    let end = || json!({"event": "end"});
    let script = Script::new()
        .on("compile", made(job(kitchen, "compile", "queued")))
        .on("compile", made(of_bath("queued")))
        .on_all(
            "jobs",
            vec![
                event(of_bath("running")),
                event(job(kitchen, "compile", "running")),
            ],
        )
        .on_all(
            "log",
            vec![
                log("INFO bath begins\n"),
                event(job(kitchen, "compile", "completed")),
                log("INFO bath ends\n"),
                event(of_bath("completed")),
                end(),
            ],
        )
        .on_all("log", vec![log("INFO kitchen\n"), end()]);
    let told = kiln("compile kitchen bath --wait", "", script).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            --- compile bath.yaml
            INFO bath begins
            INFO bath ends
            --- compile kitchen.yaml
            INFO kitchen
            0123456789ab  compile kitchen.yaml: completed after 2.5 s, on Tower (receiver Tower: idle)
            ba9876543210  compile bath.yaml: completed after 2.5 s, on Tower (receiver Tower: idle)
            --- err
            ba9876543210  compile bath.yaml: running, on Tower (receiver Tower: idle)
            0123456789ab  compile kitchen.yaml: running, on Tower (receiver Tower: idle)
        "#]],
    );
}

#[tokio::test]
async fn a_flash_whose_device_leaves_meanwhile_is_told_as_put_off_and_waited_for() {
    let id = "ba9876543210";
    let mut away = job(id, "upload", "queued");
    away["deferred"] = json!(true);
    away["reason"] = json!("kitchen is offline: it is flashed when it comes back");
    let states = [
        job(id, "upload", "running"),
        away,
        job(id, "upload", "completed"),
    ];
    let log = |text: &str, offset: u64, next: u64| json!({"event": "log", "offset": offset, "text": text, "next": next});
    let events = states.map(|job| json!({"event": "job", "job": job}));
    let script = Script::new()
        .on(
            "install",
            json!({"reply": "jobs", "jobs": [job(id, "upload", "queued")]}),
        )
        .on_all("jobs", events[..1].to_vec())
        .on_all(
            "log",
            vec![
                log("INFO Connecting\n", 0, 16),
                events[1].clone(),
                events[2].clone(),
                log("INFO of a follow that is over\n", 16, 46),
            ],
        )
        .on_all(
            "log",
            vec![log("INFO Flashed\n", 16, 29), json!({"event": "end"})],
        );
    let told = kiln("install kitchen --wait", "", script).await;
    assert_eq!(told.heard[3]["offset"], 16, "it goes on where it was");
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        INFO Connecting
        INFO Flashed
        ba9876543210  upload kitchen.yaml: completed after 2.5 s, from here (receiver Tower: idle)
        --- err
        ba9876543210  upload kitchen.yaml: running, from here (receiver Tower: idle)
        ba9876543210  upload kitchen.yaml: queued, from here (kitchen is offline: it is flashed when it comes back)
    "#]],
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_with_a_limit_ends_and_says_that_the_work_goes_on() {
    let made = json!({"reply": "jobs", "jobs": [job("0123456789ab", "compile", "queued")]});
    let running = json!({"event": "job", "job": job("0123456789ab", "compile", "running")});
    let script = Script::new().on("compile", made).on("jobs", running);
    let told = kiln("--json compile kitchen --wait --timeout 60", "", script).await;
    shows(
        &told,
        expect![[r#"
            exit 4
            --- out
            {"jobs":[{"bootloader":"include","completed_at":null,"configuration":"kitchen.yaml","created_at":1.0,"deferred":false,"depends_on":null,"device_name":"kitchen","error":null,"exit_code":null,"failure_reason":null,"id":"0123456789ab","kind":"compile","origin":{"by":"owner"},"placement":{"esphome_version":null,"label":"Tower","on":"remote","pin_sha256":"bc841db8fea3efd84555a7f8eeb925033c90c9d5034b1a4c48a6c87de3c0ebde"},"port":null,"progress":null,"reason":"receiver Tower: idle","started_at":1.0,"status":"running","target_version":null}]}
            --- err
            {"error":{"code":"timed_out","hint":"Look with `kiln jobs` or `kiln receivers`.","message":"It was not done within 60 s; it goes on."}}
        "#]],
    );
}

#[tokio::test]
async fn a_build_with_another_esphome_says_with_which() {
    let mut other = job("0123456789ab", "compile", "queued");
    other["placement"]["esphome_version"] = json!("2026.9.1");
    let made = json!({"reply": "jobs", "jobs": [other]});
    shows(
        &kiln("compile kitchen", "", Script::new().on("compile", made)).await,
        expect![[r#"
            exit 0
            --- out
            0123456789ab  compile kitchen.yaml: queued, on Tower with ESPHome 2026.9.1 (receiver Tower: idle)
            --- err
        "#]],
    );
}

#[tokio::test]
async fn one_refused_device_does_not_stop_the_others() {
    let refused = json!({
        "reply": "refused", "code": "not_found", "message": "There is no device bath.",
        "hint": "See them with `kiln devices`.",
    });
    let made = json!({"reply": "jobs", "jobs": [job("0123456789ab", "compile", "queued")]});
    let script = Script::new().on("compile", refused).on("compile", made);
    shows(
        &kiln("compile bath kitchen", "", script).await,
        expect![[r#"
            exit 1
            --- out
            0123456789ab  compile kitchen.yaml: queued, on Tower (receiver Tower: idle)
            --- err
            kiln: There is no device bath.
                  See them with `kiln devices`.
        "#]],
    );
}

#[tokio::test]
async fn a_log_is_shown_as_text_that_cannot_drive_the_terminal() {
    let jobs = || json!({"reply": "jobs", "jobs": [job("0123456789ab", "compile", "running")]});
    let script = |name| {
        let text = "one\u{1b}[31m red\u{1b}[0m\u{1b}]0;title\u{7}\r\ntwo\u{8}\n";
        Script::new().on("jobs", jobs()).on_all(
            name,
            vec![
                json!({"event": "log", "offset": 0, "text": text, "next": 40}),
                json!({"event": "end"}),
            ],
        )
    };
    let told = kiln("logs 0123", "", script("log_now")).await;
    assert_eq!(told.out, "one\u{1b}[31m red\u{1b}[0m\ntwo\n");
    assert_eq!(told.heard[1]["job"], "0123456789ab");
    let told = kiln("logs -f 0123456789ab", "", script("log")).await;
    assert!(told.text.starts_with("exit 0"));
    let told = kiln("cancel ff", "", Script::new().on("jobs", jobs())).await;
    shows(
        &told,
        expect![[r#"
        exit 1
        --- out
        --- err
        kiln: There is no job "ff".
              See them with `kiln jobs`.
    "#]],
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
async fn settings_are_changed_by_name_and_value_or_by_pairs() {
    let answer = || {
        json!({"reply": "settings", "settings": {
            "receiver": true, "remote_builds": true, "version_policy": "any",
            "include_local": false, "esphome_dir": "", "python": "", "esphome_version": "",
            "listen_host": "0.0.0.0", "listen_port": 6055, "cleanup_ttl_seconds": 86400,
            "friendly_name": "", "idle_minutes": 3, "on_battery": false, "on_metered": false,
            "hours": "", "exclusive_apps": "", "cpu_limit": 50, "ram_floor_mb": 512,
            "disk_floor_mb": 2048, "in_use_cores": 1, "yield_minutes": 10, "daily_minutes": 480,
            "paused_until": "",
        }})
    };
    for line in ["settings set receiver on", "settings set receiver=on"] {
        let told = kiln(line, "", Script::new().on("set_settings", answer())).await;
        assert_eq!(told.heard[0]["settings"], json!([["receiver", "on"]]));
    }
    let told = kiln("settings", "", Script::new().on("settings", answer())).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            beside_full_screen = true
            build_folders = ""
            build_hosts = ""
            cleanup_ttl_seconds = 86400
            cpu_limit = 50
            daily_minutes = 480
            disk_floor_mb = 2048
            esphome_dir = ""
            esphome_version = ""
            exclusive_apps = ""
            friendly_name = ""
            hours = ""
            idle_cores = 0
            idle_minutes = 3
            idle_ram_percent = 75
            in_use_cores = 1
            in_use_disk_floor_mb = 0
            in_use_ram_percent = 75
            include_local = false
            listen_host = "0.0.0.0"
            listen_port = 6055
            on_battery = false
            on_metered = false
            paused_until = ""
            python = ""
            ram_floor_mb = 512
            receiver = true
            remote_builds = true
            remote_sessions = "ignore"
            sandbox = "required"
            storage_budget_mb = 0
            version_policy = "any"
            while_in_use = "stop"
            yield_minutes = 10
            --- err
        "#]],
    );
    let told = kiln("settings set receiver", "", Script::new()).await;
    assert!(told.text.starts_with("exit 2"));
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

#[test]
fn the_grammar_is_sound_in_every_corner() {
    <kiln_cli::Arguments as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn help_reads_like_a_product() {
    let mut command = <kiln_cli::Arguments as clap::CommandFactory>::command().term_width(100);
    expect![[r#"
        The build companion for ESPHome: compile on whichever computer is free, flash from here

        Usage: kiln [OPTIONS] <COMMAND>

        Commands:
          serve        Run Kiln: compile for paired computers, and serve the other commands
          stop         Stop the Kiln that runs
          status       What this Kiln does, and why
          pause        Compile nothing for others for a while
          resume       Compile for others again
          identity     The fingerprint that others compare
          discover     Dashboards and Kilns on the network
          pair         Ask a receiver to compile for this computer
          receivers    Computers that compile for this one
          offloaders   Computers that this one compiles for
          window       Whether new offloaders may ask to be paired
          requests     Offloaders that ask to be paired
          approve      Let an offloader that asks use this computer
          reject       Refuse an offloader that asks
          devices      The devices in your ESPHome folder
          ports        Serial ports, and whether devices can be flashed through them
          install      Compile and flash devices
          flash        Flash devices with what is built, without compiling
          compile      Compile devices without flashing
          clean        Remove devices' build files, here and on connected receivers
          jobs         What was built, is being built and waits
          logs         What a job's tools said
          cancel       Stop a job
          build-here   Build on this computer what waits for a receiver, or runs on one
          env          Installed ESPHome versions
          storage      What Kiln keeps on this disk, for whom, and why
          settings     How this Kiln behaves
          audit        What happened here: pairings, sessions, jobs, settings
          import       Take over identity and pairings of a dashboard that is being retired
          completions  Print completions for a shell

        Options:
              --json          Print JSON instead of text, with the names of docs/CLI.md
              --home <DIR>    Keep everything of this Kiln below DIR [env: KILN_HOME]
              --color <WHEN>  When to use colour [default: auto] [possible values: auto, always, never]
          -q, --quiet         Say less
          -v, --verbose...    Say more
          -h, --help          Print help (see more with '--help')
          -V, --version       Print version

        Exit codes: 0 done · 1 refused or failed · 2 not understood · 3 no Kiln is running · 4 waited too
        long · 130 interrupted.
        Start with `kiln serve`; then `kiln discover` and `kiln pair`.
    "#]].assert_eq(&command.render_help().to_string());
}

#[test]
fn every_shell_gets_its_completions_and_the_manual_names_every_verb() {
    let manual = kiln_cli::manual().unwrap();
    let mut command = <kiln_cli::Arguments as clap::CommandFactory>::command();
    for shell in <clap_complete::Shell as clap::ValueEnum>::value_variants() {
        let mut script = Vec::new();
        clap_complete::generate(*shell, &mut command, "kiln", &mut script);
        assert!(
            String::from_utf8(script).unwrap().contains("build-here"),
            "{shell}"
        );
    }
    for verb in command.get_subcommands().filter(|v| !v.is_hide_set()) {
        let name = verb.get_name().replace('-', "\\-");
        assert!(manual.contains(&name), "{name}");
    }
}

fn environment(state: &str, detail: &str) -> serde_json::Value {
    let environment = json!({
        "version": "2026.10.0", "path": "/cache/esphome-2026.10.0", "state": state,
        "detail": detail, "size_bytes": null, "installed": state == "ready",
    });
    json!({"event": "environments", "environments": [environment]})
}

#[tokio::test]
async fn an_installation_of_esphome_says_each_step_once_and_then_what_there_is() {
    let steps = vec![
        environment("installing", "looking for Python"),
        environment("installing", "downloading and installing"),
        environment("installing", "downloading and installing"),
        environment("ready", ""),
    ];
    let script = Script::new()
        .on("install_environment", json!({"reply": "done"}))
        .on_all("environments", steps);
    let seen = kiln("env install 2026.10.0", "", script).await;
    shows(
        &seen,
        expect![[r#"
        exit 0
        --- out
        VERSION    USED FOR    SIZE  STATE
        2026.10.0  own builds        ready
        --- err
        ESPHome 2026.10.0: looking for Python
        ESPHome 2026.10.0: downloading and installing
    "#]],
    );
}

#[tokio::test]
async fn an_installation_of_esphome_that_fails_says_why() {
    let steps = vec![environment("broken", "installing it failed: no network")];
    let script = Script::new()
        .on("install_environment", json!({"reply": "done"}))
        .on_all("environments", steps);
    let seen = kiln("env install 2026.10.0 --json", "", script).await;
    assert!(seen.text.starts_with("exit 1"), "{}", seen.text);
    assert!(
        seen.text
            .contains("ESPHome 2026.10.0 was not installed: installing it failed: no network"),
        "{}",
        seen.text
    );
}

#[tokio::test]
async fn without_a_version_the_newest_is_named_and_on_a_terminal_asked_for() {
    let newest = || json!({"reply": "newest_environment", "version": "2026.10.0"});
    let script = Script::new().on("newest_environment", newest());
    let seen = on_terminal("env install", "n\n", script).await;
    assert!(seen.text.contains("The newest is ESPHome 2026.10.0."));
    assert!(
        seen.text.contains("Nothing was installed."),
        "{}",
        seen.text
    );
    for arguments in ["env install --yes", "env install"] {
        let script = Script::new()
            .on("newest_environment", newest())
            .on("install_environment", json!({"reply": "done"}))
            .on_all("environments", vec![environment("ready", "")]);
        let seen = kiln(arguments, "", script).await;
        assert!(seen.text.starts_with("exit 0"), "{}", seen.text);
        assert_eq!(seen.heard[1]["version"], "2026.10.0");
    }
}

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

fn stored() -> Value {
    json!([
        {"kind": "build", "pin_sha256": TOWER, "device": "kit\u{202e}chen", "version": null,
         "bytes": 1_400_000_000_u64, "last_used": 1.0, "kept": null},
        {"kind": "toolchains", "pin_sha256": OWN, "device": "", "version": null,
         "bytes": 2_000_000_000_u64, "last_used": 2.0, "kept": "in_use"},
        {"kind": "environment", "pin_sha256": null, "device": "", "version": "2026.10.0",
         "bytes": 600_000_000, "last_used": 3.0, "kept": "own_builds"},
        {"kind": "logs", "pin_sha256": null, "device": "", "version": null,
         "bytes": 5_000, "last_used": 3.0, "kept": "listed"},
    ])
}

fn storage(items: Value) -> Value {
    json!({"reply": "storage", "storage": {
        "measured_at": 9.0, "used_bytes": 4_000_005_000_u64, "budget_bytes": 21_474_836_480_u64,
        "free_bytes": 50_000_000_000_u64, "floor_bytes": 2_147_483_648_u64, "items": items,
    }})
}

fn looked(items: Value) -> Script {
    Script::new()
        .on("storage", storage(items))
        .on("status", status(json!({})))
}

#[tokio::test]
async fn storage_says_what_is_kept_for_whom_and_why() {
    let told = kiln("storage", "", looked(stored())).await;
    shows(
        &told,
        expect![[r#"
        exit 0
        --- out
        Kiln uses 4.0 GB of 21.5 GB. 50.0 GB are free on this disk. Below 2.1 GB nothing is built for others.

        FOR        WHAT                    SIZE      LAST USED            STAYS BECAUSE
        aaa8fff7   all of it               2.0 GB
                   toolchains and caches   2.0 GB    DATE TIME  a job needs it
        bc841db8   all of it               1.4 GB
                   kit\u{202e}chen: build  1.4 GB    DATE TIME
        this Kiln  all of it               600.0 MB
                   ESPHome 2026.10.0       600.0 MB  DATE TIME  your own builds are made with it
                   logs of jobs            5.0 kB                         the jobs are still listed

        1.4 GB can be made again; `kiln storage reclaim` deletes it.
        --- err
        Looking at the disk.
    "#]],
    );
    let told = kiln("storage --json", "", looked(stored())).await;
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object, storage(stored())["storage"]);
}

#[tokio::test]
async fn nothing_is_deleted_on_a_terminal_without_a_yes() {
    let told = on_terminal("storage reclaim", "n\n", looked(stored())).await;
    shows(
        &told,
        expect![[r#"
            exit 1
            --- out
            --- err
            Looking at the disk.
            FOR       WHAT                    SIZE    LAST USED
            bc841db8  all of it               1.4 GB
                      kit\u{202e}chen: build  1.4 GB  DATE TIME
            Delete 1.4 GB? It is made or downloaded again when it is needed. [y/N] kiln: Nothing was deleted.
        "#]],
    );
    assert_eq!(told.heard.len(), 2);
}

#[tokio::test]
async fn what_was_deleted_is_said_and_what_could_not_be() {
    let freed = json!([stored()[0]]);
    let mut left = stored()[0].clone();
    left["kept"] = json!("stuck");
    let reclaimed = json!({
        "reply": "reclaimed", "freed_bytes": 1_400_000_000_u64, "freed": freed, "left": [left],
    });
    let script = looked(stored()).on("reclaim", reclaimed.clone());
    let told = on_terminal("storage reclaim", "y\n", script).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            Deleted 1.4 GB:
            FOR       WHAT                    SIZE    LAST USED
            bc841db8  all of it               1.4 GB
                      kit\u{202e}chen: build  1.4 GB  DATE TIME
            This could not be deleted; Kiln's own log says why:
            FOR       WHAT                    SIZE    LAST USED            STAYS BECAUSE
            bc841db8  all of it               1.4 GB
                      kit\u{202e}chen: build  1.4 GB  DATE TIME  it could not be deleted
            --- err
            Looking at the disk.
            FOR       WHAT                    SIZE    LAST USED
            bc841db8  all of it               1.4 GB
                      kit\u{202e}chen: build  1.4 GB  DATE TIME
            Delete 1.4 GB? It is made or downloaded again when it is needed. [y/N] Deleting.
        "#]],
    );
    let script = looked(stored()).on("reclaim", reclaimed.clone());
    let told = kiln("storage reclaim --yes --json", "", script).await;
    let object: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(object, reclaimed);
}

#[tokio::test]
async fn where_all_of_it_is_needed_nothing_is_asked() {
    let told = on_terminal("storage reclaim", "", looked(json!([]))).await;
    shows(
        &told,
        expect![[r#"
            exit 0
            --- out
            Nothing was deleted: all of it is needed.
            --- err
            Looking at the disk.
        "#]],
    );
}
