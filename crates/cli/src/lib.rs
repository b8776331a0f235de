//! The command line: arguments to requests, replies to text.
//!
//! [`Arguments`] is what can be typed, [`run`] does every verb that a running node answers.
//! `serve` and `import` work on the state itself and belong to the program. This is the only crate
//! that prints.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this crate is the face"
)]

mod args;
mod asking;
mod audit;
mod env;
mod exit;
mod face;
mod identity;
mod log_filter;
mod node;
mod pairing;
mod pick;
mod settings;
mod storage;
mod text;
mod waited_logs;
mod work;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use kiln_client::Transport;

pub use args::{
    Arguments, AuditAction, AuditArgs, Colour, CompileArgs, EnvAction, FlashArgs, IdentityAction,
    ImportArgs, InstallArgs, OffloaderAction, PairArgs, ReceiverAction, SecretsChoice, ServeArgs,
    SettingsAction, Since, StorageAction, Verb, Wait, Where, WindowAction,
};
pub use exit::Failure;
pub use face::{Answerer, Face, Reader, Shape};

use pairing::Decision;

/// Understands a command line, the name of the program first.
///
/// # Errors
/// The exit code, when it was said what is not understood, in the shape of the results, or when what
/// it asks for, like `--help`, was shown.
pub fn understand(given: &[OsString]) -> Result<Arguments, ExitCode> {
    Arguments::try_parse_from(given).map_err(|error| match usage(&error, given) {
        Some(failure) => {
            Face::of_process(Shape::Json, false, Colour::Auto).failed(&failure);
            failure.code()
        }
        // Its own words for people; nothing is left to do where they cannot be printed.
        None => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    })
}

/// The failure that a program is told of; `None` for a person, and where nothing failed.
fn usage(error: &clap::Error, given: &[OsString]) -> Option<Failure> {
    let mut options = given.iter().take_while(|word| *word != "--");
    if !error.use_stderr() || !options.any(|word| word == "--json") {
        return None;
    }
    let text = error.to_string();
    let said = match error.kind() {
        // All that is said then is the help.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let form = text.lines().find_map(|line| line.strip_prefix("Usage: "));
            format!("a word is missing: {}", form.unwrap_or("kiln <COMMAND>"))
        }
        _ => {
            let said = text.split("\n\n").next().unwrap_or_default();
            let said = said.strip_prefix("error: ").unwrap_or(said);
            said.lines().map(str::trim).collect::<Vec<_>>().join(" ")
        }
    };
    Some(Failure::Usage(said))
}

/// Does a verb that a running node answers, or that needs none. `serve` and `import` are not for
/// here and are answered as a usage failure.
pub async fn run(verb: Verb, transport: &impl Transport, face: &mut Face) -> ExitCode {
    match perform(verb, transport, face).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            face.failed(&failure);
            failure.code()
        }
    }
}

async fn perform(verb: Verb, transport: &impl Transport, face: &mut Face) -> Result<(), Failure> {
    match verb {
        Verb::Stop { now } => node::stop(transport, face, now).await,
        Verb::Status => node::status(transport, face).await,
        Verb::Pause { how_long } => node::pause(transport, face, Some(how_long)).await,
        Verb::Resume => node::pause(transport, face, None).await,
        Verb::Identity { action } => identity::identity(transport, face, action).await,
        Verb::Discover => node::discover(transport, face).await,
        Verb::Pair(wanted) => pairing::pair(transport, face, wanted).await,
        Verb::Receivers { action } => pairing::receivers(transport, face, action).await,
        Verb::Offloaders { action } => pairing::offloaders(transport, face, action).await,
        Verb::Window { action } => pairing::window(transport, face, action).await,
        Verb::Requests => pairing::requests(transport, face).await,
        Verb::Approve { id, pin } => {
            pairing::decide(transport, face, &id, Decision::Approve(pin)).await
        }
        Verb::Reject { id } => pairing::decide(transport, face, &id, Decision::Reject).await,
        Verb::Devices => work::devices(transport, face).await,
        Verb::Ports => work::ports(transport, face).await,
        Verb::Install(wanted) => work::install(transport, face, wanted).await,
        Verb::Flash(wanted) => work::flash(transport, face, wanted).await,
        Verb::Compile(wanted) => work::compile(transport, face, wanted).await,
        Verb::Clean { devices, wait } => work::clean(transport, face, devices, wait).await,
        Verb::Jobs => work::jobs(transport, face).await,
        Verb::Logs { job, follow } => work::logs(transport, face, &job, follow).await,
        Verb::Cancel { job, yes } => work::cancel(transport, face, &job, yes).await,
        Verb::BuildHere { job } => work::build_here(transport, face, &job).await,
        Verb::Env { action } => env::env(transport, face, action).await,
        Verb::Storage { action } => storage::storage(transport, face, action).await,
        Verb::Settings { action } => settings::settings(transport, face, action).await,
        Verb::Audit { action, wanted } => audit::audit(transport, face, wanted, action).await,
        Verb::Completions { shell } => {
            let mut command = Arguments::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "kiln", &mut script);
            face.print(&String::from_utf8_lossy(&script))
        }
        Verb::Man => {
            let page = manual().map_err(|e| Failure::Broken(e.to_string()))?;
            face.print(&page)
        }
        Verb::Serve(_) | Verb::Import(_) => Err(Failure::Usage(
            "This verb does not speak to a running Kiln.".to_owned(),
        )),
    }
}

/// Returns the manual page, one section per verb.
///
/// # Errors
/// When the page cannot be written to memory.
pub fn manual() -> io::Result<String> {
    let mut page = Vec::new();
    let command = Arguments::command();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let verb = verb.clone().name(format!("kiln-{}", verb.get_name()));
        clap_mangen::Man::new(verb).render(&mut page)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Option<Failure> {
        let given: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        usage(&Arguments::try_parse_from(&given).unwrap_err(), &given)
    }

    #[test]
    fn a_program_is_told_what_is_not_understood_and_a_person_reads_more() {
        for line in ["kiln --json jobs --nope", "kiln jobs --nope --json"] {
            let said = Failure::Usage("unexpected argument '--nope' found".to_owned());
            assert_eq!(told(line), Some(said));
        }
        assert!(matches!(told("kiln --json nope"), Some(Failure::Usage(_))));
        let said = "a word is missing: kiln window [OPTIONS] <COMMAND>".to_owned();
        assert_eq!(told("kiln --json window"), Some(Failure::Usage(said)));
        for line in [
            "kiln jobs --nope",
            "kiln jobs --nope -- --json",
            "kiln --json --help",
        ] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
