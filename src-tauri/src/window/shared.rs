//! [`Shared`]: what the commands of the window have in common.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_desk::{Focus, Goal, NotifyState, ToDesk, TrayState};
use kiln_host::Door;
use kiln_ipc::Words;
use kiln_model::Sentence;
use kiln_platform::Paths;
use serde::Serialize;
use tauri::async_runtime::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;

use crate::kept::Kept;

/// State of the window's process.
pub(super) struct Shared {
    pub(super) paths: Paths,
    pub(super) door: Door,
    pub(super) kept: Kept,
    known: Mutex<Known>,
    follows: Mutex<HashMap<u64, JoinHandle<()>>>,
    next: AtomicU64,
    desk: UnboundedSender<ToDesk>,
}

/// What others told.
pub(super) struct Known {
    /// What the window was opened for.
    pub(super) goal: Goal,
    /// Whether the icon is seen.
    pub(super) tray: TrayState,
    /// Whether notifications are.
    pub(super) notifications: NotifyState,
    /// Whether the window has the keyboard.
    pub(super) focus: Focus,
    /// Whether the node answers.
    pub(super) node: NodeState,
    /// Why there is none, in the desktop's words.
    pub(super) trouble: Option<String>,
    /// Whether the pages hear what is told.
    pub(super) pages: Pages,
    /// What was not done, for pages that do not hear yet.
    pub(super) refused: Option<String>,
}

/// Whether the pages hear what is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// They are being loaded.
    Loading,
    /// They do.
    Listening,
}

/// Whether the node answers, as the pages hear it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum NodeState {
    /// It does.
    Connected {
        /// Nothing to say.
        message: String,
    },
    /// It is called.
    Connecting {
        /// One sentence.
        message: String,
        /// What other languages make it from.
        message_words: Option<Words>,
    },
    /// It cannot begin; this is why, and what to do.
    Troubled {
        /// One or two sentences.
        message: String,
    },
    /// It does not, and is called again and again.
    Gone {
        /// One sentence.
        message: String,
        /// What other languages make it from.
        message_words: Option<Words>,
    },
}

impl NodeState {
    /// The node went, for this reason, and is called again.
    pub(super) fn connecting(why: &Sentence) -> Self {
        Self::Connecting {
            message: why.as_str().to_owned(),
            message_words: Words::of(why),
        }
    }

    /// The node does not answer, for this reason.
    pub(super) fn gone(why: &Sentence) -> Self {
        Self::Gone {
            message: why.as_str().to_owned(),
            message_words: Words::of(why),
        }
    }
}

impl Shared {
    pub(super) fn new(paths: Paths, goal: Goal, desk: UnboundedSender<ToDesk>) -> Self {
        Self {
            door: Door::new(&paths, "kiln-window"),
            kept: Kept::of(&paths),
            paths,
            known: Mutex::new(Known {
                goal,
                tray: TrayState::Unknown,
                notifications: NotifyState::Unknown,
                focus: Focus::Elsewhere,
                node: NodeState::connecting(&Sentence::default()),
                trouble: None,
                pages: Pages::Loading,
                refused: None,
            }),
            follows: Mutex::default(),
            next: AtomicU64::new(1),
            desk,
        }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the desktop, if there is one.
    pub(super) fn tell_desk(&self, word: ToDesk) {
        let _ = self.desk.send(word);
    }

    /// Keeps a follow until it is ended; returns its number.
    pub(super) fn keep_follow(&self, task: JoinHandle<()>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut follows = self.follows();
        // What ended by itself needs no number any more.
        follows.retain(|_, task| !task.inner().is_finished());
        follows.insert(id, task);
        id
    }

    /// Ends a follow; fine if it ended by itself.
    pub(super) fn end_follow(&self, id: u64) {
        if let Some(task) = self.follows().remove(&id) {
            task.abort();
        }
    }

    fn follows(&self) -> MutexGuard<'_, HashMap<u64, JoinHandle<()>>> {
        self.follows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_model::say;

    /// Returns what the pages get.
    fn told(state: &NodeState) -> serde_json::Value {
        serde_json::to_value(state).unwrap()
    }

    #[test]
    fn why_the_node_is_away_is_told_with_what_other_languages_are_made_from() {
        let why = say::no_node();
        for state in [NodeState::connecting(&why), NodeState::gone(&why)] {
            let told = told(&state);
            assert_eq!(told["message"], why.as_str());
            assert_eq!(told["message_words"]["code"], "no_node");
        }
        let nothing = told(&NodeState::connecting(&Sentence::default()));
        assert_eq!(nothing["message"], "");
        assert_eq!(nothing["message_words"], serde_json::Value::Null);
    }
}
