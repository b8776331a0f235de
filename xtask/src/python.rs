//! A Python that ESPHome runs on, and the real dashboards of the rig.
use std::path::PathBuf;

use crate::packages;
use crate::run::{Outcome, command, has, output, root, run, say, target};

/// Where the rig keeps dashboards, a private Python and their state.
pub fn rig_home() -> PathBuf {
    std::env::var_os("RIG_HOME").map_or_else(|| target().join("rig"), PathBuf::from)
}

/// Returns a Python from 3.12 on: one of this system, or one unpacked beside the build.
pub fn python() -> Outcome<String> {
    if !has("python3") && has("apt-get") && !has("python3.12") {
        packages::install(&["python3", "python3-venv"])?;
    }
    let found = output(command(root().join("tests/rig/python"), &[]).env("RIG_HOME", rig_home()));
    found.map_err(|_| {
        "no Python from 3.12 to 3.14 was found; install one (with its venv module) or point \
         RIG_PYTHON at it"
            .to_owned()
    })
}

/// Installs the real dashboards into the rig's folder, unless they are there.
pub fn dashboards() -> Outcome {
    python()?;
    say("installing real Device Builder dashboards for the tests (from the Python registry)");
    run(command(root().join("tests/rig/setup"), &[]).env("RIG_HOME", rig_home()))
}
