//! Follows the node, whichever process runs it, and tells the desktop what it sees.
use std::time::Duration;

use jiff::tz::TimeZone;
use kiln_client::{Client, ClientError};
use kiln_desk::Event;
use kiln_host::Door;
use kiln_ipc::{Event as Told, Follow};
use tokio::sync::mpsc::UnboundedSender;

/// First and longest pause before a node that does not answer is tried again. The first is short,
/// so that the icon is right soon after a start.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Follows for ever.
pub(super) async fn follow(door: Door, mut zone: TimeZone, events: UnboundedSender<Event>) {
    let mut pause = PAUSES.0;
    loop {
        let ended = once(&door, &events, &mut pause, &mut zone).await;
        if let Err(error) = ended {
            tracing::debug!(%error, "the node is not followed");
        }
        let _ = events.send(Event::NodeGone);
        tokio::time::sleep(pause).await;
        pause = PAUSES.1.min(pause * 2);
    }
}

async fn once(
    door: &Door,
    events: &UnboundedSender<Event>,
    pause: &mut Duration,
    zone: &mut TimeZone,
) -> Result<(), ClientError> {
    let mut client = Client::connect(door).await?;
    client.follow(Follow::View).await?;
    client.follow(Follow::Devices).await?;
    loop {
        let event = match client.event().await?.1 {
            Told::View { view } => {
                tell_zone(zone, events);
                Event::View(view)
            }
            Told::Devices { devices } => Event::Devices(devices),
            Told::Job { .. } | Told::Log { .. } | Told::Environments { .. } | Told::End => continue,
        };
        *pause = PAUSES.0;
        let _ = events.send(event);
    }
}

/// Tells the system's time zone, if it is not `known` any more: a laptop travels, and a view tells
/// times.
fn tell_zone(known: &mut TimeZone, events: &UnboundedSender<Event>) {
    let zone = TimeZone::system();
    if *known != zone {
        known.clone_from(&zone);
        let _ = events.send(Event::Zone(zone));
    }
}
