//! The verb about installations of ESPHome.
use kiln_client::{Client, Transport};
use kiln_ipc::{Event, Follow, reply_json};
use kiln_model::{EnvironmentState, Reply, Request};

use crate::args::EnvAction;
use crate::asking::{unexpected, view};
use crate::exit::Failure;
use crate::face::{Answer, Face};
use crate::pick;
use crate::text::{safe, size, table};

pub(crate) async fn env(
    transport: &impl Transport,
    face: &mut Face,
    action: Option<EnvAction>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let reply = match action {
        None | Some(EnvAction::List) => client.ask(Request::Environments).await?,
        Some(EnvAction::Install { wanted, yes }) => {
            let wanted = match wanted {
                Some(wanted) => wanted,
                None => newest(&mut client, face, yes).await?,
            };
            client
                .ask(Request::InstallEnvironment(wanted.clone()))
                .await?;
            installed(&mut client, face, &wanted).await?
        }
        Some(EnvAction::Reset { on, yes }) => {
            let (pin, place) = match on {
                Some(wanted) => {
                    let view = view(&mut client).await?;
                    let pairing = &pick::receiver(&view.pairings, &wanted)?.pairing;
                    let label = safe(pairing.label.as_str());
                    (Some(pairing.pin), format!("what {label} made for you"))
                }
                None => (None, "build files and toolchains here".to_owned()),
            };
            let question =
                format!("Remove {place}? It is made or downloaded again when it is needed.");
            face.confirm(yes, "", &question, "Nothing was removed.")?;
            client.ask(Request::ResetEnvironment(pin)).await?
        }
    };
    face.result(|| reply_json(&reply), || environments_text(&reply))
}

/// Finds out the newest release, and on a terminal asks whether it is wanted.
async fn newest(client: &mut Client, face: &mut Face, yes: bool) -> Result<String, Failure> {
    face.notice("Asking the package index for the newest ESPHome.")?;
    let Reply::NewestEnvironment(version) = client.ask(Request::NewestEnvironment).await? else {
        return Err(unexpected());
    };
    face.notice(&format!("The newest is ESPHome {version}."))?;
    if !yes && face.can_ask() && face.ask("Install it?")? == Answer::No {
        return Err(Failure::Job("Nothing was installed.".to_owned()));
    }
    Ok(version.to_string())
}

/// Waits until a version is installed, saying each step once. The node lists the installation
/// before it answers the request for it, so the first list shows it or what became of it.
async fn installed(client: &mut Client, face: &mut Face, wanted: &str) -> Result<Reply, Failure> {
    let follow = client.follow(Follow::Environments).await?;
    let mut said = String::new();
    loop {
        let (of, event) = client.event().await?;
        let Event::Environments { environments } = event else {
            continue;
        };
        if of != follow {
            continue;
        }
        let mut all = environments.iter();
        match all.find(|e| e.version.as_str() == wanted).map(|e| &e.state) {
            Some(EnvironmentState::Ready) => {
                client.unfollow(follow).await?;
                return Ok(Reply::Environments(environments));
            }
            Some(EnvironmentState::Installing(step)) => {
                if step.as_str() != said {
                    face.notice(&format!("ESPHome {wanted}: {}", safe(step)))?;
                    step.as_str().clone_into(&mut said);
                }
            }
            Some(EnvironmentState::Broken(why)) => {
                let why = safe(why);
                return Err(Failure::Job(format!(
                    "ESPHome {wanted} was not installed: {why}"
                )));
            }
            None => {
                return Err(Failure::Job(format!(
                    "ESPHome {wanted} was not installed; Kiln's own log says why."
                )));
            }
        }
    }
}

fn environments_text(reply: &Reply) -> String {
    let Reply::Environments(environments) = reply else {
        return match reply {
            Reply::Jobs(jobs) => jobs
                .iter()
                .map(|job| format!("Job {} does it.\n", job.id))
                .collect(),
            _ => "Done.\n".to_owned(),
        };
    };
    if environments.is_empty() {
        return "No ESPHome is installed. `kiln env install` installs the newest.\n".to_owned();
    }
    let rows: Vec<Vec<String>> = environments
        .iter()
        .map(|environment| {
            let state = match &environment.state {
                EnvironmentState::Ready => "ready".to_owned(),
                EnvironmentState::Installing(step) => format!("installing: {}", safe(step)),
                EnvironmentState::Broken(why) => format!("broken: {}", safe(why)),
            };
            let used_for = match (environment.installed, &environment.state) {
                (true, _) => "own builds",
                (false, EnvironmentState::Ready) => "builds of others",
                (false, EnvironmentState::Installing(_) | EnvironmentState::Broken(_)) => "",
            };
            vec![
                environment.version.to_string(),
                used_for.to_owned(),
                environment.size_bytes.map(size).unwrap_or_default(),
                state,
            ]
        })
        .collect();
    table(&["VERSION", "USED FOR", "SIZE", "STATE"], &rows)
}
