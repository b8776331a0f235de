//! Windows: a named pipe whose access list names its owner alone. Clients from other machines are
//! refused, and the first instance flag keeps others from answering in our name.
use std::io::ErrorKind;
use std::path::Path;

use interprocess::local_socket::tokio::{Listener, Stream as PipeStream, prelude::*};
use interprocess::local_socket::{GenericNamespaced, ListenerOptions, Name};
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use kiln_ports::Control;
use kiln_ports::control::Stream;
use widestring::u16cstr;

use super::{ControlError, DoorOf, short_name};

/// Error of `CreateFile` on a pipe all of whose instances are busy (`ERROR_PIPE_BUSY`).
const PIPE_BUSY: i32 = 231;

/// The pipe. It ends with the process, so none is ever stale.
pub struct LocalControl {
    listener: Listener,
}

impl LocalControl {
    /// Opens the door that belongs to `runtime`.
    ///
    /// # Errors
    /// [`ControlError::InUse`] when a node answers there, [`ControlError::Io`] otherwise.
    pub fn bind(runtime: &Path, of: DoorOf) -> Result<Self, ControlError> {
        // Protected, full access for the owner, nothing for anybody else.
        let owner_only = SecurityDescriptor::deserialize(u16cstr!("D:P(A;;GA;;;OW)"))?;
        let listener = ListenerOptions::new()
            .name(pipe_name(runtime, of)?)
            .security_descriptor(owner_only)
            .create_tokio()
            .map_err(|error| match error.kind() {
                // The first instance flag answers "access denied" when the pipe exists.
                ErrorKind::PermissionDenied | ErrorKind::AddrInUse => ControlError::InUse,
                _ => ControlError::Io(error),
            })?;
        Ok(Self { listener })
    }
}

#[async_trait::async_trait]
impl Control for LocalControl {
    async fn accept(&mut self) -> Box<dyn Stream> {
        loop {
            match self.listener.accept().await {
                Ok(stream) => return Box::new(stream),
                Err(error) => {
                    tracing::warn!(%error, "a control client could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Connects to the node or desktop that has its door in this runtime folder.
///
/// # Errors
/// [`ControlError::NobodyHome`] when none answers, [`ControlError::NotPrivate`] when the pipe
/// belongs to somebody else, [`ControlError::Io`] otherwise.
pub(super) async fn connect(runtime: &Path, of: DoorOf) -> Result<Box<dyn Stream>, ControlError> {
    for _ in 0..50 {
        match PipeStream::connect(pipe_name(runtime, of)?).await {
            Ok(stream) => return Ok(Box::new(stream)),
            // The node is between two instances of its pipe.
            Err(error) if error.raw_os_error() == Some(PIPE_BUSY) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ControlError::NobodyHome);
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let problem = "another user answers there".to_owned();
                return Err(ControlError::NotPrivate(problem));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(ControlError::Io(ErrorKind::TimedOut.into()))
}

fn pipe_name(runtime: &Path, of: DoorOf) -> std::io::Result<Name<'static>> {
    let owner = match of {
        DoorOf::Node => "kiln",
        DoorOf::Desk => "kiln-desk",
    };
    format!("{owner}-{}", short_name(runtime)).to_ns_name::<GenericNamespaced>()
}
