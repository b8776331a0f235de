//! `cargo xtask check`: formatting, lints, documentation.
use crate::packages;
use crate::run::{Outcome, cargo, run, say};

/// Runs all three; the first failure ends it.
pub fn check() -> Outcome {
    packages::ensure(&[packages::BUILD])?;
    say("formatting");
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    say("lints");
    run(&mut cargo(&[
        "clippy",
        "--locked",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    say("documentation");
    run(cargo(&["doc", "--locked", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
