//! Installations of ESPHome.
use expect_test::expect;
use serde_json::{Value, json};

use crate::harness::{Script, kiln, on_terminal};
use crate::shows;

fn environment(state: &str, detail: &str) -> Value {
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
