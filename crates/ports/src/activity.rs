//! [`Activity`]: what the machine says of itself and of its owner.
use std::path::PathBuf;

use kiln_model::Inputs;

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Only what is needed to give way to the owner at once and to fill neither disk nor memory:
    /// [`Inputs::idle`], [`Inputs::remote`], [`Inputs::free_disk`] and, where that is cheap,
    /// [`Inputs::free_memory`]. The rest is `None`.
    Owner,
    /// Everything.
    All,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How much.
    pub depth: Depth,
    /// Folders on the disks whose free space counts: that of the one with the least.
    pub folders: Vec<PathBuf>,
    /// Names of programs to look for, in lower case; empty: none.
    pub apps: Vec<String>,
}

/// Reads the machine. Nothing is kept awake or woken by it.
#[async_trait::async_trait]
pub trait Activity: Send + Sync + 'static {
    /// Reads once. What cannot be read, or not within two seconds, is `None`. Load is that since the
    /// reading before. Cancelling has no effect but that.
    async fn read(&self, reading: &Reading) -> Inputs;
}
