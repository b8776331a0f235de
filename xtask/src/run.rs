//! Running programs and finding folders, for every verb.
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a verb returns: nothing, or one sentence for the person who called it.
pub type Outcome<T = ()> = Result<T, String>;

/// Returns the root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .map_or_else(|| here.to_owned(), Path::to_owned)
}

/// Returns the folder cargo builds into.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Returns the folder for what every clone of this user may use again, and which may be deleted at
/// any time.
pub fn cache() -> Outcome<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let own = || std::env::home_dir().map(|home| home.join(".cache"));
    let all = named.filter(|folder| folder.is_absolute()).or_else(own);
    Ok(all.ok_or("this user has no home folder")?.join("kiln"))
}

/// Says what happens next.
pub fn say(text: &str) {
    println!("\n== {text}");
}

/// Makes a command that runs in the root of the workspace.
pub fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Makes a cargo command with the toolchain that runs this.
pub fn cargo(arguments: &[&str]) -> Command {
    command(
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        arguments,
    )
}

/// Runs a command with its output shown; an exit other than 0 is an error.
pub fn run(command: &mut Command) -> Outcome {
    let shown = shown(command);
    let status = command
        .status()
        .map_err(|e| format!("{shown} did not start: {e}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{shown} failed ({status})"))
    }
}

/// Runs a command and returns what it printed; stderr is shown.
pub fn output(command: &mut Command) -> Outcome<String> {
    let shown = shown(command);
    let done = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("{shown} did not start: {e}"))?;
    if !done.status.success() {
        return Err(format!("{shown} failed ({})", done.status));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned())
}

/// Returns whether a program is found in PATH.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|w| w.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
