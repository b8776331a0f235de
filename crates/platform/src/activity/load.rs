//! Load, memory, disk and programs, as `/proc` tells (proc_stat(5), proc_pid_stat(5), proc_meminfo(5)).
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::process::{OwnPrograms, ticks};

/// How busy other programs kept the processors since the last reading.
#[derive(Debug)]
pub(super) struct Load {
    own: OwnPrograms,
    last: Mutex<Option<Sample>>,
}

/// Times since boot, in ticks, of all processors together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    all: u64,
    busy: u64,
    own: u64,
}

impl Load {
    pub(super) fn new(own: OwnPrograms) -> Self {
        Self {
            own,
            last: Mutex::default(),
        }
    }

    /// Returns the percentage since the last call; `None` at first.
    pub(super) fn read(&self) -> Option<u8> {
        let (all, busy) = total(&fs::read_to_string("/proc/stat").ok()?)?;
        let own = ticks(&self.own);
        let now = Sample { all, busy, own };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.replace(now).and_then(|before| percent(before, now))
    }
}

/// Whoever ended meanwhile took its time along; then too little counts as our own, never too much.
fn percent(before: Sample, now: Sample) -> Option<u8> {
    let all = now.all.checked_sub(before.all).filter(|all| *all > 0)?;
    let own = now.own.saturating_sub(before.own);
    let busy = now.busy.saturating_sub(before.busy).saturating_sub(own);
    Some(u8::try_from((busy * 100 / all).min(100)).unwrap_or(100))
}

/// Reads all and busy ticks from the first line of `/proc/stat`. Time that a virtual machine's host
/// took counts as neither: nobody here could have had it.
fn total(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let mut fields = fields.split_ascii_whitespace().map(str::parse::<u64>);
    let mut next = || fields.next()?.ok();
    let (user, nice, system, idle, wait) = (next()?, next()?, next()?, next()?, next()?);
    let interrupts = next().unwrap_or(0) + next().unwrap_or(0);
    let busy = user + nice + system + interrupts;
    Some((busy + idle + wait, busy))
}

/// Returns the memory that a program could still get, in MiB.
pub(super) fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

/// Returns which of these programs run, by the name of the program or of the process.
pub(super) fn running(wanted: &[String]) -> Option<Vec<String>> {
    if wanted.is_empty() {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let comm = fs::read_to_string(entry.path().join("comm"));
        let program = fs::read_link(entry.path().join("exe")).ok();
        let program = program.as_deref().and_then(Path::file_name);
        let names = [
            comm.ok().map(|name| name.trim().to_lowercase()),
            program.map(|name| name.to_string_lossy().to_lowercase()),
        ];
        for name in names.into_iter().flatten() {
            if wanted.contains(&name) && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found.sort();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsProcesses;

    #[test]
    fn what_we_run_ourselves_is_no_load_of_others() {
        let at = |all, busy, own| Sample { all, busy, own };
        for (before, now, expected) in [
            (at(0, 0, 0), at(1_000, 800, 0), Some(80)),
            (at(0, 0, 0), at(1_000, 800, 700), Some(10)),
            (at(100, 50, 0), at(200, 50, 0), Some(0)),
            (at(0, 0, 500), at(100, 100, 0), Some(100)),
            (at(0, 0, 0), at(100, 10, 50), Some(0)),
            (at(100, 0, 0), at(100, 0, 0), None),
        ] {
            assert_eq!(percent(before, now), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn the_kernel_is_read_as_it_writes() {
        let stat = "cpu  10 20 30 400 50 6 7 80 0 0\ncpu0 1 2 3 4\n";
        assert_eq!(total(stat), Some((523, 73)));
        assert_eq!(total("intr 1"), None);
    }

    #[test]
    fn this_machine_can_be_read() {
        let load = Load::new(OsProcesses::new("test").own_programs());
        assert_eq!(load.read(), None, "nothing to compare with yet");
        assert!(free_memory().is_some_and(|mib| mib > 0));
        let me = fs::read_to_string("/proc/self/comm").unwrap();
        let me = me.trim().to_lowercase();
        let wanted = [me.clone(), "no such program".to_owned()];
        assert_eq!(running(&wanted), Some(vec![me]));
    }
}
