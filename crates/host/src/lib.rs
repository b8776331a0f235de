//! Puts a node together from its adapters, in a written order, for every program that runs one:
//! `kiln serve` and the desktop.
//!
//! [`Host::start`] takes the lock of the state directory first, so that of two programs one hosts
//! the node and the other becomes its client through [`Door`]. Beside the programs themselves this
//! is the only place that reads the environment.

mod door;
mod host;
mod launcher;
mod log;
mod secrets;

pub use door::Door;
pub use host::{Host, HostError, Wanted, lock, records_unusable};
pub use launcher::launched;
pub use log::start as start_log;
pub use secrets::{
    SecretsPlace, chosen as chosen_secrets, open as open_secrets, place as secrets_place,
    remember as remember_secrets,
};
