//! [`ShortageScan`]: output that says that the machine, not the configuration, is why a build failed.

/// What a machine ran out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Memory.
    Memory,
    /// Room on the disk.
    Disk,
}

/// What compilers (GCC's driver and its passes, linkers), Python and the C library print.
const PATTERNS: [(&str, Shortage); 8] = [
    ("No space left on device", Shortage::Disk),
    ("Disk quota exceeded", Shortage::Disk),
    ("Killed signal terminated program", Shortage::Memory),
    ("out of memory allocating", Shortage::Memory),
    ("virtual memory exhausted", Shortage::Memory),
    ("Cannot allocate memory", Shortage::Memory),
    ("std::bad_alloc", Shortage::Memory),
    ("MemoryError", Shortage::Memory),
];

/// Watches the output of one run.
#[derive(Debug, Default)]
pub struct ShortageScan(Option<Shortage>);

impl ShortageScan {
    /// Reads one chunk.
    pub fn read(&mut self, chunk: &str) {
        let said = PATTERNS.iter().find(|(words, _)| chunk.contains(words));
        self.0 = self.0.or(said.map(|(_, shortage)| *shortage));
    }

    /// Returns what was said first to be short. It only means something of a run that failed.
    pub fn found(&self) -> Option<Shortage> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compilers_say_when_the_machine_has_no_more_is_told_from_their_other_complaints() {
        for (line, found) in [
            (
                "xtensa-esp32-elf-g++: fatal error: Killed signal terminated program cc1plus\n",
                Some(Shortage::Memory),
            ),
            (
                "cc1plus: out of memory allocating 65536 bytes after a total of 1 bytes\n",
                Some(Shortage::Memory),
            ),
            (
                "fatal error: error writing to /tmp/x.s: No space left on device\n",
                Some(Shortage::Disk),
            ),
            ("main.cpp:1:1: error: expected ';'\n", None),
        ] {
            let mut scan = ShortageScan::default();
            for chunk in ["Compiling\n", line, "*** [main.o] Error 1\n"] {
                scan.read(chunk);
            }
            assert_eq!(scan.found(), found, "{line}");
        }
    }
}
