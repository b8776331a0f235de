//! [`Event`]: everything that can happen to the domain.
use kiln_model::{Confinement, Inputs, Reply, Request, Settings};

use crate::Sleep;

/// A connection of the control channel; owns its pairing-window entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// One request of one client; answered exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// A person asked for something.
    Requested {
        /// Who.
        client: ClientId,
        /// To be echoed in the reply.
        id: RequestId,
        /// What.
        request: Request,
    },
    /// A client's connection ended.
    ClientGone(ClientId),
    /// What holds builds for others was tried out. Until then nobody is received who has to be
    /// boxed.
    ConfinementProved(Confinement),
    /// Stored settings, before anything else happens.
    SettingsLoaded(Settings),
    /// The audit was looked into: this is the answer.
    AuditRead(RequestId, Reply),
    /// The node was told to stop by a signal; the same as [`Request::Shutdown`] without an answer.
    ShuttingDown,
    /// The machine was read, as [`crate::Effect::Watch`] asked.
    Sensed(Box<Inputs>),
    /// The system goes to sleep, or woke up.
    Slept(Sleep),
    /// To [`crate::peering`].
    Peering(crate::peering::Event),
    /// To [`crate::work`].
    Work(crate::work::Event),
}

/// Why the domain wants to be woken; shown in logs.
pub type Deadline = &'static str;
