//! [`Domain`]: the two halves as one decision maker: hands each event and request to the right half,
//! merges effects and deadlines, owns the settings, and builds the [`View`].
use std::collections::VecDeque;

use kiln_model::{
    ErrorCode, LinkId, LinkState, Mono, Now, Pairing, PairingView, Pin, Reply, Request,
    RequestError, Settings, View, WindowView,
};

use crate::peering::{self, Peering, Taken};
use crate::work::{self, Work};
use crate::{ClientId, Deadline, Effect, Event, RequestId, settings};

/// Everything a node decides. Feed it [`Event`]s, perform its [`Effect`]s strictly in order, wake it
/// at its deadline. It never blocks, never fails and reads no clock.
#[derive(Debug)]
pub struct Domain {
    peering: Peering,
    work: Work,
    settings: Settings,
    life: Life,
    effects: VecDeque<Effect>,
}

#[derive(Debug, PartialEq, Eq)]
enum Life {
    Running,
    Stopping,
}

impl Domain {
    /// Makes a node at rest. `version` is Kiln's own; `seed` has to differ between processes: waits,
    /// job ids and wire ids come from it.
    pub fn new(version: impl Into<String>, seed: u64) -> Self {
        Self {
            peering: Peering::new(version, seed),
            work: Work::new(seed),
            settings: Settings::default(),
            life: Life::Running,
            effects: VecDeque::new(),
        }
    }

    /// Takes in something that happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::Requested {
                client,
                id,
                request,
            } => self.requested(client, id, &request, now),
            Event::ClientGone(client) => self.peering.client_gone(client, now),
            Event::SettingsLoaded(settings) => {
                self.settings = settings;
                self.tell_settings(now);
            }
            Event::ShuttingDown => self.shut_down(now),
            Event::Peering(event) => {
                let armed = matches!(event, peering::Event::BootstrapArmed { .. });
                self.peering.handle(event, now);
                if armed {
                    self.tell_settings(now);
                }
            }
            Event::Work(event) => self.work.handle(event, now),
        }
        self.collect(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.peering.handle_timeout(now);
        self.collect(now);
        self.work.handle_timeout(now);
        self.collect(now);
    }

    /// Returns when to call [`Domain::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Mono, Deadline)> {
        let deadlines = [self.peering.poll_timeout(), self.work.poll_timeout()];
        deadlines.into_iter().flatten().min()
    }

    /// Returns the next thing to do; to be performed in this order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns the half that knows about jobs, for what passes by the events: logs and output.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Returns the settings in use.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns everything that faces show; `None` until the identity is loaded.
    pub fn view(&self, now: Now) -> Option<View> {
        let half = self.peering.view()?;
        let pairing_view = |(pairing, link): (Pairing, LinkState)| PairingView {
            queue: match link {
                LinkState::Connected => self.work.receiver_queue(&pairing.pin),
                LinkState::Connecting(_) | LinkState::Orphaned | LinkState::AwaitingApproval => {
                    None
                }
            },
            pairing,
            link,
        };
        Some(View {
            identity: half.identity,
            availability: self.work.availability(),
            listening: half.listening,
            window: window(half.window_until, now.mono),
            pairings: half.pairings.into_iter().map(pairing_view).collect(),
            peers: half.peers,
            pending: half.pending,
            alerts: half.alerts,
            discovered: half.discovered,
            jobs: self.work.jobs(),
            queue: self.work.queue_status(),
            notices: half.notices,
            at: now.wall,
            own_label: half.own_label,
        })
    }

    fn requested(&mut self, client: ClientId, id: RequestId, request: &Request, now: Now) {
        match self.peering.handle_request(client, id, request, now) {
            Taken::Mine => return,
            Taken::NotMine => {}
        }
        match request {
            Request::Status => {
                let reply = match self.view(now) {
                    Some(view) => Reply::Status(Box::new(view)),
                    None => Reply::Refused(still_starting()),
                };
                self.reply(id, reply);
            }
            Request::Settings => self.reply(id, Reply::Settings(self.settings.clone())),
            Request::SetSettings(changes) => self.set_settings(id, changes, now),
            Request::Shutdown => {
                self.reply(id, Reply::Done);
                self.shut_down(now);
            }
            Request::Devices
            | Request::Install { .. }
            | Request::Compile { .. }
            | Request::Clean { .. }
            | Request::Jobs
            | Request::Job(_)
            | Request::Cancel(_)
            | Request::BuildHere(_)
            | Request::Environments
            | Request::InstallEnvironment(_)
            | Request::ResetEnvironment(_) => self.work.handle_request(client, id, request, now),
            // Answered by the half above.
            Request::RotateIdentity
            | Request::Preview(_)
            | Request::Pair { .. }
            | Request::Unpair(_)
            | Request::SetPairingEnabled(..)
            | Request::EditEndpoint(..)
            | Request::OpenWindow
            | Request::CloseWindow
            | Request::Approve(_)
            | Request::Reject(_)
            | Request::RemovePeer(_) => {}
        }
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.effects.push_back(Effect::Reply(id, reply));
    }

    /// All values are checked before any is applied; what is applied is durable before it is said.
    fn set_settings(&mut self, id: RequestId, changes: &[(String, String)], now: Now) {
        match settings::changed(&self.settings, changes) {
            Ok(settings) => {
                if settings != self.settings {
                    self.settings = settings.clone();
                    let save = Effect::SaveSettings(Box::new(settings.clone()));
                    self.effects.push_back(save);
                    self.tell_settings(now);
                    self.collect(now);
                }
                self.reply(id, Reply::Settings(settings));
            }
            Err(error) => self.reply(id, Reply::Refused(error)),
        }
    }

    /// Tells both halves. A receiver without a face receives whatever the settings say.
    fn tell_settings(&mut self, now: Now) {
        let mut settings = self.settings.clone();
        let event = peering::Event::SettingsChanged(settings.clone());
        self.peering.handle(event, now);
        settings.receiver |= self.peering.is_headless();
        let event = work::Event::SettingsChanged(settings);
        self.work.handle(event, now);
    }

    /// Jobs hear of it first, so that the end of the sessions ends none of them as cancelled.
    fn shut_down(&mut self, now: Now) {
        if self.life == Life::Stopping {
            return;
        }
        self.life = Life::Stopping;
        self.work.handle(work::Event::ShuttingDown, now);
        self.collect(now);
        self.peering.shut_down(now);
        self.collect(now);
        self.effects.push_back(Effect::ShutDown);
    }

    /// Takes the effects of both halves, and lets the jobs know what became of the links on the way.
    fn collect(&mut self, now: Now) {
        while let Some(effect) = self.peering.poll_effect() {
            let next = Next::of(&effect);
            self.effects.push_back(effect);
            match next {
                Next::Nothing => continue,
                Next::SessionUp(session) => self.work.session_up(&session, now),
                Next::SessionDown(link, pin) => self.work.session_down(link, pin, now),
                Next::OffloaderForgotten(pin) => self.work.offloader_forgotten(pin, now),
                Next::PairingsChanged => {
                    let pairings: Vec<Pairing> =
                        self.peering.pairings().map(|(p, _)| p.clone()).collect();
                    self.work.pairings_changed(&pairings, now);
                }
            }
            self.collect_work();
        }
        self.collect_work();
    }

    fn collect_work(&mut self) {
        while let Some(effect) = self.work.poll_effect() {
            self.effects.push_back(effect);
        }
    }
}

/// What an effect of one half means to the other.
enum Next {
    Nothing,
    SessionUp(peering::Session),
    SessionDown(LinkId, Pin),
    OffloaderForgotten(Pin),
    PairingsChanged,
}

impl Next {
    fn of(effect: &Effect) -> Self {
        let Effect::Peering(effect) = effect else {
            return Self::Nothing;
        };
        match effect {
            peering::Effect::SessionUp(session) => Self::SessionUp(session.clone()),
            peering::Effect::SessionDown { link, pin } => Self::SessionDown(*link, *pin),
            peering::Effect::ForgetPeer(_, pin) => Self::OffloaderForgotten(*pin),
            peering::Effect::PairingsChanged => Self::PairingsChanged,
            peering::Effect::Listen
            | peering::Effect::StopListening
            | peering::Effect::Advertise(_)
            | peering::Effect::Answer { .. }
            | peering::Effect::Dial { .. }
            | peering::Effect::Close { .. }
            | peering::Effect::SavePeer(_)
            | peering::Effect::SavePairing(_)
            | peering::Effect::ForgetPairing(_)
            | peering::Effect::RotateIdentity
            | peering::Effect::BootstrapLapsed
            | peering::Effect::BootstrapFailed(_)
            | peering::Effect::ViewChanged => Self::Nothing,
        }
    }
}

fn window(until: Option<Mono>, now: Mono) -> WindowView {
    match until.map(|until| until.since(now)) {
        Some(left) if !left.is_zero() => WindowView::Open {
            seconds_left: left
                .as_millis()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(u64::MAX),
        },
        Some(_) | None => WindowView::Closed,
    }
}

fn still_starting() -> RequestError {
    RequestError {
        code: ErrorCode::Unavailable,
        message: "Kiln is still starting: its identity is not loaded.".to_owned(),
        hint: "Try again in a moment; if it stays so, read the log of kiln serve.".to_owned(),
    }
}
