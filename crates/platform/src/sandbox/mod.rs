//! [`OsSandbox`]: boxes for builds of others, made with what this system has.
//!
//! A box is made in two steps. Kiln starts its own program once more, as *launcher*: the launcher
//! gives up everything that the build must not have, reads back that it is gone, and only then
//! runs the build in its own place. So nothing happens between fork and exec, where Rust code must
//! not run, and a box that cannot be made is an error before the build's first instruction.
mod attempts;
#[cfg(unix)]
mod gate;
#[cfg(unix)]
mod launcher;
#[cfg(unix)]
mod local_socket;
mod orders;
#[cfg_attr(target_os = "linux", path = "linux/mod.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows/mod.rs")]
mod os;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use kiln_model::{Confinement, Tier};
use kiln_ports::process::Command;
use kiln_ports::sandbox::{BoxRules, Boxed, Sandbox, SandboxError};

use attempts::try_everything;
pub use orders::launch_if_asked;
use os::enclose;
#[cfg(unix)]
pub(crate) use os::memory_bytes;

/// Boxes of this system.
#[derive(Debug)]
pub struct OsSandbox {
    /// Kiln's own program, or another whose `main` begins with [`launch_if_asked`].
    launcher: PathBuf,
    /// Folder for the files of one proof.
    folder: PathBuf,
    /// Tiers that may be tried, best first.
    tiers: Vec<Tier>,
    proved: Mutex<Tier>,
}

impl OsSandbox {
    /// Makes boxes with this launcher. Files for the proof are made in `folder`, which no box may
    /// read.
    pub fn new(launcher: PathBuf, folder: PathBuf) -> Self {
        Self {
            launcher,
            folder,
            tiers: os::TIERS.to_vec(),
            proved: Mutex::new(Tier::Open),
        }
    }

    /// Makes boxes of this tier at most, as on a system that has no better ones.
    #[must_use]
    pub fn at_most(mut self, tier: Tier) -> Self {
        self.tiers.retain(|t| *t <= tier);
        self
    }

    fn proved(&self) -> Tier {
        *self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Sandbox for OsSandbox {
    async fn prove(&self) -> Confinement {
        let mut missed = Vec::new();
        for &tier in &self.tiers {
            let tried = try_everything(&self.launcher, &self.folder, tier).await;
            let gap = match tried {
                Ok(()) => {
                    *self.proved.lock().unwrap_or_else(PoisonError::into_inner) = tier;
                    missed.insert(0, os::holds(tier));
                    return Confinement {
                        tier,
                        detail: missed.join(" "),
                    };
                }
                Err(gap) => gap,
            };
            missed.push(format!("Not tier {}: {gap}.", tier.number()));
        }
        missed.extend(os::NOTHING_BETTER.map(str::to_owned));
        Confinement {
            tier: Tier::Open,
            detail: missed.join(" "),
        }
    }

    async fn enclose(&self, command: Command, rules: &BoxRules) -> Result<Boxed, SandboxError> {
        match self.proved() {
            Tier::Open => Ok(Boxed {
                command,
                gate: None,
            }),
            tier => enclose(&self.launcher, command, rules, tier).await,
        }
    }
}
