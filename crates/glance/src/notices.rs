//! [`Notices`]: decides which events are worth an interruption, and when a notice is moot.
use kiln_model::{Timestamp, View};

use crate::{Action, Notice, NoticeId, Words};

/// Whether the person is looking at Kiln's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFocus {
    /// It is open and has the focus.
    Focused,
    /// It is closed, or something else has the focus.
    Elsewhere,
}

/// What to do with a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeEffect {
    /// Show it, in the place of an earlier one of the same id.
    Show(Notice),
    /// Take it away, if it is still there.
    Withdraw(NoticeId),
}

/// The machine behind the notifications. Fed with every view, it returns what to show.
#[derive(Debug)]
pub struct Notices {
    words: Words,
}

impl Notices {
    /// Makes a machine that has seen nothing: what is in the first view is no news.
    pub fn new(words: Words) -> Self {
        Self { words }
    }

    /// Compares the view with what was known.
    pub fn handle(
        &mut self,
        _view: &View,
        _focus: WindowFocus,
        _now: Timestamp,
    ) -> Vec<NoticeEffect> {
        let _ = &self.words;
        Vec::new()
    }

    /// Returns what a click means: on the button of this id, or on the notice itself (`None`).
    pub fn clicked(&self, _id: &str, _button: Option<&str>) -> Option<Action> {
        None
    }
}
