//! Windows: a restricted token of low integrity in a job object with limits. It keeps builds from
//! changing anything, and neither from reading nor from the network: tier 1.
//!
//! Limits on windows, clipboard and desktop cannot be had besides: Windows gives them to no job
//! that lies in another one, and every program of Kiln lies in the job that ends it.
mod job;
mod label;
mod local_socket;
mod start;
mod token;

use std::io;
use std::path::Path;

use kiln_model::Tier;
use kiln_ports::process::Command;
use kiln_ports::sandbox::{BoxRules, Boxed, SandboxError};
use windows::Win32::Foundation::CloseHandle;
use windows::Win32::System::Threading::{
    OpenProcess, PROCESS_ACCESS_RIGHTS, PROCESS_CREATE_THREAD, PROCESS_DUP_HANDLE,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SUSPEND_RESUME, PROCESS_TERMINATE,
    PROCESS_VM_OPERATION, PROCESS_VM_READ, PROCESS_VM_WRITE,
};
use windows_registry::CURRENT_USER;

use super::orders::{ORDERS, Orders, VERB, WayOut};
pub(super) use local_socket::LocalSocket;

/// Tiers that can be made here.
pub(super) const TIERS: [Tier; 1] = [Tier::Hindered];

/// Said when no tier held.
pub(super) const NOTHING_BETTER: Option<&str> = None;

/// Variables that name folders of the owner. A build gets its own in their place.
const HOMES: [&str; 5] = [
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "HOMEDRIVE",
    "HOMEPATH",
];

/// Variables that name the folder of temporary files.
const TEMPORARY: [&str; 2] = ["TEMP", "TMP"];

/// Says what holds builds at a tier.
pub(super) fn holds(_: Tier) -> String {
    "Only tier 1: builds for others cannot change files, settings or programs of this computer, but \
     can read its files and reach its networks."
        .to_owned()
}

/// Wraps a command into a launcher. Its network stays open.
pub(super) async fn enclose(
    launcher: &Path,
    mut command: Command,
    rules: &BoxRules,
    tier: Tier,
) -> Result<Boxed, SandboxError> {
    let failed = |error: io::Error| SandboxError(error.to_string());
    for folder in &rules.writable {
        label::lower(folder).map_err(|error| {
            let name = folder.display();
            SandboxError(format!(
                "{name} cannot be labelled as a build's own: {error}"
            ))
        })?;
    }
    let orders = Orders::new(
        tier.number(),
        rules.writable.clone(),
        rules.readable.clone(),
        WayOut::None,
        command.priority,
        &rules.limits,
    );
    let scratch = rules.scratch.to_string_lossy().into_owned();
    let variables = &mut command.environment;
    let home = variables.iter().find(|(key, _)| key == "HOME").cloned();
    let named = |list: &[&str], key: &str| list.iter().any(|k| k.eq_ignore_ascii_case(key));
    variables.retain(|(key, _)| !named(&HOMES, key) && !named(&TEMPORARY, key));
    if let Some((_, home)) = home {
        variables.extend(HOMES[..3].iter().map(|k| ((*k).to_owned(), home.clone())));
    }
    variables.extend(TEMPORARY.map(|key| (key.to_owned(), scratch.clone())));
    variables.push((ORDERS.to_owned(), orders.text().map_err(failed)?));
    let words = [
        VERB.to_owned(),
        command.program.to_string_lossy().into_owned(),
    ];
    command.arguments = words.into_iter().chain(command.arguments).collect();
    command.program = launcher.to_owned();
    Ok(Boxed {
        command,
        gate: None,
    })
}

/// Runs the program that the arguments name with less rights than this process has, and ends with
/// its exit code; returns why that failed.
pub(super) fn launch(orders: &str) -> String {
    let ended = Orders::read(orders).and_then(|orders| {
        let job = job::limited(&orders).map_err(|e| format!("there is no job: {e}"))?;
        let token = token::lowered().map_err(|e| format!("there is no token: {e}"))?;
        start::run(std::env::args_os().skip(2), &token, &job)
    });
    match ended {
        Ok(code) => std::process::exit(code),
        Err(why) => why,
    }
}

/// Returns a number that stands for a running process, if it can be seen.
pub(super) fn started(pid: u32) -> Option<u64> {
    opens(pid, PROCESS_QUERY_LIMITED_INFORMATION).then(|| pid.into())
}

/// Attempts that only this system knows; true for one that got through.
pub(super) fn breaks_out(pid: u32, _: u8) -> Vec<(&'static str, bool)> {
    let change = PROCESS_VM_OPERATION | PROCESS_VM_WRITE | PROCESS_CREATE_THREAD;
    let key = "Software\\kiln-try";
    let settings = CURRENT_USER.create(key).is_ok();
    if settings {
        // Best effort: it is empty.
        let _ = CURRENT_USER.remove_tree(key);
    }
    vec![
        ("end a program outside", opens(pid, PROCESS_TERMINATE)),
        ("stop a program outside", opens(pid, PROCESS_SUSPEND_RESUME)),
        (
            "read the memory of a program outside",
            opens(pid, PROCESS_VM_READ),
        ),
        ("change a program outside", opens(pid, change)),
        (
            "take what a program outside has open",
            opens(pid, PROCESS_DUP_HANDLE),
        ),
        ("change settings of the owner", settings),
        ("run without limits", !job::holds_this_process()),
        ("use privileges", token::has_privileges()),
    ]
}

#[expect(unsafe_code, reason = "a process is opened through the system's API")]
fn opens(pid: u32, access: PROCESS_ACCESS_RIGHTS) -> bool {
    // SAFETY: the handle is closed once, and used for nothing.
    unsafe {
        OpenProcess(access, false, pid)
            .and_then(|process| CloseHandle(process))
            .is_ok()
    }
}

/// Returns the environment of the attempts: without this variable no program finds the system.
#[expect(
    clippy::disallowed_methods,
    reason = "the proof runs once, at the start"
)]
pub(super) fn surroundings() -> Vec<(String, String)> {
    let root = std::env::var("SystemRoot").ok();
    root.map(|root| ("SystemRoot".to_owned(), root))
        .into_iter()
        .collect()
}
