//! [`StartAtLogin`]: whether Kiln starts when the person logs in.

use kiln_model::{Sentence, say};

/// Whether Kiln starts at login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAtLogin {
    /// It does.
    On,
    /// It does not.
    Off,
    /// It is on here, but the person switched it off in the system's own list, which counts.
    Blocked,
}

/// Why it cannot be read or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AutostartError {
    /// The system keeps no such list, or not for programs like this one.
    Unsupported,
    /// The person switched it off in the system's own list.
    Blocked,
    /// Anything else, in the words of the system.
    Failed(String),
}

impl AutostartError {
    /// Returns it in words, with the next step.
    pub fn sentence(&self) -> Sentence {
        match self {
            AutostartError::Unsupported => say::login_unsupported(),
            AutostartError::Blocked => say::login_blocked(),
            AutostartError::Failed(why) => say::login_failed(why),
        }
    }
}

kiln_model::spoken_errors!(AutostartError);
