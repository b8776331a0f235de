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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kiln_esphome::version_output::{names_version, version_of};
use kiln_esphome::{Launcher, Surroundings};
use kiln_model::{EnvironmentInfo, EnvironmentState, EsphomeVersion, Settings};
use kiln_ports::{Clock, Processes};
use serde::{Deserialize, Serialize};
use tokio::fs;

use crate::interpreter::{self, Interpreter, NoInterpreter};
use crate::programs::{Programs, RunError};

/// Time for making an empty environment, for filling it, and for its answer (builds.md §17).
const MAKE: Duration = Duration::from_secs(120);
const FILL: Duration = Duration::from_secs(900);
const ANSWER: Duration = Duration::from_secs(60);

/// The record that makes a folder an environment.
const RECORD: &str = "kiln-environment.json";

/// Where an environment's interpreter is, on one system or another.
const PYTHONS: [&str; 2] = ["bin/python", "Scripts/python.exe"];

/// The Python that uv fetches when there is none.
const FETCHED_PYTHON: &str = "3.13";

/// All environments of one Kiln.
pub struct Environments {
    programs: Programs,
    state: Mutex<State>,
    /// One per version that was ever asked for, so that it is installed once.
    installing: Mutex<BTreeMap<EsphomeVersion, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<EsphomeVersion, Known>,
    own: Own,
    python: Option<PathBuf>,
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

/// Why a version cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    /// Only exact releases can be installed.
    #[error("ESPHome {0} is no release that can be installed")]
    NotPinnable(EsphomeVersion),
    /// Nothing to run it on.
    #[error(transparent)]
    NoInterpreter(#[from] NoInterpreter),
    /// Installing failed; with the end of the output.
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
    /// with; `KILN_PYTHON` among them names an interpreter.
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
            state: Mutex::default(),
            installing: Mutex::default(),
        }
    }

    /// Follows the settings `python` and `esphome_version`. The latter may also be the path of an
    /// installed `esphome` program.
    pub fn follow(&self, settings: &Settings) {
        let mut state = self.state();
        state.python = Some(settings.python.trim())
            .filter(|s| !s.is_empty())
            .map(PathBuf::from);
        state.own = match settings.esphome_version.trim() {
            "" => Own::Newest,
            text => match EsphomeVersion::parse(text) {
                Some(version) => Own::Version(version),
                None if Path::new(text).is_absolute() => Own::Program(text.into()),
                None => Own::Nothing,
            },
        };
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
            self.state().known.entry(version).or_insert(Known {
                launcher,
                place: folder,
                state,
                size_bytes,
                origin: Origin::Ours,
                verified: false,
            });
        }
        self.list()
    }

    /// Tidies up once after the start: looks for an ESPHome of the owner, deletes environments that
    /// are older than the one for own builds (MUST 81), asks the others whether they work, and
    /// repairs the one for own builds. Takes seconds.
    pub async fn tidy(&self) -> Vec<EnvironmentInfo> {
        self.scan().await;
        self.adopt().await;
        self.sweep().await;
        for (version, known) in self.ours() {
            if !known.verified && known.state == EnvironmentState::Ready {
                let answer = self.ask(&known.launcher, &version).await;
                self.judge(&version, answer);
            }
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

    /// Makes sure that a version is installed and works; repairs it if it does not. Output goes to
    /// `say` with its terminators. Two calls for one version install it once. Dropping the future
    /// stops the installation and leaves nothing that counts as installed.
    pub async fn ensure<Saying: Future<Output = ()>>(
        &self,
        version: &EsphomeVersion,
        say: impl Fn(String) -> Saying,
    ) -> Result<(), ProvisionError> {
        let turn = {
            let mut installing = self
                .installing
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(installing.entry(version.clone()).or_default())
        };
        let _turn = turn.lock().await;
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
        unfinished.outcome = Some(outcome.as_ref().copied().map_err(ToString::to_string));
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
        fs::create_dir_all(&self.programs.folder)
            .await
            .map_err(|error| failed(format!("{}: {error}", self.programs.folder.display())))?;
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
        self.run("making it", program, &arguments, MAKE, say)
            .await?;
        self.note_installing(version, "downloading and installing");
        let python = python_in(&folder);
        let requirement = format!("esphome=={version}");
        let python_text = python.display().to_string();
        let (program, arguments) = tool.fill(&python_text, &requirement);
        let program = program.unwrap_or(&python);
        self.run("filling it", program, &arguments, FILL, say)
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
        ran.map(|_| ()).map_err(|error| format!("{step}: {error}"))
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
        let mut state = self.state();
        let chosen = state.own == Own::Program(place.clone());
        let ours = state
            .known
            .get(&version)
            .is_some_and(|k| k.state == EnvironmentState::Ready);
        if chosen || !ours {
            let known = Known {
                launcher,
                place,
                state: EnvironmentState::Ready,
                size_bytes: None,
                origin: Origin::Adopted,
                verified: true,
            };
            state.known.insert(version, known);
        }
    }

    /// Deletes our environments that are older than the one for own builds. Nothing is deleted
    /// unless that one is ready and pinnable, so the last environment never goes.
    async fn sweep(&self) {
        let Some((own, _)) = self.launcher(None) else {
            return;
        };
        if !own.is_pinnable() {
            return;
        }
        for (version, _) in self.ours() {
            if version.order_key() < own.order_key() {
                tracing::info!(%version, "deleting an environment older than our own");
                self.delete(&version).await;
                self.state().known.remove(&version);
            }
        }
    }

    /// Remembers the outcome of a health check.
    fn judge(&self, version: &EsphomeVersion, answer: Result<(), String>) -> bool {
        let mut state = self.state();
        let Some(known) = state.known.get_mut(version) else {
            return false;
        };
        known.verified = answer.is_ok();
        known.state = match answer {
            Ok(()) => EnvironmentState::Ready,
            Err(problem) => EnvironmentState::Broken(problem),
        };
        known.verified
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
        self.state().known.insert(version.clone(), known);
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut state = self.environments.state();
        match self.outcome.take() {
            Some(Ok(size)) => {
                if let Some(known) = state.known.get_mut(self.version) {
                    known.state = EnvironmentState::Ready;
                    known.size_bytes = Some(size);
                    known.verified = true;
                }
            }
            Some(Err(_)) | None => {
                state.known.remove(self.version);
            }
        }
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
    fn walk(folder: &Path) -> u64 {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return 0;
        };
        let size = |entry: std::fs::DirEntry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => walk(&entry.path()),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        };
        entries.flatten().map(size).sum()
    }
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || walk(&folder))
        .await
        .unwrap_or_default()
}
