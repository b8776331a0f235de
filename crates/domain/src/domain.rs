//! [`Domain`]: the two halves as one decision maker: hands each event and request to the right half,
//! merges effects and deadlines, owns the settings, and builds the [`View`].
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kiln_model::{
    Availability, AvailabilityReason, Confinement, ErrorCode, LinkId, LinkState, Mono, Now,
    Pairing, PairingView, Pause, Pin, Reply, Request, RequestError, Sentence, Settings, View,
    Wakefulness, WindowView, say,
};

use crate::availability::{Evaluator, Sleep, Stance};
use crate::peering::{self, Guests, Peering, Presence, Taken};
use crate::work::{self, Work};
use crate::{ClientId, Deadline, Effect, Event, Pace, RequestId, settings};

/// How long a sleep waits for bundles that arrive and results that are fetched: a stock sender ends a
/// job as failed that loses its session then. logind waits 5 s for everybody (InhibitDelayMaxSec of logind.conf(5)); where the
/// system waits for less, the sessions end with it.
const LAST_TRANSFERS: Duration = Duration::from_secs(4);

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
    pace: Pace,
    wakefulness: Wakefulness,
    /// Sessions that were told of a sleep and are not gone yet; `None`: no sleep comes, or it was said
    /// that it may.
    farewells: Option<BTreeSet<LinkId>>,
    /// Until when transfers may go on before a sleep; `None`: nobody waits for them.
    leaves_by: Option<Mono>,
    shown: Availability,
    confinement: Confinement,
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
        let evaluator = Evaluator::new();
        Self {
            peering: Peering::new(version, seed),
            work: Work::new(seed),
            shown: evaluator.availability(),
            evaluator,
            settings: Settings::default(),
            told: None,
            presence: Presence::Here,
            pace: Pace::Never,
            wakefulness: Wakefulness::AsSet,
            farewells: None,
            leaves_by: None,
            confinement: Confinement::default(),
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
                    Sleep::Asleep => (Some(BTreeSet::new()), Some(now.mono + LAST_TRANSFERS)),
                    Sleep::Awake => (None, None),
                };
                self.evaluator.handle_sleep(sleep, now);
                if sleep == Sleep::Awake && self.pace != Pace::Never {
                    // Everything is read anew now, and not when its turn comes.
                    self.effects.push_back(Effect::Watch(self.pace));
                }
            }
            Event::Peering(event) => {
                if let (peering::Event::Closed { link, .. }, Some(left)) =
                    (&event, &mut self.farewells)
                {
                    left.remove(link);
                }
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
            storage: self.work.storage(now.wall),
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
            | Request::Reclaim => self.work.handle_request(client, id, request, now),
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
    fn guests(&self) -> Guests {
        if self.confinement.allows_receiving(self.settings.sandbox) {
            Guests::Welcome
        } else {
            Guests::Refused
        }
    }

    /// Says why this computer does not receive although it should, and how to allow it.
    fn unboxed(&self) -> Option<Sentence> {
        let wanted = self.settings.receiver || self.peering.is_headless();
        (wanted && self.guests() == Guests::Refused).then(|| {
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
        let guests = self.guests();
        settings.receiver |= self.peering.is_headless();
        settings.receiver &= guests == Guests::Welcome;
        self.evaluator.handle_settings(settings.clone(), now);
        let event = work::Event::SettingsChanged(settings);
        self.work.handle(event, now);
        self.collect_work();
        self.tell_peering(now);
    }

    /// A receiver that is switched off serves on until nobody would lose anything: a sender whose
    /// upload or download is cut shows its user a failed install (builds.md §4.4).
    fn tell_peering(&mut self, now: Now) {
        let was = self.told.as_ref().is_some_and(|told| told.receiver);
        let lingers = was && !self.work.is_done_with_others();
        let settings = Settings {
            receiver: self.settings.receiver || lingers,
            ..self.settings.clone()
        };
        let turned = self.peering.set_guests(self.guests());
        if turned || self.told.as_ref() != Some(&settings) {
            self.told = Some(settings.clone());
            let event = peering::Event::SettingsChanged(settings);
            self.peering.handle(event, now);
        }
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
        self.work.lend(lending, now);
        self.gather(now);
        if self.told.is_some() {
            self.tell_peering(now);
            self.gather(now);
        }
        let why = lending.absence.map(|absence| absence.reason);
        // A receiver that is switched off leaves by its own way.
        let may_leave = match why {
            Some(AvailabilityReason::UserOff) => false,
            Some(AvailabilityReason::Sleeping) => {
                self.leaves_by.is_none() || !self.work.is_transferring()
            }
            Some(_) | None => self.work.is_done_with_others(),
        };
        let leaves = lending.stance == Stance::Long && may_leave;
        let presence = if leaves {
            Presence::Away
        } else {
            Presence::Here
        };
        if presence != self.presence {
            self.presence = presence;
            let event = peering::Event::PresenceChanged(presence);
            self.peering.handle(event, now);
            self.gather(now);
        }
        let pace = match why {
            Some(AvailabilityReason::UserOff) => Pace::Never,
            _ if self.work.builds_for_others() => Pace::Fast,
            _ => Pace::Slow,
        };
        if pace != self.pace {
            self.pace = pace;
            self.effects.push_back(Effect::Watch(pace));
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
        if asleep && told && self.presence == Presence::Away {
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
                Next::SessionUp(session) => self.work.session_up(&session, now),
                Next::SessionDown(link, pin) => {
                    if let Some(left) = &mut self.farewells {
                        left.insert(link);
                    }
                    self.work.session_down(link, pin, now);
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
            peering::Effect::SessionDown { link, pin, .. } => Self::SessionDown(*link, *pin),
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
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use kiln_model::{
        BuildChoice, Endpoint, Hello, JobId, Label, LinkIntent, Message, PairingKey, Peer, Port,
        PublicKey, Tier, Timestamp,
    };

    use super::*;

    const CLIENT: ClientId = ClientId(1);
    const PIN: Pin = Pin([1; 32]);

    fn endpoint() -> Endpoint {
        "receiver.example".parse().unwrap()
    }

    fn offloader() -> Peer {
        Peer {
            dashboard_id: "dashboard-1".parse().unwrap(),
            pin: PIN,
            public_key: PublicKey([1; 32]),
            label: Label::clipped("kitchen"),
            label_auto: false,
            paired_at: Timestamp(1),
            peer_ip: None,
            connect_back_port: None,
            friendly_name: Default::default(),
            ha_addon: false,
        }
    }

    fn proved(tier: Tier) -> Event {
        let detail = "as a test says".to_owned();
        Event::ConfinementProved(Confinement { tier, detail })
    }

    /// A node that is up, as a receiver for one offloader.
    fn node() -> Domain {
        let mut domain = Domain::new("0.1.0", 7);
        let settings = Settings {
            receiver: true,
            ..Settings::default()
        };
        tell(&mut domain, proved(Tier::Confined));
        tell(&mut domain, Event::SettingsLoaded(settings));
        tell(&mut domain, Event::Work(work::Event::Loaded(Vec::new())));
        let rows = peering::Event::Loaded(vec![offloader()], Vec::new());
        tell(&mut domain, Event::Peering(rows));
        tell(&mut domain, Event::Peering(identity()));
        let bound = peering::Event::Listening { port: 6055 };
        tell(&mut domain, Event::Peering(bound));
        domain
    }

    fn identity() -> peering::Event {
        peering::Event::IdentityLoaded {
            pin: Pin([200; 32]),
            public_key: PublicKey([200; 32]),
            dashboard_id: "own".parse().unwrap(),
        }
    }

    fn knock(link: u64) -> Event {
        Event::Peering(peering::Event::Knocked {
            link: LinkId(link),
            intent: Some(LinkIntent::PeerLink),
            public_key: PublicKey([1; 32]),
            pin: PIN,
            hello: Hello {
                dashboard_id: Some("dashboard-1".parse().unwrap()),
                ..Hello::default()
            },
            source: IpAddr::from([192, 0, 2, 1]),
        })
    }

    fn tell(domain: &mut Domain, event: Event) -> Vec<Effect> {
        domain.handle(event, Now::default());
        std::iter::from_fn(|| domain.poll_effect()).collect()
    }

    fn ask(domain: &mut Domain, request: Request) -> Vec<Effect> {
        let id = RequestId(9);
        let event = Event::Requested {
            client: CLIENT,
            id,
            request,
        };
        tell(domain, event)
    }

    fn replies(effects: &[Effect]) -> Vec<&Reply> {
        let reply = |effect| match effect {
            &Effect::Reply(RequestId(9), ref reply) => Some(reply),
            _ => None,
        };
        effects.iter().filter_map(reply).collect()
    }

    fn set(changes: &[(&str, &str)]) -> Request {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Request::SetSettings(changes.iter().map(owned).collect())
    }

    #[test]
    fn settings_are_durable_and_in_use_before_they_are_confirmed() {
        let mut domain = node();
        let effects = ask(&mut domain, set(&[("receiver", "off")]));
        assert!(matches!(effects.first(), Some(Effect::SaveSettings(s)) if !s.receiver));
        let stops = |e: &Effect| matches!(e, Effect::Peering(peering::Effect::StopListening));
        assert!(effects.iter().any(stops));
        assert!(
            matches!(effects.last(), Some(Effect::Reply(_, Reply::Settings(s))) if !s.receiver)
        );
        let view = domain.view(Now::default()).unwrap();
        assert_eq!(view.availability.reason, AvailabilityReason::UserOff);
        let again = ask(&mut domain, set(&[("receiver", "off")]));
        assert_eq!(again.len(), 1, "nothing to save");
    }

    // Covers: M104
    #[test]
    fn one_bad_setting_leaves_all_unchanged() {
        let mut domain = node();
        let before = domain.settings().clone();
        let effects = ask(
            &mut domain,
            set(&[("receiver", "off"), ("listen_port", "x")]),
        );
        let [Effect::Reply(_, Reply::Refused(error))] = &effects[..] else {
            panic!("not just refused: {effects:?}");
        };
        assert_eq!(error.code, ErrorCode::InvalidArgs);
        assert_eq!(domain.settings(), &before);
    }

    //
    #[test]
    fn a_new_session_is_told_the_queue_status_right_after_it_was_let_in() {
        let effects = tell(&mut node(), knock(1));
        let answered = effects
            .iter()
            .position(|e| matches!(e, Effect::Peering(peering::Effect::Answer { .. })));
        let told = effects.iter().position(|e| {
            matches!(
                e,
                Effect::Work(work::Effect::Send(LinkId(1), Message::QueueStatus(_)))
            )
        });
        assert!(answered.is_some() && answered < told);
    }

    #[test]
    fn nothing_is_sent_on_a_session_after_it_ended() {
        let mut domain = node();
        tell(&mut domain, knock(1));
        let gone = Request::RemovePeer(offloader().dashboard_id);
        let effects = ask(&mut domain, gone);
        let closed = effects
            .iter()
            .position(|e| matches!(e, Effect::Peering(peering::Effect::Close { .. })));
        let sent = effects
            .iter()
            .rposition(|e| matches!(e, Effect::Work(work::Effect::Send(..))));
        assert!(closed.is_some() && sent < closed);
    }

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono(Duration::from_secs(seconds)),
            wall: Timestamp(1_790_000_000_000_000 + i64::try_from(seconds).unwrap() * 1_000_000),
        }
    }

    fn tell_at(domain: &mut Domain, event: Event, seconds: u64) -> Vec<Effect> {
        domain.handle(event, at(seconds));
        std::iter::from_fn(|| domain.poll_effect()).collect()
    }

    /// Lets time pass from one moment to another.
    fn pass(domain: &mut Domain, until: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some((due, _)) = domain
            .poll_timeout()
            .filter(|(due, _)| *due <= at(until).mono)
        {
            let seconds = due.0.as_secs() + u64::from(due.0.subsec_nanos() > 0);
            domain.handle_timeout(at(seconds));
            effects.extend(std::iter::from_fn(|| domain.poll_effect()));
        }
        effects
    }

    fn sensed(idle_seconds: u64) -> Event {
        Event::Sensed(Box::new(kiln_model::Inputs {
            idle: Some(Duration::from_secs(idle_seconds)),
            ..Default::default()
        }))
    }

    fn is_peering(effect: &Effect, fits: fn(&peering::Effect) -> bool) -> bool {
        matches!(effect, Effect::Peering(effect) if fits(effect))
    }

    fn advertises_receiver(effect: &peering::Effect) -> bool {
        matches!(effect, peering::Effect::Advertise(advert) if advert.receiver.is_some())
    }

    #[test]
    fn a_lasting_absence_ends_sessions_and_listening_and_a_return_begins_again() {
        let mut domain = node();
        tell(&mut domain, knock(1));
        let effects = tell_at(&mut domain, sensed(1), 1_000);
        let stops = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::StopListening));
        assert!(!effects.iter().any(stops), "a short absence is sat out");
        let effects = pass(&mut domain, 1_119);
        assert!(!effects.iter().any(stops));
        let effects = pass(&mut domain, 1_121);
        let farewell = effects.iter().position(|e| {
            is_peering(e, |e| {
                matches!(e, peering::Effect::Close { terminate: Some(reason), .. }
                    if *reason == kiln_model::TerminateReason::ServerShuttingDown)
            })
        });
        let stopped = effects.iter().position(stops);
        assert!(farewell.is_some() && farewell < stopped, "{effects:?}");
        let closed = Event::Peering(peering::Event::ListenerClosed);
        let effects = tell_at(&mut domain, closed, 1_122);
        let adverts = |e: &Effect| is_peering(e, advertises_receiver);
        assert!(!effects.iter().any(adverts));
        assert_eq!(domain.view(at(1_122)).unwrap().listening, None);
        tell_at(&mut domain, sensed(180), 1_300);
        let effects = pass(&mut domain, 1_330);
        let listens = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::Listen));
        assert!(effects.iter().any(listens), "{effects:?}");
        let bound = Event::Peering(peering::Event::Listening { port: 6055 });
        assert!(tell_at(&mut domain, bound, 1_331).iter().any(adverts));
    }

    #[test]
    fn who_waits_for_somebody_to_pair_with_is_there_although_the_owner_is() {
        let mut domain = node();
        tell_at(&mut domain, sensed(1), 1_000);
        pass(&mut domain, 1_200);
        let closed = Event::Peering(peering::Event::ListenerClosed);
        tell_at(&mut domain, closed, 1_200);
        let open = Event::Requested {
            client: CLIENT,
            id: RequestId(9),
            request: Request::OpenWindow,
        };
        let effects = tell_at(&mut domain, open, 1_201);
        assert!(matches!(replies(&effects)[..], [Reply::Done]));
        let listens = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::Listen));
        assert!(effects.iter().any(listens), "{effects:?}");
    }

    #[test]
    fn a_pause_is_kept_before_it_is_confirmed_and_ends_sessions_at_once() {
        let mut domain = node();
        tell(&mut domain, knock(1));
        let effects = ask(&mut domain, Request::Pause(kiln_model::Snooze::TwoHours));
        assert!(matches!(effects.first(), Some(Effect::SaveSettings(s)) if s.paused != Pause::Off));
        let stops = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::StopListening));
        assert!(effects.iter().any(stops));
        assert!(matches!(
            effects.last(),
            Some(Effect::Reply(_, Reply::Done))
        ));
        ask(&mut domain, Request::Resume);
        assert!(domain.view(Now::default()).unwrap().availability.is_open());
    }

    #[test]
    fn a_sleep_waits_until_the_senders_were_told_and_the_node_is_back_after_it() {
        let mut domain = node();
        tell_at(&mut domain, sensed(1_000), 1_000);
        tell_at(&mut domain, knock(1), 1_000);
        let effects = tell_at(&mut domain, Event::Slept(Sleep::Asleep), 1_001);
        let stops = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::StopListening));
        assert!(effects.iter().any(stops));
        let ready = |e: &Effect| matches!(e, Effect::SleepMayCome);
        assert!(
            !effects.iter().any(ready),
            "its farewell is still under way"
        );
        let gone = Event::Peering(peering::Event::Closed {
            link: LinkId(1),
            reason: kiln_model::CloseReason::PeerHungUp,
        });
        assert!(tell_at(&mut domain, gone, 1_001).iter().any(ready));
        let closed = Event::Peering(peering::Event::ListenerClosed);
        assert!(
            !tell_at(&mut domain, closed, 1_002).iter().any(ready),
            "once is enough"
        );
        let effects = tell_at(&mut domain, Event::Slept(Sleep::Awake), 30_000);
        let reads = |e: &Effect| matches!(e, Effect::Watch(Pace::Slow));
        assert!(effects.iter().any(reads), "{effects:?}");
        let effects = tell_at(&mut domain, sensed(29_000), 30_000);
        let listens = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::Listen));
        assert!(effects.iter().any(listens), "{effects:?}");
    }

    #[test]
    fn a_sleep_waits_for_a_bundle_that_arrives_and_not_for_ever() {
        let leaves = |e: &Effect| is_peering(e, |e| matches!(e, peering::Effect::StopListening));
        let wire = || kiln_model::WireJobId("a".to_owned());
        let begin = || {
            let mut domain = node();
            tell_at(&mut domain, sensed(1_000), 1_000);
            tell_at(&mut domain, knock(1), 1_000);
            let arrives = work::Event::SubmissionStarted(LinkId(1), wire());
            tell_at(&mut domain, Event::Work(arrives), 1_000);
            let effects = tell_at(&mut domain, Event::Slept(Sleep::Asleep), 1_001);
            assert!(!effects.iter().any(leaves), "it is still arriving");
            domain
        };
        let mut domain = begin();
        let dropped = work::Event::SubmissionDropped(LinkId(1), wire());
        let effects = tell_at(&mut domain, Event::Work(dropped), 1_002);
        assert!(effects.iter().any(leaves), "nothing arrives any more");
        let mut domain = begin();
        assert!(!pass(&mut domain, 1_004).iter().any(leaves));
        assert!(pass(&mut domain, 1_005).iter().any(leaves));
    }

    #[test]
    fn a_headless_machine_of_which_nothing_can_be_read_stays_open() {
        let mut domain = node();
        let nothing = Event::Sensed(Box::default());
        tell_at(&mut domain, nothing, 1_000);
        pass(&mut domain, 100_000);
        let view = domain.view(at(100_000)).unwrap();
        assert!(view.availability.is_open());
        assert_eq!(view.listening, Some(6055));
    }

    #[test]
    fn the_status_is_refused_until_the_identity_is_loaded() {
        let mut domain = Domain::new("0.1.0", 7);
        let effects = ask(&mut domain, Request::Status);
        let [Reply::Refused(error)] = replies(&effects)[..] else {
            panic!("not refused: {effects:?}");
        };
        assert_eq!(error.code, ErrorCode::Unavailable);
        tell(&mut domain, Event::Peering(identity()));
        let effects = ask(&mut domain, Request::Status);
        assert!(matches!(&effects[..], [Effect::Reply(_, Reply::Status(_))]));
    }

    #[test]
    fn the_window_is_shown_with_the_seconds_that_are_left() {
        let mut domain = node();
        ask(&mut domain, Request::OpenWindow);
        let mut now = Now::default();
        let shown = |domain: &Domain, now| domain.view(now).unwrap().window;
        assert_eq!(shown(&domain, now), WindowView::Open { seconds_left: 300 });
        now.mono = Mono(Duration::from_millis(299_001));
        assert_eq!(shown(&domain, now), WindowView::Open { seconds_left: 1 });
        now.mono = Mono(Duration::from_secs(300));
        assert_eq!(shown(&domain, now), WindowView::Closed);
    }

    // Covers: O-34
    #[test]
    fn stopping_tells_the_peers_and_ends_the_node_once() {
        let mut domain = node();
        tell(&mut domain, knock(1));
        let effects = ask(&mut domain, Request::Shutdown);
        assert_eq!(replies(&effects), [&Reply::Done]);
        let told = |e: &Effect| {
            matches!(
                e,
                Effect::Peering(peering::Effect::Close {
                    terminate: Some(_),
                    ..
                })
            )
        };
        assert!(effects.iter().any(told));
        assert!(matches!(effects.last(), Some(Effect::ShutDown)));
        let effects = tell(&mut domain, Event::ShuttingDown);
        assert!(effects.is_empty());
    }

    #[test]
    fn without_the_required_box_nobody_is_received_and_the_owner_reads_why() {
        let mut domain = node();
        let view = |domain: &Domain| domain.view(Now::default()).unwrap();
        assert!(view(&domain).availability.is_open());
        assert!(view(&domain).notices.is_empty());
        let effects = tell(&mut domain, proved(Tier::Open));
        let stops = |e: &Effect| matches!(e, Effect::Peering(peering::Effect::StopListening));
        assert!(effects.iter().any(stops), "{effects:?}");
        let seen = view(&domain);
        assert!(!seen.availability.is_open());
        assert!(seen.notices[0].contains("kiln settings set sandbox best_effort"));
        let allow = vec![("sandbox".to_owned(), "best_effort".to_owned())];
        ask(&mut domain, Request::SetSettings(allow));
        let seen = view(&domain);
        assert!(seen.availability.is_open());
        assert_eq!((seen.notices.len(), seen.sandbox.tier), (0, Tier::Open));
    }

    #[test]
    fn a_headless_receiver_builds_whatever_the_setting_says_but_in_a_box() {
        let mut domain = Domain::new("0.1.0", 7);
        tell(&mut domain, proved(Tier::Boxed));
        tell(
            &mut domain,
            Event::SettingsLoaded(Settings {
                receiver: false,
                ..Settings::default()
            }),
        );
        tell(&mut domain, Event::Peering(identity()));
        let armed = peering::Event::BootstrapArmed {
            key: PairingKey::from_random(1),
            sources: Vec::new(),
        };
        tell(&mut domain, Event::Peering(armed));
        let view = domain.view(Now::default()).unwrap();
        assert!(view.availability.is_open());
        assert!(!domain.settings().receiver, "the setting itself stays");
        tell(&mut domain, proved(Tier::Open));
        let view = domain.view(Now::default()).unwrap();
        assert!(!view.availability.is_open());
    }

    #[test]
    fn the_earliest_deadline_of_both_halves_counts() {
        let mut domain = node();
        let work = domain.work.poll_timeout();
        assert_eq!(domain.poll_timeout(), work);
        ask(&mut domain, Request::OpenWindow);
        let both = [domain.peering.poll_timeout(), domain.work.poll_timeout()];
        let earliest = both.into_iter().flatten().min();
        assert!(earliest.is_some());
        assert_eq!(domain.poll_timeout(), earliest);
    }

    #[test]
    fn every_request_is_answered_once_or_waits_for_a_dial() {
        let id = || offloader().dashboard_id;
        let device = || "kitchen".to_owned();
        let pair = Request::Pair {
            endpoint: endpoint(),
            pin: PIN,
            pairing_key: None,
            label: Label::default(),
        };
        let install = Request::Install {
            device: device(),
            build: BuildChoice::Auto,
            port: Port::Ota,
        };
        let compile = Request::Compile {
            device: device(),
            build: BuildChoice::Auto,
        };
        let job = || JobId::from_random(1);
        let at_once = [
            Request::Status,
            Request::Unpair(PIN),
            Request::SetPairingEnabled(PIN, true),
            Request::EditEndpoint(PIN, endpoint()),
            Request::OpenWindow,
            Request::CloseWindow,
            Request::Approve(id(), None),
            Request::Reject(id()),
            Request::RemovePeer(id()),
            Request::Devices,
            install,
            compile,
            Request::Clean { device: device() },
            Request::Jobs,
            Request::Job(job()),
            Request::Cancel(job()),
            Request::BuildHere(job()),
            Request::Environments,
            Request::ResetEnvironment(Some(PIN)),
            Request::Settings,
            set(&[]),
            Request::Shutdown,
        ];
        for request in at_once {
            let mut domain = node();
            let mut effects = ask(&mut domain, request.clone());
            let scan = |e: &Effect| matches!(e, Effect::Work(work::Effect::ScanDevices));
            if effects.iter().any(scan) {
                let scanned = work::Event::DevicesScanned(Vec::new());
                effects.extend(tell(&mut domain, Event::Work(scanned)));
            }
            assert_eq!(replies(&effects).len(), 1, "{request:?}");
        }
        for request in [Request::Preview(endpoint()), pair] {
            let effects = ask(&mut node(), request.clone());
            assert_eq!(replies(&effects).len(), 0, "{request:?}");
            let dial = |e: &Effect| matches!(e, Effect::Peering(peering::Effect::Dial { .. }));
            assert!(effects.iter().any(dial), "{request:?}");
        }
        let effects = ask(&mut node(), Request::RotateIdentity);
        let stops = |e: &Effect| matches!(e, Effect::Peering(peering::Effect::StopListening));
        assert!(replies(&effects).is_empty() && effects.iter().any(stops));
    }
}
