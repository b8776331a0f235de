//! [`Panel`] as Tauri shows it, whose event loop has the first thread. What each system wants
//! otherwise lies in its own file.
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use kiln_desk::{Event, Goal, MenuLines, menu_lines};
use kiln_glance::Look;
use kiln_ports::tray::{Clickable, Tray, TrayEntry, TrayEvent, TrayHost, TrayImage, TrayItem};
use tauri::image::Image;
use tauri::menu::{Menu, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::TrayIconBuilder;
use tauri::{AppHandle, Manager as _, RunEvent, Wry};
use tokio::sync::mpsc::UnboundedSender;

use super::{LOOK, is_second_start, prepare, with_left_click};
use crate::arguments::Shown;

/// Name of the icon within the program.
const ID: &str = "kiln";

/// How long the desktop may take to end with its session; Windows kills it after five seconds.
const LAST: Duration = Duration::from_secs(4);

/// The icon.
pub(crate) struct Panel {
    app: AppHandle,
    /// What the system says of this start.
    start: Option<Shown>,
    shown: Option<Tray>,
    /// The lines of the menu that is shown; only the first thread changes them.
    lines: Arc<Mutex<Vec<Line>>>,
}

/// A line of the menu, as the system has it.
enum Line {
    Item(MenuItem<Wry>),
    Submenu(Submenu<Wry>, Vec<MenuItem<Wry>>),
    Separator,
}

/// Runs the program with an icon, on a thread of its own.
pub(in crate::desktop) fn with(run: impl FnOnce(Panel) -> ExitCode + Send + 'static) -> ExitCode {
    let code = Arc::new(Mutex::new(ExitCode::FAILURE));
    let ended = code.clone();
    let (end, has_ended) = mpsc::channel();
    let built = tauri::Builder::default()
        .setup(move |app| {
            let start = prepare(app);
            let app = app.handle().clone();
            std::thread::Builder::new()
                .name("desktop".to_owned())
                .spawn(move || {
                    let panel = Panel {
                        app: app.clone(),
                        start,
                        shown: None,
                        lines: Arc::default(),
                    };
                    *ended.lock().unwrap_or_else(PoisonError::into_inner) = run(panel);
                    let _ = end.send(());
                    app.exit(0);
                })?;
            Ok(())
        })
        .build(crate::window::context());
    match built {
        Ok(app) => app.run(move |app, event| match event {
            // Without a window there is nothing that could be closed last.
            RunEvent::ExitRequested {
                code: None, api, ..
            } => api.prevent_exit(),
            // The session ends, and this process with the return from here. Or the desktop has ended, and
            // nothing is waited for.
            RunEvent::Exit => {
                tell(app, Event::Stop);
                let _ = has_ended.recv_timeout(LAST);
            }
            event if is_second_start(&event) => tell(app, Event::Show(Goal::overview())),
            _ => {}
        }),
        Err(error) => tracing::error!(%error, "the icon cannot be shown"),
    }
    *code.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the desktop, once it has its icon.
fn tell(app: &AppHandle, event: Event) {
    if let Some(events) = app.try_state::<UnboundedSender<Event>>() {
        let _ = events.send(event);
    }
}

impl Panel {
    /// Returns whether this start shows the window.
    pub(in crate::desktop) fn shown(&self, asked: Shown) -> Shown {
        self.start.unwrap_or(asked)
    }

    /// Returns how icons are drawn here.
    pub(in crate::desktop) fn look(&self) -> Look {
        LOOK
    }

    /// Shows this; what is clicked comes as an event.
    pub(in crate::desktop) fn show(&mut self, tray: Tray, events: &UnboundedSender<Event>) {
        let before = self.shown.replace(tray.clone());
        let (app, events, lines) = (self.app.clone(), events.clone(), self.lines.clone());
        let drawn = self.app.run_on_main_thread(move || {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            let drawn = match before {
                None => begin(&app, &tray, &mut lines, events),
                Some(before) => change(&app, &before, &tray, &mut lines),
            };
            if let Err(error) = drawn {
                tracing::warn!(%error, "the icon cannot be drawn");
            }
        });
        if let Err(error) = drawn {
            tracing::warn!(%error, "the icon cannot be drawn");
        }
    }

    /// Takes it away.
    #[expect(clippy::unused_async, reason = "the panel of Linux waits")]
    pub(in crate::desktop) async fn remove(self) {
        let app = self.app.clone();
        let _ = self
            .app
            .run_on_main_thread(move || drop(app.remove_tray_by_id(ID)));
    }
}

fn begin(
    app: &AppHandle,
    tray: &Tray,
    lines: &mut Vec<Line>,
    events: UnboundedSender<Event>,
) -> tauri::Result<()> {
    let clicks = events.clone();
    let mut icon = TrayIconBuilder::with_id(ID)
        .tooltip(&tray.tooltip)
        .menu(&menu(app, tray, lines)?)
        .icon_as_template(LOOK == Look::Template)
        .on_menu_event(move |_, event| {
            let id = event.id().as_ref().to_owned();
            let _ = clicks.send(Event::Tray(TrayEvent::Clicked(id)));
        });
    icon = with_left_click(icon, events.clone());
    if let Some(picture) = picture(tray) {
        icon = icon.icon(picture);
    }
    icon.build(app)?;
    app.manage(events.clone());
    let _ = events.send(Event::Tray(TrayEvent::Host(TrayHost::Here)));
    Ok(())
}

fn change(app: &AppHandle, before: &Tray, tray: &Tray, lines: &mut Vec<Line>) -> tauri::Result<()> {
    let Some(icon) = app.tray_by_id(ID) else {
        return Ok(());
    };
    if before.icon != tray.icon {
        icon.set_icon_with_as_template(picture(tray), LOOK == Look::Template)?;
    }
    if before.tooltip != tray.tooltip {
        icon.set_tooltip(Some(&tray.tooltip))?;
    }
    match menu_lines(&before.menu, &tray.menu) {
        MenuLines::Same => {
            let entries = before.menu.iter().zip(&tray.menu);
            for (line, (before, after)) in lines.iter().zip(entries) {
                change_line(line, before, after)?;
            }
            Ok(())
        }
        MenuLines::Others => icon.set_menu(Some(menu(app, tray, lines)?)),
    }
}

/// Changes what stands on a line of the same menu.
fn change_line(line: &Line, before: &TrayEntry, after: &TrayEntry) -> tauri::Result<()> {
    match (line, before, after) {
        (Line::Item(shown), TrayEntry::Item(before), TrayEntry::Item(after)) => {
            change_item(shown, before, after)
        }
        (
            Line::Submenu(shown, below),
            TrayEntry::Submenu {
                label: before,
                items: items_before,
            },
            TrayEntry::Submenu {
                label: after,
                items,
            },
        ) => {
            if before != after {
                shown.set_text(plain(after))?;
            }
            for (shown, (before, after)) in below.iter().zip(items_before.iter().zip(items)) {
                change_item(shown, before, after)?;
            }
            Ok(())
        }
        (Line::Item(_) | Line::Submenu(..) | Line::Separator, _, _) => Ok(()),
    }
}

fn change_item(shown: &MenuItem<Wry>, before: &TrayItem, after: &TrayItem) -> tauri::Result<()> {
    if before.label != after.label {
        shown.set_text(plain(&after.label))?;
    }
    if before.clickable != after.clickable {
        shown.set_enabled(after.clickable == Clickable::Yes)?;
    }
    Ok(())
}

fn picture(tray: &Tray) -> Option<Image<'static>> {
    let TrayImage { size, rgba } = tray.icon.iter().max_by_key(|image| image.size)?;
    let side = u32::from(*size);
    Some(Image::new_owned(rgba.clone(), side, side))
}

/// Makes the menu, and keeps its lines.
fn menu(app: &AppHandle, tray: &Tray, lines: &mut Vec<Line>) -> tauri::Result<Menu<Wry>> {
    let menu = Menu::new(app)?;
    lines.clear();
    for entry in &tray.menu {
        lines.push(match entry {
            TrayEntry::Item(line) => {
                let shown = item(app, line)?;
                menu.append(&shown)?;
                Line::Item(shown)
            }
            TrayEntry::Submenu { label, items } => {
                let shown = Submenu::new(app, plain(label), true)?;
                let mut below = Vec::new();
                for line in items {
                    let shown_below = item(app, line)?;
                    shown.append(&shown_below)?;
                    below.push(shown_below);
                }
                menu.append(&shown)?;
                Line::Submenu(shown, below)
            }
            TrayEntry::Separator => {
                menu.append(&PredefinedMenuItem::separator(app)?)?;
                Line::Separator
            }
        });
    }
    Ok(menu)
}

fn item(app: &AppHandle, line: &TrayItem) -> tauri::Result<MenuItem<Wry>> {
    let clickable = line.clickable == Clickable::Yes;
    MenuItem::with_id(app, &line.id, plain(&line.label), clickable, None::<&str>)
}

/// An ampersand makes the next letter a shortcut; two are an ampersand.
fn plain(label: &str) -> String {
    label.replace('&', "&&")
}
