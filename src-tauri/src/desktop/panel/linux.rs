//! [`Panel`] on Linux: a StatusNotifierItem. Nothing of a toolkit is loaded for it.
use std::process::ExitCode;
use std::time::Duration;

use kiln_desk::Event;
use kiln_glance::Look;
use kiln_platform::{StatusItem, SystemAppearance};
use kiln_ports::tray::{Tray, TrayError, TrayEvent, TrayHost};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::arguments::Shown;

/// Longest wait for a panel that does not answer, before it counts as none.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause before a panel that did not take the icon is asked again.
const PAUSE: Duration = Duration::from_secs(30);

/// The icon, kept by a task of its own: a panel that hangs holds up nothing else.
pub(crate) struct Panel(Option<Keeper>);

struct Keeper {
    /// What is to be shown; the newest counts.
    newest: watch::Sender<Tray>,
    task: JoinHandle<()>,
}

/// Runs the program with an icon. Nothing else needs this thread.
pub(super) fn with(run: impl FnOnce(Panel) -> ExitCode + Send + 'static) -> ExitCode {
    run(Panel(None))
}

/// Tells how strong a contrast is wanted, now and after every change.
pub(super) async fn contrast(events: UnboundedSender<Event>) {
    let appearance = SystemAppearance::default();
    loop {
        let _ = events.send(Event::Contrast(appearance.contrast().await));
    }
}

impl Panel {
    /// Returns whether this start shows the window: as its arguments say.
    pub(super) fn shown(&self, asked: Shown) -> Shown {
        asked
    }

    /// Returns how icons are drawn here.
    pub(super) fn look(&self) -> Look {
        Look::Colour
    }

    /// Shows this; what is clicked comes as an event.
    pub(super) fn show(&mut self, tray: Tray, events: &UnboundedSender<Event>) {
        match &self.0 {
            Some(keeper) => {
                keeper.newest.send_replace(tray);
            }
            None => {
                let (newest, shown) = watch::channel(tray);
                let task = tokio::spawn(keep(shown, events.clone()));
                self.0 = Some(Keeper { newest, task });
            }
        }
    }

    /// Takes it away, unless the panel hangs: it loses the icon with the connection.
    pub(super) async fn remove(self) {
        if let Some(Keeper { newest, task }) = self.0 {
            drop(newest);
            let _ = timeout(PATIENCE, task).await;
        }
    }
}

/// Keeps the icon in the panel until nothing is to be shown any more.
async fn keep(mut newest: watch::Receiver<Tray>, events: UnboundedSender<Event>) {
    let mut told = String::new();
    loop {
        let tray = newest.borrow_and_update().clone();
        let begun = tokio::select! {
            begun = begin(tray, &events) => begun,
            () = ended(newest.clone()) => return,
        };
        match begun {
            Ok((item, clicks)) => return keep_shown(item, clicks, newest, &events).await,
            Err(error @ TrayError::NoBus(_)) => {
                tracing::warn!("{error}");
                let _ = events.send(Event::NoTray);
                return;
            }
            // Another panel may come, or this one may change its mind.
            Err(error @ TrayError::Refused(_)) => {
                let why = error.to_string();
                if told != why {
                    tracing::warn!("{why}");
                    told = why;
                }
                missing(&events);
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    () = ended(newest.clone()) => return,
                }
            }
        }
    }
}

/// Puts the icon into the panel, and goes on waiting for one that takes its time.
async fn begin(
    tray: Tray,
    events: &UnboundedSender<Event>,
) -> Result<(StatusItem, UnboundedReceiver<TrayEvent>), TrayError> {
    let mut start = std::pin::pin!(StatusItem::start("kiln", "Kiln", tray));
    match timeout(PATIENCE, &mut start).await {
        Ok(started) => started,
        Err(_) => {
            tracing::warn!("the panel does not answer; the icon comes when it does");
            missing(events);
            start.await
        }
    }
}

async fn keep_shown(
    item: StatusItem,
    mut clicks: UnboundedReceiver<TrayEvent>,
    mut newest: watch::Receiver<Tray>,
    events: &UnboundedSender<Event>,
) {
    loop {
        let tray = newest.borrow_and_update().clone();
        item.show(tray).await;
        loop {
            tokio::select! {
                changed = newest.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return item.remove().await,
                },
                Some(event) = clicks.recv() => {
                    let _ = events.send(Event::Tray(event));
                }
            }
        }
    }
}

/// Returns when nothing is to be shown any more.
async fn ended(mut newest: watch::Receiver<Tray>) {
    while newest.changed().await.is_ok() {}
}

fn missing(events: &UnboundedSender<Event>) {
    let _ = events.send(Event::Tray(TrayEvent::Host(TrayHost::Missing)));
}
