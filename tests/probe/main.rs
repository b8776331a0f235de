//! Drives one adapter of the platform in a process of its own, which a test can kill, and in an
//! environment of its own, which a test can shape. Lines in, lines out.
#[cfg(target_os = "linux")]
mod desktop;
mod escape;
mod keyring;
mod processes;
mod store;

use std::io::{BufRead as _, Write as _};

use kiln_platform::OsProcesses;

fn main() {
    if let Some(why) = kiln_platform::sandbox::launch_if_asked() {
        say(&format!("no box: {why}"));
        std::process::exit(126);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run()),
        Err(_) => std::process::exit(1),
    }
}

async fn run() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["keyring", instance, patience_ms] => keyring::run(instance, patience_ms).await,
        ["store", dir] => store::run(dir.as_ref()),
        #[cfg(target_os = "linux")]
        ["desktop"] => desktop::run().await,
        ["processes", instance, script] => processes::run(instance, script).await,
        ["gives way", instance, script, numbers] => {
            let alone = OsProcesses::new(instance);
            processes::give_way(alone, script, number(numbers)).await;
        }
        ["gives way with a warden", instance, script, numbers] => {
            let this = std::env::current_exe().unwrap_or_default();
            let guarded = OsProcesses::new(instance).guarded_by(this);
            processes::give_way(guarded, script, number(numbers)).await;
        }
        #[cfg(target_os = "linux")]
        ["escape", targets] => escape::run(targets),
        ["nothing"] => {}
        ["waits"] => {
            say("ready");
            order();
        }
        _ => std::process::exit(2),
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| std::process::exit(2))
}

/// Says one line; it has left the process when this returns.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Waits for the next line of orders; `None` when there are no more.
fn order() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end().to_owned()),
    }
}
