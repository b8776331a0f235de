//! `cargo xtask test`: everything that checks Kiln on this machine, real parts included.
use std::process::Command;
use std::time::Instant;

use crate::run::{Outcome, cargo, command, root, run, say, target};
use crate::{check_os, installers, packages, programs, python, ui};

/// One step of the run.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn() -> Outcome,
}

/// Steps that run only when they are named: they take a while.
const NAMED_ONLY: &[&str] = &["household", "matrix"];

const STEPS: &[Step] = &[
    Step {
        name: "unit",
        what: "every crate, vectors, simulated worlds, properties, real keyring, structure",
        run: || {
            packages::ensure(&[packages::WEBVIEW])?;
            ui::build()?;
            run(&mut cargo(&[
                "test",
                "--locked",
                "--workspace",
                "--no-fail-fast",
            ]))
        },
    },
    Step {
        name: "receiving",
        what: "real dashboards send work to Kiln",
        run: || interop("receiving"),
    },
    Step {
        name: "guest",
        what: "an owner needs the computer back, and no sender's job fails",
        run: || {
            packages::ensure(&[packages::SCREEN])?;
            interop("guest")
        },
    },
    Step {
        name: "matrix",
        what: "every reason meets real dashboards at every stage of a job, and no job fails",
        run: || {
            packages::ensure(&[packages::SCREEN])?;
            interop("matrix")
        },
    },
    Step {
        name: "inputs",
        what: "what services of a system and a desktop, real screens and real load say is heard",
        run: || {
            packages::ensure(&[packages::SCREEN, packages::WINDOWS])?;
            interop("inputs")
        },
    },
    Step {
        name: "boxes",
        what: "hostile builds of real dashboards end alone and leave nothing behind",
        run: || interop("boxes"),
    },
    Step {
        name: "storage",
        what: "a small disk is tidied before it is short and never full, and no build in use goes",
        run: || interop("storage"),
    },
    Step {
        name: "wire",
        what: "a scripted offloader asks of Kiln's socket what no dashboard does on cue",
        run: || interop("wire"),
    },
    Step {
        name: "sending",
        what: "Kiln sends work to real dashboards and to another Kiln",
        run: || interop("sending"),
    },
    Step {
        name: "faults",
        what: "bad input and a bad world end in clear messages",
        run: || interop("faults"),
    },
    Step {
        name: "kills",
        what: "kill -9 at 200 points of remote jobs, either side: nothing is lost",
        run: || interop("kills"),
    },
    Step {
        name: "discovery",
        what: "Kilns and real dashboards find each other over mDNS",
        run: || interop("discovery"),
    },
    Step {
        name: "takeover",
        what: "Kiln takes over from a real dashboard that is retired",
        run: || interop("takeover"),
    },
    Step {
        name: "window",
        what: "the pages: types, unit tests and stories; every state pictured and checked for accessibility",
        run: || {
            packages::ensure(&[packages::BROWSER])?;
            ui::test()
        },
    },
    Step {
        name: "desktop",
        what: "icon, notifications and window in a real panel, notification daemon and webview",
        run: desktop,
    },
    Step {
        name: "household",
        what: "the window with a real dashboard, a real device and a large house",
        run: household,
    },
    Step {
        name: "packages",
        what: "installer packages are made, installed, used, upgraded and removed in a clean system, \
               and their programs started on a desktop",
        run: packaged,
    },
    Step {
        name: "systems",
        what: "the Windows and macOS sources are linted",
        run: || check_os::check_os(&[]),
    },
];

/// Runs the scenarios of one module in a network of their own.
fn interop(module: &str) -> Outcome {
    python::dashboards()?;
    programs::build()?;
    run(command(root().join("tests/rig/net"), &["run"])
        .arg(python::rig_home().join("venv/bin/python"))
        .arg(root().join("tests/interop/run.py"))
        .arg(module)
        .env("RIG_HOME", python::rig_home())
        .env("KILN_PROGRAM", programs::path("kiln"))
        .env("KILN_TEST_DIR", target().join("interop")))
}

/// Runs the tests that need a desktop in sessions of their own; screenshots are kept.
fn desktop() -> Outcome {
    packages::ensure(&[packages::DESKTOP])?;
    programs::build()?;
    run(session(&[], "tray.py")
        .arg(programs::path("probe"))
        .arg(target().join("desktop")))?;
    whole_apps(&["app.py", "faults.py"])
}

/// Runs what takes dashboards, real compiles and large logs besides.
fn household() -> Outcome {
    packages::ensure(&[packages::DESKTOP])?;
    python::dashboards()?;
    programs::build()?;
    whole_apps(&["dashboards.py", "large.py"])
}

/// Tests packages, and what they bring to a desktop.
fn packaged() -> Outcome {
    packages::ensure(&[packages::DESKTOP])?;
    let unpacked = installers::test()?;
    run(session(&["--keyring"], "packaged.py")
        .arg(unpacked.join("usr/bin"))
        .arg(target().join("desktop")))
}

/// Runs each script in a session with a keyring.
fn whole_apps(scripts: &[&str]) -> Outcome {
    let checker = ui::checker()?;
    for script in scripts {
        run(session(&["--keyring"], script)
            .arg(target().join("debug"))
            .arg(target().join("desktop"))
            .env("RIG_HOME", python::rig_home())
            .env("AXE", &checker))?;
    }
    Ok(())
}

/// A desktop session in a network of its own, for one script.
fn session(options: &[&str], script: &str) -> Command {
    let mut session = command(root().join("tests/rig/net"), &["run"]);
    session
        .arg(root().join("tests/desktop/session"))
        .args(options)
        .arg("/usr/bin/python3")
        .arg(root().join("tests/desktop").join(script));
    session
}

/// Runs all steps, or the named ones, and prints one summary.
pub fn test(arguments: &[String]) -> Outcome {
    if arguments.iter().any(|a| a == "--list") {
        for step in STEPS {
            let named = NAMED_ONLY.contains(&step.name);
            let when = if named { " (only when named)" } else { "" };
            println!("{:12} {}{when}", step.name, step.what);
        }
        return Ok(());
    }
    if let Some(unknown) = arguments
        .iter()
        .find(|a| STEPS.iter().all(|s| s.name != a.as_str()))
    {
        return Err(format!("there is no step {unknown}; --list shows them"));
    }
    packages::ensure(&[packages::BUILD, packages::WEBVIEW, packages::TEST])?;
    let chosen = |step: &&Step| match arguments.is_empty() {
        true => !NAMED_ONLY.contains(&step.name),
        false => arguments.iter().any(|a| a == step.name),
    };
    let mut results = Vec::new();
    for step in STEPS.iter().filter(chosen) {
        say(&format!("{}: {}", step.name, step.what));
        let begun = Instant::now();
        let outcome = (step.run)();
        results.push((step.name, outcome, begun.elapsed()));
    }
    say("summary");
    let mut failed = 0;
    for (name, outcome, took) in &results {
        match outcome {
            Ok(()) => println!("passed  {name:12} {:6.1} s", took.as_secs_f64()),
            Err(why) => {
                failed += 1;
                println!("FAILED  {name:12} {:6.1} s  {why}", took.as_secs_f64());
            }
        }
    }
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed == 0 {
        Ok(())
    } else {
        Err("some steps failed".to_owned())
    }
}
