//! What Kiln knows of ESPHome: command lines, sidecars, artifact tables, output, configurations.
//!
//! Everything here is a decision over values: no file, process, clock or environment is touched,
//! so that both roles and every face can ask the same questions.

pub mod artifact_set;
pub mod idedata;
pub mod remap;
pub mod sidecar;

pub use artifact_set::{ArtifactSet, Member};
pub use sidecar::Sidecar;

#[cfg(test)]
mod tests {
    /// Returns a table of the build vectors.
    pub(crate) fn vectors(table: &str) -> Vec<serde_json::Value> {
        let text = include_str!("../../../tests/vectors/build-vectors.json");
        let all: serde_json::Value = serde_json::from_str(text).unwrap();
        all[table].as_array().unwrap().clone()
    }
}
