//! `kiln import`: takes over identity and pairings of a dashboard that is being retired.
use std::sync::Arc;

use kiln_cli::{Face, ImportArgs, Shape};
use kiln_engine::import::{Existing, Legacy, TakenOver, take_over};
use kiln_platform::{Paths, RetiredDashboard, SqliteStore};
use kiln_ports::Store;
use serde_json::json;

use crate::secrets;

/// Takes over a dashboard.
///
/// # Errors
/// One sentence with the next step; nothing is changed then.
pub(crate) async fn import(
    paths: &Paths,
    wanted: ImportArgs,
    face: &mut Face,
) -> Result<(), String> {
    let taken = take(paths, &wanted).await?;
    let shown = match face.shape {
        Shape::Json => as_json(&taken),
        Shape::Text => as_text(&taken),
    };
    face.say(&shown);
    Ok(())
}

async fn take(paths: &Paths, wanted: &ImportArgs) -> Result<TakenOver, String> {
    paths.prepare().map_err(sentence)?;
    let _lock = kiln_host::lock(paths).await.map_err(sentence)?;
    let retired = RetiredDashboard::open(&wanted.dir, wanted.data.as_deref()).map_err(sentence)?;
    let legacy = Legacy::read(&retired.files).map_err(sentence)?;
    let choice = wanted.secrets.map(secrets::place);
    let place = kiln_host::chosen_secrets(paths, choice)?;
    let secrets = kiln_host::open_secrets(paths, place);
    let store = SqliteStore::open(&paths.state, &paths.job_logs())
        .map_err(|error| as_sentence(&kiln_host::records_unusable(paths, &error)))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let existing = if wanted.replace {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let mut taken = take_over(legacy, existing, &*secrets, &store)
        .await
        .map_err(sentence)?;
    if choice.is_some()
        && let Err(why) = kiln_host::remember_secrets(paths, place)
    {
        // All was taken over by now.
        taken.notices.push(why);
    }
    Ok(taken)
}

fn as_json(taken: &TakenOver) -> String {
    let event = json!({
        "event": "imported",
        "pin_sha256": taken.pin.to_string(),
        "dashboard_id": taken.dashboard_id.as_str(),
        "offloaders": taken.peers,
        "receivers": taken.pairings,
        "notices": taken.notices,
    });
    format!("{event}\n")
}

fn as_text(taken: &TakenOver) -> String {
    let mut text: String = taken.notices.iter().map(|n| format!("{n}\n")).collect();
    text += &format!(
        "Kiln is this dashboard now: {} and {} taken over.\nFingerprint {} ({})\n\
         Do not start the dashboard again. Start Kiln with `kiln serve`.\n",
        counted(taken.peers, "offloader"),
        counted(taken.pairings, "receiver"),
        taken.pin.grouped(),
        taken.pin.emoji(),
    );
    text
}

fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn sentence(error: impl std::error::Error) -> String {
    as_sentence(&error.to_string())
}

fn as_sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}
