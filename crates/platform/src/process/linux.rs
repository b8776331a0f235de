//! Linux: the process table is `/proc` (proc_pid_stat(5), proc_pid_environ(5)).
use std::fs;
use std::path::Path;

use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal, setpriority_process,
};

use super::os::Belongs;

/// Returns how many living processes belong, after sending each of them a signal if there is one.
pub(super) fn signal_all(belongs: &Belongs, signal: Option<Signal>) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let pids = entries
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| *pid != getpid());
    pids.filter(|pid| signal_one(*pid, belongs, signal)).count()
}

/// The process is held before it is looked at, so that its number cannot pass to another one in
/// between.
fn signal_one(pid: Pid, belongs: &Belongs, signal: Option<Signal>) -> bool {
    if !fits(pid, belongs) {
        return false;
    }
    let Some(signal) = signal else {
        return true;
    };
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    fits(pid, belongs) && pidfd_send_signal(held, signal).is_ok()
}

fn fits(pid: Pid, belongs: &Belongs) -> bool {
    let dir = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    let Ok(stat) = fs::read(dir.join("stat")) else {
        return false;
    };
    // `pid (name) state ppid pgrp session ...`; the name may hold anything, also parentheses.
    let after_name = stat.rsplit(|b| *b == b')').next().unwrap_or_default();
    let text = String::from_utf8_lossy(after_name);
    let mut fields = text.split_ascii_whitespace();
    let (state, session) = (fields.next(), fields.nth(2));
    if matches!(state, None | Some("Z" | "X")) {
        return false;
    }
    let session = session.and_then(|s| s.parse().ok()).and_then(Pid::from_raw);
    // Other users' environments cannot be read, and are not ours.
    let environment = fs::read(dir.join("environ")).unwrap_or_default();
    belongs.fits(session, &environment)
}

/// Returns the command lines of other processes, arguments separated by spaces.
pub(super) fn command_lines() -> Vec<String> {
    let me = getpid().as_raw_nonzero().to_string();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let line = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path().join("cmdline")).ok()?;
        let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
        (entry.file_name().to_str() != Some(&me)).then_some(text)
    };
    entries.filter_map(|e| line(e.ok()?)).collect()
}

/// Lowest CPU priority, and with it the lowest best-effort I/O priority (ioprio_set(2): it follows
/// the nice value unless set). Where the kernel schedules sessions as groups, the nice value counts
/// only within the session, and that of the group is set too (sched(7)).
pub(super) fn lower_priority(leader: Pid) {
    // A tree at normal priority still builds; these are best effort.
    let _ = setpriority_process(Some(leader), 19);
    let _ = fs::write(format!("/proc/{}/autogroup", leader.as_raw_nonzero()), "19");
}
