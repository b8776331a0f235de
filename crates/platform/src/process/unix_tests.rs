//! Real process trees. Each test waits for a line of output, never for time.
use std::path::PathBuf;
use std::time::Duration;

use kiln_ports::Processes as _;
use kiln_ports::process::{Child, Command, Exit, Pace, Priority};

use super::OsProcesses;
use super::os::{BRIEFLY, gone};

const LONG: Duration = Duration::from_secs(600);

fn shell(script: &str) -> Command {
    Command {
        program: "/bin/bash".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        directory: "/".into(),
        priority: Priority::Normal,
    }
}

fn processes() -> OsProcesses {
    let unique = tempfile::tempdir().unwrap();
    OsProcesses::new(&unique.path().display().to_string())
}

async fn output(child: &mut dyn Child) -> String {
    let mut all = Vec::new();
    while let Some(block) = child.read().await {
        all.extend(block);
    }
    String::from_utf8(all).unwrap()
}

/// Reads until `count` lines have come.
async fn lines(child: &mut dyn Child, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.iter().filter(|b| **b == b'\n').count() < count {
        all.extend(child.read().await.expect("the stream ended early"));
    }
    let text = String::from_utf8(all).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Asks the system about a process; empty when there is none.
fn ps(column: &str, pid: &str) -> String {
    let output = std::process::Command::new("/bin/ps")
        .args(["-o", column, "-p", pid])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn alive(pid: &str) -> bool {
    let state = ps("stat=", pid);
    !state.is_empty() && !state.starts_with('Z')
}

// Covers: M74
#[tokio::test]
async fn both_outputs_come_in_order_and_the_exit_code_is_told() {
    let mut child = processes()
        .spawn(shell("echo out; echo err >&2; echo out again; exit 7"))
        .await
        .unwrap();
    assert_eq!(output(&mut *child).await, "out\nerr\nout again\n");
    assert_eq!(child.wait().await, Exit::Code(7));
}

// Covers: M74
#[tokio::test]
async fn nothing_is_inherited_but_what_was_asked_for() {
    // `cat` ends at once: stdin is null.
    let mut command = shell("/usr/bin/env; cat");
    command.environment.push(("WANTED".into(), "yes".into()));
    let mut child = processes().spawn(command).await.unwrap();
    let text = output(&mut *child).await;
    let mut names: Vec<_> = text.lines().filter_map(|l| l.split('=').next()).collect();
    // The shell sets some of its own.
    names.retain(|n| !["PWD", "OLDPWD", "SHLVL", "_"].contains(n));
    names.sort_unstable();
    assert_eq!(names, ["KILN_RUN", "PATH", "WANTED"]);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut command = shell("");
    command.program = "/no/such/program".into();
    let error = processes().spawn(command).await.err().unwrap();
    assert_eq!(error.program, "/no/such/program");
    let mut command = shell("");
    command.directory = PathBuf::from("/no/such/folder");
    let error = processes().spawn(command).await.err().unwrap();
    assert!(error.reason.contains("/no/such/folder"), "{error}");
}

#[tokio::test]
async fn a_background_tree_has_the_lowest_priority() {
    let mut command = shell("echo $$; sleep 1000");
    command.priority = Priority::Background;
    let mut child = processes().spawn(command).await.unwrap();
    let pids = lines(&mut *child, 1).await;
    assert_eq!(ps("ni=", &pids[0]), "19");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn when_memory_runs_out_a_background_tree_goes_before_all_else() {
    let mut command = shell("echo $$; sleep 1000");
    command.priority = Priority::Background;
    let mut child = processes().spawn(command).await.unwrap();
    let pids = lines(&mut *child, 1).await;
    let adjusted = |pid: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        text.trim().parse::<i32>().unwrap()
    };
    assert_eq!(adjusted(&pids[0]), 1000);
    assert!(adjusted("self") < 1000, "Kiln itself does not");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_session_that_a_background_tree_begins_gets_the_least_share_when_the_tree_is_measured() {
    let share = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/autogroup"));
    // Without this file the kernel does not schedule sessions as groups; in some containers it cannot be
    // written.
    let Ok(own) = share("self") else {
        return;
    };
    let file = std::fs::File::options();
    if file
        .clone()
        .write(true)
        .open("/proc/self/autogroup")
        .is_err()
    {
        return;
    }
    let mut command = shell("setsid sh -c 'echo $$; exec sleep 1000' & wait");
    command.priority = Priority::Background;
    let mut child = processes().spawn(command).await.unwrap();
    let pid = lines(&mut *child, 1).await.remove(0);
    assert!(
        share(&pid).unwrap().ends_with("nice 0\n"),
        "as the kernel begins it"
    );
    while !share(&pid).unwrap().ends_with("nice 19\n") {
        child.usage().await;
    }
    assert_eq!(share("self").unwrap(), own, "Kiln's own is as it was");
}

// Covers: M100
#[tokio::test]
async fn a_kill_reaches_other_groups_ignored_signals_and_other_sessions() {
    // Like ninja: every compiler in a group of its own (`set -m`), here also deaf to SIGTERM. One
    // descendant leaves the session as well and has lost its parent.
    let script = "set -m
        sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &
        (setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' &)
        trap '' TERM; echo $$; wait; while :; do sleep 1000; done";
    let mut child = processes().spawn(shell(script)).await.unwrap();
    let pids = lines(&mut *child, 3).await;
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|p| alive(p)), "{pids:?}");
    child.kill(Duration::ZERO).await;
    assert!(!pids.iter().any(|p| alive(p)));
    assert_eq!(child.wait().await, Exit::Signal);
    assert_eq!(child.read().await, None);
}

#[tokio::test]
async fn a_tree_that_ends_when_asked_is_not_killed() {
    // Cleaning up takes a while, and is interrupted by nobody.
    let script = "trap 'echo stopping; for i in {1..3000}; do :; done; echo stopped; exit 3' TERM
        echo ready; while :; do sleep 0.01; done";
    let mut child = processes().spawn(shell(script)).await.unwrap();
    lines(&mut *child, 1).await;
    child.kill(LONG).await;
    let said = output(&mut *child).await;
    assert_eq!(said.matches("stopping\n").count(), 1, "{said}");
    assert!(said.ends_with("stopped\n"), "{said}");
    assert_eq!(child.wait().await, Exit::Code(3));
}

#[tokio::test]
async fn a_tree_without_any_grace_is_not_asked_to_end() {
    let script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done";
    let mut child = processes().spawn(shell(script)).await.unwrap();
    lines(&mut *child, 1).await;
    child.kill(Duration::ZERO).await;
    assert_eq!(output(&mut *child).await, "");
}

// Covers: M101
#[tokio::test]
async fn a_killed_job_ends_although_a_descendant_keeps_the_pipe() {
    // It left the session, cleaned its environment and lost its parent: nothing shows whose it is.
    let script = "(env -i setsid sh -c 'echo $$; exec sleep 1000' &); sleep 1000";
    let mut child = processes().spawn(shell(script)).await.unwrap();
    let pids = lines(&mut *child, 1).await;
    child.kill(Duration::ZERO).await;
    assert!(alive(&pids[0]), "the test needs a holder of the pipe");
    assert_eq!(output(&mut *child).await, "");
    std::process::Command::new("/bin/kill")
        .args(["-9", &pids[0]])
        .status()
        .unwrap();
}

#[tokio::test]
async fn dropping_a_child_kills_its_tree() {
    let mut child = processes()
        .spawn(shell("sleep 1000 & echo $!; echo $$; wait"))
        .await
        .unwrap();
    let pids = lines(&mut *child, 2).await;
    drop(child);
    assert!(!pids.iter().any(|p| alive(p)));
}

#[tokio::test]
async fn leftovers_of_a_killed_kiln_are_found_and_others_are_spared() {
    let ours = processes();
    let others = processes();
    let mut left = ours
        .spawn(shell("set -m; sleep 1000 & echo $!; echo $$; wait"))
        .await
        .unwrap();
    let mut other = others.spawn(shell("echo $$; sleep 1000")).await.unwrap();
    let left_pids = lines(&mut *left, 2).await;
    let other_pids = lines(&mut *other, 1).await;
    // A new process of the same instance has another number and a new counter.
    let next = OsProcesses::new(&ours.instance);
    assert_eq!(next.reap_leftovers().await, 2);
    assert!(!left_pids.iter().any(|p| alive(p)));
    assert!(alive(&other_pids[0]));
    assert_eq!(next.reap_leftovers().await, 0);
}

#[tokio::test]
async fn leftovers_that_are_still_giving_their_memory_back_are_waited_for() {
    let ours = processes();
    let large = "exec perl -e '$| = 1; $x = \"a\" x (1 << 29); print \"$$\\n\"; sleep 1000'";
    let mut left = ours.spawn(shell(large)).await.unwrap();
    let pids = lines(&mut *left, 1).await;
    let next = OsProcesses::new(&ours.instance);
    assert_eq!(next.reap_leftovers().await, 1);
    assert!(!alive(&pids[0]));
}

#[tokio::test]
async fn a_read_that_is_given_up_loses_nothing() {
    let mut child = processes()
        .spawn(shell("for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done"))
        .await
        .unwrap();
    let mut all = Vec::new();
    loop {
        // Polled once and dropped, again and again.
        tokio::select! {
            biased;
            block = child.read() => match block {
                Some(bytes) => all.extend(bytes),
                None => break,
            },
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(all.split(|b| *b == b'\n').count(), 10);
}

/// A tree with a grandchild in a group of its own; each says its number and goes on for ever.
const TREE: &str = "set -m
    sh -c 'echo $$; while :; do sleep 0.01; done' &
    echo $$; while :; do sleep 0.01; done";

fn stands(pid: &str) -> bool {
    ps("stat=", pid).starts_with(['T', 't'])
}

#[tokio::test]
async fn a_stopped_tree_stands_still_with_all_its_groups_and_goes_on_when_told() {
    let mut child = processes().spawn(shell(TREE)).await.unwrap();
    let pids = lines(&mut *child, 2).await;
    child.set_pace(Pace::Stopped).await;
    assert!(pids.iter().all(|p| stands(p)), "{pids:?}");
    child.set_pace(Pace::AS_STARTED).await;
    assert!(!pids.iter().any(|p| stands(p)));
    child.kill(Duration::ZERO).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_tree_of_which_one_waits_for_a_stopped_child_to_exec_is_shaken_until_it_stands() {
    // The child waits for a writer before it becomes another program, its parent for that program.
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe").display().to_string();
    let script = format!(
        "mkfifo {pipe}; exec python3 -c 'import os; print(os.getpid(), flush=True)
os.posix_spawn(\"/bin/sleep\", [\"sleep\", \"1000\"], {{}},
    file_actions=[(os.POSIX_SPAWN_OPEN, 0, \"{pipe}\", os.O_RDONLY, 0)])
os.wait()'"
    );
    let mut child = processes().spawn(shell(&script)).await.unwrap();
    let parent = lines(&mut *child, 1).await.remove(0);
    let children = format!("/proc/{parent}/task/{parent}/children");
    let born = async || {
        loop {
            let pids = std::fs::read_to_string(&children).unwrap();
            match pids.split_whitespace().next() {
                Some(pid) => return pid.to_owned(),
                None => tokio::task::yield_now().await,
            }
        }
    };
    let pid = born().await;
    let writer = async {
        while !stands(&pid) {
            tokio::task::yield_now().await;
        }
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).open(&pipe).unwrap()
    };
    let (_writer, _) = tokio::join!(writer, child.set_pace(Pace::Stopped));
    assert!(stands(&parent) && stands(&pid));
    child.kill(Duration::ZERO).await;
}

/// A tree with one whose parent alone tells whose it is, and one that this one started.
const HIDING: &str =
    "env -i setsid sh -c 'echo $$; sh -c \"echo \\$\\$; exec sleep 1000\" & wait' &
    echo $$; wait";

#[tokio::test]
async fn who_left_the_session_and_cleaned_its_environment_stands_goes_on_and_ends_like_the_others()
{
    let mut child = processes().spawn(shell(HIDING)).await.unwrap();
    let pids = lines(&mut *child, 3).await;
    child.set_pace(Pace::Stopped).await;
    assert!(pids.iter().all(|p| stands(p)), "{pids:?}");
    child.set_pace(Pace::Gentle { cores: 1 }).await;
    assert!(!pids.iter().any(|p| stands(p)), "{pids:?}");
    assert!(pids.iter().all(|p| ps("ni=", p) == "19"), "{pids:?}");
    child.kill(Duration::ZERO).await;
    assert!(!pids.iter().any(|p| alive(p)), "{pids:?}");
}

#[test]
fn who_drops_a_tree_that_hangs_in_the_kernel_is_not_held_for_ever() {
    assert!(!gone(|| 1, BRIEFLY));
    assert!(gone(|| 0, BRIEFLY));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_box_is_known_by_its_first_process_and_when_that_is_gone_nobody_is_left() {
    use super::os::Belongs;
    use super::table::{Namespace, measure};
    let script = "[ $UID = 0 ] || user=--user; echo $$
        unshare $user --pid --fork true || { echo refused; exit; }
        exec unshare $user --pid --fork /bin/bash -c '
            (env -i setsid sleep 1000 &); for i in {1..50}; do sleep 1000 & done
            echo inside; wait'";
    let mut child = processes().spawn(shell(script)).await.unwrap();
    let said = lines(&mut *child, 2).await;
    if said[1] != "inside" {
        // Some systems let nobody but root make one.
        return;
    }
    let mut tree = Belongs::marked(b"nobody's".to_vec());
    assert!(Namespace::of(&tree).is_none());
    tree.session = said[0]
        .parse()
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let mut namespace = Namespace::of(&tree).unwrap();
    assert!(measure(&tree, Priority::Normal).0 >= 52);
    while namespace.kill() {
        tokio::task::yield_now().await;
    }
    assert!(
        measure(&tree, Priority::Normal).0 <= 1,
        "at most who waited for it is left"
    );
    child.kill(LONG).await;
    assert_eq!(measure(&tree, Priority::Normal).0, 0);

    let mut other = processes()
        .spawn(shell("echo $$; sleep 1000 & wait"))
        .await
        .unwrap();
    let said = lines(&mut *other, 1).await;
    tree.session = said[0]
        .parse()
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    assert!(Namespace::of(&tree).is_none(), "this tree is in no box");
}

#[tokio::test]
async fn what_a_stopped_tree_had_not_said_yet_is_heard_later() {
    let mut child = processes()
        .spawn(shell("echo $$; read -r -t 0.3 < <(sleep 5); echo late"))
        .await
        .unwrap();
    lines(&mut *child, 1).await;
    child.set_pace(Pace::Stopped).await;
    child.set_pace(Pace::AS_STARTED).await;
    assert_eq!(output(&mut *child).await, "late\n");
}

#[tokio::test]
async fn a_stopped_tree_ends_when_asked_killed_or_dropped() {
    let polite = "trap 'echo tidied; exit 3' TERM; echo $$; while :; do sleep 0.01; done";
    let mut child = processes().spawn(shell(polite)).await.unwrap();
    lines(&mut *child, 1).await;
    child.set_pace(Pace::Stopped).await;
    child.kill(LONG).await;
    // The shell may say first that the program it waited for was ended.
    let said = output(&mut *child).await;
    assert!(said.ends_with("tidied\n"), "it could still tidy up: {said}");
    assert_eq!(child.wait().await, Exit::Code(3));

    let mut child = processes().spawn(shell(TREE)).await.unwrap();
    let pids = lines(&mut *child, 2).await;
    child.set_pace(Pace::Stopped).await;
    drop(child);
    assert!(!pids.iter().any(|p| alive(p)));
}

#[tokio::test]
async fn a_stopped_tree_of_a_killed_kiln_is_found_and_ended() {
    let ours = processes();
    let mut left = ours.spawn(shell(TREE)).await.unwrap();
    let pids = lines(&mut *left, 2).await;
    left.set_pace(Pace::Stopped).await;
    let next = OsProcesses::new(&ours.instance);
    // The kernel ends some of them by itself: a stopped group whose last parent goes is hung up.
    assert_ne!(next.reap_leftovers().await, 0);
    assert!(!pids.iter().any(|p| alive(p)));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_tree_that_starts_programs_all_the_time_is_slowed_down_and_ended_all_the_same() {
    let script = "echo $$; while :; do for i in {1..20}; do /bin/true & done; wait; done";
    let mut child = processes().spawn(shell(script)).await.unwrap();
    let pid = lines(&mut *child, 1).await.remove(0);
    child.set_pace(Pace::Gentle { cores: 1 }).await;
    assert_eq!(ps("ni=", &pid), "19");
    child.set_pace(Pace::AS_STARTED).await;
    child.kill(Duration::ZERO).await;
    assert!(!alive(&pid));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_gentle_tree_has_few_cores_and_the_lowest_priorities_also_for_what_it_starts_later() {
    let script = "echo $$; read -r -t 0.2 < <(sleep 5); \
        while :; do sleep 0.01; grep Cpus_allowed_list /proc/self/status; done";
    let mut child = processes().spawn(shell(script)).await.unwrap();
    let pids = lines(&mut *child, 1).await;
    child.set_pace(Pace::Gentle { cores: 1 }).await;
    let allowed = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|l| l.starts_with("Cpus_allowed_list:"));
        line.unwrap().split_whitespace().last().unwrap().to_owned()
    };
    assert!(
        allowed(&pids[0]).parse::<u32>().is_ok(),
        "one core: {}",
        allowed(&pids[0])
    );
    assert_eq!(ps("ni=", &pids[0]), "19");
    // The last line is of a program that was started after that.
    let said = lines(&mut *child, 20).await;
    let last = said.last().unwrap().split_whitespace().last().unwrap();
    assert_eq!(last, allowed(&pids[0]));
    child.set_pace(Pace::Full { cores: Some(1) }).await;
    assert!(allowed(&pids[0]).parse::<u32>().is_ok(), "still one core");
    child.set_pace(Pace::AS_STARTED).await;
    assert_eq!(allowed(&pids[0]), allowed("self"));
    child.kill(Duration::ZERO).await;
}
