//! Makes sure that a version is there: made, filled, asked, recorded, and made anew if it does not work.
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_esphome::Launcher;
use kiln_model::{EnvironmentState, EsphomeVersion, Sentence, say};

use super::Environments;
use super::known::{Known, Origin};
use super::record::{MadeFor, Record, python_in, read_record, size_of, write_record};
use super::tool::{Tool, tools};
use crate::interpreter::{self, Interpreter, NoInterpreter};
use crate::programs::{Customer, Programs};

/// Time for making an empty environment, and for filling it (builds.md §17).
pub(super) const MAKE: Duration = Duration::from_secs(120);
const FILL: Duration = Duration::from_secs(900);

/// Why a version cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvisionError {
    /// Only exact releases can be installed.
    NotPinnable(EsphomeVersion),
    /// Nothing to run it on.
    NoInterpreter(NoInterpreter),
    /// Installing failed; the whole output was said meanwhile.
    Failed {
        /// Wanted version.
        version: EsphomeVersion,
        /// What happened.
        reason: Sentence,
    },
    /// Nobody wants it any more.
    Stopped,
}

impl ProvisionError {
    /// Returns it in words.
    pub fn sentence(&self) -> Sentence {
        match self {
            ProvisionError::NotPinnable(version) => say::version_not_pinnable(version),
            ProvisionError::NoInterpreter(none) => none.sentence(),
            ProvisionError::Stopped => say::provisioning_interrupted(),
            ProvisionError::Failed { version, reason } => {
                say::install_failed(version, reason.clone())
            }
        }
    }
}

kiln_model::spoken_errors!(ProvisionError);

impl From<NoInterpreter> for ProvisionError {
    fn from(none: NoInterpreter) -> Self {
        ProvisionError::NoInterpreter(none)
    }
}

impl Environments {
    /// Lists a version as being installed before [`Environments::ensure`] begins, so that who looks
    /// from now on sees its installation and no older outcome. Nothing happens to one that is ready.
    pub fn announce(&self, version: &EsphomeVersion) {
        let is_ready = self
            .state()
            .known
            .get(version)
            .is_some_and(|known| known.state == EnvironmentState::Ready);
        if !is_ready {
            self.note_installing(version, say::installing_beginning());
        }
    }

    /// Makes sure that a version is installed and works; repairs it if it does not. Output goes to
    /// `say` with its terminators. Two calls for one version install it once. Dropping the future
    /// stops the installation and leaves nothing that counts as installed; the next start deletes what
    /// there is of it.
    pub async fn ensure<Saying: Future<Output = ()>>(
        &self,
        version: &EsphomeVersion,
        say: impl Fn(String) -> Saying,
    ) -> Result<(), ProvisionError> {
        self.ensure_as(MadeFor::Owner, Customer::Owner, version, say)
            .await
    }

    /// The same for a build of somebody else, until they do not want it any more. What there is of an
    /// installation by then is deleted: it may be given up for want of room.
    pub(crate) async fn ensure_for<Saying: Future<Output = ()>>(
        &self,
        guest: Customer,
        version: &EsphomeVersion,
        say: impl Fn(String) -> Saying,
    ) -> Result<(), ProvisionError> {
        self.ensure_as(MadeFor::Others, guest, version, say).await
    }

    pub(super) async fn ensure_as<Saying: Future<Output = ()>>(
        &self,
        made_for: MadeFor,
        mut customer: Customer,
        version: &EsphomeVersion,
        say: impl Fn(String) -> Saying,
    ) -> Result<(), ProvisionError> {
        let programs = self.programs.run_for(customer.clone());
        let stopped = customer.stopped();
        tokio::pin!(stopped);
        let turn = self.turn(version);
        let _turn = tokio::select! {
            biased;
            () = &mut stopped => return Err(ProvisionError::Stopped),
            turn = turn.lock() => turn,
        };
        let made = tokio::select! {
            biased;
            () = &mut stopped => Err(ProvisionError::Stopped),
            made = self.make_sure(made_for, &programs, version, &say) => made,
        };
        let is_whole = async || {
            let folder = self.folder_of(version);
            read_record(&folder, version).await.is_some()
        };
        if made == Err(ProvisionError::Stopped) && !is_whole().await {
            self.delete(version).await;
            self.forget_ours(version);
        }
        made
    }

    /// The same for whoever has the turn.
    async fn make_sure<Saying: Future<Output = ()>>(
        &self,
        made_for: MadeFor,
        programs: &Programs,
        version: &EsphomeVersion,
        say: &impl Fn(String) -> Saying,
    ) -> Result<(), ProvisionError> {
        // Another Kiln that shares the folder may have made it meanwhile.
        self.scan().await;
        let made_for = made_for.max(self.made_for(version));
        if self.works(version).await {
            return self.becomes(made_for, version).await;
        }
        if !version.is_pinnable() {
            return Err(ProvisionError::NotPinnable(version.clone()));
        }
        let mut unfinished = Unfinished {
            environments: self,
            version,
            outcome: None,
        };
        let outcome = self.install(made_for, programs, version, say).await;
        if outcome.is_err() {
            self.delete(version).await;
        }
        unfinished.outcome = Some(match &outcome {
            Ok(size) => Ok((*size, made_for)),
            // The version is in the list already.
            Err(ProvisionError::Failed { reason, .. }) => Err(reason.clone()),
            Err(error) => Err(error.sentence()),
        });
        outcome.map(|_| ())
    }

    /// Makes an environment from nothing and returns its size in bytes.
    async fn install<Saying: Future<Output = ()>>(
        &self,
        made_for: MadeFor,
        programs: &Programs,
        version: &EsphomeVersion,
        say: &impl Fn(String) -> Saying,
    ) -> Result<u64, ProvisionError> {
        let failed = |reason| ProvisionError::Failed {
            version: version.clone(),
            reason,
        };
        self.note_installing(version, say::installing_python());
        let uv = self.programs.on_path(&["uv"]).into_iter().next();
        let interpreter = self.interpreter(uv.as_deref()).await;
        let tools = tools(uv, interpreter)?;
        let mut reason = Sentence::default();
        for tool in tools {
            self.delete(version).await;
            say(format!(
                "*** Installing ESPHome {version} with {} ***\n",
                tool.name()
            ))
            .await;
            match self.install_with(programs, &tool, version, say).await {
                Ok(size_bytes) => {
                    let record = Record {
                        version: version.to_string(),
                        size_bytes,
                        made_for,
                    };
                    self.write(&record, version).await?;
                    return Ok(size_bytes);
                }
                Err(error) => reason = error,
            }
        }
        Err(failed(reason))
    }

    /// Makes sure that the record of one that works says for whom it is.
    async fn becomes(
        &self,
        made_for: MadeFor,
        version: &EsphomeVersion,
    ) -> Result<(), ProvisionError> {
        let ours = |known: &Known| matches!(known.origin, Origin::Ours(of) if of != made_for);
        if !self.state().known.get(version).is_some_and(ours) {
            return Ok(());
        }
        if let Some(mut record) = read_record(&self.folder_of(version), version).await {
            record.made_for = made_for;
            self.write(&record, version).await?;
        }
        self.state.send_modify(|state| {
            if let Some(known) = state.known.get_mut(version) {
                known.origin = Origin::Ours(made_for);
            }
        });
        Ok(())
    }

    async fn write(&self, record: &Record, version: &EsphomeVersion) -> Result<(), ProvisionError> {
        let folder = self.folder_of(version);
        let written = write_record(&folder, record).await;
        written.map_err(|error| ProvisionError::Failed {
            version: version.clone(),
            reason: format!("{}: {error}", folder.display()).into(),
        })
    }

    async fn install_with<Saying: Future<Output = ()>>(
        &self,
        programs: &Programs,
        tool: &Tool,
        version: &EsphomeVersion,
        say: &impl Fn(String) -> Saying,
    ) -> Result<u64, Sentence> {
        let folder = self.folder_of(version);
        let place = folder.display().to_string();
        self.note_installing(version, say::installing_making());
        let (program, arguments) = tool.make(&place);
        run(programs, say::step_making(), program, &arguments, MAKE, say).await?;
        self.note_installing(version, say::installing_filling());
        let python = python_in(&folder);
        let requirement = format!("esphome=={version}");
        let python_text = python.display().to_string();
        let (program, arguments) = tool.fill(&python_text, &requirement);
        let program = program.unwrap_or(&python);
        let step = say::step_installing();
        run(programs, step, program, &arguments, FILL, say).await?;
        self.note_installing(version, say::installing_checking());
        self.ask(&Launcher::module(&python), version).await?;
        Ok(size_of(&folder).await)
    }

    /// The interpreter from the settings, else from `KILN_PYTHON`, else found.
    pub(super) async fn interpreter(
        &self,
        uv: Option<&Path>,
    ) -> Result<Interpreter, NoInterpreter> {
        let set = self.state().python.clone();
        let set = set.or_else(|| {
            self.programs
                .surroundings
                .get("KILN_PYTHON")
                .map(PathBuf::from)
        });
        interpreter::find(&self.programs, set.as_deref(), uv).await
    }

    fn note_installing(&self, version: &EsphomeVersion, step: Sentence) {
        let place = self.folder_of(version);
        let known = Known {
            launcher: Launcher::module(&python_in(&place)),
            place,
            state: EnvironmentState::Installing(step),
            size_bytes: None,
            origin: Origin::Ours(self.made_for(version)),
            verified: false,
        };
        self.state.send_modify(|state| {
            state.known.insert(version.clone(), known);
        });
    }
}

/// What the list says while an installation runs, and after it ended or was dropped.
struct Unfinished<'a> {
    environments: &'a Environments,
    version: &'a EsphomeVersion,
    outcome: Option<Result<(u64, MadeFor), Sentence>>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let outcome = self.outcome.take();
        self.environments.state.send_modify(|state| {
            let Some(known) = state.known.get_mut(self.version) else {
                return;
            };
            match outcome {
                Some(Ok((size, made_for))) => {
                    known.state = EnvironmentState::Ready;
                    known.origin = Origin::Ours(made_for);
                    known.size_bytes = Some(size);
                    known.verified = true;
                }
                // Shown until the next start, so that the owner sees why.
                Some(Err(reason)) => known.state = EnvironmentState::Broken(reason),
                None => {
                    state.known.remove(self.version);
                }
            }
        });
    }
}

/// Runs one step of an installation.
pub(super) async fn run<Saying: Future<Output = ()>>(
    programs: &Programs,
    step: Sentence,
    program: &Path,
    arguments: &[&str],
    limit: Duration,
    say: &impl Fn(String) -> Saying,
) -> Result<(), Sentence> {
    let ran = programs.run(program, arguments, limit, say).await;
    ran.map(|_| ())
        .map_err(|error| say::install_step_failed(step, error.sentence()))
}
