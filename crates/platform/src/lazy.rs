//! [`Lazy`]: something of the system that may not be there. It is asked again now and then, not all the
//! time.
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// Longest that one question may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Time until something that was not there is asked again.
pub(crate) const AGAIN: Duration = Duration::from_secs(60);

/// Something that is opened when it is first needed, and again some time after it was lost.
#[derive(Debug)]
pub(crate) struct Lazy<T>(Mutex<State<T>>);

#[derive(Debug)]
enum State<T> {
    Closed,
    Open(T),
    Failed(Instant),
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(Mutex::new(State::Closed))
    }
}

impl<T: Clone> Lazy<T> {
    /// Returns it, if it is there.
    pub(crate) async fn get<F>(&self, open: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = Option<T>>,
    {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Open(it) => return Some(it.clone()),
            State::Failed(when) if when.elapsed() < AGAIN => return None,
            State::Failed(_) | State::Closed => {}
        }
        let opened = timeout(PATIENCE, open()).await.ok().flatten();
        self.set(match &opened {
            Some(it) => State::Open(it.clone()),
            None => State::Failed(Instant::now()),
        });
        opened
    }

    /// Returns whether it is open, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        matches!(
            &*self.0.lock().unwrap_or_else(PoisonError::into_inner),
            State::Open(_)
        )
    }

    /// It does not answer any more.
    pub(crate) fn drop_it(&self) {
        self.set(State::Failed(Instant::now()));
    }

    /// It is gone and may be back at once.
    pub(crate) fn close(&self) {
        self.set(State::Closed);
    }

    fn set(&self, state: State<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
