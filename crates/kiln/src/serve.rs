//! `kiln serve`: the composition root of the headless node, in a written order.
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kiln_cli::{Face, ServeArgs, Shape};
use kiln_engine::{Ended, IdentityChoice, Node, Ports, Ready, Site, StartOptions};
use kiln_esphome::Surroundings;
use kiln_model::{PairingKey, Settings};
use kiln_platform::{
    EngineLock, LocalControl, MdnsDiscovery, OsProcesses, Paths, SqliteStore, SystemActivity,
    SystemClock,
};
use serde_json::json;

use crate::{log, secrets};

/// Runs a node until it is asked to stop.
///
/// # Errors
/// One sentence with the next step, when the node cannot start or ended without being asked.
pub(crate) async fn serve(
    paths: &Paths,
    wanted: ServeArgs,
    verbose: u8,
    face: &mut Face,
) -> Result<(), String> {
    paths.prepare().map_err(|e| e.to_string())?;
    log::start(&paths.logs, verbose).map_err(|e| format!("The log cannot be written: {e}."))?;
    let _lock = EngineLock::acquire(&paths.state).map_err(|e| e.to_string())?;
    let processes = OsProcesses::new(&paths.instance());
    let reaped = processes.reap_leftovers().await;
    if reaped > 0 {
        tracing::warn!(
            reaped,
            "an earlier Kiln left programs running; they were ended"
        );
    }
    let store = SqliteStore::open(&paths.state, &paths.job_logs()).map_err(|e| e.to_string())?;
    let secrets = secrets::open(paths, wanted.secrets)?;
    // Tests have no battery; they point to a folder that looks like one.
    let power_supply = std::env::var_os("KILN_POWER_SUPPLY").map(PathBuf::from);
    let activity = SystemActivity::new(processes.own_programs(), power_supply);
    let ports = Ports {
        clock: Arc::new(SystemClock),
        net: Arc::new(kiln_platform::net::TcpNet),
        discovery: Arc::new(MdnsDiscovery::start()),
        processes: Arc::new(processes),
        secrets,
        store: Arc::new(store),
        activity: Arc::new(activity),
        control: Box::new(LocalControl::bind(&paths.runtime).map_err(|e| e.to_string())?),
    };
    let site = site(paths)?;
    let bootstrap = bootstrap(&wanted, face)?;
    let options = StartOptions {
        identity: if wanted.new_identity {
            IdentityChoice::New
        } else {
            IdentityChoice::Stored
        },
        adjust: Box::new(move |settings| adjust(settings, &wanted)),
        bootstrap,
    };
    let node = Node::start(ports, site, options)
        .await
        .map_err(|e| e.to_string())?;
    let shape = face.shape;
    let mut announce = |ready: Ready| announce(face, shape, &ready);
    match node
        .serve(kiln_platform::asked_to_stop(), &mut announce)
        .await
    {
        Ended::Asked => Ok(()),
        Ended::Unpaired(why) => Err(format!("Nobody was paired: {why}.")),
    }
}

/// Puts options of the command line into the settings of this run and those that follow.
fn adjust(settings: &mut Settings, wanted: &ServeArgs) {
    if wanted.receiver || wanted.bootstrap_key.is_some() {
        settings.receiver = true;
    }
    if wanted.no_receiver {
        settings.receiver = false;
    }
    if let Some(host) = &wanted.listen_host {
        settings.listen_host.clone_from(host);
    }
    if let Some(port) = wanted.listen_port {
        settings.listen_port = port;
    }
    if let Some(dir) = &wanted.esphome_dir {
        // Children run elsewhere, so the folder has to be absolute.
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
        settings.esphome_dir = dir.to_string_lossy().into_owned();
    }
}

/// Reads the environment, once.
fn site(paths: &Paths) -> Result<Site, String> {
    let environments = std::env::var_os("KILN_ENVIRONMENTS").map(PathBuf::from);
    let scratch = paths.cache.join("scratch");
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}.", scratch.display()))?;
    let seed = getrandom::u64().map_err(|e| format!("No random numbers: {e}."))?;
    Ok(Site {
        received: paths.cache.join("received"),
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

/// Takes over, or makes and shows, the one-time key of a headless receiver.
fn bootstrap(
    wanted: &ServeArgs,
    face: &mut Face,
) -> Result<Option<(PairingKey, Vec<IpAddr>)>, String> {
    let Some(key) = &wanted.bootstrap_key else {
        return Ok(None);
    };
    let sources = wanted.allow_pairing_source.clone();
    if !key.is_empty() {
        return Ok(Some((PairingKey::from_text(key), sources)));
    }
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|e| format!("No random numbers: {e}."))?;
    let key = PairingKey::from_random(u128::from_le_bytes(bits));
    let shown = key.expose();
    let text = match face.shape {
        Shape::Json => format!(
            "{}\n",
            json!({ "event": "bootstrap", "pairing_key": *shown })
        ),
        Shape::Text => format!("One-time pairing key, good for 15 minutes: {}\n", *shown),
    };
    face.say(&text);
    Ok(Some((key, sources)))
}

/// Says, in one line, that the node serves.
fn announce(face: &mut Face, shape: Shape, ready: &Ready) {
    let link = ready.link.as_ref().map(|(host, port)| address(host, *port));
    let text = match shape {
        Shape::Json => format!(
            "{}\n",
            json!({
                "event": "ready",
                "pin_sha256": ready.pin.to_string(),
                "dashboard_id": ready.dashboard_id.as_str(),
                "link": link,
            })
        ),
        Shape::Text => format!(
            "Kiln serves. {}\nFingerprint {} ({})\n",
            link.map_or("Nobody can reach it.".to_owned(), |link| format!(
                "Others reach it at {link}."
            )),
            ready.pin.grouped(),
            ready.pin.emoji(),
        ),
    };
    face.say(&text);
}

/// Returns where others reach a listener that is bound to `host`.
fn address(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() => std::net::SocketAddr::new(ip, port).to_string(),
        Ok(_) | Err(_) => {
            let reachable = kiln_platform::discovery::reachable_address()
                .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
            std::net::SocketAddr::new(reachable, port).to_string()
        }
    }
}
