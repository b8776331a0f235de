//! Where secrets are kept: the system's keyring, unless a file was chosen.
//!
//! The choice is needed before a node runs, so it is not one of its settings: it is given by
//! `--secrets`, by `KILN_SECRETS`, or by `secrets = "file"` in `settings.toml`.
use std::path::Path;
use std::sync::Arc;

use kiln_platform::{FileSecrets, OsSecrets, Paths};
use kiln_ports::Secrets;

/// Name of the file in the folder of settings.
const FILE: &str = "settings.toml";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    secrets: Option<SecretsPlace>,
}

/// Where secrets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretsPlace {
    /// The system's keyring.
    Keyring,
    /// Files that only this user can read.
    File,
}

/// Opens the secrets that were chosen; without a choice, those of [`place`].
///
/// # Errors
/// When `settings.toml` cannot be read or says something else.
pub fn open(paths: &Paths, chosen: Option<SecretsPlace>) -> Result<Arc<dyn Secrets>, String> {
    let choice = match chosen {
        Some(choice) => choice,
        None => place(paths)?,
    };
    Ok(match choice {
        SecretsPlace::Keyring => Arc::new(OsSecrets::new(&paths.instance())),
        SecretsPlace::File => Arc::new(FileSecrets::new(&paths.state.join("secrets"))),
    })
}

/// Returns where secrets are kept as long as a start says nothing else: as `KILN_SECRETS` says, or
/// else `settings.toml`.
///
/// # Errors
/// When one of them says something else, or the file cannot be read.
pub fn place(paths: &Paths) -> Result<SecretsPlace, String> {
    let Some(word) = std::env::var_os("KILN_SECRETS").filter(|word| !word.is_empty()) else {
        return written(&paths.settings.join(FILE));
    };
    match word.to_str() {
        Some("keyring") => Ok(SecretsPlace::Keyring),
        Some("file") => Ok(SecretsPlace::File),
        Some(_) | None => Err(format!(
            "KILN_SECRETS is {word:?}; it can be keyring or file."
        )),
    }
}

fn written(file: &Path) -> Result<SecretsPlace, String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(SecretsPlace::Keyring);
        }
        Err(error) => return Err(format!("{} cannot be read: {error}.", file.display())),
    };
    let written: Written = toml::from_str(&text)
        .map_err(|error| format!("{} is not understood: {error}", file.display()))?;
    Ok(written.secrets.unwrap_or(SecretsPlace::Keyring))
}
