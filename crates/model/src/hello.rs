//! [`Hello`]: what an initiator says of itself in msg3.
use crate::{DashboardId, FriendlyName, Label, PresentedKey};

/// Members of msg3, already coerced (peer-link.md §4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// `None`: absent or malformed.
    pub dashboard_id: Option<DashboardId>,
    /// How the offloader's user calls it.
    pub label: Label,
    /// The label was prefilled.
    pub label_auto: bool,
    /// Its machine name.
    pub friendly_name: FriendlyName,
    /// Home Assistant add-on.
    pub ha_addon: bool,
    /// Pairing key presented.
    pub pairing_key: Option<PresentedKey>,
    /// Port of its own listener.
    pub connect_back_port: Option<u16>,
    /// `connect_back`: port where it is now.
    pub peer_link_port: Option<u16>,
    /// Speaks Kiln's additive members; never sent by others.
    pub kiln: bool,
}
