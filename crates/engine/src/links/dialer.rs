//! Dials: from an endpoint to an answer, and for `peer_link` on to the end of the session.
//!
//! Whatever goes wrong on the way is an outcome, never a dead task (peer-link.md §11, Q5). The
//! other side's key is checked before it learns who we are (Q7).
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kiln_domain::peering::{DialAnswer, DialFailure, Event, Purpose};
use kiln_model::{CloseReason, Endpoint, LinkId, Pin, Sentence, TerminateReason, say};
use kiln_peer_link::limits::{CONNECT_BACK_STEP, HANDSHAKE_STEP, MAX_ONE_SHOT, PAIR_STATUS_STEP};
use kiln_peer_link::{Error, Initiator, Opening, PinCheck, Session, StaticKey};
use kiln_ports::net::{Connection, Incoming, NetError};
use tokio::sync::mpsc;

use super::task;
use super::writer::CLOSE;
use super::{Command, Ends, Shared};

/// What to dial.
pub(super) struct Order {
    pub(super) link: LinkId,
    pub(super) endpoint: Endpoint,
    pub(super) skip: Vec<IpAddr>,
    pub(super) expect: Option<Pin>,
    pub(super) purpose: Purpose,
}

/// Dials, reports the outcome, and drives the session if there is one.
pub(super) async fn run(shared: Arc<Shared>, order: Order, mut ends: Ends) {
    let link = order.link;
    let outcome = tokio::select! {
        outcome = attempt(&shared, &order) => outcome,
        () = given_up(&mut ends.inbox) => {
            shared.forget(link);
            let reason = CloseReason::WeTerminated(TerminateReason::ClientStopped);
            return shared.emit(Event::Closed { link, reason }).await;
        }
    };
    let (answer, opened) = match outcome {
        Ok(answered) => answered,
        Err(failure) => {
            shared.forget(link);
            return shared
                .emit(Event::Dialled {
                    link,
                    outcome: Err(failure),
                })
                .await;
        }
    };
    match opened {
        Opened::Session(connection, session) => {
            shared
                .emit(Event::Dialled {
                    link,
                    outcome: Ok(answer),
                })
                .await;
            let reason = task::run(Arc::clone(&shared), link, connection, *session, ends).await;
            shared.forget(link);
            shared.emit(Event::Closed { link, reason }).await;
        }
        Opened::Over(mut connection) => {
            shared.forget(link);
            let outcome = Ok(answer);
            shared.emit(Event::Dialled { link, outcome }).await;
            // Nobody has to wait for the other side's half of the close.
            connection.writer.close(CLOSE, "").await;
        }
    }
}

/// What is left of the connection after the answer.
enum Opened {
    Session(Connection, Box<Session>),
    Over(Connection),
}

async fn given_up(inbox: &mut mpsc::UnboundedReceiver<Command>) {
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Close(_) | Command::ShutDown => return,
            Command::Answer(_) | Command::Download(..) => {}
        }
    }
    std::future::pending().await
}

async fn attempt(shared: &Shared, order: &Order) -> Result<(DialAnswer, Opened), DialFailure> {
    let Some(key) = shared.identity() else {
        return Err(failed(say::no_identity_yet()));
    };
    let steps = Steps::of(&order.purpose);
    let resolving = addresses(shared, order);
    let addresses = within(shared, steps.connect, resolving).await?;
    let host = order.endpoint.host().trim_end_matches('.');
    let dialling = shared
        .net
        .dial(host, &addresses, steps.connect, MAX_ONE_SHOT);
    let mut connection = dialling.await.map_err(failed)?;
    match speak(shared, order, &key, &steps, &mut connection).await {
        Ok((answer, opening)) => {
            let opened = match opening {
                Opening::Session(session) => Opened::Session(connection, session),
                Opening::Close => Opened::Over(connection),
            };
            Ok((answer, opened))
        }
        Err(mut failure) => {
            connection.writer.close(CLOSE, "").await;
            failure.address = Some(connection.peer.ip().to_canonical());
            Err(failure)
        }
    }
}

/// Everything that is said on the connection before the session.
async fn speak(
    shared: &Shared,
    order: &Order,
    key: &StaticKey,
    steps: &Steps,
    connection: &mut Connection,
) -> Result<(DialAnswer, Opening), DialFailure> {
    let (intent, hello) = order.purpose.introduction();
    let (msg1, reply) = Initiator::start(key, intent).map_err(refused)?;
    connection.writer.send(msg1).await.map_err(failed)?;
    let msg2 = within(shared, steps.reply, message(connection)).await?;
    let responder = reply.read(&msg2).map_err(|error| DialFailure {
        observed: matches!(error, Error::SelfLoopback).then(|| key.pin()),
        ..refused(error)
    })?;
    let (public_key, pin) = (responder.public_key, responder.pin);
    let seen = |failure| DialFailure {
        observed: Some(pin),
        ..failure
    };
    let check = order.expect.map_or(PinCheck::LearnOnly, PinCheck::Expect);
    let (msg3, expected) = responder
        .finish(check, &hello)
        .map_err(refused)
        .map_err(seen)?;
    connection
        .writer
        .send(msg3)
        .await
        .map_err(failed)
        .map_err(seen)?;
    let mut bytes = within(shared, steps.answer, message(connection))
        .await
        .map_err(seen)?;
    let (response, opening) = expected.read(&mut bytes).map_err(refused).map_err(seen)?;
    let address = connection.peer.ip().to_canonical();
    Ok((
        DialAnswer {
            public_key,
            pin,
            response,
            address,
        },
        opening,
    ))
}

/// Candidates for the connection: an IP literal is itself, `.local` names go over mDNS, the rest
/// through the system's resolver (peer-link.md §2.6).
async fn addresses(shared: &Shared, order: &Order) -> Result<Vec<SocketAddr>, DialFailure> {
    let host = order.endpoint.host();
    let bare = host.trim_end_matches('.');
    let port = order.endpoint.port();
    let found = match order.endpoint.ip() {
        Some(ip) => vec![SocketAddr::new(ip, port)],
        None if bare.ends_with(".local") => {
            let seen = shared.discovery.resolve(bare).await;
            match seen.is_empty() {
                // Without multicast, or with a name that only the system knows.
                true => shared.net.resolve(bare).await.unwrap_or_default(),
                false => seen
                    .into_iter()
                    .map(|ip| SocketAddr::new(ip, port))
                    .collect(),
            }
        }
        None => shared.net.resolve(bare).await.map_err(failed)?,
    };
    if found.is_empty() {
        return Err(failed(say::nobody_answers(bare)));
    }
    let mut elsewhere = found;
    elsewhere.retain(|address| !order.skip.contains(&address.ip().to_canonical()));
    for address in &mut elsewhere {
        address.set_port(port);
    }
    if elsewhere.is_empty() {
        return Err(failed(say::all_lead_back(bare)));
    }
    Ok(elsewhere)
}

async fn message(connection: &mut Connection) -> Result<Vec<u8>, DialFailure> {
    match connection.reader.next().await {
        Ok(Incoming::Binary(message)) => Ok(message),
        Ok(Incoming::Text) => Err(failed(say::not_a_peer())),
        Ok(Incoming::Closed(_)) => Err(failed(say::other_hung_up())),
        Err(error) => Err(failed(error)),
    }
}

/// Bounds a step.
async fn within<T>(
    shared: &Shared,
    step: Duration,
    work: impl Future<Output = Result<T, DialFailure>>,
) -> Result<T, DialFailure> {
    let deadline = shared.clock.now().mono + step;
    tokio::select! {
        done = work => done,
        () = shared.clock.sleep_until(deadline) => Err(failed(NetError::TimedOut(step))),
    }
}

fn failed(why: impl Into<Sentence>) -> DialFailure {
    CloseReason::TransportError(why.into()).into()
}

fn refused(error: Error) -> DialFailure {
    CloseReason::from(&error).into()
}

/// Budgets of a dial (peer-link.md §3.6).
struct Steps {
    /// Each of resolving, connecting to one address, and upgrading.
    connect: Duration,
    /// msg2.
    reply: Duration,
    /// The answer.
    answer: Duration,
}

impl Steps {
    fn of(purpose: &Purpose) -> Self {
        let all = |step| Self {
            connect: step,
            reply: step,
            answer: step,
        };
        match purpose {
            Purpose::Preview | Purpose::PairRequest { .. } | Purpose::PeerLink { .. } => {
                all(HANDSHAKE_STEP)
            }
            Purpose::ConnectBack { .. } => all(CONNECT_BACK_STEP),
            // Only the decision takes an hour; a machine that is there says so at once.
            Purpose::PairStatus { .. } => Self {
                answer: PAIR_STATUS_STEP,
                ..all(HANDSHAKE_STEP)
            },
        }
    }
}
