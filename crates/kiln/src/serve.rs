//! `kiln serve`: the headless node, as the command line wants it.
use std::net::{IpAddr, SocketAddr};

use kiln_cli::{Face, Failure, ServeArgs, Shape};
use kiln_engine::{Ended, IdentityChoice, Ready};
use kiln_host::{Host, Wanted};
use kiln_model::{PairingKey, SettingKey};
use kiln_platform::Paths;
use serde_json::json;

use crate::secrets;

/// Runs a node until it is asked to stop. Who asks twice in the same way waits for nothing more.
///
/// # Errors
/// [`Failure::NotServing`] in one sentence with the next step, when the node cannot start or ended
/// without being asked; [`Failure::Interrupted`] when it did not end politely.
pub(crate) async fn serve(
    paths: &Paths,
    wanted: ServeArgs,
    verbose: u8,
    face: &mut Face,
) -> Result<(), Failure> {
    let started = start(paths, wanted, verbose).await;
    let (host, made) = started.map_err(Failure::NotServing)?;
    let (asked, insisted) = (
        kiln_platform::asked_to_stop(1),
        kiln_platform::asked_to_stop(2),
    );
    let shape = face.shape;
    let announce = |ready: Ready| {
        // A key of a node that did not start would open nothing.
        if let Some(key) = &made {
            show_key(face, key);
        }
        announce(face, shape, &ready);
    };
    tokio::select! {
        ended = host.serve(asked, announce) => match ended {
            Ended::Asked => Ok(()),
            Ended::Unpaired(why) => {
                Err(Failure::NotServing(format!("Nobody was paired: {why}.")))
            }
        },
        () = insisted => Err(Failure::Interrupted),
    }
}

/// Starts the node; with the one-time key that was made for it, which is still to be shown.
async fn start(
    paths: &Paths,
    wanted: ServeArgs,
    verbose: u8,
) -> Result<(Host, Option<PairingKey>), String> {
    paths.prepare().map_err(|e| e.to_string())?;
    kiln_host::start_log(&paths.logs, "kiln", verbose)
        .map_err(|e| format!("The log cannot be written: {e}."))?;
    let (bootstrap, made) = bootstrap(&wanted)?;
    let wanted = Wanted {
        secrets: wanted.secrets.map(secrets::place),
        identity: if wanted.new_identity {
            IdentityChoice::New
        } else {
            IdentityChoice::Stored
        },
        bootstrap,
        changes: changes(&wanted),
    };
    let host = Host::start(paths, wanted)
        .await
        .map_err(|e| e.to_string())?;
    Ok((host, made))
}

/// Returns the options that are settings, as `settings set` takes them.
fn changes(wanted: &ServeArgs) -> Vec<(String, String)> {
    let receiver = match (wanted.no_receiver, wanted.receiver) {
        (true, _) => Some(false),
        (false, true) => Some(true),
        (false, false) => wanted.bootstrap_key.as_ref().map(|_| true),
    };
    // Children run elsewhere, so the folder has to be absolute.
    let folder = wanted.esphome_dir.as_ref().map(|folder| {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        folder.to_string_lossy().into_owned()
    });
    let options = [
        (SettingKey::Receiver, receiver.map(|on| on.to_string())),
        (SettingKey::ListenHost, wanted.listen_host.clone()),
        (
            SettingKey::ListenPort,
            wanted.listen_port.map(|port| port.to_string()),
        ),
        (SettingKey::EsphomeDir, folder),
    ];
    let given = options.into_iter();
    given
        .filter_map(|(key, value)| Some((key.word().to_owned(), value?)))
        .collect()
}

/// A one-time key of a headless receiver, and from where it counts.
type Bootstrap = (PairingKey, Vec<IpAddr>);

/// Takes over the one-time key, or makes one, which is then returned a second time to be shown.
fn bootstrap(wanted: &ServeArgs) -> Result<(Option<Bootstrap>, Option<PairingKey>), String> {
    let Some(key) = &wanted.bootstrap_key else {
        return Ok((None, None));
    };
    let sources = wanted.allow_pairing_source.clone();
    if !key.is_empty() {
        return Ok((Some((PairingKey::from_text(key), sources)), None));
    }
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|e| format!("No random numbers: {e}."))?;
    let make = || PairingKey::from_random(u128::from_le_bytes(bits));
    Ok((Some((make(), sources)), Some(make())))
}

fn show_key(face: &mut Face, key: &PairingKey) {
    let shown = key.expose();
    let text = match face.shape {
        Shape::Json => format!(
            "{}\n",
            json!({ "event": "bootstrap", "pairing_key": *shown })
        ),
        Shape::Text => format!("One-time pairing key, good for 15 minutes: {}\n", *shown),
    };
    face.say(&text);
}

/// Says, in one line, that the node serves.
fn announce(face: &mut Face, shape: Shape, ready: &Ready) {
    let link = ready.link.as_ref();
    let link = link.and_then(|(host, port)| {
        let ip = kiln_platform::discovery::reachable_address(host)?;
        Some(SocketAddr::new(ip, *port))
    });
    let text = match shape {
        Shape::Json => format!(
            "{}\n",
            json!({
                "event": "ready",
                "pin_sha256": ready.pin.to_string(),
                "dashboard_id": ready.dashboard_id.as_str(),
                "link": link.map(|link| link.to_string()),
            })
        ),
        Shape::Text => format!(
            "Kiln serves. {}\nFingerprint {} ({})\n",
            match link {
                None => "Nobody can reach it.".to_owned(),
                Some(link) if link.ip().is_loopback() =>
                    format!("Only this computer reaches it, at {link}."),
                Some(link) => format!("Others reach it at {link}."),
            },
            ready.pin.grouped(),
            ready.pin.emoji(),
        ),
    };
    face.say(&text);
}
