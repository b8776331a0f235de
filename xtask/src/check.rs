//! `cargo xtask check`: formatting, lints, documentation.
use crate::run::{Outcome, cargo, run, say};
use crate::{packages, ui};

/// Runs all three; the first failure ends it.
pub fn check() -> Outcome {
    packages::ensure(&[packages::BUILD, packages::WEBVIEW])?;
    ui::build()?;
    say("formatting");
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    say("lints");
    run(&mut cargo(&[
        "clippy",
        "--locked",
        "--workspace",
        // Waits for programs and reads clocks, as nothing that is shipped may.
        "--exclude",
        "xtask",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    say("documentation");
    run(cargo(&["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
