//! [`EnvironmentInfo`]: one installed ESPHome version.
use crate::{EsphomeVersion, Sentence};

/// Whether an environment can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentState {
    /// Verified in this process.
    Ready,
    /// Being made; the text is the current step.
    Installing(Sentence),
    /// On disk but not verified or failing; the text says what is wrong.
    Broken(Sentence),
}

/// One ESPHome environment under Kiln's cache, or the one the owner installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentInfo {
    /// Its version.
    pub version: EsphomeVersion,
    /// Its folder, for people.
    pub path: String,
    /// Whether it can be used.
    pub state: EnvironmentState,
    /// Size on disk in bytes, if measured.
    pub size_bytes: Option<u64>,
    /// Whether it is the one used for the owner's own builds.
    pub installed: bool,
}
