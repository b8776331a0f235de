//! What happens, done to the machine and to the world around it.
use std::time::Duration;

use kiln_model::witness::DigestVerified;
use kiln_model::{
    ArtifactsRefusal, BlobId, BuildChoice, CloseReason, FailureReason, JobId, JobKind, JobOrigin,
    JobStatus, LinkId, Message, Pin, Port, Request, Sentence, SubmitHeader, SubmitRefusal,
    TerminateReason, WireJobId,
};

use super::actions::{Action, Choice, Far, How, Parting};
use super::{DEVICES, OFFLOADERS, Op, RECEIVERS, Verdict, World, devices};
use crate::work::fixtures::{failed, pairing, pin, seen, version, wire, yaml};
use crate::work::{
    BuildTree, BundleFacts, DownloadFailure, Event, ProcessOutcome, StepFailure, StoredJob,
};
use crate::{Lending, Role, Session};

impl World {
    pub(super) fn act(&mut self, action: &Action) {
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
            Action::Accepted(n, on) => self.have_accepted(DEVICES[n % 3], *on),
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
            Action::Blip(n, parting, back) => {
                let who = RECEIVERS[n % 2];
                if let Some(link) = self.link_of(who) {
                    self.hang_up(link, who, *parting);
                    if *back {
                        self.toggle_link(who);
                    }
                }
            }
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

    /// All that is to be sent to receivers is, and accepted there.
    fn have_accepted(&mut self, name: &str, on: usize) {
        let who = RECEIVERS[on % 2];
        if self.link_of(who).is_none() {
            self.toggle_link(who);
        }
        let (device, build) = (name.to_owned(), BuildChoice::On(pin(who)));
        self.request(&Request::Compile { device, build });
        let sends = |op: &&Op| matches!(op, Op::Bundle(_) | Op::Upload(..));
        while let Some(op) = self.ops.iter().find(sends).cloned() {
            self.end(&op, How::Well);
        }
        let is_open = |(_, _, verdict): &(_, _, Verdict)| *verdict == Verdict::Open;
        while let Some(at) = self.far.iter().position(is_open) {
            self.answer(at, Far::Yes);
        }
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
            // It was asked for what goes on there, is forgotten, or ended unheard.
            Op::Download(link, wire) if self.is_far(link, &wire) && how != How::Provision => {
                let reason = if well {
                    ArtifactsRefusal::JobNotCompleted
                } else {
                    self.far.retain(|(l, w, _)| (l, w) != (&link, &wire));
                    ArtifactsRefusal::UnknownJob
                };
                let refused = DownloadFailure::Refused(Some(reason), Sentence::default());
                Event::Downloaded(link, wire, Err(refused))
            }
            Op::Download(link, wire) if well || self.is_far(link, &wire) => {
                self.far.retain(|(l, w, _)| (l, w) != (&link, &wire));
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
            (Far::Line, Verdict::Open) => Far::Yes,
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
            Far::Line => Message::JobOutput {
                job_id: job_id.clone(),
                line: "Compiling\n".to_owned(),
            },
            Far::No => ack(Err(Some(SubmitRefusal::HashMismatch))),
            Far::Busy => ack(Err(Some(SubmitRefusal::DuplicateSubmit))),
            Far::Completed => state(JobStatus::Completed, None),
            Far::Failed => state(JobStatus::Failed, None),
            Far::Provision => state(JobStatus::Failed, Some(FailureReason::Provision)),
            Far::Cancelled => state(JobStatus::Cancelled, None),
        };
        match answer {
            Far::Yes | Far::Line => self.far[at].2 = Verdict::Accepted,
            _ => drop(self.far.remove(at)),
        }
        self.feed(Event::Received(link, message));
    }

    fn is_far(&self, link: LinkId, wire: &WireJobId) -> bool {
        self.far.iter().any(|(l, w, _)| (*l, w) == (link, wire))
    }

    pub(super) fn finish_op(&mut self, op: &Op) -> bool {
        let before = self.ops.len();
        self.ops.retain(|o| o != op);
        self.ops.len() < before
    }

    fn blob(&mut self) -> BlobId {
        self.next += 1;
        let blob = BlobId::new("blob", self.next);
        self.blobs.insert(blob.clone());
        blob
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
            return self.hang_up(link, who, Parting::Told);
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
        // What goes on at a receiver is told over its newest session.
        let back = self.adrift.extract_if(.., |(of, _)| *of == who);
        let back = back.map(|(_, wire)| (link, wire, Verdict::Accepted));
        self.far.extend(back);
        let pin: Pin = pin(who);
        self.work.session_up(&Session { link, pin, role }, self.now);
        self.drain();
    }

    pub(super) fn hang_up(&mut self, link: LinkId, who: u8, parting: Parting) {
        self.links.remove(&link);
        let left = self.far.extract_if(.., |(of, ..)| *of == link);
        let goes_on = left
            .filter(|(_, _, verdict)| parting == Parting::Silent && *verdict == Verdict::Accepted);
        let goes_on = goes_on.map(|(_, wire, _)| (who, wire));
        self.adrift.extend(goes_on);
        let of = self.accepted.keys().filter(|(of, _)| *of == who);
        self.missed.extend(of.cloned());
        let why = match parting {
            Parting::Silent => CloseReason::PeerHungUp,
            Parting::Told => CloseReason::Terminated(TerminateReason::ServerShuttingDown),
        };
        self.work.session_down(link, pin(who), &why, self.now);
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
            self.hang_up(link, who, Parting::Told);
        }
        if cancels == 0 {
            assert_eq!(self.ends.len(), ends, "stopping ended a job");
        }
        self.start();
    }

    /// Everything goes well from now on: every job comes to its end, nothing is left behind.
    pub(super) fn settle(&mut self) {
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
