//! Adapters: keyring, store, sockets, mDNS, processes, clock, paths.
//!
//! The only crate with code per operating system. It makes no decisions: what a failed keyring, a
//! full disk or a second instance means is decided above.

pub mod clock;
pub mod control;
pub mod discovery;
pub mod files;
pub mod import;
pub mod lock;
pub mod net;
pub mod paths;
pub mod process;
pub mod secrets;
pub mod store;

pub use clock::SystemClock;
pub use control::{ControlError, LocalControl};
pub use discovery::MdnsDiscovery;
pub use import::{RetireError, RetiredDashboard};
pub use lock::{EngineLock, LockError};
pub use paths::{Paths, PathsError};
pub use process::OsProcesses;
pub use secrets::{FileSecrets, OsSecrets};
pub use store::SqliteStore;
