//! `cargo xtask bench`: Kiln beside a real Device Builder dashboard, turn by turn, in one table.
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Outcome, cargo, command, has, output, root, run, say, target};
use crate::{bundle, packages, python};

/// Measures; `--quick` takes fewer turns, `--only PART,…` some parts, `--write` puts the tables into
/// docs/BENCHMARKS.md.
pub fn bench(arguments: &[String]) -> Outcome {
    let (mut quick, mut write, mut only) = (None, false, None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = Some("--quick"),
            "--write" => write = true,
            "--only" => only = Some(arguments.next().ok_or("--only needs parts")?.as_str()),
            other => return Err(format!("bench has no option {other}")),
        }
    }
    let known = |part: &&str| BESIDE.contains(part) || APART.contains(part);
    if let Some(unknown) = only.and_then(|only| only.split(',').find(|part| !known(part))) {
        return Err(format!("bench has no part {unknown}"));
    }
    let wanted = |part: &str| only.is_none_or(|only| only.split(',').any(|one| one == part));
    packages::ensure(&[packages::BUILD, packages::TEST])?;
    let folder = target().join("bench");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    // The programs of the packages are what is measured.
    let made = bundle::release()?;
    if only.is_none_or(|only| only.split(',').any(|part| !APART.contains(&part))) {
        beside_a_dashboard(quick, only, write, &folder)?;
    }
    if wanted("box") {
        in_boxes(write, &folder)?;
    }
    if wanted("desk") {
        at_a_desktop(quick, write, &folder, &made)?;
    }
    println!("\nEvery value is in {}.", folder.display());
    Ok(())
}

/// Parts that are measured beside a dashboard.
const BESIDE: [&str; 6] = ["start", "upload", "jobs", "fetch", "lines", "own"];

/// Parts that need no dashboard.
const APART: [&str; 2] = ["box", "desk"];

/// What a box costs a build.
fn in_boxes(write: bool, folder: &Path) -> Outcome {
    say("measuring boxes");
    let bench = [
        "bench",
        "--locked",
        "--package",
        "kiln-tests",
        "--bench",
        "box",
    ];
    run(cargo(&bench).arg("--no-run"))?;
    let order = cargo(&bench);
    let mut measure = match may_go_ahead() {
        true => command("chrt", &["-r", "10"]),
        false => command("env", &[]),
    };
    measure.arg(order.get_program()).args(order.get_args());
    let table = output(measure.env("KILN_PROGRAM", target().join("release/kiln")))?;
    println!("{table}");
    let kept = folder.join("box.md");
    std::fs::write(&kept, &table).map_err(|e| format!("{}: {e}", kept.display()))?;
    if write {
        let path = document();
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(&path).map_err(failed)?;
        let (head, rest) = text
            .split_once("<!-- box -->\n")
            .ok_or("no place for boxes")?;
        let (_, tail) = rest
            .split_once("<!-- box end -->")
            .ok_or("no end of boxes")?;
        let text = format!("{head}<!-- box -->\n{table}\n<!-- box end -->{tail}");
        std::fs::write(&path, text).map_err(failed)?;
    }
    Ok(())
}

/// Transfers, jobs, memory and starts, turn by turn with a real dashboard.
fn beside_a_dashboard(
    quick: Option<&str>,
    only: Option<&str>,
    write: bool,
    folder: &Path,
) -> Outcome {
    python::dashboards()?;
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
    let kept = folder.join("decisions.txt");
    std::fs::write(&kept, &decisions).map_err(|e| format!("{}: {e}", kept.display()))?;

    say("measuring, turn by turn, in a network of its own");
    let mut measure = in_a_network();
    measure
        .arg(python::rig_home().join("venv/bin/python"))
        .arg(root().join("tests/bench/side_by_side.py"))
        .args(quick)
        .args(only.into_iter().flat_map(|only| ["--only", only]))
        .arg("--results")
        .arg(folder.join("results.json"))
        .arg("--decisions")
        .arg(&kept)
        .env("RIG_HOME", python::rig_home())
        .env("KILN_PROGRAM", target().join("release/kiln"));
    if write {
        measure.arg("--document").arg(document());
    }
    run(&mut measure)
}

/// Icon, window and packages in a session of their own.
fn at_a_desktop(quick: Option<&str>, write: bool, folder: &Path, made: &[PathBuf]) -> Outcome {
    packages::ensure(&[packages::DESKTOP])?;
    say("measuring at a desktop");
    let mut measure = command(root().join("tests/rig/net"), &["run"]);
    measure
        .arg(root().join("tests/desktop/session"))
        .arg("--keyring")
        .arg("/usr/bin/python3")
        .arg(root().join("tests/bench/desk.py"))
        .args(quick)
        .arg("--programs")
        .arg(target().join("release"))
        .arg("--results")
        .arg(folder.join("desk.json"));
    if write {
        measure.arg("--document").arg(document());
    }
    run(measure.args(made))
}

fn document() -> PathBuf {
    root().join("docs/BENCHMARKS.md")
}

/// A network of its own; ahead of what else the machine does, where that is allowed.
fn in_a_network() -> Command {
    let mut net = command(root().join("tests/rig/net"), &["run"]);
    if may_go_ahead() {
        net.args(["chrt", "-r", "10"]);
    }
    net
}

/// Returns whether a program may run ahead of all others.
fn may_go_ahead() -> bool {
    let tried = || command("chrt", &["-r", "10", "true"]).status();
    has("chrt") && tried().is_ok_and(|status| status.success())
}
