//! [`Secrets`]: small secrets under names, in the OS keyring or where the owner chose.
use std::fmt;

use kiln_model::{Sentence, say};

/// Bytes that do not print and are wiped when dropped.
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes over the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Shows the bytes on purpose.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(…)")
    }
}

/// Why the keyring did not do it. Never a reason to make a new identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretsError {
    /// Locked, and nobody unlocked it in time.
    Locked,
    /// The person or the system refused.
    Denied,
    /// There is no keyring on this system or session.
    Absent,
    /// It did not answer in time.
    Slow(u64),
    /// Anything else, in the words of the keyring or of the system that keeps the file.
    Failed(String),
}

impl SecretsError {
    /// Returns it in words, with the next step.
    pub fn sentence(&self) -> Sentence {
        match self {
            SecretsError::Locked => say::keyring_locked(),
            SecretsError::Denied => say::keyring_denied(),
            SecretsError::Absent => say::keyring_absent(),
            SecretsError::Slow(seconds) => say::keyring_slow(*seconds),
            SecretsError::Failed(why) => say::keyring_failed(why),
        }
    }
}

kiln_model::spoken_errors!(SecretsError);

/// Named secrets. Every call is bounded in time; a failed call may be tried again in the same
/// process once the cause is gone.
#[async_trait::async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// Returns the secret, or `None` if there is none of that name.
    async fn load(&self, name: &str) -> Result<Option<SecretBytes>, SecretsError>;

    /// Stores or replaces a secret; durable when it returns.
    async fn store(&self, name: &str, secret: SecretBytes) -> Result<(), SecretsError>;

    /// Deletes a secret; fine if there is none.
    async fn delete(&self, name: &str) -> Result<(), SecretsError>;
}
