//! [`Panel`] as Tauri shows it, whose event loop has the first thread. What each system wants
//! otherwise lies in its own file.
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_desk::Event;
use kiln_glance::Look;
use kiln_ports::tray::{Clickable, Tray, TrayEntry, TrayEvent, TrayHost, TrayImage, TrayItem};
use tauri::image::Image;
use tauri::menu::{Menu, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::TrayIconBuilder;
use tauri::{AppHandle, RunEvent};
use tokio::sync::mpsc::UnboundedSender;

use super::{LOOK, prepare, with_left_click};

/// Name of the icon within the program.
const ID: &str = "kiln";

/// The icon.
pub(crate) struct Panel {
    app: AppHandle,
    shown: Option<Tray>,
}

/// Runs the program with an icon, on a thread of its own.
pub(in crate::desktop) fn with(run: impl FnOnce(Panel) -> ExitCode + Send + 'static) -> ExitCode {
    let code = Arc::new(Mutex::new(ExitCode::FAILURE));
    let ended = code.clone();
    let built = tauri::Builder::default()
        .setup(move |app| {
            prepare(app);
            let app = app.handle().clone();
            std::thread::Builder::new()
                .name("desktop".to_owned())
                .spawn(move || {
                    let panel = Panel {
                        app: app.clone(),
                        shown: None,
                    };
                    *ended.lock().unwrap_or_else(PoisonError::into_inner) = run(panel);
                    app.exit(0);
                })?;
            Ok(())
        })
        .build(crate::window::context());
    match built {
        Ok(app) => app.run(|_, event| {
            // Without a window there is nothing that could be closed last.
            if let RunEvent::ExitRequested {
                code: None, api, ..
            } = event
            {
                api.prevent_exit();
            }
        }),
        Err(error) => tracing::error!(%error, "the icon cannot be shown"),
    }
    *code.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Panel {
    /// Returns how icons are drawn here.
    pub(in crate::desktop) fn look(&self) -> Look {
        LOOK
    }

    /// Shows this; what is clicked comes as an event.
    #[expect(clippy::unused_async, reason = "the panel of Linux waits")]
    pub(in crate::desktop) async fn show(&mut self, tray: Tray, events: &UnboundedSender<Event>) {
        let before = self.shown.replace(tray.clone());
        let (app, events) = (self.app.clone(), events.clone());
        let drawn = self.app.run_on_main_thread(move || {
            let drawn = match before {
                None => begin(&app, &tray, events),
                Some(before) => change(&app, &before, &tray),
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

fn begin(app: &AppHandle, tray: &Tray, events: UnboundedSender<Event>) -> tauri::Result<()> {
    let clicks = events.clone();
    let mut icon = TrayIconBuilder::with_id(ID)
        .tooltip(&tray.tooltip)
        .menu(&menu(app, tray)?)
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
    let _ = events.send(Event::Tray(TrayEvent::Host(TrayHost::Here)));
    Ok(())
}

fn change(app: &AppHandle, before: &Tray, tray: &Tray) -> tauri::Result<()> {
    let Some(icon) = app.tray_by_id(ID) else {
        return Ok(());
    };
    if before.icon != tray.icon {
        icon.set_icon_with_as_template(picture(tray), LOOK == Look::Template)?;
    }
    if before.tooltip != tray.tooltip {
        icon.set_tooltip(Some(&tray.tooltip))?;
    }
    if before.menu != tray.menu {
        icon.set_menu(Some(menu(app, tray)?))?;
    }
    Ok(())
}

fn picture(tray: &Tray) -> Option<Image<'static>> {
    let TrayImage { size, rgba } = tray.icon.iter().max_by_key(|image| image.size)?;
    let side = u32::from(*size);
    Some(Image::new_owned(rgba.clone(), side, side))
}

fn menu(app: &AppHandle, tray: &Tray) -> tauri::Result<Menu<tauri::Wry>> {
    let menu = Menu::new(app)?;
    for entry in &tray.menu {
        match entry {
            TrayEntry::Item(line) => menu.append(&item(app, line)?)?,
            TrayEntry::Submenu { label, items } => {
                let below = Submenu::new(app, plain(label), true)?;
                for line in items {
                    below.append(&item(app, line)?)?;
                }
                menu.append(&below)?;
            }
            TrayEntry::Separator => menu.append(&PredefinedMenuItem::separator(app)?)?,
        }
    }
    Ok(menu)
}

fn item(app: &AppHandle, line: &TrayItem) -> tauri::Result<MenuItem<tauri::Wry>> {
    let clickable = line.clickable == Clickable::Yes;
    MenuItem::with_id(app, &line.id, plain(&line.label), clickable, None::<&str>)
}

/// An ampersand makes the next letter a shortcut; two are an ampersand.
fn plain(label: &str) -> String {
    label.replace('&', "&&")
}
