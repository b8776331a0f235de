//! Identity, pairing, sessions and discovery: who may talk to us, and how we reach others.

mod effect;
mod event;

pub use effect::{Advert, Effect, Purpose, Role, Session};
pub use event::{DialAnswer, DialFailure, Event, Hello};
