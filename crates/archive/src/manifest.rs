//! [`Manifest`]: what `manifest.json` of a bundle says, as far as it counts.
use kiln_model::ConfigurationName;
use serde::Deserialize;
use serde_json::Value;

/// Leaf name of the manifest; it stays beside the YAML, where esphome looks for it.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Largest manifest, in bytes (builds.md §6.3).
pub(crate) const MAX_MANIFEST: u64 = 1024 * 1024;

/// A manifest that names the configuration its sender announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// ESPHome version of the program that made the bundle; empty if it does not say.
    pub(crate) esphome_version: String,
}

/// What is wrong with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// Larger than 1 MiB.
    #[error("is larger than 1 MiB")]
    TooLarge,
    /// Not a JSON object, or a member is missing or of the wrong kind.
    #[error("cannot be read")]
    Malformed,
    /// A version other than 1.
    #[error("has a version this Kiln does not know")]
    Version,
    /// Names another configuration than the one announced, or a path.
    #[error("names another configuration than was announced")]
    OtherConfiguration,
}

#[derive(Deserialize)]
struct Raw {
    manifest_version: Value,
    config_filename: String,
    #[serde(default)]
    esphome_version: Value,
}

impl Manifest {
    /// Reads a manifest and compares it with the announced configuration.
    pub(crate) fn read(json: &[u8], announced: &ConfigurationName) -> Result<Self, ManifestFault> {
        let raw: Raw = serde_json::from_slice(json).map_err(|_| ManifestFault::Malformed)?;
        if raw.manifest_version.as_u64() != Some(1) {
            return Err(ManifestFault::Version);
        }
        if raw.config_filename != announced.as_str() {
            return Err(ManifestFault::OtherConfiguration);
        }
        Ok(Self {
            esphome_version: raw.esphome_version.as_str().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Manifest, ManifestFault> {
        Manifest::read(json.as_bytes(), &"kitchen.yaml".parse().unwrap())
    }

    #[test]
    fn a_manifest_as_esphome_writes_it_is_read() {
        let json = r#"{"manifest_version": 1, "esphome_version": "2026.10.0",
            "config_filename": "kitchen.yaml", "config_dir": "C:\\esphome",
            "files": ["kitchen.yaml"], "has_secrets": false}"#;
        assert_eq!(read(json).unwrap().esphome_version, "2026.10.0");
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (json, fault) in [
            ("", ManifestFault::Malformed),
            ("[]", ManifestFault::Malformed),
            (
                r#"{"config_filename":"kitchen.yaml"}"#,
                ManifestFault::Malformed,
            ),
            (r#"{"manifest_version":1}"#, ManifestFault::Malformed),
            (
                r#"{"manifest_version":2,"config_filename":"kitchen.yaml"}"#,
                ManifestFault::Version,
            ),
            (
                r#"{"manifest_version":true,"config_filename":"kitchen.yaml"}"#,
                ManifestFault::Version,
            ),
            (
                r#"{"manifest_version":1.0,"config_filename":"kitchen.yaml"}"#,
                ManifestFault::Version,
            ),
            (
                r#"{"manifest_version":1,"config_filename":"../kitchen.yaml"}"#,
                ManifestFault::OtherConfiguration,
            ),
            (
                r#"{"manifest_version":1,"config_filename":"KITCHEN.yaml"}"#,
                ManifestFault::OtherConfiguration,
            ),
        ] {
            assert_eq!(read(json).unwrap_err(), fault, "{json}");
        }
    }
}
