//! What survives `kill -9`: promised rows, and no process of a build.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test cannot go on")]
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use kiln_platform::{OsProcesses, SqliteStore};
use kiln_ports::Store as _;
use kiln_tests::probe::Probe;
use tokio::time::Instant;

/// Times a Kiln is killed while a build gives way.
const KILLS: usize = 200;

/// How many at a time.
const LANES: usize = 6;

/// Times a Kiln with a warden is killed while a build gives way.
const GUARDED_KILLS: usize = 20;

/// Longest that a warden may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Like ninja: compilers in groups of their own; one has left the session and lost its parent. Each
/// says its number.
const TREE: &str = "set -m
    sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &
    (setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &)
    echo $$; wait";

#[test]
fn a_killed_kiln_leaves_compilers_and_the_next_one_ends_them() {
    let home = tempfile::tempdir().unwrap();
    let instance = format!("kiln:{}", home.path().display());
    let mut killed = probe(&["processes", &instance, TREE]);
    let pids: Vec<String> = (0..3).filter_map(|_| killed.line()).collect();
    assert_eq!(pids.len(), 3);
    killed.kill();
    assert_eq!(alive(&pids).len(), 3, "nothing was left to end");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let next = OsProcesses::new(&instance);
    // Three shells, and two sleeps.
    assert_eq!(runtime.block_on(next.reap_leftovers()), 5);
    assert!(alive(&pids).is_empty());
}

#[test]
fn a_kiln_killed_while_a_build_gives_way_leaves_it_neither_stopped_nor_behind() {
    // Several at a time: most of each round is waiting.
    let killed_while = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| scope.spawn(move || kill_while_it_gives_way((lane..KILLS).step_by(LANES))))
            .collect();
        let ended = lanes.into_iter().flat_map(|lane| lane.join().unwrap());
        ended.fold(BTreeMap::<String, usize>::new(), |mut sum, phase| {
            *sum.entry(phase).or_default() += 1;
            sum
        })
    });
    println!("killed while {killed_while:?}");
    for phase in ["gentle", "stopped", "free", "handed back"] {
        assert!(
            killed_while.contains_key(phase),
            "never while {phase}: {killed_while:?}"
        );
    }
}

/// The same, and one that cleaned its environment and lost its parent but not the session.
const HIDING: &str = "(env -i sh -c 'echo $$; while :; do /bin/sleep 1000; done' &)
    set -m
    sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &
    (setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &)
    echo $$; wait";

#[test]
fn a_build_of_others_whose_kiln_is_killed_ends_by_itself_also_while_it_stands_still() {
    let home = tempfile::tempdir().unwrap();
    let instance = format!("kiln:{}", home.path().display());
    for phase in ["gentle", "stopped", "free", "handed back"]
        .iter()
        .cycle()
        .take(GUARDED_KILLS)
    {
        let mut killed = probe(&["gives way with a warden", &instance, HIDING, "4"]);
        let (mut pids, mut doing) = (Vec::new(), String::new());
        while doing != **phase {
            doing = killed.line().unwrap();
            if doing.parse::<u32>().is_ok() {
                pids.push(doing.clone());
            }
        }
        killed.kill();
        while let Some(line) = killed.line() {
            pids.extend(line.parse::<u32>().is_ok().then_some(line));
        }
        // No other Kiln is there to end them.
        let begun = Instant::now();
        while !alive(&pids).is_empty() {
            let left = alive(&pids);
            assert!(
                begun.elapsed() < PATIENCE,
                "while {phase}: {left:?} are left"
            );
        }
    }
}

/// Kills one Kiln after the other, and returns what each did last.
fn kill_while_it_gives_way(kills: impl Iterator<Item = usize>) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let instance = format!("kiln:{}", home.path().display());
    let mut killed_while = Vec::new();
    for kill in kills {
        let mut killed = probe(&["gives way", &instance, TREE, "3"]);
        let (mut pids, mut phase) = (Vec::new(), "begun".to_owned());
        let mut hear = |line: String| match line.parse::<u32>() {
            Ok(_) => pids.push(line),
            Err(_) => phase = line,
        };
        // Another moment each time: a line of the first build or the next, and some time later.
        for _ in 0..1 + kill * 7 % 11 {
            hear(killed.line().unwrap());
        }
        for _ in 0..kill * 13 % 40 {
            std::thread::yield_now();
        }
        killed.kill();
        while let Some(line) = killed.line() {
            hear(line);
        }
        killed_while.push(phase);
        let next = OsProcesses::new(&instance);
        runtime.block_on(next.reap_leftovers());
        let left = alive(&pids);
        assert!(left.is_empty(), "kill {kill}: {left:?} are left");
        assert_eq!(runtime.block_on(next.reap_leftovers()), 0, "kill {kill}");
    }
    killed_while
}

/// Returns those that live.
fn alive(pids: &[String]) -> Vec<String> {
    let ps = Command::new("ps")
        .args(["-o", "pid=,stat=", "-p", &pids.join(",")])
        .output()
        .unwrap();
    let table = String::from_utf8(ps.stdout).unwrap();
    let rows = table.lines().filter_map(|row| row.trim().split_once(' '));
    let living = rows.filter(|(_, state)| !state.trim().starts_with('Z'));
    living.map(|(pid, _)| pid.to_owned()).collect()
}
