//! [`Deeds`]: performs what the desk wants.
use std::ops::ControlFlow;
use std::process::Stdio;
use std::sync::Arc;

use kiln_client::{Client, ClientError};
use kiln_desk::{Effect, Event, Goal, WindowEnd};
use kiln_host::Door;
use kiln_model::Request;
use kiln_platform::Paths;
use kiln_platform::notify::DesktopNotify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};

use super::door::Line;
use super::panel::Panel;
use super::tellings::{Telling, Tellings};
use crate::kept::Kept;
use crate::{NO_DISPLAY, arguments};

/// The world, as effects reach it.
pub(super) struct Deeds {
    events: UnboundedSender<Event>,
    panel: Panel,
    tellings: Tellings,
    kept: Kept,
    again: Arc<Notify>,
    stop: watch::Sender<()>,
    node: Door,
    line: Line,
}

impl Deeds {
    pub(super) fn new(
        events: UnboundedSender<Event>,
        panel: Panel,
        notify: Arc<DesktopNotify>,
        kept: Kept,
        again: Arc<Notify>,
        stop: watch::Sender<()>,
        paths: &Paths,
    ) -> Self {
        Self {
            tellings: Tellings::to(notify, events.clone()),
            events,
            panel,
            kept,
            again,
            stop,
            node: Door::new(paths, "kiln-desktop"),
            line: Line::default(),
        }
    }

    /// Returns the way to the window.
    pub(super) fn line(&self) -> Line {
        self.line.clone()
    }

    /// Performs one effect, or lets a task do what takes time; breaks when the desktop ends.
    pub(super) fn perform(&mut self, effect: Effect) -> ControlFlow<()> {
        match effect {
            Effect::ShowTray(tray) => self.panel.show(tray, &self.events),
            Effect::Notify(notification) => self.tellings.add(Telling::Show(notification)),
            Effect::Withdraw(id) => self.tellings.add(Telling::Withdraw(id)),
            Effect::Ask(request) => self.ask(request),
            Effect::Pause(snooze) => self.ask(Request::Pause(snooze)),
            Effect::Resume => self.ask(Request::Resume),
            Effect::StartWindow(goal) => self.start_window(&goal),
            Effect::TellWindow(word) => self.line.tell(word),
            Effect::Host => self.again.notify_one(),
            Effect::StopNode => {
                // A node that ended meanwhile has told so.
                let _ = self.stop.send(());
            }
            Effect::Keep(settings) => {
                let merge = |kept: &mut kiln_desk::DeskSettings| {
                    kept.close_hint = settings.close_hint;
                    kept.no_tray = settings.no_tray;
                };
                if let Err(error) = self.kept.change(merge) {
                    tracing::warn!(%error, "the desktop's settings cannot be kept");
                }
            }
            Effect::End => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Takes the icon away, and waits for notifications to be.
    pub(super) async fn end(self) {
        self.panel.remove().await;
        self.tellings.end().await;
    }

    fn ask(&self, request: Request) {
        let (node, events) = (self.node.clone(), self.events.clone());
        tokio::spawn(async move {
            let asked = async {
                let mut client = Client::connect(&node).await?;
                client.ask(request).await
            };
            let asked: Result<_, ClientError> = asked.await;
            if let Err(error) = asked {
                tracing::info!(%error, "what a click asked for was not done");
                let (message, hint) = (error.sentence(), error.hint());
                let _ = events.send(Event::Refused { message, hint });
            }
        });
    }

    /// Starts the window's process and tells how it ends.
    fn start_window(&self, goal: &Goal) {
        let events = self.events.clone();
        let started = std::env::current_exe().and_then(|program| {
            let name = format!("kiln-window{}", std::env::consts::EXE_SUFFIX);
            tokio::process::Command::new(program.with_file_name(name))
                .args(arguments::write(goal))
                .stdin(Stdio::null())
                .spawn()
        });
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, "the window cannot be started");
                let end = WindowEnd::Never(error.to_string());
                let _ = events.send(Event::WindowEnded(end));
                return;
            }
        };
        self.line.is_ours();
        let line = self.line.clone();
        tokio::spawn(async move {
            let status = child.wait().await;
            line.ended();
            let end = match status {
                Ok(status) if status.success() => WindowEnd::Closed,
                Ok(status) if status.code() == Some(i32::from(NO_DISPLAY)) => {
                    tracing::warn!("there is no display to show the window on");
                    WindowEnd::Never("there is no display".to_owned())
                }
                Ok(status) => {
                    tracing::error!(%status, "the window broke; node and builds go on");
                    WindowEnd::Broken(status.to_string())
                }
                Err(error) => WindowEnd::Broken(error.to_string()),
            };
            let _ = events.send(Event::WindowEnded(end));
        });
    }
}
