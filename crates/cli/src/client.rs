//! [`Client`]: one connection to the node, speaking the lines of `kiln-ipc`.
use std::io;

use kiln_ipc::{
    ClientMessage, Event, Follow, Lines, MAX_ANSWER, PROTOCOL, ServerMessage, encode_client,
};
use kiln_model::{Reply, Request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::exit::Failure;

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
    fn connect(&self) -> impl Future<Output = io::Result<Box<dyn Stream>>>;
}

/// A greeted connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    lines: Lines,
    next: u64,
}

impl Client {
    /// Connects and says hello.
    pub(crate) async fn connect(transport: &impl Transport) -> Result<Self, Failure> {
        let stream = transport
            .connect()
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    Failure::NoNode("No Kiln is running here.".to_owned())
                }
                _ => Failure::Broken(format!("The running Kiln cannot be reached: {error}.")),
            })?;
        let mut client = Self {
            stream,
            lines: Lines::new(MAX_ANSWER),
            next: 0,
        };
        let program = format!("kiln {}", env!("CARGO_PKG_VERSION"));
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
            ServerMessage::Hello { protocol, version } => Err(Failure::Broken(format!(
                "The running Kiln {version} speaks another language ({protocol}); restart it."
            ))),
            ServerMessage::Reply { .. }
            | ServerMessage::Event { .. }
            | ServerMessage::Broken { .. } => Err(Failure::Broken(
                "The running Kiln did not say hello.".to_owned(),
            )),
        }
    }

    /// Asks and waits for the answer; a refusal is a failure.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Reply, Failure> {
        self.next += 1;
        let id = self.next;
        self.say(&ClientMessage::Request { id, request }).await?;
        loop {
            match self.hear().await? {
                ServerMessage::Reply { id: of, reply } if of == id => {
                    return match reply {
                        Reply::Refused(error) => Err(Failure::Refused(error)),
                        other => Ok(other),
                    };
                }
                ServerMessage::Broken { error, .. } => return Err(Failure::Refused(error)),
                ServerMessage::Hello { .. }
                | ServerMessage::Reply { .. }
                | ServerMessage::Event { .. } => {}
            }
        }
    }

    /// Begins to follow; returns the number under which events come.
    pub(crate) async fn follow(&mut self, follow: Follow) -> Result<u64, Failure> {
        self.next += 1;
        self.say(&ClientMessage::Follow {
            id: self.next,
            follow,
        })
        .await?;
        Ok(self.next)
    }

    /// Ends a follow. Events that are on their way may still come.
    pub(crate) async fn unfollow(&mut self, id: u64) -> Result<(), Failure> {
        self.say(&ClientMessage::Unfollow { id }).await
    }

    /// Waits for the next event of anything that is followed.
    pub(crate) async fn event(&mut self) -> Result<(u64, Event), Failure> {
        loop {
            match self.hear().await? {
                ServerMessage::Event { id, event } => return Ok((id, event)),
                ServerMessage::Broken { error, .. } => return Err(Failure::Refused(error)),
                ServerMessage::Hello { .. } | ServerMessage::Reply { .. } => {}
            }
        }
    }

    async fn say(&mut self, message: &ClientMessage) -> Result<(), Failure> {
        let line = encode_client(message).map_err(|e| Failure::Usage(e.to_string()))?;
        let sent = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|_| gone())
    }

    async fn hear(&mut self) -> Result<ServerMessage, Failure> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let line = self
                .lines
                .next_line()
                .map_err(|e| Failure::Broken(e.to_string()))?;
            if let Some(line) = line {
                return kiln_ipc::decode_server(&line)
                    .map_err(|error| Failure::Broken(error.to_string()));
            }
            match self.stream.read(&mut buffer).await {
                Ok(length @ 1..) => self.lines.push(buffer.get(..length).unwrap_or_default()),
                Ok(0) | Err(_) => return Err(gone()),
            }
        }
    }
}

fn gone() -> Failure {
    Failure::Broken("The running Kiln went away.".to_owned())
}
