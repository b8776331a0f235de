//! macOS: the process table is `ps(1)`, which shows the environment of the user's own processes.
use std::collections::HashSet;
use std::process::{Command, Stdio};

use kiln_ports::process::{Paced, Priority};
use rustix::process::{Pid, Signal, getpid, getsid, kill_process, setpriority_process};

use super::os::Belongs;

/// Processes that the system ends together; it has nothing of the kind.
pub(super) enum Namespace {}

impl Namespace {
    /// Returns none.
    pub(super) fn of(_belongs: &Belongs) -> Option<Self> {
        None
    }

    /// Is never called.
    pub(super) fn kill(&mut self) -> bool {
        match *self {}
    }
}

/// Returns how many living processes belong, after sending each of them a signal if there is one.
pub(super) fn signal_all(belongs: &Belongs, signal: Option<Signal>) -> usize {
    let reached = members(belongs)
        .into_iter()
        .filter(|row| signal.is_none_or(|signal| kill_process(row.pid, signal).is_ok()));
    reached.count()
}

/// Returns whether everything that belongs stands still.
pub(super) fn all_stand(belongs: &Belongs) -> bool {
    members(belongs).iter().all(|row| row.state == 'T')
}

/// Lets everything go on: who is stopped between vfork and exec keeps its parent from standing still.
pub(super) fn shake(belongs: &Belongs) {
    signal_all(belongs, Some(Signal::CONT));
}

/// Gives a tree the lowest CPU priority. The system has no affinity: cores are not taken away.
pub(super) fn slow_down(belongs: &Belongs, _cores: usize) -> Paced {
    for row in members(belongs) {
        lower_priority(row.pid);
    }
    Paced::All
}

/// Nothing: an ordinary user cannot raise a priority again, and that of received builds is low anyway.
pub(super) fn speed_up(_belongs: &Belongs, _cores: Option<usize>) -> Paced {
    Paced::All
}

/// Returns how many living processes belong, and the memory that they hold, in bytes.
pub(super) fn measure(belongs: &Belongs, _priority: Priority) -> (u32, u64) {
    members(belongs)
        .iter()
        .fold((0, 0), |(processes, bytes), row| {
            (processes + 1, bytes + row.kib * 1024)
        })
}

/// A living process.
struct Row {
    pid: Pid,
    parent: Option<Pid>,
    state: char,
    /// Resident memory.
    kib: u64,
}

/// Returns the living processes that belong: those of the session, those with the mark, and all that
/// descend from them.
fn members(belongs: &Belongs) -> Vec<Row> {
    let listing = ps(["-axwwE", "-o", "pid=,ppid=,state=,rss=,command="]);
    let lines = listing.split(|b| *b == b'\n');
    let rows = lines.filter_map(|line| Some((living(line)?, line)));
    let (first, mut others): (Vec<_>, Vec<_>) =
        rows.partition(|(row, line)| is_meant(belongs, row.pid, line));
    let mut tree: Vec<Row> = first.into_iter().map(|(row, _)| row).collect();
    let mut known: HashSet<Pid> = tree.iter().map(|row| row.pid).collect();
    loop {
        let is_child = |(row, _): &(Row, &[u8])| row.parent.is_some_and(|pid| known.contains(&pid));
        let (children, rest): (Vec<_>, _) = others.into_iter().partition(is_child);
        if children.is_empty() {
            return tree;
        }
        known.extend(children.iter().map(|(row, _)| row.pid));
        tree.extend(children.into_iter().map(|(row, _)| row));
        others = rest;
    }
}

/// Returns whether a process is of the session or has the mark; its line ends with its environment.
fn is_meant(belongs: &Belongs, pid: Pid, line: &[u8]) -> bool {
    belongs.holds_session(getsid(Some(pid)).ok()) || belongs.marks(line)
}

/// Reads a line, unless it is that of a zombie or of Kiln itself.
fn living(line: &[u8]) -> Option<Row> {
    let text = String::from_utf8_lossy(line);
    let mut fields = text.split_ascii_whitespace();
    let pid = Pid::from_raw(fields.next()?.parse().ok()?)?;
    let parent = Pid::from_raw(fields.next()?.parse().ok()?);
    let state = fields.next()?.chars().next()?;
    let kib = fields.next()?.parse().ok()?;
    (state != 'Z' && pid != getpid()).then_some(Row {
        pid,
        parent,
        state,
        kib,
    })
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
