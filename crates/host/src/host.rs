//! [`Host`]: a node with its lock, store, secrets and ports.
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kiln_engine::{
    Ended, IdentityChoice, IdentityError, Node, Ports, Ready, Site, StartError, StartOptions,
};
use kiln_esphome::Surroundings;
use kiln_model::{PairingKey, Sentence, say};
use kiln_platform::{
    ControlError, DoorOf, EngineLock, LocalControl, LockError, MdnsDiscovery, OsProcesses,
    OsSandbox, OsSerialPorts, Paths, SqliteStore, SystemActivity, SystemClock, SystemSleep,
};
use kiln_ports::store::StoreError;

use crate::secrets::{self, SecretsPlace};

/// Tries to get a lock whose holder's door is shut, with [`BLINK`] between two of them: 3 s.
const TRIES: u32 = 60;

/// Time between two of them.
const BLINK: Duration = Duration::from_millis(50);

/// What a program wants of the node it hosts.
pub struct Wanted {
    /// Where secrets are kept; `None` leaves it to `settings.toml`.
    pub secrets: Option<SecretsPlace>,
    /// Which identity.
    pub identity: IdentityChoice,
    /// Names and values of settings that are changed before anything else, and kept.
    pub changes: Vec<(String, String)>,
    /// Headless bootstrap: the one-time key and the sources it may come from.
    pub bootstrap: Option<(PairingKey, Vec<IpAddr>)>,
}

impl Wanted {
    /// Wants the node as it was left.
    pub fn as_left() -> Self {
        Self {
            secrets: None,
            identity: IdentityChoice::Stored,
            changes: Vec::new(),
            bootstrap: None,
        }
    }
}

/// Why no node was started. Each is one sentence with the next step.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Another process runs the node of this state directory; be its client.
    #[error("{0}")]
    Running(LockError),
    /// The keyring gives nothing now; the same start may work later.
    #[error("{0}")]
    Keyring(Sentence),
    /// Anything else.
    #[error("{0}")]
    Failed(Sentence),
}

/// Returns why no node was started, for people who see only these folders.
async fn not_started(paths: &Paths, place: SecretsPlace, error: StartError) -> HostError {
    match &error {
        StartError::Secrets(_) | StartError::Identity(IdentityError::Secrets(_)) => {
            HostError::Keyring(error.sentence())
        }
        StartError::Store(store) | StartError::Identity(IdentityError::Store(store)) => {
            HostError::Failed(records_unusable(paths, store))
        }
        StartError::Identity(identity) => {
            let misplaced = secrets::misplaced(paths, place, identity).await;
            HostError::Failed(misplaced.unwrap_or_else(|| error.sentence()))
        }
        StartError::Setting(_) => HostError::Failed(error.sentence()),
    }
}

/// Returns in words why the records in these folders cannot be used, with the next step.
pub fn records_unusable(paths: &Paths, error: &StoreError) -> Sentence {
    let folder = paths.state.display().to_string();
    match error {
        StoreError::Damaged(_) => say::both(error.sentence(), say::records_anew(folder)),
        StoreError::Newer(_) => say::both(error.sentence(), say::records_are_in(folder)),
        StoreError::Full | StoreError::Failed(_) => error.sentence(),
    }
}

/// A node that is ready to serve, and the lock that makes it the only one.
pub struct Host {
    node: Node,
    _lock: EngineLock,
}

impl Host {
    /// Takes the lock of the state directory and starts the node in it.
    ///
    /// # Errors
    /// [`HostError`]; nothing is left running then.
    pub async fn start(paths: &Paths, wanted: Wanted) -> Result<Self, HostError> {
        kiln_platform::leave_no_core();
        paths.prepare().map_err(failed)?;
        let lock = lock(paths).await.map_err(|error| match error {
            LockError::Held { .. } => HostError::Running(error),
            LockError::Io(_) => failed(error),
        })?;
        let program = own_program().map_err(unready)?;
        let processes = OsProcesses::new(&paths.instance()).guarded_by(program.clone());
        let reaped = processes.reap_leftovers().await;
        if reaped > 0 {
            tracing::warn!(
                reaped,
                "an earlier Kiln left programs running; they were ended"
            );
        }
        let store = SqliteStore::open(&paths.state, &paths.job_logs())
            .map_err(|error| HostError::Failed(records_unusable(paths, &error)))?;
        let place = secrets::chosen(paths, wanted.secrets).map_err(unready)?;
        // Tests have no battery; they point to a folder that looks like one.
        let power_supply = std::env::var_os("KILN_POWER_SUPPLY").map(PathBuf::from);
        let activity = SystemActivity::new(processes.own_programs(), power_supply);
        let ports = Ports {
            clock: Arc::new(SystemClock),
            net: Arc::new(kiln_platform::net::TcpNet::default()),
            discovery: Arc::new(MdnsDiscovery::start()),
            processes: Arc::new(processes),
            sandbox: Arc::new(OsSandbox::new(program, paths.cache.join("boxes"))),
            secrets: secrets::open(paths, place),
            store: Arc::new(store),
            serial: Arc::new(OsSerialPorts::new()),
            activity: Arc::new(activity),
            sleep: Arc::new(SystemSleep::default()),
            control: Box::new(LocalControl::bind(&paths.runtime, DoorOf::Node).map_err(failed)?),
        };
        let site = site(paths).map_err(unready)?;
        let options = StartOptions {
            identity: wanted.identity,
            changes: wanted.changes,
            bootstrap: wanted.bootstrap,
        };
        let node = match Node::start(ports, site, options).await {
            Ok(node) => node,
            Err(error) => return Err(not_started(paths, place, error).await),
        };
        if let Some(place) = wanted.secrets
            && let Err(why) = secrets::remember(paths, place)
        {
            tracing::warn!(%why, "where secrets are kept is not remembered");
        }
        Ok(Self { node, _lock: lock })
    }

    /// Serves until the node is asked to stop, by `asked` or over the control channel. `ready` is
    /// called once.
    pub async fn serve(self, asked: impl Future<Output = ()>, ready: impl FnOnce(Ready)) -> Ended {
        self.node.serve(asked, ready).await
    }
}

/// Takes the lock of the state directory. A holder whose door is shut is about to end, or begins: it
/// is waited for.
///
/// # Errors
/// [`LockError`].
pub async fn lock(paths: &Paths) -> Result<EngineLock, LockError> {
    for _ in 0..TRIES {
        match EngineLock::acquire(&paths.state) {
            // Nothing tells when a lock is let go.
            Err(LockError::Held { .. }) if is_shut(paths).await => tokio::time::sleep(BLINK).await,
            tried => return tried,
        }
    }
    EngineLock::acquire(&paths.state)
}

async fn is_shut(paths: &Paths) -> bool {
    let answered = kiln_platform::control::connect(paths, DoorOf::Node).await;
    matches!(answered, Err(ControlError::NobodyHome))
}

fn failed(error: impl std::error::Error) -> HostError {
    HostError::Failed(error.to_string().into())
}

fn unready(why: String) -> HostError {
    HostError::Failed(why.into())
}

/// Started once more, it makes the box of a build, and stands beside it.
fn own_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("Where is Kiln? {e}."))
}

/// Reads the environment, once.
fn site(paths: &Paths) -> Result<Site, String> {
    let environments = std::env::var_os("KILN_ENVIRONMENTS").map(PathBuf::from);
    let scratch = paths.cache.join("scratch");
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}.", scratch.display()))?;
    let seed = getrandom::u64().map_err(|e| format!("No random numbers: {e}."))?;
    Ok(Site {
        received: paths.cache.join("received"),
        state: paths.state.clone(),
        environments: environments.unwrap_or_else(|| paths.cache.join("environments")),
        scratch,
        home: std::env::home_dir().ok_or("This user has no home folder; set HOME.")?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: kiln_platform::machine_name(),
        surroundings: Surroundings::new(
            std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        ),
        seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_client::{Client, ClientError};
    use kiln_model::{Reply, Request};

    use crate::Door;

    /// A Kiln of its own whose secrets lie in files and that nobody reaches from outside.
    fn quiet() -> Wanted {
        Wanted {
            secrets: Some(SecretsPlace::File),
            changes: vec![("receiver".to_owned(), "false".to_owned())],
            ..Wanted::as_left()
        }
    }

    #[tokio::test]
    async fn the_second_program_is_told_to_be_a_client_and_finds_the_node_through_the_door() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(dir.path().into())).unwrap();
        let door = Door::new(&paths, "test");
        let nobody = Client::connect(&door).await.err().unwrap();
        assert_eq!(nobody, ClientError::NoNode);
        let host = Host::start(&paths, quiet()).await.unwrap();
        let second = Host::start(&paths, quiet()).await.err().unwrap();
        assert!(matches!(second, HostError::Running(_)), "{second}");
        let face = async {
            let mut client = Client::connect(&door).await.unwrap();
            let Reply::Status(view) = client.ask(Request::Status).await.unwrap() else {
                unreachable!("status is answered with the view");
            };
            assert_eq!(view.identity.version, env!("CARGO_PKG_VERSION"));
            client.ask(Request::Shutdown).await.unwrap();
        };
        let (ended, ()) = tokio::join!(host.serve(std::future::pending(), |_| {}), face);
        assert_eq!(ended, Ended::Asked);
        Host::start(&paths, quiet()).await.unwrap();
    }

    #[tokio::test]
    async fn a_start_waits_for_a_node_that_is_ending_and_has_shut_its_door() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(dir.path().into())).unwrap();
        paths.prepare().unwrap();
        let ending = EngineLock::acquire(&paths.state).unwrap();
        let ends = async {
            tokio::task::yield_now().await;
            drop(ending);
        };
        let (started, ()) = tokio::join!(Host::start(&paths, quiet()), ends);
        started.unwrap();
    }

    async fn refused(paths: &Paths, wanted: Wanted) -> String {
        let refused = Host::start(paths, wanted).await.err().unwrap();
        refused.to_string()
    }

    #[tokio::test]
    async fn what_a_start_was_told_holds_for_those_that_follow() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(dir.path().into())).unwrap();
        let first = Host::start(&paths, quiet()).await.unwrap();
        first.serve(async {}, |_| {}).await;
        assert_eq!(secrets::place(&paths).unwrap(), SecretsPlace::File);
        let again = Host::start(&paths, Wanted::as_left()).await.unwrap();
        let face = async {
            let mut client = Client::connect(&Door::new(&paths, "test")).await.unwrap();
            let Reply::Settings(settings) = client.ask(Request::Settings).await.unwrap() else {
                unreachable!("settings are answered with the settings");
            };
            assert!(!settings.receiver);
            client.ask(Request::Shutdown).await.unwrap();
        };
        tokio::join!(again.serve(std::future::pending(), |_| {}), face);
        let wrong = Wanted {
            changes: vec![("listen_host".to_owned(), "no such host".to_owned())],
            ..quiet()
        };
        assert!(refused(&paths, wrong).await.contains("listen_host"));
    }

    #[tokio::test]
    async fn a_key_that_lies_at_the_other_place_is_found_and_not_called_lost() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(dir.path().into())).unwrap();
        let host = Host::start(&paths, quiet()).await.unwrap();
        let missed = IdentityError::KeyGone(Some(host.node.ready().pin));
        let said = secrets::misplaced(&paths, SecretsPlace::Keyring, &missed).await;
        let said = said.unwrap().to_string();
        let folder = paths.state.join("secrets").display().to_string();
        assert!(
            said.contains("--secrets file") && said.contains(&folder),
            "{said}"
        );
    }

    #[tokio::test]
    async fn damaged_records_are_named_with_the_way_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::find(Some(dir.path().into())).unwrap();
        paths.prepare().unwrap();
        std::fs::write(paths.state.join("kiln.db"), "no database").unwrap();
        let said = refused(&paths, quiet()).await;
        let folder = paths.state.display().to_string();
        assert!(said.contains("kiln.db") && said.contains(&folder), "{said}");
        std::fs::remove_file(paths.state.join("kiln.db")).unwrap();
        Host::start(&paths, quiet()).await.unwrap();
    }
}
