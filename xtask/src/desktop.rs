//! `cargo xtask desktop`: tray and window, built and started.
use std::path::PathBuf;

use crate::programs;
use crate::run::{Outcome, command, run, say};

/// Builds both programs and starts the tray, with the options that were given.
pub fn desktop(arguments: &[String]) -> Outcome {
    let program = build()?;
    say("starting Kiln; quit it in its menu");
    run(command(program, &[]).args(arguments))
}

/// Builds all programs and the pages of the window. Returns `kiln-desktop`.
pub fn build() -> Outcome<PathBuf> {
    say("building tray and window");
    programs::build()?;
    Ok(programs::path("kiln-desktop"))
}
