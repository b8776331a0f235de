//! [`Desk`]: decides what the desktop does.
mod drawing;
mod ending;
mod notifying;
mod showing;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::tz::TimeZone;
use kiln_glance::{Action, Icon, Language, Look, Menu, Node, Notices, WindowFocus, Words};
use kiln_model::{Device, Mono, Now, View};
use kiln_ports::appearance::Contrast;
use kiln_ports::tray::{Tray, TrayEvent, TrayHost, TrayImage};

use self::ending::Ending;
use self::notifying::{NO_TRAY, REFUSED, TROUBLE, button};
use crate::speech::Speech;
use crate::window::Window;
use crate::{DeskSettings, Effect, Event, Focus, Goal, Hosting, NotifyState, ToWindow, TrayState};

/// How long a desktop may take to start its panel after a login before we say that it has none.
const PANEL_PATIENCE: Duration = Duration::from_secs(30);

/// What a start of the desktop brings along.
#[derive(Clone, Debug)]
pub struct Start {
    /// As they were kept.
    pub settings: DeskSettings,
    /// The system's locale.
    pub locale: String,
    /// The system's time zone.
    pub zone: TimeZone,
    /// How icons are drawn on this system, as long as no strong contrast is wanted.
    pub look: Look,
}

/// The desktop's decisions.
#[derive(Debug)]
pub struct Desk {
    start: Start,
    language: Language,
    words: Words,
    notices: Notices,
    /// Ids of the notifications that are shown, as far as we know.
    notified: BTreeSet<String>,
    notify: NotifyState,
    hosting: Option<Hosting>,
    view: Option<Box<View>>,
    reached: Reached,
    devices: Vec<Device>,
    menu: Menu,
    look: Look,
    drawn: Option<(Icon, Look, Vec<TrayImage>)>,
    shown: Option<Tray>,
    tray: TrayState,
    panel_deadline: Option<Mono>,
    window: Window,
    question: Option<String>,
    /// Why the last click was in vain, until that was seen.
    refused: Option<String>,
    ending: Ending,
    effects: VecDeque<Effect>,
}

/// Whether the node was ever reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    NotYet,
    Now,
    Lost,
}

impl Desk {
    /// Makes a desk that knows nothing yet; its first effect shows the icon.
    pub fn new(start: Start, now: Now) -> Self {
        let language = start.settings.language(&start.locale);
        let words = Words::new(language, start.zone.clone());
        let mut desk = Self {
            notices: Notices::new(words.clone()),
            notified: BTreeSet::new(),
            notify: NotifyState::Unknown,
            language,
            words,
            look: start.look,
            start,
            hosting: None,
            view: None,
            reached: Reached::NotYet,
            devices: Vec::new(),
            menu: Menu {
                entries: Vec::new(),
            },
            drawn: None,
            shown: None,
            tray: TrayState::Unknown,
            panel_deadline: None,
            window: Window::Closed,
            question: None,
            refused: None,
            ending: Ending::No,
            effects: VecDeque::new(),
        };
        desk.draw(now);
        desk
    }

    /// Takes over what happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::Hosting(hosting) => self.hosting(hosting),
            Event::HostEnded => {
                // A window without its desktop would stay behind.
                self.close_window();
                self.leave();
            }
            Event::View(view) => self.viewed(view, now),
            Event::Devices(devices) => self.devices = devices,
            Event::NodeGone => self.node_gone(),
            Event::Refused { message, hint } => {
                let (message, hint) = (self.words.sentence(&message), self.words.sentence(&hint));
                let why = format!("{message} {hint}").trim_end().to_owned();
                self.refused = Some(why.clone());
                self.say(REFUSED, Speech::RefusedTitle, why, Vec::new());
            }
            Event::Tray(event) => self.tray_event(event, now),
            Event::NoTray => self.tray_is(TrayState::NoHost),
            Event::Zone(zone) => {
                self.start.zone = zone;
                self.speak();
            }
            Event::Contrast(Contrast::Normal) => self.look = self.start.look,
            Event::Contrast(Contrast::High) => self.look = Look::HighContrast,
            Event::Notification(event) => self.clicked(&event, now),
            Event::Notified(id) => self.was_notified(&id),
            Event::NotNotified(id, error) => self.not_notified(&id, &error),
            Event::Show(goal) => self.open(goal),
            Event::Window(word) => self.heard(word, now),
            Event::WindowGoing => self.window_going(),
            Event::WindowEnded(end) => self.window_ended(end),
            Event::Settings(settings) => self.settings(settings),
            Event::Stop => self.end(),
        }
        self.draw(now);
    }

    /// Takes over that time has come.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.panel_deadline.is_some_and(|at| at <= now.mono) {
            self.panel_deadline = None;
            self.say_no_tray();
        }
        if matches!(self.ending, Ending::WhenFlashed(at) if at <= now.mono) {
            self.end();
        }
    }

    /// Returns when [`Desk::handle_timeout`] wants to be called; mostly never.
    pub fn poll_timeout(&self) -> Option<Mono> {
        let flashed = match self.ending {
            Ending::WhenFlashed(at) => Some(at),
            Ending::No | Ending::Asked => None,
        };
        [self.panel_deadline, flashed].into_iter().flatten().min()
    }

    /// Returns the next effect.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn node(&self) -> Node<'_> {
        match (&self.view, &self.hosting) {
            (Some(view), _) => Node::Up(view),
            (None, Some(Hosting::Failed { .. })) => Node::Gone,
            (None, _) if self.reached == Reached::Lost => Node::Gone,
            (None, _) => Node::Connecting,
        }
    }

    fn hosting(&mut self, hosting: Hosting) {
        match &hosting {
            Hosting::Ours | Hosting::Theirs => {
                self.withdraw(TROUBLE);
                self.tell(ToWindow::Trouble { message: None });
            }
            Hosting::Failed { why, .. } => {
                let why = self.words.statement(why);
                let told_before = self.hosting.as_ref() == Some(&hosting);
                if !told_before {
                    let again = Speech::TryAgain.in_language(self.language);
                    let buttons = vec![button("again", again)];
                    self.say(TROUBLE, Speech::TroubleTitle, why.clone(), buttons);
                }
                self.tell(ToWindow::Trouble { message: Some(why) });
            }
        }
        self.hosting = Some(hosting);
    }

    fn viewed(&mut self, view: Box<View>, now: Now) {
        self.reached = Reached::Now;
        let focus = match self.window {
            Window::Open(Focus::Here) => WindowFocus::Focused,
            Window::Open(Focus::Elsewhere)
            | Window::Closed
            | Window::Starting { .. }
            | Window::Closing { .. } => WindowFocus::Elsewhere,
        };
        let effects = self.notices.handle(&view, focus, now.wall);
        self.view = Some(view);
        self.noticed(effects);
        if matches!(self.ending, Ending::WhenFlashed(_)) && self.waits_for().is_none() {
            self.end();
        }
    }

    fn node_gone(&mut self) {
        self.view = None;
        if self.reached == Reached::Now {
            self.reached = Reached::Lost;
        }
        let effects = self.notices.node_gone();
        self.noticed(effects);
    }

    fn tray_event(&mut self, event: TrayEvent, now: Now) {
        match event {
            TrayEvent::Activated => self.open(Goal::overview()),
            TrayEvent::Clicked(id) => match self.menu.action(&id).cloned() {
                Some(action) => self.perform(action, now),
                // The menu was open while its line went; what became of it stands in the window.
                None => self.open(Goal::overview()),
            },
            TrayEvent::Host(TrayHost::Here) => {
                self.panel_deadline = None;
                self.withdraw(NO_TRAY);
                self.tray_is(TrayState::Shown);
            }
            TrayEvent::Host(TrayHost::Missing) => {
                // A panel that is asked again and again is missing since the first time.
                if self.tray != TrayState::NoHost {
                    self.panel_deadline = Some(now.mono + PANEL_PATIENCE);
                }
                self.tray_is(TrayState::NoHost);
            }
        }
    }

    fn tray_is(&mut self, tray: TrayState) {
        if self.tray != tray {
            self.tray = tray;
            self.tell(ToWindow::Tray { tray });
        }
    }

    fn perform(&mut self, action: Action, now: Now) {
        match action {
            Action::Open(page) => self.open(Goal::from(&page)),
            Action::Ask(request) => self.effects.push_back(Effect::Ask(request)),
            Action::Pause(snooze) => self.effects.push_back(Effect::Pause(snooze)),
            Action::Resume => self.effects.push_back(Effect::Resume),
            // It stands there which version runs, and that newer ones are not asked for.
            Action::CheckUpdates => self.open(Goal::from(&kiln_glance::Page::Diagnostics)),
            Action::Quit => self.quit(now),
        }
    }

    fn settings(&mut self, settings: DeskSettings) {
        let language = settings.language(&self.start.locale);
        self.start.settings = settings;
        if language != self.language {
            self.language = language;
            self.speak();
        }
    }

    /// Takes the words of the language and the times of the zone.
    fn speak(&mut self) {
        self.words = Words::new(self.language, self.start.zone.clone());
        self.notices.speak(self.words.clone());
    }
}

#[cfg(test)]
mod tests;
