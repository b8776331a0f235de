//! Anything in any order: random requests, cancels, link losses, ends, refusals, crashes and stops,
//! held against a small reference model of what must be true whatever happens.
mod acting;
mod actions;
mod judging;

use std::collections::{BTreeMap, BTreeSet};

use kiln_model::{
    BlobId, Device, JobId, JobStatus, LinkId, Mono, Now, Pairing, QueueStatus, Request, Settings,
    Timestamp, WireJobId,
};
use proptest::prelude::*;

use self::actions::actions;
use super::fixtures::{device, pairing, version};
use super::{Drive, Effect, Event, Given, StepFailure, StoredJob, Work};
use crate::{Lending, RequestId, Role};

const DEVICES: [&str; 3] = ["kitchen", "bath", "attic"];
const RECEIVERS: [u8; 2] = [1, 2];
const OFFLOADERS: [u8; 2] = [8, 9];

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
    /// Those that go on at receivers whose links were lost.
    adrift: Vec<(u8, WireJobId)>,
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
            adrift: Vec::new(),
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
        self.adrift.clear();
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
