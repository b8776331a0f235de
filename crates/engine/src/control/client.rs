//! [`serve`]: one client: its hello, its requests, what it follows.
use std::collections::HashMap;
use std::sync::Arc;

use kiln_domain::{ClientId, Event};
use kiln_ipc::{ClientMessage, Lines, MAX_REQUEST, PROTOCOL, ServerMessage};
use kiln_model::{ErrorCode, RequestError, Sentence, say};
use kiln_ports::control::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::{Counter, Waiting, follow};

/// Answers that may wait for a client.
const ANSWERS: usize = 256;

/// Requests that one client may have under way.
const REQUESTS: usize = 128;

/// Serves a client until it leaves, breaks the contract, or the server ends this task.
pub(super) async fn serve(stream: Box<dyn Stream>, client: ClientId, counter: Arc<Counter>) {
    let (reader, writer) = tokio::io::split(stream);
    let (out, answers) = mpsc::channel(ANSWERS);
    let mut session = Session {
        client,
        counter,
        out,
        follows: HashMap::new(),
        tasks: JoinSet::new(),
    };
    tokio::select! {
        () = session.read(reader) => {}
        () = write(writer, answers) => {}
    }
    session
        .counter
        .waiting()
        .retain(|_, waiting| !waiting.out.same_channel(&session.out));
    if session
        .counter
        .events
        .send(Event::ClientGone(client))
        .await
        .is_err()
    {
        tracing::debug!("a client left after the loop ended");
    }
}

struct Session {
    client: ClientId,
    counter: Arc<Counter>,
    out: mpsc::Sender<ServerMessage>,
    follows: HashMap<u64, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Session {
    async fn read(&mut self, mut reader: ReadHalf<Box<dyn Stream>>) {
        let mut lines = Lines::new(MAX_REQUEST);
        let mut buffer = vec![0; 16 * 1024];
        let mut greeted = false;
        loop {
            let Ok(length @ 1..) = reader.read(&mut buffer).await else {
                return;
            };
            lines.push(buffer.get(..length).unwrap_or_default());
            loop {
                let line = match lines.next_line() {
                    Ok(Some(line)) => line,
                    Ok(None) => break,
                    Err(too_long) => {
                        self.broken(None, too_long.to_string()).await;
                        return;
                    }
                };
                match kiln_ipc::decode_client(&line) {
                    Ok(message) => {
                        if !self.hear(message, &mut greeted).await {
                            return;
                        }
                    }
                    Err(error) => self.say(error.answer()).await,
                }
            }
        }
    }

    /// Returns whether the connection goes on.
    async fn hear(&mut self, message: ClientMessage, greeted: &mut bool) -> bool {
        match message {
            ClientMessage::Hello { protocol, program } => {
                tracing::debug!(%program, protocol, "a client says hello");
                let version = self.counter.version.clone();
                self.say(ServerMessage::Hello {
                    protocol: PROTOCOL,
                    version,
                })
                .await;
                *greeted = protocol == PROTOCOL;
                *greeted
            }
            _ if !*greeted => {
                self.broken(None, "The first line has to be a hello.".to_owned())
                    .await;
                false
            }
            ClientMessage::Request { id, request } => {
                let under_way = {
                    let waiting = self.counter.waiting();
                    waiting
                        .values()
                        .filter(|w| w.out.same_channel(&self.out))
                        .count()
                };
                if under_way >= REQUESTS {
                    self.broken(Some(id), "Too many requests are under way.".to_owned())
                        .await;
                    return true;
                }
                let number = self.counter.new_request();
                self.counter.waiting().insert(
                    number,
                    Waiting {
                        id,
                        out: self.out.clone(),
                    },
                );
                let event = Event::Requested {
                    client: self.client,
                    id: number,
                    request,
                };
                self.counter.events.send(event).await.is_ok()
            }
            ClientMessage::Follow { id, follow } => {
                let who = follow::Follower {
                    client: self.client,
                    id,
                    out: self.out.clone(),
                };
                let task = follow::follow(who, follow, Arc::clone(&self.counter));
                let handle = self.tasks.spawn(task);
                if let Some(older) = self.follows.insert(id, handle) {
                    older.abort();
                }
                while self.tasks.try_join_next().is_some() {}
                self.follows.retain(|_, task| !task.is_finished());
                true
            }
            ClientMessage::Unfollow { id } => {
                if let Some(task) = self.follows.remove(&id) {
                    task.abort();
                }
                true
            }
        }
    }

    async fn broken(&self, id: Option<u64>, message: String) {
        let error = RequestError {
            code: ErrorCode::InvalidArgs,
            message: message.into(),
            hint: "Use a kiln of the same version as the node that runs.".into(),
        };
        self.say(ServerMessage::Broken { id, error }).await;
    }

    async fn say(&self, message: ServerMessage) {
        if self.out.send(message).await.is_err() {
            tracing::trace!("a client left before its answer");
        }
    }
}

async fn write(mut writer: WriteHalf<Box<dyn Stream>>, mut answers: mpsc::Receiver<ServerMessage>) {
    while let Some(message) = answers.recv().await {
        let Some(line) = line_of(&message) else {
            continue;
        };
        if writer.write_all(line.as_bytes()).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}

/// Writes a message as a line. Who waits for an answer that is too long hears so; an event that is too
/// long is left out.
fn line_of(message: &ServerMessage) -> Option<String> {
    let too_long = match kiln_ipc::encode_server(message) {
        Ok(line) => return Some(line),
        Err(too_long) => too_long,
    };
    tracing::warn!(%too_long, "an answer is left out");
    let ServerMessage::Reply { id, .. } = message else {
        return None;
    };
    let broken = ServerMessage::Broken {
        id: Some(*id),
        error: RequestError {
            code: ErrorCode::Internal,
            message: say::answer_too_long(),
            hint: Sentence::default(),
        },
    };
    kiln_ipc::encode_server(&broken).ok()
}

#[cfg(test)]
mod tests {
    use kiln_ipc::{MAX_ANSWER, decode_server};
    use kiln_model::Reply;

    use super::*;

    #[test]
    fn an_answer_that_is_too_long_is_answered_with_that_and_nobody_waits_for_it() {
        let message = ServerMessage::Reply {
            id: 7,
            reply: Reply::Refused(RequestError {
                code: ErrorCode::Internal,
                message: "x".repeat(MAX_ANSWER).into(),
                hint: Sentence::default(),
            }),
        };
        let line = line_of(&message).unwrap();
        let told = decode_server(line.trim_end().as_bytes()).unwrap();
        let ServerMessage::Broken { id, error } = told else {
            panic!("{told:?}");
        };
        assert_eq!((id, error.message), (Some(7), say::answer_too_long()));
    }
}
