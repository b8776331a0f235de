//! [`FailureScan`]: failures that ESPHome prints although it exits with 0 (builds.md §7.2).
use crate::ansi;

/// What a broken environment prints.
const PATTERNS: [&str; 4] = [
    "ModuleNotFoundError",
    "ImportError",
    "FileNotFoundError",
    "command not found",
];

/// Watches the output of one run.
#[derive(Debug, Default)]
pub struct FailureScan {
    found: Option<String>,
    /// The line goes on in the next chunk, and this is whether it is a warning.
    open_line: Option<bool>,
}

impl FailureScan {
    /// Reads one chunk. Lines that start with `WARNING ` are allowed to say anything.
    pub fn read(&mut self, chunk: &str) {
        if self.found.is_some() {
            return;
        }
        let warning = match self.open_line {
            Some(warning) => warning,
            None => ansi::plain(chunk).trim_start().starts_with("WARNING "),
        };
        self.open_line = (!chunk.ends_with(['\n', '\r'])).then_some(warning);
        if !warning && PATTERNS.iter().any(|pattern| chunk.contains(pattern)) {
            self.found = Some(ansi::plain(chunk).trim().to_owned());
        }
    }

    /// Returns the first line that means failure, without escapes.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(chunks: &[&str]) -> Option<String> {
        let mut scan = FailureScan::default();
        chunks.iter().for_each(|chunk| scan.read(chunk));
        scan.found().map(str::to_owned)
    }

    // Covers: M75
    #[test]
    fn a_failure_pattern_counts_unless_the_line_is_a_warning() {
        for pattern in PATTERNS {
            let line = format!("  {pattern}: x\n");
            assert_eq!(scan(&["ok\n", &line]), Some(format!("{pattern}: x")));
            for start in [
                "WARNING ",
                "  WARNING ",
                "\x1b[33mWARNING ",
                r"\033[33mWARNING ",
            ] {
                assert_eq!(scan(&[&format!("{start}{pattern}\n")]), None, "{start}");
            }
            assert_eq!(
                scan(&["WARNING a", &format!("{pattern}\n")]),
                None,
                "one long warning"
            );
            let after = ["WARNING a\n", line.as_str()];
            assert!(scan(&after).is_some(), "a line after a warning");
            assert!(scan(&[&format!("WARNINGS {pattern}\n")]).is_some());
        }
        assert_eq!(scan(&["all is well\n"]), None);
    }
}
