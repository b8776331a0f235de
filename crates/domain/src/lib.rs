//! Decisions, sans-IO: who may talk to us, and what is built where.
//!
//! [`Domain`] is fed with [`Event`]s and asked for [`Effect`]s; it never blocks, never fails and
//! reads no clock. It has two halves that do not name each other, and that [`Domain`] brings
//! together: [`peering`] decides about identity, pairing and links, [`work`] about jobs. Whether this
//! computer is lent to others at all is decided beside them, and so is what goes from its disk.

pub mod peering;
pub mod settings;
pub mod storage;
pub mod work;

mod availability;
mod domain;
mod effect;
mod event;
mod session;
mod text;

pub use availability::{InTheWay, Lending, Occupancy, Sleep, Stance, exclusive_apps};
pub use domain::Domain;
pub use effect::{Effect, Watching};
pub use event::{ClientId, Deadline, Event, RequestId};
pub use session::{Role, Session};
