//! The decoder of manifests without its archive: for fuzzing, and for nothing else.
#![doc(hidden)]
use kiln_model::ConfigurationName;

use crate::manifest::Manifest;

/// Returns whether a manifest is one of a bundle of this configuration.
pub fn manifest(json: &[u8], announced: &ConfigurationName) -> bool {
    Manifest::read(json, announced).is_ok()
}
