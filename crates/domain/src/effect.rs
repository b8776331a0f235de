//! [`Effect`]: everything the domain may ask for. Performed strictly in order, so that what was
//! saved is durable before what follows promises it.
use kiln_model::Reply;

use crate::RequestId;

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Answer a request.
    Reply(RequestId, Reply),
    /// From [`crate::peering`].
    Peering(crate::peering::Effect),
    /// From [`crate::work`].
    Work(crate::work::Effect),
}
