//! macOS: the process table is `ps(1)`, which shows the environment of the user's own processes.
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getpid, getsid, kill_process, setpriority_process};

use super::os::Belongs;

/// Returns how many living processes belong, after sending each of them a signal if there is one.
pub(super) fn signal_all(belongs: &Belongs, signal: Option<Signal>) -> usize {
    let listing = ps(["-axwwE", "-o", "pid=,state=,command="]);
    let signalled = listing.split(|b| *b == b'\n').filter(|line| {
        living(line).is_some_and(|pid| {
            is_meant(belongs, pid, line)
                && signal.is_none_or(|signal| kill_process(pid, signal).is_ok())
        })
    });
    signalled.count()
}

/// Returns whether everything that belongs stands still.
pub(super) fn all_stand(belongs: &Belongs) -> bool {
    let listing = ps(["-axwwE", "-o", "pid=,state=,command="]);
    let mut lines = listing.split(|b| *b == b'\n');
    lines.all(|line| {
        let Some((pid, state)) = pid_and_state(line) else {
            return true;
        };
        let ours = is_meant(belongs, pid, line);
        !ours || matches!(state, 'T' | 'Z')
    })
}

/// Gives a tree the lowest CPU priority. The system has no affinity: cores are not taken away.
pub(super) fn slow_down(belongs: &Belongs, _cores: usize) {
    let listing = ps(["-axwwE", "-o", "pid=,state=,command="]);
    let lines = listing.split(|b| *b == b'\n');
    for pid in lines.filter_map(|line| living(line).filter(|pid| is_meant(belongs, *pid, line))) {
        lower_priority(pid);
    }
}

/// Nothing: an ordinary user cannot raise a priority again, and that of received builds is low anyway.
pub(super) fn speed_up(_belongs: &Belongs) {}

/// Returns how many living processes belong, and the memory that they hold, in bytes.
pub(super) fn measure(belongs: &Belongs) -> (u32, u64) {
    let listing = ps(["-axwwE", "-o", "pid=,state=,rss=,command="]);
    let lines = listing
        .split(|b| *b == b'\n')
        .filter(|line| living(line).is_some_and(|pid| is_meant(belongs, pid, line)));
    lines.fold((0, 0), |(processes, bytes), line| {
        let text = String::from_utf8_lossy(line);
        let kib = text.split_ascii_whitespace().nth(2);
        let kib: u64 = kib.and_then(|k| k.parse().ok()).unwrap_or_default();
        (processes + 1, bytes + kib * 1024)
    })
}

/// Returns whether a process belongs, whose line ends with its environment.
fn is_meant(belongs: &Belongs, pid: Pid, line: &[u8]) -> bool {
    pid != getpid() && (belongs.holds_session(getsid(Some(pid)).ok()) || belongs.marks(line))
}

/// Reads the number of a process from its line, unless it is a zombie.
fn living(line: &[u8]) -> Option<Pid> {
    let (pid, state) = pid_and_state(line)?;
    (state != 'Z').then_some(pid)
}

fn pid_and_state(line: &[u8]) -> Option<(Pid, char)> {
    let text = String::from_utf8_lossy(line);
    let mut fields = text.split_ascii_whitespace();
    let pid = Pid::from_raw(fields.next()?.parse().ok()?)?;
    Some((pid, fields.next()?.chars().next()?))
}

/// Returns the command lines of other processes.
pub(super) fn command_lines() -> Vec<String> {
    let me = format!("{} ", getpid().as_raw_nonzero());
    let listing = ps(["-axww", "-o", "pid=,command="]);
    let lines = listing.split(|b| *b == b'\n').map(String::from_utf8_lossy);
    lines
        .filter(|line| !line.trim_start().starts_with(&me))
        .map(Into::into)
        .collect()
}

fn ps<const N: usize>(arguments: [&str; N]) -> Vec<u8> {
    let listing = Command::new("/bin/ps")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    listing.map(|o| o.stdout).unwrap_or_default()
}

/// Lowest CPU priority. Best effort: a tree at normal priority still builds.
pub(super) fn lower_priority(leader: Pid) {
    let _ = setpriority_process(Some(leader), 19);
}
