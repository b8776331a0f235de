//! What is kept on disk: what may go, in which order, and when it has to.
//!
//! [`Stock`] is what can be deleted as a whole, [`Facts`] say what somebody needs and when something
//! was used, [`plan`] decides what goes. Nothing that is needed ever does: that comes before the
//! budget, the floor and the owner's word.

mod facts;
mod plan;
mod room;
mod stock;
#[cfg(test)]
mod workload;

pub use facts::Facts;
pub use plan::{Bounds, Item, Plan, in_order, plan};
pub use room::Room;
pub use stock::{Extent, Found, Stock};
