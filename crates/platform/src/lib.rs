//! Adapters: keyring, store, sockets, mDNS, processes, activity, clock, paths.
//!
//! The only crate with code per operating system. It makes no decisions: what a failed keyring, a
//! full disk or a second instance means is decided above.

pub mod activity;
#[cfg(not(target_os = "macos"))]
pub mod appearance;
pub mod autostart;
pub mod clock;
pub mod control;
#[cfg(target_os = "linux")]
mod dbus;
#[doc(hidden)]
pub mod decoders;
pub mod discovery;
pub mod files;
pub mod import;
#[cfg(target_os = "linux")]
mod lazy;
pub mod lock;
mod machine;
mod memory;
pub mod net;
pub mod notify;
pub mod paths;
pub mod process;
pub mod sandbox;
pub mod secrets;
pub mod serial;
pub mod sleep;
mod stop;
pub mod store;
#[cfg(target_os = "linux")]
pub mod tray;
#[cfg(windows)]
pub mod webview;

pub use activity::SystemActivity;
#[cfg(not(target_os = "macos"))]
pub use appearance::SystemAppearance;
pub use autostart::LoginItems;
pub use clock::SystemClock;
pub use control::{ControlError, DoorOf, LocalControl};
pub use discovery::MdnsDiscovery;
pub use import::{RetireError, RetiredDashboard};
pub use lock::{EngineLock, LockError};
pub use machine::machine_name;
pub use memory::leave_no_core;
pub use notify::DesktopNotify;
pub use paths::{Paths, PathsError};
pub use process::{OsProcesses, OwnPrograms};
pub use sandbox::OsSandbox;
pub use secrets::{FileSecrets, OsSecrets};
pub use serial::OsSerialPorts;
pub use sleep::SystemSleep;
pub use stop::asked_to_stop;
pub use store::SqliteStore;
#[cfg(target_os = "linux")]
pub use tray::StatusItem;
