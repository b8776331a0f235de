//! [`State`]: the environments that are known, and which of them own builds use.
use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_esphome::Launcher;
use kiln_model::{EnvironmentState, EsphomeVersion};

use super::mark::Mark;
use super::record::MadeFor;

#[derive(Default)]
pub(super) struct State {
    pub(super) known: BTreeMap<EsphomeVersion, Known>,
    pub(super) own: Own,
    pub(super) python: Option<PathBuf>,
    pub(super) look: Look,
}

/// Whether it is known what the owner has installed. Finding out takes a second after the start,
/// and a job must not fail for having been faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    /// Nobody announced a look, or it is done.
    #[default]
    Over,
    /// It is announced or going on.
    Ahead,
}

/// Which environment the owner's own builds use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Own {
    /// The newest that is ready, of the owner's as long as there is one of them.
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
pub(super) struct Known {
    pub(super) launcher: Launcher,
    /// Folder or program, for people.
    pub(super) place: PathBuf,
    pub(super) state: EnvironmentState,
    pub(super) size_bytes: Option<u64>,
    pub(super) origin: Origin,
    /// It answered with its version in this process.
    pub(super) verified: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Made by Kiln.
    Ours(MadeFor),
    /// Installed by the owner; never changed. How its program looked when it was asked; nothing if it
    /// was just being replaced.
    Adopted(Option<Mark>),
}

impl Origin {
    /// Returns for whom it is there.
    pub(super) fn made_for(&self) -> MadeFor {
        match self {
            Origin::Ours(made_for) => *made_for,
            Origin::Adopted(_) => MadeFor::Owner,
        }
    }
}

impl State {
    /// The version own builds use, if it is ready.
    pub(super) fn own_version(&self) -> Option<&EsphomeVersion> {
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

    /// Takes in the owner's ESPHome, unless there is that version already and the owner chose none.
    pub(super) fn adopt(&mut self, version: EsphomeVersion, adopted: Known) {
        let chosen = self.own == Own::Program(adopted.place.clone());
        match self.known.get_mut(&version) {
            Some(known) if !chosen && known.state == EnvironmentState::Ready => {
                // The owner has this version, whoever it was made for.
                if let Origin::Ours(made_for) = &mut known.origin {
                    *made_for = MadeFor::Owner;
                }
            }
            Some(_) | None => {
                self.known.insert(version, adopted);
            }
        }
    }

    /// The newest version that fits of the owner's; of those made for others while the owner has
    /// none, also none that is broken. One that is no release (a checkout of the owner) comes last.
    pub(super) fn newest(&self, fits: impl Fn(&Known) -> bool) -> Option<&EsphomeVersion> {
        let all = || self.known.iter();
        let whose = all().map(|(_, known)| known.origin.made_for()).max()?;
        if (whose, self.look) == (MadeFor::Others, Look::Ahead) {
            return None;
        }
        all()
            .filter(|(_, known)| known.origin.made_for() == whose && fits(known))
            .map(|(version, _)| version)
            .max_by_key(|version| version.order_key())
    }
}
