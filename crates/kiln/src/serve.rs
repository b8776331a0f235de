//! `kiln serve`: the headless node, as the command line wants it.
use std::net::IpAddr;

use kiln_cli::{Face, ServeArgs, Shape};
use kiln_engine::{Ended, IdentityChoice, Ready};
use kiln_host::{Host, Wanted};
use kiln_model::{PairingKey, Settings};
use kiln_platform::Paths;
use serde_json::json;

use crate::secrets;

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
    kiln_host::start_log(&paths.logs, "kiln", verbose)
        .map_err(|e| format!("The log cannot be written: {e}."))?;
    let wanted = Wanted {
        secrets: wanted.secrets.map(secrets::place),
        identity: if wanted.new_identity {
            IdentityChoice::New
        } else {
            IdentityChoice::Stored
        },
        bootstrap: bootstrap(&wanted, face)?,
        adjust: Box::new(move |settings| adjust(settings, &wanted)),
    };
    let host = Host::start(paths, wanted)
        .await
        .map_err(|e| e.to_string())?;
    let shape = face.shape;
    let announce = |ready: Ready| announce(face, shape, &ready);
    match host.serve(kiln_platform::asked_to_stop(), announce).await {
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
