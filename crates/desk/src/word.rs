//! [`ToWindow`] and [`ToDesk`]: lines of JSON between the desktop and its window, or a second start.
//! Both ends are of one installation; a word that is not understood ends the conversation.
use serde::{Deserialize, Serialize};

use crate::Goal;

/// What the desktop tells the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToWindow {
    /// You are the window.
    Welcome {
        /// Whether the icon is seen.
        tray: TrayState,
        /// Whether notifications are.
        notifications: NotifyState,
    },
    /// There is a window already; it comes to the front, and you end.
    Taken,
    /// Come to the front and show this.
    Open {
        /// What.
        goal: Goal,
    },
    /// Ask this, and answer with [`ToDesk::Quit`].
    AskQuit {
        /// The question.
        question: String,
        /// What stands on the button that quits.
        quit: String,
        /// What stands on the button that does not.
        stay: String,
    },
    /// Why there is no node, in a sentence; nothing when there is one.
    Trouble {
        /// The sentence.
        message: Option<String>,
    },
    /// Come to the front and say what was not done; no notification could.
    Refused {
        /// Why and what to do next, in one or two sentences.
        message: String,
    },
    /// Whether the icon is seen, after it changed.
    Tray {
        /// Now.
        tray: TrayState,
    },
    /// Whether notifications are seen, after it changed.
    Notifications {
        /// Now.
        notifications: NotifyState,
    },
    /// End.
    Close,
}

/// What others tell the desktop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum ToDesk {
    /// A second start: show the window.
    Show {
        /// With this page.
        goal: Goal,
    },
    /// I am the window.
    Window,
    /// Whether I am looked at, after [`ToWindow::Welcome`] and after it changed.
    Focus {
        /// Now.
        focus: Focus,
    },
    /// The answer to [`ToWindow::AskQuit`].
    Quit {
        /// It.
        answer: Answer,
    },
    /// Try again now what keeps the node from beginning.
    Again,
    /// The desktop's settings were changed.
    Settings,
}

/// Whether the window has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Focus {
    /// It has.
    Here,
    /// Something else has.
    Elsewhere,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Do it.
    Yes,
    /// Leave it.
    No,
}

/// Whether the icon is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrayState {
    /// It is.
    Shown,
    /// This desktop shows no icons.
    NoHost,
    /// Not known yet.
    Unknown,
}

/// Whether notifications are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotifyState {
    /// The last one was.
    Shown,
    /// Nothing on this desktop shows them.
    Missing,
    /// The person or the system does not want ours.
    Denied,
    /// Not known yet: there was none to show.
    Unknown,
}

/// A line is no word of this conversation.
#[derive(Debug, thiserror::Error)]
#[error("a word between Kiln's programs is not understood: {0}")]
pub struct WordError(#[from] serde_json::Error);

macro_rules! lines {
    ($($word:ty),+) => {$(
        impl $word {
            /// Writes the line, with its end.
            ///
            /// # Errors
            /// Never in practice: every word has a form in JSON.
            pub fn to_line(&self) -> Result<String, WordError> {
                Ok(serde_json::to_string(self)? + "\n")
            }

            /// Reads a line.
            ///
            /// # Errors
            /// [`WordError`].
            pub fn from_line(line: &[u8]) -> Result<Self, WordError> {
                Ok(serde_json::from_slice(line)?)
            }
        }
    )+};
}

lines!(ToWindow, ToDesk);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_arrives_as_it_was_said() {
        let goal = Goal::page("devices").unwrap();
        let said = ToDesk::Show { goal: goal.clone() };
        let line = said.to_line().unwrap();
        assert_eq!(
            line,
            concat!(
                "{\"say\":\"show\",\"goal\":{\"page\":\"devices\",\"job\":null,\"dashboard_id\":null,",
                "\"about\":null}}\n"
            )
        );
        assert_eq!(ToDesk::from_line(line.as_bytes()).unwrap(), said);
        let told = ToWindow::Open { goal };
        let line = told.to_line().unwrap();
        assert_eq!(ToWindow::from_line(line.trim().as_bytes()).unwrap(), told);
    }

    #[test]
    fn what_is_no_word_is_an_error_and_no_guess() {
        for line in [
            "",
            "{}",
            "{\"say\":\"dance\"}",
            "{\"say\":\"focus\",\"focus\":\"maybe\"}",
        ] {
            assert!(ToDesk::from_line(line.as_bytes()).is_err(), "{line}");
        }
    }
}
