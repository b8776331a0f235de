//! What Kiln knows of ESPHome: command lines, sidecars, artifact tables, output, configurations.
//!
//! Everything here is a decision over values: no file, process, clock or environment is touched,
//! so that both roles and every face can ask the same questions.

pub mod ansi;
pub mod artifact_set;
pub mod command;
pub mod failure_scan;
mod flash_scan;
pub mod idedata;
pub mod line_splitter;
pub mod outline;
pub mod port;
pub mod progress;
pub mod remap;
mod shortage_scan;
pub mod sidecar;
pub mod surroundings;
pub mod version_output;

pub use artifact_set::{ArtifactSet, Member};
pub use command::{Invocation, KnownAddress, Launcher};
pub use failure_scan::FailureScan;
pub use flash_scan::FlashScan;
pub use line_splitter::LineSplitter;
pub use outline::Outline;
pub use port::parse_port;
pub use progress::{Phase, Progress, Told};
pub use shortage_scan::{Shortage, ShortageScan};
pub use sidecar::Sidecar;
pub use surroundings::{Purpose, Surroundings};

#[cfg(test)]
mod tests {
    /// Returns a table of the build vectors.
    pub(crate) fn vectors(table: &str) -> Vec<serde_json::Value> {
        let text = include_str!("../../../tests/vectors/build-vectors.json");
        let all: serde_json::Value = serde_json::from_str(text).unwrap();
        all[table].as_array().unwrap().clone()
    }
}
