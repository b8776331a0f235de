//! What can happen to [`super::Peering`].
use std::collections::BTreeSet;
use std::net::IpAddr;

use kiln_model::{
    CloseReason, DashboardId, DiscoveredHost, Hello, IntentResponse, LinkId, LinkIntent, Pairing,
    PairingKey, Peer, PeerFacts, Pin, PublicKey, Sentence, Settings,
};

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// Our identity is loaded, or was rotated. Before this nothing listens or dials.
    IdentityLoaded {
        /// Our pin.
        pin: Pin,
        /// Our stable id.
        dashboard_id: DashboardId,
    },
    /// Rotation failed; the old identity stays. The text is for the owner.
    RotationFailed(Sentence),
    /// Stored rows whose trust anchor was found, before the first link.
    Loaded(Vec<Peer>, Vec<Pairing>),
    /// Settings changed, or were loaded.
    SettingsChanged(Settings),
    /// The computer is lent, or not for a while: then nobody is served but who is to be paired.
    PresenceChanged(Presence),
    /// What we announce of ourselves changed (ESPHome version installed, name changed).
    FactsChanged(PeerFacts),
    /// The headless bootstrap was asked for on the command line.
    BootstrapArmed {
        /// The one-time key.
        key: PairingKey,
        /// Sources it may come from; empty: any.
        sources: Vec<IpAddr>,
    },
    /// The listener is bound.
    Listening {
        /// The port it got.
        port: u16,
    },
    /// No port could be bound; retried with back-off.
    ListenFailed(Sentence),
    /// The listener is gone, after [`super::Effect::StopListening`].
    ListenerClosed,
    /// A handshake with us as responder finished; the peer waits for an answer.
    Knocked {
        /// Its connection.
        link: LinkId,
        /// Its intent; `None`: missing or unknown.
        intent: Option<LinkIntent>,
        /// Its authenticated key.
        public_key: PublicKey,
        /// The hash of that key.
        pin: Pin,
        /// What it said of itself in msg3.
        hello: Hello,
        /// Where it comes from.
        source: IpAddr,
    },
    /// A dial with us as initiator came to its answer or failed; at most once per dial.
    ///
    /// The answer to a one-shot, a refusal and a failure are the end of the connection: the shell
    /// closes it by itself. After `ok` to [`super::Purpose::PeerLink`] it is open until
    /// [`Event::Closed`].
    Dialled {
        /// The connection.
        link: LinkId,
        /// Who answered, what, and from which address; or why not.
        outcome: Result<DialAnswer, DialFailure>,
    },
    /// A session or a waiting knock ended, or a dial was given up after [`super::Effect::Close`].
    /// Exactly once per link that did not end with [`Event::Dialled`], and only when nothing of the
    /// connection is left: a new one to the same peer may be opened now.
    Closed {
        /// The connection.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// A host on the network was resolved.
    HostSeen(DiscoveredHost),
    /// A host on the network said goodbye or expired; by instance label.
    HostGone(String),
    /// An A or AAAA record of this host name was seen (lower case, one trailing dot).
    AddressSeen(String),
}

/// The answer to a dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialAnswer {
    /// The responder's key.
    pub public_key: PublicKey,
    /// Its hash.
    pub pin: Pin,
    /// Its answer.
    pub response: IntentResponse,
    /// The address that answered.
    pub address: IpAddr,
}

/// Why a dial came to no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialFailure {
    /// Why. [`CloseReason::SelfLoopback`] when our own key answered, whatever was expected;
    /// [`CloseReason::PinMismatch`] when another than the expected key did. Both are found after
    /// msg2, so msg3 was not sent.
    pub reason: CloseReason,
    /// The address that answered, if one did.
    pub address: Option<IpAddr>,
    /// The key that answered, if one did.
    pub observed: Option<Pin>,
}

impl From<CloseReason> for DialFailure {
    fn from(reason: CloseReason) -> Self {
        Self {
            reason,
            address: None,
            observed: None,
        }
    }
}

/// Whether a receiver is there for its offloaders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Here,
    /// It is quiet: no listener, no pin announced, no call, and no session but those of the offloaders
    /// that would lose something with it.
    Away(BTreeSet<Pin>),
}
