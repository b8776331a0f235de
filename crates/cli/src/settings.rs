//! The verb about settings.
use kiln_client::{Client, Transport};
use kiln_ipc::reply_json;
use kiln_model::{Reply, Request};
use serde_json::json;

use crate::args::SettingsAction;
use crate::exit::Failure;
use crate::face::Face;

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
