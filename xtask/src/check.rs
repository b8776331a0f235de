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
    // The desktop is no default member, so that everything else is built without a webview.
    for package in [&[][..], &["--package", "kiln-desktop"]] {
        run(cargo(&["clippy", "--locked", "--all-targets"])
            .args(package)
            .args(["--", "-D", "warnings"]))?;
    }
    say("documentation");
    let documented = ["doc", "--locked", "--no-deps"];
    run(cargo(&documented).env("RUSTDOCFLAGS", "-D warnings"))?;
    run(cargo(&documented)
        .args(["--package", "kiln-desktop", "--lib"])
        .env("RUSTDOCFLAGS", "-D warnings"))
}
