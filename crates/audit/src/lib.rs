//! The audit: what this node did and for whom, as lines that are chained by hash.
//!
//! A line names the hash of the line before it, so that none can be changed, removed, added or moved
//! without the next one showing it. Where the chain begins and ends stands in the [`Head`], which is
//! kept beside the lines and written together with them. Whoever may write the owner's files can
//! rewrite all of it; only a hash that was noted elsewhere shows that.

mod chain;
mod fact;
mod line;
mod statistics;

pub use chain::{Head, KEPT, PRUNED, verify};
pub use fact::{fact_json, read_fact};
pub use line::{BadLine, read, select, trusted};
pub use statistics::statistics;
