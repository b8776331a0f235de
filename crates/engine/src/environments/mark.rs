//! [`Mark`]: how a program looks from outside, to see that it was replaced.
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio::fs;

/// Where a program really is, when it was written and how large it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    place: PathBuf,
    written: SystemTime,
    bytes: u64,
}

impl Mark {
    /// Looks at a program, through links; `None` if it is not there or says nothing.
    pub(super) async fn of(program: &Path) -> Option<Self> {
        let place = fs::canonicalize(program).await.ok()?;
        let facts = fs::metadata(&place).await.ok()?;
        Some(Self {
            written: facts.modified().ok()?,
            bytes: facts.len(),
            place,
        })
    }
}
