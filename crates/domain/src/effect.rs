//! [`Effect`]: everything the domain may ask for. Performed strictly in order, so that what was
//! saved is durable before what follows promises it.
use kiln_model::{AuditQuestion, Reply, Settings, Wakefulness};

use crate::RequestId;

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Answer a request.
    Reply(RequestId, Reply),
    /// Look into the audit; ends with [`crate::Event::AuditRead`].
    ReadAudit(RequestId, AuditQuestion),
    /// Keep the settings, durable before the next effect, and use them from now on.
    SaveSettings(Box<Settings>),
    /// End the node: peers are told, nothing new is started. What is still being said or closed is
    /// waited for.
    ShutDown,
    /// Read the machine this often from now on, beginning at once.
    Watch(Watching),
    /// Everybody who had to hear of the system's sleep did.
    SleepMayCome,
    /// Let the system sleep by itself, or not.
    Hold(Wakefulness),
    /// From [`crate::peering`].
    Peering(crate::peering::Effect),
    /// From [`crate::work`].
    Work(crate::work::Effect),
}

/// How often the machine is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// Not at all: nobody is lent anything.
    Never,
    /// Now and then.
    Slow,
    /// Often enough to give way at once: a build of others runs.
    Fast,
}
