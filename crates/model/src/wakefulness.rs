//! [`Wakefulness`]: whether the system may go to sleep by itself.

/// Whether the system may go to sleep by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakefulness {
    /// As its owner set it.
    AsSet,
    /// Not while it only idles: something is done. A person can still send it to sleep, by closing
    /// the lid as well.
    StayAwake,
}
