//! [`Limits`]: how much a build for somebody else may use, and what is said when it used more.
use kiln_model::{Sentence, say};
use std::time::Duration;

use kiln_ports::process::Usage;
use kiln_ports::sandbox::ProcessLimits;

/// Limits of one job (trust.md §1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time from start to end.
    pub wall: Duration,
    /// Time without output and without traffic.
    pub silence: Duration,
    /// Memory of the whole tree, in percent of this machine's.
    pub memory_percent: u8,
    /// Processes at a time.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u32,
    /// Size of one file, in bytes. Above every toolchain archive.
    pub file_bytes: u64,
    /// What the job may add to its sender's folder, in bytes.
    pub disk_bytes: u64,
    /// The same in files and folders.
    pub entries: u64,
    /// Size of its log, in bytes.
    pub log_bytes: u64,
    /// Lines of output in a second, over 2 s.
    pub lines_per_second: u32,
    /// Bytes that it may move over the network.
    pub network_bytes: u64,
}

/// How long a stream of lines has to last before it counts as a flood: one broken template prints
/// as many lines as a flood does, but not for long.
pub(crate) const LINES_OVER: Duration = Duration::from_secs(2);

/// Added for the system's own count of processes, so that Kiln's is reached first and can be said.
const HEADROOM: u32 = 64;

/// The same for memory, in percent of this machine's: a program that gets no more fails by itself, and its
/// sender would take that for a fault of the configuration. Between two measurements a program takes
/// less than this on every computer with a few gigabytes.
const MEMORY_HEADROOM: u8 = 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(30 * 60),
            silence: Duration::from_secs(5 * 60),
            memory_percent: 75,
            processes: 512,
            open_files: 1_024,
            file_bytes: 2 << 30,
            disk_bytes: 5 << 30,
            entries: 400_000,
            log_bytes: 64 << 20,
            lines_per_second: 20_000,
            network_bytes: 2 << 30,
        }
    }
}

/// A limit that was passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    /// What is said of the job.
    pub(crate) said: Sentence,
    /// What becomes of it.
    pub(crate) then: Then,
}

/// What becomes of a build that passed a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It has failed: no build needs as much.
    Fails,
    /// Its sender builds it: on a slow or small computer an innocent build can need as much.
    GoesBack,
}

/// What a job has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) running: Duration,
    pub(crate) silent: Duration,
    pub(crate) tree: Usage,
    pub(crate) disk_bytes: u64,
    pub(crate) entries: u64,
    /// Folders and files that cannot be counted.
    pub(crate) hidden: u64,
    pub(crate) log_bytes: u64,
    /// In the current [`LINES_OVER`].
    pub(crate) lines: u64,
    pub(crate) network_bytes: u64,
}

impl Limits {
    /// Returns the limits of a clean. It deletes one folder.
    pub(crate) fn of_clean() -> Self {
        Self {
            wall: Duration::from_secs(2 * 60),
            ..Self::default()
        }
    }

    /// Returns what the system enforces by itself.
    pub(crate) fn of_process(&self) -> ProcessLimits {
        ProcessLimits {
            processes: self.processes + HEADROOM,
            open_files: self.open_files,
            file_bytes: self.file_bytes,
            memory_percent: self.memory_percent + MEMORY_HEADROOM,
        }
    }

    /// Returns what was too much; `None` if nothing was.
    pub(crate) fn breached(&self, spent: &Spent) -> Option<Breach> {
        let most_lines = u64::from(self.lines_per_second) * LINES_OVER.as_secs();
        let checks = [
            (
                Then::GoesBack,
                spent.running > self.wall,
                say::limit_wall(time(self.wall)),
            ),
            (
                Then::GoesBack,
                spent.silent > self.silence,
                say::limit_silence(time(self.silence)),
            ),
            (
                Then::GoesBack,
                spent.tree.memory_percent > self.memory_percent,
                say::limit_memory(self.memory_percent),
            ),
            (
                Then::Fails,
                spent.tree.processes > self.processes,
                say::limit_processes(self.processes),
            ),
            (
                Then::Fails,
                spent.disk_bytes > self.disk_bytes,
                say::limit_disk(size(self.disk_bytes)),
            ),
            (
                Then::Fails,
                spent.entries > self.entries,
                say::limit_files(self.entries),
            ),
            (Then::Fails, spent.hidden > 0, say::limit_hidden()),
            (
                Then::Fails,
                spent.log_bytes > self.log_bytes,
                say::limit_output(size(self.log_bytes)),
            ),
            (
                Then::Fails,
                spent.lines > most_lines,
                say::limit_lines(most_lines, time(LINES_OVER)),
            ),
            (
                Then::Fails,
                spent.network_bytes >= self.network_bytes,
                say::limit_network(size(self.network_bytes)),
            ),
        ];
        let found = checks.into_iter().find(|(_, breached, _)| *breached);
        found.map(|(then, _, said)| Breach { said, then })
    }
}

fn time(length: Duration) -> Sentence {
    match length.as_secs() {
        seconds if seconds >= 120 => say::minutes(seconds / 60),
        seconds => say::seconds(seconds),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        GIB.. => format!("{} GiB", bytes / GIB),
        _ => format!("{} MiB", bytes >> 20),
    }
}

const GIB: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_the_limits_goes_on_and_each_breach_is_said_in_words() {
        let limits = Limits::default();
        let within = Spent {
            running: limits.wall,
            silent: limits.silence,
            tree: Usage {
                processes: 512,
                memory_percent: 75,
            },
            disk_bytes: limits.disk_bytes,
            entries: limits.entries,
            hidden: 0,
            log_bytes: limits.log_bytes,
            lines: 40_000,
            network_bytes: limits.network_bytes - 1,
        };
        assert_eq!(limits.breached(&within), None);
        type Change = fn(&mut Spent);
        let breaches: [(Change, &str, Then); 9] = [
            (
                |s| s.running *= 2,
                "it took longer than 30 minutes",
                Then::GoesBack,
            ),
            (
                |s| s.silent *= 2,
                "it said nothing for 5 minutes",
                Then::GoesBack,
            ),
            (
                |s| s.tree.memory_percent = 76,
                "it used more than 75 % of this computer's memory",
                Then::GoesBack,
            ),
            (
                |s| s.tree.processes = 513,
                "it ran more than 512 programs at a time",
                Then::Fails,
            ),
            (
                |s| s.disk_bytes += 1,
                "it wrote more than 5 GiB",
                Then::Fails,
            ),
            (
                |s| s.entries += 1,
                "it made more than 400000 files",
                Then::Fails,
            ),
            (
                |s| s.log_bytes += 1,
                "it printed more than 64 MiB",
                Then::Fails,
            ),
            (
                |s| s.lines += 1,
                "it printed more than 40000 lines in 2 s",
                Then::Fails,
            ),
            (
                |s| s.network_bytes += 1,
                "it moved more than 2 GiB over the network",
                Then::Fails,
            ),
        ];
        for (change, words, then) in breaches {
            let mut spent = within;
            change(&mut spent);
            let said = format!("{words} and was stopped");
            let breach = limits
                .breached(&spent)
                .map(|b| (b.said.to_string(), b.then));
            assert_eq!(breach, Some((said, then)));
        }
    }
}
