//! Linux: the process table is `/proc` (proc_pid_stat(5), proc_pid_environ(5)).
use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use kiln_ports::process::{Paced, Priority};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal, setpriority_process,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::OwnPrograms;
use super::os::{Belongs, blink};

/// A box's processes, as the kernel holds them together: the first one in it cannot be gone before all
/// others are, and when it is killed none of them can start another one.
pub(super) struct Namespace {
    leader: Pid,
    first: Pid,
    started: u64,
    held: OwnedFd,
    /// Everybody in it when it was killed first.
    all: Option<Vec<(Pid, Stat)>>,
}

impl Namespace {
    /// Returns that of a tree whose leader only holds a box.
    pub(super) fn of(belongs: &Belongs) -> Option<Self> {
        let leader = belongs.session?;
        let number = leader.as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{number}/task/{number}/children")).ok()?;
        // Its only child: nobody else is left when that one is gone.
        let first = Pid::from_raw(children.trim_ascii().parse().ok()?)?;
        let held = pidfd_open(first, PidfdFlags::empty()).ok()?;
        // Its number in each of the namespaces that it is in (proc_pid_status(5)).
        let status = fs::read_to_string(format!("/proc/{}/status", first.as_raw_nonzero())).ok()?;
        let numbers = status.lines().find_map(|l| l.strip_prefix("NSpid:"))?;
        let inner = numbers.split_ascii_whitespace().skip(1).last();
        (inner == Some("1")).then_some(())?;
        let stat = Stat::read(first)?;
        (Some(leader) == stat.parent).then_some(Self {
            leader,
            first,
            started: stat.started,
            held,
            all: None,
        })
    }

    /// Kills all of it; returns whether somebody is left.
    pub(super) fn kill(&mut self) -> bool {
        let leader = Some(self.leader);
        let all = (self.all).get_or_insert_with(|| family(|session| session == leader));
        // It may be gone already.
        let _ = pidfd_send_signal(&self.held, Signal::KILL);
        let is_left = Stat::read(self.first).is_some_and(|now| now.started == self.started);
        if is_left {
            share_sessions(all, USUAL);
        }
        is_left
    }
}

/// Returns how many living processes belong, after sending each of them a signal if there is one.
pub(super) fn signal_all(belongs: &Belongs, signal: Option<Signal>) -> usize {
    let (mut reached, mut hurried) = (0, HashSet::new());
    each_member(belongs, |pid, stat| {
        // Before the signal: who ends has left its session's share.
        let is_to_end = signal == Some(Signal::KILL) && !hurried.contains(&stat.session);
        if is_to_end && share_session(pid, stat, USUAL).is_ok() {
            hurried.insert(stat.session);
        }
        if signal.is_none_or(|signal| signal_one(pid, stat, signal)) {
            reached += 1;
        }
    });
    reached
}

/// The process is held before it is looked at again, so that its number cannot pass to another one
/// in between.
fn signal_one(pid: Pid, stat: &Stat, signal: Signal) -> bool {
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    let is_the_same = Stat::read(pid).is_some_and(|now| now.started == stat.started);
    is_the_same && pidfd_send_signal(held, signal).is_ok()
}

/// Returns whether everything that belongs stands still.
pub(super) fn all_stand(belongs: &Belongs) -> bool {
    let mut all = true;
    each_member(belongs, |_, stat| all &= matches!(stat.state, 'T' | 't'));
    all
}

/// Lets those go on for whom somebody waits in the kernel that should stand still itself: who is stopped
/// between vfork and exec keeps its parent from it (vfork(2)).
pub(super) fn shake(belongs: &Belongs) {
    let mut all = Vec::new();
    each_member(belongs, |pid, stat| all.push((pid, stat.clone())));
    let waits: HashSet<Pid> = all
        .iter()
        .filter(|(_, stat)| stat.state == 'D')
        .map(|(pid, _)| *pid)
        .collect();
    for (pid, stat) in all {
        if stat.parent.is_some_and(|parent| waits.contains(&parent)) {
            signal_one(pid, &stat, Signal::CONT);
        }
    }
}

/// Does something to every living process that belongs.
///
/// In a box session and parents tell all of them, and nobody has to look into a program for it. Else
/// those of the session and with the mark come first, each when it is found. Then those that only
/// their parents tell: they left the session and cleaned their environment.
fn each_member(belongs: &Belongs, mut act: impl FnMut(Pid, &Stat)) {
    if Namespace::of(belongs).is_some() {
        for (pid, stat) in family(|session| belongs.holds_session(session)) {
            act(pid, &stat);
        }
        return;
    }
    let (mut tree, mut others, mut unclear) = (HashSet::new(), Vec::new(), processes());
    let mut blinks = BLINKS;
    loop {
        unclear.retain(|(pid, stat)| match membership(*pid, belongs) {
            Membership::Member(now) => {
                tree.insert(*pid);
                act(*pid, &now);
                false
            }
            Membership::Stranger => {
                others.push((*pid, stat.clone()));
                false
            }
            Membership::Gone => false,
            Membership::Unclear => true,
        });
        // All of them are waited for at once: a build can end with a thousand programs.
        let looks = unclear.len() / LOOKS_PER_BLINK;
        blinks = match blinks.checked_sub(1 + looks) {
            Some(left) if !unclear.is_empty() => left,
            _ => break,
        };
        blink();
    }
    others.append(&mut unclear);
    for (pid, stat) in descendants(&mut tree, others) {
        act(pid, &stat);
    }
}

/// Returns all living processes but Kiln itself, the oldest first.
fn processes() -> Vec<(Pid, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw)
        .filter(|pid| *pid != getpid());
    pids.filter_map(|pid| Some((pid, Stat::read(pid)?)))
        .collect()
}

/// Adds to a tree all that descend from it, and returns those.
fn descendants(tree: &mut HashSet<Pid>, mut others: Vec<(Pid, Stat)>) -> Vec<(Pid, Stat)> {
    let mut found = Vec::new();
    loop {
        let is_child = |(_, stat): &(Pid, Stat)| stat.parent.is_some_and(|pid| tree.contains(&pid));
        let (children, rest): (Vec<_>, _) = others.into_iter().partition(is_child);
        if children.is_empty() {
            return found;
        }
        tree.extend(children.iter().map(|(pid, _)| *pid));
        found.extend(children);
        others = rest;
    }
}

/// Returns how many living processes belong, and the memory that they hold, in bytes. Memory that
/// several share counts for each of them. Of a tree in the background, sessions that it began since
/// get the least share.
pub(super) fn measure(belongs: &Belongs, priority: Priority) -> (u32, u64) {
    let all = family(|session| belongs.holds_session(session));
    if priority == Priority::Background {
        share_sessions(&all, LEAST);
    }
    let page = rustix::param::page_size() as u64;
    let resident = |pid: &Pid| {
        let text = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).ok()?;
        let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(pages * page)
    };
    let bytes = all.iter().filter_map(|(pid, _)| resident(pid)).sum();
    (all.len().try_into().unwrap_or(u32::MAX), bytes)
}

/// Returns the living processes of some sessions and all that descend from them: of a box, where
/// nobody's parent is a stranger, that is everybody, whatever a program does to its session and its
/// environment.
fn family(is_meant: impl Fn(Option<Pid>) -> bool) -> Vec<(Pid, Stat)> {
    let (mut all, others): (Vec<_>, Vec<_>) = processes()
        .into_iter()
        .partition(|(_, stat)| is_meant(stat.session));
    let mut tree = all.iter().map(|(pid, _)| *pid).collect();
    all.extend(descendants(&mut tree, others));
    all
}

/// Returns the processor time that Kiln and what it runs have had, in ticks.
pub(crate) fn ticks(own: &OwnPrograms) -> u64 {
    let leaders = own.leaders();
    let is_own = |session: Option<Pid>| {
        session.is_some_and(|pid| leaders.contains(&pid.as_raw_nonzero().get().unsigned_abs()))
    };
    let kiln = Stat::read(getpid()).map_or(0, |stat| stat.ticks);
    if leaders.is_empty() {
        return kiln;
    }
    kiln + family(is_own)
        .iter()
        .map(|(_, stat)| stat.ticks)
        .sum::<u64>()
}

/// How many blinks processes are waited for whose environment cannot be told: a second in all.
const BLINKS: usize = 1000;

/// How many processes are looked at in the time of a blink, on a slow machine.
const LOOKS_PER_BLINK: usize = 20;

/// Whether a process has the session or the mark.
enum Membership {
    /// It lives and has.
    Member(Stat),
    /// It has not.
    Stranger,
    /// It does not live any more.
    Gone,
    /// While it starts another program, and while it gives its memory back at its end, a process has no
    /// environment to tell it by. It is waited for, so that neither is taken for a stranger.
    Unclear,
}

fn membership(pid: Pid, belongs: &Belongs) -> Membership {
    let Some(stat) = Stat::read(pid) else {
        return Membership::Gone;
    };
    if belongs.holds_session(stat.session) {
        return Membership::Member(stat);
    }
    match environment(pid, &stat) {
        Environment::Here(text) if belongs.marks(&text) => Membership::Member(stat),
        Environment::Here(_) | Environment::Hidden => Membership::Stranger,
        Environment::Changing => Membership::Unclear,
    }
}

/// What is to be read of a process's environment.
enum Environment {
    /// This.
    Here(Vec<u8>),
    /// Nothing at this moment.
    Changing,
    /// Nothing ever: it is another user's or the kernel's.
    Hidden,
}

fn environment(pid: Pid, stat: &Stat) -> Environment {
    match fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())) {
        Ok(text) if !text.is_empty() => Environment::Here(text),
        _ if stat.flags & OF_KERNEL != 0 => Environment::Hidden,
        Ok(_) if stat.environment_is_empty => Environment::Here(Vec::new()),
        Ok(_) => Environment::Changing,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Environment::Changing,
        Err(_) => Environment::Hidden,
    }
}

/// PF_KTHREAD of the kernel's include/linux/sched.h.
const OF_KERNEL: u64 = 0x0020_0000;

/// What `/proc/PID/stat` says of a living process.
#[derive(Clone)]
struct Stat {
    state: char,
    parent: Option<Pid>,
    session: Option<Pid>,
    flags: u64,
    /// User and system time of it and of the children that it waited for.
    ticks: u64,
    /// In ticks since the machine did: with its number, what no other process has.
    started: u64,
    /// It was started with no variables at all.
    environment_is_empty: bool,
}

impl Stat {
    fn read(pid: Pid) -> Option<Self> {
        let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        Self::parse(&stat)
    }

    fn parse(stat: &[u8]) -> Option<Self> {
        // `pid (name) state ppid pgrp session ...`; the name may hold anything, also parentheses.
        let after_name = stat.rsplit(|b| *b == b')').next().unwrap_or_default();
        let text = String::from_utf8_lossy(after_name);
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        // proc_pid_stat(5) counts from 1, and number and name come first.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at| field(at).and_then(|f| f.parse::<u64>().ok());
        let state = field(3)?.chars().next()?;
        // A process that is just gone is said to be in session -1.
        let positive = |at| field(at)?.parse().ok().filter(|raw| *raw > 0);
        let process = |at| positive(at).and_then(Pid::from_raw);
        (!matches!(state, 'Z' | 'X')).then_some(Self {
            state,
            parent: process(4),
            session: process(6),
            flags: number(9)?,
            ticks: (14..=17).filter_map(number).sum(),
            started: number(22)?,
            environment_is_empty: number(50)? == number(51)? && number(51)? != 0,
        })
    }
}

/// Leaves a tree only so many cores, and the lowest priorities.
pub(super) fn slow_down(belongs: &Belongs, cores: usize) -> Paced {
    let few = first_cores(cores);
    each_thread(belongs, |thread| {
        // Best effort: a thread that ended meanwhile needs nothing.
        let _ = setpriority_process(Some(thread), 19);
        io_priority(thread, IO_IDLE);
        moves(thread, &few)
    })
}

/// Gives a thread these cores; returns whether it had others.
fn moves(thread: Pid, cores: &CpuSet) -> bool {
    let has = sched_getaffinity(Some(thread)).is_ok_and(|has| has == *cores);
    !has && sched_setaffinity(Some(thread), cores).is_ok()
}

/// Returns so many of the cores that Kiln has, and at least one.
fn first_cores(count: usize) -> CpuSet {
    let mut few = CpuSet::new();
    let allowed = sched_getaffinity(None).unwrap_or_default();
    let mine = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    for cpu in mine.take(count.max(1)) {
        few.set(cpu);
    }
    few
}

/// Gives a tree back what [`slow_down`] took, or so many cores of it, but for the CPU priority, which
/// was low from the start.
pub(super) fn speed_up(belongs: &Belongs, cores: Option<usize>) -> Paced {
    let allowed = first_cores(cores.unwrap_or(usize::MAX));
    each_thread(belongs, |thread| {
        io_priority(thread, IO_NONE);
        moves(thread, &allowed)
    })
}

/// How many times a tree is gone through at once.
const PASSES: u32 = 8;

/// Does something to every thread of a tree, again until none is found that it changes. What a thread
/// starts later inherits it, so only those are missed that were started while they were gone through.
fn each_thread(belongs: &Belongs, change: impl Fn(Pid) -> bool) -> Paced {
    for pass in 0..PASSES {
        let mut changed = false;
        each_member(belongs, |pid, _| {
            let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
            let threads = fs::read_dir(tasks).into_iter().flatten();
            let threads = threads
                .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
                .filter_map(Pid::from_raw);
            for thread in threads {
                changed |= change(thread);
            }
        });
        if pass > 0 && !changed {
            return Paced::All;
        }
    }
    Paced::NotYet
}

/// Classes of ioprio_set(2): only when nobody else reads or writes, and the default, which follows
/// the nice value.
const IO_IDLE: libc::c_int = 3 << 13;
const IO_NONE: libc::c_int = 0;

/// Sets the I/O priority of a thread. Best effort.
#[expect(unsafe_code, reason = "no library wraps ioprio_set")]
fn io_priority(thread: Pid, priority: libc::c_int) {
    /// IOPRIO_WHO_PROCESS of ioprio_set(2).
    const ONE: libc::c_int = 1;
    // SAFETY: ioprio_set takes three integers and touches no memory of ours.
    unsafe {
        libc::syscall(
            libc::SYS_ioprio_set,
            ONE,
            thread.as_raw_nonzero().get(),
            priority,
        );
    }
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

/// When memory runs out, the kernel ends a process and all that it starts from now on before any of the
/// owner's, which are left at 0 (proc_pid_oom_score_adj(5)). Best effort; `process` is as `/proc` calls it.
pub(crate) fn goes_first(process: &str) {
    let _ = fs::write(format!("/proc/{process}/oom_score_adj"), "1000");
}

/// First to go when memory runs out, lowest CPU priority, and with it the lowest best-effort I/O priority
/// (ioprio_set(2): it follows the nice value unless set). Where the kernel schedules sessions as groups, the
/// nice value counts only within the session, and that of the group is set too (sched(7)).
pub(super) fn lower_priority(leader: Pid) {
    // A tree at normal priority still builds; these are best effort.
    let _ = setpriority_process(Some(leader), 19);
    let number = leader.as_raw_nonzero().to_string();
    let _ = share(&number, LEAST);
    goes_first(&number);
}

/// Sets the nice value of a session as a whole, which may take some tries: the kernel takes one of the
/// whole computer in a tenth of a second (`proc_sched_autogroup_set_nice`), and Kiln itself has just
/// lowered the session that starts this box. Best effort; `process` is as `/proc` calls it.
#[expect(
    clippy::disallowed_methods,
    reason = "a launcher has no clock and nothing else to do"
)]
pub(crate) fn lower_session(process: &str, nice: i32) {
    for _ in 0..SHARE_TRIES {
        match share(process, nice) {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {
                std::thread::sleep(SHARE_AGAIN);
            }
            Ok(()) | Err(_) => return,
        }
    }
}

/// The nice values of a session's share: as the kernel begins it, as large as that of anybody else, and
/// the least. Who is killed has to run once more: a thousand programs with the least share take minutes
/// for that while anybody else is busy.
const USUAL: i32 = 0;
const LEAST: i32 = 19;

/// Gives each session of some processes this share, as far as the kernel takes that at once. Best effort.
fn share_sessions(all: &[(Pid, Stat)], nice: i32) {
    let mut done = HashSet::new();
    for (pid, stat) in all {
        if done.contains(&stat.session) {
            continue;
        }
        match share_session(*pid, stat, nice) {
            Ok(()) => done.insert(stat.session),
            // It has no time for more than one; the others come next time.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return,
            // It is gone, and says nothing of its session.
            Err(_) => false,
        };
    }
}

/// Gives the session of a process this share, if it has another. An open file is that of one process,
/// also when its number has passed to another one.
fn share_session(pid: Pid, stat: &Stat, nice: i32) -> io::Result<()> {
    let path = format!("/proc/{}/autogroup", pid.as_raw_nonzero());
    let mut file = fs::File::options().read(true).write(true).open(path)?;
    if Stat::read(pid).is_none_or(|now| now.started != stat.started) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut share = String::new();
    file.read_to_string(&mut share)?;
    if share.trim_end().ends_with(&format!(" nice {nice}")) {
        return Ok(());
    }
    file.write_all(nice.to_string().as_bytes())
}

/// How many times, and how soon again, the kernel is asked that has no time for it: two of its spans.
const SHARE_TRIES: u32 = 10;
const SHARE_AGAIN: Duration = Duration::from_millis(20);

/// Where the kernel schedules sessions as groups, sets how much the one of a process gets: that of this
/// nice value (sched(7)). `process` is as `/proc` calls it.
fn share(process: &str, nice: i32) -> io::Result<()> {
    fs::write(format!("/proc/{process}/autogroup"), nice.to_string())
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_process_is_read_as_the_kernel_writes_it() {
        let fields =
            "S 1 7 9 0 -1 64 0 0 0 0 5 6 70 80 20 0 1 0 1234".to_owned() + &" 0".repeat(30);
        let stat = Stat::parse(format!("7 (a) b) {fields}").as_bytes()).unwrap();
        assert_eq!(
            (stat.state, stat.flags, stat.ticks, stat.started),
            ('S', 64, 161, 1234)
        );
        assert!(Stat::parse(b"7 (gone) Z 1 7 7 0 -1 0").is_none());
    }
}
