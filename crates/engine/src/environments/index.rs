//! [`Environments::newest`]: a question to the package index.
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_esphome::ansi;
use kiln_model::{EsphomeVersion, Sentence, say};
use tokio::fs;

use super::Environments;
use super::provision::{self, MAKE};
use super::record::python_in;
use super::tool::{FETCHED_PYTHON, Tool, tools};
use crate::interpreter::NoInterpreter;
use crate::lock::lock;

/// Time for the package index to answer.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// The folder of a question to the package index; no version is called so.
pub(super) const QUESTION: &str = "newest";

/// Why the newest version is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewestError {
    /// Nothing to ask with.
    NoInterpreter(NoInterpreter),
    /// The index did not answer, or not with a version; the text is one clause.
    NotNamed(Sentence),
}

impl NewestError {
    /// Returns it in words.
    pub fn sentence(&self) -> Sentence {
        match self {
            NewestError::NoInterpreter(none) => none.sentence(),
            NewestError::NotNamed(why) => say::newest_not_named(why.clone()),
        }
    }
}

kiln_model::spoken_errors!(NewestError);

impl From<NoInterpreter> for NewestError {
    fn from(none: NoInterpreter) -> Self {
        NewestError::NoInterpreter(none)
    }
}

impl Environments {
    /// Asks the package index for the newest release that runs here. Whatever is configured for uv
    /// or pip is used, mirrors included.
    pub async fn newest(&self) -> Result<EsphomeVersion, NewestError> {
        let uv = self.programs.on_path(&["uv"]).into_iter().next();
        let interpreter = self.interpreter(uv.as_deref()).await;
        let folder = self.programs.folder.join(QUESTION);
        let mut reason = Sentence::default();
        for tool in tools(uv, interpreter)? {
            match self.newest_with(&tool, &folder).await {
                Ok(version) => return Ok(version),
                Err(error) => reason = error,
            }
        }
        Err(NewestError::NotNamed(reason))
    }

    /// `folder` is there for the question only.
    async fn newest_with(&self, tool: &Tool, folder: &Path) -> Result<EsphomeVersion, Sentence> {
        remove_folder(folder).await;
        let answer = self.ask_index(tool, folder).await;
        remove_folder(folder).await;
        answer?.ok_or_else(say::answer_not_understood)
    }

    async fn ask_index(
        &self,
        tool: &Tool,
        folder: &Path,
    ) -> Result<Option<EsphomeVersion>, Sentence> {
        let said = Mutex::new(None);
        let hear = |line: String| {
            let mut said = lock(&said);
            *said = said.take().or_else(|| named_version(&line));
            std::future::ready(())
        };
        let place = folder.display().to_string();
        let asked = match tool {
            Tool::Uv { uv, .. } => {
                let wanted = folder.join("wanted.in");
                let written = async {
                    fs::create_dir_all(folder).await?;
                    fs::write(&wanted, "esphome\n").await
                };
                written.await.map_err(|e| format!("{place}: {e}"))?;
                let wanted = wanted.display().to_string();
                let version = ["--python-version", FETCHED_PYTHON];
                let mut arguments = vec!["pip", "compile", "--no-deps", "--no-header"];
                arguments.extend(version.into_iter().chain([wanted.as_str()]));
                self.programs
                    .run(uv, &arguments, QUESTION_LIMIT, hear)
                    .await
            }
            Tool::Pip { .. } => {
                // Distributions leave pip out of the interpreter itself.
                let (program, arguments) = tool.make(&place);
                let step = say::step_asking();
                let unheard = |_| std::future::ready(());
                provision::run(&self.programs, step, program, &arguments, MAKE, &unheard).await?;
                let python = python_in(folder);
                let arguments = ["-m", "pip", "index", "versions", "esphome"];
                self.programs
                    .run(&python, &arguments, QUESTION_LIMIT, hear)
                    .await
            }
        };
        asked.map_err(|error| error.sentence())?;
        Ok(said.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns the version in a line of uv (`esphome==2026.10.0`) or pip (`esphome (2026.10.0)`).
fn named_version(line: &str) -> Option<EsphomeVersion> {
    // The colour of a warning above may end at the beginning of this line.
    let line = ansi::plain(line);
    let rest = line.trim().strip_prefix("esphome")?;
    let inner = rest.strip_prefix("==").or_else(|| {
        let inner = rest.trim_start().strip_prefix('(')?;
        inner.strip_suffix(')')
    })?;
    EsphomeVersion::parse(inner).filter(EsphomeVersion::is_pinnable)
}

async fn remove_folder(folder: &Path) {
    match fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "a folder was not deleted");
        }
        Ok(()) | Err(_) => {}
    }
}
