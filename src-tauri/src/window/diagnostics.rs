//! What a person pastes into a bug report: versions, places, states. Never secrets.
use std::fmt::Write as _;

use kiln_client::Client;
use kiln_desk::{NotifyState, TrayState};
use kiln_model::{Reply, Request, View};

use super::shared::{NodeState, Shared};

/// Writes the report.
pub(super) async fn report(shared: &Shared) -> String {
    let (tray, notifications, node) = {
        let known = shared.known();
        (known.tray, known.notifications, known.node.clone())
    };
    let view = match Client::connect(&shared.door).await {
        Ok(mut client) => match client.ask(Request::Status).await {
            Ok(Reply::Status(view)) => Some(view),
            Ok(_) | Err(_) => None,
        },
        Err(_) => None,
    };
    let secrets = match kiln_host::secrets_place(&shared.paths) {
        Ok(kiln_host::SecretsPlace::Keyring) => "keyring".to_owned(),
        Ok(kiln_host::SecretsPlace::File) => "file".to_owned(),
        Err(problem) => problem,
    };
    let session: Vec<String> = ["XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE"]
        .iter()
        .filter_map(std::env::var_os)
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let tray = match tray {
        TrayState::Shown => "shown",
        TrayState::NoHost => "this desktop shows no icons",
        TrayState::Unknown => "unknown",
    };
    let notifications = match notifications {
        NotifyState::Shown => "shown",
        NotifyState::Missing => "nothing here shows them",
        NotifyState::Denied => "switched off in the system's settings",
        NotifyState::Unknown => "none yet",
    };
    let node = match node {
        NodeState::Connected { .. } => "answers".to_owned(),
        NodeState::Connecting { .. } => "is called".to_owned(),
        NodeState::Gone { message, .. } | NodeState::Troubled { message } => message,
    };
    let paths = &shared.paths;
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:12} {value}");
    };
    line("Kiln", &env!("CARGO_PKG_VERSION"));
    line(
        "System",
        &format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    line("Desktop", &session.join(", "));
    line("Webview", &tauri::webview_version().unwrap_or_default());
    line("Icon", &tray);
    line("Notices", &notifications);
    line("Node", &node);
    line("Secrets", &secrets);
    for (name, path) in [
        ("Settings", &paths.settings),
        ("State", &paths.state),
        ("Cache", &paths.cache),
        ("Logs", &paths.logs),
        ("Runtime", &paths.runtime),
    ] {
        line(name, &path.display());
    }
    if let Some(view) = view {
        of_node(&view, line);
    }
    text
}

fn of_node(view: &View, mut line: impl FnMut(&str, &dyn std::fmt::Display)) {
    line("Node version", &view.identity.version);
    line("Fingerprint", &view.identity.pin.grouped());
    match view.listening {
        Some(port) => line("Listening", &format!("port {port}")),
        None => line("Listening", &"no"),
    }
    match &view.identity.esphome_version {
        Some(version) => line("ESPHome", version),
        None => line("ESPHome", &"none yet"),
    }
    let counts = format!(
        "{} receivers, {} offloaders, {} requests, {} alerts",
        view.pairings.len(),
        view.peers.len(),
        view.pending.len(),
        view.alerts.len()
    );
    line("Computers", &counts);
    for notice in &view.notices {
        line("Notice", notice);
    }
}
