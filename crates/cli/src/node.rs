//! Verbs about this node: status, pause, identity, stop, discover, env, settings.
use kiln_ipc::{Event, Follow, reply_json};
use kiln_model::{
    AvailabilityReason as Reason, EnvironmentState, FLASH_PATIENCE, LinkState, PinEmoji, Reply,
    Request, Snooze, View, WindowView, say,
};
use serde_json::json;

use crate::args::{EnvAction, IdentityAction, SettingsAction};
use crate::exit::Failure;
use crate::face::{Answer, Face};
use crate::pick;
use crate::storage;
use crate::text::{safe, size, table, when};
use crate::work::within;
use kiln_client::{Client, ClientError, Transport};

/// Seconds for which it is waited that the node ends: its builds are ended, and peers are told.
const ENDING: u64 = 60;

/// Asks for the read model.
pub(crate) async fn view(client: &mut Client) -> Result<Box<View>, Failure> {
    match client.ask(Request::Status).await? {
        Reply::Status(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

/// An answer that does not belong to the question.
pub(crate) fn unexpected() -> Failure {
    Failure::Broken("The running Kiln gave an answer that does not fit.".to_owned())
}

pub(crate) async fn status(transport: &impl Transport, face: &mut Face) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let view = view(&mut client).await?;
    face.result(|| kiln_ipc::view_json(&view), || status_text(&view))
}

fn status_text(view: &View) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(availability_text(view));
    if view.availability.reason == Reason::LowDisk {
        line(storage::no_room(&view.storage));
    }
    if !view.sandbox.detail.is_empty() {
        let (tier, detail) = (view.sandbox.tier.number(), &view.sandbox.detail);
        line(format!("Box for builds of others: tier {tier}. {detail}"));
    }
    line(match &view.identity.esphome_version {
        Some(version) => format!("ESPHome {version} for your own builds."),
        None => "No ESPHome is installed. `kiln env install` installs the newest.".to_owned(),
    });
    if let WindowView::Open { seconds_left } = view.window {
        line(format!(
            "New offloaders may ask for {seconds_left} more seconds."
        ));
    }
    let running = view
        .jobs
        .iter()
        .filter(|job| !job.status.is_final())
        .count();
    line(format!(
        "{running} jobs under way, {} receivers, {} offloaders.",
        view.pairings.len(),
        view.peers.len()
    ));
    for request in &view.pending {
        line(format!(
            "{} asks to be paired; `kiln requests` shows its fingerprint.",
            safe(request.label.as_str())
        ));
    }
    for alert in &view.alerts {
        let what = if view.is_declined(alert) {
            "its owner did not let this computer in. Ask there, then pair again."
        } else {
            alert_text(alert.kind)
        };
        line(format!("{} needs you: {what}", safe(alert.label.as_str())));
    }
    for notice in &view.notices {
        line(safe(notice));
    }
    text
}

/// Returns the one sentence about compiling for others: what, why, and what ends it.
fn availability_text(view: &View) -> String {
    let availability = &view.availability;
    let until = availability.until.map(when);
    let ends = match (&until, availability.reason) {
        (Some(until), _) => format!("until {until}"),
        (None, reason) => resumes(reason).to_owned(),
    };
    let paused = |why: &str| format!("Paused: {why}. Resumes {ends}.");
    match (availability.reason, view.listening) {
        (Reason::Ready, Some(port)) => {
            format!("Compiling for others: ready, listening on port {port}.")
        }
        (Reason::Ready, None) => "Compiling for others: ready, but not listening.".to_owned(),
        (Reason::UserOff, _) => {
            "Compiling for others: off. `kiln settings set receiver=true` switches it on."
                .to_owned()
        }
        (Reason::Snoozed, _) => match until {
            Some(until) => format!("Paused by you until {until}. `kiln resume` ends it."),
            None => "Paused by you. Resumes with `kiln resume`.".to_owned(),
        },
        (Reason::Hours, _) => match until {
            Some(until) => format!("Paused: outside your hours. Resumes at {until}."),
            None => {
                "Paused: your hours never come. `kiln settings set hours ''` ends it.".to_owned()
            }
        },
        (Reason::UserActive, _) => paused("you are using this computer"),
        (Reason::Battery, _) => paused("on battery"),
        (Reason::PowerSaver, _) => paused("the system saves power"),
        (Reason::Thermal, _) => paused("this computer is too hot"),
        (Reason::CpuBusy, _) => paused("other programs need the processor"),
        (Reason::LowRam, _) => paused("too little memory is free"),
        (Reason::LowDisk, _) => paused("too little disk space is free"),
        (Reason::ExclusiveApp, _) => paused("a program has this computer for itself"),
        (Reason::Metered, _) => paused("the network is metered"),
        (Reason::Sleeping, _) => paused("this computer goes to sleep"),
    }
}

/// Returns what ends a pause by itself.
fn resumes(reason: Reason) -> &'static str {
    match reason {
        Reason::UserActive => "when you have been away for a while",
        Reason::Battery => "on mains",
        Reason::PowerSaver => "when that ends",
        Reason::Thermal => "when it has cooled down",
        Reason::CpuBusy => "when they are done",
        Reason::LowRam => "when some is free again",
        Reason::LowDisk => "when there is room again",
        Reason::ExclusiveApp => "when that is over",
        Reason::Metered => "on another network",
        Reason::Sleeping => "when it wakes up",
        Reason::Hours => "within your hours",
        Reason::Ready | Reason::Snoozed | Reason::UserOff => "with `kiln resume`",
    }
}

/// Pauses compiling for others, or ends that, and says what is so now.
pub(crate) async fn pause(
    transport: &impl Transport,
    face: &mut Face,
    wanted: Option<Snooze>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let request = match wanted {
        Some(snooze) => Request::Pause(snooze),
        None => Request::Resume,
    };
    client.ask(request).await?;
    let view = view(&mut client).await?;
    face.result(
        || kiln_ipc::view_json(&view)["availability"].clone(),
        || availability_text(&view) + "\n",
    )
}

pub(crate) fn alert_text(kind: kiln_model::AlertKind) -> &'static str {
    match kind {
        kiln_model::AlertKind::PinMismatch => {
            "another key answers there. If that is right, forget it and pair again."
        }
        kiln_model::AlertKind::PeerRevoked => {
            "it does not know this computer any more. Pair again."
        }
        kiln_model::AlertKind::Superseded => {
            "another Kiln with the same identity took over. Stop that one, then connect again with \
             `kiln receivers enable NAME`."
        }
    }
}

pub(crate) async fn identity(
    transport: &impl Transport,
    face: &mut Face,
    action: Option<IdentityAction>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    if let Some(IdentityAction::Rotate { yes }) = action {
        let question = "Make a new key? Every computer has to be paired again.";
        face.confirm(yes, "", question, "The key was not changed.")?;
        client.ask(Request::RotateIdentity).await?;
    }
    let view = view(&mut client).await?;
    let identity = &view.identity;
    let json = || kiln_ipc::view_json(&view)["identity"].clone();
    face.result(json, || {
        format!(
            "{}\nid            {}\nname          {}\n",
            fingerprint(identity.pin),
            identity.dashboard_id,
            safe(identity.friendly_name.as_str())
        )
    })
}

/// Returns a pin as people compare it: seven emoji, their names, the whole hash.
pub(crate) fn fingerprint(pin: kiln_model::Pin) -> String {
    let emoji: PinEmoji = pin.emoji();
    let grouped = pin.grouped();
    let (first, second) = grouped.split_at(48);
    format!(
        "emoji         {emoji}\nnames         {}\nfingerprint   {}\n              {}",
        emoji.names(),
        first.trim_end(),
        second
    )
}

/// Stops the node and waits until it has ended, so that another one can be started after it.
pub(crate) async fn stop(
    transport: &impl Transport,
    face: &mut Face,
    now: bool,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    if !now {
        until_flashed(&mut client, face).await?;
    }
    match client.ask(Request::Shutdown).await {
        // It may be gone before its answer is.
        Ok(_) | Err(ClientError::Broken(_)) => {}
        Err(error) => return Err(error.into()),
    }
    // Hanging up is the last that it does.
    let hung_up = async {
        while client.event().await.is_ok() {}
        Ok(())
    };
    within(Some(ENDING), hung_up).await?;
    face.result(
        || reply_json(&Reply::Done),
        || "Kiln has stopped. Builds that were under way go on when it starts again.\n".to_owned(),
    )
}

/// Waits until no device is being written, but no longer than [`FLASH_PATIENCE`].
async fn until_flashed(client: &mut Client, face: &mut Face) -> Result<(), Failure> {
    let flash = |view: &View| {
        let flash = view.jobs.iter().find(|job| job.is_flash());
        flash.map(|job| safe(&job.device_name))
    };
    let first = match client.ask(Request::Status).await {
        Ok(Reply::Status(view)) => flash(&view),
        // What still starts flashes nothing.
        Ok(_) | Err(ClientError::Refused(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let Some(device) = first else {
        return Ok(());
    };
    face.notice(&format!(
        "{} Kiln stops when that is done, after {} minutes at the latest. `kiln stop --now` does not \
         wait.",
        say::being_flashed(device),
        FLASH_PATIENCE.as_secs() / 60
    ))?;
    client.follow(Follow::View).await?;
    let flashed = async {
        loop {
            if let (_, Event::View { view }) = client.event().await?
                && flash(&view).is_none()
            {
                return Ok(());
            }
        }
    };
    match within(Some(FLASH_PATIENCE.as_secs()), flashed).await {
        // Gone is stopped as well; asking for it tells.
        Ok(()) | Err(Failure::TimedOut(_) | Failure::Broken(_)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

pub(crate) async fn discover(transport: &impl Transport, face: &mut Face) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let view = view(&mut client).await?;
    let json = || kiln_ipc::view_json(&view)["discovered"].clone();
    face.result(json, || {
        if view.discovered.is_empty() {
            return "Nobody was seen on the network yet. `kiln pair HOST` works with an address, too.\n"
                .to_owned();
        }
        let known = |pin| view.pairings.iter().any(|p| Some(p.pairing.pin) == pin);
        let rows: Vec<Vec<String>> = view
            .discovered
            .iter()
            .map(|host| {
                let receives = host.endpoint.as_ref().map(ToString::to_string);
                vec![
                    safe(host.friendly_name.as_str()),
                    receives.unwrap_or_else(|| "does not receive".to_owned()),
                    safe(&host.esphome_version),
                    host.pin.map(|pin| pin.short()).unwrap_or_default(),
                    if known(host.pin) { "paired".to_owned() } else { String::new() },
                ]
            })
            .collect();
        table(&["NAME", "ADDRESS", "ESPHOME", "PIN", ""], &rows)
    })
}

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

pub(crate) async fn settings(
    transport: &impl Transport,
    face: &mut Face,
    action: Option<SettingsAction>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let (request, only) = match action {
        None => (Request::Settings, None),
        Some(SettingsAction::Get { name }) => (Request::Settings, name),
        Some(SettingsAction::Set { changes }) => {
            (Request::SetSettings(setting_pairs(&changes)?), None)
        }
    };
    let mut reply = client.ask(request).await?;
    if matches!(reply, Reply::Done) {
        reply = client.ask(Request::Settings).await?;
    }
    let all = reply_json(&reply)["settings"].clone();
    match only {
        None => face.result(
            || all.clone(),
            || {
                let rows = all.as_object().into_iter().flatten();
                rows.map(|(name, value)| format!("{name} = {value}\n"))
                    .collect()
            },
        ),
        Some(name) => match all.get(&name) {
            Some(value) => face.result(|| json!({ name.as_str(): value }), || format!("{value}\n")),
            None => Err(Failure::Usage(format!("There is no setting {name:?}."))),
        },
    }
}

/// Reads `NAME VALUE`, or any number of `NAME=VALUE`.
fn setting_pairs(changes: &[String]) -> Result<Vec<(String, String)>, Failure> {
    if let [name, value] = changes
        && !name.contains('=')
    {
        return Ok(vec![(name.clone(), value.clone())]);
    }
    let pair = |change: &String| match change.split_once('=') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.to_owned())),
        None => Err(Failure::Usage(format!(
            "{change:?} is no change; write it as NAME=VALUE."
        ))),
    };
    changes.iter().map(pair).collect()
}

/// Returns a link's state in words.
pub(crate) fn link_text(link: &LinkState) -> String {
    match link {
        LinkState::Connected => "connected".to_owned(),
        LinkState::Connecting(error) if error.is_empty() => "connecting".to_owned(),
        LinkState::Connecting(error) => format!("connecting ({})", safe(error)),
        LinkState::Orphaned => "stopped, needs you".to_owned(),
        LinkState::AwaitingApproval => "waits to be approved".to_owned(),
    }
}
