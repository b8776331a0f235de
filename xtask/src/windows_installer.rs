//! The Windows installer: made here, then installed, used, installed again and removed in a Windows
//! of Wine's that nothing else was done in.
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::bundle;
use crate::check_os::{Cross, Wine};
use crate::run::{Outcome, output, run, say, target};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the installer puts into its folder.
const FILES: [&str; 6] = [
    "kiln.exe",
    "kiln-desktop.exe",
    "kiln-window.exe",
    "WebView2Loader.dll",
    "LICENSE.txt",
    "uninstall.exe",
];

/// What the system's list of programs says of it.
const ENTRY: &str = "HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Kiln";

/// What Kiln writes there when it is told to start at login, and when it notifies: a key, and the
/// value in it if the key is the system's.
const WRITTEN: [(&str, Option<&str>); 3] = [
    (
        "HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run",
        Some("kiln-desktop"),
    ),
    (
        "HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\StartupApproved\\Run",
        Some("kiln-desktop"),
    ),
    (
        "HKCU\\Software\\Classes\\AppUserModelId\\io.esphome.kiln",
        None,
    ),
];

/// Makes it, installs it, installs it again over a Kiln that runs, and removes it from under one.
pub fn test(cross: &Cross) -> Outcome {
    let setup = bundle::nsis(cross, VERSION)?;
    let windows = target().join("bundle/wine");
    // Removed before as well: it stays after a failure, to be looked at.
    let clean = || match windows.exists() {
        true => fs::remove_dir_all(&windows).map_err(|e| format!("{}: {e}", windows.display())),
        false => Ok(()),
    };
    clean()?;
    use_it(&setup, Wine::new(windows.clone())?)?;
    clean()
}

fn use_it(setup: &Path, wine: Wine) -> Outcome {
    let local = wine.local_app_data()?;
    let programs = local.join("Programs/Kiln");
    let kiln = programs.join("kiln.exe");
    let start_menu = "Roaming/Microsoft/Windows/Start Menu/Programs";
    let shortcut = local.with_file_name(start_menu).join("Kiln.lnk");
    let listed = || wine.command("reg", &["query", ENTRY]);

    say("installing on Windows");
    run(&mut wine.command(setup, &["/S"]))?;
    for name in FILES {
        is_there(&programs.join(name))?;
    }
    is_there(&shortcut)?;
    let entry = output(&mut listed())?;
    is_so(entry.contains(VERSION), "the system lists this version")?;
    let said = output(&mut wine.command(&kiln, &["--version"]))?;
    is_so(said == format!("kiln {VERSION}"), "it tells its version")?;

    say("using, and installing again over what runs");
    let (node, identity) = serve(&wine, &kiln, &[])?;
    let status = output(&mut wine.command(&kiln, &["status", "--json"]))?;
    let told = &json(&status)?["identity"]["dashboard_id"];
    is_so(*told == identity, "it answers how it is")?;
    run(&mut wine.command(setup, &["/S"]))?;
    ended(node)?;
    let elsewhere = ["--home", "C:\\elsewhere"];
    let (node, _) = serve(&wine, &kiln, &elsewhere)?;
    let refused = wine.command(setup, &["/S"]).status();
    is_so(
        refused.is_ok_and(|s| s.code() == Some(2)),
        "it replaces nothing that it cannot end",
    )?;
    run(wine.command(&kiln, &["stop"]).args(elsewhere))?;
    ended(node)?;
    let (node, kept) = serve(&wine, &kiln, &[])?;
    is_so(kept == identity, "the next node is who the first was")?;

    say("removing from under what runs");
    for (key, value) in WRITTEN {
        let value = value.unwrap_or("DisplayName");
        run(&mut wine.command("reg", &["add", key, "/v", value, "/d", "Kiln", "/f"]))?;
    }
    run(&mut wine.command(programs.join("uninstall.exe"), &["/S"]))?;
    ended(node)?;
    wine.wait()?;
    is_so(!programs.exists(), "programs are gone")?;
    is_so(!shortcut.exists(), "the shortcut is gone")?;
    let unlisted = listed().output().is_ok_and(|query| !query.status.success());
    is_so(unlisted, "the system does not list it")?;
    for (key, value) in WRITTEN {
        let value = value.map_or(Vec::new(), |value| vec!["/v", value]);
        let query = wine.command("reg", &["query", key]).args(value).output();
        let gone = query.is_ok_and(|query| !query.status.success());
        is_so(gone, &format!("nothing is left of it in {key}"))?;
    }
    is_there(&local.join("kiln/data/kiln.db"))
}

/// Starts a node; returns it, and who it says it is, as soon as it serves.
fn serve(wine: &Wine, kiln: &Path, more: &[&str]) -> Outcome<(Child, Value)> {
    let failed = |why: &str| format!("kiln.exe serve: {why}");
    let mut serve = wine.command(kiln, &["serve", "--json", "--no-receiver"]);
    let mut node = serve
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(&e.to_string()))?;
    let mut ready = String::new();
    if let Some(said) = &mut node.stdout {
        BufReader::new(said)
            .read_line(&mut ready)
            .map_err(|e| failed(&e.to_string()))?;
    }
    let identity = json(&ready)?["dashboard_id"].clone();
    is_so(identity.is_string(), "a node serves")?;
    Ok((node, identity))
}

fn json(text: &str) -> Outcome<Value> {
    serde_json::from_str(text).map_err(|e| format!("kiln.exe says {text:?}: {e}"))
}

/// Waits for its end, which the installer asked for.
fn ended(mut node: Child) -> Outcome {
    let end = node.wait().map_err(|e| format!("kiln.exe serve: {e}"))?;
    is_so(end.success(), "the node that ran ended by itself")
}

fn is_there(path: &Path) -> Outcome {
    let name = path.file_name().unwrap_or_default().display();
    is_so(path.exists(), &format!("{name} is there"))
}

fn is_so(so: bool, what: &str) -> Outcome {
    if !so {
        return Err(format!("not so: {what}"));
    }
    println!("  {what}");
    Ok(())
}
