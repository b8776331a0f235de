//! What the desktop does about tray, notifications, window and node: decisions only.
//!
//! [`Desk`] is a value: `handle(event, now)` tells it what happened, `poll_effect()` returns what it
//! wants, `poll_timeout()` when it wants to be woken. It knows no socket, process or clock; the
//! shell (`src-tauri`) performs its effects. [`ToWindow`] and [`ToDesk`] are the words between the
//! desktop and the window's process.

mod desk;
mod effect;
mod event;
mod goal;
mod menu_lines;
mod settings;
mod speech;
mod window;
mod word;

pub use desk::{Desk, Start};
pub use effect::Effect;
pub use event::{Again, Event, Hosting, WindowEnd};
pub use goal::{Goal, UnknownPage};
pub use menu_lines::{MenuLines, menu_lines};
pub use settings::{
    DeskSettings, LanguageChoice, NotUnderstood, Notifications, Said, SettingRefused, WindowSize,
};
pub use word::{Answer, Focus, NotifyState, ToDesk, ToWindow, TrayState, WordError};
