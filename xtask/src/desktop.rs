//! `cargo xtask desktop`: tray and window, built and started.
use std::path::PathBuf;

use crate::run::{Outcome, cargo, command, run, say, target};
use crate::{packages, ui};

/// Builds both programs and starts the tray, with the options that were given.
pub fn desktop(arguments: &[String]) -> Outcome {
    let program = build()?;
    say("starting Kiln; quit it in its menu");
    run(command(program, &[]).args(arguments))
}

/// Builds `kiln-desktop` and `kiln-window` with their pages. Returns the former.
pub fn build() -> Outcome<PathBuf> {
    packages::ensure(&[packages::BUILD, packages::WEBVIEW])?;
    ui::build()?;
    say("building tray and window");
    run(&mut cargo(&[
        "build",
        "--locked",
        "--package",
        "kiln-desktop",
    ]))?;
    Ok(target().join("debug/kiln-desktop"))
}
