//! [`Environments`]: the ESPHome versions on this machine: found, made, verified, repaired
//! (builds.md §7.3, §7.4).
//!
//! Kiln's own environments lie in one folder, `esphome-<version>` each. What makes such a folder
//! an environment is the record that is written into it last, after it answered with its version:
//! without it the folder is the rest of an interrupted installation. (It is not moved into place:
//! the programs of an environment contain its path.) An ESPHome on the search path is used too,
//! and never changed.
mod index;
mod known;
mod mark;
mod record;
#[cfg(test)]
mod tests;
mod tool;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use kiln_esphome::version_output::{names_version, version_of};
use kiln_esphome::{Launcher, Surroundings};
use kiln_model::{EnvironmentInfo, EnvironmentState, EsphomeVersion, Sentence, Settings, say};
use kiln_ports::{Clock, Processes};
use tokio::fs;
use tokio::sync::watch;

pub use self::index::NewestError;
use self::known::{Known, Look, Origin, Own, State};
use self::mark::Mark;
use self::record::{MadeFor, RECORD, Record, python_in, read_record, size_of, write_record};
use self::tool::{Tool, tools};
use crate::interpreter::{self, Interpreter, NoInterpreter};
use crate::lock::lock;
use crate::programs::{Customer, Programs, RunError};

/// Time for making an empty environment, for filling it, and for its answer (builds.md §17).
const MAKE: Duration = Duration::from_secs(120);
const FILL: Duration = Duration::from_secs(900);
const ANSWER: Duration = Duration::from_secs(60);

/// All environments of one Kiln.
pub struct Environments {
    programs: Programs,
    state: watch::Sender<State>,
    /// One per version, so that it is installed once.
    turns: Mutex<BTreeMap<EsphomeVersion, Arc<tokio::sync::Mutex<()>>>>,
    /// Held while the owner's ESPHome is asked again.
    adopting: tokio::sync::Mutex<()>,
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
                customer: Customer::Owner,
                processes,
                clock,
                surroundings,
                folder,
            },
            state: watch::Sender::default(),
            turns: Mutex::default(),
            adopting: tokio::sync::Mutex::default(),
        }
    }

    /// Announces that [`Environments::tidy`] follows: until it looked, [`Environments::looked`]
    /// waits.
    pub fn expect_look(&self) {
        self.state.send_modify(|state| state.look = Look::Ahead);
    }

    /// Waits until an announced look for what the owner has installed is over.
    pub async fn looked(&self) {
        let mut states = self.state.subscribe();
        // The sender is ours, so this ends with `Over` only.
        let _ = states.wait_for(|state| state.look == Look::Over).await;
    }

    /// Follows the settings `python` and `esphome_version`. `KILN_ESPHOME` goes before the latter, and
    /// may also be the path of an installed `esphome` program, so that one process can use another one
    /// without a change of what is remembered.
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
            let (state, size_bytes, made_for) = match read_record(&folder, &version).await {
                Some(record) => (
                    EnvironmentState::Ready,
                    Some(record.size_bytes),
                    record.made_for,
                ),
                None => (
                    EnvironmentState::Broken(say::installing_interrupted()),
                    None,
                    MadeFor::Others,
                ),
            };
            let launcher = Launcher::module(&python_in(&folder));
            let found = Known {
                launcher,
                place: folder,
                state,
                size_bytes,
                origin: Origin::Ours(made_for),
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
    /// installations and environments of others that are older than the one for own builds
    /// (MUST 81), asks the rest whether they work, and repairs the one for own builds. Takes seconds;
    /// installing and building may go on meanwhile.
    pub async fn tidy(&self) -> Vec<EnvironmentInfo> {
        self.scan().await;
        self.adopt().await;
        self.state.send_modify(|state| state.look = Look::Over);
        self.sweep().await;
        for (version, _) in self.ours() {
            let turn = self.turn(&version);
            let _turn = turn.lock().await;
            self.works(&version).await;
        }
        let own = self.wanted_for_own();
        if let Some(version) = own.filter(|version| self.is_broken(version)) {
            tracing::warn!(%version, "the environment for own builds is broken; repairing it");
            // Nobody asked for it, so it stays whose it was.
            let ensured = self.ensure_as(MadeFor::Others, Customer::Owner, &version, |_| async {});
            if let Err(error) = ensured.await {
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

    async fn ensure_as<Saying: Future<Output = ()>>(
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

    /// Asks an ESPHome for its version, which has to be this one.
    async fn ask(&self, launcher: &Launcher, version: &EsphomeVersion) -> Result<(), Sentence> {
        let answer = self
            .answer(launcher)
            .await
            .map_err(|error| error.sentence())?;
        if names_version(&answer, version) {
            Ok(())
        } else {
            Err(say::another_version(version))
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
        if let Some((version, adopted)) = self.owners().await {
            self.state
                .send_modify(|state| state.adopt(version, adopted));
        }
    }

    /// Asks the owner's ESPHome for its version again if it was replaced since it was asked: an upgrade
    /// makes another version of it while Kiln runs.
    pub(crate) async fn ask_again_if_replaced(&self) {
        let _turn = self.adopting.lock().await;
        let adopted = self.state().known.iter().find_map(|(version, known)| {
            let Origin::Adopted(mark) = &known.origin else {
                return None;
            };
            Some((version.clone(), known.place.clone(), mark.clone()))
        });
        let Some((old, place, mark)) = adopted else {
            return;
        };
        if mark.is_some() && Mark::of(&place).await == mark {
            return;
        }
        tracing::info!(program = %place.display(), "this esphome was replaced; it is asked again");
        let found = self.owners().await;
        self.state.send_modify(|state| {
            state.known.remove(&old);
            if let Some((version, adopted)) = found {
                state.adopt(version, adopted);
            }
        });
        // It may have stood before one of ours.
        self.scan().await;
    }

    /// Asks the owner's ESPHome which version it is.
    async fn owners(&self) -> Option<(EsphomeVersion, Known)> {
        let own = self.state().own.clone();
        let place = match own {
            Own::Program(place) => place,
            Own::Newest | Own::Version(_) | Own::Nothing => {
                self.programs.on_path(&["esphome"]).into_iter().next()?
            }
        };
        let launcher = Launcher::program(&place);
        // Before it answers: who replaces it meanwhile has it asked again.
        let mark = Mark::of(&place).await;
        let version = match self.answer(&launcher).await {
            Ok(answer) => version_of(&answer)?,
            Err(error) => {
                tracing::info!(program = %place.display(), %error, "this esphome is not used");
                return None;
            }
        };
        let adopted = Known {
            launcher,
            place,
            state: EnvironmentState::Ready,
            size_bytes: None,
            origin: Origin::Adopted(mark),
            verified: true,
        };
        Some((version, adopted))
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
            // What the owner asked for stays.
            let older = older && known.origin.made_for() == MadeFor::Others;
            let interrupted = known.state != EnvironmentState::Ready;
            if older || (interrupted && wanted.as_ref() != Some(&version)) {
                tracing::info!(%version, interrupted, "deleting an environment");
                self.delete(&version).await;
                self.forget_ours(&version);
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
        self.forget_ours(version);
        !fs::try_exists(self.folder_of(version))
            .await
            .unwrap_or(true)
    }

    /// A version that Kiln installed is not there any more. One of the owner's stays known.
    fn forget_ours(&self, version: &EsphomeVersion) {
        self.state.send_modify(|state| {
            let is_ours = |known: &Known| matches!(known.origin, Origin::Ours(_));
            if state.known.get(version).is_some_and(is_ours) {
                state.known.remove(version);
            }
        });
    }

    /// Returns what is held while a version is installed, checked or deleted.
    fn turn(&self, version: &EsphomeVersion) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        Arc::clone(turns.entry(version.clone()).or_default())
    }

    /// Remembers the outcome of a health check.
    fn judge(&self, version: &EsphomeVersion, answer: Result<(), Sentence>) -> bool {
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

    /// For whom a version is there; nobody's word counts while it is not.
    fn made_for(&self, version: &EsphomeVersion) -> MadeFor {
        let state = self.state();
        let known = state.known.get(version);
        known.map_or(MadeFor::Others, |known| known.origin.made_for())
    }

    /// Our environments.
    fn ours(&self) -> Vec<(EsphomeVersion, Known)> {
        let state = self.state();
        let ours = state
            .known
            .iter()
            .filter(|(_, known)| matches!(known.origin, Origin::Ours(_)));
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
async fn run<Saying: Future<Output = ()>>(
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
