//! [`Panel`] on macOS: a template that the system colours; left and right are the menu.
mod tauri_tray;

use kiln_desk::Event;
use kiln_glance::Look;
use tauri::tray::TrayIconBuilder;
use tauri::{ActivationPolicy, App, Wry};
use tokio::sync::mpsc::UnboundedSender;

pub(crate) use tauri_tray::Panel;
pub(super) use tauri_tray::with;

/// How icons are drawn here.
const LOOK: Look = Look::Template;

/// Keeps the program out of the Dock.
fn prepare(app: &mut App) {
    app.set_activation_policy(ActivationPolicy::Accessory);
}

/// Lets a left click show the menu.
fn with_left_click(icon: TrayIconBuilder<Wry>, _: UnboundedSender<Event>) -> TrayIconBuilder<Wry> {
    icon.show_menu_on_left_click(true)
}

/// Never tells: the system colours the template itself.
pub(super) async fn contrast(_: UnboundedSender<Event>) {
    std::future::pending().await
}
