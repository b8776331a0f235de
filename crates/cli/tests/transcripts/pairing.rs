//! Receivers and offloaders: paired, listed, found, approved.
use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{OWN, Script, TOWER, asking, kiln, receiver, reply, status, view};
use crate::shows;

fn previewed() -> Value {
    json!({
        "reply": "previewed", "pin_sha256": TOWER, "requires_pairing_key": false,
        "friendly_name": "tower\u{1b}[2J",
    })
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
