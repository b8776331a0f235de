//! [`Interpreter`]: a Python that ESPHome runs on, found without asking the owner
//! (builds.md §7.4, host-compile.md).
use kiln_model::{Sentence, say};
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::programs::{Programs, RunError};

/// ESPHome since 2026.7 needs at least this Python …
const OLDEST: (u32, u32) = (3, 12);
/// … and every ESPHome less than this.
const TOO_NEW: (u32, u32) = (3, 15);

/// Time for an interpreter to answer. A cold start from a slow disk takes seconds.
const ANSWER: Duration = Duration::from_secs(30);

/// A Python without one of these modules cannot run ESPHome or make an environment; `ensurepip` is
/// missing where a distribution packs it apart, and needed only without uv.
const PROBE: &str = "import sys, ssl, sqlite3, venv, lzma, bz2, ctypes\n\
    from importlib.util import find_spec\n\
    print('kiln', sys.version_info[0], sys.version_info[1], int(bool(find_spec('ensurepip'))))";

/// A usable interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// The program.
    pub(crate) python: PathBuf,
    /// It can make environments with pip by itself.
    pub(crate) has_ensurepip: bool,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoInterpreter {
    /// The owner named one, and it does not do.
    Unusable {
        /// The program as set.
        python: String,
        /// One clause.
        reason: Sentence,
    },
    /// None was found.
    NotFound,
}

impl NoInterpreter {
    /// Returns it in words, with the next step.
    pub fn sentence(&self) -> Sentence {
        match self {
            NoInterpreter::Unusable { python, reason } => {
                say::python_unusable(python, reason.clone())
            }
            NoInterpreter::NotFound => say::no_python(),
        }
    }
}

kiln_model::spoken_errors!(NoInterpreter);

/// Returns the first usable interpreter: the one that is set and no other, or the newest on the
/// search path, in the usual places, of pyenv. `uv` makes `ensurepip` unnecessary.
pub(crate) async fn find(
    programs: &Programs,
    set: Option<&Path>,
    uv: Option<&Path>,
) -> Result<Interpreter, NoInterpreter> {
    if let Some(python) = set {
        return probe(programs, python, uv)
            .await
            .map_err(|reason| NoInterpreter::Unusable {
                python: python.display().to_string(),
                reason,
            });
    }
    for python in candidates(programs).await {
        match probe(programs, &python, uv).await {
            Ok(interpreter) => return Ok(interpreter),
            Err(reason) => tracing::debug!(python = %python.display(), %reason, "not this Python"),
        }
    }
    Err(NoInterpreter::NotFound)
}

/// Starts it: pyenv's shims, for example, exist for versions that are not active.
async fn probe(
    programs: &Programs,
    python: &Path,
    uv: Option<&Path>,
) -> Result<Interpreter, Sentence> {
    let answer = programs
        .run(python, &["-c", PROBE], ANSWER, |_| async {})
        .await;
    let answer = answer.map_err(|error| match error {
        RunError::Folder(reason) => reason.into(),
        RunError::Spawn(error) => error.reason.into(),
        RunError::TookTooLong(_) => say::python_silent(),
        RunError::Failed(last_line) => last_line,
    })?;
    let words = answer.lines().find_map(|line| line.strip_prefix("kiln "));
    let words: Vec<u32> = words
        .unwrap_or_default()
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let &[major, minor, ensurepip] = words.as_slice() else {
        return Err(say::python_none());
    };
    if !(OLDEST..TOO_NEW).contains(&(major, minor)) {
        return Err(say::python_too_old_or_new(format!("{major}.{minor}")));
    }
    let has_ensurepip = ensurepip == 1;
    if !has_ensurepip && uv.is_none() {
        return Err(say::python_without_venv(format!("{major}.{minor}")));
    }
    Ok(Interpreter {
        python: python.to_owned(),
        has_ensurepip,
    })
}

/// Every file that might be one, best first. Places of other operating systems do not exist.
async fn candidates(programs: &Programs) -> Vec<PathBuf> {
    const NAMES: [&str; 5] = [
        "python3.14",
        "python3.13",
        "python3.12",
        "python3",
        "python",
    ];
    let mut found = programs.on_path(&NAMES);
    for folder in ["/usr/local/bin", "/opt/homebrew/bin", "/usr/bin"] {
        found.extend(
            NAMES
                .iter()
                .take(3)
                .map(|name| Path::new(folder).join(name)),
        );
    }
    let home = |tail: &str| Some(Path::new(programs.surroundings.home()?).join(tail));
    let set = programs.surroundings.get("PYENV_ROOT").map(PathBuf::from);
    let local = programs.surroundings.get("LOCALAPPDATA").map(PathBuf::from);
    for (folder, python) in [
        (
            set.or_else(|| home(".pyenv")).map(|p| p.join("versions")),
            "bin/python3",
        ),
        (home(".pyenv/pyenv-win/versions"), "python.exe"),
        (
            local.map(|local| local.join("Programs/Python")),
            "python.exe",
        ),
        (
            Some("/Library/Frameworks/Python.framework/Versions".into()),
            "bin/python3",
        ),
    ] {
        if let Some(folder) = folder {
            found.extend(
                versions_in(&folder)
                    .await
                    .iter()
                    .map(|v| folder.join(v).join(python)),
            );
        }
    }
    let mut unique = Vec::new();
    for place in found {
        if place.is_file() && !unique.contains(&place) {
            unique.push(place);
        }
    }
    unique
}

/// Names such as `3.13.0`, `3.13` and `Python313` in a folder, newest first.
async fn versions_in(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else {
        return names;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name().to_string_lossy().into_owned();
        let digits = name.trim_start_matches("Python");
        if digits.starts_with("3.") || (digits.len() < name.len() && digits.starts_with('3')) {
            names.push(name);
        }
    }
    let key = |name: &String| -> Vec<u32> {
        let digits = name
            .trim_start_matches("Python")
            .replacen('3', "3.", 1)
            .replace("..", ".");
        digits
            .split('.')
            .map(|part| part.parse().unwrap_or_default())
            .collect()
    };
    names.sort_by_key(|name| Reverse(key(name)));
    names
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kiln_esphome::Surroundings;
    use kiln_ports::process::Command;
    use kiln_testkit::{Script, ScriptedProcesses, SimClock};

    use super::*;
    use crate::programs::Customer;

    /// A home with interpreters; those elsewhere on the machine of the test do not answer.
    struct Home {
        folder: tempfile::TempDir,
        programs: Programs,
    }

    impl Home {
        /// `pythons` are places below the home and what each answers.
        fn with(pythons: &[(&'static str, &'static str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().to_owned();
            for (place, _) in pythons {
                let place = root.join(place);
                std::fs::create_dir_all(place.parent().unwrap()).unwrap();
                std::fs::write(place, "").unwrap();
            }
            let answers = pythons.to_vec();
            let answer = move |command: &Command| {
                let answer = answers
                    .iter()
                    .find(|(p, _)| root.join(p) == command.program);
                match answer {
                    Some((_, "")) => Script::exits(127).says("pyenv: command not found\n"),
                    Some((_, answer)) => Script::exits(0).says(answer),
                    None => Script::missing(),
                }
            };
            let home = folder.path().display().to_string();
            let pairs = [("HOME", home.clone()), ("PATH", format!("{home}/bin"))];
            let pairs = pairs.map(|(key, value)| (key.to_owned(), value)).to_vec();
            let programs = Programs {
                customer: Customer::Owner,
                processes: Arc::new(ScriptedProcesses::new(answer)),
                clock: Arc::new(SimClock::new()),
                surroundings: Surroundings::new(pairs),
                folder: folder.path().to_owned(),
            };
            Self { folder, programs }
        }

        /// The place that is found, below the home.
        async fn found(&self) -> Result<String, NoInterpreter> {
            let found = find(&self.programs, None, None).await?.python;
            let below = found.strip_prefix(self.folder.path()).unwrap();
            Ok(below.display().to_string())
        }
    }

    #[tokio::test]
    async fn the_newest_python_that_answers_is_found_behind_shims_that_do_not() {
        let home = Home::with(&[
            ("bin/python3.14", ""),
            ("bin/python3", "kiln 3 11 1\n"),
            (".pyenv/versions/3.9.18/bin/python3", "kiln 3 9 1\n"),
            (".pyenv/versions/3.12.1/bin/python3", "kiln 3 12 1\n"),
            (".pyenv/versions/3.13.0/bin/python3", "kiln 3 13 1\n"),
            (".pyenv/versions/3.15.0a1/bin/python3", "kiln 3 15 1\n"),
        ]);
        assert_eq!(
            home.found().await.as_deref(),
            Ok(".pyenv/versions/3.13.0/bin/python3")
        );
    }

    #[tokio::test]
    async fn a_python_without_ensurepip_does_only_with_uv() {
        let home = Home::with(&[("bin/python3.13", "kiln 3 13 0\n")]);
        assert_eq!(home.found().await, Err(NoInterpreter::NotFound));
        let with_uv = find(&home.programs, None, Some(Path::new("/bin/uv")))
            .await
            .unwrap();
        assert!(!with_uv.has_ensurepip);
        let set = home.folder.path().join("bin/python3.13");
        let error = find(&home.programs, Some(&set), None)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("install python3.13-venv"), "{error}");
    }

    #[tokio::test]
    async fn nothing_usable_is_an_error_that_says_what_to_install() {
        let home = Home::with(&[("bin/python3", "Hello\n")]);
        let error = home.found().await.unwrap_err().to_string();
        assert!(
            error.contains("install one") && error.contains("uv"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn version_folders_are_sorted_by_meaning() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "3.9.1",
            "3.13.0",
            "3.12.10",
            "3.12.9",
            "Python313",
            "Python39",
            "2.7",
            "x",
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let names = versions_in(folder.path()).await;
        let minors: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|n| n.contains('.'))
            .collect();
        assert_eq!(minors, ["3.13.0", "3.12.10", "3.12.9", "3.9.1"]);
        assert_eq!(names.len(), 6);
        assert!(
            names.iter().position(|n| n == "Python313")
                < names.iter().position(|n| n == "Python39")
        );
    }
}
