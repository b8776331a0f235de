//! [`Tool`]: what makes an environment.
use std::path::{Path, PathBuf};

use crate::interpreter::{Interpreter, NoInterpreter};

/// The Python that uv fetches when there is none.
pub(super) const FETCHED_PYTHON: &str = "3.13";

/// How an environment is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// uv, with an interpreter that was found, or one that it fetches.
    Uv { uv: PathBuf, python: String },
    /// The interpreter's own `venv` and pip.
    Pip { python: PathBuf },
}

/// Returns the ways to try, fastest first. pip comes after uv because it reads the owner's
/// `pip.conf`, where a mirror may be configured that uv does not know.
pub(super) fn tools(
    uv: Option<PathBuf>,
    interpreter: Result<Interpreter, NoInterpreter>,
) -> Result<Vec<Tool>, NoInterpreter> {
    let mut tools = Vec::new();
    match (uv, interpreter) {
        (Some(uv), Err(NoInterpreter::NotFound)) => {
            tools.push(Tool::Uv {
                uv,
                python: FETCHED_PYTHON.to_owned(),
            });
        }
        (_, Err(error)) => return Err(error),
        (
            uv,
            Ok(Interpreter {
                python,
                has_ensurepip,
            }),
        ) => {
            let named = python.display().to_string();
            tools.extend(uv.map(|uv| Tool::Uv { uv, python: named }));
            if has_ensurepip {
                tools.push(Tool::Pip { python });
            }
        }
    }
    Ok(tools)
}

impl Tool {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Tool::Uv { .. } => "uv",
            Tool::Pip { .. } => "pip",
        }
    }

    /// Makes an environment with pip in it: some of ESPHome's toolchains call pip themselves.
    pub(super) fn make<'a>(&'a self, place: &'a str) -> (&'a Path, Vec<&'a str>) {
        match self {
            Tool::Uv { uv, python } => (
                uv,
                vec!["venv", "--no-project", "--seed", "--python", python, place],
            ),
            Tool::Pip { python } => (python, vec!["-m", "venv", place]),
        }
    }

    /// Installs into it; the program is `None` for the environment's own interpreter.
    pub(super) fn fill<'a>(
        &'a self,
        python: &'a str,
        requirement: &'a str,
    ) -> (Option<&'a Path>, Vec<&'a str>) {
        match self {
            Tool::Uv { uv, .. } => (
                Some(uv),
                vec!["pip", "install", "--python", python, requirement],
            ),
            Tool::Pip { .. } => {
                let install = [
                    "-m",
                    "pip",
                    "install",
                    "--no-input",
                    "--progress-bar",
                    "off",
                ];
                let install = install
                    .into_iter()
                    .chain(["--disable-pip-version-check", requirement]);
                (None, install.collect())
            }
        }
    }
}
