//! [`Work`]: the decision maker for jobs of both roles. Each concern has a file of its own; this
//! one holds what they share and hands every event to the right one.
use std::collections::VecDeque;

use kiln_model::{
    Availability, AvailabilityReason, Device, EnvironmentInfo, EsphomeVersion, Job, JobId, LinkId,
    Mono, Now, Pairing, Pin, QueueStatus, Request, Settings, WireJobId,
};

use super::Event;
use crate::peering::Session;
use crate::{ClientId, Deadline, RequestId};

/// Everything about jobs: the owner's installs and the builds received from offloaders.
///
/// Feed it what happened, then drain [`Work::poll_effect`]. Effects come in the order in which they
/// have to be performed.
#[derive(Debug)]
pub struct Work {
    settings: Settings,
    effects: VecDeque<crate::Effect>,
}

impl Work {
    /// Makes a node without jobs. `seed` feeds the generator of job and wire ids: it has to differ
    /// between processes, so the engine takes it from the operating system.
    pub fn new(seed: u64) -> Self {
        let _ = seed;
        Self {
            settings: Settings::default(),
            effects: VecDeque::new(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, now: Now) {
        let _ = (event, now);
    }

    /// A person asked for something that is about jobs, devices or environments: `Devices`,
    /// `Install`, `Compile`, `Clean`, `Jobs`, `Job`, `Cancel`, `BuildHere`, `Environments`,
    /// `InstallEnvironment` and `ResetEnvironment`. Each is answered with exactly one
    /// [`crate::Effect::Reply`], possibly later. Any other request belongs to somebody else and is
    /// ignored here.
    pub fn handle_request(&mut self, client: ClientId, id: RequestId, request: &Request, now: Now) {
        let _ = (client, id, request, now);
    }

    /// A session is open, in either role.
    pub fn session_up(&mut self, session: &Session, now: Now) {
        let _ = (session, now);
    }

    /// A session is over.
    pub fn session_down(&mut self, link: LinkId, pin: Pin, now: Now) {
        let _ = (link, pin, now);
    }

    /// A pairing is new, changed or gone: here are all of them.
    pub fn pairings_changed(&mut self, pairings: &[Pairing], now: Now) {
        let _ = (pairings, now);
    }

    /// The deadline of [`Work::poll_timeout`] passed.
    pub fn handle_timeout(&mut self, now: Now) {
        let _ = now;
    }

    /// Returns the next deadline and what it is for.
    pub fn poll_timeout(&self) -> Option<(Mono, Deadline)> {
        None
    }

    /// Returns the next thing to do: a [`crate::Effect::Work`] or a [`crate::Effect::Reply`].
    pub fn poll_effect(&mut self) -> Option<crate::Effect> {
        self.effects.pop_front()
    }

    /// Returns every job, newest first.
    pub fn jobs(&self) -> Vec<Job> {
        Vec::new()
    }

    /// Returns the truth about our compile lane.
    pub fn queue_status(&self) -> QueueStatus {
        QueueStatus::of(false, 0)
    }

    /// Returns the last queue status that a receiver pushed.
    pub fn receiver_queue(&self, pin: &Pin) -> Option<QueueStatus> {
        let _ = pin;
        None
    }

    /// Returns whether this computer compiles for others now.
    pub fn availability(&self) -> Availability {
        if self.settings.receiver {
            Availability::Open
        } else {
            Availability::Closed(AvailabilityReason::UserOff)
        }
    }

    /// Returns the owner's devices as of the last scan.
    pub fn devices(&self) -> &[Device] {
        &[]
    }

    /// Returns the environments as last told.
    pub fn environments(&self) -> &[EnvironmentInfo] {
        &[]
    }

    /// Returns the ESPHome version of the owner's own builds; `None` until one is installed.
    pub fn own_version(&self) -> Option<&EsphomeVersion> {
        None
    }

    /// Offloader: the job whose log takes output that arrives on `link` under `wire`. `None`: drop it.
    pub fn log_of(&self, link: LinkId, wire: &WireJobId) -> Option<JobId> {
        let _ = (link, wire);
        None
    }

    /// Receiver: where output of a received job goes right now, beside its log. `None`: the owner's
    /// job, or the offloader is away.
    pub fn output_route(&self, job: &JobId) -> Option<(LinkId, WireJobId)> {
        let _ = job;
        None
    }
}
