//! [`Panel`] on Linux: a StatusNotifierItem. Nothing of a toolkit is loaded for it.
use std::process::ExitCode;

use kiln_desk::Event;
use kiln_glance::Look;
use kiln_platform::{StatusItem, SystemAppearance};
use kiln_ports::tray::Tray;
use tokio::sync::mpsc::UnboundedSender;

use crate::arguments::Shown;

/// The icon.
pub(crate) struct Panel(State);

enum State {
    /// Nothing was shown yet.
    New,
    /// There is a session to show it in.
    Shown(StatusItem),
    /// There is none.
    Nowhere,
}

/// Runs the program with an icon. Nothing else needs this thread.
pub(super) fn with(run: impl FnOnce(Panel) -> ExitCode + Send + 'static) -> ExitCode {
    run(Panel(State::New))
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
    pub(super) async fn show(&mut self, tray: Tray, events: &UnboundedSender<Event>) {
        match &self.0 {
            State::Shown(item) => item.show(tray).await,
            State::Nowhere => {}
            State::New => match StatusItem::start("kiln", "Kiln", tray).await {
                Ok((item, mut clicks)) => {
                    let events = events.clone();
                    tokio::spawn(async move {
                        while let Some(event) = clicks.recv().await {
                            let _ = events.send(Event::Tray(event));
                        }
                    });
                    self.0 = State::Shown(item);
                }
                Err(error) => {
                    tracing::warn!("{error}");
                    let _ = events.send(Event::NoTray);
                    self.0 = State::Nowhere;
                }
            },
        }
    }

    /// Takes it away.
    pub(super) async fn remove(self) {
        if let State::Shown(item) = self.0 {
            item.remove().await;
        }
    }
}
