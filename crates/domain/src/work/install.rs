//! The owner's requests: an install is a compile and a flash that waits for it. Devices that are
//! away are flashed when they come back.
use std::time::Duration;

use kiln_model::{
    Bootloader, ConfigurationName, Device, EnvironmentInfo, EnvironmentState, ErrorCode, JobId,
    JobKind, JobOrigin, JobStatus, Mono, Now, PairingStatus, Pin, Placement, Port, PortState,
    Presence, Reply, Request, RequestError, Sentence, SerialPort, say,
};

use super::devices;
use super::dispatch::MAX_LOSSES;
use super::effect::{Effect, StoredJob};
use super::jobs::{Entry, Step, new_job};
use super::outcome::Outcome;
use super::schedule::{Path, Rule, Standing};
use super::{OwnVersion, Stage, Work};
use crate::RequestId;
use kiln_model::{BuildChoice, EsphomeVersion};

/// Longest a request waits for a scan of the devices.
const SCAN_PATIENCE: Duration = Duration::from_secs(10);

/// A request that waits for a scan of the owner's devices, because it asks for them or names one
/// that may be new.
#[derive(Debug)]
pub(super) struct Parked {
    id: RequestId,
    request: Request,
    pub(super) until: Mono,
}

/// Where a new compile goes, and why.
struct Plan {
    placement: Placement,
    reason: Sentence,
    only_on: Option<Pin>,
}

/// What a new chain is made of.
struct Chain<'a> {
    configuration: &'a ConfigurationName,
    device_name: &'a str,
    flash: Option<Port>,
}

impl Work {
    pub(super) fn request(&mut self, id: RequestId, request: &Request, now: Now) {
        match self.stage {
            Stage::Serving => {}
            Stage::Loading => return self.refuse(id, unavailable(say::starting())),
            Stage::Stopping => return self.refuse(id, unavailable(say::stopping())),
        }
        match request {
            Request::Devices => self.park(id, request, now),
            Request::SerialPorts => self.push(Effect::ListPorts(id)),
            Request::Install {
                port: Port::Serial(path),
                ..
            }
            | Request::Flash {
                port: Port::Serial(path),
                ..
            } if path != Port::BOOTSEL => {
                self.plugging.insert(id, request.clone());
                self.push(Effect::LookAtPort(id, path.clone()));
            }
            Request::Install { device, .. }
            | Request::Flash { device, .. }
            | Request::Compile { device, .. }
            | Request::Clean { device } => self.named(id, request, device, now),
            Request::Jobs => {
                let jobs = self.jobs();
                self.reply(id, Reply::Jobs(jobs));
            }
            Request::Job(job) => match self.jobs.get(job) {
                Some(entry) => {
                    let job = entry.stored.job.clone();
                    self.reply(id, Reply::Jobs(vec![job]));
                }
                None => self.refuse(id, no_job(job)),
            },
            Request::Cancel(job) => self.cancel_request(id, job, now),
            Request::BuildHere(job) => self.build_here(id, job, now),
            Request::Storage => self.storage_asked(id),
            Request::Reclaim => self.reclaim_asked(id),
            Request::Environments => {
                let environments = self.environments.clone();
                self.reply(id, Reply::Environments(environments));
            }
            Request::NewestEnvironment => self.push(Effect::FindNewestEnvironment(id)),
            Request::InstallEnvironment(version) => self.install_environment(id, version),
            Request::ResetEnvironment(None) => self.reset_own(id, now),
            Request::ResetEnvironment(Some(pin)) => self.reset_receiver(id, *pin, now),
            Request::Status
            | Request::RotateIdentity
            | Request::Preview(_)
            | Request::Pair { .. }
            | Request::Unpair(_)
            | Request::SetPairingEnabled(..)
            | Request::EditEndpoint(..)
            | Request::Pause(_)
            | Request::Resume
            | Request::OpenWindow
            | Request::CloseWindow
            | Request::Approve(..)
            | Request::Reject(_)
            | Request::RemovePeer(_)
            | Request::Settings
            | Request::SetSettings(_)
            | Request::Audit(_)
            | Request::Shutdown => {}
        }
    }

    /// A request for a device, which may be newer than the last scan.
    fn named(&mut self, id: RequestId, request: &Request, device: &str, now: Now) {
        match (devices::find(&self.devices, device), request) {
            // Whether anything is built is looked at anew.
            (Err(_), _) | (Ok(_), Request::Flash { .. }) => self.park(id, request, now),
            (Ok(found), _) => {
                let found = found.clone();
                self.device_request(id, request, &found, now);
            }
        }
    }

    /// What is to be flashed through a serial port goes on only if the port can be used now: a build of
    /// ten minutes that ends at a closed door helps nobody.
    pub(super) fn port_looked(&mut self, id: RequestId, found: Option<SerialPort>, now: Now) {
        let Some(request) = self.plugging.remove(&id) else {
            return;
        };
        let (Request::Install { device, port, .. } | Request::Flash { device, port }) = &request
        else {
            return;
        };
        let Port::Serial(path) = port else {
            return;
        };
        if self.stage == Stage::Stopping {
            return self.refuse(id, unavailable(say::stopping()));
        }
        match found {
            None => self.refuse(id, no_port(path)),
            Some(port) => match port.state {
                PortState::Usable | PortState::Unknown => self.named(id, &request, device, now),
                PortState::Denied | PortState::Busy => self.refuse(id, unusable(port.problem)),
            },
        }
    }

    fn park(&mut self, id: RequestId, request: &Request, now: Now) {
        if self.parked.is_empty() {
            self.push(Effect::ScanDevices);
        }
        self.parked.push(Parked {
            id,
            request: request.clone(),
            until: now.mono + SCAN_PATIENCE,
        });
    }

    pub(super) fn expire_parked(&mut self, now: Now) {
        let (expired, waiting) = std::mem::take(&mut self.parked)
            .into_iter()
            .partition(|p| p.until <= now.mono);
        self.parked = waiting;
        for parked in Vec::from_iter::<Vec<Parked>>(expired) {
            self.refuse(parked.id, unavailable(say::scan_slow()));
        }
    }

    pub(super) fn devices_scanned(&mut self, mut scanned: Vec<Device>, now: Now) {
        for device in &mut scanned {
            let before = self.devices.iter();
            let mut before = before.filter(|d| d.configuration == device.configuration);
            // A scan reads files; it knows nothing of the network.
            if let (Presence::Unknown, Some(known)) = (device.presence, before.next()) {
                device.presence = known.presence;
            }
            self.recall(device);
        }
        self.devices = scanned;
        self.remember_sighted();
        for parked in std::mem::take(&mut self.parked) {
            match &parked.request {
                Request::Install { device, .. }
                | Request::Flash { device, .. }
                | Request::Compile { device, .. }
                | Request::Clean { device } => match devices::find(&self.devices, device) {
                    Ok(found) => {
                        let found = found.clone();
                        self.device_request(parked.id, &parked.request, &found, now);
                    }
                    Err(error) => self.refuse(parked.id, error),
                },
                _ => {
                    let devices = self.devices.clone();
                    self.reply(parked.id, Reply::Devices(devices));
                }
            }
        }
        self.let_go_of_gone(now);
        self.flash_returned();
    }

    /// Lets go of devices whose configurations were renamed or deleted: nothing would ever release the
    /// flashes that wait for them. A folder without any says nothing: it may not be mounted.
    fn let_go_of_gone(&mut self, now: Now) {
        if self.devices.is_empty() {
            return;
        }
        self.forget_sighted();
        let devices = &self.devices;
        let is_listed = |name: &str| devices.iter().any(|d| d.configuration.as_str() == name);
        let is_gone =
            |e: &Entry| matches!(e.step, Step::Away) && !is_listed(&e.stored.job.configuration);
        for id in self.jobs.ids(is_gone) {
            self.cancel(&id, say::configuration_gone(), now);
        }
    }

    pub(super) fn device_seen(
        &mut self,
        configuration: &ConfigurationName,
        address: Option<String>,
        version: String,
    ) {
        if let Some(device) = self.device_mut(configuration) {
            device.presence = Presence::Online;
            device.deployed_version = version;
            if let Some(address) = address {
                device.address = address;
            }
        }
        self.remember_sighted();
        self.flash_returned();
    }

    pub(super) fn device_gone(&mut self, configuration: &ConfigurationName) {
        if let Some(device) = self.device_mut(configuration) {
            device.presence = Presence::Offline;
        }
    }

    fn device_mut(&mut self, configuration: &ConfigurationName) -> Option<&mut Device> {
        let mut devices = self.devices.iter_mut();
        devices.find(|d| d.configuration == *configuration)
    }

    fn device_request(&mut self, id: RequestId, request: &Request, device: &Device, now: Now) {
        let configuration = device.configuration.as_str();
        if let Some(error) = self.refusal_while_flashing(|written| written == configuration) {
            return self.refuse(id, error);
        }
        let chain = |flash| Chain {
            configuration: &device.configuration,
            device_name: display_name(device),
            flash,
        };
        let result = match request {
            Request::Install { build, port, .. } => self
                .plan(build)
                .map(|plan| self.start_chain(&chain(Some(port.clone())), plan, now)),
            Request::Compile { build, .. } => self
                .plan(build)
                .map(|plan| self.start_chain(&chain(None), plan, now)),
            Request::Flash { port, .. } => self
                .has_own_esphome()
                .and_then(|()| self.may_flash(device, port))
                .map(|()| self.flash_built(&chain(Some(port.clone())), now)),
            _ => Ok(self.clean(device, now)),
        };
        match result {
            Ok(jobs) => self.reply_jobs(id, &jobs),
            Err(error) => self.refuse(id, error),
        }
    }

    fn reply_jobs(&mut self, id: RequestId, jobs: &[JobId]) {
        let jobs = jobs.iter().filter_map(|job| self.jobs.get(job));
        let jobs = jobs.map(|e| e.stored.job.clone()).collect();
        self.reply(id, Reply::Jobs(jobs));
    }

    /// Decides whether a compile may leave this machine. Which receiver gets it is decided when it
    /// is dispatched, unless the owner chose one.
    fn plan(&mut self, build: &BuildChoice) -> Result<Plan, RequestError> {
        self.refresh_conditions();
        self.has_own_esphome()?;
        match build {
            BuildChoice::Local => Ok(Plan {
                placement: Placement::Local,
                reason: say::here_as_chosen(),
                only_on: None,
            }),
            BuildChoice::On(pin) => self.plan_on(*pin),
            BuildChoice::Auto => self.plan_auto(),
        }
    }

    /// Refuses what cannot be done without an ESPHome here: whoever builds, configurations are packed
    /// and devices flashed with the owner's.
    fn has_own_esphome(&self) -> Result<(), RequestError> {
        if self.own_version().is_some() || self.inquiry == OwnVersion::Asked {
            return Ok(());
        }
        let set = self.settings.esphome_version.trim();
        let comes = |e: &&EnvironmentInfo| {
            matches!(e.state, EnvironmentState::Installing(_))
                && (set.is_empty() || set == e.version.as_str())
        };
        if let Some(coming) = self.environments.iter().find(comes) {
            return Err(RequestError {
                code: ErrorCode::Unavailable,
                message: say::own_esphome_comes(&coming.version),
                hint: say::hint_ask_again(),
            });
        }
        let (message, hint) = match set {
            "" => (say::own_esphome_missing(), say::hint_install_esphome()),
            set => (say::set_esphome_missing(set), say::hint_set_esphome()),
        };
        Err(RequestError {
            code: ErrorCode::PreconditionFailed,
            message,
            hint,
        })
    }

    fn plan_auto(&self) -> Result<Plan, RequestError> {
        let remote = |reason| Plan {
            placement: Placement::RemotePending,
            reason,
            only_on: None,
        };
        if self.grace.is_some() && self.settings.remote_builds && self.has_usable_pairing() {
            return Ok(remote(say::waits_for_links()));
        }
        if self.awaits_own_version() && self.settings.remote_builds && self.has_usable_pairing() {
            return Ok(remote(say::waits_for_own_version()));
        }
        let decision = self.receivers.pick_build_path();
        match decision.outcome {
            // A receiver may be back before this machine comes to it.
            Path::Local if decision.rule == Rule::Fallback && decision.tally.intended > 0 => {
                Ok(remote(say::waits_for_either(decision.sentence())))
            }
            Path::Local => Ok(Plan {
                placement: Placement::Local,
                reason: say::here_because(decision.sentence()),
                only_on: None,
            }),
            Path::Remote(_) => Ok(remote(decision.sentence())),
            Path::NoCompatiblePeer => Err(RequestError {
                code: ErrorCode::NoCompatiblePeer,
                message: say::nobody_may_build(decision.sentence()),
                hint: say::hint_local_or_any(),
            }),
        }
    }

    fn plan_on(&self, pin: Pin) -> Result<Plan, RequestError> {
        let Some(found) = self.receivers.standing(pin) else {
            return Err(not_paired(pin));
        };
        let refuse = |code, hint| {
            Err(RequestError {
                code,
                message: say::cannot_build_there(found.sentence()),
                hint,
            })
        };
        if !self.settings.remote_builds {
            return Err(RequestError {
                code: ErrorCode::PreconditionFailed,
                message: say::remote_builds_are_off(),
                hint: say::hint_remote_builds(),
            });
        }
        match found.standing {
            Standing::NotApproved => {
                refuse(ErrorCode::PreconditionFailed, say::hint_accept_there())
            }
            Standing::Disabled => refuse(ErrorCode::PreconditionFailed, say::hint_enable()),
            Standing::LinkClosed if self.grace.is_none() => {
                refuse(ErrorCode::Unavailable, say::hint_same_network())
            }
            Standing::NotLent => refuse(ErrorCode::Unavailable, say::hint_elsewhere()),
            Standing::OtherVersion => {
                refuse(ErrorCode::NoCompatiblePeer, say::hint_version_policy())
            }
            Standing::LinkClosed
            | Standing::BusyWithOurs
            | Standing::Idle
            | Standing::BusyWithOthers
            | Standing::QueueUnknown => Ok(Plan {
                placement: Placement::RemotePending,
                reason: say::as_chosen(found.sentence()),
                only_on: Some(pin),
            }),
        }
    }

    pub(super) fn has_usable_pairing(&self) -> bool {
        let usable = |p: &kiln_model::Pairing| match p.status {
            PairingStatus::Approved => p.enabled,
            PairingStatus::Pending => false,
        };
        self.pairings.iter().any(usable)
    }

    /// Makes a compile, and the flash that waits for it. Both exist before anything runs.
    fn start_chain(&mut self, chain: &Chain<'_>, plan: Plan, now: Now) -> Vec<JobId> {
        let mut compile = self.new_own(JobKind::Compile, chain, now);
        compile.job.bootloader = match &chain.flash {
            Some(Port::Ota | Port::Address(_)) => Bootloader::Skip,
            Some(Port::Serial(_)) | None => Bootloader::Include,
        };
        compile.job.placement = plan.placement;
        compile.job.reason.clone_from(&plan.reason);
        compile.only_on = plan.only_on;
        let step = first_step(&compile);
        let compile_id = compile.job.id.clone();
        self.jobs.insert(Entry::new(compile, step));
        let mut ids = vec![compile_id.clone()];
        if let Some(port) = &chain.flash {
            let mut flash = self.new_own(JobKind::Upload, chain, now);
            flash.job.depends_on = Some(compile_id.clone());
            flash.job.port = Some(port.clone());
            flash.job.reason = say::waits_for_build();
            ids.push(flash.job.id.clone());
            self.jobs.insert(Entry::new(flash, Step::Held));
        }
        for id in &ids {
            self.save(id);
        }
        for id in ids.iter().rev() {
            self.announce(id);
        }
        self.note(&compile_id, plan.reason);
        self.supersede(chain.configuration.as_str(), &ids, now);
        ids
    }

    fn new_own(&mut self, kind: JobKind, chain: &Chain<'_>, now: Now) -> StoredJob {
        let id = self.new_id();
        new_job(
            id,
            kind,
            chain.configuration.as_str(),
            chain.device_name,
            now.wall,
        )
    }

    pub(super) fn new_id(&mut self) -> JobId {
        let mut id = self.ids.job();
        while self.jobs.contains(&id) {
            id = self.ids.job();
        }
        id
    }

    /// Why nothing is begun for these configurations now: a device is written, and one that is left half-way
    /// may not start again. Only a cancel of that flash may do this, not what else is asked for.
    fn refusal_while_flashing(&self, of: impl Fn(&str) -> bool) -> Option<RequestError> {
        let written = |e: &&Entry| {
            matches!(e.step, Step::Flashing)
                && !e.stored.cancel_requested
                && of(&e.stored.job.configuration)
        };
        let flash = self.jobs.active().map(|(_, e)| e).find(written)?;
        Some(RequestError {
            code: ErrorCode::AlreadyExists,
            message: say::being_flashed(&flash.stored.job.device_name),
            hint: say::hint_flash_first(),
        })
    }

    /// A newer job of the owner replaces every active one of the same configuration.
    fn supersede(&mut self, configuration: &str, keep: &[JobId], now: Now) {
        let same = |e: &Entry| e.is_owners() && e.stored.job.configuration == configuration;
        for id in self.jobs.ids(same) {
            if !keep.contains(&id) {
                self.cancel(&id, say::replaced(), now);
            }
        }
    }

    /// A local clean, and one on every receiver that is connected, even a disabled one.
    fn clean(&mut self, device: &Device, now: Now) -> Vec<JobId> {
        let chain = Chain {
            configuration: &device.configuration,
            device_name: display_name(device),
            flash: None,
        };
        let clean = self.new_own(JobKind::Clean, &chain, now);
        let id = clean.job.id.clone();
        self.jobs.insert(Entry::new(clean, Step::Lane));
        self.announce(&id);
        self.supersede(
            device.configuration.as_str(),
            std::slice::from_ref(&id),
            now,
        );
        let mut ids = vec![id];
        let approved = |p: &&kiln_model::Pairing| p.status == PairingStatus::Approved;
        let approved = self.pairings.iter().filter(approved).map(|p| p.pin);
        let connected: Vec<Pin> = approved
            .filter(|pin| self.links.to_receiver(*pin).is_some())
            .collect();
        for pin in connected {
            let mirror = self.new_own(JobKind::Clean, &chain, now);
            let id = mirror.job.id.clone();
            self.jobs.insert(Entry::new(mirror, Step::Held));
            self.start_run(&id, pin, say::cleaned_everywhere(), now);
            ids.push(id);
        }
        ids
    }

    fn reset_own(&mut self, request: RequestId, now: Now) {
        if let Some(error) = self.refusal_while_flashing(|_| true) {
            return self.refuse(request, error);
        }
        let id = self.new_id();
        let reset = new_job(id.clone(), JobKind::ResetBuildEnv, "", "", now.wall);
        self.jobs.insert(Entry::new(reset, Step::Lane));
        self.announce(&id);
        for other in self.jobs.ids(Entry::is_owners) {
            if other != id {
                self.cancel(&other, say::environment_being_reset(), now);
            }
        }
        self.reply_jobs(request, std::slice::from_ref(&id));
    }

    fn reset_receiver(&mut self, request: RequestId, pin: Pin, now: Now) {
        let name = self.receiver_name(pin);
        let Some(pairing) = self.pairings.iter().find(|p| p.pin == pin) else {
            return self.refuse(request, not_paired(pin));
        };
        if !pairing.capabilities.reset_build_env {
            let error = RequestError {
                code: ErrorCode::PreconditionFailed,
                message: say::cannot_reset(name),
                hint: say::hint_update_there(),
            };
            return self.refuse(request, error);
        }
        if self.links.to_receiver(pin).is_none() {
            let error = unavailable(say::not_connected(name));
            return self.refuse(request, error);
        }
        let id = self.new_id();
        let reset = new_job(id.clone(), JobKind::ResetBuildEnv, "", "", now.wall);
        self.jobs.insert(Entry::new(reset, Step::Held));
        self.start_run(&id, pin, say::asked_by_you(), now);
        self.reply_jobs(request, std::slice::from_ref(&id));
    }

    pub(super) fn newest_found(&mut self, id: RequestId, found: Result<EsphomeVersion, Sentence>) {
        match found {
            Ok(version) => self.reply(id, Reply::NewestEnvironment(version)),
            Err(why) => self.refuse(
                id,
                RequestError {
                    code: ErrorCode::PreconditionFailed,
                    message: say::newest_unknown(why),
                    hint: say::hint_name_version(),
                },
            ),
        }
    }

    fn install_environment(&mut self, request: RequestId, version: &str) {
        match EsphomeVersion::parse(version).filter(EsphomeVersion::is_pinnable) {
            Some(version) => {
                self.push(Effect::InstallEnvironment(version));
                self.reply(request, Reply::Done);
            }
            None => self.refuse(
                request,
                RequestError {
                    code: ErrorCode::InvalidArgs,
                    message: say::no_release(version),
                    hint: say::hint_releases(),
                },
            ),
        }
    }

    fn cancel_request(&mut self, request: RequestId, id: &JobId, now: Now) {
        let Some(entry) = self.jobs.get(id) else {
            return self.refuse(request, no_job(id));
        };
        if entry.is_over() {
            let error = RequestError {
                code: ErrorCode::InvalidArgs,
                message: say::job_over(id, status(entry.stored.job.status)),
                hint: Sentence::default(),
            };
            return self.refuse(request, error);
        }
        self.cancel(id, say::cancelled(), now);
        self.reply(request, Reply::Done);
    }

    /// "Build locally instead": the same chain again with this machine forced (builds.md §2.8).
    fn build_here(&mut self, request: RequestId, id: &JobId, now: Now) {
        let Some(asked) = self.jobs.get(id) else {
            return self.refuse(request, no_job(id));
        };
        let compile = match &asked.stored.job.depends_on {
            Some(first) => self.jobs.get(first).unwrap_or(asked),
            None => asked,
        };
        let job = &compile.stored.job;
        let configuration = compile.configuration().filter(|_| match job.origin {
            JobOrigin::Owner => job.kind == JobKind::Compile,
            JobOrigin::Offloader { .. } => false,
        });
        let Some(configuration) = configuration else {
            let error = RequestError {
                code: ErrorCode::InvalidArgs,
                message: say::job_not_yours(id),
                hint: say::hint_list_builds(),
            };
            return self.refuse(request, error);
        };
        if let Err(error) = self.has_own_esphome() {
            return self.refuse(request, error);
        }
        let device_name = job.device_name.clone();
        let first = job.id.clone();
        if let Some(error) = self.refusal_while_flashing(|of| of == configuration.as_str()) {
            return self.refuse(request, error);
        }
        let follows = |e: &Entry| e.stored.job.depends_on.as_ref() == Some(&first);
        let flash = self.jobs.iter().find(|(_, e)| follows(e));
        let chain = Chain {
            configuration: &configuration,
            device_name: &device_name,
            flash: flash.and_then(|(_, e)| e.stored.job.port.clone()),
        };
        self.cancel(&first, say::built_here_instead(), now);
        let plan = Plan {
            placement: Placement::Local,
            reason: say::here_as_chosen(),
            only_on: None,
        };
        let jobs = self.start_chain(&chain, plan, now);
        self.reply_jobs(request, &jobs);
    }
}

/// Flashes.
impl Work {
    /// Whether there is something to flash that is whole, and enough for this port.
    fn may_flash(&self, device: &Device, port: &Port) -> Result<(), RequestError> {
        let (name, configuration) = (display_name(device), device.configuration.as_str());
        let same = |e: &Entry| {
            e.is_owners() && e.is(JobKind::Compile) && e.stored.job.configuration == configuration
        };
        let refuse = |code, message, hint| {
            Err(RequestError {
                code,
                message,
                hint,
            })
        };
        let built = self.jobs.active().any(|(_, e)| same(e));
        if built || self.own_tree_about_to_go(configuration) {
            return refuse(
                ErrorCode::AlreadyExists,
                say::under_way(name),
                say::hint_wait(),
            );
        }
        if device.last_build.is_none() {
            let message = say::nothing_built(name);
            return refuse(
                ErrorCode::PreconditionFailed,
                message,
                say::hint_build_first(),
            );
        }
        let mut builds = self.jobs.iter().rev().map(|(_, e)| e);
        let last = builds.find(|e| same(e) && e.stored.job.status == JobStatus::Completed);
        match (port, last.map(|e| e.stored.job.bootloader)) {
            (Port::Serial(_), Some(Bootloader::Skip)) => {
                let message = say::built_for_network(name);
                refuse(
                    ErrorCode::PreconditionFailed,
                    message,
                    say::hint_build_first(),
                )
            }
            (Port::Serial(_), Some(Bootloader::Include) | None)
            | (Port::Ota | Port::Address(_), _) => Ok(()),
        }
    }

    /// Flashes what is built.
    fn flash_built(&mut self, chain: &Chain<'_>, now: Now) -> Vec<JobId> {
        let mut flash = self.new_own(JobKind::Upload, chain, now);
        flash.job.port.clone_from(&chain.flash);
        let id = flash.job.id.clone();
        self.jobs.insert(Entry::new(flash, Step::Held));
        let ids = vec![id.clone()];
        self.supersede(chain.configuration.as_str(), &ids, now);
        self.release(&id);
        self.announce(&id);
        ids
    }

    /// Releases or cancels what waited for a job that ended.
    pub(super) fn settle_dependents(&mut self, id: &JobId, ended: JobStatus, now: Now) {
        let waits = |e: &Entry| {
            matches!(e.step, Step::Held) && e.stored.job.depends_on.as_ref() == Some(id)
        };
        for next in self.jobs.ids(waits) {
            if ended == JobStatus::Completed {
                self.release(&next);
            } else {
                self.finish(
                    &next,
                    Outcome::Cancelled(say::build_did_not_complete()),
                    now,
                );
            }
        }
    }

    /// Lets a flash go on: at once, or when its device comes back.
    pub(super) fn release(&mut self, id: &JobId) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        entry.stored.released = true;
        entry.step = Step::FlashLane;
        entry.stored.job.deferred = false;
        self.explain(id, say::waits_for_upload_slot());
        if self.is_away(id) {
            self.defer(id);
        }
        self.save(id);
    }

    fn defer(&mut self, id: &JobId) {
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        entry.step = Step::Away;
        entry.stored.job.deferred = true;
        let name = &entry.stored.job.device_name;
        let reason = say::device_offline(name);
        self.explain(id, reason);
    }

    /// The device behind a network flash without fixed address is known to be offline.
    fn is_away(&self, id: &JobId) -> bool {
        let Some(job) = self.jobs.get(id).map(|e| &e.stored.job) else {
            return false;
        };
        let mut devices = self.devices.iter();
        let device = devices.find(|d| d.configuration.as_str() == job.configuration);
        job.port == Some(Port::Ota) && device.is_some_and(|d| d.presence == Presence::Offline)
    }

    /// Flashes what waited for its device, and the device is back.
    fn flash_returned(&mut self) {
        for id in self.jobs.ids(|e| matches!(e.step, Step::Away)) {
            let Some(entry) = self.jobs.get(&id) else {
                continue;
            };
            let name = &entry.stored.job.configuration;
            let mut devices = self.devices.iter();
            let device = devices.find(|d| d.configuration.as_str() == name);
            if device.is_some_and(|d| d.presence == Presence::Online) {
                self.release(&id);
            }
        }
    }

    /// A flash that failed because its device turned out to be away, and not for the last time: some
    /// wake up for less time than a flash takes.
    pub(super) fn is_to_be_put_off(&self, id: &JobId) -> bool {
        let may = |e: &Entry| !e.stored.cancel_requested && e.stored.losses < MAX_LOSSES;
        self.is_away(id) && self.jobs.get(id).is_some_and(may)
    }

    /// Lets such a flash wait for its device, as if it had not begun.
    pub(super) fn put_off(&mut self, id: &JobId) {
        if let Some(entry) = self.jobs.get_mut(id) {
            entry.clear_run_state();
            entry.stored.losses = entry.stored.losses.saturating_add(1);
        }
        self.defer(id);
        self.announce(id);
    }
}

/// Where a new or restored compile waits.
pub(super) fn first_step(stored: &StoredJob) -> Step {
    match stored.job.placement {
        Placement::Local => Step::Lane,
        Placement::RemotePending | Placement::Remote { .. } => Step::Pool(None),
    }
}

fn display_name(device: &Device) -> &str {
    if device.friendly_name.is_empty() {
        &device.name
    } else {
        &device.friendly_name
    }
}

fn no_port(path: &str) -> RequestError {
    RequestError {
        code: ErrorCode::NotFound,
        message: say::no_port(path),
        hint: say::hint_list_ports(),
    }
}

fn unusable(problem: Sentence) -> RequestError {
    RequestError {
        code: ErrorCode::PreconditionFailed,
        message: problem,
        hint: Sentence::default(),
    }
}

fn no_job(id: &JobId) -> RequestError {
    RequestError {
        code: ErrorCode::NotFound,
        message: say::no_job(id),
        hint: say::hint_list_jobs(),
    }
}

fn not_paired(pin: Pin) -> RequestError {
    RequestError {
        code: ErrorCode::NotFound,
        message: say::not_paired(pin.short()),
        hint: say::hint_list_paired(),
    }
}

/// Returns the word for how a job stands.
fn status(status: JobStatus) -> Sentence {
    match status {
        JobStatus::Completed => say::status_completed(),
        JobStatus::Failed => say::status_failed(),
        JobStatus::Cancelled => say::status_cancelled(),
        JobStatus::Queued | JobStatus::Running => status.word().into(),
    }
}

fn unavailable(message: Sentence) -> RequestError {
    RequestError {
        code: ErrorCode::Unavailable,
        message,
        hint: say::hint_moment(),
    }
}

#[cfg(test)]
mod tests;
