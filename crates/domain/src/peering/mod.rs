//! Identity, pairing, sessions and discovery: who may talk to us, and how we reach others.
//!
//! [`Peering`] routes to small machines, one per file, and after every event moves the world one
//! step towards what it should be (`settling.rs`): is anything bound that should not be, does a
//! client want to dial and may, did what we announce change.

mod admission;
mod approval;
mod asking;
mod bootstrap;
mod client;
mod connect_back;
mod effect;
mod endpoint;
mod event;
#[cfg(test)]
mod fixtures;
mod hosts;
mod listener;
mod network;
mod out;
mod pairings;
mod peers;
mod pending;
mod people;
#[cfg(test)]
mod reference;
mod settling;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod two_nodes;
mod window;

use kiln_model::witness::PinConfirmed;
use kiln_model::{
    Alert, DashboardId, DiscoveredHost, ErrorCode, FriendlyName, IdentityView, Label, LinkState,
    Mono, Now, Pairing, Peer, PeerFacts, PeerView, PendingPeer, Pin, Reply, Request, Sentence,
    Settings, say,
};

use self::admission::{Hearing, Knock};
use self::asking::{Asking, Introduction, Wish};
use self::bootstrap::{Bootstrap, Mode};
use self::connect_back::ConnectBack;
use self::endpoint::Probes;
use self::hosts::Hosts;
use self::listener::Listener;
use self::out::Out;
use self::pairings::{Known, Pairings};
use self::peers::Peers;
use self::pending::Pending;
use self::window::Window;
use crate::{ClientId, Deadline, RequestId};

pub use effect::{Advert, Effect, KnockAnswer, Purpose};
pub use event::{DialAnswer, DialFailure, Event, Presence};

/// Decides who may talk to us and how we reach others; no IO, no clock.
#[derive(Debug)]
pub struct Peering {
    version: String,
    identity: Option<Identity>,
    settings: Settings,
    presence: Presence,
    receiving: Receiving,
    facts: PeerFacts,
    stored: Stored,
    life: Life,
    hearing: Hearing,
    listener: Listener,
    window: Window,
    bootstrap: Bootstrap,
    pending: Pending,
    peers: Peers,
    pairings: Pairings,
    asking: Asking,
    probes: Probes,
    connect_back: ConnectBack,
    hosts: Hosts,
    announced: Option<Advert>,
    shown: Option<PeeringView>,
    out: Out,
}

/// Who we are.
#[derive(Clone, Debug)]
struct Identity {
    pin: Pin,
    dashboard_id: DashboardId,
}

/// Whether the stored rows are known: before that nothing may be decided by their absence.
#[derive(Debug, PartialEq, Eq)]
enum Stored {
    Unknown,
    Loaded,
}

/// Whether this computer can take builds of others at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// As far as the settings want it.
    Possible,
    /// The box that is required for them cannot be made here.
    Impossible,
}

/// What the node as a whole is doing.
#[derive(Debug, PartialEq, Eq)]
enum Life {
    Running,
    /// The key is to be changed when nothing listens with the old one.
    Clearing(RequestId),
    /// A new key is being made.
    Rotating(RequestId),
    /// The node ends.
    Stopping,
}

/// Whose business a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is, or will be, answered by the half that was asked.
    Mine,
    /// The other half has to be asked.
    NotMine,
}

/// This half's part of [`kiln_model::View`].
#[derive(Clone, Debug, PartialEq)]
pub struct PeeringView {
    /// Who we are.
    pub identity: IdentityView,
    /// Port of the listener, when bound.
    pub listening: Option<u16>,
    /// When the pairing window closes; `None` while it is closed.
    pub window_until: Option<Mono>,
    /// Receivers, in pairing order, with their links.
    pub pairings: Vec<(Pairing, LinkState)>,
    /// Offloaders that may use us.
    pub peers: Vec<PeerView>,
    /// Offloaders that ask.
    pub pending: Vec<PendingPeer>,
    /// Pairings that need the owner.
    pub alerts: Vec<Alert>,
    /// Seen on the network, without ourselves.
    pub discovered: Vec<DiscoveredHost>,
    /// Things the owner should know.
    pub notices: Vec<Sentence>,
    /// Label under which we introduce ourselves.
    pub own_label: Label,
}

impl Peering {
    /// Makes the half at rest. `version` is Kiln's own, announced over mDNS; `seed` makes the waits of
    /// different nodes differ.
    pub fn new(version: impl Into<String>, seed: u64) -> Self {
        Self {
            version: version.into(),
            identity: None,
            settings: Settings::default(),
            presence: Presence::Here,
            receiving: Receiving::Possible,
            facts: PeerFacts::default(),
            stored: Stored::Unknown,
            life: Life::Running,
            hearing: Hearing::Closed,
            listener: Listener::new(),
            window: Window::default(),
            bootstrap: Bootstrap::default(),
            pending: Pending::default(),
            peers: Peers::default(),
            pairings: Pairings::default(),
            asking: Asking::default(),
            probes: Probes::default(),
            connect_back: ConnectBack::default(),
            hosts: Hosts::default(),
            announced: None,
            shown: None,
            out: Out::new(seed),
        }
    }

    /// Learns whether builds of others can be taken; counts from the next event on. Returns whether
    /// that is news.
    pub(crate) fn set_receiving(&mut self, receiving: Receiving) -> bool {
        std::mem::replace(&mut self.receiving, receiving) != receiving
    }

    /// Takes in something that happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        self.expire(now);
        match event {
            Event::IdentityLoaded { pin, dashboard_id } => {
                self.identity = Some(Identity { pin, dashboard_id });
                self.rotation_ended(Ok(()));
            }
            Event::RotationFailed(text) => self.rotation_ended(Err(text)),
            Event::Loaded(peers, pairings) => {
                for peer in peers {
                    self.peers.insert(peer);
                }
                self.pairings.load(pairings);
                self.stored = Stored::Loaded;
                self.out.push(Effect::PairingsChanged);
            }
            Event::SettingsChanged(settings) => self.settings = settings,
            Event::PresenceChanged(presence) => self.presence = presence,
            Event::FactsChanged(facts) => self.facts = facts,
            Event::BootstrapArmed { key, sources } => self.bootstrap.arm(key, sources, now.mono),
            Event::Listening { port } => self.listener.handle_listening(port),
            Event::ListenFailed(error) => self.listen_failed(error, now),
            Event::ListenerClosed => self.listener.handle_closed(),
            Event::Knocked {
                link,
                intent,
                public_key,
                pin,
                hello,
                source,
            } => {
                let knock = Knock {
                    link,
                    intent,
                    public_key,
                    pin,
                    hello,
                    source,
                };
                self.knocked(knock, now);
            }
            Event::Dialled { link, outcome } => self.dialled(link, outcome, now),
            Event::Closed { link, reason } => self.closed(link, &reason, now),
            Event::HostSeen(host) => self.host_seen(host),
            Event::HostGone(name) => self.hosts.gone(&name),
            Event::AddressSeen(host) => self.pairings.wake(&host),
        }
        self.settle(now);
    }

    /// Takes in a person's request. Every one that is [`Taken::Mine`] is answered exactly once.
    pub fn handle_request(
        &mut self,
        client: ClientId,
        id: RequestId,
        request: &Request,
        now: Now,
    ) -> Taken {
        self.expire(now);
        match request {
            Request::RotateIdentity => self.rotate(id),
            Request::Preview(endpoint) => self.preview(id, endpoint.clone()),
            Request::Pair {
                endpoint,
                pin,
                pairing_key,
                label,
            } => {
                let wish = Wish {
                    endpoint: endpoint.clone(),
                    // The request names the pin only because a person compared it, or typed it.
                    pin: PinConfirmed::assertion(*pin),
                    label: label.clone(),
                };
                self.pair(id, wish, pairing_key.as_deref());
            }
            Request::Unpair(pin) => {
                self.pairings.unpair(*pin, &mut self.out);
                self.out.reply(id, Reply::Done);
            }
            Request::SetPairingEnabled(pin, enabled) => {
                match self.pairings.set_enabled(*pin, *enabled, &mut self.out) {
                    Known::Yes => self.out.reply(id, Reply::Done),
                    Known::No => self.no_such_receiver(id),
                }
            }
            Request::EditEndpoint(pin, endpoint) => self.edit_endpoint(id, *pin, endpoint, now),
            Request::OpenWindow => self.open_window(client, id, now),
            Request::CloseWindow => {
                self.window.close(client);
                self.out.reply(id, Reply::Done);
            }
            Request::Approve(dashboard_id, compared) => {
                self.approve(id, dashboard_id, *compared, now);
            }
            Request::Reject(dashboard_id) => self.reject(id, dashboard_id),
            Request::RemovePeer(dashboard_id) => self.remove_peer(id, dashboard_id),
            Request::Status
            | Request::Devices
            | Request::Install { .. }
            | Request::Flash { .. }
            | Request::Compile { .. }
            | Request::Clean { .. }
            | Request::Jobs
            | Request::Job(_)
            | Request::Cancel(_)
            | Request::BuildHere(_)
            | Request::Environments
            | Request::InstallEnvironment(_)
            | Request::ResetEnvironment(_)
            | Request::SerialPorts
            | Request::Settings
            | Request::SetSettings(_)
            | Request::NewestEnvironment
            | Request::Audit(_)
            | Request::Pause(_)
            | Request::Resume
            | Request::Storage
            | Request::Reclaim
            | Request::Shutdown => return Taken::NotMine,
        }
        self.settle(now);
        Taken::Mine
    }

    /// A client's connection ended.
    pub fn client_gone(&mut self, client: ClientId, now: Now) {
        self.expire(now);
        self.window.client_gone(client);
        self.settle(now);
    }

    /// Tells every peer that we go, gives up every dial and listens no more.
    pub fn shut_down(&mut self, now: Now) {
        self.expire(now);
        match std::mem::replace(&mut self.life, Life::Stopping) {
            Life::Clearing(id) | Life::Rotating(id) => self.out.refuse(
                id,
                ErrorCode::Unavailable,
                say::stops_before_key(),
                say::hint_look_at_identity(),
            ),
            Life::Running | Life::Stopping => {}
        }
        self.give_up(&say::stops());
        self.settle(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.expire(now);
        self.settle(now);
    }

    /// Returns when to call [`Peering::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Mono, Deadline)> {
        let deadlines = [
            (self.window.until(), "PairingWindow"),
            (self.bootstrap.until(), "PairingKey"),
            (self.listener.poll_timeout(), "ListenRetry"),
            (self.pairings.poll_timeout(), "Redial"),
            (self.connect_back.poll_timeout(), "ConnectBackSweep"),
        ];
        let due = deadlines.into_iter();
        due.filter_map(|(at, why)| Some((at?, why))).min()
    }

    /// Returns the next thing to do; to be performed in this order.
    pub fn poll_effect(&mut self) -> Option<crate::Effect> {
        self.out.pop()
    }

    /// Returns what faces show; `None` until the identity is loaded.
    pub fn view(&self) -> Option<PeeringView> {
        let identity = self.identity.as_ref()?;
        let name = self.own_name();
        let peer_view = |peer: &Peer| PeerView {
            peer: peer.clone(),
            connected: self.peers.is_connected(&peer.dashboard_id),
        };
        Some(PeeringView {
            identity: IdentityView {
                pin: identity.pin,
                dashboard_id: identity.dashboard_id.clone(),
                friendly_name: name.clone(),
                version: self.version.clone(),
                esphome_version: self.facts.esphome_version.clone(),
            },
            listening: self.listener.bound().map(|(_, port)| port),
            window_until: self.window_until(),
            pairings: self.pairings.iter().map(|(p, l)| (p.clone(), l)).collect(),
            peers: self.peers.iter().map(peer_view).collect(),
            pending: self.pending.iter().cloned().collect(),
            alerts: self.pairings.alerts().cloned().collect(),
            discovered: self.hosts.iter().cloned().collect(),
            notices: self.notices(),
            own_label: Label::clipped(name.as_str()),
        })
    }

    /// Returns the receivers that we may use or asked to, in pairing order, with their links.
    pub fn pairings(&self) -> impl Iterator<Item = (&Pairing, LinkState)> {
        self.pairings.iter()
    }

    /// Returns whether the receiver runs without a face, and so receives whatever the settings say.
    pub fn is_headless(&self) -> bool {
        self.bootstrap.mode() == Mode::Headless
    }

    fn notices(&self) -> Vec<Sentence> {
        let error = self.listener.error();
        let notice = |why: &Sentence| say::others_cannot_reach(why.clone());
        error.map(notice).into_iter().collect()
    }

    /// Returns the machine name that we announce: the owner's choice, or the machine's own.
    fn own_name(&self) -> FriendlyName {
        let chosen = FriendlyName::clipped(&self.settings.friendly_name);
        if chosen.is_empty() {
            self.facts.friendly_name.clone()
        } else {
            chosen
        }
    }

    fn window_until(&self) -> Option<Mono> {
        self.window.until().max(self.bootstrap.until())
    }

    fn introduction(&self, identity: &Identity) -> Introduction {
        Introduction {
            dashboard_id: identity.dashboard_id.clone(),
            friendly_name: self.own_name(),
        }
    }
}
