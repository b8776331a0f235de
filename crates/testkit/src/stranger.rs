//! [`Stranger`]: a peer that says exactly what a test wants, also what no honest peer would.
//!
//! It shares no code with `kiln-peer-link`: Noise comes from another backend, frames are JSON
//! values. So a mistake that both ends of a Kiln make the same way shows here.
use std::net::SocketAddr;
use std::time::Duration;

use kiln_ports::Net;
use kiln_ports::net::{Connection, Incoming, Reader, Writer};
use serde_json::Value;
use snow::{Builder, HandshakeState, TransportState};

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// Largest message any side accepts here.
const LIMIT: usize = 1 << 20;

/// One end of a peer link in the hands of a test. Every method panics when the other side does not
/// play along; what it says is looked at with [`Stranger::hears`].
pub struct Stranger {
    noise: TransportState,
    reader: Box<dyn Reader>,
    writer: Box<dyn Writer>,
}

/// What the other side did.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// Said this.
    Frame(Value),
    /// Sent bytes that are no JSON; a binary chunk between Kilns is.
    Bytes(Vec<u8>),
    /// Closed the connection, with this code if it gave one.
    Closed(Option<u16>),
}

#[allow(clippy::expect_used, clippy::panic)]
impl Stranger {
    /// Dials `to`, shakes hands with this secret key and these payloads, and returns the answer.
    pub async fn initiate(
        net: &dyn Net,
        to: SocketAddr,
        secret: &[u8; 32],
        intent: &str,
        hello: &str,
    ) -> (Self, Value) {
        let mut stranger = Self::ask(net, to, secret, intent, hello).await;
        match stranger.hears().await {
            Heard::Frame(answer) => (stranger, answer),
            other => panic!("expected an answer, heard {other:?}"),
        }
    }

    /// Like [`Stranger::initiate`], without waiting for the answer.
    pub async fn ask(
        net: &dyn Net,
        to: SocketAddr,
        secret: &[u8; 32],
        intent: &str,
        hello: &str,
    ) -> Self {
        let dialled = net
            .dial("stranger", &[to], Duration::from_secs(10), LIMIT)
            .await;
        let mut connection = dialled.expect("the listener answers");
        let mut noise = state(secret, |b| b.build_initiator());
        connection
            .writer
            .send(write(&mut noise, intent.as_bytes()))
            .await
            .expect("msg1 leaves");
        let msg2 = binary(&mut connection).await;
        read(&mut noise, &msg2);
        connection
            .writer
            .send(write(&mut noise, hello.as_bytes()))
            .await
            .expect("msg3 leaves");
        Self::over(connection, noise)
    }

    /// Shakes hands on an accepted connection and returns what the initiator said in msg1 and msg3.
    /// The answer is up to the caller: [`Stranger::says`].
    pub async fn respond(
        mut connection: Connection,
        secret: &[u8; 32],
    ) -> (Self, Vec<u8>, Vec<u8>) {
        connection.reader.limit(LIMIT);
        let mut noise = state(secret, |b| b.build_responder());
        let msg1 = binary(&mut connection).await;
        let intent = read(&mut noise, &msg1);
        connection
            .writer
            .send(write(&mut noise, b""))
            .await
            .expect("msg2 leaves");
        let msg3 = binary(&mut connection).await;
        let hello = read(&mut noise, &msg3);
        (Self::over(connection, noise), intent, hello)
    }

    /// Answers msg1 with this key and returns what the initiator does then: it sends msg3
    /// ([`Heard::Bytes`]) or closes.
    pub async fn shows_key(mut connection: Connection, secret: &[u8; 32]) -> Heard {
        connection.reader.limit(LIMIT);
        let mut noise = state(secret, |b| b.build_responder());
        let msg1 = binary(&mut connection).await;
        read(&mut noise, &msg1);
        let msg2 = write(&mut noise, b"");
        connection.writer.send(msg2).await.expect("msg2 leaves");
        match connection.reader.next().await {
            Ok(Incoming::Binary(msg3)) => Heard::Bytes(msg3),
            Ok(Incoming::Closed(code)) => Heard::Closed(code),
            other => panic!("the connection did something odd: {other:?}"),
        }
    }

    fn over(connection: Connection, noise: HandshakeState) -> Self {
        let noise = noise.into_transport_mode().expect("the handshake is done");
        Self {
            noise,
            reader: connection.reader,
            writer: connection.writer,
        }
    }

    /// Says a frame. Fails silently when the other side is gone, as a peer would not notice.
    pub async fn says(&mut self, frame: &Value) {
        self.says_text(&frame.to_string()).await;
    }

    /// Says any plaintext.
    pub async fn says_text(&mut self, plaintext: &str) {
        let message = self.seals(plaintext.as_bytes());
        self.sends(message).await;
    }

    /// Encrypts the next message without sending it.
    pub fn seals(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut message = vec![0; plaintext.len() + 16];
        let length = self
            .noise
            .write_message(plaintext, &mut message)
            .expect("it fits");
        message.truncate(length);
        message
    }

    /// Sends bytes as they are.
    pub async fn sends(&mut self, message: Vec<u8>) {
        let _ = self.writer.send(message).await;
    }

    /// Closes with a code.
    pub async fn closes(&mut self, code: u16) {
        self.writer.close(code, "").await;
    }

    /// Waits for the next thing the other side does.
    pub async fn hears(&mut self) -> Heard {
        match self.reader.next().await {
            Ok(Incoming::Binary(message)) => {
                let mut plaintext = vec![0; message.len()];
                let length = self.noise.read_message(&message, &mut plaintext);
                plaintext.truncate(length.expect("the message is genuine"));
                match serde_json::from_slice(&plaintext) {
                    Ok(frame) => Heard::Frame(frame),
                    Err(_) => Heard::Bytes(plaintext),
                }
            }
            Ok(Incoming::Closed(code)) => Heard::Closed(code),
            other => panic!("the connection did something odd: {other:?}"),
        }
    }

    /// Waits for the next frame whose type is not one of `noise`.
    pub async fn hears_besides(&mut self, noise: &[&str]) -> Heard {
        loop {
            match self.hears().await {
                Heard::Frame(frame) if noise.iter().any(|kind| frame["type"] == **kind) => {}
                heard => return heard,
            }
        }
    }
}

#[allow(clippy::expect_used)]
fn state(
    secret: &[u8; 32],
    build: fn(Builder<'_>) -> Result<HandshakeState, snow::Error>,
) -> HandshakeState {
    let params = PATTERN.parse().expect("the pattern is one");
    let builder = Builder::new(params)
        .local_private_key(secret)
        .expect("a key has 32 bytes");
    build(builder).expect("the backend has all parts")
}

#[allow(clippy::expect_used)]
fn write(noise: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; payload.len() + 128];
    let length = noise
        .write_message(payload, &mut message)
        .expect("our turn");
    message.truncate(length);
    message
}

#[allow(clippy::expect_used)]
fn read(noise: &mut HandshakeState, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; message.len()];
    let length = noise
        .read_message(message, &mut payload)
        .expect("a genuine message");
    payload.truncate(length);
    payload
}

#[allow(clippy::panic)]
async fn binary(connection: &mut Connection) -> Vec<u8> {
    match connection.reader.next().await {
        Ok(Incoming::Binary(message)) => message,
        other => panic!("expected a handshake message, got {other:?}"),
    }
}
