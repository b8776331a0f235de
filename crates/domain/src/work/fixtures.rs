//! [`Shop`]: a node whose jobs are watched from outside. Tests say what happens; what the machine
//! wants done comes back as short lines. Jobs are called `j1`, `j2`, … and submissions `w1`, `w2`,
//! … in the order in which they appear.
use std::time::Duration;

use kiln_model::witness::DigestVerified;
use kiln_model::{
    BlobId, BuildChoice, Capabilities, CloseReason, ConfigurationName, Device, EnvironmentInfo,
    EnvironmentState, EsphomeVersion, FailureReason, FriendlyName, Job, JobId, JobStatus, Label,
    LinkId, Message, Mono, Now, Pairing, PairingStatus, Pin, Port, PortState, Presence, PublicKey,
    QueueStatus, Reply, Request, RequestError, SerialPort, Settings, SubmitHeader, TerminateReason,
    Timestamp, VersionPolicy, WireJobId,
};

use super::{
    BuildTree, BundleFacts, Effect, Ending, Event, Given, ProcessOutcome, Sighted, StepFailure,
    StoredJob, Work,
};
use crate::RequestId;
use crate::storage::Extent;
use crate::{Lending, Role, Session};

pub(super) struct Shop {
    pub(super) work: Work,
    pub(super) now: Now,
    /// Everything that was ever saved, newest last; what a crash leaves behind.
    pub(super) store: Vec<StoredJob>,
    /// What was given to offloaders, as it is kept.
    pub(super) given: Vec<Given>,
    /// Devices that were seen, as they are kept.
    pub(super) sighted: Vec<Sighted>,
    /// Notes of each job.
    pub(super) notes: Vec<(JobId, String)>,
    /// Serial ports that are plugged in; `COM3` at first.
    pub(super) ports: Vec<SerialPort>,
    /// Answers, by request number.
    pub(super) replies: Vec<(u64, Reply)>,
    /// Links on which nothing was heard since they opened; on others something is heard at any time.
    pub(super) silent: Vec<LinkId>,
    /// Looks at the disk that were wanted.
    pub(super) looks: Vec<Extent>,
    /// Jobs whose bundles are unpacked as soon as they may be.
    smooth: Vec<JobId>,
    names: Vec<JobId>,
    wires: Vec<WireJobId>,
    log: Vec<String>,
    pairings: Vec<Pairing>,
    pub(super) settings: Settings,
    requests: u64,
    blobs: u64,
}

pub(super) fn pin(n: u8) -> Pin {
    Pin([n; 32])
}

pub(super) fn version(text: &str) -> EsphomeVersion {
    EsphomeVersion::parse(text).unwrap()
}

pub(super) fn yaml(name: &str) -> ConfigurationName {
    format!("{name}.yaml").parse().unwrap()
}

/// What announces a build of a configuration.
pub(super) fn header(job: &str, configuration: &str) -> SubmitHeader {
    SubmitHeader {
        job_id: wire(job),
        configuration_filename: format!("{configuration}.yaml"),
        target: "compile".to_owned(),
        total_bundle_bytes: 5,
        num_chunks: 1,
        bundle_sha256: String::new(),
        device_name: configuration.to_owned(),
        device_friendly_name: String::new(),
        target_esphome_version: Some(version("2026.10.0")),
        skip_bootloader: false,
    }
}

pub(super) fn wire(text: &str) -> WireJobId {
    WireJobId(text.to_owned())
}

pub(super) fn failed(message: &str) -> ProcessOutcome {
    ProcessOutcome::Failed {
        exit_code: Some(1),
        message: message.into(),
    }
}

pub(super) fn device(name: &str) -> Device {
    Device {
        configuration: yaml(name),
        name: name.to_owned(),
        friendly_name: String::new(),
        platform: String::new(),
        address: String::new(),
        presence: Presence::Unknown,
        built_version: String::new(),
        deployed_version: String::new(),
        last_build: None,
        problem: None,
    }
}

/// The environment of own builds.
pub(super) fn installed(release: &str) -> EnvironmentInfo {
    EnvironmentInfo {
        version: version(release),
        path: String::new(),
        state: EnvironmentState::Ready,
        size_bytes: None,
        installed: true,
    }
}

pub(super) fn serial_port(path: &str, state: PortState) -> SerialPort {
    SerialPort {
        path: path.to_owned(),
        product: "Bridge".to_owned(),
        usb: None,
        state,
        problem: match state {
            PortState::Usable => "".into(),
            _ => format!("{path} is {}.", state.word()).into(),
        },
    }
}

/// The device announces itself.
pub(super) fn seen(name: &str) -> Event {
    Event::DeviceSeen {
        configuration: yaml(name),
        address: None,
        version: String::new(),
    }
}

pub(super) fn pairing(n: u8) -> Pairing {
    Pairing {
        pin: pin(n),
        public_key: PublicKey([n; 32]),
        endpoint: format!("r{n}.example").parse().unwrap(),
        label: Label::clipped(&format!("R{n}")),
        label_auto: false,
        paired_at: Timestamp(i64::from(n)),
        status: PairingStatus::Approved,
        enabled: true,
        esphome_version: Some(version("2026.10.0")),
        capabilities: Capabilities {
            auto_provision: false,
            reset_build_env: true,
            kiln: false,
        },
        friendly_name: FriendlyName::default(),
        ha_addon: false,
    }
}

impl Shop {
    /// A node that is past its startup: ESPHome 2026.10.0, devices `kitchen`, `bath` and `attic`,
    /// receiving on, nobody paired.
    pub(super) fn open() -> Self {
        let mut shop = Self::new();
        shop.start(Vec::new());
        shop.pass(3);
        shop.lines();
        shop
    }

    /// The same, and offloader 2 has a session with it.
    pub(super) fn with_offloader() -> (Self, LinkId) {
        let mut shop = Self::open();
        let link = shop.offloader(2);
        (shop, link)
    }

    /// A node that knows nothing yet.
    pub(super) fn new() -> Self {
        Self {
            work: Work::new(7),
            now: Now::default(),
            store: Vec::new(),
            given: Vec::new(),
            sighted: Vec::new(),
            notes: Vec::new(),
            ports: vec![serial_port("COM3", PortState::Usable)],
            replies: Vec::new(),
            silent: Vec::new(),
            looks: Vec::new(),
            smooth: Vec::new(),
            names: Vec::new(),
            wires: Vec::new(),
            log: Vec::new(),
            pairings: Vec::new(),
            settings: Settings {
                receiver: true,
                ..Settings::default()
            },
            requests: 0,
            blobs: 0,
        }
    }

    /// Tells a new node its settings, environments, devices and stored jobs.
    pub(super) fn start(&mut self, stored: Vec<StoredJob>) {
        self.happens(Event::SettingsChanged(self.settings.clone()));
        self.happens(Event::EnvironmentsChanged(vec![installed("2026.10.0")]));
        self.happens(Event::SightedLoaded(self.sighted.clone()));
        let devices = ["kitchen", "bath", "attic"].map(device);
        self.happens(Event::DevicesScanned(devices.to_vec()));
        self.happens(Event::GivenLoaded(self.given.clone()));
        self.happens(Event::Loaded(stored));
    }

    /// The process dies and starts again over its store. Links are gone, pairings are not.
    pub(super) fn crash(&mut self) {
        let mut stored: Vec<StoredJob> = Vec::new();
        for job in std::mem::take(&mut self.store) {
            match stored.iter_mut().find(|s| s.job.id == job.job.id) {
                Some(known) => *known = job,
                None => stored.push(job),
            }
        }
        self.store.clone_from(&stored);
        self.work = Work::new(self.requests + 1000);
        self.smooth.clear();
        self.now.mono = Mono::default();
        let pairings = self.pairings.clone();
        self.work.pairings_changed(&pairings, self.now);
        self.start(stored);
    }

    pub(super) fn happens(&mut self, event: Event) {
        self.work.handle(event, self.now);
        self.drain();
    }

    /// Seconds go by; the machine is woken when it asked to be.
    pub(super) fn pass(&mut self, seconds: u64) {
        let end = self.now.mono + Duration::from_secs(seconds);
        while let Some((at, _)) = self.work.poll_timeout()
            && at <= end
        {
            self.advance_to(at.max(self.now.mono));
            self.work.handle_timeout(self.now);
            self.drain();
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, at: Mono) {
        let micros = at.since(self.now.mono).as_micros();
        self.now.wall.0 += i64::try_from(micros).unwrap();
        self.now.mono = at;
    }

    pub(super) fn ask(&mut self, request: &Request) -> u64 {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.work.handle_request(id, request, self.now);
        self.drain();
        self.requests
    }

    /// Asks and returns the jobs of the answer.
    pub(super) fn ask_jobs(&mut self, request: &Request) -> Vec<JobId> {
        let id = self.ask(request);
        match self.reply_to(id) {
            Some(Reply::Jobs(jobs)) => jobs.into_iter().map(|j| j.id).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Asks and returns the refusal.
    pub(super) fn ask_in_vain(&mut self, request: &Request) -> RequestError {
        let id = self.ask(request);
        match self.reply_to(id) {
            Some(Reply::Refused(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn reply_to(&self, id: u64) -> Option<Reply> {
        let found = self.replies.iter().find(|(n, _)| *n == id);
        found.map(|(_, reply)| reply.clone())
    }

    pub(super) fn install(&mut self, device: &str, build: BuildChoice) -> (JobId, JobId) {
        self.install_to(device, build, Port::Ota)
    }

    pub(super) fn install_to(
        &mut self,
        device: &str,
        build: BuildChoice,
        port: Port,
    ) -> (JobId, JobId) {
        let device = device.to_owned();
        let jobs = self.ask_jobs(&Request::Install {
            device,
            build,
            port,
        });
        (jobs[0].clone(), jobs[1].clone())
    }

    pub(super) fn compile(&mut self, device: &str, build: BuildChoice) -> JobId {
        let device = device.to_owned();
        self.ask_jobs(&Request::Compile { device, build }).remove(0)
    }

    pub(super) fn clean(&mut self, device: &str) -> Vec<JobId> {
        let device = device.to_owned();
        self.ask_jobs(&Request::Clean { device })
    }

    pub(super) fn cancel(&mut self, id: &JobId) -> Reply {
        let request = self.ask(&Request::Cancel(id.clone()));
        self.reply_to(request).unwrap()
    }

    /// Pairs with receiver `n` and connects to it over link `n`.
    pub(super) fn receiver(&mut self, n: u8) -> LinkId {
        self.pair(pairing(n));
        self.connect(n, u64::from(n))
    }

    pub(super) fn pair(&mut self, pairing: Pairing) {
        self.pairings.retain(|p| p.pin != pairing.pin);
        self.pairings.push(pairing);
        self.tell_pairings();
    }

    pub(super) fn unpair(&mut self, n: u8) {
        self.pairings.retain(|p| p.pin != pin(n));
        self.tell_pairings();
    }

    fn tell_pairings(&mut self) {
        let pairings = self.pairings.clone();
        self.work.pairings_changed(&pairings, self.now);
        self.drain();
    }

    /// A session with receiver `n` opens; it says that it is idle.
    pub(super) fn connect(&mut self, n: u8, link: u64) -> LinkId {
        let link = self.session(n, link, Role::Offloader);
        let idle = Message::QueueStatus(QueueStatus::of(false, 0));
        self.happens(Event::Received(link, idle));
        link
    }

    /// A session with offloader `n` opens over link `n`.
    pub(super) fn offloader(&mut self, n: u8) -> LinkId {
        self.offloader_on(n, u64::from(n))
    }

    pub(super) fn offloader_on(&mut self, n: u8, link: u64) -> LinkId {
        let role = Role::Receiver {
            dashboard_id: format!("dashboard-{n}").parse().unwrap(),
            label: Label::clipped(&format!("O{n}")),
        };
        self.session(n, link, role)
    }

    fn session(&mut self, n: u8, link: u64, role: Role) -> LinkId {
        let link = LinkId(link);
        let pin = pin(n);
        self.work.session_up(&Session { link, pin, role }, self.now);
        self.drain();
        link
    }

    /// The link to peer `n` is lost without a word.
    pub(super) fn hang_up(&mut self, n: u8, link: LinkId) {
        self.session_ends(n, link, &CloseReason::PeerHungUp);
    }

    /// Peer `n` says that it goes, and goes.
    pub(super) fn leaves(&mut self, n: u8, link: LinkId) {
        let goodbye = TerminateReason::ServerShuttingDown;
        self.session_ends(n, link, &CloseReason::Terminated(goodbye));
    }

    pub(super) fn session_ends(&mut self, n: u8, link: LinkId, why: &CloseReason) {
        self.work.session_down(link, pin(n), why, self.now);
        self.drain();
    }

    /// An offloader's bundle arrived complete.
    pub(super) fn submit(&mut self, link: LinkId, job: &str, configuration: &str) -> JobId {
        self.submit_with(link, job, configuration, |_| {})
    }

    pub(super) fn submit_with(
        &mut self,
        link: LinkId,
        job: &str,
        configuration: &str,
        change: impl FnOnce(&mut SubmitHeader),
    ) -> JobId {
        let mut header = header(job, configuration);
        change(&mut header);
        let before = self.names.len();
        let bundle = self.blob();
        let session = self.work.links.get(link).expect("an offloader's session");
        let pin = session.pin;
        self.happens(Event::SubmissionArrived {
            link,
            pin,
            header: Box::new(header),
            configuration: yaml(configuration),
            bundle,
            verified: DigestVerified::assertion(),
        });
        self.names[before].clone()
    }

    /// An offloader's bundle arrived and is unpacked at once, or when it may be: the job is in the lane.
    pub(super) fn submit_queued(&mut self, link: LinkId, job: &str, configuration: &str) -> JobId {
        let id = self.submit(link, job, configuration);
        self.smooth.push(id.clone());
        self.prepared(&id);
        id
    }

    /// This computer is lent so, from now on.
    pub(super) fn lends(&mut self, lending: Lending) {
        let now = self.now;
        self.work.lend(lending, now);
        self.happens(Event::SubmissionDropped(LinkId(999), wire("none")));
    }

    /// So much of the disk is free.
    pub(super) fn has_free(&mut self, mib: u64) {
        self.work.disk_free(mib, self.now);
        self.drain();
    }

    pub(super) fn prepared(&mut self, id: &JobId) {
        let tree = BuildTree::OwnAll;
        self.happens(Event::Prepared(id.clone(), Ok(tree)));
    }

    pub(super) fn says(&mut self, link: LinkId, message: Message) {
        self.happens(Event::Received(link, message));
    }

    pub(super) fn ends(&mut self, id: &JobId, outcome: ProcessOutcome) {
        self.happens(Event::ProcessEnded(id.clone(), outcome));
    }

    pub(super) fn succeeds(&mut self, id: &JobId) {
        self.ends(id, ProcessOutcome::Succeeded);
    }

    pub(super) fn bundled(&mut self, id: &JobId) {
        self.bundled_with(id, 100_000);
    }

    pub(super) fn bundled_with(&mut self, id: &JobId, bytes: u64) {
        let facts = BundleFacts {
            blob: self.blob(),
            bytes,
            sha256: "00".to_owned(),
        };
        self.happens(Event::BundleMade(id.clone(), Ok(facts)));
    }

    /// The submission `n` (counted from 1) was streamed and accepted.
    pub(super) fn accepted(&mut self, link: LinkId, n: usize) -> WireJobId {
        let wire = self.wires[n - 1].clone();
        self.happens(Event::Uploaded(link, wire.clone(), Ok(())));
        let job_id = wire.clone();
        let verdict = Ok(());
        self.says(link, Message::SubmitJobAck { job_id, verdict });
        wire
    }

    pub(super) fn wire(&self, n: usize) -> WireJobId {
        self.wires[n - 1].clone()
    }

    pub(super) fn submissions(&self) -> usize {
        self.wires.len()
    }

    /// A receiver says what became of a job.
    pub(super) fn state(&mut self, link: LinkId, job: &WireJobId, status: JobStatus) {
        self.state_with(link, job, status, "", None);
    }

    pub(super) fn state_with(
        &mut self,
        link: LinkId,
        job: &WireJobId,
        status: JobStatus,
        text: &str,
        failure_reason: Option<FailureReason>,
    ) {
        let message = Message::JobStateChanged {
            job_id: job.clone(),
            status,
            error_message: text.to_owned(),
            failure_reason,
        };
        self.says(link, message);
    }

    /// The artifacts of submission `n` came and are in place.
    pub(super) fn delivered(&mut self, id: &JobId, link: LinkId, n: usize) {
        let blob = self.blob();
        let wire = self.wire(n);
        self.happens(Event::Downloaded(link, wire, Ok(blob)));
        self.happens(Event::Materialised(id.clone(), Ok(())));
    }

    /// A compile is on receiver link `link` and accepted there, as submission `n`.
    pub(super) fn building_on(&mut self, id: &JobId, link: LinkId) -> WireJobId {
        self.bundled(id);
        self.accepted(link, self.wires.len())
    }

    pub(super) fn change(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.happens(Event::SettingsChanged(self.settings.clone()));
    }

    pub(super) fn policy(&mut self, policy: VersionPolicy) {
        self.change(|s| s.version_policy = policy);
    }

    pub(super) fn blob(&mut self) -> BlobId {
        self.blobs += 1;
        BlobId::new("blob", self.blobs)
    }

    pub(super) fn job(&self, id: &JobId) -> Job {
        let mut jobs = self.work.jobs().into_iter();
        jobs.find(|j| j.id == *id).unwrap()
    }

    pub(super) fn status(&self, id: &JobId) -> JobStatus {
        self.job(id).status
    }

    pub(super) fn error(&self, id: &JobId) -> String {
        self.job(id).error.unwrap_or_default().into()
    }

    pub(super) fn exists(&self, id: &JobId) -> bool {
        self.work.jobs().iter().any(|j| j.id == *id)
    }

    /// What was wanted since the last call.
    pub(super) fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// Of these, what starts with a word.
    pub(super) fn lines_of(&mut self, word: &str) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|l| l.starts_with(word));
        lines
    }

    /// Of these, all but queue statuses.
    pub(super) fn acts(&mut self) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|l| !l.contains(" queue "));
        lines
    }

    fn name(&self, id: &JobId) -> String {
        let at = self.names.iter().position(|n| n == id);
        at.map_or_else(|| "unknown".to_owned(), |at| format!("j{}", at + 1))
    }

    fn wire_name(&self, wire: &WireJobId) -> String {
        let at = self.wires.iter().position(|n| n == wire);
        at.map_or_else(|| wire.to_string(), |at| format!("w{}", at + 1))
    }

    fn drain(&mut self) {
        while let Some(effect) = self.work.poll_effect() {
            match effect {
                crate::Effect::Reply(id, reply) => self.replies.push((id.0, reply)),
                crate::Effect::Work(effect) => self.perform(effect),
                other => panic!("{other:?}"),
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        let line = match effect {
            Effect::SaveJob(stored) => {
                if !self.names.contains(&stored.job.id) {
                    self.names.push(stored.job.id.clone());
                }
                self.store.push(*stored);
                return;
            }
            Effect::Note(id, text) => {
                self.notes.push((id, text));
                return;
            }
            Effect::SaveGiven(given) => {
                self.given.retain(|old| old.job != given.job);
                self.given.push(*given);
                return;
            }
            Effect::ForgetGiven(id) => {
                self.given.retain(|old| old.job != id);
                return;
            }
            Effect::SaveSighted(sighted) => {
                self.sighted.retain(|old| old.name != sighted.name);
                self.sighted.push(sighted);
                return;
            }
            Effect::ForgetSighted(name) => {
                self.sighted.retain(|old| old.name != name);
                return;
            }
            Effect::ForgetJob(id) => {
                self.store.retain(|s| s.job.id != id);
                format!("forget {}", self.name(&id))
            }
            Effect::JobChanged(_) | Effect::ViewChanged | Effect::ScanDevices => return,
            Effect::ListPorts(id) => {
                let event = Event::PortsListed(id, self.ports.clone(), "Plug it in.".into());
                self.work.handle(event, self.now);
                return;
            }
            Effect::LookAtPort(id, path) => {
                let port = self.ports.iter().find(|port| port.path == path);
                let event = Event::PortLooked(id, port.cloned());
                self.work.handle(event, self.now);
                return;
            }
            Effect::DropBlob(_) => return,
            Effect::Send(link, message) => format!("{link} {}", self.frame(&message)),
            Effect::MakeBundle(id, yaml) => format!("bundle {} {yaml}", self.name(&id)),
            Effect::Upload(link, header, _) => {
                self.wires.push(header.job_id.clone());
                let wire = self.wire_name(&header.job_id);
                let SubmitHeader {
                    configuration_filename: yaml,
                    target,
                    ..
                } = *header;
                format!("upload {link} {wire} {target} {yaml}")
            }
            Effect::StopUpload(link, wire) => {
                format!("stop upload {link} {}", self.wire_name(&wire))
            }
            Effect::LookAtLink(link, wire) => {
                let heard = match self.silent.contains(&link) {
                    true => Mono::default(),
                    false => self.now.mono,
                };
                let event = Event::LinkLooked(link, wire, heard);
                self.work.handle(event, self.now);
                return;
            }
            Effect::Download(link, wire) => format!("download {link} {}", self.wire_name(&wire)),
            Effect::Materialise(id, yaml, _) => format!("materialise {} {yaml}", self.name(&id)),
            Effect::Flash(id, yaml, port) => format!("flash {} {yaml} {port:?}", self.name(&id)),
            Effect::Prepare { job, pin, .. } => {
                if self.smooth.contains(&job) {
                    let prepared = Event::Prepared(job.clone(), Ok(BuildTree::OwnAll));
                    self.work.handle(prepared, self.now);
                }
                format!("unpack {} of {}", self.name(&job), pin.0[0])
            }
            Effect::SubmissionSettled(pin, wire) => format!("settled {} {wire}", pin.0[0]),
            Effect::ServeArtifacts(link, wire, _) => format!("serve {link} {wire}"),
            Effect::Measure(extent) => {
                self.looks.push(extent);
                return;
            }
            Effect::Evict(stocks) => format!("evict {stocks:?}"),
            Effect::Provision(id, version) => format!("provision {} {version}", self.name(&id)),
            Effect::FindNewestEnvironment(_) => "newest esphome".to_owned(),
            Effect::InstallEnvironment(version) => format!("install esphome {version}"),
            Effect::Build {
                job,
                kind,
                tree,
                version,
                bootloader,
            } => {
                let tree = match tree {
                    BuildTree::Own(yaml) => format!("own {yaml}"),
                    BuildTree::OwnAll => "own everything".to_owned(),
                    BuildTree::Received { pin, configuration } => {
                        format!("{} {configuration}", pin.0[0])
                    }
                    BuildTree::ReceivedAll(pin) => format!("{} everything", pin.0[0]),
                };
                let version = version.map_or_else(String::new, |v| format!(" with {v}"));
                let skip = match bootloader {
                    kiln_model::Bootloader::Include => "",
                    kiln_model::Bootloader::Skip => " app only",
                };
                format!(
                    "build {} {} {tree}{version}{skip}",
                    self.name(&job),
                    kind.word()
                )
            }
            Effect::Drive(id, drive) => format!("drive {} {drive:?}", self.name(&id)),
            Effect::Stop(id, Ending::Asked) => format!("stop {}", self.name(&id)),
            Effect::Stop(id, Ending::AtOnce) => format!("stop {} at once", self.name(&id)),
        };
        self.log.push(line);
    }

    fn frame(&mut self, message: &Message) -> String {
        match message {
            Message::QueueStatus(q) if q.idle => "queue idle".to_owned(),
            Message::QueueStatus(q) if q.absence.is_some() => {
                let reason = q.absence.map_or("", |absence| absence.reason.word());
                format!("queue absent={reason} depth={}", q.queue_depth)
            }
            Message::QueueStatus(q) => {
                format!("queue running={} depth={}", q.running, q.queue_depth)
            }
            Message::SubmitJobAck { job_id, verdict } => match verdict {
                Ok(()) => format!("ack {job_id}"),
                Err(reason) => format!("refused {job_id} {reason:?}"),
            },
            Message::JobStateChanged {
                job_id,
                status,
                error_message,
                failure_reason,
            } => {
                let reason = failure_reason.map_or("", |FailureReason::Provision| " [provision]");
                let text = format!("{job_id} {}{reason} {error_message}", status.word());
                text.trim_end().to_owned()
            }
            Message::CancelJob { job_id } => format!("cancel {}", self.wire_name(job_id)),
            Message::ArtifactsEnd { job_id, verdict } => match verdict {
                Ok(()) => format!("end {job_id}"),
                Err((reason, _)) => format!("no artifacts {job_id} {reason:?}"),
            },
            Message::ResetBuildEnv { job_id } => {
                self.wires.push(job_id.clone());
                format!("reset {}", self.wire_name(job_id))
            }
            Message::ResetBuildEnvAck { job_id, verdict } => match verdict {
                Ok(()) => format!("reset ack {job_id}"),
                Err(reason) => format!("reset refused {job_id} {reason:?}"),
            },
            Message::Terminate(reason) => format!("terminate {}", reason.word()),
            other => panic!("{other:?}"),
        }
    }
}

/// A step that failed with a sentence.
pub(super) fn step_failed(text: &str) -> StepFailure {
    StepFailure::Failed(text.into())
}
