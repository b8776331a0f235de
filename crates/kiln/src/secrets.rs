//! Where secrets are kept, from the words of the command line to those of the host.
use kiln_cli::SecretsChoice;
use kiln_host::SecretsPlace;

/// Returns the place that was chosen.
pub(crate) fn place(choice: SecretsChoice) -> SecretsPlace {
    match choice {
        SecretsChoice::Keyring => SecretsPlace::Keyring,
        SecretsChoice::File => SecretsPlace::File,
    }
}
