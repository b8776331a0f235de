//! [`Action`]: what a click in the menu or in a notice means.
use kiln_model::{Request, Snooze};

use crate::Page;

/// What a click means. The shell performs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show this page of the window.
    Open(Page),
    /// Ask the node.
    Ask(Request),
    /// Build for nobody else for a while.
    Pause(Snooze),
    /// Build for others again.
    Resume,
    /// Look whether there is a newer Kiln.
    CheckUpdates,
    /// End Kiln. [`quit_question`](crate::quit_question) says whether that has to be confirmed.
    Quit,
}
