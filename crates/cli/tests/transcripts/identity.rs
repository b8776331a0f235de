//! The identity, in every form, and a new one.
use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{OWN, Script, kiln, on_terminal, reply, status};
use crate::shows;

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
