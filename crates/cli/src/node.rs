//! Verbs about this node: status, pause, stop, discover.
use kiln_ipc::{Event, Follow, reply_json};
use kiln_model::{
    AvailabilityReason as Reason, FLASH_PATIENCE, Reply, Request, Snooze, View, WindowView, say,
};

use crate::asking::view;
use crate::exit::Failure;
use crate::face::Face;
use crate::storage;
use crate::text::{safe, table, when};
use crate::work::within;
use kiln_client::{Client, ClientError, Transport};

/// Seconds for which it is waited that the node ends: its builds are ended, and peers are told.
const ENDING: u64 = 60;

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

fn alert_text(kind: kiln_model::AlertKind) -> &'static str {
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
