//! Doubles for the ports of the engine, and a simulated world.

mod activity;
mod clock;
mod control;
mod discovery;
mod net;
mod processes;
mod sandbox;
mod secrets;
mod serial;
mod sleep;
mod store;
mod stranger;

pub use activity::ScriptedActivity;
pub use clock::SimClock;
pub use control::{Bell, MemoryControl};
pub use discovery::{SimDiscovery, SimMulticast};
pub use net::{SimHost, SimNet, Wire};
pub use processes::{Script, ScriptedProcesses};
pub use sandbox::OpenBox;
pub use secrets::MemorySecrets;
pub use serial::SimSerialPorts;
pub use sleep::ScriptedSleep;
pub use store::DirStore;
pub use stranger::{Heard, Stranger};
