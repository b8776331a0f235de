//! Windows: a named pipe whose access list names its owner alone. Clients from other machines are
//! refused, and the first instance flag keeps others from answering in our name. Who was there first is
//! known by the owner of the pipe.
use std::io::{self, ErrorKind};
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, BorrowedHandle};
use std::path::Path;

use interprocess::local_socket::tokio::{Listener, Stream as PipeStream, prelude::*};
use interprocess::local_socket::{GenericNamespaced, ListenerOptions, Name};
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use kiln_ports::Control;
use kiln_ports::control::Stream;
use widestring::u16cstr;
use windows::Win32::Foundation::{HANDLE, HLOCAL, LocalFree};
use windows::Win32::Security::Authorization::{GetSecurityInfo, SE_KERNEL_OBJECT};
use windows::Win32::Security::{
    EqualSid, GetTokenInformation, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID,
    TOKEN_INFORMATION_CLASS, TokenOwner, TokenUser,
};

use super::{ControlError, DoorOf, short_name};

/// Error of `CreateFile` on a pipe all of whose instances are busy (`ERROR_PIPE_BUSY`).
const PIPE_BUSY: i32 = 231;

/// What stands for this process's token in every process (`GetCurrentProcessToken`).
const OWN_TOKEN: HANDLE = HANDLE(std::ptr::without_provenance_mut(usize::MAX - 3));

/// The pipe. It ends with the process, so none is ever stale.
pub struct LocalControl {
    listener: Listener,
}

impl LocalControl {
    /// Opens the door that belongs to `runtime`.
    ///
    /// # Errors
    /// [`ControlError::NotPrivate`] when the pipe is somebody else's: whoever binds holds the lock of its
    /// folders, so that no other Kiln of these is there; [`ControlError::Io`] otherwise.
    pub fn bind(runtime: &Path, of: DoorOf) -> Result<Self, ControlError> {
        // Protected, full access for the owner, nothing for anybody else.
        let owner_only = SecurityDescriptor::deserialize(u16cstr!("D:P(A;;GA;;;OW)"))?;
        let listener = ListenerOptions::new()
            .name(pipe_name(runtime, of)?)
            .security_descriptor(owner_only)
            .create_tokio()
            .map_err(|error| match error.kind() {
                // The first instance flag answers "access denied" when the pipe exists.
                ErrorKind::PermissionDenied | ErrorKind::AddrInUse => not_private(),
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
            Ok(stream) => {
                let PipeStream::NamedPipe(pipe) = &stream;
                if !is_ours(pipe.inner().as_handle())? {
                    return Err(not_private());
                }
                return Ok(Box::new(stream));
            }
            // The node is between two instances of its pipe.
            Err(error) if error.raw_os_error() == Some(PIPE_BUSY) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ControlError::NobodyHome);
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(not_private());
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

fn not_private() -> ControlError {
    ControlError::NotPrivate("another user answers there".to_owned())
}

/// Returns whether a pipe belongs to this process's user, or to whom what it makes belongs: for an
/// administrator that is their group. Nobody can give what they make to another user.
fn is_ours(pipe: BorrowedHandle<'_>) -> io::Result<bool> {
    Ok(is_owned_by(pipe, &OwnName::read(TokenUser)?)?
        || is_owned_by(pipe, &OwnName::read(TokenOwner)?)?)
}

#[expect(
    unsafe_code,
    reason = "who owns a pipe is told by the system's API alone"
)]
fn is_owned_by(pipe: BorrowedHandle<'_>, name: &OwnName) -> io::Result<bool> {
    let mut owner = PSID::default();
    let mut descriptor = PSECURITY_DESCRIPTOR::default();
    // SAFETY: the handle is open, and both places are written to.
    let told = unsafe {
        GetSecurityInfo(
            HANDLE(pipe.as_raw_handle()),
            SE_KERNEL_OBJECT,
            OWNER_SECURITY_INFORMATION,
            Some(&mut owner),
            None,
            None,
            None,
            Some(&mut descriptor),
        )
    };
    told.ok()?;
    // SAFETY: the owner lies in the descriptor, which is ours to free after that.
    unsafe {
        let is_same = EqualSid(owner, name.sid()).is_ok();
        LocalFree(Some(HLOCAL(descriptor.0)));
        Ok(is_same)
    }
}

/// A name in this process's token, as the system writes it: a pointer to it first, and itself behind that.
struct OwnName(Vec<usize>);

impl OwnName {
    #[expect(unsafe_code, reason = "tokens are read through the system's API")]
    fn read(which: TOKEN_INFORMATION_CLASS) -> io::Result<Self> {
        // Words, as aligned as pointers are; more than the longest name takes.
        let mut words = vec![0_usize; 32];
        let size = u32::try_from(size_of_val(words.as_slice())).unwrap_or_default();
        let place = words.as_mut_ptr().cast();
        // SAFETY: the place is as large as is said.
        unsafe { GetTokenInformation(OWN_TOKEN, which, Some(place), size, &mut 0)? };
        Ok(Self(words))
    }

    #[expect(unsafe_code, reason = "the system wrote a pointer")]
    fn sid(&self) -> PSID {
        // SAFETY: both things that are read begin with the pointer, and it points into the same words.
        unsafe { self.0.as_ptr().cast::<PSID>().read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windows::Win32::Security::TokenIntegrityLevel;

    #[tokio::test]
    async fn a_pipe_is_its_owners_and_of_nobody_with_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let _control = LocalControl::bind(dir.path(), DoorOf::Node).unwrap();
        let name = pipe_name(dir.path(), DoorOf::Node).unwrap();
        let PipeStream::NamedPipe(pipe) = PipeStream::connect(name).await.unwrap();
        let pipe = pipe.inner().as_handle();
        assert!(is_ours(pipe).unwrap());
        let nobodys = OwnName::read(TokenIntegrityLevel).unwrap();
        assert!(!is_owned_by(pipe, &nobodys).unwrap());
    }
}
