//! Words of the peer link: intents, answers, reasons for an end.
use std::fmt;

use crate::{EsphomeVersion, FriendlyName, Sentence};

/// Our handle of one connection; unique within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link-{}", self.0)
    }
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the exact wire word.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Reads the exact wire word; anything else is `None`.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.word() == word)
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a connection is for, stated in msg1 (peer-link.md §0).
    LinkIntent {
        /// Learn the responder's pin.
        Preview = "preview",
        /// Ask to be admitted.
        PairRequest = "pair_request",
        /// Wait for the admin's decision.
        PairStatus = "pair_status",
        /// Open a session.
        PeerLink = "peer_link",
        /// Receiver tells an offloader where it is now.
        ConnectBack = "connect_back",
    }
}

words! {
    /// First word of the responder's answer (peer-link.md §4.2).
    ResponseKind {
        /// Preview done, session open or endpoint taken.
        Ok = "ok",
        /// This key is an approved peer.
        Approved = "approved",
        /// The admin has not decided.
        Pending = "pending",
        /// Refused; the reason says why.
        Rejected = "rejected",
        /// Refused: no pairing window is open.
        NoPairingWindow = "no_pairing_window",
    }
}

words! {
    /// Why an intent was not granted (peer-link.md §4.2).
    IntentReason {
        /// No such approved peer or pairing.
        NoApprovedPeer = "no_approved_peer",
        /// Another key is stored for this id.
        PinMismatch = "pin_mismatch",
        /// The admin has not decided yet.
        PendingNotApproved = "pending_not_approved",
        /// Malformed dashboard id.
        BadDashboardId = "bad_dashboard_id",
        /// Unknown intent, or role not served.
        BadIntent = "bad_intent",
        /// connect_back: port or source address unusable.
        BadEndpoint = "bad_endpoint",
        /// connect_back: a session is open.
        AlreadyConnected = "already_connected",
        /// connect_back: a probe runs or ran lately.
        RebindInProgress = "rebind_in_progress",
        /// connect_back: the probe did not find the pinned key.
        ProbeFailed = "probe_failed",
    }
}

words! {
    /// Why a session was ended by a `terminate` frame (peer-link.md §5.5).
    TerminateReason {
        /// A newer session of the same dashboard.
        Superseded = "superseded",
        /// Silent for more than 90 s.
        HeartbeatTimeout = "heartbeat_timeout",
        /// The receiver goes away.
        ServerShuttingDown = "server_shutting_down",
        /// Unparsable or malformed frame.
        MalformedFrame = "malformed_frame",
        /// The offloader stopped on purpose.
        ClientStopped = "client_stopped",
    }
}

/// Why a session is over, as this side saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The other side sent `terminate` with a known reason.
    Terminated(TerminateReason),
    /// The other side sent `terminate` with a word we do not know.
    TerminatedUnknown(String),
    /// This side sent `terminate`.
    WeTerminated(TerminateReason),
    /// Connect, upgrade, handshake or decode failure. The text is for people.
    TransportError(Sentence),
    /// Closed or reset without a `terminate`.
    PeerHungUp,
    /// Silent for more than 90 s.
    HeartbeatTimeout,
    /// Our own key answered: the endpoint leads back to us.
    SelfLoopback,
    /// The responder's key is not the pinned one.
    PinMismatch,
}

/// What a responder announces of itself in every answer (peer-link.md §4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// ESPHome version it compiles with.
    pub esphome_version: Option<EsphomeVersion>,
    /// Its machine name.
    pub friendly_name: FriendlyName,
    /// Whether it is the Home Assistant add-on.
    pub ha_addon: bool,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// Capability booleans (peer-link.md §7.2); absent means `false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Builds with a foreign ESPHome version.
    pub auto_provision: bool,
    /// Understands `reset_build_env`.
    pub reset_build_env: bool,
    /// Speaks Kiln's additive members (`kiln` member of the answer); never sent by others.
    pub kiln: bool,
}

/// The responder's answer to an intent, as read or to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentResponse {
    /// First word; `None` if it is one we do not know.
    pub kind: Option<ResponseKind>,
    /// Reason; `None` if absent or unknown.
    pub reason: Option<IntentReason>,
    /// What the responder announces.
    pub facts: PeerFacts,
    /// A pairing key will be needed (`preview` of a headless receiver).
    pub requires_pairing_key: bool,
}
