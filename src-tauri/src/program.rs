//! How both programs begin and end: a command line is read, what went wrong is said.
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use crate::arguments::{self, Arguments, Asked};

/// Runs the program of this name as its command line asks.
pub(crate) fn run(
    name: &str,
    words: impl Iterator<Item = OsString>,
    start: impl FnOnce(Arguments) -> ExitCode,
) -> ExitCode {
    match arguments::read(words) {
        Asked::Start(arguments) => start(arguments),
        Asked::Print(text) => {
            // Nobody may be reading.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Asked::Wrong(text) => {
            let _ = write!(std::io::stderr(), "{name}: {text}");
            ExitCode::from(2)
        }
    }
}

/// Returns the exit code of the program of this name, and says what went wrong.
pub(crate) fn ended(name: &str, outcome: Result<ExitCode, String>) -> ExitCode {
    outcome.unwrap_or_else(|problem| {
        tracing::error!("{problem}");
        let _ = writeln!(std::io::stderr(), "{name}: {problem}");
        ExitCode::FAILURE
    })
}
