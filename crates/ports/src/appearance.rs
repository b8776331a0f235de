//! [`Appearance`]: how the person wants things drawn.

/// Whether strong contrast is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contrast {
    /// As designed; also when the system does not say.
    #[default]
    Normal,
    /// As strong as can be.
    High,
}

/// What the system's settings say about drawing.
#[async_trait::async_trait]
pub trait Appearance: Send + Sync + 'static {
    /// Returns what is wanted now: at once when called first, then whenever it changes. Never
    /// fails: without an answer nothing is known, and it waits. Cancelling it loses nothing.
    async fn contrast(&self) -> Contrast;
}
