//! [`Domain`]: the two halves as one decision maker: hands each event and request to the right half,
//! merges effects and deadlines, owns the settings, and builds the [`View`].
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kiln_model::{
    Availability, AvailabilityReason, CloseReason, Confinement, ErrorCode, LinkId, LinkState, Mono,
    Now, Pairing, PairingView, Pause, Pin, Reply, Request, RequestError, Sentence, Settings, View,
    Wakefulness, WindowView, say,
};

use crate::availability::{Evaluator, Sleep, Stance};
use crate::peering::{self, Peering, Presence, Receiving, Taken};
use crate::work::{self, Work};
use crate::{ClientId, Deadline, Effect, Event, RequestId, Role, Session, Watching, settings};

/// How long a sleep waits for bundles that arrive and results that are fetched: a stock sender ends a
/// job as failed that loses its session then. logind waits 5 s for everybody (InhibitDelayMaxSec of logind.conf(5)); where the
/// system waits for less, the sessions end with it.
const LAST_TRANSFERS: Duration = Duration::from_secs(4);

/// How long nothing is heard of any sender before their sessions end. One that chose this computer makes
/// a bundle first and looks for the session then: a stock sender ends the job as failed if it is gone
/// (builds.md §4.4). It chooses a connected computer although that is not idle, and as soon as a job of
/// its queue is over. Bundles take some seconds, on a slow machine up to twenty.
const PARTING: Duration = Duration::from_secs(30);

/// How long after an absence began its senders are heard at most: time for a queue of a hundred jobs. One
/// that says something all the time does not keep a computer that is switched off or on battery awake.
const PARTED: Duration = Duration::from_secs(15 * 60);

/// Everything a node decides. Feed it [`Event`]s, perform its [`Effect`]s strictly in order, wake it
/// at its deadline. It never blocks, never fails and reads no clock.
#[derive(Debug)]
pub struct Domain {
    peering: Peering,
    work: Work,
    evaluator: Evaluator,
    settings: Settings,
    /// The settings as peering was told them.
    told: Option<Settings>,
    presence: Presence,
    watching: Watching,
    wakefulness: Wakefulness,
    /// Sessions that were told of a sleep and are not gone yet; `None`: no sleep comes, or it was said
    /// that it may.
    farewells: Option<BTreeSet<LinkId>>,
    /// Until when transfers may go on before a sleep; `None`: nobody waits for them.
    leaves_by: Option<Mono>,
    parting: Parting,
    /// Since when this computer is not there for its senders.
    absent_since: Option<Mono>,
    shown: Availability,
    confinement: Confinement,
    life: Life,
    effects: VecDeque<Effect>,
}

/// How far the sessions of senders are from their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// This computer is there for them, or one of them would lose something.
    Not,
    /// Nothing is heard of them; a bundle that one of them makes can come until then.
    Until(Mono),
    /// Nobody would lose anything, as far as anybody can know.
    Over,
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
        let evaluator = Evaluator::new();
        let mut work = Work::new(seed);
        // Nothing of others begins before something was read.
        work.lend(evaluator.lending(), Now::default());
        Self {
            peering: Peering::new(version, seed),
            work,
            shown: evaluator.availability(),
            evaluator,
            settings: Settings::default(),
            told: None,
            presence: Presence::Here,
            watching: Watching::Never,
            wakefulness: Wakefulness::AsSet,
            farewells: None,
            leaves_by: None,
            parting: Parting::Not,
            absent_since: None,
            confinement: Confinement::default(),
            life: Life::Running,
            effects: VecDeque::new(),
        }
    }

    /// Takes in something that happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        let closed = match &event {
            Event::Peering(peering::Event::Closed { link, .. }) => Some(*link),
            _ => None,
        };
        match event {
            Event::Requested {
                client,
                id,
                request,
            } => self.requested(client, id, &request, now),
            Event::ClientGone(client) => self.peering.client_gone(client, now),
            Event::ConfinementProved(confinement) => {
                self.confinement = confinement;
                self.tell_settings(now);
            }
            Event::SettingsLoaded(settings) => {
                self.settings = settings;
                self.tell_settings(now);
            }
            Event::AuditRead(id, reply) => self.reply(id, reply),
            Event::ShuttingDown => self.shut_down(now),
            Event::Sensed(inputs) => {
                if let Some(mib) = inputs.free_disk {
                    self.work.disk_free(mib, now);
                }
                self.evaluator.handle_inputs(*inputs, now);
            }
            Event::Slept(sleep) => {
                (self.farewells, self.leaves_by) = match sleep {
                    Sleep::Asleep { .. } => {
                        (Some(BTreeSet::new()), Some(now.mono + LAST_TRANSFERS))
                    }
                    Sleep::Awake => (None, None),
                };
                self.work.slept(sleep, now.mono);
                self.evaluator.handle_sleep(sleep, now);
                if sleep == Sleep::Awake && self.watching != Watching::Never {
                    // Everything is read anew now, and not when its turn comes.
                    self.effects.push_back(Effect::Watch(self.watching));
                }
            }
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
        // A session that its peer ended is said to be down just now.
        if let (Some(link), Some(left)) = (closed, &mut self.farewells)
            && left.remove(&link)
        {
            self.collect(now);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.leaves_by.take_if(|by| *by <= now.mono);
        self.evaluator.handle_timeout(now);
        self.peering.handle_timeout(now);
        self.collect(now);
        self.work.handle_timeout(now);
        self.collect(now);
    }

    /// Returns when to call [`Domain::handle_timeout`], and why.
    pub fn poll_timeout(&self) -> Option<(Mono, Deadline)> {
        let judged = self.evaluator.poll_timeout();
        let deadlines = [
            self.peering.poll_timeout(),
            self.work.poll_timeout(),
            judged.map(|at| (at, "Availability")),
            self.leaves_by.map(|at| (at, "Sleep")),
            match self.parting {
                Parting::Until(at) => Some((at, "Parting")),
                Parting::Not | Parting::Over => None,
            },
        ];
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

    /// Returns what this computer is lent to others now.
    pub fn availability(&self) -> Availability {
        self.evaluator.availability()
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
            availability: self.availability(),
            sandbox: self.confinement.clone(),
            listening: half.listening,
            window: window(half.window_until, now.mono),
            pairings: half.pairings.into_iter().map(pairing_view).collect(),
            peers: half.peers,
            pending: half.pending,
            alerts: half.alerts,
            discovered: half.discovered,
            jobs: self.work.jobs(),
            queue: self.work.queue_status(),
            storage: self.work.storage(),
            notices: half.notices.into_iter().chain(self.unboxed()).collect(),
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
            Request::Settings => self.reply(id, Reply::Settings(Box::new(self.settings.clone()))),
            Request::SetSettings(changes) => self.set_settings(id, changes, now),
            Request::Pause(snooze) => {
                let paused = self.evaluator.pause(*snooze, now.wall);
                self.pause(id, paused, now);
            }
            Request::Resume => self.pause(id, Pause::Off, now),
            Request::Audit(question) => {
                let read = Effect::ReadAudit(id, question.clone());
                self.effects.push_back(read);
            }
            Request::Shutdown => {
                self.reply(id, Reply::Done);
                self.shut_down(now);
            }
            Request::Devices
            | Request::Install { .. }
            | Request::Flash { .. }
            | Request::Compile { .. }
            | Request::Clean { .. }
            | Request::Jobs
            | Request::Job(_)
            | Request::Cancel(_)
            | Request::BuildHere(_)
            | Request::Environments
            | Request::NewestEnvironment
            | Request::InstallEnvironment(_)
            | Request::ResetEnvironment(_)
            | Request::SerialPorts
            | Request::Storage
            | Request::Reclaim => self.work.handle_request(id, request, now),
            // Answered by the half above.
            Request::RotateIdentity
            | Request::Preview(_)
            | Request::Pair { .. }
            | Request::Unpair(_)
            | Request::SetPairingEnabled(..)
            | Request::EditEndpoint(..)
            | Request::OpenWindow
            | Request::CloseWindow
            | Request::Approve(..)
            | Request::Reject(_)
            | Request::RemovePeer(_) => {}
        }
    }

    /// Returns whether builds for others may run here at all.
    fn receiving(&self) -> Receiving {
        if self.confinement.allows_receiving(self.settings.sandbox) {
            Receiving::Possible
        } else {
            Receiving::Impossible
        }
    }

    /// Says why this computer does not receive although it should, and how to allow it.
    fn unboxed(&self) -> Option<Sentence> {
        let wanted = self.settings.receiver || self.peering.is_headless();
        (wanted && self.receiving() == Receiving::Impossible).then(|| {
            let why = self.confinement.detail.trim_end_matches('.');
            say::not_boxed(why)
        })
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.effects.push_back(Effect::Reply(id, reply));
    }

    /// All values are checked before any is applied; what is applied is durable before it is said.
    fn set_settings(&mut self, id: RequestId, changes: &[(String, String)], now: Now) {
        match settings::changed(&self.settings, changes) {
            Ok(settings) => {
                self.apply(settings.clone(), now);
                self.reply(id, Reply::Settings(Box::new(settings)));
            }
            Err(error) => self.reply(id, Reply::Refused(error)),
        }
    }

    /// The owner's pause is a setting, so that it outlives a restart.
    fn pause(&mut self, id: RequestId, paused: Pause, now: Now) {
        let settings = Settings {
            paused,
            ..self.settings.clone()
        };
        self.apply(settings, now);
        self.reply(id, Reply::Done);
    }

    fn apply(&mut self, settings: Settings, now: Now) {
        if settings != self.settings {
            self.settings = settings.clone();
            let save = Effect::SaveSettings(Box::new(settings));
            self.effects.push_back(save);
            self.tell_settings(now);
            self.collect(now);
        }
    }

    /// Tells everybody. A receiver without a face receives whatever the settings say, but nobody
    /// receives without the box that is required. Jobs hear of
    /// it first: what a receiver that is switched off hands back is told before its sessions end.
    fn tell_settings(&mut self, now: Now) {
        let mut settings = self.settings.clone();
        let receiving = self.receiving();
        settings.receiver |= self.peering.is_headless();
        settings.receiver &= receiving == Receiving::Possible;
        self.evaluator.handle_settings(settings.clone(), now);
        let event = work::Event::SettingsChanged(settings);
        self.work.handle(event, now);
        self.collect_work();
        self.tell_peering(now);
    }

    /// A receiver that is switched off serves on until nobody would lose anything: a sender whose
    /// upload or download is cut shows its user a failed install (builds.md §4.4).
    fn tell_peering(&mut self, now: Now) {
        self.note_quiet(now);
        let was = self.told.as_ref().is_some_and(|told| told.receiver);
        let lingers = was && self.parting != Parting::Over;
        let settings = Settings {
            receiver: self.settings.receiver || lingers,
            ..self.settings.clone()
        };
        let turned = self.peering.set_receiving(self.receiving());
        if turned || self.told.as_ref() != Some(&settings) {
            self.told = Some(settings.clone());
            let event = peering::Event::SettingsChanged(settings);
            self.peering.handle(event, now);
        }
    }

    /// Notes since when nothing is heard of senders while this computer is not there for them.
    fn note_quiet(&mut self, now: Now) {
        if self.evaluator.lending().absence.is_none() {
            (self.absent_since, self.parting) = (None, Parting::Not);
            return;
        }
        let parted = *self.absent_since.get_or_insert(now.mono) + PARTED;
        self.parting = match self.parting {
            _ if !self.work.at_stake().is_empty() => Parting::Not,
            _ if self.work.senders().is_empty() || parted <= now.mono => Parting::Over,
            Parting::Not => Parting::Until(parted.min(now.mono + PARTING)),
            Parting::Until(at) if at <= now.mono => Parting::Over,
            known @ (Parting::Until(_) | Parting::Over) => known,
        };
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

    /// Takes the effects of both halves, and lets each know what the other has to act on.
    fn collect(&mut self, now: Now) {
        self.gather(now);
        if self.life == Life::Running {
            self.lend(now);
        }
    }

    /// Jobs hear first of what others are not lent any more: what is handed back is told before the
    /// sessions end.
    fn lend(&mut self, now: Now) {
        self.evaluator.handle_room(self.work.room(), now);
        let lending = self.evaluator.lending();
        self.note_quiet(now);
        self.work.lend(lending, now);
        self.gather(now);
        if self.told.is_some() {
            self.tell_peering(now);
            self.gather(now);
        }
        let why = lending.absence.map(|absence| absence.reason);
        let presence = match why {
            _ if lending.stance != Stance::Long => Presence::Here,
            // A receiver that is switched off leaves by its own way.
            Some(AvailabilityReason::UserOff) | None => Presence::Here,
            // Nobody can wait for a bundle: who chooses from now on is to build elsewhere.
            Some(AvailabilityReason::Sleeping) => Presence::Away(match self.leaves_by {
                Some(_) => &self.work.at_stake() & &self.work.senders(),
                None => BTreeSet::new(),
            }),
            Some(_) if self.parting == Parting::Over => Presence::Away(BTreeSet::new()),
            Some(_) => Presence::Here,
        };
        if presence != self.presence {
            self.presence = presence.clone();
            let event = peering::Event::PresenceChanged(presence);
            self.peering.handle(event, now);
            self.gather(now);
        }
        let watching = match why {
            // Also what goes on after receiving was switched off has to give way.
            _ if self.work.builds_for_others() => Watching::Fast,
            // A clean may wait packed on a disk that is short.
            Some(AvailabilityReason::UserOff) if self.parting == Parting::Over => Watching::Never,
            _ => Watching::Slow,
        };
        if watching != self.watching {
            self.watching = watching;
            self.effects.push_back(Effect::Watch(watching));
        }
        self.settle_sleep(why == Some(AvailabilityReason::Sleeping));
        let availability = self.evaluator.availability();
        if availability != self.shown {
            self.shown = availability;
            let changed = Effect::Work(work::Effect::ViewChanged);
            self.effects.push_back(changed);
        }
    }

    /// Lets a sleep come when its senders know, and holds it off while a build of others goes on.
    fn settle_sleep(&mut self, asleep: bool) {
        let told = self.farewells.as_ref().is_some_and(BTreeSet::is_empty);
        if asleep && told && self.presence == Presence::Away(BTreeSet::new()) {
            (self.farewells, self.leaves_by) = (None, None);
            self.effects.push_back(Effect::SleepMayCome);
        }
        let wakefulness = if self.work.goes_on_for_others() {
            self.evaluator.wakefulness()
        } else {
            Wakefulness::AsSet
        };
        if wakefulness != self.wakefulness {
            self.wakefulness = wakefulness;
            self.effects.push_back(Effect::Hold(wakefulness));
        }
    }

    fn gather(&mut self, now: Now) {
        while let Some(effect) = self.peering.poll_effect() {
            let next = Next::of(&effect);
            self.effects.push_back(effect);
            match next {
                Next::Nothing => continue,
                Next::SessionUp(session) => {
                    if matches!(session.role, Role::Receiver { .. }) {
                        // Its jobs may have waited for this computer.
                        self.parting = Parting::Not;
                    }
                    self.work.session_up(&session, now);
                }
                Next::SessionDown(link, pin, why) => {
                    if let Some(left) = &mut self.farewells {
                        left.insert(link);
                    }
                    self.work.session_down(link, pin, &why, now);
                }
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
    SessionUp(Session),
    SessionDown(LinkId, Pin, CloseReason),
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
            peering::Effect::SessionDown { link, pin, why } => {
                Self::SessionDown(*link, *pin, why.clone())
            }
            peering::Effect::ForgetPeer(_, Some(pin)) => Self::OffloaderForgotten(*pin),
            peering::Effect::PairingsChanged => Self::PairingsChanged,
            peering::Effect::Listen
            | peering::Effect::StopListening
            | peering::Effect::Advertise(_)
            | peering::Effect::Answer { .. }
            | peering::Effect::Dial { .. }
            | peering::Effect::Close { .. }
            | peering::Effect::SavePeer(_)
            | peering::Effect::ForgetPeer(_, None)
            | peering::Effect::SavePairing(_)
            | peering::Effect::ForgetPairing(_)
            | peering::Effect::RotateIdentity
            | peering::Effect::Record(_)
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
        message: say::starting_without_identity(),
        hint: say::hint_moment_or_log(),
    }
}

#[cfg(test)]
mod tests;
