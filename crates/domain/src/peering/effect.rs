//! What [`super::Peering`] may ask for.
use std::net::IpAddr;

use kiln_model::witness::Approved;
use kiln_model::{
    CloseReason, DashboardId, Endpoint, FriendlyName, Hello, IntentReason, Label, LinkId,
    LinkIntent, Pairing, PairingFact, Peer, PeerFacts, Pin, PresentedKey, ResponseKind,
    TerminateReason,
};

use crate::Session;

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Bind the listener (host and first port from the settings).
    Listen,
    /// Unbind it and drop connections that did not come to [`super::Event::Knocked`] yet; ends with
    /// [`super::Event::ListenerClosed`], after which none of it knocks. Links of it that did are
    /// closed by [`Effect::Close`] before.
    StopListening,
    /// Announce ourselves, replacing what was announced before.
    Advertise(Advert),
    /// Answer a knock.
    Answer {
        /// The connection.
        link: LinkId,
        /// What it is told.
        answer: KnockAnswer,
        /// The approved offloader that this tells of its approval. It is told only what a restart
        /// still knows (peer-link.md R-22); until then the connection is closed without an answer,
        /// because a refusal would cost it its pairing.
        approval: Option<(DashboardId, Pin)>,
    },
    /// Open a connection as initiator; ends with [`super::Event::Dialled`].
    Dial {
        /// The new connection. Dials have even numbers; the shell gives accepted ones odd numbers.
        link: LinkId,
        /// Where.
        endpoint: Endpoint,
        /// Addresses to leave out (they lead back to us).
        skip: Vec<IpAddr>,
        /// Key that has to answer; checked after msg2, before msg3.
        expect: Option<Pin>,
        /// What for.
        purpose: Purpose,
    },
    /// End a connection or dial: `terminate` first if a session is open and a reason is given.
    Close {
        /// The connection.
        link: LinkId,
        /// What to tell the other side.
        terminate: Option<TerminateReason>,
    },
    /// Keep an approved offloader: row and trust anchor, durable before the next effect.
    SavePeer(Peer),
    /// Drop an approved offloader, and the trust in this key. No key is named while another row has
    /// it: a dashboard that lost its id but kept its key is two rows.
    ForgetPeer(DashboardId, Option<Pin>),
    /// Keep an approved pairing: row and trust anchor, durable before the next effect.
    SavePairing(Pairing),
    /// Drop a pairing, and the trust in its key.
    ForgetPairing(Pin),
    /// Make a new key; ends with `IdentityLoaded` or `RotationFailed`.
    RotateIdentity,
    /// A session is open: [`crate::work`] uses it from now on.
    SessionUp(Session),
    /// A session is over for [`crate::work`].
    SessionDown {
        /// The connection.
        link: LinkId,
        /// The peer.
        pin: Pin,
        /// Why.
        why: CloseReason,
    },
    /// Something happened to trust that changes no stored row: it goes into the audit.
    Record(PairingFact),
    /// A pairing is new, changed or gone: the dispatcher looks again; the shell has nothing to do.
    PairingsChanged,
    /// The headless bootstrap lapsed unused: the program ends with status 1.
    BootstrapLapsed,
    /// The headless bootstrap cannot be had because nothing can be bound: the program ends with
    /// status 1. The text is for the owner.
    BootstrapFailed(String),
    /// The view changed.
    ViewChanged,
}

/// What a peer that knocked is told.
#[derive(Debug)]
pub struct KnockAnswer {
    /// First word.
    pub kind: ResponseKind,
    /// Reason, when refused.
    pub reason: Option<IntentReason>,
    /// What we announce of ourselves.
    pub facts: PeerFacts,
    /// `preview` of a headless receiver.
    pub requires_pairing_key: bool,
    /// `Some`: a session starts. `None`: the connection is closed after the answer.
    pub admit: Option<Approved>,
}

impl KnockAnswer {
    /// Says this word and no more.
    pub fn saying(kind: ResponseKind, facts: PeerFacts) -> Self {
        Self {
            kind,
            reason: None,
            facts,
            requires_pairing_key: false,
            admit: None,
        }
    }

    /// Refuses for this reason.
    pub fn refusing(reason: IntentReason, facts: PeerFacts) -> Self {
        Self {
            reason: Some(reason),
            ..Self::saying(ResponseKind::Rejected, facts)
        }
    }

    /// Starts a session.
    pub fn admitting(approved: Approved, facts: PeerFacts) -> Self {
        Self {
            admit: Some(approved),
            ..Self::saying(ResponseKind::Ok, facts)
        }
    }
}

/// What a dial is for, with what msg3 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Learn the pin.
    Preview,
    /// Ask to be admitted.
    PairRequest {
        /// How we introduce ourselves.
        label: Label,
        /// The label was prefilled.
        label_auto: bool,
        /// Our id.
        dashboard_id: DashboardId,
        /// Our machine name.
        friendly_name: FriendlyName,
        /// One-time key of a headless receiver.
        pairing_key: Option<PresentedKey>,
    },
    /// Wait for the decision.
    PairStatus {
        /// Our id.
        dashboard_id: DashboardId,
    },
    /// Open a session.
    PeerLink {
        /// Our id.
        dashboard_id: DashboardId,
        /// Our machine name.
        friendly_name: FriendlyName,
        /// Port of our own listener.
        connect_back_port: Option<u16>,
    },
    /// Tell an offloader where we are.
    ConnectBack {
        /// Port of our listener.
        peer_link_port: u16,
    },
}

impl Purpose {
    /// Says what we come for and who we are (peer-link.md §3.4).
    pub fn introduction(&self) -> (LinkIntent, Hello) {
        match self.clone() {
            Self::Preview => (LinkIntent::Preview, Hello::default()),
            Self::PairRequest {
                label,
                label_auto,
                dashboard_id,
                friendly_name,
                pairing_key,
            } => {
                let hello = Hello {
                    dashboard_id: Some(dashboard_id),
                    label,
                    label_auto,
                    friendly_name,
                    pairing_key,
                    kiln: true,
                    ..Hello::default()
                };
                (LinkIntent::PairRequest, hello)
            }
            Self::PairStatus { dashboard_id } => {
                let hello = Hello {
                    dashboard_id: Some(dashboard_id),
                    ..Hello::default()
                };
                (LinkIntent::PairStatus, hello)
            }
            Self::PeerLink {
                dashboard_id,
                friendly_name,
                connect_back_port,
            } => {
                let hello = Hello {
                    dashboard_id: Some(dashboard_id),
                    friendly_name,
                    connect_back_port,
                    kiln: true,
                    ..Hello::default()
                };
                (LinkIntent::PeerLink, hello)
            }
            Self::ConnectBack { peer_link_port } => {
                let hello = Hello {
                    peer_link_port: Some(peer_link_port),
                    ..Hello::default()
                };
                (LinkIntent::ConnectBack, hello)
            }
        }
    }
}

/// What is announced over mDNS (peer-link.md §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// Our id; the host name derives from it.
    pub dashboard_id: DashboardId,
    /// Host on which the listener is bound, as set; `None`: it is not.
    pub host: Option<String>,
    /// SRV port. Kiln has no HTTP port: its peer-link port, or 0 when not listening.
    pub port: u16,
    /// Our version.
    pub server_version: String,
    /// ESPHome version, possibly empty.
    pub esphome_version: String,
    /// Our machine name.
    pub friendly_name: FriendlyName,
    /// Pin and port, exactly while the listener is bound in the receiver role.
    pub receiver: Option<(Pin, u16)>,
}
