//! Verbs about other computers: pair, receivers, offloaders, window, requests, approve, reject.
use kiln_ipc::{Event, Follow, reply_json, view_json};
use kiln_model::{
    ErrorCode, Label, LinkState, PairingStatus, Pin, Reply, Request, RequestError, Sentence, View,
    WindowView,
};
use serde_json::json;

use crate::args::{OffloaderAction, PairArgs, ReceiverAction, WindowAction};
use crate::asking::{unexpected, view};
use crate::exit::Failure;
use crate::face::{Answer, Face, Shape};
use crate::identity::fingerprint;
use crate::pick;
use crate::text::{safe, table, when};
use crate::work::within;
use kiln_client::{Client, Transport};

pub(crate) async fn pair(
    transport: &impl Transport,
    face: &mut Face,
    wanted: PairArgs,
) -> Result<(), Failure> {
    let waits = wanted.wait;
    let mut client = Client::connect(transport).await?;
    let preview = client
        .ask(Request::Preview(wanted.endpoint.clone()))
        .await?;
    let Reply::Previewed {
        pin,
        requires_pairing_key,
        friendly_name,
    } = preview
    else {
        return Err(unexpected());
    };
    confirm(&mut client, face, &wanted, pin, &friendly_name).await?;
    if requires_pairing_key && wanted.key.is_none() {
        return Err(Failure::Usage(
            "That receiver wants the one-time key it shows; give it with --key.".to_owned(),
        ));
    }
    let mut reply = client
        .ask(Request::Pair {
            endpoint: wanted.endpoint,
            pin,
            pairing_key: wanted.key,
            label: Label::clipped(&wanted.label.unwrap_or_default()),
        })
        .await?;
    if reply == Reply::PairingPending && waits.wait {
        face.notice("Asked. Its owner has to approve this computer now.")?;
        within(waits.timeout, decision(&mut client, pin)).await?;
        reply = Reply::Paired;
    }
    face.result(
        || reply_json(&reply),
        || match reply {
            Reply::PairingPending => "Asked. Its owner has to approve this computer now; compare \
                 the fingerprint there with `kiln identity`.\n"
                .to_owned(),
            _ => "Paired.\n".to_owned(),
        },
    )
}

/// Waits until the receiver's admin has decided.
async fn decision(client: &mut Client, pin: Pin) -> Result<(), Failure> {
    let follow = client.follow(Follow::View).await?;
    loop {
        let (id, Event::View { view }) = client.event().await? else {
            continue;
        };
        if id != follow {
            continue;
        }
        let pairing = view.pairings.iter().find(|p| p.pairing.pin == pin);
        match pairing.map(|p| p.pairing.status) {
            Some(PairingStatus::Pending) => {}
            Some(PairingStatus::Approved) => return Ok(client.unfollow(follow).await?),
            None => {
                return Err(Failure::Refused(RequestError {
                    code: ErrorCode::PreconditionFailed,
                    message: "The owner of the receiver declined.".into(),
                    hint: "Ask there, then pair again.".into(),
                }));
            }
        }
    }
}

/// With `--pin` the key has to be that one; otherwise a person compares, and no is the default.
async fn confirm(
    client: &mut Client,
    face: &mut Face,
    wanted: &PairArgs,
    pin: Pin,
    name: &str,
) -> Result<(), Failure> {
    if let Some(expected) = wanted.pin {
        if expected == pin {
            return Ok(());
        }
        return Err(Failure::Refused(RequestError {
            code: ErrorCode::PreconditionFailed,
            message: format!("{} answers with another key: {pin}.", wanted.endpoint).into(),
            hint: "Compare it with the pin that its own screen shows.".into(),
        }));
    }
    if face.shape == Shape::Json {
        return Err(Failure::Usage(format!(
            "Nobody can compare fingerprints in JSON; {} answers with --pin {pin}.",
            wanted.endpoint
        )));
    }
    let own = view(client).await?.identity.pin;
    face.talk(&format!(
        "{} at {} answers with\n\n{}\n\nIts own screen has to show the same. It will be shown this \
         computer's:\n\n{}\n\n",
        safe(name),
        wanted.endpoint,
        fingerprint(pin),
        fingerprint(own),
    ))?;
    match face.ask("Are emoji and fingerprint the same on the other screen?")? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Failure::Refused(RequestError {
            code: ErrorCode::PreconditionFailed,
            message: "Not paired: the fingerprints were not confirmed.".into(),
            hint: Sentence::default(),
        })),
    }
}

/// What is said when the owner thought better of it.
const NOT_FORGOTTEN: &str = "Nothing was forgotten.";

/// Asks whether a pairing may end.
fn forgetting(label: &Label) -> String {
    let name = safe(label.as_str());
    format!("Forget {name}? To work together again, both have to be paired again.")
}

pub(crate) async fn receivers(
    transport: &impl Transport,
    face: &mut Face,
    action: Option<ReceiverAction>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let before = view(&mut client).await?;
    let pin = |wanted: &str| pick::receiver(&before.pairings, wanted).map(|v| v.pairing.pin);
    let request = match action {
        None | Some(ReceiverAction::List) => {
            return face.result(
                || view_json(&before)["receivers"].clone(),
                || receivers_text(&before),
            );
        }
        Some(ReceiverAction::Forget { receiver, yes }) => {
            let pairing = &pick::receiver(&before.pairings, &receiver)?.pairing;
            let question = forgetting(&pairing.label);
            face.confirm(yes, "", &question, NOT_FORGOTTEN)?;
            Request::Unpair(pairing.pin)
        }
        Some(ReceiverAction::Enable { receiver }) => {
            Request::SetPairingEnabled(pin(&receiver)?, true)
        }
        Some(ReceiverAction::Disable { receiver }) => {
            Request::SetPairingEnabled(pin(&receiver)?, false)
        }
        Some(ReceiverAction::Endpoint { receiver, endpoint }) => {
            Request::EditEndpoint(pin(&receiver)?, endpoint)
        }
    };
    done(&mut client, face, request).await
}

fn receivers_text(view: &View) -> String {
    if view.pairings.is_empty() {
        return "No computer compiles for this one. `kiln discover`, then `kiln pair`.\n"
            .to_owned();
    }
    let rows: Vec<Vec<String>> = view
        .pairings
        .iter()
        .map(|receiver| {
            let pairing = &receiver.pairing;
            let state = match (&receiver.queue, pairing.enabled) {
                (_, false) => "disabled".to_owned(),
                (Some(queue), true) if queue.idle => "idle".to_owned(),
                (Some(queue), true) => format!("busy, {} waiting", queue.queue_depth),
                (None, true) => String::new(),
            };
            vec![
                safe(pairing.label.as_str()),
                pairing.endpoint.to_string(),
                pairing
                    .esphome_version
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                pairing.pin.short(),
                link_text(&receiver.link),
                state,
            ]
        })
        .collect();
    table(
        &["LABEL", "ADDRESS", "ESPHOME", "PIN", "LINK", "STATE"],
        &rows,
    )
}

pub(crate) async fn offloaders(
    transport: &impl Transport,
    face: &mut Face,
    action: Option<OffloaderAction>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let before = view(&mut client).await?;
    match action {
        None | Some(OffloaderAction::List) => face.result(
            || view_json(&before)["offloaders"].clone(),
            || offloaders_text(&before),
        ),
        Some(OffloaderAction::Forget { offloader, yes }) => {
            let peer = &pick::offloader(&before.peers, &offloader)?.peer;
            face.confirm(yes, "", &forgetting(&peer.label), NOT_FORGOTTEN)?;
            let id = peer.dashboard_id.clone();
            done(&mut client, face, Request::RemovePeer(id)).await
        }
    }
}

fn offloaders_text(view: &View) -> String {
    if view.peers.is_empty() {
        return "This computer compiles for nobody. `kiln window open` lets others ask.\n"
            .to_owned();
    }
    let rows: Vec<Vec<String>> = view
        .peers
        .iter()
        .map(|offloader| {
            let peer = &offloader.peer;
            vec![
                safe(peer.label.as_str()),
                peer.dashboard_id.to_string(),
                peer.pin.short(),
                peer.peer_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                when(peer.paired_at),
                if offloader.connected {
                    "connected"
                } else {
                    "away"
                }
                .to_owned(),
            ]
        })
        .collect();
    table(&["LABEL", "ID", "PIN", "ADDRESS", "PAIRED", "LINK"], &rows)
}

pub(crate) async fn window(
    transport: &impl Transport,
    face: &mut Face,
    action: WindowAction,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    match action {
        WindowAction::Open => {
            client.ask(Request::OpenWindow).await?;
        }
        WindowAction::Close => {
            client.ask(Request::CloseWindow).await?;
        }
        WindowAction::Status => {}
    }
    let view = view(&mut client).await?;
    face.result(
        || view_json(&view)["window"].clone(),
        || match view.window {
            WindowView::Closed => "Closed: new offloaders are not heard.\n".to_owned(),
            WindowView::Open { seconds_left } => format!(
                "Open for {seconds_left} s. Compare fingerprints: this computer's is\n\n{}\n",
                fingerprint(view.identity.pin)
            ),
        },
    )
}

pub(crate) async fn requests(transport: &impl Transport, face: &mut Face) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let view = view(&mut client).await?;
    face.result(
        || view_json(&view)["requests"].clone(),
        || {
            if view.pending.is_empty() {
                return "Nobody asks. `kiln window open` lets others ask.\n".to_owned();
            }
            let mut text = String::new();
            for request in &view.pending {
                text.push_str(&format!(
                    "{} from {}\n{}\nid            {}\n\n",
                    safe(request.label.as_str()),
                    request.peer_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                    fingerprint(request.pin),
                    request.dashboard_id
                ));
            }
            text.push_str(
                "Approve only if the other screen shows the same fingerprint: from then on its \
                 builds run on this computer.\n",
            );
            text
        },
    )
}

/// Which way a request is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// With the pin that a person compared, if one was given.
    Approve(Option<Pin>),
    Reject,
}

pub(crate) async fn decide(
    transport: &impl Transport,
    face: &mut Face,
    wanted: &str,
    decision: Decision,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    let view = view(&mut client).await?;
    let pending = pick::request(&view.pending, wanted)?;
    let id = pending.dashboard_id.clone();
    let request = match decision {
        Decision::Approve(Some(pin)) if pin != pending.pin => {
            return Err(Failure::Refused(RequestError {
                code: ErrorCode::PreconditionFailed,
                message: format!("It asks with another key: {}.", pending.pin).into(),
                hint: "Compare it with the pin that its own screen shows.".into(),
            }));
        }
        Decision::Approve(_) => Request::Approve(id, Some(pending.pin)),
        Decision::Reject => Request::Reject(id),
    };
    done(&mut client, face, request).await
}

async fn done(client: &mut Client, face: &mut Face, request: Request) -> Result<(), Failure> {
    let reply = client.ask(request).await?;
    face.result(
        || json!({ "reply": reply_json(&reply)["reply"] }),
        || "Done.\n".to_owned(),
    )
}

/// Returns a link's state in words.
fn link_text(link: &LinkState) -> String {
    match link {
        LinkState::Connected => "connected".to_owned(),
        LinkState::Connecting(error) if error.is_empty() => "connecting".to_owned(),
        LinkState::Connecting(error) => format!("connecting ({})", safe(error)),
        LinkState::Orphaned => "stopped, needs you".to_owned(),
        LinkState::AwaitingApproval => "waits to be approved".to_owned(),
    }
}
