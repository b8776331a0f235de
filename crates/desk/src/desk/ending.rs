//! How the desktop ends: after a question if others wait, and never while a device is being written.
use kiln_glance::{quit_question, quit_waits};
use kiln_model::{FLASH_PATIENCE, Mono, Now};

use super::Desk;
use super::notifying::{QUIT, button};
use crate::speech::Speech;
use crate::window::Window;
use crate::{Answer, Effect, Goal, Hosting, ToWindow};

/// Whether the desktop is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    No,
    /// As soon as no device is being written, or at this time.
    WhenFlashed(Mono),
    Asked,
}

impl Desk {
    /// Ends, after a question if others wait for this node. A node of another process goes on.
    pub(super) fn quit(&mut self, now: Now) {
        if self.ending != Ending::No {
            return;
        }
        let ours = self.hosting == Some(Hosting::Ours);
        let asks = self.view.as_ref().filter(|_| ours);
        let Some(question) = asks.and_then(|view| quit_question(view, &self.words)) else {
            return self.end_when_flashed(now);
        };
        let asked_before = self.question.replace(question).is_some();
        match self.window {
            // One question at a time: two answers to it could contradict each other.
            Window::Open(_) if asked_before => self.open(Goal::overview()),
            Window::Open(_) => self.ask_in_window(),
            Window::Starting { .. } => {}
            Window::Closed | Window::Closing { .. } => self.open(Goal::overview()),
        }
    }

    pub(super) fn ask_in_window(&mut self) {
        if let Some(question) = self.question.clone() {
            let words = |speech: Speech| speech.in_language(self.language).to_owned();
            let (quit, stay) = (words(Speech::Quit), words(Speech::Stay));
            self.tell(ToWindow::AskQuit {
                question,
                quit,
                stay,
            });
        }
    }

    /// Asks by notification what no window can ask.
    pub(super) fn ask_without_window(&mut self) {
        if let Some(question) = self.question.clone() {
            let quit = button("quit", Speech::Quit.in_language(self.language));
            let stay = button("stay", Speech::Stay.in_language(self.language));
            self.say(QUIT, Speech::QuitTitle, question, vec![quit, stay]);
        }
    }

    pub(super) fn answered(&mut self, answer: Answer, now: Now) {
        if self.question.take().is_some() && answer == Answer::Yes {
            self.end_when_flashed(now);
        }
    }

    /// Ends as soon as no device is being written: one that is left half-way may not start again.
    fn end_when_flashed(&mut self, now: Now) {
        if self.waits_for().is_none() {
            return self.end();
        }
        self.ending = Ending::WhenFlashed(now.mono + FLASH_PATIENCE);
        self.close_window();
    }

    /// Returns what an end has to wait for, in a sentence. A node of another process goes on anyway.
    pub(super) fn waits_for(&self) -> Option<String> {
        let ours = self.hosting == Some(Hosting::Ours);
        let view = self.view.as_ref().filter(|_| ours)?;
        quit_waits(view, &self.words)
    }

    pub(super) fn end(&mut self) {
        if self.ending == Ending::Asked {
            return;
        }
        self.ending = Ending::Asked;
        self.close_window();
        self.withdraw_all();
        match self.hosting {
            Some(Hosting::Ours) => self.effects.push_back(Effect::StopNode),
            Some(Hosting::Theirs | Hosting::Failed { .. }) | None => self.leave(),
        }
    }

    pub(super) fn leave(&mut self) {
        self.withdraw_all();
        self.effects.push_back(Effect::End);
    }

    /// Nobody would hear a click on what is left behind.
    fn withdraw_all(&mut self) {
        for id in std::mem::take(&mut self.notified) {
            self.effects.push_back(Effect::Withdraw(id));
        }
    }
}
