//! [`Notify`]: notifications of the desktop, with buttons that act.

/// How much a notification may interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Replaces what is shown, without a popup where the system lets us choose.
    Quiet,
    /// The system decides, as it does for every program ("do not disturb" included).
    Normal,
    /// Shown at once.
    Urgent,
}

/// Whether a notification may be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// As the system is set.
    AsSet,
    /// It may not.
    Never,
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Which one: at most 64 bytes; a second one with the same id replaces the first.
    pub id: String,
    /// One line, plain text.
    pub title: String,
    /// One or two sentences, plain text; possibly empty.
    pub body: String,
    /// How much it may interrupt.
    pub urgency: Urgency,
    /// Whether it may be heard, where the system lets us choose.
    pub sound: Sound,
    /// At most two.
    pub buttons: Vec<NotificationButton>,
    /// Percent done, where the system can show it.
    pub progress: Option<u8>,
}

/// A button of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationButton {
    /// What comes back when it is clicked: ASCII letters, digits, `_` and `-`.
    pub id: String,
    /// What stands on it, plain text.
    pub label: String,
}

/// What somebody did with a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationEvent {
    /// Which one.
    pub id: String,
    /// What was done.
    pub click: Click,
}

/// What was clicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Click {
    /// The notification itself.
    Body,
    /// The button of this id.
    Button(String),
    /// It was closed, by the person or because its time was over.
    Closed,
}

/// Why there are no notifications. All they say is in the window as well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// Nothing on this desktop shows notifications.
    #[error("nothing here shows notifications; Kiln's window shows what they would say")]
    NoDaemon,
    /// The person or the system does not want ours.
    #[error("notifications of Kiln are switched off in the system's settings")]
    Denied,
    /// Anything else, in the words of the system.
    #[error("a notification cannot be shown: {0}")]
    Failed(String),
}

/// The desktop's notifications.
#[async_trait::async_trait]
pub trait Notify: Send + Sync + 'static {
    /// Shows one, in the place of an earlier one of the same id. Returns when the system has taken
    /// it. Asks for permission, where the system wants that, when the first one is shown.
    async fn show(&self, notification: Notification) -> Result<(), NotifyError>;

    /// Takes one away; fine if it is not shown any more.
    async fn withdraw(&self, id: &str);

    /// Waits for the next thing that somebody does with one. Cancelling it loses nothing.
    async fn next(&self) -> NotificationEvent;
}
