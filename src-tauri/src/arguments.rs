//! [`Arguments`]: what both programs take on their command line.
use std::ffi::OsString;

use kiln_desk::Goal;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Whether the window is shown at once.
    pub(crate) window: Shown,
    /// What it shows.
    pub(crate) goal: Goal,
}

/// Whether a start shows the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It does.
    Now,
    /// It does not: a start at login.
    OnDemand,
}

/// Text of `--help`.
pub(crate) const HELP: &str = "\
Kiln's icon, notifications and window. `kiln --help` is the command line.

  --hidden               open no window (a start at login)
  --page PAGE            overview, devices, builders, job, activity, settings,
                         diagnostics, availability or storage
  --job ID               the job of the page `job`
  --dashboard ID         the asking computer of the page `builders`
  --about WORD           `outdated` of the page `devices`, or the pin of a
                         builder of the page `builders`
  --help, --version

KILN_HOME names the folder of another Kiln, as for `kiln`.
";

/// What to do with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Start.
    Start(Arguments),
    /// Print this and end well.
    Print(String),
    /// Print this and end badly.
    Wrong(String),
}

/// Reads a command line, without the name of the program.
pub(crate) fn read(words: impl Iterator<Item = OsString>) -> Asked {
    let mut arguments = Arguments {
        window: Shown::Now,
        goal: Goal::overview(),
    };
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value\n"));
        let read = match word.as_str() {
            "--hidden" => {
                arguments.window = Shown::OnDemand;
                Ok(())
            }
            "--page" => value().and_then(|name| {
                arguments.goal.page = Goal::page(&name).map_err(|e| format!("{e}\n"))?.page;
                Ok(())
            }),
            "--job" => value().map(|id| arguments.goal.job = Some(id)),
            "--dashboard" => value().map(|id| arguments.goal.dashboard_id = Some(id)),
            "--about" => value().map(|word| arguments.goal.about = Some(word)),
            "--help" | "-h" => return Asked::Print(HELP.to_owned()),
            "--version" | "-V" => {
                return Asked::Print(format!("kiln-desktop {}\n", env!("CARGO_PKG_VERSION")));
            }
            other => Err(format!("there is no option {other}\n\n{HELP}")),
        };
        if let Err(problem) = read {
            return Asked::Wrong(problem);
        }
    }
    Asked::Start(arguments)
}

/// Writes the command line that leads to this goal.
pub(crate) fn write(goal: &Goal) -> Vec<String> {
    let mut words = vec!["--page".to_owned(), goal.page.clone()];
    for (option, value) in [
        ("--job", &goal.job),
        ("--dashboard", &goal.dashboard_id),
        ("--about", &goal.about),
    ] {
        if let Some(value) = value {
            words.extend([option.to_owned(), value.clone()]);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Asked {
        read(words.iter().map(OsString::from))
    }

    #[test]
    fn a_goal_survives_the_command_line() {
        let goal = Goal {
            page: "job".to_owned(),
            job: Some("0123456789ab".to_owned()),
            dashboard_id: Some("attic".to_owned()),
            about: Some("outdated".to_owned()),
        };
        let words = write(&goal);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let wanted = Arguments {
            window: Shown::Now,
            goal,
        };
        assert_eq!(of(&words), Asked::Start(wanted));
    }

    #[test]
    fn what_is_not_understood_starts_nothing() {
        for words in [&["--page", "nowhere"][..], &["--page"], &["--quit"]] {
            assert!(matches!(of(words), Asked::Wrong(_)), "{words:?}");
        }
    }
}
