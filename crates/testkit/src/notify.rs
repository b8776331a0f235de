//! [`MemoryNotify`]: a screen of notifications in memory, clicked by the test.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_ports::Notify;
use kiln_ports::notify::{Click, Notification, NotificationEvent, NotifyError};
use tokio::sync::mpsc;

/// Notifications that live as long as the test.
pub struct MemoryNotify {
    screen: Mutex<Screen>,
    events: mpsc::UnboundedSender<NotificationEvent>,
    inbox: tokio::sync::Mutex<mpsc::UnboundedReceiver<NotificationEvent>>,
}

#[derive(Default)]
struct Screen {
    shown: BTreeMap<String, Notification>,
    failure: Option<NotifyError>,
}

impl Default for MemoryNotify {
    fn default() -> Self {
        let (events, inbox) = mpsc::unbounded_channel();
        Self {
            screen: Mutex::default(),
            events,
            inbox: tokio::sync::Mutex::new(inbox),
        }
    }
}

impl MemoryNotify {
    /// Returns what is on the screen, sorted by id.
    pub fn shown(&self) -> Vec<Notification> {
        self.screen().shown.values().cloned().collect()
    }

    /// Refuses everything from now on, or shows it again.
    pub fn fail(&self, failure: Option<NotifyError>) {
        self.screen().failure = failure;
    }

    /// Clicks a notification, which goes by that. One that is not shown cannot be clicked.
    pub fn click(&self, id: &str, click: Click) {
        if self.screen().shown.remove(id).is_some() {
            let id = id.to_owned();
            let _ = self.events.send(NotificationEvent { id, click });
        }
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Notify for MemoryNotify {
    async fn show(&self, notification: Notification) -> Result<(), NotifyError> {
        let mut screen = self.screen();
        match &screen.failure {
            Some(failure) => Err(failure.clone()),
            None => {
                screen.shown.insert(notification.id.clone(), notification);
                Ok(())
            }
        }
    }

    async fn withdraw(&self, id: &str) {
        self.screen().shown.remove(id);
    }

    async fn next(&self) -> NotificationEvent {
        match self.inbox.lock().await.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}
