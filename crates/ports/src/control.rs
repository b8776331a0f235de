//! [`Control`]: the local front door: a Unix socket or named pipe for this user only.
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to one local client, whose user was checked to be ours.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The bound front door. Dropping it removes the socket.
#[async_trait::async_trait]
pub trait Control: Send + 'static {
    /// Waits for the next client. Clients of other users are refused underneath.
    async fn accept(&mut self) -> Box<dyn Stream>;
}
