//! [`Notice`]: one notification, before any system has seen it.
use std::fmt;

use crate::{Action, Page};

/// Which notice it is. A notice that is shown again under its id replaces itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeId(pub(crate) String);

impl NoticeId {
    /// Returns the id as text, at most 80 characters of ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much a notice may interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Only changes what is shown already: no sound, no popup where that can be chosen.
    Quiet,
    /// Waits for a better time when the person does not want to be disturbed.
    Normal,
    /// About the person's safety: shown at once.
    Urgent,
}

/// A button of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// Unique within the notice and the same in every language.
    pub id: &'static str,
    /// What stands on it.
    pub label: String,
    /// What it does.
    pub action: Action,
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which one; replaces an earlier one of the same id.
    pub id: NoticeId,
    /// What happened, in one line.
    pub title: String,
    /// What to know about it; possibly empty.
    pub body: String,
    /// How much it may interrupt.
    pub urgency: Urgency,
    /// At most two buttons.
    pub buttons: Vec<Button>,
    /// The page that shows the same; where a click on the notice itself leads.
    pub page: Page,
    /// Percent done, of a summary.
    pub progress: Option<u8>,
}
