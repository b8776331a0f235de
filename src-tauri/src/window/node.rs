//! Notices whether the node answers, and tells the pages.
use std::sync::Arc;
use std::time::Duration;

use kiln_client::Client;
use tauri::{AppHandle, Emitter as _};

use super::MAIN;
use super::shared::{NodeState, Shared};

/// First and longest pause before a node that does not answer is called again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Watches for ever.
pub(super) async fn watch(app: AppHandle, shared: Arc<Shared>) {
    let mut pause = PAUSES.0;
    loop {
        match Client::connect(&shared.door).await {
            Ok(mut client) => {
                pause = PAUSES.0;
                let message = String::new();
                tell(&app, &shared, NodeState::Connected { message });
                // Nothing is followed, so this is told only that it ended.
                let ended = client.event().await;
                let why = ended.err().map(|error| error.sentence());
                let state = NodeState::connecting(&why.unwrap_or_default());
                tell(&app, &shared, state);
            }
            Err(error) => {
                let trouble = shared.known().trouble.clone();
                let state = match trouble {
                    Some(message) => NodeState::Troubled { message },
                    None => NodeState::gone(&error.sentence()),
                };
                tell(&app, &shared, state);
            }
        }
        tokio::time::sleep(pause).await;
        pause = PAUSES.1.min(pause * 2);
    }
}

fn tell(app: &AppHandle, shared: &Shared, state: NodeState) {
    {
        let mut known = shared.known();
        if known.node == state {
            return;
        }
        known.node = state.clone();
    }
    show(app, &state);
}

/// Tells the pages.
pub(super) fn show(app: &AppHandle, state: &NodeState) {
    if let Err(error) = app.emit_to(MAIN, "node", state) {
        tracing::warn!(%error, "the pages cannot be told of the node");
    }
}
