//! Doubles for every port and a simulated world.

mod activity;
mod clock;
mod control;
mod discovery;
mod net;
mod processes;
mod secrets;
mod store;
mod stranger;

pub use activity::ScriptedActivity;
pub use clock::SimClock;
pub use control::{Bell, MemoryControl};
pub use discovery::{SimDiscovery, SimMulticast};
pub use net::{SimHost, SimNet, Wire};
pub use processes::{Script, ScriptedProcesses};
pub use secrets::MemorySecrets;
pub use store::DirStore;
pub use stranger::{Heard, Stranger};
