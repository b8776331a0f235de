//! [`Tellings`]: notifications on their way to whoever shows them, one after the other.
use std::sync::Arc;
use std::time::Duration;

use kiln_desk::Event;
use kiln_ports::Notify;
use kiln_ports::notify::{Notification, NotifyError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest wait for who shows notifications: those that follow wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is told, and told no more.
pub(super) enum Telling {
    Show(Notification),
    Withdraw(String),
}

/// A queue: what is withdrawn while it is about to be shown would stay.
pub(super) struct Tellings {
    queue: UnboundedSender<Telling>,
    task: JoinHandle<()>,
}

impl Tellings {
    /// Tells `notify`; whether it could be shown is an event.
    pub(super) fn to(notify: Arc<impl Notify + 'static>, events: UnboundedSender<Event>) -> Self {
        let (queue, told) = unbounded_channel();
        let task = tokio::spawn(tell(notify, told, events));
        Self { queue, task }
    }

    /// Puts one at the end.
    pub(super) fn add(&self, telling: Telling) {
        // The task ends with this value only.
        let _ = self.queue.send(telling);
    }

    /// Waits until all of it is told, or somebody does not answer.
    pub(super) async fn end(self) {
        drop(self.queue);
        let _ = timeout(PATIENCE, self.task).await;
    }
}

async fn tell(
    notify: Arc<impl Notify>,
    mut tellings: UnboundedReceiver<Telling>,
    events: UnboundedSender<Event>,
) {
    while let Some(telling) = tellings.recv().await {
        match telling {
            Telling::Withdraw(id) => {
                let _ = timeout(PATIENCE, notify.withdraw(&id)).await;
            }
            Telling::Show(notification) => {
                let id = notification.id.clone();
                let shown = timeout(PATIENCE, notify.show(notification)).await;
                let silent = || NotifyError::Failed("nobody answers".to_owned());
                let event = match shown.unwrap_or_else(|_| Err(silent())) {
                    Ok(()) => Event::Notified(id),
                    Err(error) => {
                        tracing::info!(%error, "a notification is left out");
                        Event::NotNotified(id, error)
                    }
                };
                let _ = events.send(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_ports::notify::{NotificationEvent, Sound, Urgency};
    use tokio::sync::mpsc;

    use super::*;

    /// A screen that shows nothing called `stuck`, and takes its time for everything else.
    struct SlowScreen(UnboundedSender<String>);

    #[async_trait::async_trait]
    impl Notify for SlowScreen {
        async fn show(&self, notification: Notification) -> Result<(), NotifyError> {
            match notification.id.as_str() {
                "stuck" => std::future::pending().await,
                "hidden" => Err(NotifyError::NoDaemon),
                id => {
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    let _ = self.0.send(format!("shown {id}"));
                    Ok(())
                }
            }
        }

        async fn withdraw(&self, id: &str) {
            let _ = self.0.send(format!("withdrawn {id}"));
        }

        async fn next(&self) -> NotificationEvent {
            std::future::pending().await
        }
    }

    fn show(id: &str) -> Telling {
        Telling::Show(Notification {
            id: id.to_owned(),
            title: String::new(),
            body: String::new(),
            urgency: Urgency::Normal,
            sound: Sound::AsSet,
            buttons: Vec::new(),
            progress: None,
        })
    }

    fn begin() -> (
        Tellings,
        mpsc::UnboundedReceiver<String>,
        UnboundedReceiver<Event>,
    ) {
        let (done, told) = unbounded_channel();
        let (events, heard) = unbounded_channel();
        (
            Tellings::to(Arc::new(SlowScreen(done)), events),
            told,
            heard,
        )
    }

    #[tokio::test]
    async fn what_is_withdrawn_while_it_is_being_shown_goes_after_it_was_shown() {
        let (tellings, mut told, _heard) = begin();
        tellings.add(show("a"));
        tellings.add(Telling::Withdraw("a".to_owned()));
        tellings.add(show("b"));
        for expected in ["shown a", "withdrawn a", "shown b"] {
            assert_eq!(told.recv().await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn the_end_waits_until_what_is_shown_is_withdrawn() {
        let (tellings, mut told, _heard) = begin();
        tellings.add(show("a"));
        tellings.add(Telling::Withdraw("a".to_owned()));
        tellings.end().await;
        assert_eq!(told.try_recv().unwrap(), "shown a");
        assert_eq!(told.try_recv().unwrap(), "withdrawn a");
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_given_up_and_told_and_the_next_is_shown() {
        let (tellings, mut told, mut heard) = begin();
        for id in ["stuck", "hidden", "b"] {
            tellings.add(show(id));
        }
        assert_eq!(told.recv().await.unwrap(), "shown b");
        let silent = NotifyError::Failed("nobody answers".to_owned());
        for (id, error) in [("stuck", silent), ("hidden", NotifyError::NoDaemon)] {
            let left_out = Event::NotNotified(id.to_owned(), error);
            assert_eq!(heard.recv().await.unwrap(), left_out);
        }
        let shown = Event::Notified("b".to_owned());
        assert_eq!(heard.recv().await.unwrap(), shown);
    }
}
