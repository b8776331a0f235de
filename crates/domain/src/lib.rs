//! Decisions, sans-IO: who may talk to us, and what is built where.
//!
//! [`Domain`] is fed with [`Event`]s and asked for [`Effect`]s; it never blocks, never fails and
//! reads no clock. It has two halves that know of each other only through this file:
//! [`peering`] decides about identity, pairing and links, [`work`] about jobs.

pub mod peering;
pub mod work;

mod domain;
mod effect;
mod event;
mod settings;
mod text;

pub use domain::Domain;
pub use effect::Effect;
pub use event::{ClientId, Deadline, Event, RequestId};
