//! [`MemorySecrets`]: a keyring in memory that fails when told to.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_ports::Secrets;
use kiln_ports::secrets::{SecretBytes, SecretsError};
use tokio::sync::watch;

/// A keyring that lives as long as the test.
#[derive(Debug, Default)]
pub struct MemorySecrets(Mutex<Inner>, watch::Sender<Mood>);

/// Whether it answers at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Answers,
    Hangs,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<String, Vec<u8>>,
    /// Calls that still work, and what the others are told.
    failure: Option<(usize, SecretsError)>,
    /// What the next call that stores something waits for.
    gate: Option<watch::Receiver<bool>>,
    /// How the next call that stores something ends.
    next: Next,
}

/// How a call that stores something ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// As it went.
    #[default]
    Told,
    /// It is done, and whoever asked is told that it took too long.
    Late,
}

impl MemorySecrets {
    /// Lets this many changes through and refuses all calls after them.
    pub fn fail_after(&self, changes: usize, error: SecretsError) {
        self.inner().failure = Some((changes, error));
    }

    /// Leaves whoever stores something waiting.
    pub fn hang(&self) {
        self.1.send_replace(Mood::Hangs);
    }

    /// Lets the next call that stores something wait for the gate, and then do it.
    pub fn delay_next(&self) -> watch::Sender<bool> {
        let (open, gate) = watch::channel(false);
        self.inner().gate = Some(gate);
        open
    }

    /// Does what the next call stores, and tells it that it took too long.
    pub fn be_late(&self) {
        self.inner().next = Next::Late;
    }

    /// Answers again, and tells those who waited that it was too slow.
    pub fn heal(&self) {
        self.inner().failure = None;
        self.1.send_replace(Mood::Answers);
    }

    /// Returns an entry as it is, whatever was told to fail.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.inner().entries.get(name).cloned()
    }

    /// Puts an entry, whatever was told to fail.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.inner().entries.insert(name.to_owned(), bytes.to_vec());
    }

    /// Forgets everything, as a keyring that was made anew.
    pub fn empty(&self) {
        self.inner().entries.clear();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn look(&self) -> Result<(), SecretsError> {
        match &self.failure {
            Some((0, error)) => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    fn change(&mut self) -> Result<(), SecretsError> {
        self.look()?;
        if let Some((left, _)) = &mut self.failure {
            *left -= 1;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Secrets for MemorySecrets {
    async fn load(&self, name: &str) -> Result<Option<SecretBytes>, SecretsError> {
        let inner = self.inner();
        inner.look()?;
        Ok(inner.entries.get(name).cloned().map(SecretBytes::new))
    }

    async fn store(&self, name: &str, secret: SecretBytes) -> Result<(), SecretsError> {
        let mut mood = self.1.subscribe();
        if *mood.borrow() == Mood::Hangs {
            let _ = mood.wait_for(|mood| *mood == Mood::Answers).await;
            return Err(SecretsError::Slow(10));
        }
        let gate = self.inner().gate.take();
        if let Some(mut gate) = gate {
            // A gate that nobody holds any more is open.
            let _ = gate.wait_for(|open| *open).await;
        }
        let mut inner = self.inner();
        inner.change()?;
        inner
            .entries
            .insert(name.to_owned(), secret.expose().to_vec());
        match std::mem::take(&mut inner.next) {
            Next::Told => Ok(()),
            Next::Late => Err(SecretsError::Slow(10)),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), SecretsError> {
        let mut inner = self.inner();
        inner.change()?;
        inner.entries.remove(name);
        Ok(())
    }
}
