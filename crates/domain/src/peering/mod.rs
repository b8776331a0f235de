//! Identity, pairing, sessions and discovery: who may talk to us, and how we reach others.
//!
//! [`Peering`] routes to small machines, one per file, and after every event moves the world one
//! step towards what it should be ([`Peering::settle`]): is anything bound that should not be, does a
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
mod out;
mod pairings;
mod peers;
mod pending;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod stories;
mod window;

use std::net::IpAddr;

use kiln_model::witness::Approved;
use kiln_model::{
    Alert, CloseReason, DashboardId, DiscoveredHost, Endpoint, ErrorCode, FriendlyName,
    IdentityView, IntentReason, Label, LinkId, LinkState, Mono, Now, Pairing, PairingStatus,
    PeerFacts, PeerView, PendingPeer, Pin, Reply, Request, ResponseKind, Settings, TerminateReason,
};

use self::admission::{Doorman, Hearing, Knock, Verdict};
use self::asking::{Asking, Introduction, Wish};
use self::bootstrap::{Bootstrap, Lapse, Mode};
use self::connect_back::{Call, ConnectBack};
use self::endpoint::{Found, Probe, Probes, Slot, WantedBy};
use self::hosts::{Hosts, Own, Seen};
use self::listener::{Listener, Serves, Step, Wanted};
use self::out::Out;
use self::pairings::{Dialler, Pairings, Reach, Sessions};
use self::peers::Peers;
use self::pending::{Pending, Waiter};
use self::window::Window;
use crate::text::is_printable;
use crate::{ClientId, Deadline, RequestId};

pub use effect::{Advert, Effect, Purpose, Role, Session};
pub use event::{DialAnswer, DialFailure, Event};

/// Longest pairing key that a person types, in characters (peer-link.md §6.1).
const MAX_TYPED_KEY: usize = 64;

/// Decides who may talk to us and how we reach others; no IO, no clock.
#[derive(Debug)]
pub struct Peering {
    version: String,
    identity: Option<Identity>,
    settings: Settings,
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
    pub notices: Vec<String>,
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

    /// Takes in something that happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        self.expire(now);
        match event {
            Event::IdentityLoaded {
                pin,
                public_key: _,
                dashboard_id,
            } => {
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
            Event::FactsChanged(facts) => self.facts = facts,
            Event::BootstrapArmed { key, sources } => self.bootstrap.arm(key, sources, now.mono),
            Event::Listening { port } => self.listener.handle_listening(port),
            Event::ListenFailed(error) => self.listen_failed(error, now),
            Event::ListenerClosed => self.listener.handle_closed(now.mono),
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
            Event::HostSeen(host) => self.host_seen(host, now),
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
                    pin: *pin,
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
                    Some(()) => self.out.reply(id, Reply::Done),
                    None => self.no_such_receiver(id),
                }
            }
            Request::EditEndpoint(pin, endpoint) => self.edit_endpoint(id, *pin, endpoint, now),
            Request::OpenWindow => self.open_window(client, id, now),
            Request::CloseWindow => {
                self.window.close(client);
                self.out.reply(id, Reply::Done);
            }
            Request::Approve(dashboard_id) => self.approve(id, dashboard_id, now),
            Request::Reject(dashboard_id) => match self.pending.remove(dashboard_id) {
                Some(_) => self.out.reply(id, Reply::Done),
                None => self.no_such_offloader(id),
            },
            Request::RemovePeer(dashboard_id) => self.remove_peer(id, dashboard_id),
            Request::Status
            | Request::Devices
            | Request::Install { .. }
            | Request::Compile { .. }
            | Request::Clean { .. }
            | Request::Jobs
            | Request::Job(_)
            | Request::Cancel(_)
            | Request::BuildHere(_)
            | Request::Environments
            | Request::InstallEnvironment(_)
            | Request::ResetEnvironment(_)
            | Request::Settings
            | Request::SetSettings(_)
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
                "Kiln stops before the key was changed.",
                "Look at the identity after the next start.",
            ),
            Life::Running | Life::Stopping => {}
        }
        self.give_up("Kiln stops.");
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
        let peer_view = |peer: &kiln_model::Peer| PeerView {
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

    fn notices(&self) -> Vec<String> {
        let error = self.listener.error();
        let notice = |why| format!("Others cannot reach this computer: {why}. Kiln tries again.");
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

/// What people ask for.
impl Peering {
    fn no_such_receiver(&mut self, id: RequestId) {
        let hint = "See the receivers with: kiln receivers list";
        let text = "There is no receiver with this pin.";
        self.out.refuse(id, ErrorCode::NotFound, text, hint);
    }

    fn no_such_offloader(&mut self, id: RequestId) {
        let hint =
            "See who asks with: kiln requests, and who may build here with: kiln offloaders list";
        let text = "There is no offloader with this id.";
        self.out.refuse(id, ErrorCode::NotFound, text, hint);
    }

    /// Returns who we are, or refuses: before that, and while the key changes, nothing is asked of
    /// others.
    fn identity_or_refuse(&mut self, id: RequestId) -> Option<Identity> {
        let hint = "Try again in a moment; if it stays so, look at: kiln status";
        match (&self.identity, &self.life) {
            (Some(identity), Life::Running) => return Some(identity.clone()),
            (None, _) => self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                "The identity of this computer is not loaded.",
                hint,
            ),
            (Some(_), Life::Clearing(_) | Life::Rotating(_)) => self.out.refuse(
                id,
                ErrorCode::Unavailable,
                "The key of this computer is being changed.",
                hint,
            ),
            (Some(_), Life::Stopping) => {
                self.out
                    .refuse(id, ErrorCode::Unavailable, "Kiln stops.", "Start it again.");
            }
        }
        None
    }

    fn rotate(&mut self, id: RequestId) {
        if matches!(self.life, Life::Clearing(_) | Life::Rotating(_)) {
            let text = "The key is being changed already.";
            let hint = "Wait until it is done.";
            self.out.refuse(id, ErrorCode::AlreadyExists, text, hint);
        } else if self.identity_or_refuse(id).is_some() {
            self.life = Life::Clearing(id);
            self.give_up("The key of this computer is being changed.");
        }
    }

    fn rotation_ended(&mut self, result: Result<(), String>) {
        let (Life::Clearing(id) | Life::Rotating(id)) = self.life else {
            return;
        };
        self.life = Life::Running;
        match result {
            Ok(()) => self.out.reply(id, Reply::Done),
            Err(text) => {
                let hint = "The old key stays. Solve what is named, then try again.";
                self.out.refuse(id, ErrorCode::Internal, text, hint);
            }
        }
    }

    /// Ends everything that we began: clients, probes, questions, calls.
    fn give_up(&mut self, why: &str) {
        self.asking.abort(why, &mut self.out);
        for waiting in self.probes.abort(&mut self.out) {
            match waiting {
                WantedBy::Discovery => {}
                WantedBy::Receiver(link) => self.out.close(link, None),
                WantedBy::Person(id) => {
                    let hint = "Ask again afterwards.";
                    self.out.refuse(id, ErrorCode::Unavailable, why, hint);
                }
            }
        }
        self.connect_back.abort(&mut self.out);
        self.pairings.restart_all(&mut self.out);
    }

    fn preview(&mut self, id: RequestId, endpoint: Endpoint) {
        if self.identity_or_refuse(id).is_some() {
            self.asking.preview(id, endpoint, &mut self.out);
        }
    }

    fn pair(&mut self, id: RequestId, wish: Wish, typed_key: Option<&str>) {
        let Some(identity) = self.identity_or_refuse(id) else {
            return;
        };
        let refused = if !is_printable(wish.label.as_str()) {
            Some("label must contain only printable characters")
        } else if typed_key.is_some_and(|key| key.chars().count() > MAX_TYPED_KEY) {
            Some("pairing_key must be at most 64 characters")
        } else if !typed_key.is_none_or(is_printable) {
            Some("pairing_key must contain only printable characters")
        } else if wish.pin == identity.pin {
            Some("This is the pin of this computer.")
        } else {
            None
        };
        if let Some(text) = refused {
            let hint = "Nothing was sent. Correct it and ask again.";
            self.out.refuse(id, ErrorCode::InvalidArgs, text, hint);
            return;
        }
        let key = typed_key.map(str::trim).filter(|key| !key.is_empty());
        let key = key.map(|key| key.to_owned().into());
        let who = self.introduction(&identity);
        self.asking.pair(id, wish, key, who, &mut self.out);
    }

    fn edit_endpoint(&mut self, id: RequestId, pin: Pin, endpoint: &Endpoint, now: Now) {
        let Some(revision) = self.pairings.revision(pin) else {
            self.no_such_receiver(id);
            return;
        };
        if self.identity_or_refuse(id).is_none() {
            return;
        }
        let Some(pairing) = self.pairings.get(pin) else {
            return;
        };
        let code = ErrorCode::PreconditionFailed;
        if pairing.status != PairingStatus::Approved {
            let text = "The receiver has not accepted the pairing yet.";
            let hint = "Accept it there first.";
            self.out.refuse(id, code, text, hint);
        } else if pairing.endpoint.same_place(endpoint) {
            let text = "The receiver is already stored with this host and port.";
            self.out.refuse(id, code, text, "Nothing has to be done.");
        } else {
            let wanted_by = WantedBy::Person(id);
            let _ = self.probes.claim(pin, now.mono, wanted_by);
            let probe = Probe {
                pin,
                endpoint: endpoint.clone(),
                revision,
                wanted_by,
            };
            self.probes.start(probe, &mut self.out);
        }
    }

    fn open_window(&mut self, client: ClientId, id: RequestId, now: Now) {
        if self.serves_as() == Some(Serves::Receiver) {
            self.window.open(client, now.mono);
            self.out.reply(id, Reply::Done);
        } else {
            self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                "This computer does not build for others, so nobody could ask.",
                "Switch it on first: kiln settings set receiver on",
            );
        }
    }

    fn approve(&mut self, id: RequestId, dashboard_id: &DashboardId, now: Now) {
        if let Some(asking) = self.pending.remove(dashboard_id) {
            self.doorman(|doorman| doorman.admit_for_good(asking, now.wall));
            self.out.reply(id, Reply::Done);
        } else if self.peers.get(dashboard_id).is_some() {
            let text = "This offloader is approved already.";
            let hint = "Nothing has to be done.";
            self.out.refuse(id, ErrorCode::InvalidArgs, text, hint);
        } else {
            self.no_such_offloader(id);
        }
    }

    /// Revokes an approval and ends the live session. The offloader reconnects, is told
    /// `no_approved_peer`, and tells its owner (peer-link.md §4.6).
    fn remove_peer(&mut self, id: RequestId, dashboard_id: &DashboardId) {
        let Some((peer, session)) = self.peers.remove(dashboard_id) else {
            self.no_such_offloader(id);
            return;
        };
        let pin = peer.pin;
        self.connect_back.peer_removed(dashboard_id, &mut self.out);
        self.out.push(Effect::ForgetPeer(dashboard_id.clone(), pin));
        if let Some(link) = session {
            self.out.push(Effect::SessionDown { link, pin });
            let reason = TerminateReason::ServerShuttingDown;
            self.out.close(link, Some(reason));
        }
        self.out.reply(id, Reply::Done);
    }
}

/// What peers and the network do.
impl Peering {
    fn listen_failed(&mut self, error: String, now: Now) {
        if self.bootstrap.until().is_some() {
            self.bootstrap.disarm();
            self.out.push(Effect::BootstrapFailed(error.clone()));
        }
        self.listener.handle_failed(error, now.mono);
    }

    fn doorman<T>(&mut self, ask: impl FnOnce(&mut Doorman<'_>) -> T) -> Option<T> {
        let identity = self.identity.as_ref()?;
        let serves = match self.listener.bound() {
            Some((serves, _)) => serves,
            None => Serves::ConnectBackOnly,
        };
        let mut doorman = Doorman {
            serves,
            own: identity.pin,
            hearing: self.hearing,
            peers: &mut self.peers,
            pending: &mut self.pending,
            bootstrap: &mut self.bootstrap,
            out: &mut self.out,
        };
        Some(ask(&mut doorman))
    }

    fn knocked(&mut self, knock: Knock, now: Now) {
        // What knocks at a door that is not there, or is on its way out, is not answered.
        if self.listener.bound().is_none() || self.life != Life::Running {
            self.out.close(knock.link, None);
            return;
        }
        match self.doorman(|doorman| doorman.decide(&knock, now.wall)) {
            Some(Verdict::ConnectBack) => self.called(knock, now),
            Some(Verdict::Admit {
                approved,
                dashboard_id,
                label,
            }) => self.admit(knock.link, approved, dashboard_id, label, now),
            Some(verdict) => self.say(knock.link, knock.pin, verdict),
            None => self.out.close(knock.link, None),
        }
    }

    /// Starts a session; an older one of the same offloader ends after the new one is installed.
    fn admit(
        &mut self,
        link: LinkId,
        approved: Approved,
        dashboard_id: DashboardId,
        label: Label,
        now: Now,
    ) {
        let pin = approved.pin();
        self.answer(link, ResponseKind::Ok, None, false, Some(approved));
        if let Some(old) = self.peers.open(dashboard_id.clone(), link) {
            self.out.push(Effect::SessionDown { link: old, pin });
            self.out.close(old, Some(TerminateReason::Superseded));
        }
        self.connect_back
            .session_opened(dashboard_id.clone(), now.mono, &mut self.out);
        let role = Role::Receiver {
            dashboard_id,
            label,
        };
        self.out
            .push(Effect::SessionUp(Session { link, pin, role }));
    }

    fn say(&mut self, link: LinkId, pin: Pin, verdict: Verdict) {
        match verdict {
            Verdict::Say(kind, reason) => self.answer(link, kind, reason, false, None),
            Verdict::Previewed {
                requires_pairing_key,
            } => self.answer(link, ResponseKind::Ok, None, requires_pairing_key, None),
            Verdict::Wait(dashboard_id) => {
                let waiter = Waiter { dashboard_id, pin };
                if let Some(crowded_out) = self.pending.wait(link, waiter) {
                    self.out.close(crowded_out, None);
                }
            }
            // Made for sessions and calls only, and dealt with where they are.
            Verdict::Admit { .. } | Verdict::ConnectBack => self.out.close(link, None),
        }
    }

    fn answer(
        &mut self,
        link: LinkId,
        kind: ResponseKind,
        reason: Option<IntentReason>,
        requires_pairing_key: bool,
        admit: Option<Approved>,
    ) {
        let facts = PeerFacts {
            friendly_name: self.own_name(),
            ..self.facts.clone()
        };
        self.out.push(Effect::Answer {
            link,
            kind,
            reason,
            facts,
            requires_pairing_key,
            admit,
        });
    }

    /// A receiver tells us where it is; answered when a probe has asked there.
    fn called(&mut self, knock: Knock, now: Now) {
        let call = Call {
            link: knock.link,
            pin: knock.pin,
            port: knock.hello.peer_link_port,
            source: knock.source,
        };
        let judged = connect_back::judge(&call, &self.pairings, &mut self.probes, now.mono);
        match (judged, self.pairings.revision(call.pin)) {
            (Ok(endpoint), Some(revision)) => {
                let probe = Probe {
                    pin: call.pin,
                    endpoint,
                    revision,
                    wanted_by: WantedBy::Receiver(call.link),
                };
                self.probes.start(probe, &mut self.out);
            }
            (Ok(_), None) => self.refuse_call(call.link, IntentReason::NoApprovedPeer),
            (Err(reason), _) => self.refuse_call(call.link, reason),
        }
    }

    fn refuse_call(&mut self, link: LinkId, reason: IntentReason) {
        self.answer(link, ResponseKind::Rejected, Some(reason), false, None);
    }

    fn dialled(&mut self, link: LinkId, outcome: Result<DialAnswer, DialFailure>, now: Now) {
        let Some(own) = self.identity.as_ref().map(|identity| identity.pin) else {
            return;
        };
        let out = &mut self.out;
        if self.asking.owns(link) {
            if let Some(granted) = self.asking.handle_dialled(link, outcome, own, out) {
                self.pairings.store(granted, now, out);
            }
        } else if self.probes.owns(link) {
            if let Some((probe, found)) = self.probes.handle_dialled(link, outcome) {
                self.probed(probe, found);
            }
        } else if self.connect_back.owns(link) {
            self.connect_back
                .handle_dialled(link, outcome, now.mono, out);
        } else {
            // A link that nobody knows was given up before its answer came.
            let _ = self.pairings.handle_dialled(link, outcome, own, now, out);
        }
    }

    fn probed(&mut self, probe: Probe, found: Found) {
        let same = self.pairings.revision(probe.pin) == Some(probe.revision);
        let reach = self.pairings.reach(probe.pin);
        let good = found == Found::ThePinned;
        match probe.wanted_by {
            WantedBy::Discovery => {
                if good && same && reach != Reach::NotApproved {
                    self.rebind(&probe);
                }
            }
            WantedBy::Receiver(link) => {
                if !good {
                    self.refuse_call(link, IntentReason::ProbeFailed);
                } else if !same || reach == Reach::NotApproved {
                    self.refuse_call(link, IntentReason::NoApprovedPeer);
                } else if reach == Reach::Connected {
                    self.refuse_call(link, IntentReason::AlreadyConnected);
                } else {
                    self.rebind(&probe);
                    self.answer(link, ResponseKind::Ok, None, false, None);
                }
            }
            WantedBy::Person(id) => self.edited(id, &probe, found, same, reach),
        }
    }

    fn edited(&mut self, id: RequestId, probe: &Probe, found: Found, same: bool, reach: Reach) {
        match found {
            Found::Another => self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                "Another key answers there; the stored host and port stay.",
                "If the receiver changed its key, pair again.",
            ),
            Found::Nobody(reason) => asking::unreachable_peer(id, &reason, &mut self.out),
            Found::ThePinned if !same => self.out.refuse(
                id,
                ErrorCode::NotFound,
                "The pairing was removed or replaced meanwhile.",
                "Look at it again with: kiln receivers list",
            ),
            Found::ThePinned if reach == Reach::NotApproved => self.out.refuse(
                id,
                ErrorCode::PreconditionFailed,
                "The pairing is not approved any more.",
                "Look at it again with: kiln receivers list",
            ),
            Found::ThePinned => {
                self.rebind(probe);
                self.out.reply(id, Reply::Done);
            }
        }
    }

    fn rebind(&mut self, probe: &Probe) {
        let endpoint = probe.endpoint.normalised();
        self.pairings.move_to(probe.pin, endpoint, &mut self.out);
        self.probes.release(probe.pin);
    }

    fn closed(&mut self, link: LinkId, reason: &CloseReason, now: Now) {
        if self.asking.owns(link) || self.probes.owns(link) || self.connect_back.owns(link) {
            self.dialled(link, Err(reason.clone().into()), now);
            return;
        }
        if let Some((id, pin)) = self.peers.closed(link) {
            self.out.push(Effect::SessionDown { link, pin });
            self.connect_back.session_closed(id, now.mono);
            return;
        }
        self.pending.handle_closed(link);
        self.probes.handle_knock_closed(link);
        let ended = self
            .pairings
            .handle_closed(link, reason, now, &mut self.out);
        // Links that nobody knows any more were closed by us.
        let _ = ended;
    }

    fn host_seen(&mut self, host: DiscoveredHost, now: Now) {
        let elsewhere = self.elsewhere(&host);
        let own = self.identity.as_ref().map(|identity| Own {
            dashboard_id: &identity.dashboard_id,
            pin: identity.pin,
            port: self.own_port(),
        });
        match self.hosts.seen(host, own.as_ref()) {
            Seen::Ourselves => {}
            Seen::Other => {
                if let Some((pin, endpoint, revision)) = elsewhere {
                    self.follow(pin, endpoint, revision, now);
                }
            }
        }
    }

    /// Returns where an approved receiver claims to be, when that is not where it is stored
    /// (peer-link.md §2.7, checks 1 to 3).
    fn elsewhere(&self, host: &DiscoveredHost) -> Option<(Pin, Endpoint, u64)> {
        let pin = host.pin?;
        let endpoint = host.endpoint.as_ref()?;
        let pairing = self.pairings.get(pin)?;
        let literal: Vec<IpAddr> = endpoint.ip().into_iter().collect();
        let stays = pairing.status != PairingStatus::Approved
            || pairing.endpoint.same_place(endpoint)
            || hosts::only_loopback(&host.addresses)
            || hosts::only_loopback(&literal);
        let revision = self.pairings.revision(pin)?;
        (!stays).then(|| (pin, endpoint.normalised(), revision))
    }

    fn follow(&mut self, pin: Pin, endpoint: Endpoint, revision: u64, now: Now) {
        let wanted_by = WantedBy::Discovery;
        if self.identity.is_none() || self.life != Life::Running {
            return;
        }
        match self.probes.claim(pin, now.mono, wanted_by) {
            Slot::Taken => {}
            Slot::Claimed => {
                let probe = Probe {
                    pin,
                    endpoint,
                    revision,
                    wanted_by,
                };
                self.probes.start(probe, &mut self.out);
            }
        }
    }
}

/// Moving towards what should be.
impl Peering {
    /// Drops what is over; nothing is decided on grounds that have lapsed.
    fn expire(&mut self, now: Now) {
        self.window.handle_timeout(now.mono);
        match self.bootstrap.handle_timeout(now.mono) {
            Lapse::Lapsed => self.out.push(Effect::BootstrapLapsed),
            Lapse::No => {}
        }
        self.pairings.handle_timeout(now.mono, &mut self.out);
        self.settle_window();
    }

    fn settle(&mut self, now: Now) {
        if self.stored == Stored::Loaded && !self.peers.is_empty() {
            self.bootstrap.disarm();
        }
        self.settle_window();
        self.settle_listener(now);
        self.settle_dials(now);
        self.settle_advert();
        self.settle_view();
    }

    /// Forgets those who ask when the window closes, and answers whoever waits for what is decided.
    fn settle_window(&mut self) {
        if self.serves_as() != Some(Serves::Receiver) {
            self.window.clear();
        }
        self.hearing = match self.window_until() {
            Some(_) => Hearing::Open,
            None => Hearing::Closed,
        };
        if self.hearing == Hearing::Closed {
            self.pending.clear();
        }
        for (link, waiter) in self.pending.take_woken() {
            let Waiter { dashboard_id, pin } = waiter;
            match self.doorman(|doorman| doorman.pair_status(&dashboard_id, pin)) {
                Some(verdict) => self.say(link, pin, verdict),
                None => self.out.close(link, None),
            }
        }
    }

    /// Returns what is to be served (peer-link.md §3.1); a headless receiver receives in any case.
    fn serves_as(&self) -> Option<Serves> {
        if self.settings.receiver || self.is_headless() {
            Some(Serves::Receiver)
        } else if self.pairings.any_approved() {
            Some(Serves::ConnectBackOnly)
        } else {
            None
        }
    }

    fn settle_listener(&mut self, now: Now) {
        let ready = self.identity.is_some() && self.stored == Stored::Loaded;
        let serves = self
            .serves_as()
            .filter(|_| ready && self.life == Life::Running);
        let wanted = serves.map(|serves| Wanted {
            serves,
            host: self.settings.listen_host.clone(),
            port: self.settings.listen_port,
        });
        match self.listener.settle(wanted, now.mono) {
            Step::Nothing => {}
            Step::Bind => self.out.push(Effect::Listen),
            Step::Unbind => {
                self.empty_the_house();
                self.out.push(Effect::StopListening);
            }
        }
        if let Life::Clearing(id) = self.life
            && self.listener.is_down()
        {
            self.life = Life::Rotating(id);
            self.out.push(Effect::RotateIdentity);
        }
    }

    /// Ends everything that came in through the listener, before it goes.
    fn empty_the_house(&mut self) {
        let reason = TerminateReason::ServerShuttingDown;
        for (id, link) in self.peers.take_sessions() {
            if let Some(pin) = self.peers.get(&id).map(|peer| peer.pin) {
                self.out.push(Effect::SessionDown { link, pin });
            }
            self.out.close(link, Some(reason));
        }
        let mut waiting = self.pending.take_waiters();
        waiting.extend(self.probes.take_waiters());
        for link in waiting {
            self.out.close(link, None);
        }
        self.connect_back.abort(&mut self.out);
    }

    fn settle_dials(&mut self, now: Now) {
        let Some(identity) = self.identity.clone().filter(|_| self.life == Life::Running) else {
            return;
        };
        let sessions = if self.listener.is_settled() {
            Sessions::Dial
        } else {
            Sessions::Hold
        };
        let dialler = Dialler {
            who: self.introduction(&identity),
            connect_back_port: self.listener.bound().map(|(_, port)| port),
            sessions,
        };
        self.pairings.settle(&dialler, now.mono, &mut self.out);
        let port = self.listener.receiving();
        self.connect_back
            .settle(&self.peers, port, now.mono, &mut self.out);
    }

    /// SRV port. Kiln has no HTTP port: its peer-link port, or 0 when not listening.
    fn own_port(&self) -> u16 {
        self.listener.bound().map_or(0, |(_, port)| port)
    }

    fn settle_advert(&mut self) {
        let Some(identity) = &self.identity else {
            return;
        };
        let port = self.own_port();
        let version = self.facts.esphome_version.as_ref();
        let receiver = self.listener.receiving();
        let advert = Advert {
            dashboard_id: identity.dashboard_id.clone(),
            port,
            server_version: self.version.clone(),
            esphome_version: version.map_or_else(String::new, ToString::to_string),
            friendly_name: self.own_name(),
            receiver: receiver.map(|port| (identity.pin, port)),
        };
        self.hosts.settle(&Own {
            dashboard_id: &identity.dashboard_id,
            pin: identity.pin,
            port,
        });
        if self.announced.as_ref() != Some(&advert) {
            self.announced = Some(advert.clone());
            self.out.push(Effect::Advertise(advert));
        }
    }

    fn settle_view(&mut self) {
        let view = self.view();
        if view != self.shown {
            self.shown = view;
            self.out.push(Effect::ViewChanged);
        }
    }
}
