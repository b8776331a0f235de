//! [`Event`]: everything that can happen to the desktop.
use jiff::tz::TimeZone;
use kiln_model::{Device, Sentence, View};
use kiln_ports::appearance::Contrast;
use kiln_ports::notify::{NotificationEvent, NotifyError};
use kiln_ports::tray::TrayEvent;

use crate::{DeskSettings, Goal, ToDesk};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// How the node of this state directory is run.
    Hosting(Hosting),
    /// Our node ended: somebody asked it to, or it was told to by [`Effect::StopNode`](crate::Effect::StopNode).
    HostEnded,
    /// The node was reached and is what this says.
    View(Box<View>),
    /// The owner's devices, after they changed.
    Devices(Vec<Device>),
    /// The node does not answer any more.
    NodeGone,
    /// The node refused what a click asked for.
    Refused {
        /// Why.
        message: Sentence,
        /// What to do next; may be empty.
        hint: Sentence,
    },
    /// From the icon.
    Tray(TrayEvent),
    /// There is no icon and will be none.
    NoTray,
    /// The system's time zone, after it changed.
    Zone(TimeZone),
    /// How strong a contrast is wanted, at the start and after it changed.
    Contrast(Contrast),
    /// Somebody did something with a notification.
    Notification(NotificationEvent),
    /// The notification of this id is shown.
    Notified(String),
    /// The notification of this id could not be shown.
    NotNotified(String, NotifyError),
    /// A second start, or the first one that is not hidden.
    Show(Goal),
    /// A word of the window.
    Window(ToDesk),
    /// The window said its last word; [`Event::WindowEnded`] follows.
    WindowGoing,
    /// The window's process, or its conversation, ended.
    WindowEnded(WindowEnd),
    /// The settings of the desktop, after they changed.
    Settings(DeskSettings),
    /// The system or a person wants this process to end.
    Stop,
}

/// How the node is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosting {
    /// By us.
    Ours,
    /// By another process; we are its client.
    Theirs,
    /// Not at all.
    Failed {
        /// Why, in a sentence with the next step.
        why: Sentence,
        /// What it takes to try again.
        again: Again,
    },
}

/// What it takes to try to start a node again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Time; the shell tries by itself.
    ByItself,
    /// A person's word.
    OnWord,
}

/// How the window ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowEnd {
    /// It was closed.
    Closed,
    /// It broke; in a few words, for the log and the person.
    Broken(String),
    /// It could not be shown at all, for example without a display.
    Never(String),
}
