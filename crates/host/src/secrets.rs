//! Where secrets are kept: the system's keyring, unless a file was chosen.
//!
//! The choice is needed before a node runs, so it is not one of its settings: it is given by
//! `--secrets`, which is kept, by `KILN_SECRETS`, or by `secrets = "file"` in `settings.toml`.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_engine::IdentityError;
use kiln_model::{Sentence, say};
use kiln_platform::files::atomic_write;
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

/// Opens the secrets of a place.
pub fn open(paths: &Paths, place: SecretsPlace) -> Arc<dyn Secrets> {
    match place {
        SecretsPlace::Keyring => Arc::new(OsSecrets::new(&paths.instance())),
        SecretsPlace::File => Arc::new(FileSecrets::new(&folder(paths))),
    }
}

fn folder(paths: &Paths) -> PathBuf {
    paths.state.join("secrets")
}

/// Returns the place that was chosen; without a choice, that of [`place`].
///
/// # Errors
/// Those of [`place`].
pub fn chosen(paths: &Paths, choice: Option<SecretsPlace>) -> Result<SecretsPlace, String> {
    choice.map_or_else(|| place(paths), Ok)
}

/// Keeps a choice that worked, for every start that makes none: looked for elsewhere, the key would
/// seem to be lost.
///
/// # Errors
/// When `settings.toml` cannot be read or written.
pub fn remember(paths: &Paths, choice: SecretsPlace) -> Result<(), String> {
    let file = paths.settings.join(FILE);
    if written(&file)? == choice {
        return Ok(());
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let others = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("secrets"));
    let ours = match choice {
        SecretsPlace::Keyring => "secrets = \"keyring\"",
        SecretsPlace::File => "secrets = \"file\"",
    };
    let text: String = others
        .chain([ours])
        .map(|line| format!("{line}\n"))
        .collect();
    atomic_write(&file, text.as_bytes())
        .map_err(|error| format!("{} cannot be written: {error}.", file.display()))
}

/// Says where the key is that a start looked for in `place`, if it is at the other one.
pub(crate) async fn misplaced(
    paths: &Paths,
    place: SecretsPlace,
    error: &IdentityError,
) -> Option<Sentence> {
    let pin = error.missed()?;
    let other = match place {
        SecretsPlace::Keyring => SecretsPlace::File,
        SecretsPlace::File => SecretsPlace::Keyring,
    };
    let is_there = kiln_engine::holds_key(open(paths, other).as_ref(), pin).await;
    is_there.then(|| match other {
        SecretsPlace::Keyring => say::key_in_keyring(pin.short()),
        SecretsPlace::File => say::key_in_file(pin.short(), folder(paths).display().to_string()),
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
