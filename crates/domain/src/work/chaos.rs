//! Anything in any order: random requests, cancels, link losses, ends, refusals, crashes and stops,
//! held against a small reference model of what must be true whatever happens.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::witness::DigestVerified;
use kiln_model::{
    Absence, AvailabilityReason as Reason, BlobId, BuildChoice, Device, FailureReason, JobId,
    JobKind, JobOrigin, JobStatus, LinkId, Message, Mono, Now, Pairing, Pin, Placement, Port,
    QueueStatus, Request, Settings, SubmitHeader, SubmitRefusal, Timestamp, WireJobId,
};
use proptest::prelude::*;

use super::fixtures::{device, failed, pairing, pin, seen, version, wire, yaml};
use super::{
    BuildTree, BundleFacts, DownloadFailure, Drive, Effect, Event, Given, ProcessOutcome,
    StepFailure, StoredJob, Work,
};
use crate::{InTheWay, Lending, Occupancy, RequestId, Stance};
use crate::{Role, Session};

const DEVICES: [&str; 3] = ["kitchen", "bath", "attic"];
const RECEIVERS: [u8; 2] = [1, 2];
const OFFLOADERS: [u8; 2] = [8, 9];

/// One thing that happens. Numbers choose among what is there, modulo its count.
#[derive(Clone, Debug)]
enum Action {
    Install(usize, Choice),
    Compile(usize, Choice),
    FlashBuilt(usize),
    Clean(usize),
    Reset(Option<usize>),
    Cancel(usize),
    BuildHere(usize),
    Ask(usize),
    Submit(usize, usize, usize),
    CancelSubmitted(usize, usize),
    Fetch(usize, usize),
    ResetByOffloader(usize),
    /// A step that is under way ends.
    End(usize, How),
    /// A receiver answers a submission, or tells its end.
    Answer(usize, Far),
    Toggle(usize),
    PairAnew(usize),
    Presence(usize, bool),
    Lend(Lending),
    /// So many MiB of the disk are free.
    Free(u64),
    Pass(u64),
    Scan,
    Crash,
    Stop,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Auto,
    Local,
    On(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Well,
    Badly,
    Provision,
}

#[derive(Clone, Copy, Debug)]
enum Far {
    Yes,
    No,
    Busy,
    Completed,
    Failed,
    Provision,
    Cancelled,
}

/// What a receiver said of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open,
    Accepted,
}

/// A step the machine asked for and that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Op {
    Bundle(JobId),
    Upload(LinkId, WireJobId),
    Download(LinkId, WireJobId),
    Materialise(JobId),
    Flash(JobId),
    Prepare(JobId),
    Serve(LinkId, WireJobId),
    Provision(JobId),
    Build(JobId),
}

/// The owner's devices, each built once.
fn devices() -> Vec<Device> {
    let built = |name| Device {
        last_build: Some(Timestamp(1)),
        ..device(name)
    };
    DEVICES.map(built).to_vec()
}

/// The world around the machine, and what it remembers to judge by.
struct World {
    work: Work,
    now: Now,
    settings: Settings,
    pairings: Vec<Pairing>,
    links: BTreeMap<LinkId, (u8, Role)>,
    next: u64,
    ops: Vec<Op>,
    /// Submissions that receivers hold.
    far: Vec<(LinkId, WireJobId, Verdict)>,
    /// Everything kept, as a crash would leave it.
    store: BTreeMap<JobId, StoredJob>,
    order: Vec<JobId>,
    /// Final states, for ever.
    ends: BTreeMap<JobId, JobStatus>,
    /// Jobs that were flashed, as far as none of that failed for want of the device.
    flashed: BTreeSet<JobId>,
    /// Jobs that ever completed.
    completed: BTreeSet<JobId>,
    /// Blobs that exist.
    blobs: BTreeSet<BlobId>,
    requests: BTreeMap<RequestId, usize>,
    /// Links that the machine ends; they are gone a little later.
    ending: Vec<LinkId>,
    /// Wire ids of ours that were ever used.
    wires: BTreeSet<WireJobId>,
    /// What the owner needs.
    lending: Lending,
    /// Room on the disk, in MiB.
    free: u64,
    /// Received jobs whose bundles are unpacked and whose builds did not begin.
    unpacked: BTreeSet<JobId>,
    /// How the processes of builds were last driven, and which were to end.
    driven: BTreeMap<JobId, Drive>,
    stopping: BTreeSet<JobId>,
    /// What was given to offloaders, as it is kept.
    given: BTreeMap<JobId, Given>,
    /// The queue status that each offloader heard last.
    said: BTreeMap<LinkId, QueueStatus>,
    /// Jobs accepted from offloaders, and ends told to them.
    accepted: BTreeMap<(u8, WireJobId), usize>,
    told: BTreeMap<(u8, WireJobId), usize>,
    /// Ids whose offloaders were away meanwhile, and may not have heard of an end.
    missed: BTreeSet<(u8, WireJobId)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            work: Work::new(1),
            now: Now::default(),
            settings: Settings {
                receiver: true,
                ..Settings::default()
            },
            pairings: RECEIVERS.map(pairing).to_vec(),
            links: BTreeMap::new(),
            next: 100,
            ops: Vec::new(),
            far: Vec::new(),
            store: BTreeMap::new(),
            order: Vec::new(),
            ends: BTreeMap::new(),
            flashed: BTreeSet::new(),
            completed: BTreeSet::new(),
            blobs: BTreeSet::new(),
            requests: BTreeMap::new(),
            ending: Vec::new(),
            wires: BTreeSet::new(),
            lending: Lending::FREE,
            free: u64::MAX,
            unpacked: BTreeSet::new(),
            driven: BTreeMap::new(),
            stopping: BTreeSet::new(),
            given: BTreeMap::new(),
            said: BTreeMap::new(),
            told: BTreeMap::new(),
            accepted: BTreeMap::new(),
            missed: BTreeSet::new(),
        };
        world.start();
        world
    }

    /// A process starts over what is kept.
    fn start(&mut self) {
        self.next += 1;
        self.work = Work::new(self.next);
        self.now.mono = Mono::default();
        self.ops.clear();
        self.far.clear();
        self.links.clear();
        self.said.clear();
        self.missed.extend(self.accepted.keys().cloned());
        self.lending = Lending::FREE;
        self.free = u64::MAX;
        self.unpacked.clear();
        self.driven.clear();
        self.stopping.clear();
        // Requests of a dead process are answered by the end of their connection.
        self.requests.retain(|_, answers| *answers == 1);
        let kept = self.store.values().filter_map(|s| s.bundle.clone());
        self.blobs = kept.collect();
        self.feed(Event::SettingsChanged(self.settings.clone()));
        let environment = kiln_model::EnvironmentInfo {
            version: version("2026.10.0"),
            path: String::new(),
            state: kiln_model::EnvironmentState::Ready,
            size_bytes: None,
            installed: true,
        };
        self.feed(Event::EnvironmentsChanged(vec![environment]));
        self.feed(Event::DevicesScanned(devices()));
        self.work.pairings_changed(&self.pairings, self.now);
        let given = self.given.values().cloned().collect();
        self.feed(Event::GivenLoaded(given));
        let order = self.order.iter();
        let stored = order.filter_map(|id| self.store.get(id).cloned());
        let stored = stored.collect();
        self.feed(Event::Loaded(stored));
    }

    fn feed(&mut self, event: Event) {
        self.work.handle(event, self.now);
        self.drain();
    }

    fn request(&mut self, request: &Request) {
        self.next += 1;
        let id = RequestId(self.next);
        self.requests.insert(id, 0);
        self.work.handle_request(id, request, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.work.poll_effect() {
            match effect {
                crate::Effect::Reply(id, _) => *self.requests.entry(id).or_insert(9) += 1,
                crate::Effect::Work(effect) => self.perform(effect),
                other => panic!("{other:?}"),
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::SaveJob(stored) => self.keep(*stored),
            Effect::SaveGiven(given) => {
                self.given.insert(given.job.clone(), *given);
            }
            Effect::ForgetGiven(id) => {
                assert!(self.given.remove(&id).is_some(), "forgotten twice");
            }
            Effect::SaveSighted(_) | Effect::ForgetSighted(_) => {}
            Effect::ForgetJob(id) => {
                assert!(self.ends.contains_key(&id), "an active job is forgotten");
                self.store.remove(&id);
            }
            Effect::Send(link, message) => self.sent(link, message),
            Effect::MakeBundle(id, _) => self.begin(Op::Bundle(id)),
            Effect::Upload(link, header, blob) => {
                assert!(self.blobs.contains(&blob));
                assert!(self.wires.insert(header.job_id.clone()), "a wire id twice");
                let streams = |op: &Op| matches!(op, Op::Upload(l, _) if *l == link);
                assert!(!self.ops.iter().any(streams), "two uploads on one link");
                self.begin(Op::Upload(link, header.job_id));
            }
            Effect::StopUpload(link, wire) => {
                let op = Op::Upload(link, wire.clone());
                if self.finish_op(&op) {
                    self.feed_later(Event::Uploaded(link, wire, Err(StepFailure::Cancelled)));
                }
            }
            Effect::Download(link, wire) => self.begin(Op::Download(link, wire)),
            Effect::Materialise(id, _, blob) => {
                assert!(self.blobs.contains(&blob));
                self.begin(Op::Materialise(id));
            }
            Effect::Flash(id, ..) => {
                assert!(self.flashed.insert(id.clone()), "flashed twice");
                let first = self.store.get(&id).and_then(|s| s.job.depends_on.clone());
                if let Some(first) = first {
                    assert!(
                        self.completed.contains(&first),
                        "flashed before it was built"
                    );
                }
                self.begin(Op::Flash(id));
            }
            Effect::Prepare {
                job, pin, bundle, ..
            } => {
                assert!(self.blobs.contains(&bundle));
                let floor = u64::from(self.settings.disk_floor_mb);
                assert!(self.free >= floor, "unpacked on a disk that is short");
                let ahead = self.ahead_of(pin);
                assert_eq!(ahead, None, "{job} is not the only one that waits unpacked");
                self.begin(Op::Prepare(job));
            }
            Effect::ServeArtifacts(link, wire, _) => self.begin(Op::Serve(link, wire)),
            Effect::Provision(id, _) => {
                self.unpacked.remove(&id);
                self.begin(Op::Provision(id));
            }
            Effect::Build { job, .. } => {
                self.unpacked.remove(&job);
                self.begin(Op::Build(job));
            }
            Effect::Drive(id, drive) => {
                let before = self.driven.insert(id, drive);
                assert_ne!(before, Some(drive), "driven the same way again");
            }
            Effect::Stop(id, _) => {
                self.stopping.insert(id);
            }
            Effect::DropBlob(blob) => {
                assert!(self.blobs.remove(&blob), "a blob is dropped twice");
            }
            Effect::LookAtLink(link, wire) => {
                let heard = self.now.mono;
                self.feed_later(Event::LinkLooked(link, wire, heard));
            }
            Effect::Note(..)
            | Effect::JobChanged(_)
            | Effect::ViewChanged
            | Effect::ScanDevices
            | Effect::ListPorts(_)
            | Effect::LookAtPort(..)
            | Effect::SubmissionSettled(..)
            | Effect::Measure(_)
            | Effect::Evict(_)
            | Effect::FindNewestEnvironment(_)
            | Effect::InstallEnvironment(_) => {}
        }
    }

    /// Events that the shell would only deliver after the current one.
    fn feed_later(&mut self, event: Event) {
        self.work.handle(event, self.now);
    }

    fn begin(&mut self, op: Op) {
        assert!(!self.ops.contains(&op), "{op:?} began twice");
        self.ops.push(op);
        assert!(self.in_lane() <= 1, "lane of width 1");
    }

    /// Counts what runs in the lane. Before a sleep a build is over before its process is.
    fn in_lane(&self) -> usize {
        let lane = |op: &&Op| match op {
            Op::Build(id) | Op::Provision(id) => !self.ends.contains_key(id),
            _ => false,
        };
        self.ops.iter().filter(lane).count()
    }

    /// A job of this offloader whose bundle is being unpacked, or is and waits; not counting one that
    /// waits until its last result is fetched.
    fn ahead_of(&self, pin: Pin) -> Option<&StoredJob> {
        let unpacking = self.ops.iter().filter_map(|op| match op {
            Op::Prepare(id) => Some(id),
            _ => None,
        });
        let all = self.unpacked.iter().chain(unpacking);
        let mut alive = all.filter_map(|id| self.store.get(id).filter(|_| !self.is_over(id)));
        let is_from = |stored: &StoredJob, link: Option<&LinkId>, wire: Option<&WireJobId>| {
            matches!(&stored.job.origin, JobOrigin::Offloader { pin: from, wire_job_id, .. }
                if *from == pin && wire.is_none_or(|wire| wire == wire_job_id))
                && link.is_none_or(|link| self.links.contains_key(link))
        };
        let served = |stored: &StoredJob| {
            self.ops.iter().any(|op| match op {
                Op::Serve(link, wire) => self.store.values().any(|other| {
                    is_from(other, Some(link), Some(wire))
                        && other.job.configuration == stored.job.configuration
                }),
                _ => false,
            })
        };
        alive.find(|stored| is_from(stored, None, None) && !served(stored))
    }

    fn is_over(&self, id: &JobId) -> bool {
        self.ends.contains_key(id)
    }

    /// A build or clean of somebody else that the machine runs or prepares to.
    fn build_for_others(&self) -> Option<&JobId> {
        self.ops.iter().find_map(|op| match op {
            Op::Build(id) | Op::Provision(id) => {
                let job = &self.store.get(id)?.job;
                let foreign = matches!(job.origin, JobOrigin::Offloader { .. });
                let alive = !job.status.is_final();
                let runs_programs = matches!(job.kind, JobKind::Compile | JobKind::Clean);
                (foreign && alive && runs_programs).then_some(id)
            }
            _ => None,
        })
    }

    /// What is handed back is not unpacked first, to be built here for nobody.
    fn judge_unpacking(&self) {
        let lasts = matches!(self.lending.stance, Stance::Lasting | Stance::Long);
        for op in &self.ops {
            if let Op::Prepare(id) = op
                && !self.is_over(id)
                && self.store[id].job.kind == JobKind::Compile
            {
                assert!(self.settings.receiver && !lasts, "{id} is unpacked");
            }
        }
    }

    /// The owner's needs come first, and what they do not touch goes on.
    fn judge_yielding(&self, before: Option<&JobId>) {
        let Some(id) = self.build_for_others() else {
            return;
        };
        let driven = self.driven.get(id).copied().unwrap_or(Drive::Full);
        let leaves = self.stopping.contains(id);
        let stored = &self.store[id];
        let is_build = stored.job.kind == JobKind::Compile;
        let Lending {
            stance, in_the_way, ..
        } = self.lending;
        let receives = self.settings.receiver;
        let lends = receives && stance == Stance::Open && in_the_way == InTheWay::No;
        let lasts = !receives || matches!(stance, Stance::Lasting | Stance::Long);
        if before != Some(id) {
            assert!(lends || !is_build && lasts, "it was begun");
        }
        assert!(
            is_build || !leaves || stored.cancel_requested,
            "a clean is handed back"
        );
        match in_the_way {
            _ if leaves => {}
            InTheWay::No => match self.lending.occupancy {
                Occupancy::Idle => assert_eq!(driven, Drive::Full, "held for nobody"),
                Occupancy::InUse => assert_eq!(driven, Drive::Gentle),
            },
            InTheWay::Briefly(_) => assert_ne!(driven, Drive::Full),
            InTheWay::Still(_) if !is_build => assert_ne!(driven, Drive::Full),
            InTheWay::Still(_) => {
                assert_eq!(driven, Drive::Stopped);
                assert!(receives, "held by a receiver that is switched off");
            }
        }
    }

    fn lend(&mut self, lending: Lending) {
        self.lending = lending;
        self.work.lend(lending, self.now);
        self.drain();
    }

    fn has_free(&mut self, mib: u64) {
        self.free = mib;
        self.work.disk_free(mib, self.now);
        self.drain();
    }

    fn finish_op(&mut self, op: &Op) -> bool {
        let before = self.ops.len();
        self.ops.retain(|o| o != op);
        self.ops.len() < before
    }

    fn keep(&mut self, stored: StoredJob) {
        let id = stored.job.id.clone();
        if !self.order.contains(&id) {
            self.order.push(id.clone());
        }
        let status = stored.job.status;
        if stored.job.deferred {
            assert_eq!(status, JobStatus::Queued);
            self.flashed.remove(&id);
        }
        if status.is_final() {
            let end = self.ends.entry(id.clone()).or_insert(status);
            assert_eq!(*end, status, "two final states");
        } else {
            assert!(!self.ends.contains_key(&id), "a final job lives again");
        }
        if stored.cancel_requested && status.is_final() {
            assert_eq!(status, JobStatus::Cancelled, "a cancel lost");
        }
        if stored.job.kind == JobKind::Clean && !matches!(stored.job.origin, JobOrigin::Owner) {
            let reason = stored.job.failure_reason;
            assert_eq!(reason, None, "a clean that is handed back shows as failed");
        }
        match status {
            JobStatus::Completed => {
                self.completed.insert(id.clone());
            }
            JobStatus::Failed | JobStatus::Cancelled => {
                assert!(stored.job.error.as_ref().is_some_and(|e| !e.is_empty()));
            }
            JobStatus::Queued | JobStatus::Running => {}
        }
        self.store.insert(id, stored);
    }

    fn sent(&mut self, link: LinkId, message: Message) {
        let (who, role) = self.links.get(&link).expect("sent over a dead link");
        let counts = match message {
            Message::JobStateChanged { job_id, status, .. } if status.is_final() => {
                self.told.entry((*who, job_id))
            }
            Message::SubmitJobAck {
                job_id,
                verdict: Ok(()),
            }
            | Message::ResetBuildEnvAck {
                job_id,
                verdict: Ok(()),
            } => {
                let key = (*who, job_id);
                // From now on it is there.
                self.missed.remove(&key);
                self.accepted.entry(key)
            }
            Message::ResetBuildEnv { job_id } => {
                return self.far.push((link, job_id, Verdict::Open));
            }
            Message::Terminate(_) => return self.ending.push(link),
            Message::QueueStatus(status) => {
                self.said.insert(link, status);
                return;
            }
            _ => return,
        };
        assert_ne!(*role, Role::Offloader, "told to a receiver");
        *counts.or_default() += 1;
    }

    fn blob(&mut self) -> BlobId {
        self.next += 1;
        let blob = BlobId::new("blob", self.next);
        self.blobs.insert(blob.clone());
        blob
    }

    /// What must be true after every event.
    fn judge(&mut self) {
        for link in std::mem::take(&mut self.ending) {
            if let Some((who, _)) = self.links.get(&link) {
                self.hang_up(link, *who);
            }
        }
        let jobs = self.work.jobs();
        let running = self.in_lane() > 0;
        let QueueStatus {
            idle,
            running: says,
            queue_depth,
            absence,
        } = self.work.queue_status();
        assert_eq!(says, running, "the queue status lies");
        let free = absence.is_none() && self.lending.in_the_way == InTheWay::No;
        assert_eq!(idle, !running && queue_depth == 0 && free);
        for (link, (who, _)) in &self.links {
            if OFFLOADERS.contains(who) {
                let said = self.said.get(link);
                assert_eq!(
                    said,
                    Some(&self.work.queue_status()),
                    "somebody was not told"
                );
            }
        }
        let mut servers = BTreeSet::new();
        for job in &jobs {
            let stored = self.store.get(&job.id);
            let stored = stored.expect("a job that is shown is kept");
            assert_eq!(stored.job.status, job.status, "kept and shown differ");
            if let (JobKind::Compile, JobStatus::Running, Placement::Remote { pin, .. }) =
                (job.kind, job.status, &job.placement)
            {
                assert!(servers.insert(*pin), "two compiles of ours on one receiver");
            }
            let waits = job.status == JobStatus::Queued && !running;
            let is_foreign = !matches!(job.origin, JobOrigin::Owner);
            if waits && is_foreign && job.kind == JobKind::Compile && !free {
                assert_ne!(job.reason, kiln_model::say::waits_for_lane());
            }
            if job.is_flash() {
                assert!(self.flashed.contains(&job.id));
            }
        }
        for (key, finals) in &self.told {
            let accepted = self.accepted.get(key).copied().unwrap_or(0);
            assert!(*finals <= accepted, "{key:?} ended {finals} times");
        }
        for answers in self.requests.values() {
            assert!(*answers <= 1, "a request is answered twice");
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Install(n, choice) => {
                let (device, build) = (DEVICES[n % 3].to_owned(), self.choice(*choice));
                let port = Port::Ota;
                self.request(&Request::Install {
                    device,
                    build,
                    port,
                });
            }
            Action::Compile(n, choice) => {
                let (device, build) = (DEVICES[n % 3].to_owned(), self.choice(*choice));
                self.request(&Request::Compile { device, build });
            }
            Action::FlashBuilt(n) => {
                let (device, port) = (DEVICES[n % 3].to_owned(), Port::Ota);
                self.request(&Request::Flash { device, port });
            }
            Action::Clean(n) => {
                let device = DEVICES[n % 3].to_owned();
                self.request(&Request::Clean { device });
            }
            Action::Reset(on) => {
                let pin = on.map(|n| pin(RECEIVERS[n % 2]));
                self.request(&Request::ResetEnvironment(pin));
            }
            Action::Cancel(n) => {
                if let Some(id) = self.some_job(*n) {
                    self.request(&Request::Cancel(id));
                }
            }
            Action::BuildHere(n) => {
                if let Some(id) = self.some_job(*n) {
                    self.request(&Request::BuildHere(id));
                }
            }
            Action::Ask(n) => {
                let device = "nobody".to_owned();
                let unknown = Request::Clean { device };
                let all = [
                    Request::Devices,
                    Request::Jobs,
                    Request::Environments,
                    unknown,
                ];
                self.request(&all[n % all.len()]);
            }
            Action::Submit(who, job, name) => self.submit(*who, *job, DEVICES[name % 3]),
            Action::CancelSubmitted(who, job) => {
                let job_id = wire(&format!("s{}", job % 4));
                self.offloader_says(*who, Message::CancelJob { job_id });
            }
            Action::Fetch(who, job) => {
                let job_id = wire(&format!("s{}", job % 4));
                self.offloader_says(*who, Message::DownloadArtifacts { job_id });
            }
            Action::ResetByOffloader(who) => {
                self.next += 1;
                let job_id = wire(&format!("r{}", self.next));
                self.offloader_says(*who, Message::ResetBuildEnv { job_id });
            }
            Action::End(n, how) => {
                if !self.ops.is_empty() {
                    let op = self.ops[n % self.ops.len()].clone();
                    self.end(&op, *how);
                }
            }
            Action::Answer(n, answer) => {
                if !self.far.is_empty() {
                    let at = n % self.far.len();
                    self.answer(at, *answer);
                }
            }
            Action::Toggle(n) => self.toggle(*n),
            Action::PairAnew(n) => {
                let n = RECEIVERS[n % 2];
                let before = self.pairings.len();
                self.pairings.retain(|p| p.pin != pin(n));
                if self.pairings.len() == before {
                    self.pairings.push(pairing(n));
                }
                self.work.pairings_changed(&self.pairings, self.now);
                self.drain();
            }
            Action::Presence(n, online) => {
                let name = DEVICES[n % 3];
                self.feed(if *online {
                    seen(name)
                } else {
                    Event::DeviceGone(yaml(name))
                });
            }
            Action::Lend(lending) => self.lend(*lending),
            Action::Free(mib) => self.has_free(*mib),
            Action::Pass(seconds) => self.pass(*seconds),
            Action::Scan => self.feed(Event::DevicesScanned(devices())),
            Action::Crash => self.start(),
            Action::Stop => self.stop(),
        }
    }

    fn choice(&self, choice: Choice) -> BuildChoice {
        match choice {
            Choice::Auto => BuildChoice::Auto,
            Choice::Local => BuildChoice::Local,
            Choice::On(n) => BuildChoice::On(pin(RECEIVERS[n % 2])),
        }
    }

    fn some_job(&self, n: usize) -> Option<JobId> {
        let jobs = self.work.jobs();
        jobs.get(n % jobs.len().max(1)).map(|j| j.id.clone())
    }

    fn link_of(&self, n: u8) -> Option<LinkId> {
        let mut links = self.links.iter();
        links.find(|(_, (who, _))| *who == n).map(|(link, _)| *link)
    }

    fn submit(&mut self, who: usize, job: usize, name: &str) {
        let sender = OFFLOADERS[who % 2];
        let Some(link) = self.link_of(sender) else {
            return;
        };
        let odd = job.is_multiple_of(3);
        let header = SubmitHeader {
            job_id: wire(&format!("s{}", job % 4)),
            configuration_filename: format!("{name}.yaml"),
            target: if job.is_multiple_of(5) {
                "clean"
            } else {
                "compile"
            }
            .to_owned(),
            total_bundle_bytes: 5,
            num_chunks: 1,
            bundle_sha256: String::new(),
            device_name: String::new(),
            device_friendly_name: String::new(),
            target_esphome_version: odd.then(|| version("2026.9.1")),
            skip_bootloader: false,
        };
        let bundle = self.blob();
        self.feed(Event::SubmissionArrived {
            link,
            pin: pin(sender),
            header: Box::new(header),
            configuration: yaml(name),
            bundle,
            verified: DigestVerified::assertion(),
        });
    }

    fn offloader_says(&mut self, who: usize, message: Message) {
        if let Some(link) = self.link_of(OFFLOADERS[who % 2]) {
            self.feed(Event::Received(link, message));
        }
    }

    fn end(&mut self, op: &Op, how: How) {
        if !self.finish_op(op) {
            return;
        }
        let well = how == How::Well;
        let step = || match how {
            How::Well | How::Badly => StepFailure::Failed("it went wrong".into()),
            How::Provision => StepFailure::Cancelled,
        };
        let process = match how {
            How::Well => ProcessOutcome::Succeeded,
            How::Badly => failed("it went wrong"),
            How::Provision => ProcessOutcome::Killed,
        };
        let event = match op.clone() {
            Op::Bundle(id) if well => {
                let facts = BundleFacts {
                    blob: self.blob(),
                    bytes: 40_000,
                    sha256: "00".to_owned(),
                };
                Event::BundleMade(id, Ok(facts))
            }
            Op::Bundle(id) => Event::BundleMade(id, Err(step())),
            Op::Upload(link, wire) if well => {
                self.far.push((link, wire.clone(), Verdict::Open));
                Event::Uploaded(link, wire, Ok(()))
            }
            Op::Upload(link, wire) => Event::Uploaded(link, wire, Err(step())),
            Op::Download(link, wire) if well => {
                let blob = self.blob();
                Event::Downloaded(link, wire, Ok(blob))
            }
            Op::Download(link, wire) => {
                let failure = match how {
                    How::Well | How::Badly => DownloadFailure::Stalled,
                    How::Provision => DownloadFailure::Invalid("hash".into()),
                };
                Event::Downloaded(link, wire, Err(failure))
            }
            Op::Materialise(id) if well => Event::Materialised(id, Ok(())),
            Op::Materialise(id) => Event::Materialised(id, Err(step())),
            Op::Prepare(id) if well => {
                self.unpacked.insert(id.clone());
                Event::Prepared(id, Ok(BuildTree::OwnAll))
            }
            Op::Prepare(id) => Event::Prepared(id, Err(step())),
            Op::Serve(link, wire) => Event::ArtifactsServed(link, wire),
            Op::Provision(id) if well => Event::Provisioned(id, Ok(version("2026.9.1"))),
            Op::Provision(id) => Event::Provisioned(id, Err(step())),
            Op::Build(id) | Op::Flash(id) => Event::ProcessEnded(id, process),
        };
        let short = self.lending.short.is_some();
        self.feed(event);
        if let (Op::Build(id), How::Badly, true) = (op, how, short)
            && let Some(StoredJob { job, .. }) = self.store.get(id)
            && !matches!(job.origin, JobOrigin::Owner)
            && job.kind == JobKind::Compile
            && job.status == JobStatus::Failed
        {
            let handed_back = Some(FailureReason::Provision);
            assert_eq!(job.failure_reason, handed_back, "its sender is blamed");
        }
    }

    fn answer(&mut self, at: usize, answer: Far) {
        let (link, job_id, verdict) = self.far[at].clone();
        let answer = match (answer, verdict) {
            (Far::No | Far::Busy, Verdict::Accepted) => Far::Failed,
            (answer, Verdict::Open | Verdict::Accepted) => answer,
        };
        let ack = |verdict| Message::SubmitJobAck {
            job_id: job_id.clone(),
            verdict,
        };
        let state = |status, failure_reason| Message::JobStateChanged {
            job_id: job_id.clone(),
            status,
            error_message: String::new(),
            failure_reason,
        };
        let message = match answer {
            Far::Yes => ack(Ok(())),
            Far::No => ack(Err(Some(SubmitRefusal::HashMismatch))),
            Far::Busy => ack(Err(Some(SubmitRefusal::DuplicateSubmit))),
            Far::Completed => state(JobStatus::Completed, None),
            Far::Failed => state(JobStatus::Failed, None),
            Far::Provision => state(JobStatus::Failed, Some(FailureReason::Provision)),
            Far::Cancelled => state(JobStatus::Cancelled, None),
        };
        match answer {
            Far::Yes => self.far[at].2 = Verdict::Accepted,
            _ => drop(self.far.remove(at)),
        }
        self.feed(Event::Received(link, message));
    }

    fn toggle(&mut self, n: usize) {
        match n % 7 {
            0 => self.settings.remote_builds = !self.settings.remote_builds,
            1 => self.settings.include_local = !self.settings.include_local,
            2 => self.settings.receiver = !self.settings.receiver,
            n => {
                let who = [RECEIVERS, OFFLOADERS].concat()[n - 3];
                return self.toggle_link(who);
            }
        }
        self.feed(Event::SettingsChanged(self.settings.clone()));
    }

    fn toggle_link(&mut self, who: u8) {
        if let Some(link) = self.link_of(who) {
            return self.hang_up(link, who);
        }
        self.next += 1;
        let link = LinkId(self.next);
        let role = if RECEIVERS.contains(&who) {
            Role::Offloader
        } else {
            Role::Receiver {
                dashboard_id: format!("d{who}").parse().unwrap(),
                label: kiln_model::Label::default(),
            }
        };
        self.links.insert(link, (who, role.clone()));
        let pin: Pin = pin(who);
        self.work.session_up(&Session { link, pin, role }, self.now);
        self.drain();
    }

    fn hang_up(&mut self, link: LinkId, who: u8) {
        self.links.remove(&link);
        self.far.retain(|(l, ..)| *l != link);
        let of = self.accepted.keys().filter(|(of, _)| *of == who);
        self.missed.extend(of.cloned());
        self.work.session_down(link, pin(who), self.now);
        self.drain();
        // The transfers of the link notice a little later.
        for op in self.ops.clone() {
            let event = match op.clone() {
                Op::Upload(l, wire) if l == link => {
                    Event::Uploaded(l, wire, Err(StepFailure::LinkLost))
                }
                Op::Download(l, wire) if l == link => {
                    Event::Downloaded(l, wire, Err(DownloadFailure::LinkLost))
                }
                Op::Serve(l, wire) if l == link => Event::ArtifactsServed(l, wire),
                _ => continue,
            };
            self.finish_op(&op);
            self.feed(event);
        }
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now.mono + Duration::from_secs(seconds);
        let mut wakes = 0;
        while let Some((at, _)) = self.work.poll_timeout()
            && at <= end
        {
            wakes += 1;
            assert!(wakes < 10_000, "a deadline that is never met");
            self.now.mono = at.max(self.now.mono);
            self.work.handle_timeout(self.now);
            self.drain();
        }
        self.now.mono = end;
    }

    /// The node stops gracefully: processes are killed, links closed, and it starts again.
    fn stop(&mut self) {
        let ends = self.ends.len();
        let cancels = self.store.values().filter(|s| s.cancel_requested).count();
        self.feed(Event::ShuttingDown);
        for op in self.ops.clone() {
            match op {
                Op::Build(_) | Op::Flash(_) | Op::Bundle(_) | Op::Prepare(_) | Op::Provision(_) => {
                    self.end(&op, How::Provision);
                }
                _ => {}
            }
        }
        for (link, (who, _)) in self.links.clone() {
            self.hang_up(link, who);
        }
        if cancels == 0 {
            assert_eq!(self.ends.len(), ends, "stopping ended a job");
        }
        self.start();
    }

    /// Everything goes well from now on: every job comes to its end, nothing is left behind.
    fn settle(&mut self) {
        self.settings.receiver = true;
        self.settings.remote_builds = true;
        self.has_free(100_000);
        self.lend(Lending::FREE);
        self.feed(Event::SettingsChanged(self.settings.clone()));
        self.feed(Event::DevicesScanned(devices()));
        for who in [RECEIVERS, OFFLOADERS].concat() {
            if self.link_of(who).is_none() {
                self.toggle_link(who);
            }
        }
        for _ in 0..2000 {
            for name in DEVICES {
                self.feed(seen(name));
            }
            if let Some(op) = self.ops.first().cloned() {
                self.end(&op, How::Well);
            } else if !self.far.is_empty() {
                self.answer(0, Far::Yes);
                self.answer(0, Far::Completed);
            } else {
                self.pass(40);
            }
            self.judge();
            let active = self.work.jobs().iter().any(|j| !j.status.is_final());
            for who in RECEIVERS {
                if self.link_of(who).is_none() {
                    self.toggle_link(who);
                }
            }
            if !active && self.ops.is_empty() && self.far.is_empty() {
                break;
            }
        }
        for job in self.work.jobs() {
            assert!(job.status.is_final(), "stuck: {job:?}");
        }
        for (id, answers) in &self.requests {
            assert_eq!(*answers, 1, "{id:?} is not answered");
        }
        let leaked: Vec<_> = self.blobs.iter().collect();
        assert!(leaked.is_empty(), "blobs left behind: {leaked:?}");
        for (key, accepted) in &self.accepted {
            let told = self.told.get(key).copied().unwrap_or(0);
            let least = usize::from(!self.missed.contains(key));
            assert!(
                (least..=*accepted).contains(&told),
                "{key:?}: {told} of {accepted}"
            );
        }
    }
}

fn choices() -> impl Strategy<Value = Choice> {
    prop_oneof![
        4 => Just(Choice::Auto),
        1 => Just(Choice::Local),
        1 => (0..2usize).prop_map(Choice::On),
    ]
}

fn lendings() -> impl Strategy<Value = Lending> {
    let all = Reason::ALL.iter().copied();
    let obstacles = all.filter(|r| !matches!(r, Reason::Ready | Reason::UserOff));
    let obstacles: Vec<Reason> = obstacles.collect();
    let reason = move || proptest::sample::select(obstacles.clone());
    let way = prop_oneof![
        reason().prop_map(InTheWay::Briefly),
        reason().prop_map(InTheWay::Still),
    ];
    let absent = |reason| {
        let until = None;
        Some(Absence { reason, until })
    };
    let stances = [Stance::Open, Stance::Brief, Stance::Lasting, Stance::Long];
    let stance = proptest::sample::select(stances.to_vec());
    let scarce = proptest::sample::select(vec![None, None, Some(Reason::LowRam)]);
    let occupancy = || proptest::sample::select(vec![Occupancy::Idle, Occupancy::InUse]);
    let closed = (stance, reason(), way.clone(), scarce, occupancy()).prop_map(
        move |(stance, reason, in_the_way, short, occupancy)| Lending {
            stance,
            absence: absent(reason).filter(|_| stance != Stance::Open),
            in_the_way,
            occupancy,
            short,
        },
    );
    // That receiving is off is in the way of nothing that runs.
    let off = prop_oneof![Just(InTheWay::No), way].prop_map(move |in_the_way| Lending {
        stance: Stance::Long,
        absence: absent(Reason::UserOff),
        in_the_way,
        ..Lending::FREE
    });
    let open = occupancy().prop_map(|occupancy| Lending {
        occupancy,
        ..Lending::FREE
    });
    prop_oneof![2 => open, 4 => closed, 1 => off]
}

fn actions() -> impl Strategy<Value = Action> {
    let n = || 0..12usize;
    let how = prop_oneof![4 => Just(How::Well), 1 => Just(How::Badly), 1 => Just(How::Provision)];
    let far = prop_oneof![
        6 => Just(Far::Yes),
        4 => Just(Far::Completed),
        1 => Just(Far::No),
        1 => Just(Far::Busy),
        1 => Just(Far::Failed),
        1 => Just(Far::Provision),
        1 => Just(Far::Cancelled),
    ];
    prop_oneof![
        6 => (n(), choices()).prop_map(|(n, c)| Action::Install(n, c)),
        2 => (n(), choices()).prop_map(|(n, c)| Action::Compile(n, c)),
        1 => n().prop_map(Action::FlashBuilt),
        1 => n().prop_map(Action::Clean),
        1 => proptest::option::of(n()).prop_map(Action::Reset),
        3 => n().prop_map(Action::Cancel),
        1 => n().prop_map(Action::BuildHere),
        1 => n().prop_map(Action::Ask),
        5 => (n(), n(), n()).prop_map(|(a, b, c)| Action::Submit(a, b, c)),
        2 => (n(), n()).prop_map(|(a, b)| Action::CancelSubmitted(a, b)),
        2 => (n(), n()).prop_map(|(a, b)| Action::Fetch(a, b)),
        1 => n().prop_map(Action::ResetByOffloader),
        20 => (n(), how).prop_map(|(n, h)| Action::End(n, h)),
        10 => (n(), far).prop_map(|(n, f)| Action::Answer(n, f)),
        8 => n().prop_map(Action::Toggle),
        1 => n().prop_map(Action::PairAnew),
        2 => (n(), any::<bool>()).prop_map(|(n, b)| Action::Presence(n, b)),
        6 => lendings().prop_map(Action::Lend),
        2 => proptest::sample::select(vec![1, 100_000]).prop_map(Action::Free),
        3 => (0..100u64).prop_map(Action::Pass),
        1 => Just(Action::Scan),
        1 => Just(Action::Crash),
        1 => Just(Action::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    // Covers: M21, M23, M24, M28, M36, M51, M61, R-40, O-21, O-24
    #[test]
    fn whatever_happens_every_job_ends_once_and_nothing_is_done_twice(
        actions in proptest::collection::vec(actions(), 1..120)
    ) {
        let mut world = World::new();
        for action in &actions {
            let before = world.build_for_others().cloned();
            world.act(action);
            world.judge();
            world.judge_unpacking();
            world.judge_yielding(before.as_ref());
        }
        world.settle();
    }
}
