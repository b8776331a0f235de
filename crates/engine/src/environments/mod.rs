//! [`Environments`]: the ESPHome versions on this machine: found, made, verified, repaired
//! (builds.md §7.3, §7.4).
//!
//! Kiln's own environments lie in one folder, `esphome-<version>` each. What makes such a folder
//! an environment is the record that is written into it last, after it answered with its version:
//! without it the folder is the rest of an interrupted installation. (It is not moved into place:
//! the programs of an environment contain its path.) An ESPHome on the search path is used too,
//! and never changed.
mod adopted;
mod index;
mod known;
mod mark;
mod provision;
mod record;
#[cfg(test)]
mod tests;
mod tidying;
mod tool;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiln_esphome::version_output::names_version;
use kiln_esphome::{Launcher, Surroundings};
use kiln_model::{EnvironmentInfo, EnvironmentState, EsphomeVersion, Sentence, Settings, say};
use kiln_ports::{Clock, Processes};
use tokio::fs;
use tokio::sync::watch;

pub use self::index::NewestError;
use self::known::{Known, Look, Origin, Own, State};
pub use self::provision::ProvisionError;
use self::record::{MadeFor, python_in, read_record};
use crate::lock::lock;
use crate::programs::{Customer, Programs, RunError};

/// Time for an environment's answer (builds.md §17).
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

    fn folder_of(&self, version: &EsphomeVersion) -> PathBuf {
        self.programs.folder.join(format!("esphome-{version}"))
    }

    fn state(&self) -> watch::Ref<'_, State> {
        self.state.borrow()
    }
}
