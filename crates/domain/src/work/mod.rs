//! Jobs: what is built where, in which order, and what became of it.
//!
//! [`Work`] holds what all of it shares and hands every event to the part that it is for. Each part
//! has a file of its own.

pub mod build_path;
#[cfg(test)]
mod chaos;
mod devices;
mod dispatch;
mod effect;
mod event;
#[cfg(test)]
mod fixtures;
mod housekeeping;
mod ids;
mod install;
mod jobs;
mod lane;
mod ledger;
mod links;
mod outcome;
mod queue;
mod received;
mod remote;
mod restart;
pub mod schedule;
mod sighted;
mod yielding;

use std::collections::{BTreeMap, VecDeque};

use kiln_model::{
    CloseReason, Device, EnvironmentInfo, EsphomeVersion, Job, JobId, LinkId, Message, Mono, Now,
    Pairing, Pin, QueueStatus, Reply, Request, RequestError, Sentence, Settings, WireJobId, say,
};

use self::housekeeping::Housekeeping;
use self::ids::Ids;
use self::install::Parked;
use self::jobs::{Entry, Jobs, Step};
use self::ledger::Ledger;
use self::links::Links;
use self::queue::Turn;
use self::received::Transfers;
use self::remote::Uploads;
use self::schedule::{Conditions, Lane, Pool};
use crate::{Deadline, InTheWay, Lending, RequestId, Role, Session, Stance};

pub use effect::{BuildTree, Drive, Effect, Ending, Given, StoredJob};
pub use event::{BundleFacts, DownloadFailure, Event, ProcessOutcome, StepFailure};
pub use sighted::Sighted;

/// Everything about jobs: the owner's installs and the builds received from offloaders.
///
/// Feed it what happened, then drain [`Work::poll_effect`]. Effects come in the order in which they
/// have to be performed. Every event ends with one look at everything that could start now, so
/// there is no list of wake-ups that could miss one.
#[derive(Debug)]
pub struct Work {
    ids: Ids,
    jobs: Jobs,
    links: Links,
    settings: Settings,
    devices: Vec<Device>,
    /// Devices that were ever seen, by name: the version that each said it runs.
    sighted: BTreeMap<String, String>,
    environments: Vec<EnvironmentInfo>,
    inquiry: OwnVersion,
    pairings: Vec<Pairing>,
    receivers: Pool,
    stage: Stage,
    /// End of the dispatcher's startup grace; `None`: it is over.
    grace: Option<Mono>,
    turn: Turn,
    uploads: Uploads,
    transfers: Transfers,
    lending: Lending,
    /// The queue status that offloaders heard last.
    told: QueueStatus,
    house: Housekeeping,
    ledger: Ledger,
    /// When a sleep was last heard of that lasts.
    asleep: Option<Mono>,
    parked: Vec<Parked>,
    /// Installs and flashes that wait for a look at their serial port.
    plugging: BTreeMap<RequestId, Request>,
    effects: VecDeque<crate::Effect>,
}

/// What part of its life the node is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Stored jobs are not known yet.
    Loading,
    /// Ordinary.
    Serving,
    /// Nothing is started any more, and nothing that stops now counts as an outcome.
    Stopping,
}

/// Whether our own ESPHome has said its version, as far as it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnVersion {
    /// It is being asked.
    Asked,
    /// It has, or there is none.
    Answered,
}

impl Work {
    /// Makes a node without jobs. `seed` feeds the generator of job and wire ids: it has to differ
    /// between processes, so the engine takes it from the operating system.
    pub fn new(seed: u64) -> Self {
        let settings = Settings::default();
        let receivers = Pool::new(Conditions::of(&settings, None, Lane::Idle));
        Self {
            ids: Ids::new(seed),
            jobs: Jobs::default(),
            links: Links::default(),
            settings,
            devices: Vec::new(),
            sighted: BTreeMap::new(),
            environments: Vec::new(),
            inquiry: OwnVersion::Answered,
            pairings: Vec::new(),
            receivers,
            stage: Stage::Loading,
            grace: None,
            turn: Turn::default(),
            uploads: Uploads::default(),
            transfers: Transfers::default(),
            lending: Lending::FREE,
            told: QueueStatus::of(false, 0),
            house: Housekeeping::default(),
            ledger: Ledger::default(),
            asleep: None,
            parked: Vec::new(),
            plugging: BTreeMap::new(),
            effects: VecDeque::new(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        if self.stage == Stage::Stopping && self.is_interruption(&event) {
            return;
        }
        match event {
            Event::GivenLoaded(given) => self.load_given(given, now),
            Event::SightedLoaded(sighted) => self.load_sighted(sighted),
            Event::Loaded(jobs) => self.load(jobs, now),
            Event::SettingsChanged(settings) => self.change_settings(settings),
            Event::DevicesScanned(devices) => self.devices_scanned(devices, now),
            Event::DeviceSeen {
                configuration,
                address,
                version,
            } => self.device_seen(&configuration, address, version),
            Event::DeviceGone(configuration) => self.device_gone(&configuration),
            Event::PortsListed(id, ports, advice) => {
                self.reply(id, Reply::SerialPorts { ports, advice });
            }
            Event::PortLooked(id, port) => self.port_looked(id, port, now),
            Event::EnvironmentsChanged(environments) => self.environments_changed(environments),
            Event::VersionAsked => self.inquiry = OwnVersion::Asked,
            Event::VersionAnswered => self.inquiry = OwnVersion::Answered,
            Event::NewestFound(request, found) => self.newest_found(request, found),
            Event::Received(link, message) => {
                if let Message::JobOutput { job_id, .. } = &message {
                    return self.output_came(link, job_id);
                }
                self.received(link, message, now);
            }
            Event::BundleMade(job, result) => self.bundle_made(&job, result, now),
            Event::Uploaded(link, wire, result) => self.uploaded(link, &wire, result, now),
            Event::LinkLooked(link, wire, heard) => self.link_looked(link, &wire, heard, now),
            Event::Downloaded(link, wire, result) => self.downloaded(link, &wire, result, now),
            Event::Materialised(job, result) => self.materialised(&job, result, now),
            Event::SubmissionStarted(link, wire) => {
                // A header may be read on a session that is over already: nobody tells its end again.
                if self.links.get(link).is_some() {
                    self.transfers.started(link, wire);
                }
            }
            Event::SubmissionDropped(link, wire) => self.transfers.dropped(link, &wire),
            Event::SubmissionArrived {
                link,
                pin,
                header,
                configuration,
                bundle,
                verified: _,
            } => self.submission_arrived(link, pin, *header, &configuration, bundle, now),
            Event::SubmissionNotKept(link, wire) => self.submission_not_kept(link, &wire, now),
            Event::Prepared(job, result) => self.prepared(&job, result, now),
            Event::ArtifactsServed(link, wire) => {
                self.transfers.served(link, &wire);
                self.house.review();
            }
            Event::Measured { found, free } => self.measured(found, free, now),
            Event::Evicted { gone, free } => self.evicted(&gone, free),
            Event::Provisioned(job, result) => self.provisioned(&job, result, now),
            Event::ProcessEnded(job, outcome) => self.process_ended(&job, outcome, now),
            Event::Progressed(job, percent) => return self.progressed(&job, percent),
            Event::ShuttingDown => self.stage = Stage::Stopping,
        }
        self.advance(now);
    }

    /// What the node's own end interrupts is no outcome: the job starts again with the node. Only
    /// a cancel that somebody asked for still counts.
    fn is_interruption(&self, event: &Event) -> bool {
        let asked = |id: &JobId| self.jobs.get(id).is_some_and(|e| e.stored.cancel_requested);
        match event {
            Event::BundleMade(id, Err(_))
            | Event::Materialised(id, Err(_))
            | Event::Prepared(id, Err(_))
            | Event::Provisioned(id, _)
            | Event::ProcessEnded(
                id,
                ProcessOutcome::Failed { .. } | ProcessOutcome::GivenUp(_) | ProcessOutcome::Killed,
            ) => !asked(id),
            Event::Uploaded(_, _, Err(_)) | Event::Downloaded(_, _, Err(_)) => true,
            Event::Received(link, _) => {
                let session = self.links.get(*link);
                session.is_some_and(|s| s.role == Role::Offloader)
            }
            _ => false,
        }
    }

    fn change_settings(&mut self, settings: Settings) {
        self.settings = settings;
        self.house.review();
    }

    /// A person asked for something that is about jobs, devices, environments or the disk: `Devices`,
    /// `Install`, `Flash`, `Compile`, `Clean`, `Jobs`, `Job`, `Cancel`, `BuildHere`, `Environments`,
    /// `InstallEnvironment`, `ResetEnvironment`, `SerialPorts`, `Storage` and `Reclaim`. Each is
    /// answered with exactly one [`crate::Effect::Reply`], possibly later. Any other request belongs
    /// to somebody else and is ignored here.
    pub fn handle_request(&mut self, id: RequestId, request: &Request, now: Now) {
        self.request(id, request, now);
        self.advance(now);
    }

    /// A session is open, in either role.
    pub fn session_up(&mut self, session: &Session, now: Now) {
        self.links.insert(session.clone());
        match session.role {
            Role::Offloader => self.receiver_up(session.pin),
            Role::Receiver { .. } => self.offloader_up(session.link),
        }
        self.advance(now);
    }

    /// A session is over, and why.
    pub fn session_down(&mut self, link: LinkId, pin: Pin, why: &CloseReason, now: Now) {
        self.links.remove(link);
        self.transfers.session_down(link);
        self.receiver_down(link, pin, why, now);
        self.advance(now);
    }

    /// A pairing is new, changed or gone: here are all of them.
    pub fn pairings_changed(&mut self, pairings: &[Pairing], now: Now) {
        self.take_pairings(pairings, now);
        self.advance(now);
    }

    /// An offloader is not admitted any more: what it asked for is stopped. It hears nothing but the end
    /// of its session, after which it builds elsewhere; nobody there cancelled anything.
    pub fn offloader_forgotten(&mut self, pin: Pin, now: Now) {
        for id in self.jobs.ids(|e| e.sender().is_some_and(|s| s.0 == pin)) {
            self.mute(&id);
            self.cancel(&id, say::offloader_removed(), now);
        }
        self.advance(now);
    }

    /// The deadline of [`Work::poll_timeout`] passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.grace = self.grace.filter(|end| *end > now.mono);
        self.expire_runs(now);
        self.expire_parked(now);
        self.transfers.expire(now.mono);
        self.house.review();
        self.advance(now);
    }

    /// Returns the next deadline and what it is for.
    pub fn poll_timeout(&self) -> Option<(Mono, Deadline)> {
        if self.stage != Stage::Serving {
            return None;
        }
        let waiting = self.jobs.active().filter_map(|(_, e)| match &e.step {
            Step::Pool(patience) => patience.map(|at| (at, "ReconnectGrace")),
            Step::Remote(run) => run.deadline(),
            _ => None,
        });
        let startup = self.grace.map(|at| (at, "StartupGrace"));
        let tidy = self.house.due().map(|at| (at, "Tidy"));
        let parked = self.parked.iter().map(|p| (p.until, "DeviceScan"));
        let yields = self.yield_deadline().map(|at| (at, "Yield"));
        let owed = self.transfers.poll_timeout().map(|at| (at, "Artifacts"));
        let all = waiting.chain(startup).chain(tidy).chain(parked);
        let all = all.chain(yields).chain(owed);
        all.min_by_key(|(at, _)| *at)
    }

    /// Returns the next thing to do: a [`crate::Effect::Work`] or a [`crate::Effect::Reply`].
    pub fn poll_effect(&mut self) -> Option<crate::Effect> {
        self.effects.pop_front()
    }

    /// Returns every job, newest first.
    pub fn jobs(&self) -> Vec<Job> {
        let newest = self.jobs.iter().rev();
        newest.map(|(_, e)| e.stored.job.clone()).collect()
    }

    /// Returns the truth about our compile lane, as others need it: who is not lent is not idle, and
    /// what of the owner's waits for this computer or a receiver comes before whatever they send. What
    /// others sent counts as soon as it is acknowledged, so that none of them takes it for lost.
    pub fn queue_status(&self) -> QueueStatus {
        let waiting = self.waiting_in_lane() + self.waiting_for_either() + self.waiting_packed();
        let lane = QueueStatus::of(self.lane_is_held(), waiting as u64);
        QueueStatus {
            idle: lane.idle
                && self.lending.stance == Stance::Open
                && self.lending.in_the_way == InTheWay::No,
            absence: self.lending.absence,
            ..lane
        }
    }

    /// Counts what waits in our compile lane.
    fn waiting_in_lane(&self) -> usize {
        let waits = |e: &Entry| matches!(e.step, Step::Lane);
        self.jobs.active().filter(|(_, e)| waits(e)).count()
    }

    /// Counts what others sent that is not unpacked yet. It is theirs alone, so it keeps nothing of the
    /// owner's from this computer.
    fn waiting_packed(&self) -> usize {
        let waits = |e: &Entry| matches!(e.step, Step::Arrived | Step::Unpacking);
        self.jobs.active().filter(|(_, e)| waits(e)).count()
    }

    /// Returns the last queue status that a receiver pushed.
    pub fn receiver_queue(&self, pin: &Pin) -> Option<QueueStatus> {
        self.receivers.get(*pin)?.queue
    }

    /// Returns the owner's devices as of the last scan.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Returns the environments as last told.
    pub fn environments(&self) -> &[EnvironmentInfo] {
        &self.environments
    }

    /// Returns the ESPHome version of the owner's own builds; `None` until one is installed.
    pub fn own_version(&self) -> Option<&EsphomeVersion> {
        let installed = self.environments.iter().find(|e| e.installed);
        installed.map(|e| &e.version)
    }

    /// Returns whether our own version is about to be known. Until then no receiver is judged by it.
    fn awaits_own_version(&self) -> bool {
        self.inquiry == OwnVersion::Asked && self.own_version().is_none()
    }

    /// Offloader: the job whose log takes output that arrives on `link` under `wire`. `None`: drop it.
    pub fn log_of(&self, link: LinkId, wire: &WireJobId) -> Option<JobId> {
        self.run_at(link, wire)
    }
}

/// What every part uses.
impl Work {
    fn push(&mut self, effect: Effect) {
        self.effects.push_back(crate::Effect::Work(effect));
    }

    fn send(&mut self, link: LinkId, message: Message) {
        self.push(Effect::Send(link, message));
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.effects.push_back(crate::Effect::Reply(id, reply));
    }

    fn refuse(&mut self, id: RequestId, error: RequestError) {
        self.reply(id, Reply::Refused(error));
    }

    fn note(&mut self, id: &JobId, text: impl Into<String>) {
        self.push(Effect::Note(id.clone(), text.into()));
    }

    fn save(&mut self, id: &JobId) {
        if let Some(entry) = self.jobs.get(id) {
            let stored = Box::new(entry.stored.clone());
            self.push(Effect::SaveJob(stored));
        }
    }

    /// Tells the faces about a job.
    fn changed(&mut self, id: &JobId) {
        if let Some(entry) = self.jobs.get(id) {
            let job = Box::new(entry.stored.job.clone());
            self.push(Effect::JobChanged(job));
        }
    }

    /// Tells everybody about a transition: store, sender, faces, and every offloader that asks
    /// itself how busy we are.
    fn announce(&mut self, id: &JobId) {
        self.save(id);
        self.tell_sender(id);
        self.changed(id);
        self.tell_queue();
        self.push(Effect::ViewChanged);
    }

    /// Tells every offloader how busy we are.
    fn tell_queue(&mut self) {
        self.told = self.queue_status();
        let links: Vec<LinkId> = self.links.offloaders().collect();
        for link in links {
            self.send(link, Message::QueueStatus(self.told));
        }
    }

    /// The same, if it is not what they heard last.
    fn tell_new_queue(&mut self) {
        if self.queue_status() != self.told {
            self.tell_queue();
            self.push(Effect::ViewChanged);
        }
    }

    /// Records why a job is where it is, once per reason.
    fn explain(&mut self, id: &JobId, reason: Sentence) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        if entry.stored.job.reason == reason {
            return;
        }
        entry.stored.job.reason.clone_from(&reason);
        self.note(id, reason);
        self.changed(id);
    }

    /// Starts whatever can start now.
    fn advance(&mut self, now: Now) {
        if self.stage != Stage::Serving {
            return;
        }
        self.serve_postponed();
        self.tidy(now);
        self.give_way(now);
        self.keep_to_budgets(now);
        self.clean_packed(now);
        self.dispatch(now);
        self.start_compile(now);
        // What the lane took makes room for the next.
        self.start_unpacking();
        // What begins while the owner is there begins within the limits for that.
        self.treat_builds(now);
        self.explain_waiting();
        self.start_flashes(now);
        self.advance_runs(now);
        // A receiver that came or went changes how many wait for this computer, and moves none of them.
        self.tell_new_queue();
    }

    /// Brings the scheduler's conditions up to date.
    fn refresh_conditions(&mut self) {
        let lane = match self.lane_is_held() || self.waiting_in_lane() > 0 {
            true => Lane::Busy,
            false => Lane::Idle,
        };
        let now = Conditions::of(&self.settings, self.own_version(), lane);
        if now != *self.receivers.conditions() {
            self.receivers.set_conditions(now);
        }
    }
}
