//! [`Environments`]: the ESPHome versions on this machine: found, made, verified, repaired
//! (builds.md §7.3, §7.4).
//!
//! Kiln's own environments lie in one folder, `esphome-<version>` each. What makes such a folder
//! an environment is the record that is written into it last, after it answered with its version:
//! without it the folder is the rest of an interrupted installation. (It is not moved into place:
//! the programs of an environment contain its path.) An ESPHome on the search path is used too,
//! and never changed.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use kiln_esphome::version_output::{names_version, version_of};
use kiln_esphome::{Launcher, Surroundings, ansi};
use kiln_model::{EnvironmentInfo, EnvironmentState, EsphomeVersion, Settings};
use kiln_ports::{Clock, Processes};
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio::sync::watch;

use crate::held::Held;
use crate::interpreter::{self, Interpreter, NoInterpreter};
use crate::programs::{Programs, RunError};

/// Time for making an empty environment, for filling it, and for its answer (builds.md §17).
const MAKE: Duration = Duration::from_secs(120);
const FILL: Duration = Duration::from_secs(900);
const ANSWER: Duration = Duration::from_secs(60);

/// Time for the package index to answer.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// The folder of a question to the package index; no version is called so.
const QUESTION: &str = "newest";

/// The record that makes a folder an environment.
const RECORD: &str = "kiln-environment.json";

/// Where an environment's interpreter is, on one system or another.
const PYTHONS: [&str; 2] = ["bin/python", "Scripts/python.exe"];

/// The Python that uv fetches when there is none.
const FETCHED_PYTHON: &str = "3.13";

/// All environments of one Kiln.
pub struct Environments {
    programs: Programs,
    state: watch::Sender<State>,
    /// One per version, so that it is installed once.
    turns: Mutex<BTreeMap<EsphomeVersion, Arc<tokio::sync::Mutex<()>>>>,
    look: watch::Sender<Look>,
}

/// Whether it is known what the owner has installed. Finding out takes a second after the start,
/// and a job must not fail for having been faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Look {
    /// Nobody announced a look, or it is done.
    #[default]
    Over,
    /// It is announced or going on.
    Ahead,
}

#[derive(Default)]
struct State {
    known: BTreeMap<EsphomeVersion, Known>,
    own: Own,
    python: Option<PathBuf>,
}

/// Tells that the list may have changed: an installation reached its next step or ended, or a
/// check found something out.
pub struct Changes(watch::Receiver<State>);

impl Changes {
    /// Waits for the next change; several at once count as one. Cancel safe. Never returns when
    /// the environments are gone.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Which environment the owner's own builds use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Own {
    /// The newest that is ready.
    #[default]
    Newest,
    /// This version.
    Version(EsphomeVersion),
    /// This installed program.
    Program(PathBuf),
    /// The setting is neither.
    Nothing,
}

#[derive(Clone, Debug)]
struct Known {
    launcher: Launcher,
    /// Folder or program, for people.
    place: PathBuf,
    state: EnvironmentState,
    size_bytes: Option<u64>,
    origin: Origin,
    /// It answered with its version in this process.
    verified: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Made by Kiln.
    Ours,
    /// Installed by the owner; never changed.
    Adopted,
}

/// Written last.
#[derive(Deserialize, Serialize)]
struct Record {
    version: String,
    size_bytes: u64,
}

/// Why the newest version is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewestError {
    /// Nothing to ask with.
    #[error(transparent)]
    NoInterpreter(#[from] NoInterpreter),
    /// The index did not answer, or not with a version; the text is one clause.
    #[error("the package index did not name an ESPHome: {0}")]
    NotNamed(String),
}

/// Why a version cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    /// Only exact releases can be installed.
    #[error("ESPHome {0} is no release that can be installed")]
    NotPinnable(EsphomeVersion),
    /// Nothing to run it on.
    #[error(transparent)]
    NoInterpreter(#[from] NoInterpreter),
    /// Installing failed; the whole output was said meanwhile.
    #[error("ESPHome {version} was not installed: {reason}")]
    Failed {
        /// Wanted version.
        version: EsphomeVersion,
        /// What happened.
        reason: String,
    },
}

impl Environments {
    /// Makes the collection; nothing is read yet. `surroundings` are the variables Kiln was started
    /// with; `KILN_PYTHON` among them names an interpreter, and `KILN_ESPHOME` the installed program
    /// for own builds.
    pub fn new(
        folder: PathBuf,
        processes: Arc<dyn Processes>,
        clock: Arc<dyn Clock>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            programs: Programs {
                processes,
                clock,
                surroundings,
                folder,
            },
            state: watch::Sender::default(),
            turns: Mutex::default(),
            look: watch::Sender::default(),
        }
    }

    /// Announces that [`Environments::tidy`] follows: until it looked, [`Environments::looked`]
    /// waits.
    pub fn expect_look(&self) {
        self.look.send_replace(Look::Ahead);
    }

    /// Waits until an announced look for what the owner has installed is over.
    pub async fn looked(&self) {
        let mut look = self.look.subscribe();
        // The sender is ours, so this ends with `Over` only.
        let _ = look.wait_for(|look| *look == Look::Over).await;
    }

    /// Follows the settings `python` and `esphome_version`. The latter may also be the path of an
    /// installed `esphome` program; `KILN_ESPHOME` goes before it, so that one process can use
    /// another program without a change of what is remembered.
    pub fn follow(&self, settings: &Settings) {
        let python = Some(settings.python.trim()).filter(|python| !python.is_empty());
        let given = self.programs.surroundings.get("KILN_ESPHOME");
        let own = match given.unwrap_or(&settings.esphome_version).trim() {
            "" => Own::Newest,
            text => match EsphomeVersion::parse(text) {
                Some(version) => Own::Version(version),
                None if Path::new(text).is_absolute() => Own::Program(text.into()),
                None => Own::Nothing,
            },
        };
        self.state.send_modify(|state| {
            state.python = python.map(PathBuf::from);
            state.own = own;
        });
    }

    /// Reads the folder, without starting anything.
    pub async fn scan(&self) -> Vec<EnvironmentInfo> {
        for version in self.versions_on_disk().await {
            let folder = self.folder_of(&version);
            let (state, size_bytes) = match read_record(&folder, &version).await {
                Some(record) => (EnvironmentState::Ready, Some(record.size_bytes)),
                None => (
                    EnvironmentState::Broken("its installation was interrupted".into()),
                    None,
                ),
            };
            let launcher = Launcher::module(&python_in(&folder));
            let found = Known {
                launcher,
                place: folder,
                state,
                size_bytes,
                origin: Origin::Ours,
                verified: false,
            };
            self.state.send_if_modified(|state| {
                let new = !state.known.contains_key(&version);
                if new {
                    state.known.insert(version, found);
                }
                new
            });
        }
        self.list()
    }

    /// Tidies up once after the start: looks for an ESPHome of the owner, deletes interrupted
    /// installations and environments that are older than the one for own builds (MUST 81), asks
    /// the others whether they work, and repairs the one for own builds. Takes seconds; installing
    /// and building may go on meanwhile.
    pub async fn tidy(&self) -> Vec<EnvironmentInfo> {
        self.scan().await;
        self.adopt().await;
        self.look.send_replace(Look::Over);
        self.sweep().await;
        for (version, _) in self.ours() {
            let turn = self.turn(&version);
            let _turn = turn.lock().await;
            self.works(&version).await;
        }
        let own = self.wanted_for_own();
        if let Some(version) = own.filter(|version| self.is_broken(version)) {
            tracing::warn!(%version, "the environment for own builds is broken; repairing it");
            if let Err(error) = self.ensure(&version, |_| async {}).await {
                tracing::error!(%version, %error, "the environment was not repaired");
            }
        }
        self.list()
    }

    /// Returns what tells that [`Environments::list`] may have changed.
    pub fn changes(&self) -> Changes {
        Changes(self.state.subscribe())
    }

    /// Returns what is known, in order of version, without looking again.
    pub fn list(&self) -> Vec<EnvironmentInfo> {
        let state = self.state();
        let own = state.own_version();
        let info = |(version, known): (&EsphomeVersion, &Known)| EnvironmentInfo {
            version: version.clone(),
            path: known.place.display().to_string(),
            state: known.state.clone(),
            size_bytes: known.size_bytes,
            installed: own == Some(version),
        };
        let mut list: Vec<_> = state.known.iter().map(info).collect();
        list.sort_by(|a, b| a.version.order_key().cmp(&b.version.order_key()));
        list
    }

    /// Returns how to start a version, `None` being the one for own builds.
    pub fn launcher(&self, version: Option<&EsphomeVersion>) -> Option<(EsphomeVersion, Launcher)> {
        let state = self.state();
        let version = version.or(state.own_version())?;
        let known = state.known.get(version)?;
        let ready = known.state == EnvironmentState::Ready;
        ready.then(|| (version.clone(), known.launcher.clone()))
    }

    /// Asks the package index for the newest release that runs here. Whatever is configured for uv
    /// or pip is used, mirrors included.
    pub async fn newest(&self) -> Result<EsphomeVersion, NewestError> {
        let uv = self.programs.on_path(&["uv"]).into_iter().next();
        let interpreter = self.interpreter(uv.as_deref()).await;
        let folder = self.programs.folder.join(QUESTION);
        let mut reason = String::new();
        for tool in tools(uv, interpreter)? {
            match self.newest_with(&tool, &folder).await {
                Ok(version) => return Ok(version),
                Err(error) => reason = error,
            }
        }
        Err(NewestError::NotNamed(reason))
    }

    /// `folder` is there for the question only.
    async fn newest_with(&self, tool: &Tool, folder: &Path) -> Result<EsphomeVersion, String> {
        remove_folder(folder).await;
        let answer = self.ask_index(tool, folder).await;
        remove_folder(folder).await;
        answer?.ok_or_else(|| "its answer is not understood".to_owned())
    }

    async fn ask_index(
        &self,
        tool: &Tool,
        folder: &Path,
    ) -> Result<Option<EsphomeVersion>, String> {
        let said = Mutex::new(None);
        let hear = |line: String| {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
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
                self.run("making an environment", program, &arguments, MAKE, &|_| {
                    std::future::ready(())
                })
                .await?;
                let python = python_in(folder);
                let arguments = ["-m", "pip", "index", "versions", "esphome"];
                self.programs
                    .run(&python, &arguments, QUESTION_LIMIT, hear)
                    .await
            }
        };
        asked.map_err(|error| error.to_string())?;
        Ok(said.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists a version as being installed before [`Environments::ensure`] begins, so that who looks
    /// from now on sees its installation and no older outcome. Nothing happens to one that is ready.
    pub fn announce(&self, version: &EsphomeVersion) {
        let is_ready = self
            .state()
            .known
            .get(version)
            .is_some_and(|known| known.state == EnvironmentState::Ready);
        if !is_ready {
            self.note_installing(version, "beginning");
        }
    }

    /// Makes sure that a version is installed and works; repairs it if it does not. Output goes to
    /// `say` with its terminators. Two calls for one version install it once. Dropping the future
    /// stops the installation and leaves nothing that counts as installed.
    pub async fn ensure<Saying: Future<Output = ()>>(
        &self,
        version: &EsphomeVersion,
        say: impl Fn(String) -> Saying,
    ) -> Result<(), ProvisionError> {
        let turn = self.turn(version);
        let _turn = turn.lock().await;
        // Another Kiln that shares the folder may have made it meanwhile.
        self.scan().await;
        if self.works(version).await {
            return Ok(());
        }
        if !version.is_pinnable() {
            return Err(ProvisionError::NotPinnable(version.clone()));
        }
        let mut unfinished = Unfinished {
            environments: self,
            version,
            outcome: None,
        };
        let outcome = self.install(version, &say).await;
        if outcome.is_err() {
            self.delete(version).await;
        }
        unfinished.outcome = Some(match &outcome {
            Ok(size) => Ok(*size),
            // The version is in the list already.
            Err(ProvisionError::Failed { reason, .. }) => Err(reason.clone()),
            Err(error) => Err(error.to_string()),
        });
        outcome.map(|_| ())
    }

    /// Answers from memory if it worked in this process and is still there, else asks it.
    async fn works(&self, version: &EsphomeVersion) -> bool {
        let known = self.state().known.get(version).cloned();
        let Some(known) = known else { return false };
        let there = fs::try_exists(&known.launcher.program)
            .await
            .unwrap_or_default();
        if known.state != EnvironmentState::Ready || !there {
            return false;
        }
        if known.verified {
            return true;
        }
        let answer = self.ask(&known.launcher, version).await;
        self.judge(version, answer)
    }

    /// Makes an environment from nothing and returns its size in bytes.
    async fn install<Saying: Future<Output = ()>>(
        &self,
        version: &EsphomeVersion,
        say: &impl Fn(String) -> Saying,
    ) -> Result<u64, ProvisionError> {
        let failed = |reason: String| ProvisionError::Failed {
            version: version.clone(),
            reason,
        };
        self.note_installing(version, "looking for Python");
        let uv = self.programs.on_path(&["uv"]).into_iter().next();
        let interpreter = self.interpreter(uv.as_deref()).await;
        let tools = tools(uv, interpreter)?;
        let mut reason = String::new();
        for tool in tools {
            self.delete(version).await;
            say(format!(
                "*** Installing ESPHome {version} with {} ***\n",
                tool.name()
            ))
            .await;
            match self.install_with(&tool, version, say).await {
                Ok(size) => return Ok(size),
                Err(error) => reason = error,
            }
        }
        Err(failed(reason))
    }

    async fn install_with<Saying: Future<Output = ()>>(
        &self,
        tool: &Tool,
        version: &EsphomeVersion,
        say: &impl Fn(String) -> Saying,
    ) -> Result<u64, String> {
        let folder = self.folder_of(version);
        let place = folder.display().to_string();
        self.note_installing(version, "making the environment");
        let (program, arguments) = tool.make(&place);
        self.run("making its environment", program, &arguments, MAKE, say)
            .await?;
        self.note_installing(version, "downloading and installing");
        let python = python_in(&folder);
        let requirement = format!("esphome=={version}");
        let python_text = python.display().to_string();
        let (program, arguments) = tool.fill(&python_text, &requirement);
        let program = program.unwrap_or(&python);
        self.run("installing it", program, &arguments, FILL, say)
            .await?;
        self.note_installing(version, "checking that it works");
        self.ask(&Launcher::module(&python), version).await?;
        let size_bytes = size_of(&folder).await;
        let record = Record {
            version: version.to_string(),
            size_bytes,
        };
        write_record(&folder, &record)
            .await
            .map_err(|error| format!("{place}: {error}"))?;
        Ok(size_bytes)
    }

    async fn run<Saying: Future<Output = ()>>(
        &self,
        step: &str,
        program: &Path,
        arguments: &[&str],
        limit: Duration,
        say: &impl Fn(String) -> Saying,
    ) -> Result<(), String> {
        let ran = self.programs.run(program, arguments, limit, say).await;
        ran.map(|_| ())
            .map_err(|error| format!("{step} failed: {error}"))
    }

    /// Asks an ESPHome for its version, which has to be this one.
    async fn ask(&self, launcher: &Launcher, version: &EsphomeVersion) -> Result<(), String> {
        let answer = self
            .answer(launcher)
            .await
            .map_err(|error| error.to_string())?;
        if names_version(&answer, version) {
            Ok(())
        } else {
            Err(format!("it is another version than {version}"))
        }
    }

    async fn answer(&self, launcher: &Launcher) -> Result<String, RunError> {
        let mut arguments: Vec<&str> = launcher.leading.iter().map(String::as_str).collect();
        arguments.push("version");
        self.programs
            .run(&launcher.program, &arguments, ANSWER, |_| async {})
            .await
    }

    /// The interpreter from the settings, else from `KILN_PYTHON`, else found.
    async fn interpreter(&self, uv: Option<&Path>) -> Result<Interpreter, NoInterpreter> {
        let set = self.state().python.clone();
        let set = set.or_else(|| {
            self.programs
                .surroundings
                .get("KILN_PYTHON")
                .map(PathBuf::from)
        });
        interpreter::find(&self.programs, set.as_deref(), uv).await
    }

    /// Takes over the `esphome` that the setting names, or that is on the search path.
    async fn adopt(&self) {
        let own = self.state().own.clone();
        let place = match own {
            Own::Program(place) => Some(place),
            Own::Newest | Own::Version(_) | Own::Nothing => {
                self.programs.on_path(&["esphome"]).into_iter().next()
            }
        };
        let Some(place) = place else { return };
        let launcher = Launcher::program(&place);
        let version = match self.answer(&launcher).await {
            Ok(answer) => version_of(&answer),
            Err(error) => {
                tracing::info!(program = %place.display(), %error, "this esphome is not used");
                return;
            }
        };
        let Some(version) = version else { return };
        self.state.send_modify(|state| {
            let chosen = state.own == Own::Program(place.clone());
            let known = state.known.get(&version);
            if chosen || known.is_none_or(|known| known.state != EnvironmentState::Ready) {
                let adopted = Known {
                    launcher,
                    place,
                    state: EnvironmentState::Ready,
                    size_bytes: None,
                    origin: Origin::Adopted,
                    verified: true,
                };
                state.known.insert(version, adopted);
            }
        });
    }

    /// Deletes what is not needed, unless somebody uses it or has used it in this process. The
    /// version for own builds stays; while it is not ready and pinnable, nothing counts as older,
    /// so the last environment never goes.
    async fn sweep(&self) {
        let own = self.launcher(None).map(|(version, _)| version);
        let own = own.filter(EsphomeVersion::is_pinnable);
        let wanted = self.wanted_for_own();
        for (version, _) in self.ours() {
            let turn = self.turn(&version);
            let Ok(_turn) = turn.try_lock() else { continue };
            let known = self.state().known.get(&version).cloned();
            let Some(known) = known.filter(|known| !known.verified) else {
                continue;
            };
            let older = own
                .as_ref()
                .is_some_and(|own| version.order_key() < own.order_key());
            let interrupted = known.state != EnvironmentState::Ready;
            if older || (interrupted && wanted.as_ref() != Some(&version)) {
                tracing::info!(%version, interrupted, "deleting an environment");
                self.delete(&version).await;
                self.state.send_modify(|state| {
                    state.known.remove(&version);
                });
            }
        }
    }

    /// Returns the versions that Kiln installed, with their sizes in bytes and when that was.
    pub(crate) async fn inventory(&self) -> Vec<(EsphomeVersion, u64, SystemTime)> {
        let mut all = Vec::new();
        for (version, known) in self.ours() {
            let record = self.folder_of(&version).join(RECORD);
            let made = fs::metadata(record)
                .await
                .and_then(|facts| facts.modified());
            if let (Some(bytes), Ok(made)) = (known.size_bytes, made) {
                all.push((version, bytes, made));
            }
        }
        all
    }

    /// Deletes a version that Kiln installed, unless it is just being installed or checked; returns
    /// whether it is gone. Nothing happens to the one for own builds.
    pub(crate) async fn evict(&self, version: &EsphomeVersion) -> bool {
        let turn = self.turn(version);
        let Ok(_turn) = turn.try_lock() else {
            return false;
        };
        let own = self.launcher(None).map(|(version, _)| version);
        if own.as_ref() == Some(version) || !self.ours().iter().any(|(ours, _)| ours == version) {
            return false;
        }
        self.delete(version).await;
        self.state.send_modify(|state| {
            state.known.remove(version);
        });
        !fs::try_exists(self.folder_of(version))
            .await
            .unwrap_or(true)
    }

    /// Returns what is held while a version is installed, checked or deleted.
    fn turn(&self, version: &EsphomeVersion) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(version.clone()).or_default())
    }

    /// Remembers the outcome of a health check.
    fn judge(&self, version: &EsphomeVersion, answer: Result<(), String>) -> bool {
        let works = answer.is_ok();
        self.state.send_modify(|state| {
            if let Some(known) = state.known.get_mut(version) {
                known.verified = works;
                known.state = match answer {
                    Ok(()) => EnvironmentState::Ready,
                    Err(problem) => EnvironmentState::Broken(problem),
                };
            }
        });
        works
    }

    fn note_installing(&self, version: &EsphomeVersion, step: &str) {
        let place = self.folder_of(version);
        let known = Known {
            launcher: Launcher::module(&python_in(&place)),
            place,
            state: EnvironmentState::Installing(step.to_owned()),
            size_bytes: None,
            origin: Origin::Ours,
            verified: false,
        };
        self.state.send_modify(|state| {
            state.known.insert(version.clone(), known);
        });
    }

    /// Our environments.
    fn ours(&self) -> Vec<(EsphomeVersion, Known)> {
        let state = self.state();
        let ours = state
            .known
            .iter()
            .filter(|(_, known)| known.origin == Origin::Ours);
        ours.map(|(version, known)| (version.clone(), known.clone()))
            .collect()
    }

    /// The version own builds should use, ready or not.
    fn wanted_for_own(&self) -> Option<EsphomeVersion> {
        let state = self.state();
        match &state.own {
            Own::Version(version) => Some(version.clone()),
            Own::Newest => match state.own_version() {
                Some(_) => None,
                None => state.newest(|_| true).cloned(),
            },
            Own::Program(_) | Own::Nothing => None,
        }
    }

    fn is_broken(&self, version: &EsphomeVersion) -> bool {
        let state = self.state();
        let known = state.known.get(version);
        known.is_some_and(|known| matches!(known.state, EnvironmentState::Broken(_)))
    }

    async fn versions_on_disk(&self) -> Vec<EsphomeVersion> {
        let mut versions = Vec::new();
        let Ok(mut entries) = fs::read_dir(&self.programs.folder).await else {
            return versions;
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name
                .strip_prefix("esphome-")
                .and_then(EsphomeVersion::parse);
            versions.extend(version.filter(EsphomeVersion::is_pinnable));
        }
        versions
    }

    /// Deletes an environment of ours from the disk, whatever is in its place. The record goes
    /// first: half an environment is none.
    async fn delete(&self, version: &EsphomeVersion) {
        let folder = self.folder_of(version);
        for outcome in [
            fs::remove_file(folder.join(RECORD)).await,
            fs::remove_dir_all(&folder).await,
        ] {
            match outcome {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%version, %error, "an environment was not deleted");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn folder_of(&self, version: &EsphomeVersion) -> PathBuf {
        self.programs.folder.join(format!("esphome-{version}"))
    }

    fn state(&self) -> watch::Ref<'_, State> {
        self.state.borrow()
    }
}

impl State {
    /// The version own builds use, if it is ready.
    fn own_version(&self) -> Option<&EsphomeVersion> {
        let ready = |known: &Known| known.state == EnvironmentState::Ready;
        match &self.own {
            Own::Newest => self.newest(ready),
            Own::Version(version) => {
                let (version, known) = self.known.get_key_value(version)?;
                ready(known).then_some(version)
            }
            Own::Program(place) => {
                let mut all = self.known.iter();
                all.find(|(_, known)| known.place == *place && ready(known))
                    .map(|(v, _)| v)
            }
            Own::Nothing => None,
        }
    }

    /// The newest version; one that is no release (a checkout of the owner) comes last.
    fn newest(&self, fits: impl Fn(&Known) -> bool) -> Option<&EsphomeVersion> {
        let fitting = self.known.iter().filter(|(_, known)| fits(known));
        fitting
            .map(|(version, _)| version)
            .max_by_key(|version| version.order_key())
    }
}

/// What the list says while an installation runs, and after it ended or was dropped.
struct Unfinished<'a> {
    environments: &'a Environments,
    version: &'a EsphomeVersion,
    outcome: Option<Result<u64, String>>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let outcome = self.outcome.take();
        self.environments.state.send_modify(|state| {
            let Some(known) = state.known.get_mut(self.version) else {
                return;
            };
            match outcome {
                Some(Ok(size)) => {
                    known.state = EnvironmentState::Ready;
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

/// How an environment is made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tool {
    /// uv, with an interpreter that was found, or one that it fetches.
    Uv { uv: PathBuf, python: String },
    /// The interpreter's own `venv` and pip.
    Pip { python: PathBuf },
}

/// Returns the ways to try, fastest first. pip comes after uv because it reads the owner's
/// `pip.conf`, where a mirror may be configured that uv does not know.
fn tools(
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
    fn name(&self) -> &'static str {
        match self {
            Tool::Uv { .. } => "uv",
            Tool::Pip { .. } => "pip",
        }
    }

    /// Makes an environment with pip in it: some of ESPHome's toolchains call pip themselves.
    fn make<'a>(&'a self, place: &'a str) -> (&'a Path, Vec<&'a str>) {
        match self {
            Tool::Uv { uv, python } => (
                uv,
                vec!["venv", "--no-project", "--seed", "--python", python, place],
            ),
            Tool::Pip { python } => (python, vec!["-m", "venv", place]),
        }
    }

    /// Installs into it; the program is `None` for the environment's own interpreter.
    fn fill<'a>(
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

/// The interpreter of an environment: the one that exists, else where it would be.
fn python_in(folder: &Path) -> PathBuf {
    let places = PYTHONS.map(|place| folder.join(place));
    let [first, ..] = &places;
    places
        .iter()
        .find(|place| place.is_file())
        .unwrap_or(first)
        .clone()
}

/// Reads the record; `None` if it is missing, of another version, or without interpreter.
async fn read_record(folder: &Path, version: &EsphomeVersion) -> Option<Record> {
    let record: Record = serde_json::from_slice(&fs::read(folder.join(RECORD)).await.ok()?).ok()?;
    (record.version == version.as_str() && python_in(folder).is_file()).then_some(record)
}

/// Writes the record whole and synced.
async fn write_record(folder: &Path, record: &Record) -> std::io::Result<()> {
    let (written, place) = (folder.join("kiln-environment.new"), folder.join(RECORD));
    let mut file = fs::File::create(&written).await?;
    tokio::io::AsyncWriteExt::write_all(&mut file, &serde_json::to_vec(record)?).await?;
    file.sync_all().await?;
    drop(file);
    fs::rename(&written, &place).await
}

/// Bytes in a folder; links count as themselves. What cannot be read counts nothing.
async fn size_of(folder: &Path) -> u64 {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || Held::default().with(&folder).bytes)
        .await
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs as disk;

    use kiln_ports::process::Command;
    use kiln_testkit::{Script, ScriptedProcesses, SimClock};

    use super::*;

    /// A machine with some programs, on which environments can be made.
    struct Machine {
        folder: tempfile::TempDir,
        clock: Arc<SimClock>,
        processes: Arc<ScriptedProcesses>,
        environments: Environments,
        said: Mutex<String>,
    }

    /// What works on the machine; tests change it while it runs.
    #[derive(Clone, Default)]
    struct World(Arc<Mutex<BTreeSet<&'static str>>>);

    impl World {
        fn breaks(&self, what: &'static str) {
            self.0.lock().unwrap().insert(what);
        }

        fn works_again(&self, what: &'static str) {
            self.0.lock().unwrap().remove(what);
        }

        fn broken(&self, what: &str) -> bool {
            self.0.lock().unwrap().contains(what)
        }

        /// Behaves like Python, pip, uv and ESPHome, as far as Kiln calls them.
        fn behave(&self, command: &Command) -> Script {
            let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
            let program = command.program.to_string_lossy().into_owned();
            match arguments.as_slice() {
                ["-c", _] if program.ends_with("old") => Script::exits(0).says("kiln 3 11 1\n"),
                ["-c", _] if self.broken("python") => {
                    Script::exits(1).says("No module named ssl\n")
                }
                ["-c", _] => Script::exits(0).says("kiln 3 13 1\n"),
                ["-m", "venv", place] | ["venv", .., place] => {
                    if program.ends_with("uv") && self.broken("uv") {
                        return Script::exits(2).says("uv is sad\n");
                    }
                    if self.broken("venv hangs") {
                        return Script::hangs().says("making\n");
                    }
                    let python = Path::new(place).join("bin/python");
                    disk::create_dir_all(python.parent().unwrap()).unwrap();
                    disk::write(&python, "python").unwrap();
                    Script::exits(0)
                }
                ["-m", "pip", "index", ..] | ["pip", "compile", ..] => {
                    let with_uv = program.ends_with("uv");
                    match (self.broken("network"), with_uv, self.broken("uv")) {
                        (true, ..) | (_, true, true) => Script::exits(1).says("No network\n"),
                        (false, true, false) => {
                            Script::exits(0).says("Resolved 1 package\nesphome==2026.11.0\n")
                        }
                        (false, false, _) => Script::exits(0)
                            .says("\u{1b}[33mWARNING: pip index is experimental.\n\u{1b}[0m")
                            .says(
                                "esphome (2026.11.0)\nAvailable versions: 2026.11.0, 2026.10.0\n",
                            ),
                    }
                }
                ["-m", "pip", .., requirement] | ["pip", .., requirement] => {
                    match requirement
                        .split_once("==")
                        .filter(|_| !self.broken("network"))
                    {
                        Some((_, version)) => {
                            let python = match program.ends_with("uv") {
                                true => PathBuf::from(arguments[3]),
                                false => command.program.clone(),
                            };
                            disk::write(python, version).unwrap();
                            Script::exits(0)
                                .says("Collecting esphome\n")
                                .says("Successfully installed\n")
                        }
                        None => Script::exits(1).says("No matching distribution\n"),
                    }
                }
                ["-m", "esphome", "version"] if self.broken("esphome") => {
                    Script::exits(1).says("ImportError\n")
                }
                ["-m", "esphome", "version"] => {
                    let version = disk::read_to_string(&command.program).unwrap();
                    Script::exits(0).says(&format!("Version: {version}\n"))
                }
                ["version"] => Script::exits(0).says("Version: 2026.9.0\n"),
                _ => Script::missing(),
            }
        }
    }

    impl Machine {
        /// `programs` are files on the search path.
        fn new(world: &World, programs: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            disk::create_dir_all(folder.path().join("bin")).unwrap();
            for program in programs {
                disk::write(folder.path().join("bin").join(program), "").unwrap();
            }
            let world = world.clone();
            let clock = Arc::new(SimClock::new());
            let processes = Arc::new(ScriptedProcesses::new(move |c| world.behave(c)));
            let path = folder.path().join("bin").display().to_string();
            let surroundings = Surroundings::new(vec![("PATH".to_owned(), path)]);
            let environments = Environments::new(
                folder.path().join("environments"),
                Arc::clone(&processes) as Arc<dyn Processes>,
                Arc::clone(&clock) as Arc<dyn Clock>,
                surroundings,
            );
            Self {
                folder,
                clock,
                processes,
                environments,
                said: Mutex::default(),
            }
        }

        /// Only the named interpreter is looked at, whatever the machine of the test has.
        fn with_python() -> (World, Self) {
            let world = World::default();
            let machine = Self::new(&world, &["python3.13"]);
            machine.python("bin/python3.13");
            (world, machine)
        }

        fn python(&self, place: &str) {
            let python = self.folder.path().join(place).display().to_string();
            self.environments.follow(&Settings {
                python,
                ..Settings::default()
            });
        }

        /// The same disk after a restart of Kiln.
        fn restarted(self, world: &World) -> Self {
            let mut next = Self::new(world, &["python3.13"]);
            next.folder = self.folder;
            next.environments.programs.folder = next.folder.path().join("environments");
            next.python("bin/python3.13");
            next
        }

        async fn ensure(&self, text: &str) -> Result<(), ProvisionError> {
            let say = |line: String| {
                self.said.lock().unwrap().push_str(&line);
                async {}
            };
            self.environments.ensure(&version(text), say).await
        }

        /// Started programs whose arguments contain `word`.
        fn count(&self, word: &str) -> usize {
            let started = self.processes.started();
            started
                .iter()
                .filter(|c| c.arguments.iter().any(|a| a == word))
                .count()
        }

        fn environment(&self, text: &str) -> PathBuf {
            self.folder
                .path()
                .join("environments")
                .join(format!("esphome-{text}"))
        }

        fn states(&self) -> Vec<(String, EnvironmentState)> {
            let list = self.environments.list().into_iter();
            list.map(|info| (info.version.to_string(), info.state))
                .collect()
        }
    }

    fn version(text: &str) -> EsphomeVersion {
        text.parse().unwrap()
    }

    fn ready(text: &str) -> (String, EnvironmentState) {
        (text.to_owned(), EnvironmentState::Ready)
    }

    // Covers: M77
    #[tokio::test]
    async fn a_wanted_version_is_installed_exactly_verified_and_started_from_its_environment() {
        let (_world, machine) = Machine::with_python();
        machine.ensure("2026.10.0b6").await.unwrap();
        let (found, launcher) = machine
            .environments
            .launcher(Some(&version("2026.10.0b6")))
            .unwrap();
        assert_eq!(found, version("2026.10.0b6"));
        let python = machine.environment("2026.10.0b6").join("bin/python");
        assert_eq!(launcher, Launcher::module(&python));
        let said = machine.said.lock().unwrap().clone();
        assert!(
            said.starts_with("*** Installing ESPHome 2026.10.0b6 with pip ***\n"),
            "{said}"
        );
        assert!(said.contains("Collecting esphome\n"));
        let info = machine.environments.list().remove(0);
        assert_eq!(info.state, EnvironmentState::Ready);
        assert!(info.size_bytes.is_some_and(|size| size > 0));
    }

    #[tokio::test]
    async fn a_program_that_the_environment_names_goes_before_the_setting() {
        let world = World::default();
        let mut machine = Machine::new(&world, &["mine"]);
        let program = machine.folder.path().join("bin/mine");
        machine.environments.programs.surroundings = Surroundings::new(vec![(
            "KILN_ESPHOME".to_owned(),
            program.display().to_string(),
        )]);
        machine.environments.follow(&Settings {
            esphome_version: "2026.10.0".to_owned(),
            ..Settings::default()
        });
        machine.environments.tidy().await;
        let found = machine.environments.launcher(None);
        assert_eq!(
            found,
            Some((version("2026.9.0"), Launcher::program(&program)))
        );
    }

    #[tokio::test]
    async fn the_newest_release_is_asked_of_the_index_with_whatever_is_there_and_nothing_stays() {
        let world = World::default();
        let machine = Machine::new(&world, &["python3.13", "uv"]);
        machine.python("bin/python3.13");
        let newest = Ok(version("2026.11.0"));
        assert_eq!(machine.environments.newest().await, newest);
        assert_eq!(machine.count("venv"), 0, "uv needs no environment to ask");
        let (_world, with_pip) = Machine::with_python();
        assert_eq!(with_pip.environments.newest().await, newest);
        for machine in [machine, with_pip] {
            assert!(!machine.environments.programs.folder.join(QUESTION).exists());
            assert_eq!(machine.states(), []);
        }
    }

    #[tokio::test]
    async fn an_index_that_does_not_answer_is_told_with_what_the_tool_said() {
        let (world, machine) = Machine::with_python();
        world.breaks("network");
        let error = machine.environments.newest().await.unwrap_err().to_string();
        assert!(error.ends_with("No network"), "{error}");
    }

    // Covers: M77
    #[tokio::test]
    async fn a_version_that_cannot_be_had_is_an_error_with_the_end_of_the_output_and_leaves_nothing()
     {
        let (world, machine) = Machine::with_python();
        world.breaks("network");
        let error = machine.ensure("2026.10.0").await.unwrap_err().to_string();
        assert!(
            error.contains("ESPHome 2026.10.0 was not installed"),
            "{error}"
        );
        assert!(error.ends_with("No matching distribution"), "{error}");
        assert!(!machine.environment("2026.10.0").exists());
        let shown = "installing it failed: No matching distribution".to_owned();
        let shown = EnvironmentState::Broken(shown);
        assert_eq!(machine.states(), [("2026.10.0".to_owned(), shown)]);
        assert_eq!(machine.environments.launcher(None), None);
    }

    // Covers: M78
    #[tokio::test]
    async fn a_version_that_is_no_release_is_refused_without_starting_anything() {
        let (_world, machine) = Machine::with_python();
        for text in ["2026.10.0-dev", "2026.10.0+x", "v2026.10.0"] {
            let refused = machine.ensure(text).await;
            assert_eq!(refused, Err(ProvisionError::NotPinnable(version(text))));
        }
        assert_eq!(machine.processes.lines(), Vec::<String>::new());
    }

    // Covers: M79
    #[tokio::test]
    async fn an_environment_that_is_another_version_than_its_folder_is_rebuilt() {
        let (world, machine) = Machine::with_python();
        machine.ensure("2026.10.0").await.unwrap();
        let machine = machine.restarted(&world);
        disk::write(
            machine.environment("2026.10.0").join("bin/python"),
            "2026.10.0b6",
        )
        .unwrap();
        assert_eq!(machine.environments.scan().await.len(), 1);
        machine.ensure("2026.10.0").await.unwrap();
        assert_eq!(machine.count("venv"), 1, "made anew");
        assert_eq!(machine.states(), [ready("2026.10.0")]);
    }

    // Covers: M80
    #[tokio::test]
    async fn two_compiles_for_one_new_version_install_it_once() {
        let (_world, machine) = Machine::with_python();
        let (a, b) = tokio::join!(machine.ensure("2026.10.0"), machine.ensure("2026.10.0"));
        assert_eq!((a, b), (Ok(()), Ok(())));
        assert_eq!(machine.count("venv"), 1);
        machine.ensure("2026.10.0").await.unwrap();
        assert_eq!(
            machine.count("version"),
            1,
            "what worked in this process is not asked again"
        );
    }

    // Covers: M81
    #[tokio::test]
    async fn after_the_start_older_environments_go_and_newer_ones_stay() {
        let (world, machine) = Machine::with_python();
        for text in ["2026.10.0b6", "2026.9.1", "2026.10.0", "2026.11.0"] {
            machine.ensure(text).await.unwrap();
        }
        let machine = machine.restarted(&world);
        let esphome_version = "2026.10.0".to_owned();
        machine.environments.follow(&Settings {
            esphome_version,
            ..Settings::default()
        });
        disk::create_dir_all(machine.environment("2026.12.0")).unwrap();
        let infos = machine.environments.tidy().await;
        assert_eq!(machine.states(), [ready("2026.10.0"), ready("2026.11.0")]);
        assert!(
            !machine.environment("2026.12.0").exists(),
            "an interrupted installation"
        );
        assert!(!machine.environment("2026.9.1").exists());
        let own: Vec<bool> = infos.iter().map(|info| info.installed).collect();
        assert_eq!(own, [true, false]);
    }

    #[tokio::test]
    async fn an_older_environment_that_a_job_uses_already_is_not_deleted_under_it() {
        let (world, machine) = Machine::with_python();
        for text in ["2026.9.1", "2026.10.0"] {
            machine.ensure(text).await.unwrap();
        }
        let machine = machine.restarted(&world);
        machine.environments.scan().await;
        machine.ensure("2026.9.1").await.unwrap();
        machine.environments.tidy().await;
        assert_eq!(machine.states(), [ready("2026.9.1"), ready("2026.10.0")]);
    }

    // Covers: M81
    #[tokio::test]
    async fn nothing_is_deleted_while_the_version_for_own_builds_is_missing() {
        let (world, machine) = Machine::with_python();
        machine.ensure("2026.9.1").await.unwrap();
        let machine = machine.restarted(&world);
        let esphome_version = "2026.10.0".to_owned();
        machine.environments.follow(&Settings {
            esphome_version,
            ..Settings::default()
        });
        machine.environments.tidy().await;
        assert_eq!(machine.states(), [ready("2026.9.1")]);
        assert_eq!(machine.environments.launcher(None), None);
    }

    #[tokio::test]
    async fn own_builds_use_the_newest_unless_a_version_is_set() {
        let (_world, machine) = Machine::with_python();
        for text in ["2026.10.0", "2026.9.1", "2026.10.0b6"] {
            machine.ensure(text).await.unwrap();
        }
        let own = || {
            machine
                .environments
                .launcher(None)
                .map(|(version, _)| version.to_string())
        };
        assert_eq!(own().as_deref(), Some("2026.10.0"));
        let set = |text: &str| {
            let esphome_version = text.to_owned();
            machine.environments.follow(&Settings {
                esphome_version,
                ..Settings::default()
            });
        };
        set("2026.9.1");
        assert_eq!(own().as_deref(), Some("2026.9.1"));
        set("newest please");
        assert_eq!(own(), None);
    }

    #[tokio::test]
    async fn an_interrupted_installation_is_no_environment_and_is_finished_when_wanted() {
        let (world, machine) = Machine::with_python();
        world.breaks("venv hangs");
        let installing = machine.ensure("2026.10.0");
        tokio::select! {
            biased;
            done = installing => panic!("{done:?}"),
            () = until(|| machine.count("venv") == 1) => {}
        }
        assert_eq!(
            machine.processes.killed(),
            1,
            "nothing goes on when nobody waits"
        );
        assert_eq!(machine.states(), []);
        disk::create_dir_all(machine.environment("2026.10.0")).unwrap();
        world.works_again("venv hangs");
        let machine = machine.restarted(&world);
        let infos = machine.environments.scan().await;
        assert!(
            matches!(infos[0].state, EnvironmentState::Broken(_)),
            "{infos:?}"
        );
        assert_eq!(machine.environments.launcher(None), None);
        machine.environments.tidy().await;
        assert_eq!(
            machine.states(),
            [ready("2026.10.0")],
            "repaired for own builds"
        );
    }

    #[tokio::test]
    async fn an_environment_that_stopped_working_is_noticed_after_the_start_and_repaired() {
        let (world, machine) = Machine::with_python();
        machine.ensure("2026.10.0").await.unwrap();
        let machine = machine.restarted(&world);
        world.breaks("esphome");
        world.breaks("network");
        machine.environments.tidy().await;
        assert_eq!(machine.environments.launcher(None), None);
        let machine = machine.restarted(&world);
        world.works_again("esphome");
        world.works_again("network");
        machine.ensure("2026.10.0").await.unwrap();
        assert!(machine.environments.launcher(None).is_some());
    }

    #[tokio::test]
    async fn a_step_that_takes_too_long_is_killed_and_said() {
        let (world, machine) = Machine::with_python();
        world.breaks("venv hangs");
        let (done, ()) = tokio::join!(machine.ensure("2026.10.0"), async {
            until(|| machine.count("venv") == 1 && machine.clock.sleepers() == 1).await;
            machine.clock.advance(MAKE);
        });
        let error = done.unwrap_err().to_string();
        assert!(
            error.ends_with("making its environment failed: it took longer than 120 s"),
            "{error}"
        );
        assert_eq!(machine.processes.killed(), 1);
    }

    #[tokio::test]
    async fn the_steps_of_an_installation_are_told() {
        let (_world, machine) = Machine::with_python();
        let mut changes = machine.environments.changes();
        let mut steps = Vec::new();
        let installing = machine.ensure("2026.10.0");
        tokio::pin!(installing);
        loop {
            tokio::select! {
                biased;
                () = changes.next() => steps.extend(machine.states().into_iter().map(|s| s.1)),
                done = &mut installing => break done.unwrap(),
            }
        }
        // Who looks late sees the newest step only, so earlier ones may be missing.
        let under_way = |state: &EnvironmentState| matches!(state, EnvironmentState::Installing(_));
        assert!(steps.first().is_some_and(under_way));
        assert!(steps.contains(&EnvironmentState::Installing(
            "checking that it works".into()
        )));
        changes.next().await;
        assert_eq!(machine.states(), [ready("2026.10.0")]);
    }

    #[tokio::test]
    async fn uv_is_preferred_and_pip_is_tried_when_it_fails() {
        let world = World::default();
        let machine = Machine::new(&world, &["python3.13", "uv"]);
        machine.python("bin/python3.13");
        machine.ensure("2026.10.0").await.unwrap();
        let with_uv = |line: &String| line.contains("/bin/uv ");
        assert_eq!(
            machine
                .processes
                .lines()
                .iter()
                .filter(|line| with_uv(line))
                .count(),
            2
        );
        world.breaks("uv");
        machine.ensure("2026.10.1").await.unwrap();
        let said = machine.said.lock().unwrap().clone();
        assert!(
            said.contains("Installing ESPHome 2026.10.1 with pip"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_python_that_is_set_but_does_not_do_is_named_with_the_reason() {
        let world = World::default();
        let machine = Machine::new(&world, &["old", "python3.13"]);
        machine.python("bin/old");
        let error = machine.ensure("2026.10.0").await.unwrap_err().to_string();
        assert!(
            error.contains("old) cannot be used: it is Python 3.11"),
            "{error}"
        );
        machine.python("bin/python3.13");
        world.breaks("python");
        let error = machine.ensure("2026.10.0").await.unwrap_err().to_string();
        assert!(error.ends_with("No module named ssl"), "{error}");
    }

    #[tokio::test]
    async fn an_esphome_of_the_owner_is_used_as_it_is() {
        let world = World::default();
        let machine = Machine::new(&world, &["python3.13", "esphome"]);
        let infos = machine.environments.tidy().await;
        assert_eq!(machine.states(), [ready("2026.9.0")]);
        assert!(infos[0].installed && infos[0].size_bytes.is_none());
        let program = machine.folder.path().join("bin/esphome");
        let (_, launcher) = machine.environments.launcher(None).unwrap();
        assert_eq!(launcher, Launcher::program(&program));

        machine.python("bin/python3.13");
        machine.ensure("2026.10.0").await.unwrap();
        let own = |m: &Machine| m.environments.launcher(None).map(|(v, _)| v.to_string());
        assert_eq!(
            own(&machine).as_deref(),
            Some("2026.10.0"),
            "the newest wins"
        );
        let esphome_version = program.display().to_string();
        machine.environments.follow(&Settings {
            esphome_version,
            ..Settings::default()
        });
        assert_eq!(
            own(&machine).as_deref(),
            Some("2026.9.0"),
            "unless the program is set"
        );
        machine.environments.tidy().await;
        assert!(program.exists());
    }

    #[tokio::test]
    async fn a_job_that_is_faster_than_the_look_after_the_start_waits_for_it() {
        let world = World::default();
        let machine = Machine::new(&world, &["python3.13", "esphome"]);
        machine.environments.expect_look();
        let job = async {
            machine.environments.looked().await;
            machine.environments.launcher(None)
        };
        let (found, _) = tokio::join!(job, machine.environments.tidy());
        assert!(found.is_some());
    }

    #[test]
    fn without_any_python_uv_fetches_one() {
        let uv = PathBuf::from("/bin/uv");
        let tool = Tool::Uv {
            uv: uv.clone(),
            python: "3.13".to_owned(),
        };
        assert_eq!(
            tools(Some(uv.clone()), Err(NoInterpreter::NotFound)),
            Ok(vec![tool])
        );
        assert_eq!(
            tools(None, Err(NoInterpreter::NotFound)),
            Err(NoInterpreter::NotFound)
        );
        let unusable = NoInterpreter::Unusable {
            python: "p".into(),
            reason: "r".into(),
        };
        assert_eq!(tools(Some(uv), Err(unusable.clone())), Err(unusable));
    }

    /// Lets other tasks run until something is so.
    async fn until(so: impl Fn() -> bool) {
        for _ in 0..1_000_000 {
            if so() {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never came about");
    }
}
