//! [`Session`]: what peering opens, and work goes over.
use kiln_model::{DashboardId, Label, LinkId, Pin};

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The connection.
    pub link: LinkId,
    /// The peer's pin.
    pub pin: Pin,
    /// Which side we are.
    pub role: Role,
}

/// Which side of a session we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The peer is a receiver; we send it work.
    Offloader,
    /// The peer is an offloader; it sends us work.
    Receiver {
        /// The offloader's id.
        dashboard_id: DashboardId,
        /// Its label.
        label: Label,
    },
}
