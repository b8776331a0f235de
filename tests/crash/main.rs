//! What survives `kill -9`: promised rows, and no process of a build.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test cannot go on")]
use std::process::Command;

use kiln_platform::{OsProcesses, SqliteStore};
use kiln_ports::Store as _;
use kiln_tests::probe::Probe;

/// Times the writer is killed; each time it has made another number of promises.
const CRASHES: usize = 40;

fn probe(arguments: &[&str]) -> Probe {
    let mut command = Command::new(env!("CARGO_BIN_EXE_probe"));
    command.args(arguments);
    Probe::start(command)
}

#[test]
fn what_the_store_promised_is_there_whole_and_in_order_after_every_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut promised = 0;
    for crash in 0..CRASHES {
        let mut writer = probe(&["store", dir.path().to_str().unwrap()]);
        for _ in 0..crash * 7 % 60 {
            promised = writer
                .line()
                .expect("the writer writes")
                .parse::<usize>()
                .unwrap()
                + 1;
        }
        writer.kill();
        // Promises that were not read yet.
        while let Some(last) = writer.line() {
            promised = last.parse::<usize>().unwrap() + 1;
        }
        let store = SqliteStore::open(dir.path(), &dir.path().join("logs")).unwrap();
        let left = store.rows("left").unwrap();
        let right = store.rows("right").unwrap();
        // One more may be there: it was written, and the promise was cut off.
        assert!(
            (promised..=promised + 1).contains(&left.len()),
            "crash {crash}"
        );
        assert_eq!(left.len(), right.len(), "a change was applied in part");
        for (number, (left, right)) in left.iter().zip(&right).enumerate() {
            assert_eq!(left.key, format!("{number:08}"));
            assert_eq!((&left.key, &left.body), (&right.key, &right.body));
            assert_eq!(left.body.len(), number % 5000);
        }
        promised = left.len();
    }
    assert!(promised > CRASHES, "the writer wrote too little to tell");
}

#[test]
fn a_killed_kiln_leaves_compilers_and_the_next_one_ends_them() {
    // Like ninja: compilers in groups of their own; one has left the session and lost its parent.
    let script = "set -m
        sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &
        (setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &)
        echo $$; wait";
    let home = tempfile::tempdir().unwrap();
    let instance = format!("kiln:{}", home.path().display());
    let mut killed = probe(&["processes", &instance, script]);
    let pids: Vec<String> = (0..3).filter_map(|_| killed.line()).collect();
    assert_eq!(pids.len(), 3);
    killed.kill();
    assert!(pids.iter().all(|pid| alive(pid)), "nothing was left to end");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let next = OsProcesses::new(&instance);
    // Three shells, and two sleeps.
    assert_eq!(runtime.block_on(next.reap_leftovers()), 5);
    assert!(!pids.iter().any(|pid| alive(pid)));
}

fn alive(pid: &str) -> bool {
    let ps = Command::new("ps")
        .args(["-o", "stat=", "-p", pid])
        .output()
        .unwrap();
    let state = String::from_utf8(ps.stdout).unwrap();
    !state.trim().is_empty() && !state.starts_with('Z')
}
