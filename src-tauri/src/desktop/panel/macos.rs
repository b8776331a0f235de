//! [`Panel`] on macOS: a template that the system colours; left and right are the menu.
mod tauri_tray;

use kiln_desk::Event;
use kiln_glance::Look;
use kiln_platform::autostart::{self, Launch};
use tauri::tray::TrayIconBuilder;
use tauri::{ActivationPolicy, App, RunEvent, Wry};
use tokio::sync::mpsc::UnboundedSender;

use crate::arguments::Shown;

pub(crate) use tauri_tray::Panel;
pub(super) use tauri_tray::with;

/// How icons are drawn here.
const LOOK: Look = Look::Template;

/// Keeps the program out of the Dock. Returns what the system says of this start, which has no
/// arguments at login.
fn prepare(app: &mut App) -> Option<Shown> {
    app.set_activation_policy(ActivationPolicy::Accessory);
    match autostart::launch() {
        Launch::AtLogin => Some(Shown::OnDemand),
        Launch::Otherwise => None,
    }
}

/// Opening a program that runs is no second start here.
fn is_second_start(event: &RunEvent) -> bool {
    matches!(event, RunEvent::Reopen { .. })
}

/// Lets a left click show the menu.
fn with_left_click(icon: TrayIconBuilder<Wry>, _: UnboundedSender<Event>) -> TrayIconBuilder<Wry> {
    icon.show_menu_on_left_click(true)
}

/// Never tells: the system colours the template itself.
pub(super) async fn contrast(_: UnboundedSender<Event>) {
    std::future::pending().await
}
