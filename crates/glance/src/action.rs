//! [`Action`]: what a click in the menu or in a notice means.
use kiln_model::Request;

use crate::Page;

/// How long serving is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snooze {
    /// 30 minutes.
    HalfHour,
    /// Two hours.
    TwoHours,
    /// Until tomorrow morning.
    Tomorrow,
    /// Until the owner resumes.
    UntilResumed,
}

impl Snooze {
    /// Every choice, in the order of the menu: those that end by themselves come first.
    pub const ALL: [Self; 4] = [
        Self::HalfHour,
        Self::TwoHours,
        Self::Tomorrow,
        Self::UntilResumed,
    ];

    /// Returns the word of the control channel (`for` of the request `pause`).
    pub fn word(self) -> &'static str {
        match self {
            Snooze::HalfHour => "30m",
            Snooze::TwoHours => "2h",
            Snooze::Tomorrow => "tomorrow",
            Snooze::UntilResumed => "forever",
        }
    }
}

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
