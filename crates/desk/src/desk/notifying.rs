//! Notifications: shown, withdrawn, clicked, and what is said only once.
use kiln_glance::{Notice, NoticeEffect};
use kiln_model::Now;
use kiln_ports::notify::{
    Click, Notification, NotificationButton, NotificationEvent, NotifyError, Sound, Urgency,
};

use super::Desk;
use super::ending::Ending;
use crate::speech::Speech;
use crate::window::Window;
use crate::{Answer, Effect, Goal, Notifications, NotifyState, Said, ToWindow, TrayState};

/// Ids of the notifications that are about the desktop itself; glance's all have a colon or other
/// words, and nobody else notifies in our name.
pub(super) const QUIT: &str = "desk-quit";
pub(super) const GOES_ON: &str = "desk-goes-on";
pub(super) const NO_TRAY: &str = "desk-no-tray";
pub(super) const BROKE: &str = "desk-window-broke";
pub(super) const NO_WINDOW: &str = "desk-no-window";
pub(super) const TROUBLE: &str = "desk-trouble";
pub(super) const REFUSED: &str = "desk-refused";

impl Desk {
    pub(super) fn noticed(&mut self, effects: Vec<NoticeEffect>) {
        for effect in effects {
            match effect {
                NoticeEffect::Show(notice) => self.notify(notification(&notice)),
                NoticeEffect::Withdraw(id) => self.withdraw(id.as_str()),
            }
        }
    }

    pub(super) fn say_goes_on(&mut self) {
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

    pub(super) fn say_no_tray(&mut self) {
        if self.start.settings.no_tray == Said::Done {
            return;
        }
        let body = Speech::NoTray.in_language(self.language).to_owned();
        self.say(NO_TRAY, Speech::NoTrayTitle, body, Vec::new());
    }

    pub(super) fn clicked(&mut self, event: &NotificationEvent, now: Now) {
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
    pub(super) fn was_notified(&mut self, id: &str) {
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

    pub(super) fn not_notified(&mut self, id: &str, error: &NotifyError) {
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

    pub(super) fn say(
        &mut self,
        id: &str,
        title: Speech,
        body: String,
        buttons: Vec<NotificationButton>,
    ) {
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
    pub(super) fn withdraw(&mut self, id: &str) {
        if self.notified.remove(id) {
            self.effects.push_back(Effect::Withdraw(id.to_owned()));
        }
    }
}

pub(super) fn button(id: &str, label: &str) -> NotificationButton {
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
