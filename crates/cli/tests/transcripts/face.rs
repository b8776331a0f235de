//! Who reads and who answers: a pipe that was closed, a script that cannot be asked.
use expect_test::expect;
use kiln_cli::{Answerer, Reader};
use serde_json::{Value, json};

use crate::harness::{
    Script, TOWER, job, kiln, offloader, on_terminal, receiver, reply, run, status, to_nobody,
};
use crate::shows;
use crate::storage::{looked, stored};

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
