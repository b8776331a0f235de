//! The window: started, brought to a page, talked with and closed.
use kiln_model::Now;

use super::Desk;
use super::ending::Ending;
use super::notifying::{BROKE, GOES_ON, NO_WINDOW, QUIT, button};
use crate::speech::Speech;
use crate::window::Window;
use crate::{Again, Effect, Focus, Goal, Hosting, ToDesk, ToWindow, WindowEnd};

impl Desk {
    pub(super) fn close_window(&mut self) {
        self.tell(ToWindow::Close);
        self.window_going();
    }

    pub(super) fn open(&mut self, goal: Goal) {
        match self.ending {
            Ending::No => {}
            // Who wants to see it does not want it to end.
            Ending::WhenFlashed(_) => self.ending = Ending::No,
            // A window would stay behind.
            Ending::Asked => return,
        }
        // Somebody looks: a good time to try again what failed.
        if matches!(
            self.hosting,
            Some(Hosting::Failed {
                again: Again::OnWord,
                ..
            })
        ) {
            self.effects.push_back(Effect::Host);
        }
        match &mut self.window {
            Window::Open(_) => self.tell(ToWindow::Open { goal }),
            Window::Starting { goal: wanted, .. } => *wanted = goal,
            Window::Closing { goal: wanted } => *wanted = Some(goal),
            Window::Closed => {
                self.window = Window::Starting {
                    with: goal.clone(),
                    goal: goal.clone(),
                };
                self.effects.push_back(Effect::StartWindow(goal));
            }
        }
    }

    pub(super) fn heard(&mut self, word: ToDesk, now: Now) {
        match word {
            ToDesk::Show { goal } => self.open(goal),
            ToDesk::Window => self.window_is_there(),
            ToDesk::Focus { focus } => {
                if let Window::Open(known) = &mut self.window {
                    *known = focus;
                }
                // What is told by a notification is seen in the window now.
                if let Some(view) = self.view.take() {
                    self.viewed(view, now);
                }
            }
            ToDesk::Quit { answer } => self.answered(answer, now),
            ToDesk::Again => self.effects.push_back(Effect::Host),
            // The shell reads the file and hands in what it says.
            ToDesk::Settings => {}
        }
    }

    fn window_is_there(&mut self) {
        // It says itself when it is looked at.
        let unseen = Window::Open(Focus::Elsewhere);
        let before = std::mem::replace(&mut self.window, unseen);
        self.tell(ToWindow::Welcome {
            tray: self.tray,
            notifications: self.notify,
        });
        if let Some(Hosting::Failed { why, .. }) = &self.hosting {
            let message = Some(self.words.statement(why));
            self.tell(ToWindow::Trouble { message });
        }
        match before {
            Window::Starting { with, goal } if with != goal => self.tell(ToWindow::Open { goal }),
            // Only its conversation had ended.
            Window::Closing { goal: Some(goal) } => self.tell(ToWindow::Open { goal }),
            Window::Closed
            | Window::Starting { .. }
            | Window::Open(_)
            | Window::Closing { goal: None } => {}
        }
        // What they say is seen, and the window is the one place for an answer.
        for seen in [GOES_ON, BROKE, NO_WINDOW, QUIT] {
            self.withdraw(seen);
        }
        self.ask_in_window();
        self.refuse_in_window();
    }

    /// Says in the window that is there why a click was in vain.
    pub(super) fn refuse_in_window(&mut self) {
        if let Some(message) = self.refused.take() {
            self.tell(ToWindow::Refused { message });
        }
    }

    pub(super) fn window_going(&mut self) {
        if matches!(self.window, Window::Open(_)) {
            self.window = Window::Closing { goal: None };
        }
    }

    pub(super) fn window_ended(&mut self, end: WindowEnd) {
        let was = std::mem::replace(&mut self.window, Window::Closed);
        match (end, was) {
            (_, Window::Closed) => {}
            // Somebody wanted to see it again when it was about to be gone.
            (_, Window::Closing { goal: Some(goal) }) => self.open(goal),
            (WindowEnd::Closed, Window::Open(_) | Window::Closing { goal: None }) => {
                // Closed with the question open: nobody said yes.
                self.question = None;
                self.say_goes_on();
            }
            (WindowEnd::Closed, Window::Starting { .. }) => self.ask_without_window(),
            (
                WindowEnd::Never(_),
                Window::Open(_) | Window::Starting { .. } | Window::Closing { .. },
            ) => {
                self.refused = None;
                if self.question.is_some() {
                    return self.ask_without_window();
                }
                let body = Speech::NoWindow.in_language(self.language).to_owned();
                self.say(NO_WINDOW, Speech::NoWindowTitle, body, Vec::new());
            }
            (
                WindowEnd::Broken(_),
                Window::Open(_) | Window::Starting { .. } | Window::Closing { .. },
            ) => {
                let again = button("open", Speech::OpenAgain.in_language(self.language));
                let body = Speech::Broke.in_language(self.language).to_owned();
                self.say(BROKE, Speech::BrokeTitle, body, vec![again]);
                self.ask_without_window();
            }
        }
    }

    pub(super) fn tell(&mut self, word: ToWindow) {
        if matches!(self.window, Window::Open(_)) {
            self.effects.push_back(Effect::TellWindow(word));
        }
    }
}
