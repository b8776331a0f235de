//! The debug programs that tests use, built in one way: another choice of packages means other
//! features of shared crates, and everything would be built once more.
use std::path::PathBuf;

use crate::run::{Outcome, cargo, run, target};
use crate::{packages, ui};

/// Builds every program of the workspace.
pub fn build() -> Outcome {
    packages::ensure(&[packages::BUILD, packages::WEBVIEW])?;
    ui::build()?;
    // One test among them, and crates have the features that `cargo test` gives them: what the unit
    // tests were built with is not built a second time.
    run(&mut cargo(&[
        "build",
        "--locked",
        "--workspace",
        "--bins",
        "--test",
        "architecture",
    ]))
}

/// Returns where a program is after [`build`].
pub fn path(name: &str) -> PathBuf {
    target().join("debug").join(name)
}
