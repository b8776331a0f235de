//! docs/CLI.md names every verb and every option, and no option that is not there.
#![allow(clippy::panic, reason = "tests")]

use clap::{Command, CommandFactory, Parser};
use kiln_cli::Arguments;

const DOCS: &str = include_str!("../../../docs/CLI.md");

/// Returns the text under a heading of the third level, up to the next heading.
fn section(heading: &str) -> &'static str {
    let start = format!("\n### {heading}\n");
    let at = DOCS
        .find(&start)
        .unwrap_or_else(|| panic!("no section {heading}"));
    let rest = &DOCS[at + start.len()..];
    let end = rest.find("\n##").unwrap_or(rest.len());
    &rest[..end]
}

fn long_options(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter(|a| !a.is_global_set());
    own.filter_map(|a| a.get_long())
        .map(|long| format!("--{long}"))
        .filter(|long| long != "--help" && long != "--version")
        .collect()
}

fn with_below(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(with_below);
    std::iter::once(command).chain(below).collect()
}

#[test]
fn every_verb_has_a_section_that_names_its_options() {
    let mut program = Arguments::command();
    program.build();
    for verb in program.get_subcommands().filter(|v| !v.is_hide_set()) {
        let text = section(&format!("`kiln {}`", verb.get_name()));
        for command in with_below(verb) {
            let name = command.get_name();
            assert!(
                text.contains(name) || name == verb.get_name(),
                "{name} is missing under {}",
                verb.get_name()
            );
            for option in long_options(command) {
                assert!(text.contains(&option), "{option} of {name} is missing");
            }
        }
    }
}

#[test]
fn the_global_options_are_listed() {
    let text = section("Global options");
    for argument in Arguments::command().get_arguments() {
        if let Some(long) = argument.get_long() {
            assert!(text.contains(&format!("`--{long}")), "{long}");
        }
    }
}

#[test]
fn no_section_promises_an_option_that_is_not_there() {
    let mut program = Arguments::command();
    program.build();
    let known: Vec<String> = with_below(&program)
        .into_iter()
        .flat_map(Command::get_arguments)
        .filter_map(|a| a.get_long())
        .map(|long| format!("--{long}"))
        .chain(["--help".to_owned(), "--version".to_owned()])
        .collect();
    let words = DOCS.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    for word in words.filter(|w| w.len() > 2 && w.starts_with("--") && !w.starts_with("---")) {
        assert!(known.iter().any(|k| k == word), "{word} is no option");
    }
}

/// One dashboard in 64 has such an id.
#[test]
fn an_id_that_begins_with_a_hyphen_is_no_option() {
    for words in [
        &["kiln", "approve", "-sSt4gjyvCC3KbxvpKhyjnUe99K-StQC"][..],
        &["kiln", "reject", "-sSt4gjyvCC3KbxvpKhyjnUe99K-StQC"],
        &[
            "kiln",
            "offloaders",
            "forget",
            "-sSt4gjyvCC3KbxvpKhyjnUe99K-StQC",
        ],
    ] {
        assert!(Arguments::try_parse_from(words).is_ok(), "{words:?}");
    }
}
