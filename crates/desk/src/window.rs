//! [`Window`]: what is known of the window's process.
use crate::{Focus, Goal};

/// The window, as the desktop knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// No process.
    Closed,
    /// It was started and has said nothing yet.
    Starting {
        /// With this page.
        with: Goal,
        /// What it should show by now.
        goal: Goal,
    },
    /// It listens.
    Open(Focus),
    /// It listens no more, and its process has not ended yet.
    Closing {
        /// What somebody wants to see since then.
        goal: Option<Goal>,
    },
}
