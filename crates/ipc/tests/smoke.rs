//! The fuzz body on stable: mutated lines, a bounded number of rounds, the same every time.

#[path = "../../../fuzz/bodies/control.rs"]
mod control;
#[path = "../../../fuzz/bodies/mutants.rs"]
mod mutants;

#[test]
fn mutated_lines_do_no_harm() {
    let lines = [
        r#"{"kiln":1,"program":"kiln 0.1.0"}"#,
        r#"{"id":1,"request":"install","device":"kitchen","build":"local","port":"serial:/dev/x"}"#,
        r#"{"id":2,"request":"set_settings","settings":[["receiver","on"]]}"#,
        r#"{"id":3,"follow":"log","job":"0123456789ab","offset":7}"#,
        r#"{"id":4,"follow":"devices"}"#,
        r#"{"unfollow":3}"#,
        r#"{"id":3,"event":"log","offset":0,"text":"a\n","next":2}"#,
        r#"{"id":4,"event":"environments","environments":[{"version":"2026.10.0","path":"/x",
            "state":"ready","detail":"","size_bytes":null,"installed":true}]}"#,
        r#"{"id":1,"reply":"refused","code":"not_found","message":"m","hint":"h"}"#,
        r#"{"id":null,"broken":{"code":"invalid_args","message":"m"}}"#,
        r#"{"id":1,"reply":"devices","devices":[{"configuration":"a.yaml","name":"a",
            "friendly_name":"","platform":"","address":"","presence":"online","built_version":"",
            "deployed_version":"","last_build":1.5,"problem":null}]}"#,
    ];
    let corpus: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| format!("{}\n", line.replace('\n', " ")).into_bytes())
        .collect();
    mutants::run(control::control, &corpus, 4_000);
}
