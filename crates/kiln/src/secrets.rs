//! Where secrets are kept: the system's keyring, unless a file was chosen.
//!
//! The choice is needed before a node runs, so it is not one of its settings: it is given by
//! `--secrets`, by `KILN_SECRETS`, or by `secrets = "file"` in `settings.toml`.
use std::path::Path;
use std::sync::Arc;

use kiln_cli::SecretsChoice;
use kiln_platform::{FileSecrets, OsSecrets, Paths};
use kiln_ports::Secrets;

/// Name of the file in the folder of settings.
const FILE: &str = "settings.toml";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    secrets: Option<Choice>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Keyring,
    File,
}

/// Opens the secrets that were chosen.
///
/// # Errors
/// When `settings.toml` cannot be read or says something else.
pub(crate) fn open(
    paths: &Paths,
    chosen: Option<SecretsChoice>,
) -> Result<Arc<dyn Secrets>, String> {
    let choice = match chosen {
        Some(choice) => choice,
        None => written(&paths.settings.join(FILE))?,
    };
    Ok(match choice {
        SecretsChoice::Keyring => Arc::new(OsSecrets::new(&paths.instance())),
        SecretsChoice::File => Arc::new(FileSecrets::new(&paths.state.join("secrets"))),
    })
}

fn written(file: &Path) -> Result<SecretsChoice, String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(SecretsChoice::Keyring);
        }
        Err(error) => return Err(format!("{} cannot be read: {error}.", file.display())),
    };
    let written: Written = toml::from_str(&text)
        .map_err(|error| format!("{} is not understood: {error}", file.display()))?;
    Ok(match written.secrets {
        Some(Choice::File) => SecretsChoice::File,
        Some(Choice::Keyring) | None => SecretsChoice::Keyring,
    })
}
