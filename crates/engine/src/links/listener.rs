//! The listener, and accepted connections until they are a session or over.
//!
//! Before a peer has proved its key it costs 8 seconds, a message of 1 KiB and one of 4 KiB, and
//! nothing of it reaches the domain (trust.md §1.4).
use std::sync::Arc;
use std::time::Duration;

use kiln_domain::peering::{self, KnockAnswer};
use kiln_model::{CloseReason, LinkId, TerminateReason};
use kiln_peer_link::limits::{MAX_MSG1, MAX_MSG3};
use kiln_peer_link::{Answer, Authenticated, ExpectHello, Session};
use kiln_ports::net::{Connection, Incoming, NetError};
use tokio::sync::{mpsc, watch};

use super::task;
use super::writer::CLOSE;
use super::{Command, Ends, Shared};

/// Time for a stranger to prove its key, both messages together. With the 3 s for its HTTP request
/// that makes the 8 s in which a mute stranger is gone (trust.md §1.4, G7).
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Close code and text when the listener goes away (peer-link.md §3.2).
const GOING_AWAY: (u16, &str) = (1001, "Server shutting down");

/// Binds and accepts until the other end of `stopped` is dropped.
pub(super) async fn run(
    shared: Arc<Shared>,
    host: String,
    first_port: u16,
    mut stopped: watch::Receiver<()>,
) {
    let bound = tokio::select! {
        bound = shared.net.listen(&host, first_port) => bound,
        _ = stopped.changed() => return shared.emit(peering::Event::ListenerClosed).await,
    };
    let mut listener = match bound {
        Ok(listener) => listener,
        Err(error) => {
            drop(stopped);
            return shared
                .emit(peering::Event::ListenFailed(error.sentence()))
                .await;
        }
    };
    let port = listener.port();
    shared.bound(Some(match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }));
    shared.emit(peering::Event::Listening { port }).await;
    // Held by every connection that may still knock.
    let (stranger, mut strangers) = mpsc::channel::<()>(1);
    let mut outdated = listener.outdated();
    loop {
        tokio::select! {
            connection = listener.accept() => {
                let stranger = Stranger { stopped: stopped.clone(), _held: stranger.clone() };
                shared.spawn(accepted(Arc::clone(&shared), connection, stranger));
            }
            _ = stopped.changed() => break,
            () = &mut outdated => {
                tracing::info!(%host, "its addresses have changed; it is bound anew");
                break;
            }
        }
    }
    drop(listener);
    shared.bound(None);
    drop(stranger);
    // Ends when the last of them has knocked or is gone.
    let _ = strangers.recv().await;
    shared.emit(peering::Event::ListenerClosed).await;
}

/// A connection that did not knock yet.
struct Stranger {
    stopped: watch::Receiver<()>,
    _held: mpsc::Sender<()>,
}

/// Drives an accepted connection from its first byte to its end.
async fn accepted(shared: Arc<Shared>, mut connection: Connection, mut stranger: Stranger) {
    let patience = shared.clock.now().mono + HANDSHAKE;
    let proved = tokio::select! {
        proved = handshake(&shared, &mut connection) => proved,
        () = shared.clock.sleep_until(patience) => Err("it took too long".to_owned()),
        _ = stranger.stopped.changed() => {
            drop(stranger);
            return connection.writer.close(GOING_AWAY.0, GOING_AWAY.1).await;
        }
    };
    let authenticated = match proved {
        Ok(authenticated) => authenticated,
        Err(reason) => {
            tracing::debug!(peer = %connection.peer, reason, "a handshake failed");
            drop(stranger);
            return connection.writer.close(CLOSE, "").await;
        }
    };
    let link = shared.accepted_id();
    let ends = shared.register(link);
    let knocked = peering::Event::Knocked {
        link,
        intent: authenticated.intent,
        public_key: authenticated.public_key,
        pin: authenticated.pin,
        hello: authenticated.hello.clone(),
        source: connection.peer.ip().to_canonical(),
    };
    shared.emit(knocked).await;
    drop(stranger);
    let reason = knocking(&shared, link, connection, authenticated, ends).await;
    shared.forget(link);
    shared.emit(peering::Event::Closed { link, reason }).await;
}

/// Lets the other side prove its key. The error is for the log; a stranger is told nothing.
async fn handshake(shared: &Shared, connection: &mut Connection) -> Result<Authenticated, String> {
    let text = |error: kiln_peer_link::Error| error.to_string();
    let broke = |error: NetError| error.to_string();
    let key = shared.identity().ok_or("there is no identity yet")?;
    connection.reader.limit(MAX_MSG1);
    let msg1 = binary(connection.reader.next().await)?;
    let (msg2, finish) = ExpectHello::new(&key)
        .map_err(text)?
        .read(&msg1)
        .map_err(text)?;
    connection.reader.limit(MAX_MSG3);
    connection.writer.send(msg2).await.map_err(broke)?;
    let msg3 = binary(connection.reader.next().await)?;
    finish.read(&msg3).map_err(text)
}

fn binary(incoming: Result<Incoming, NetError>) -> Result<Vec<u8>, String> {
    match incoming {
        Ok(Incoming::Binary(message)) => Ok(message),
        Ok(Incoming::Text) => Err("a text message arrived".to_owned()),
        Ok(Incoming::Closed(_)) => Err("it hung up".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Waits for the domain's answer, for an hour if need be, and gives it.
async fn knocking(
    shared: &Arc<Shared>,
    link: LinkId,
    mut connection: Connection,
    authenticated: Authenticated,
    mut ends: Ends,
) -> CloseReason {
    let answer = tokio::select! {
        command = ends.inbox.recv() => match command {
            Some(Command::Answer(answer)) => *answer,
            Some(Command::ShutDown) => {
                connection.writer.close(GOING_AWAY.0, GOING_AWAY.1).await;
                return CloseReason::WeTerminated(TerminateReason::ServerShuttingDown);
            }
            Some(Command::Close(_) | Command::Download(..)) | None => {
                connection.writer.close(CLOSE, "").await;
                return CloseReason::WeTerminated(TerminateReason::ServerShuttingDown);
            }
        },
        // Nobody has anything to say before the answer.
        incoming = connection.reader.next() => {
            connection.writer.close(CLOSE, "").await;
            return match binary(incoming) {
                Ok(_) => CloseReason::TransportError("it spoke out of turn".into()),
                Err(_) => CloseReason::PeerHungUp,
            };
        }
    };
    let (response, session) = match sealed(authenticated, answer) {
        Ok(sealed) => sealed,
        Err(error) => {
            tracing::error!(%link, %error, "a knock could not be answered");
            connection.writer.close(CLOSE, "").await;
            return CloseReason::TransportError(error.to_string().into());
        }
    };
    if let Err(error) = connection.writer.send(response).await {
        return CloseReason::TransportError(error.to_string().into());
    }
    match session {
        Some(session) => {
            connection.reader.authenticated();
            task::run(Arc::clone(shared), link, connection, session, ends).await
        }
        None => {
            connection.writer.close(CLOSE, "").await;
            CloseReason::PeerHungUp
        }
    }
}

/// Seals the answer; with approval it opens the session.
fn sealed(
    authenticated: Authenticated,
    answer: KnockAnswer,
) -> kiln_peer_link::Result<(Vec<u8>, Option<Session>)> {
    match answer.admit {
        Some(approved) => {
            let (bytes, session) = authenticated.admit(approved, &answer.facts)?;
            Ok((bytes, Some(session)))
        }
        None => {
            let bytes = authenticated.answer(&Answer {
                kind: answer.kind,
                reason: answer.reason,
                facts: &answer.facts,
                requires_pairing_key: answer.requires_pairing_key,
            })?;
            Ok((bytes, None))
        }
    }
}
