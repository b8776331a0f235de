//! [`Desk`]: decides what the desktop does.
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::tz::TimeZone;
use kiln_glance::{
    Action, Entry, Icon, Language, Look, Menu, Node, Notice, NoticeEffect, Notices, WindowFocus,
    Words, quit_question, quit_waits, tooltip,
};
use kiln_model::{Device, FLASH_PATIENCE, Mono, Now, View};
use kiln_ports::appearance::Contrast;
use kiln_ports::notify::{
    Click, Notification, NotificationButton, NotificationEvent, NotifyError, Sound, Urgency,
};
use kiln_ports::tray::{
    Attention, Clickable, Tray, TrayEntry, TrayEvent, TrayHost, TrayImage, TrayItem,
};

use crate::speech::Speech;
use crate::window::Window;
use crate::{
    Again, Answer, DeskSettings, Effect, Event, Focus, Goal, Hosting, Notifications, NotifyState,
    Said, ToDesk, ToWindow, TrayState, WindowEnd,
};

/// Sizes in which the icon is drawn: what panels ask for at one and at two pixels per point.
const SIZES: [u16; 4] = [16, 22, 32, 48];

/// How long a desktop may take to start its panel after a login before we say that it has none.
const PANEL_PATIENCE: Duration = Duration::from_secs(30);

/// Ids of the notifications that are about the desktop itself; glance's all have a colon or other
/// words, and nobody else notifies in our name.
const QUIT: &str = "desk-quit";
const GOES_ON: &str = "desk-goes-on";
const NO_TRAY: &str = "desk-no-tray";
const BROKE: &str = "desk-window-broke";
const NO_WINDOW: &str = "desk-no-window";
const TROUBLE: &str = "desk-trouble";
const REFUSED: &str = "desk-refused";

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

/// Whether the desktop is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// As soon as no device is being written, or at this time.
    WhenFlashed(Mono),
    Asked,
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

    fn noticed(&mut self, effects: Vec<NoticeEffect>) {
        for effect in effects {
            match effect {
                NoticeEffect::Show(notice) => self.notify(notification(&notice)),
                NoticeEffect::Withdraw(id) => self.withdraw(id.as_str()),
            }
        }
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

    /// Ends, after a question if others wait for this node. A node of another process goes on.
    fn quit(&mut self, now: Now) {
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

    fn ask_in_window(&mut self) {
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
    fn ask_without_window(&mut self) {
        if let Some(question) = self.question.clone() {
            let quit = button("quit", Speech::Quit.in_language(self.language));
            let stay = button("stay", Speech::Stay.in_language(self.language));
            self.say(QUIT, Speech::QuitTitle, question, vec![quit, stay]);
        }
    }

    fn answered(&mut self, answer: Answer, now: Now) {
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
    fn waits_for(&self) -> Option<String> {
        let ours = self.hosting == Some(Hosting::Ours);
        let view = self.view.as_ref().filter(|_| ours)?;
        quit_waits(view, &self.words)
    }

    fn end(&mut self) {
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

    fn leave(&mut self) {
        self.withdraw_all();
        self.effects.push_back(Effect::End);
    }

    /// Nobody would hear a click on what is left behind.
    fn withdraw_all(&mut self) {
        for id in std::mem::take(&mut self.notified) {
            self.effects.push_back(Effect::Withdraw(id));
        }
    }

    fn close_window(&mut self) {
        self.tell(ToWindow::Close);
        self.window_going();
    }

    fn open(&mut self, goal: Goal) {
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

    fn heard(&mut self, word: ToDesk, now: Now) {
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
    fn refuse_in_window(&mut self) {
        if let Some(message) = self.refused.take() {
            self.tell(ToWindow::Refused { message });
        }
    }

    fn window_going(&mut self) {
        if matches!(self.window, Window::Open(_)) {
            self.window = Window::Closing { goal: None };
        }
    }

    fn window_ended(&mut self, end: WindowEnd) {
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

    fn say_goes_on(&mut self) {
        if self.ending != Ending::No || self.start.settings.close_hint == Said::Done {
            return;
        }
        let speech = match self.tray {
            TrayState::Shown => Speech::GoesOnInTray,
            TrayState::NoHost | TrayState::Unknown => Speech::GoesOnWithoutTray,
        };
        let body = speech.in_language(self.language).to_owned();
        self.say(GOES_ON, Speech::GoesOnTitle, body, Vec::new());
    }

    fn say_no_tray(&mut self) {
        if self.start.settings.no_tray == Said::Done {
            return;
        }
        let body = Speech::NoTray.in_language(self.language).to_owned();
        self.say(NO_TRAY, Speech::NoTrayTitle, body, Vec::new());
    }

    fn clicked(&mut self, event: &NotificationEvent, now: Now) {
        self.notified.remove(&event.id);
        let button = match &event.click {
            Click::Closed => {
                if event.id == QUIT {
                    self.question = None;
                }
                return;
            }
            Click::Body => None,
            Click::Button(id) => Some(id.as_str()),
        };
        match (event.id.as_str(), button) {
            (QUIT, Some("quit")) => self.answered(Answer::Yes, now),
            (QUIT, _) => self.answered(Answer::No, now),
            (TROUBLE, Some(_)) => self.effects.push_back(Effect::Host),
            (GOES_ON | NO_TRAY | BROKE | REFUSED | TROUBLE, _) => self.open(Goal::overview()),
            (id, button) => {
                if let Some(action) = self.notices.clicked(id, button) {
                    self.perform(action, now);
                }
            }
        }
    }

    /// What is said once is said from now on; what nobody could see is not.
    fn was_notified(&mut self, id: &str) {
        self.notify_is(NotifyState::Shown);
        let settings = &mut self.start.settings;
        let said = match id {
            GOES_ON => &mut settings.close_hint,
            NO_TRAY => &mut settings.no_tray,
            REFUSED => return self.refused = None,
            _ => return,
        };
        *said = Said::Done;
        self.effects.push_back(Effect::Keep(settings.clone()));
    }

    fn not_notified(&mut self, id: &str, error: &NotifyError) {
        self.notified.remove(id);
        self.notify_is(match error {
            NotifyError::Denied => NotifyState::Denied,
            NotifyError::NoDaemon | NotifyError::Failed(_) => NotifyState::Missing,
        });
        match id {
            // The question reached nobody: it is as if it was answered with no.
            QUIT => self.question = None,
            REFUSED => match self.window {
                Window::Open(_) => self.refuse_in_window(),
                Window::Closed | Window::Closing { goal: None } if self.ending == Ending::No => {
                    self.open(Goal::overview());
                }
                // It is said in the window that comes; and who wants to end is not kept by it.
                Window::Closed | Window::Starting { .. } | Window::Closing { .. } => {}
            },
            _ => {}
        }
    }

    fn notify_is(&mut self, notify: NotifyState) {
        if self.notify != notify {
            self.notify = notify;
            self.tell(ToWindow::Notifications {
                notifications: notify,
            });
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

    fn say(&mut self, id: &str, title: Speech, body: String, buttons: Vec<NotificationButton>) {
        self.notify(Notification {
            id: id.to_owned(),
            title: title.in_language(self.language).to_owned(),
            body,
            urgency: Urgency::Normal,
            sound: Sound::AsSet,
            buttons,
            progress: None,
        });
    }

    /// What follows a click is shown even if notifications are switched off.
    fn notify(&mut self, mut notification: Notification) {
        let view = self.view.as_ref();
        if view.is_some_and(|view| view.availability.on_battery()) {
            notification.sound = Sound::Never;
        }
        let wanted = self.start.settings.notifications == Notifications::On;
        let answers = matches!(notification.id.as_str(), QUIT | REFUSED);
        if self.ending != Ending::Asked && (wanted || answers) {
            self.notified.insert(notification.id.clone());
            self.effects.push_back(Effect::Notify(notification));
        }
    }

    /// Takes it away, if it is shown.
    fn withdraw(&mut self, id: &str) {
        if self.notified.remove(id) {
            self.effects.push_back(Effect::Withdraw(id.to_owned()));
        }
    }

    fn tell(&mut self, word: ToWindow) {
        if matches!(self.window, Window::Open(_)) {
            self.effects.push_back(Effect::TellWindow(word));
        }
    }

    /// Makes icon, tooltip and menu anew, and shows them if they changed.
    fn draw(&mut self, now: Now) {
        let node = self.node();
        let icon = Icon::of(node);
        let mut sentence = tooltip(node, &self.words, now.wall);
        let mut menu = Menu::of(node, &self.devices, &self.words, now.wall);
        if let Some(matters_more) = self.matters_more() {
            sentence = matters_more;
            if let Some(Entry::Item(first)) = menu.entries.first_mut() {
                first.label.clone_from(&sentence);
            }
        }
        let attention = match icon {
            Icon::Attention => Attention::Wanted,
            Icon::Error
            | Icon::BuildingMine
            | Icon::BuildingOthers
            | Icon::Paused
            | Icon::Ready
            | Icon::Off => Attention::No,
        };
        let tray = Tray {
            icon: self.images(icon),
            attention,
            tooltip: sentence,
            menu: menu.entries.iter().map(entry).collect(),
        };
        self.menu = menu;
        if self.shown.as_ref() != Some(&tray) {
            self.shown = Some(tray.clone());
            self.effects.push_back(Effect::ShowTray(tray));
        }
    }

    /// Returns what matters more than how the node is.
    fn matters_more(&self) -> Option<String> {
        match (&self.hosting, self.ending) {
            // Why there is no node says more than that there is none.
            (Some(Hosting::Failed { why, .. }), _) if self.view.is_none() => {
                Some(self.words.statement(why))
            }
            (_, Ending::WhenFlashed(_)) => self.waits_for(),
            (_, Ending::No | Ending::Asked) => None,
        }
    }

    /// Draws the icon, unless it is the one that was drawn last.
    fn images(&mut self, icon: Icon) -> Vec<TrayImage> {
        match &self.drawn {
            Some((drawn, look, images)) if (*drawn, *look) == (icon, self.look) => images.clone(),
            Some(_) | None => {
                let images = SIZES.map(|size| image(icon, size, self.look)).to_vec();
                self.drawn = Some((icon, self.look, images.clone()));
                images
            }
        }
    }
}

fn image(icon: Icon, size: u16, look: Look) -> TrayImage {
    let pixels = icon.pixels(size, look);
    TrayImage {
        size: pixels.size,
        rgba: pixels.rgba,
    }
}

fn entry(entry: &Entry) -> TrayEntry {
    match entry {
        Entry::Item(line) => TrayEntry::Item(item(line)),
        Entry::Submenu { label, items, .. } => TrayEntry::Submenu {
            label: label.clone(),
            items: items.iter().map(item).collect(),
        },
        Entry::Separator => TrayEntry::Separator,
    }
}

fn item(item: &kiln_glance::Item) -> TrayItem {
    TrayItem {
        id: item.id.clone(),
        label: item.label.clone(),
        clickable: match item.action {
            Some(_) => Clickable::Yes,
            None => Clickable::No,
        },
    }
}

fn button(id: &str, label: &str) -> NotificationButton {
    NotificationButton {
        id: id.to_owned(),
        label: label.to_owned(),
    }
}

fn notification(notice: &Notice) -> Notification {
    let buttons = notice.buttons.iter();
    Notification {
        id: notice.id.as_str().to_owned(),
        title: notice.title.clone(),
        body: notice.body.clone(),
        urgency: match notice.urgency {
            kiln_glance::Urgency::Quiet => Urgency::Quiet,
            kiln_glance::Urgency::Normal => Urgency::Normal,
            kiln_glance::Urgency::Urgent => Urgency::Urgent,
        },
        sound: match notice.urgency {
            kiln_glance::Urgency::Quiet => Sound::Never,
            kiln_glance::Urgency::Normal | kiln_glance::Urgency::Urgent => Sound::AsSet,
        },
        buttons: buttons.map(|b| button(b.id, &b.label)).collect(),
        progress: notice.progress,
    }
}

#[cfg(test)]
mod tests;
