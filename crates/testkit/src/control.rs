//! [`MemoryControl`]: the local front door in memory.
use kiln_ports::Control;
use kiln_ports::control::Stream;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Bytes that one direction holds before its writer has to wait.
const PIPE_BYTES: usize = 64 * 1024;

/// The front door of one node; see [`MemoryControl::new`].
pub struct MemoryControl(mpsc::UnboundedReceiver<DuplexStream>);

/// Rings at a [`MemoryControl`].
#[derive(Clone)]
pub struct Bell(mpsc::UnboundedSender<DuplexStream>);

impl MemoryControl {
    /// Makes a front door and its bell.
    pub fn new() -> (Self, Bell) {
        let (bell, door) = mpsc::unbounded_channel();
        (Self(door), Bell(bell))
    }
}

impl Bell {
    /// Connects as a client; `None` when the node is gone.
    pub fn ring(&self) -> Option<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.0.send(theirs).is_ok().then_some(ours)
    }
}

#[async_trait::async_trait]
impl Control for MemoryControl {
    async fn accept(&mut self) -> Box<dyn Stream> {
        match self.0.recv().await {
            Some(stream) => Box::new(stream),
            None => std::future::pending().await,
        }
    }
}
