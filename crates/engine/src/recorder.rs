//! [`Recorder`]: what of the domain's effects is a fact for the audit: the only place that says so.
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kiln_domain::work::StoredJob;
use kiln_domain::{Effect, Event, Role, Session, peering, work};
use kiln_model::{
    AvailabilityReason, Built, CloseReason, DashboardId, Digest, Fact, FailureReason, Job, JobFact,
    JobId, JobOrigin, JobOutcome, JobStatus, JobStep, LinkId, Pairing, PairingFact, PairingStep,
    Party, Peer, Pin, Placement, SessionFact, SessionStep, SettingKey, Settings, Side,
    TerminateReason, Timestamp, WireJobId,
};

use crate::node::Node;
use crate::particulars::{Packed, Particular};
use crate::records;

/// What was recorded already, so that each thing is recorded once. Built from the stored rows at a
/// start: a row and the entry that tells of it are written together.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    jobs: HashMap<JobId, Seen>,
    offloaders: HashMap<DashboardId, Party>,
    receivers: HashMap<Pin, Party>,
    sessions: HashMap<LinkId, (Side, Party)>,
    /// Hashes of bundles that arrived and belong to no job yet.
    arrived: HashMap<(Pin, WireJobId), Digest>,
    /// For how long jobs of others ran whose end is saved next.
    ran: HashMap<JobId, Duration>,
}

/// How much of a job was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    started: Option<Timestamp>,
    status: JobStatus,
}

impl Seen {
    fn of(job: &Job) -> Self {
        Self {
            started: job.started_at,
            status: job.status,
        }
    }
}

impl Recorder {
    /// Learns what the store held at the start. Says who of it is trusted without an entry that says
    /// so: nobody's trust is older than the audit reaches back.
    pub(crate) fn load(
        &mut self,
        known: &HashSet<(Side, Pin)>,
        peers: &[Peer],
        pairings: &[Pairing],
        jobs: &[StoredJob],
    ) -> Vec<Fact> {
        let peer = |peer: &Peer| (peer.dashboard_id.clone(), of_peer(peer));
        self.offloaders.extend(peers.iter().map(peer));
        let receiver = |pairing: &Pairing| (pairing.pin, of_pairing(pairing));
        self.receivers.extend(pairings.iter().map(receiver));
        let seen = |stored: &StoredJob| (stored.job.id.clone(), Seen::of(&stored.job));
        self.jobs.extend(jobs.iter().map(seen));
        let offloaders = peers.iter().map(|peer| (Side::Offloader, of_peer(peer)));
        let receivers = pairings.iter().map(|of| (Side::Receiver, of_pairing(of)));
        offloaders
            .chain(receivers)
            .filter(|(side, party)| !known.contains(&(*side, party.pin)))
            .map(|(side, party)| pairing(PairingStep::Found, side, party))
            .collect()
    }

    /// Takes in an event that tells more than the effects that follow from it.
    fn hear(&mut self, event: &Event) {
        if let Event::Work(work::Event::SubmissionArrived { link, header, .. }) = event
            && let Some((_, party)) = self.sessions.get(link)
            && let Ok(digest) = header.bundle_sha256.parse()
        {
            let of = (party.pin, header.job_id.clone());
            self.arrived.insert(of, digest);
        }
    }

    fn peering(&mut self, effect: &peering::Effect, why: &str) -> Option<Fact> {
        match effect {
            peering::Effect::SavePeer(peer) => {
                let party = of_peer(peer);
                let id = peer.dashboard_id.clone();
                let old = self.offloaders.insert(id, party.clone());
                let new = old.is_none_or(|old| old.pin != party.pin);
                new.then(|| pairing(PairingStep::Approved, Side::Offloader, party))
            }
            peering::Effect::ForgetPeer(id, _) => {
                let party = self.offloaders.remove(id)?;
                Some(pairing(PairingStep::Removed, Side::Offloader, party))
            }
            peering::Effect::SavePairing(saved) => {
                let party = of_pairing(saved);
                let old = self.receivers.insert(saved.pin, party.clone());
                old.is_none()
                    .then(|| pairing(PairingStep::Approved, Side::Receiver, party))
            }
            peering::Effect::ForgetPairing(pin) => {
                let party = self.receivers.remove(pin)?;
                Some(pairing(PairingStep::Removed, Side::Receiver, party))
            }
            peering::Effect::Record(fact) => Some(Fact::Pairing(fact.clone())),
            peering::Effect::SessionUp(session) => {
                let (side, party) = self.other_side(session);
                self.sessions.insert(session.link, (side, party.clone()));
                Some(Fact::Session(SessionFact {
                    step: SessionStep::Opened,
                    side,
                    party,
                    why: String::new(),
                }))
            }
            peering::Effect::SessionDown { link, .. } => {
                let (side, party) = self.sessions.remove(link)?;
                Some(Fact::Session(SessionFact {
                    step: SessionStep::Closed,
                    side,
                    party,
                    why: why.to_owned(),
                }))
            }
            // `RotateIdentity` is a fact only when it has worked.
            peering::Effect::RotateIdentity
            | peering::Effect::Listen
            | peering::Effect::StopListening
            | peering::Effect::Advertise(_)
            | peering::Effect::Answer { .. }
            | peering::Effect::Dial { .. }
            | peering::Effect::Close { .. }
            | peering::Effect::PairingsChanged
            | peering::Effect::BootstrapLapsed
            | peering::Effect::BootstrapFailed(_)
            | peering::Effect::ViewChanged => None,
        }
    }

    fn other_side(&self, session: &Session) -> (Side, Party) {
        let pin = session.pin;
        match &session.role {
            Role::Offloader => {
                let known = self.receivers.get(&pin).cloned();
                let label = Default::default();
                (Side::Receiver, known.unwrap_or(Party { pin, label }))
            }
            Role::Receiver { label, .. } => {
                let label = label.clone();
                (Side::Offloader, Party { pin, label })
            }
        }
    }

    /// Says what is new of a job that is saved.
    fn job(&mut self, job: &Job, known: &Particular) -> Vec<Fact> {
        let seen = self.jobs.insert(job.id.clone(), Seen::of(job));
        let mut steps = Vec::new();
        if seen.is_none() {
            steps.push(JobStep::Accepted);
        }
        let began = job.started_at.is_some();
        if began && seen.is_none_or(|seen| seen.started != job.started_at) {
            steps.push(JobStep::Started);
        }
        if job.status.is_final() && seen.is_none_or(|seen| !seen.status.is_final()) {
            steps.push(JobStep::Ended);
        }
        let ran = self.ran.get(&job.id).copied();
        let fact = |step| Fact::Job(Box::new(job_fact(step, job, ran, known)));
        steps.into_iter().map(fact).collect()
    }

    /// Returns the hash of the bundle that a new job came with.
    fn bundle(&self, job: &Job) -> Option<Digest> {
        match &job.origin {
            JobOrigin::Owner => None,
            JobOrigin::Offloader {
                pin, wire_job_id, ..
            } => self.arrived.get(&(*pin, wire_job_id.clone())).copied(),
        }
    }

    /// Whatever arrived has its job by now, or none, and what ended was saved.
    pub(crate) fn settle(&mut self) {
        self.arrived.clear();
        self.ran.clear();
    }
}

impl Node {
    /// Puts into the audit what an event tells.
    pub(crate) fn record_event(&mut self, event: &Event) {
        self.recorder.hear(event);
        match event {
            Event::Work(work::Event::BundleMade(job, Ok(facts))) => {
                let bundle = facts.sha256.parse().ok();
                let note = |known: &mut Particular| known.bundle = bundle;
                self.context.particulars.note(job, note);
            }
            Event::Work(work::Event::ArtifactsServed(..)) => {
                for packed in self.context.particulars.take_packed() {
                    self.record_packed(&packed);
                }
            }
            _ => {}
        }
    }

    /// Puts into the audit what an effect tells, before it is performed: what it saves is then
    /// written together with it.
    pub(crate) fn record_effect(&mut self, effect: &Effect) {
        let facts = match effect {
            Effect::Peering(effect) => {
                let why = match effect {
                    peering::Effect::SessionDown { why, .. } => self.sentence(why),
                    _ => String::new(),
                };
                self.recorder.peering(effect, &why).into_iter().collect()
            }
            Effect::Work(work::Effect::SaveJob(stored)) => self.job_facts(&stored.job),
            Effect::Work(work::Effect::SaveGiven(given)) => {
                self.recorder.ran.insert(given.job.clone(), given.took);
                Vec::new()
            }
            Effect::Work(work::Effect::ForgetJob(job)) => {
                self.recorder.jobs.remove(job);
                Vec::new()
            }
            Effect::SaveSettings(new) => changed(&self.context.settings(), new),
            Effect::Work(_)
            | Effect::Reply(..)
            | Effect::ReadAudit(..)
            | Effect::ShutDown
            | Effect::Watch(_)
            | Effect::SleepMayCome
            | Effect::Hold(_) => Vec::new(),
        };
        self.record(facts);
    }

    /// Puts facts into the audit.
    pub(crate) fn record(&mut self, facts: Vec<Fact>) {
        let at = self.context.clock.now().wall;
        for fact in facts {
            self.audit.add(at, &fact);
        }
    }

    fn job_facts(&mut self, job: &Job) -> Vec<Fact> {
        let particulars = &self.context.particulars;
        if let Some(bundle) = self.recorder.bundle(job) {
            particulars.note(&job.id, |known| known.bundle = Some(bundle));
        }
        let mut known = particulars.of(&job.id);
        // A receiver builds with our version, unless the placement names another.
        if let Placement::Remote {
            esphome_version, ..
        } = &job.placement
        {
            let own = self.domain.work().own_version();
            known.version = esphome_version.as_ref().or(own).cloned();
        }
        if job.status.is_final() {
            particulars.forget(&job.id);
        }
        self.recorder.job(job, &known)
    }

    fn record_packed(&mut self, packed: &Packed) {
        let of = |job: &Job| match &job.origin {
            JobOrigin::Owner => false,
            JobOrigin::Offloader {
                pin, wire_job_id, ..
            } => *pin == packed.pin && *wire_job_id == packed.wire_job,
        };
        let jobs = self.domain.work().jobs();
        if let Some(job) = jobs.iter().find(|job| of(job)) {
            let known = Particular {
                artifacts: Some(packed.artifacts),
                ..self.context.particulars.of(&job.id)
            };
            let fact = job_fact(JobStep::Packed, job, None, &known);
            self.record(vec![Fact::Job(Box::new(fact))]);
        }
    }

    /// Says why a session ended.
    fn sentence(&self, why: &CloseReason) -> String {
        let availability = self.domain.availability();
        match (why, availability.reason) {
            (_, AvailabilityReason::Ready) => sentence(why),
            (CloseReason::WeTerminated(TerminateReason::ServerShuttingDown), reason) => {
                format!("this side is not lent ({})", reason.word())
            }
            _ => sentence(why),
        }
    }
}

fn sentence(why: &CloseReason) -> String {
    match why {
        CloseReason::Terminated(reason) => format!("the other side ended it ({})", reason.word()),
        CloseReason::TerminatedUnknown(word) => format!("the other side ended it ({word})"),
        CloseReason::WeTerminated(reason) => format!("this side ended it ({})", reason.word()),
        CloseReason::TransportError(text) => text.to_string(),
        CloseReason::PeerHungUp => "the connection broke off".to_owned(),
        CloseReason::HeartbeatTimeout => "nothing was heard for 90 s".to_owned(),
        CloseReason::SelfLoopback => "it led back to this computer".to_owned(),
        CloseReason::PinMismatch => "another key answered".to_owned(),
    }
}

/// Says which settings are new. None of them is a secret.
pub(crate) fn changed(old: &Settings, new: &Settings) -> Vec<Fact> {
    let change = |key: &SettingKey| {
        let (old, new) = (
            records::setting_text(old, *key),
            records::setting_text(new, *key),
        );
        (old != new).then(|| Fact::Setting {
            name: key.word().to_owned(),
            old,
            new,
        })
    };
    SettingKey::ALL.iter().filter_map(change).collect()
}

/// Makes the fact of a step in the life of a pairing.
pub(crate) fn pairing(step: PairingStep, side: Side, party: Party) -> Fact {
    Fact::Pairing(PairingFact {
        step,
        side,
        party,
        observed: None,
    })
}

fn of_peer(peer: &Peer) -> Party {
    Party {
        pin: peer.pin,
        label: peer.label.clone(),
    }
}

fn of_pairing(pairing: &Pairing) -> Party {
    Party {
        pin: pairing.pin,
        label: pairing.label.clone(),
    }
}

fn job_fact(step: JobStep, job: &Job, ran: Option<Duration>, known: &Particular) -> JobFact {
    let sender = match &job.origin {
        JobOrigin::Owner => None,
        JobOrigin::Offloader { pin, label, .. } => Some(Party {
            pin: *pin,
            label: label.clone(),
        }),
    };
    let built = match &job.placement {
        Placement::Local => Built::Here,
        Placement::RemotePending => Built::Undecided,
        Placement::Remote { pin, label, .. } => Built::There(Party {
            pin: *pin,
            label: label.clone(),
        }),
    };
    let outcome = match (job.status, job.failure_reason) {
        (JobStatus::Queued | JobStatus::Running, _) => None,
        (JobStatus::Completed, _) => Some(JobOutcome::Completed),
        (JobStatus::Cancelled, _) => Some(JobOutcome::Cancelled),
        (JobStatus::Failed, Some(FailureReason::Provision)) if sender.is_some() => {
            Some(JobOutcome::HandedBack)
        }
        (JobStatus::Failed, _) => Some(JobOutcome::Failed),
    };
    JobFact {
        step,
        job: job.id.clone(),
        kind: job.kind,
        sender,
        configuration: job.configuration.clone(),
        device: job.device_name.clone(),
        built,
        accepted: job.created_at,
        started: job.started_at,
        ended: job.completed_at,
        ran,
        outcome,
        reason: job.error.as_ref().unwrap_or(&job.reason).to_string(),
        esphome_version: known.version.clone().or(job.target_version.clone()),
        bundle: known.bundle,
        artifacts: known.artifacts,
        tier: known.tier,
        hosts: known.contacts.reached_first(),
        more_hosts: known.contacts.more(),
    }
}
