//! [`Panel`] on Windows: in its own colours; left is the window, right the menu.
mod tauri_tray;

use kiln_desk::Event;
use kiln_glance::Look;
use kiln_platform::SystemAppearance;
use kiln_ports::tray::TrayEvent;
use tauri::tray::{MouseButton, MouseButtonState, TrayIconBuilder, TrayIconEvent};
use tauri::{App, RunEvent, Wry};
use tokio::sync::mpsc::UnboundedSender;

use crate::arguments::Shown;

pub(crate) use tauri_tray::Panel;
pub(super) use tauri_tray::with;

/// How icons are drawn here.
const LOOK: Look = Look::Colour;

/// Nothing: a program without a window is in no list of programs, and its arguments say how it was
/// started.
fn prepare(_: &mut App) -> Option<Shown> {
    None
}

/// A second start is a process of its own.
fn is_second_start(_: &RunEvent) -> bool {
    false
}

/// Lets a left click show the window.
fn with_left_click(
    icon: TrayIconBuilder<Wry>,
    events: UnboundedSender<Event>,
) -> TrayIconBuilder<Wry> {
    icon.show_menu_on_left_click(false)
        .on_tray_icon_event(move |_, event| {
            if let TrayIconEvent::Click {
                button: MouseButton::Left,
                button_state: MouseButtonState::Up,
                ..
            } = event
            {
                let _ = events.send(Event::Tray(TrayEvent::Activated));
            }
        })
}

/// Tells how strong a contrast is wanted, now and after every change.
pub(super) async fn contrast(events: UnboundedSender<Event>) {
    let appearance = SystemAppearance::default();
    loop {
        let _ = events.send(Event::Contrast(appearance.contrast().await));
    }
}
