//! [`lock`]: a mutex as it is, also when a task panicked while it held it.
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose content is whole after every single change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
