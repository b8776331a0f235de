//! [`Client`]: one connection to the node, speaking the lines of `kiln-ipc`.
use std::io;
use std::time::Duration;

use kiln_ipc::{
    ClientMessage, Event, Follow, Lines, MAX_ANSWER, PROTOCOL, ServerMessage, encode_client,
};
use kiln_model::{Reply, Request, say};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::ClientError;

/// Longest that the node may take for its hello, and for an answer that waits for nothing but itself. It
/// waits for a keyring, and for a look at the devices, for ten seconds each at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// A byte stream to the node.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections to the node.
pub trait Transport {
    /// Connects to the node of this state directory.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] or [`io::ErrorKind::ConnectionRefused`] when no node runs, any
    /// other kind when it cannot be reached.
    fn connect(&self) -> impl Future<Output = io::Result<Box<dyn Stream>>> + Send;

    /// Returns who asks, for the node's log.
    fn program(&self) -> &'static str {
        "kiln"
    }
}

/// A greeted connection.
pub struct Client {
    stream: Box<dyn Stream>,
    lines: Lines,
    next: u64,
}

impl Client {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`ClientError::NoNode`] when none runs, [`ClientError::Broken`] when it cannot be spoken to,
    /// [`ClientError::Silent`] when it hangs.
    pub async fn connect(transport: &impl Transport) -> Result<Self, ClientError> {
        patiently(Box::pin(Self::greet(transport))).await
    }

    async fn greet(transport: &impl Transport) -> Result<Self, ClientError> {
        let stream = transport
            .connect()
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoNode,
                _ => ClientError::Broken(say::node_unreachable(error.to_string())),
            })?;
        let mut client = Self {
            stream,
            lines: Lines::new(MAX_ANSWER),
            next: 0,
        };
        let program = format!("{} {}", transport.program(), env!("CARGO_PKG_VERSION"));
        client
            .say(&ClientMessage::Hello {
                protocol: PROTOCOL,
                program,
            })
            .await?;
        match client.hear().await? {
            ServerMessage::Hello {
                protocol: PROTOCOL, ..
            } => Ok(client),
            ServerMessage::Hello { protocol, version } => Err(ClientError::Broken(
                say::node_of_another_version(version, protocol),
            )),
            ServerMessage::Reply { .. }
            | ServerMessage::Event { .. }
            | ServerMessage::Broken { .. } => Err(ClientError::Broken(say::node_said_no_hello())),
        }
    }

    /// Asks and waits for the answer. Events that come meanwhile are lost, so follow on another
    /// connection.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the node's reason, [`ClientError::Broken`] when it went away,
    /// [`ClientError::Silent`] when it hangs.
    pub async fn ask(&mut self, request: Request) -> Result<Reply, ClientError> {
        let wait = wait(&request);
        // It holds what is read, and the whole of a verb holds it.
        let answer = Box::pin(self.answer(request));
        match wait {
            Wait::ForItself => patiently(answer).await,
            Wait::ForOthers => answer.await,
        }
    }

    async fn answer(&mut self, request: Request) -> Result<Reply, ClientError> {
        self.next += 1;
        let id = self.next;
        self.say(&ClientMessage::Request { id, request }).await?;
        loop {
            match self.hear().await? {
                ServerMessage::Reply { id: of, reply } if of == id => {
                    return match reply {
                        Reply::Refused(error) => Err(ClientError::Refused(error)),
                        other => Ok(other),
                    };
                }
                ServerMessage::Broken { error, .. } => return Err(ClientError::Refused(error)),
                ServerMessage::Hello { .. }
                | ServerMessage::Reply { .. }
                | ServerMessage::Event { .. } => {}
            }
        }
    }

    /// Begins to follow; returns the number under which events come.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the node went away.
    pub async fn follow(&mut self, follow: Follow) -> Result<u64, ClientError> {
        self.next += 1;
        self.say(&ClientMessage::Follow {
            id: self.next,
            follow,
        })
        .await?;
        Ok(self.next)
    }

    /// Ends a follow. Events that are on their way may still come.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the node went away.
    pub async fn unfollow(&mut self, id: u64) -> Result<(), ClientError> {
        self.say(&ClientMessage::Unfollow { id }).await
    }

    /// Waits for the next event of anything that is followed. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when a follow was not understood, [`ClientError::Broken`] when the
    /// node went away.
    pub async fn event(&mut self) -> Result<(u64, Event), ClientError> {
        loop {
            match self.hear().await? {
                ServerMessage::Event { id, event } => return Ok((id, event)),
                ServerMessage::Broken { error, .. } => return Err(ClientError::Refused(error)),
                ServerMessage::Hello { .. } | ServerMessage::Reply { .. } => {}
            }
        }
    }

    async fn say(&mut self, message: &ClientMessage) -> Result<(), ClientError> {
        let line = encode_client(message).map_err(|e| ClientError::TooLong(e.to_string()))?;
        let sent = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|_| gone())
    }

    async fn hear(&mut self) -> Result<ServerMessage, ClientError> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let line = self
                .lines
                .next_line()
                .map_err(|e| ClientError::Broken(e.to_string().into()))?;
            if let Some(line) = line {
                return kiln_ipc::decode_server(&line)
                    .map_err(|error| ClientError::Broken(error.to_string().into()));
            }
            match self.stream.read(&mut buffer).await {
                Ok(length @ 1..) => self.lines.push(buffer.get(..length).unwrap_or_default()),
                Ok(0) | Err(_) => return Err(gone()),
            }
        }
    }
}

/// Gives up after [`PATIENCE`].
async fn patiently<T>(
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let answered = tokio::time::timeout(PATIENCE, answer).await;
    answered.unwrap_or(Err(ClientError::Silent(PATIENCE.as_secs())))
}

/// What the node waits for before it answers.
enum Wait {
    ForItself,
    /// Other computers, programs or large parts of a disk, which take what they take.
    ForOthers,
}

fn wait(request: &Request) -> Wait {
    match request {
        Request::Preview(_)
        | Request::Pair { .. }
        | Request::EditEndpoint(..)
        | Request::RotateIdentity
        | Request::NewestEnvironment
        | Request::InstallEnvironment(_)
        | Request::ResetEnvironment(_)
        | Request::SerialPorts
        | Request::Audit(_)
        | Request::Storage
        | Request::Reclaim => Wait::ForOthers,
        Request::Status
        | Request::Unpair(_)
        | Request::SetPairingEnabled(..)
        | Request::OpenWindow
        | Request::CloseWindow
        | Request::Approve(..)
        | Request::Reject(_)
        | Request::RemovePeer(_)
        | Request::Devices
        | Request::Install { .. }
        | Request::Flash { .. }
        | Request::Compile { .. }
        | Request::Clean { .. }
        | Request::Jobs
        | Request::Job(_)
        | Request::Cancel(_)
        | Request::BuildHere(_)
        | Request::Environments
        | Request::Settings
        | Request::SetSettings(_)
        | Request::Pause(_)
        | Request::Resume
        | Request::Shutdown => Wait::ForItself,
    }
}

fn gone() -> ClientError {
    ClientError::Broken(say::node_went_away())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_ipc::{decode_client, encode_server};
    use kiln_model::{ErrorCode, RequestError};
    use tokio::io::{AsyncBufReadExt as _, BufReader, DuplexStream, split};
    use tokio::sync::Mutex;

    /// Hands out one end of a pipe, once.
    struct Pipe(Mutex<Option<DuplexStream>>);

    impl Transport for Pipe {
        async fn connect(&self) -> io::Result<Box<dyn Stream>> {
            match self.0.lock().await.take() {
                Some(stream) => Ok(Box::new(stream)),
                None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        }
    }

    /// Answers what it hears with what `answer` makes of it, until the client is gone.
    async fn node(stream: DuplexStream, answer: impl Fn(ClientMessage) -> Vec<ServerMessage>) {
        let (read, mut write) = split(stream);
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            for message in answer(decode_client(line.as_bytes()).unwrap()) {
                let line = encode_server(&message).unwrap();
                write.write_all(line.as_bytes()).await.unwrap();
            }
        }
    }

    fn pipe() -> (Pipe, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(4096);
        (Pipe(Mutex::new(Some(ours))), theirs)
    }

    fn hello(protocol: u32) -> Vec<ServerMessage> {
        vec![ServerMessage::Hello {
            protocol,
            version: "9.9".to_owned(),
        }]
    }

    #[tokio::test]
    async fn a_refusal_is_told_apart_from_an_answer() {
        let (pipe, theirs) = pipe();
        let answer = |message| match message {
            ClientMessage::Hello { .. } => hello(PROTOCOL),
            ClientMessage::Request { id, request } => vec![ServerMessage::Reply {
                id,
                reply: match request {
                    Request::Shutdown => Reply::Done,
                    _ => Reply::Refused(RequestError {
                        code: ErrorCode::NotFound,
                        message: "No.".into(),
                        hint: "".into(),
                    }),
                },
            }],
            ClientMessage::Follow { .. } | ClientMessage::Unfollow { .. } => Vec::new(),
        };
        let face = async {
            let mut client = Client::connect(&pipe).await.unwrap();
            assert_eq!(client.ask(Request::Shutdown).await.unwrap(), Reply::Done);
            let refused = client.ask(Request::Jobs).await.unwrap_err();
            assert!(matches!(refused, ClientError::Refused(_)));
            assert_eq!(refused.to_string(), "No.");
        };
        tokio::join!(node(theirs, answer), face);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_hangs_is_given_up_and_what_takes_its_time_is_waited_for() {
        let (pipe, theirs) = pipe();
        let dumb = async {
            let silent = Client::connect(&pipe).await.err().unwrap();
            assert_eq!(silent, ClientError::Silent(60));
            assert!(silent.to_string().contains("60 s") && !silent.hint().is_empty());
        };
        dumb.await;
        drop(theirs);
        let (pipe, theirs) = self::pipe();
        let answer = |message| match message {
            ClientMessage::Hello { .. } => hello(PROTOCOL),
            _ => Vec::new(),
        };
        let face = async {
            let mut client = Client::connect(&pipe).await.unwrap();
            let silent = client.ask(Request::Status).await.unwrap_err();
            assert_eq!(silent, ClientError::Silent(60));
            let an_hour = Duration::from_secs(3_600);
            let reclaimed = tokio::time::timeout(an_hour, client.ask(Request::Reclaim)).await;
            assert!(reclaimed.is_err(), "it may take longer");
            client.follow(Follow::Jobs).await.unwrap();
            let event = tokio::time::timeout(an_hour, client.event()).await;
            assert!(event.is_err(), "nothing may happen for hours");
        };
        tokio::join!(node(theirs, answer), face);
    }

    #[tokio::test]
    async fn a_node_of_another_language_or_none_at_all_is_said_in_a_sentence() {
        let (pipe, theirs) = pipe();
        let face = async {
            let other = Client::connect(&pipe).await.err().unwrap();
            assert!(other.to_string().contains("9.9"), "{other}");
            let none = Client::connect(&pipe).await.err().unwrap();
            assert_eq!(none, ClientError::NoNode);
        };
        tokio::join!(node(theirs, |_| hello(PROTOCOL + 1)), face);
    }

    #[tokio::test]
    async fn events_come_under_the_number_of_their_follow_until_the_node_is_gone() {
        let (pipe, theirs) = pipe();
        let answer = |message| match message {
            ClientMessage::Hello { .. } => hello(PROTOCOL),
            ClientMessage::Follow { id, .. } => vec![ServerMessage::Event {
                id,
                event: Event::End,
            }],
            ClientMessage::Request { .. } | ClientMessage::Unfollow { .. } => Vec::new(),
        };
        let mut client = {
            let node = node(theirs, answer);
            tokio::pin!(node);
            let face = async {
                let mut client = Client::connect(&pipe).await.unwrap();
                let number = client.follow(Follow::Jobs).await.unwrap();
                assert_eq!(client.event().await.unwrap(), (number, Event::End));
                client
            };
            tokio::select! {
                () = &mut node => unreachable!("the client is there"),
                client = face => client,
            }
        };
        let gone = client.event().await.unwrap_err();
        assert!(matches!(gone, ClientError::Broken(_)));
    }
}
