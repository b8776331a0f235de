//! What the pages may ask of the window. Everything is parsed before it goes anywhere.
use std::path::PathBuf;
use std::sync::Arc;

use kiln_client::Client;
use kiln_desk::{
    DeskSettings, LanguageChoice, Notifications, NotifyState, Said, ToDesk, TrayState,
};
use kiln_ipc::reply_json;
use kiln_model::{Reply, Request, say};
use kiln_platform::autostart::{LoginItem, LoginItems};
use kiln_ports::autostart::{AutostartError, StartAtLogin};
use serde::Serialize;
use serde_json::Value;
use tauri::ipc::Channel;
use tauri::{AppHandle, State};

use super::refusal::Refusal;
use super::shared::{Pages, Shared};
use super::{allowed, diagnostics as report, dialog, node};

/// The state of this process, as commands get it.
type Here<'a> = State<'a, Arc<Shared>>;

/// What a page learns when it begins.
#[derive(Serialize)]
pub(super) struct Started {
    page: String,
    job: Option<String>,
    dashboard_id: Option<String>,
    about: Option<String>,
    language: &'static str,
    first_run: bool,
    tray: TrayState,
    notifications: NotifyState,
    refused: Option<String>,
    version: &'static str,
}

/// The desktop's settings, as the page shows them.
#[derive(Serialize)]
pub(super) struct Desktop {
    start_at_login: &'static str,
    language: LanguageChoice,
    notifications: Notifications,
}

/// The report of `diagnostics`.
#[derive(Serialize)]
pub(super) struct Report {
    text: String,
}

/// Asks the node; each question has a connection of its own, as on the command line, so that a slow
/// answer holds up no other.
#[tauri::command]
pub(super) async fn request(shared: Here<'_>, body: Value) -> Result<Value, Refusal> {
    let request = allowed::request(body)?;
    let mut client = Client::connect(&shared.door).await?;
    let reply = client.ask(request).await?;
    Ok(reply_json(&reply))
}

/// Follows something; events come through the channel until it ends or the node goes.
#[tauri::command]
pub(super) async fn follow(
    shared: Here<'_>,
    body: Value,
    channel: Channel<kiln_ipc::Event>,
) -> Result<u64, Refusal> {
    let follow = allowed::follow(body)?;
    let mut client = Client::connect(&shared.door).await?;
    client.follow(follow).await?;
    let task = tauri::async_runtime::spawn(async move {
        // The page that listened may be gone; a node that went is told by the event `node`.
        while let Ok((_, event)) = client.event().await {
            let ended = event == kiln_ipc::Event::End;
            if channel.send(event).is_err() || ended {
                return;
            }
        }
    });
    Ok(shared.keep_follow(task))
}

/// Ends a follow.
#[tauri::command]
pub(super) async fn unfollow(shared: Here<'_>, id: u64) -> Result<(), Refusal> {
    shared.end_follow(id);
    Ok(())
}

/// Begins: where to go, in which language.
#[tauri::command]
pub(super) async fn start(app: AppHandle, shared: Here<'_>) -> Result<Started, Refusal> {
    let settings = shared.kept.read();
    let locale = sys_locale::get_locale().unwrap_or_default();
    let (goal, tray, notifications, state, refused) = {
        let mut known = shared.known();
        known.pages = Pages::Listening;
        let (goal, state) = (known.goal.clone(), known.node.clone());
        let refused = known.refused.take();
        (goal, known.tray, known.notifications, state, refused)
    };
    // What was told before the page listened is told again.
    node::show(&app, &state);
    Ok(Started {
        page: goal.page,
        job: goal.job,
        dashboard_id: goal.dashboard_id,
        about: goal.about,
        language: settings.language(&locale).code(),
        first_run: settings.first_run == Said::NotYet,
        tray,
        notifications,
        refused,
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Tells the desktop's settings.
#[tauri::command]
pub(super) async fn desktop_settings(shared: Here<'_>) -> Result<Desktop, Refusal> {
    let settings = shared.kept.read();
    Ok(Desktop {
        start_at_login: match login_item()?.state() {
            Ok(StartAtLogin::On) => "on",
            Ok(StartAtLogin::Off) => "off",
            Ok(StartAtLogin::Blocked) => "blocked",
            Err(AutostartError::Unsupported) => "unsupported",
            Err(error) => {
                tracing::warn!(%error, "whether Kiln starts at login is not known");
                "unsupported"
            }
        },
        language: settings.language,
        notifications: settings.notifications,
    })
}

/// Changes one of them.
#[tauri::command]
pub(super) async fn set_desktop_setting(
    shared: Here<'_>,
    name: String,
    value: String,
) -> Result<(), Refusal> {
    if name == "start_at_login" {
        let item = login_item()?;
        let changed = match value.as_str() {
            "on" => item.enable(),
            "off" => item.disable(),
            other => {
                let problem = format!("start_at_login cannot be {other:?}.");
                return Err(Refusal::invalid(problem));
            }
        };
        return changed.map_err(|error| Refusal::failed(error.sentence()));
    }
    DeskSettings::default()
        .set(&name, &value)
        .map_err(|error| Refusal::invalid(error.to_string()))?;
    change(&shared, |settings| {
        // It was tried a moment ago.
        let _ = settings.set(&name, &value);
    })
}

/// Lets the desktop try at once what keeps the node from beginning.
#[tauri::command]
pub(super) async fn try_again(shared: Here<'_>) -> Result<(), Refusal> {
    shared.tell_desk(ToDesk::Again);
    Ok(())
}

/// Notes that the first run was gone through.
#[tauri::command]
pub(super) async fn first_run_done(shared: Here<'_>) -> Result<(), Refusal> {
    change(&shared, |settings| settings.first_run = Said::Done)
}

/// Notes that the page said that Kiln goes on when its window closes.
#[tauri::command]
pub(super) async fn close_hint_seen(shared: Here<'_>) -> Result<(), Refusal> {
    change(&shared, |settings| settings.close_hint = Said::Done)
}

/// Writes a report that can be copied.
#[tauri::command]
pub(super) async fn diagnostics(shared: Here<'_>) -> Result<Report, Refusal> {
    let text = report::report(&shared).await;
    Ok(Report { text })
}

/// Opens a folder in the system's file manager.
#[tauri::command]
pub(super) async fn open_folder(shared: Here<'_>, which: String) -> Result<(), Refusal> {
    let folder = match which.as_str() {
        "logs" => shared.paths.logs.clone(),
        "esphome" => {
            let mut client = Client::connect(&shared.door).await?;
            match client.ask(Request::Settings).await? {
                Reply::Settings(settings) => settings.esphome_folder(&home()),
                _ => return Err(Refusal::failed("The node does not say where it is.")),
            }
        }
        other => return Err(Refusal::invalid(format!("There is no folder {other:?}."))),
    };
    if !folder.is_dir() {
        let path = folder.display().to_string();
        return Err(Refusal::failed(say::folder_missing(path)));
    }
    open::that_detached(&folder).map_err(|error| {
        let path = folder.display().to_string();
        Refusal::failed(say::not_opened(path, error.to_string()))
    })
}

/// Saves a job's log where the person chooses; returns the place, or nothing if none was chosen.
#[tauri::command]
pub(super) async fn save_log(
    app: AppHandle,
    job: String,
    text: String,
) -> Result<Option<String>, Refusal> {
    let id: kiln_model::JobId = job
        .parse()
        .map_err(|_| Refusal::invalid(format!("There is no job {job:?}.")))?;
    let Some(place) = dialog::save_place(&app, format!("kiln-{id}.log")).await else {
        return Ok(None);
    };
    let shown = place.display().to_string();
    tokio::fs::write(&place, text)
        .await
        .map_err(|error| Refusal::failed(say::not_written(&shown, error.to_string())))?;
    Ok(Some(shown))
}

/// Changes the desktop's settings and lets the desktop know.
fn change(shared: &Shared, change: impl FnOnce(&mut DeskSettings)) -> Result<(), Refusal> {
    let kept = shared.kept.change(change);
    kept.map_err(|error| Refusal::failed(say::settings_not_kept(error.to_string())))?;
    shared.tell_desk(ToDesk::Settings);
    Ok(())
}

/// The entry that starts the desktop at login; it lies beside this program.
fn login_item() -> Result<LoginItems, Refusal> {
    let program = std::env::current_exe()
        .map_err(|error| Refusal::failed(format!("Kiln does not find itself: {error}.")))?;
    let name = format!("kiln-desktop{}", std::env::consts::EXE_SUFFIX);
    Ok(LoginItems::new(LoginItem {
        name: "Kiln".to_owned(),
        id: "kiln-desktop".to_owned(),
        icon: "kiln".to_owned(),
        program: program.with_file_name(name),
        arguments: vec!["--hidden".to_owned()],
    }))
}

/// The person's own folder.
fn home() -> PathBuf {
    std::env::home_dir().unwrap_or_default()
}
