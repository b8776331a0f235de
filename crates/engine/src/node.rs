//! [`Node`]: one engine: starts everything in a written order, runs the loop, stops politely.
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kiln_domain::{Domain, Event, peering, settings, work};
use kiln_esphome::{Progress, Surroundings};
use kiln_model::{
    Capabilities, DashboardId, Fact, FriendlyName, JobId, Pairing, PairingKey, PairingStep, Peer,
    PeerFacts, Pin, PublicKey, Sentence, Settings, Side, View, say,
};
use kiln_ports::discovery::{Reach, Sighting};
use kiln_ports::secrets::SecretsError;
use kiln_ports::store::{Change, StoreError};
use kiln_ports::{
    Activity, Clock, Control, Discovery, Net, Processes, Sandbox, Secrets, SerialPorts, Sleep,
    Store,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::anchors::{Lapsed, Tried};
use crate::audit::Audit;
use crate::blocking::blocking;
use crate::context::{Context, Steps};
use crate::control::ControlServer;
use crate::devices;
use crate::effects::remove_file;
use crate::environments::Environments;
use crate::identity::{self, Identity, IdentityError};
use crate::job_log::JobLogs;
use crate::links::Links;
use crate::outputs::Outputs;
use crate::particulars::Particulars;
use crate::received::ReceivedTrees;
use crate::recorder::{self, Recorder};
use crate::roster::Roster;
use crate::stored;
use crate::unsaved::Unsaved;

/// Events that may wait for the loop before senders have to.
const EVENTS_WAITING: usize = 1024;

/// The world, as the engine needs it.
pub struct Ports {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Peer-link connections.
    pub net: Arc<dyn Net>,
    /// mDNS.
    pub discovery: Arc<dyn Discovery>,
    /// Programs.
    pub processes: Arc<dyn Processes>,
    /// Boxes for builds of others.
    pub sandbox: Arc<dyn Sandbox>,
    /// Private key and trust anchors.
    pub secrets: Arc<dyn Secrets>,
    /// Records, blobs, logs.
    pub store: Arc<dyn Store>,
    /// Devices on a cable.
    pub serial: Arc<dyn SerialPorts>,
    /// The local front door.
    pub control: Box<dyn Control>,
    /// The machine and its owner.
    pub activity: Arc<dyn Activity>,
    /// The machine's sleep.
    pub sleep: Arc<dyn Sleep>,
}

/// Folders and facts that do not change while a node runs.
#[derive(Clone, Debug)]
pub struct Site {
    /// Received configurations and their build trees.
    pub received: PathBuf,
    /// Records, transfers and logs; maybe on another disk.
    pub state: PathBuf,
    /// ESPHome environments.
    pub environments: PathBuf,
    /// Scratch files of one run; emptied at start.
    pub scratch: PathBuf,
    /// The owner's home, for `~/esphome`.
    pub home: PathBuf,
    /// Version of Kiln.
    pub version: String,
    /// Name of this machine.
    pub machine: String,
    /// The environment Kiln was started with, from which children get a chosen part.
    pub surroundings: Surroundings,
    /// Seed for ids; from the system's random numbers.
    pub seed: u64,
}

/// Printed once when the node serves.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Our pin.
    pub pin: Pin,
    /// Our id.
    pub dashboard_id: DashboardId,
    /// Host as set and port of the peer link, when it listens.
    pub link: Option<(String, u16)>,
}

/// State of the peer-link listener, as far as being ready goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not wanted, or it failed.
    Unbound,
    /// Asked for.
    Binding,
    /// At this port.
    Bound(u16),
}

/// How a node came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop.
    Asked,
    /// The headless bootstrap ended without a peer; the text says why.
    Unpaired(String),
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The keyring.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A setting that was to be changed does not take this value.
    #[error("{0}")]
    Setting(Sentence),
}

impl StartError {
    /// Returns it in words, with the next step.
    pub fn sentence(&self) -> Sentence {
        match self {
            StartError::Identity(error) => error.sentence(),
            StartError::Secrets(error) => error.sentence(),
            StartError::Store(error) => error.sentence(),
            StartError::Setting(why) => why.clone(),
        }
    }
}

/// Whether the stored identity is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityChoice {
    /// The stored one; made on the very first start.
    Stored,
    /// A new one, on the owner's explicit word.
    New,
}

/// What a start is asked to do beside serving.
pub struct StartOptions {
    /// Which identity.
    pub identity: IdentityChoice,
    /// Names and values of settings that are changed before anything else, and kept.
    pub changes: Vec<(String, String)>,
    /// Headless bootstrap: the one-time key and the sources it may come from.
    pub bootstrap: Option<(PairingKey, Vec<IpAddr>)>,
}

/// One engine.
pub struct Node {
    pub(crate) context: Arc<Context>,
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) discovery: Arc<dyn Discovery>,
    pub(crate) domain: Domain,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) steps: Steps,
    pub(crate) control: ControlServer,
    pub(crate) own_tasks: JoinSet<()>,
    pub(crate) sleep: Arc<dyn Sleep>,
    /// The task that reads the machine.
    pub(crate) watching: JoinSet<()>,
    pub(crate) gauges: HashMap<JobId, Progress>,
    pub(crate) unsaved: Unsaved,
    pub(crate) audit: Audit,
    pub(crate) recorder: Recorder,
    /// Trust anchors that are in the keyring.
    pub(crate) anchored: HashMap<(Side, Pin), PublicKey>,
    /// Trust anchors that the keyring is asked for again: nobody waits for one that hangs.
    pub(crate) anchoring: JoinSet<Vec<Tried>>,
    /// Our key, which is offered to the keyring again.
    pub(crate) restoring: JoinSet<Result<(), SecretsError>>,
    pub(crate) pin: Pin,
    pub(crate) dashboard_id: DashboardId,
    pub(crate) link: Link,
    pub(crate) ended: Option<Ended>,
    facts: Option<PeerFacts>,
    problems: Vec<Sentence>,
    /// Who was trusted before this start and is not any more.
    lapsed: Vec<Lapsed>,
}

impl Node {
    /// Starts everything in this order: identity, trusted rows, links, domain, discovery, control.
    pub async fn start(
        ports: Ports,
        site: Site,
        options: StartOptions,
    ) -> Result<Self, StartError> {
        let Ports {
            clock,
            net,
            discovery,
            processes,
            sandbox,
            secrets,
            store,
            serial,
            control,
            activity,
            sleep,
        } = ports;
        if options.identity == IdentityChoice::New {
            identity::forget(secrets.as_ref(), &store).await?;
        }
        let identity = identity::load_or_create(secrets.as_ref(), &store).await?;
        let disk = Arc::clone(&store);
        let (audit, trusted) = blocking(move || Audit::open(disk.as_ref())).await?;
        let (sender, events) = mpsc::channel(EVENTS_WAITING);
        let logs = Arc::new(JobLogs::new(Arc::clone(&store)));
        let links = Links::new(
            net,
            Arc::clone(&clock),
            Arc::clone(&discovery),
            Arc::clone(&store),
            sender.clone(),
        );
        let environments = Environments::new(
            site.environments.clone(),
            Arc::clone(&processes),
            Arc::clone(&clock),
            site.surroundings.clone(),
        );
        let domain = Domain::new(site.version.clone(), site.seed);
        let control = ControlServer::start(
            control,
            site.version.clone(),
            sender.clone(),
            Arc::clone(&store),
            Arc::clone(&logs),
        );
        let context = Arc::new(Context {
            outputs: Outputs::new(logs, links.clone()),
            roster: Roster::default(),
            received: ReceivedTrees::new(site.received.clone()),
            particulars: Particulars::default(),
            settings: watch::Sender::new(Settings::default()),
            events: sender,
            clock,
            processes,
            confinement: sandbox.prove().await,
            sandbox,
            store,
            serial,
            activity,
            links,
            environments,
            site,
        });
        let mut node = Self {
            pin: identity.key.pin(),
            dashboard_id: identity.dashboard_id.clone(),
            context,
            secrets,
            discovery,
            domain,
            events,
            steps: Steps::default(),
            control,
            own_tasks: JoinSet::new(),
            sleep,
            watching: JoinSet::new(),
            gauges: HashMap::new(),
            unsaved: Unsaved::default(),
            audit,
            recorder: Recorder::default(),
            anchored: HashMap::new(),
            anchoring: JoinSet::new(),
            restoring: JoinSet::new(),
            link: Link::Unbound,
            ended: None,
            facts: None,
            problems: Vec::new(),
            lapsed: Vec::new(),
        };
        node.load(identity, options, &trusted).await?;
        Ok(node)
    }

    /// Feeds the domain with what is stored, in the order it needs.
    async fn load(
        &mut self,
        identity: Identity,
        options: StartOptions,
        trusted: &HashSet<(Side, Pin)>,
    ) -> Result<(), StartError> {
        let stored = stored::load(&self.context.store, self.secrets.as_ref()).await?;
        self.problems = stored.problems;
        for problem in &self.problems {
            tracing::warn!(%problem, "a stored row was skipped");
        }
        for blob in &stored.stray {
            self.context.store.drop_blob(blob)?;
        }
        for job in &stored.stray_logs {
            remove_file(&self.context.store.log_path(job)).await;
        }
        let settings = settings::changed(&stored.settings, &options.changes)
            .map_err(|error| StartError::Setting(error.message))?;
        let found = self
            .recorder
            .load(trusted, &stored.peers, &stored.pairings, &stored.jobs);
        self.record(vec![Fact::Started {
            version: self.context.site.version.clone(),
            pin: identity.key.pin(),
            tier: self.context.confinement.tier,
        }]);
        self.record(found);
        self.drop_lapsed(stored.lapsed).await;
        if settings != stored.settings {
            self.record(recorder::changed(&stored.settings, &settings));
            if let Err(why) = self.keep_settings(&settings).await {
                tracing::warn!(%why, "the settings of this start are not kept; it is tried again");
            }
        }
        self.use_settings(settings.clone());
        let confinement = self.context.confinement.clone();
        self.happened(Event::ConfinementProved(confinement)).await;
        self.happened(Event::SettingsLoaded(settings)).await;
        let offloader = |peer: &Peer| ((Side::Offloader, peer.pin), peer.public_key);
        self.anchored.extend(stored.peers.iter().map(offloader));
        let receiver = |pairing: &Pairing| ((Side::Receiver, pairing.pin), pairing.public_key);
        self.anchored.extend(stored.pairings.iter().map(receiver));
        let loaded = peering::Event::Loaded(stored.peers, stored.pairings);
        self.happened(Event::Peering(loaded)).await;
        self.context.environments.expect_look();
        self.happened(Event::Work(work::Event::VersionAsked)).await;
        let environments = self.context.environments.scan().await;
        self.happened(Event::Work(work::Event::EnvironmentsChanged(environments)))
            .await;
        self.tell_facts();
        self.happened(Event::Work(work::Event::GivenLoaded(stored.given)))
            .await;
        self.happened(Event::Work(work::Event::SightedLoaded(stored.sighted)))
            .await;
        self.happened(Event::Work(work::Event::Loaded(stored.jobs)))
            .await;
        if let Some((key, sources)) = options.bootstrap {
            let armed = peering::Event::BootstrapArmed { key, sources };
            self.happened(Event::Peering(armed)).await;
        }
        self.become_identity(identity);
        self.perform_all().await;
        self.scan_devices();
        self.tidy_environments();
        self.watch_network();
        self.watch_sleep();
        Ok(())
    }

    /// Takes rows away that are not believed. Until the next start it is said whose they were.
    async fn drop_lapsed(&mut self, lapsed: Vec<Lapsed>) {
        let gone = |row: &Lapsed| {
            let (side, party) = (row.side, row.party.clone());
            recorder::pairing(PairingStep::Removed, side, party)
        };
        let facts = lapsed.iter().map(gone).collect();
        let changes: Vec<Change> = lapsed.iter().map(|row| row.change.clone()).collect();
        for row in &lapsed {
            tracing::warn!(notice = %row.notice(), "a row is not believed and is taken away");
        }
        self.lapsed = lapsed;
        if changes.is_empty() {
            return;
        }
        self.record(facts);
        if let Err(why) = self.keep(changes).await {
            tracing::warn!(%why, "rows that are not believed stay; it is tried again");
        }
    }

    /// From now on we are `identity`, towards links and domain.
    pub(crate) fn become_identity(&mut self, identity: Identity) {
        let Identity { key, dashboard_id } = identity;
        let loaded = peering::Event::IdentityLoaded {
            pin: key.pin(),
            dashboard_id: dashboard_id.clone(),
        };
        self.pin = key.pin();
        self.dashboard_id = dashboard_id;
        self.context.links.set_identity(key);
        self.domain
            .handle(Event::Peering(loaded), self.context.clock.now());
    }

    /// Settings that the engine itself follows.
    pub(crate) fn use_settings(&mut self, settings: Settings) {
        self.context.environments.follow(&settings);
        let moved = self.context.settings().esphome_dir != settings.esphome_dir;
        self.context.settings.send_replace(settings);
        if moved {
            self.scan_devices();
        }
    }

    /// Tells the domain what we announce of ourselves, if it changed. A name that the owner chose
    /// goes before that of the machine there.
    pub(crate) fn tell_facts(&mut self) {
        let facts = PeerFacts {
            esphome_version: self
                .context
                .environments
                .launcher(None)
                .map(|(version, _)| version),
            friendly_name: FriendlyName::clipped(&self.context.site.machine),
            ha_addon: false,
            capabilities: Capabilities {
                auto_provision: true,
                reset_build_env: true,
                kiln: true,
            },
        };
        if self.facts.as_ref() != Some(&facts) {
            self.facts = Some(facts.clone());
            let changed = Event::Peering(peering::Event::FactsChanged(facts));
            self.domain.handle(changed, self.context.clock.now());
        }
    }

    /// Reads the owner's devices in the background; the domain hears of them.
    pub(crate) fn scan_devices(&mut self) {
        let context = Arc::clone(&self.context);
        self.steps.start_expendable(async move {
            let found = devices::scan(&context.esphome_dir(), &context.own_data_dir()).await;
            let devices = context.roster.scanned(found);
            context
                .tell(Event::Work(work::Event::DevicesScanned(devices)))
                .await;
        });
    }

    /// Looks after the environments in the background; the domain hears of them.
    fn tidy_environments(&mut self) {
        let context = Arc::clone(&self.context);
        self.own_tasks.spawn(async move {
            context.environments.tidy().await;
        });
        let context = Arc::clone(&self.context);
        self.own_tasks.spawn(async move {
            context.environments.looked().await;
            let found = context.environments.list();
            for event in [
                work::Event::EnvironmentsChanged(found),
                work::Event::VersionAnswered,
            ] {
                context.tell(Event::Work(event)).await;
            }
        });
        let context = Arc::clone(&self.context);
        let mut changes = self.context.environments.changes();
        self.own_tasks.spawn(async move {
            loop {
                changes.next().await;
                let found = context.environments.list();
                context
                    .tell(Event::Work(work::Event::EnvironmentsChanged(found)))
                    .await;
            }
        });
    }

    /// Listens to what others announce.
    fn watch_network(&mut self) {
        let (discovery, context) = (Arc::clone(&self.discovery), Arc::clone(&self.context));
        self.own_tasks.spawn(async move {
            loop {
                let sighting = discovery.next().await;
                if let Some(event) = seen(&context.roster, sighting) {
                    context.tell(event).await;
                }
            }
        });
    }

    /// Shows the view to whoever follows it, if it changed.
    pub(crate) fn publish(&self) {
        self.control.show(|| {
            let mut view = self.domain.view(self.context.clock.now())?;
            self.add_notices(&mut view);
            Some(view)
        });
    }

    /// Adds what the domain does not know: what is not on the disk yet, and what was found there.
    pub(crate) fn add_notices(&self, view: &mut View) {
        if !self.unsaved.is_empty() {
            view.notices.push(say::records_not_written());
        }
        if self.unsaved.key().is_some() {
            view.notices.push(say::key_open());
        }
        if self.discovery.reach() == Reach::Nowhere {
            let host = self.context.settings().listen_host;
            view.notices.push(say::reached_nowhere(host));
        }
        view.notices.extend(self.problems.iter().cloned());
        let is_back = |row: &&Lapsed| self.anchored.contains_key(&(row.side, row.party.pin));
        let gone = self.lapsed.iter().filter(|row| !is_back(row));
        view.notices.extend(gone.map(Lapsed::notice));
    }

    /// Returns what is printed once when the node serves.
    pub fn ready(&self) -> Ready {
        Ready {
            pin: self.pin,
            dashboard_id: self.dashboard_id.clone(),
            link: match self.link {
                Link::Bound(port) => Some((self.context.settings().listen_host, port)),
                Link::Unbound | Link::Binding => None,
            },
        }
    }
}

/// Turns a sighting into an event; strangers' devices are none.
fn seen(roster: &Roster, sighting: Sighting) -> Option<Event> {
    let event = match sighting {
        Sighting::Host(host) => Event::Peering(peering::Event::HostSeen(host)),
        Sighting::HostGone(name) => Event::Peering(peering::Event::HostGone(name)),
        Sighting::Address(host) => Event::Peering(peering::Event::AddressSeen(host)),
        Sighting::Device {
            name,
            addresses,
            version,
            config_hash: _,
        } => {
            let address = addresses.first().map(ToString::to_string);
            let configuration = roster.seen(&name, addresses, version.clone())?;
            Event::Work(work::Event::DeviceSeen {
                configuration,
                address,
                version,
            })
        }
        Sighting::DeviceGone(name) => {
            let configuration = roster.gone(&name)?;
            Event::Work(work::Event::DeviceGone(configuration))
        }
    };
    Some(event)
}
