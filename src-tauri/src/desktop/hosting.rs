//! Runs the node of this state directory, or waits while another process does.
use std::sync::Arc;
use std::time::Duration;

use kiln_client::Client;
use kiln_desk::{Again, Event, Hosting};
use kiln_host::{Door, Host, HostError, Wanted};
use kiln_platform::Paths;
use tokio::sync::{Notify, mpsc::UnboundedSender, watch};

/// First and longest pause before a start is tried again that may work by itself later.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How long another process's node may be away, being restarted or upgraded, before it is ours.
const AWAY: u32 = 20;

/// Hosts until told to stop, or returns never. `again` tries at once what failed.
pub(super) async fn host(
    paths: &Paths,
    events: UnboundedSender<Event>,
    again: Arc<Notify>,
    mut stopped: watch::Receiver<()>,
) {
    let tell = |hosting| {
        // The inbox outlives us.
        let _ = events.send(Event::Hosting(hosting));
    };
    let mut pause = PAUSES.0;
    loop {
        match Host::start(paths, Wanted::as_left()).await {
            Ok(host) => {
                tell(Hosting::Ours);
                let asked = async {
                    // The sender lives as long as the desktop does.
                    let _ = stopped.changed().await;
                };
                host.serve(asked, |ready| {
                    tracing::info!(link = ?ready.link, "the node serves");
                })
                .await;
                let _ = events.send(Event::HostEnded);
                return std::future::pending().await;
            }
            Err(HostError::Running(_)) => {
                tell(Hosting::Theirs);
                until_away(&Door::new(paths, "kiln-desktop")).await;
            }
            Err(HostError::Keyring(why)) => {
                tracing::warn!("{why}");
                tell(Hosting::Failed {
                    why,
                    again: Again::ByItself,
                });
                tokio::select! {
                    () = again.notified() => {}
                    () = tokio::time::sleep(pause) => pause = PAUSES.1.min(pause * 2),
                }
            }
            Err(HostError::Failed(why)) => {
                tracing::error!("{why}");
                tell(Hosting::Failed {
                    why,
                    again: Again::OnWord,
                });
                again.notified().await;
            }
        }
    }
}

/// Returns when the node of another process was gone for a while.
async fn until_away(door: &Door) {
    let mut missed = 0;
    while missed < AWAY {
        match Client::connect(door).await {
            Ok(mut client) => {
                missed = 0;
                // Nothing is followed, so this is told only that it ended.
                let _ = client.event().await;
            }
            Err(_) => missed += 1,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
