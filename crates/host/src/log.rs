//! Kiln's own log: to stderr for whoever watches, and to a file per day, of which seven are kept.
use std::path::Path;

use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Days of log files that are kept.
const DAYS: usize = 7;

/// Starts logging, to files whose names begin with `program`; `verbose` is how much more than
/// warnings a person at stderr sees (0 to 3). Secrets are in types that do not print, so no level
/// shows them.
///
/// # Errors
/// When the file cannot be made.
pub fn start(folder: &Path, program: &str, verbose: u8) -> Result<(), InitError> {
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(program)
        .filename_suffix("log")
        .max_log_files(DAYS)
        .build(folder)?;
    // It complains whenever a desktop ends.
    let quiet = ("wayland_backend", LevelFilter::OFF);
    let all = |level| Targets::new().with_default(level).with_targets([quiet]);
    let shown = match verbose {
        0 => all(LevelFilter::WARN),
        1 => all(LevelFilter::INFO),
        2 => all(LevelFilter::INFO).with_target("kiln", LevelFilter::DEBUG),
        _ => all(LevelFilter::TRACE),
    };
    let to_file = fmt::layer()
        .json()
        .with_writer(file)
        .with_filter(LevelFilter::INFO);
    let to_person = fmt::layer()
        // It leaves colours out where the results of this program have none.
        .with_writer(anstream::stderr)
        .with_target(false)
        .without_time()
        .with_filter(shown);
    // A second start in one process is a test's doing; the first one stays.
    let _ = tracing_subscriber::registry()
        .with(to_file)
        .with(to_person)
        .try_init();
    Ok(())
}
