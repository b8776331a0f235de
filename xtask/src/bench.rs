//! `cargo xtask bench`: Kiln beside a real Device Builder dashboard, turn by turn, in one table.
use std::process::Command;

use crate::run::{Outcome, cargo, command, has, output, root, run, say, target};
use crate::{packages, python};

/// Measures; `--quick` takes fewer turns, `--write` puts the table into docs/BENCHMARKS.md.
pub fn bench(arguments: &[String]) -> Outcome {
    let (mut passed_on, mut write) = (Vec::new(), false);
    for argument in arguments {
        match argument.as_str() {
            "--write" => write = true,
            other => passed_on.push(other.to_owned()),
        }
    }
    packages::ensure(&[packages::BUILD, packages::TEST])?;
    python::dashboards()?;
    say("building Kiln as it is released");
    run(&mut cargo(&[
        "build",
        "--locked",
        "--release",
        "--package",
        "kiln",
    ]))?;
    say("timing decisions");
    let decisions = output(&mut cargo(&[
        "bench",
        "--locked",
        "--package",
        "kiln-tests",
        "--bench",
        "decide",
    ]))?;
    print!("{decisions}");
    let folder = target().join("bench");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let kept = folder.join("decisions.txt");
    std::fs::write(&kept, &decisions).map_err(|e| format!("{}: {e}", kept.display()))?;

    say("measuring, turn by turn, in a network of its own");
    let results = folder.join("results.json");
    let mut measure = in_a_network();
    measure
        .arg(python::rig_home().join("venv/bin/python"))
        .arg(root().join("tests/bench/side_by_side.py"))
        .args(&passed_on)
        .arg("--results")
        .arg(&results)
        .arg("--decisions")
        .arg(&kept)
        .env("RIG_HOME", python::rig_home())
        .env("KILN_PROGRAM", target().join("release/kiln"));
    if write {
        measure
            .arg("--document")
            .arg(root().join("docs/BENCHMARKS.md"));
    }
    run(&mut measure)?;
    println!("\nEvery value is in {}.", results.display());
    Ok(())
}

/// A network of its own; ahead of what else the machine does, where that is allowed.
fn in_a_network() -> Command {
    let mut net = command(root().join("tests/rig/net"), &["run"]);
    let ahead = has("chrt")
        && command("chrt", &["-r", "10", "true"])
            .status()
            .is_ok_and(|status| status.success());
    if ahead {
        net.args(["chrt", "-r", "10"]);
    }
    net
}
