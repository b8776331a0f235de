//! Traits for what the node and its desktop need from the world, and the values they speak; one file
//! per port.
//!
//! Ports speak model types. They are `async` only where they wait, and each says what it refuses,
//! in which unit it counts and what cancelling (dropping the future) does.

pub mod activity;
pub mod appearance;
pub mod autostart;
pub mod clock;
pub mod control;
pub mod dashboard;
pub mod discovery;
pub mod net;
pub mod notify;
pub mod process;
pub mod sandbox;
pub mod secrets;
pub mod serial;
pub mod sleep;
pub mod store;
pub mod tray;

pub use activity::Activity;
pub use clock::Clock;
pub use control::Control;
pub use dashboard::DashboardFiles;
pub use discovery::Discovery;
pub use net::Net;
pub use notify::Notify;
pub use process::Processes;
pub use sandbox::Sandbox;
pub use secrets::Secrets;
pub use serial::SerialPorts;
pub use sleep::Sleep;
pub use store::Store;
