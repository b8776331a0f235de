//! The window's side of the conversation with the desktop.
use std::sync::Arc;
use std::time::Duration;

use kiln_desk::{Answer, NotifyState, ToDesk, ToWindow, TrayState};
use kiln_platform::{DoorOf, Paths, control};
use kiln_ports::control::Stream;
use tauri::{AppHandle, Emitter as _, Manager as _};
use tokio::io::WriteHalf;
use tokio::sync::mpsc::UnboundedReceiver;

use super::shared::{Pages, Shared};
use super::{MAIN, dialog};
use crate::{ANSWER, lines};

/// Pause before a desktop that went away is called again.
const PAUSE: Duration = Duration::from_secs(2);

/// A desktop that knows this window.
pub(super) struct Desk {
    hearing: lines::Hearing,
    saying: WriteHalf<Box<dyn Stream>>,
    first: ToWindow,
}

/// How a meeting with the desktop went.
pub(super) enum Met {
    /// This is the window now.
    Welcome(Desk),
    /// There is another window, which comes to the front.
    Taken,
    /// There is no desktop: `kiln serve` runs, or nothing.
    Nobody,
}

/// Introduces this process as the window.
pub(super) async fn meet(paths: &Paths) -> Met {
    let meeting = async {
        let stream = control::connect(paths, DoorOf::Desk).await.ok()?;
        let (mut hearing, mut saying) = lines::halves(stream);
        let line = ToDesk::Window.to_line().ok()?;
        lines::say(&mut saying, &line).await.ok()?;
        let answer = lines::hear(&mut hearing).await?;
        Some(match ToWindow::from_line(&answer).ok()? {
            ToWindow::Taken => Met::Taken,
            first => Met::Welcome(Desk {
                hearing,
                saying,
                first,
            }),
        })
    };
    match tokio::time::timeout(ANSWER, meeting).await {
        Ok(Some(met)) => met,
        Ok(None) | Err(_) => Met::Nobody,
    }
}

/// Does what the desktop says and tells it what happens, for ever; calls it again when it goes.
pub(super) async fn listen(
    app: AppHandle,
    shared: Arc<Shared>,
    mut desk: Option<Desk>,
    mut words: UnboundedReceiver<ToDesk>,
) {
    loop {
        if let Some(desk) = desk.take() {
            talk(&app, &shared, desk, &mut words).await;
        }
        tokio::time::sleep(PAUSE).await;
        // What happened meanwhile is old.
        while words.try_recv().is_ok() {}
        match meet(&shared.paths).await {
            Met::Welcome(met) => desk = Some(met),
            Met::Taken => app.exit(0),
            Met::Nobody => {}
        }
    }
}

async fn talk(
    app: &AppHandle,
    shared: &Arc<Shared>,
    mut desk: Desk,
    words: &mut UnboundedReceiver<ToDesk>,
) {
    heard(app, shared, desk.first);
    // A desktop that was started anew does not know it, and what was told before was told to nobody.
    let focus = shared.known().focus;
    shared.tell_desk(ToDesk::Focus { focus });
    let read = async {
        while let Some(line) = lines::hear(&mut desk.hearing).await {
            match ToWindow::from_line(&line) {
                Ok(word) => heard(app, shared, word),
                Err(error) => tracing::warn!(%error, "the desktop said something odd"),
            }
        }
    };
    let write = async {
        while let Some(word) = words.recv().await {
            let Ok(line) = word.to_line() else { return };
            if lines::say(&mut desk.saying, &line).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

fn heard(app: &AppHandle, shared: &Arc<Shared>, word: ToWindow) {
    match word {
        ToWindow::Welcome {
            tray,
            notifications,
        } => {
            // The desktop before this one may have told of trouble that is over.
            shared.known().trouble = None;
            tray_is(app, shared, tray);
            notifications_are(app, shared, notifications);
        }
        ToWindow::Tray { tray } => tray_is(app, shared, tray),
        ToWindow::Notifications { notifications } => notifications_are(app, shared, notifications),
        ToWindow::Trouble { message } => shared.known().trouble = message,
        ToWindow::Open { goal } => {
            shared.known().goal = goal.clone();
            to_front(app);
            if let Err(error) = app.emit_to(MAIN, "open", goal) {
                tracing::warn!(%error, "the pages cannot be told where to go");
            }
        }
        ToWindow::Refused { message } => {
            to_front(app);
            refused(app, shared, message);
        }
        ToWindow::AskQuit {
            question,
            quit,
            stay,
        } => {
            to_front(app);
            let (app, shared) = (app.clone(), shared.clone());
            tauri::async_runtime::spawn(async move {
                let answer = match dialog::confirm(&app, question, quit, stay).await {
                    dialog::Confirmed::Yes => Answer::Yes,
                    dialog::Confirmed::No => Answer::No,
                };
                shared.tell_desk(ToDesk::Quit { answer });
            });
        }
        ToWindow::Close | ToWindow::Taken => app.exit(0),
    }
}

fn tray_is(app: &AppHandle, shared: &Shared, tray: TrayState) {
    shared.known().tray = tray;
    if let Err(error) = app.emit_to(MAIN, "tray", tray) {
        tracing::warn!(%error, "the pages cannot be told of the icon");
    }
}

fn notifications_are(app: &AppHandle, shared: &Shared, notifications: NotifyState) {
    shared.known().notifications = notifications;
    if let Err(error) = app.emit_to(MAIN, "notifications", notifications) {
        tracing::warn!(%error, "the pages cannot be told of notifications");
    }
}

/// Says what was not done, or keeps it for pages that are being loaded.
fn refused(app: &AppHandle, shared: &Shared, message: String) {
    {
        let mut known = shared.known();
        if known.pages == Pages::Loading {
            known.refused = Some(message);
            return;
        }
    }
    if let Err(error) = app.emit_to(MAIN, "refused", message) {
        tracing::warn!(%error, "the pages cannot be told what was not done");
    }
}

/// Brings the window to the front, from wherever it is.
fn to_front(app: &AppHandle) {
    let Some(window) = app.get_webview_window(MAIN) else {
        return;
    };
    let shown = window
        .unminimize()
        .and_then(|()| window.show())
        .and_then(|()| window.set_focus());
    if let Err(error) = shown {
        tracing::warn!(%error, "the window cannot be brought to the front");
    }
}
