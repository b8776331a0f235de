//! Linux and macOS: a socket (0600) in the runtime folder (0700), and the peer's user id checked on
//! both sides (`SO_PEERCRED`, `getpeereid`).
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kiln_ports::Control;
use kiln_ports::control::Stream;
use tokio::net::{UnixListener, UnixStream};

use super::{ControlError, DoorOf, short_name};
use crate::files;

/// The bound socket. Dropping it removes the file.
pub struct LocalControl {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalControl {
    /// Opens the door in `runtime`. A socket that a dead process left is replaced; call it while
    /// holding the lock of this door's owner, so that two that start do not replace each other's.
    ///
    /// # Errors
    /// [`ControlError::InUse`] when a node answers there, [`ControlError::NotPrivate`] when others
    /// can enter the folder, [`ControlError::Io`] otherwise.
    pub fn bind(runtime: &Path, of: DoorOf) -> Result<Self, ControlError> {
        match Self::bind_at(own_place(runtime, of)) {
            // There is no room for its path, or the file system makes no sockets.
            Err(ControlError::Io(error)) => {
                tracing::info!(%error, "the door is opened in a folder of its own");
                Self::bind_at(other_place(runtime, of))
            }
            outcome => outcome,
        }
    }

    fn bind_at(path: PathBuf) -> Result<Self, ControlError> {
        let folder = path.parent().unwrap_or(&path);
        files::create_private_dir(folder)?;
        check_folder(folder)?;
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(_) => return Err(ControlError::InUse),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(&path)?,
            Err(error) => return Err(error.into()),
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }
}

#[async_trait::async_trait]
impl Control for LocalControl {
    async fn accept(&mut self) -> Box<dyn Stream> {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_ours(&stream) => return Box::new(stream),
                Ok(_) => tracing::warn!("another user tried the control channel"),
                Err(error) => {
                    tracing::warn!(%error, "a control client could not be accepted");
                    // Mostly a want of descriptors; trying again at once would only burn time.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for LocalControl {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Connects to the node or desktop that has its door in this runtime folder.
///
/// # Errors
/// [`ControlError::NobodyHome`] when none answers, [`ControlError::NotPrivate`] when somebody
/// else does, [`ControlError::Io`] otherwise.
pub(super) async fn connect(runtime: &Path, of: DoorOf) -> Result<Box<dyn Stream>, ControlError> {
    match connect_at(&own_place(runtime, of)).await {
        Err(first @ (ControlError::NobodyHome | ControlError::Io(_))) => {
            let other = connect_at(&other_place(runtime, of)).await;
            other.map_err(|error| match error {
                ControlError::NobodyHome => first,
                error => error,
            })
        }
        outcome => outcome,
    }
}

async fn connect_at(path: &Path) -> Result<Box<dyn Stream>, ControlError> {
    let stream = UnixStream::connect(path)
        .await
        .map_err(|error| match error.kind() {
            // The last one: no socket has so long a path.
            ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::InvalidInput => {
                ControlError::NobodyHome
            }
            _ => ControlError::Io(error),
        })?;
    if !is_ours(&stream) {
        return Err(ControlError::NotPrivate(
            "another user answers there".to_owned(),
        ));
    }
    Ok(Box::new(stream))
}

fn is_ours(stream: &UnixStream) -> bool {
    let me = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == me)
}

fn check_folder(folder: &Path) -> Result<(), ControlError> {
    if fs::symlink_metadata(folder)?.is_symlink() {
        let problem = format!("{} is a symbolic link", folder.display());
        return Err(ControlError::NotPrivate(problem));
    }
    match files::check_private_dir(folder)? {
        None => Ok(()),
        Some(problem) => {
            let problem = format!("{}: {problem}", folder.display());
            Err(ControlError::NotPrivate(problem))
        }
    }
}

fn file_name(of: DoorOf) -> &'static str {
    match of {
        DoorOf::Node => "control.sock",
        DoorOf::Desk => "desk.sock",
    }
}

/// In the runtime folder.
fn own_place(runtime: &Path, of: DoorOf) -> PathBuf {
    runtime.join(file_name(of))
}

/// Where that path does not fit into a socket address, or its file system makes no sockets: a private
/// folder of a short name under `/tmp`.
fn other_place(runtime: &Path, of: DoorOf) -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    PathBuf::from(format!("/tmp/kiln-{user}-{}", short_name(runtime))).join(file_name(of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_client_of_this_user_talks_to_the_node() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("run");
        let mut control = LocalControl::bind(&runtime, DoorOf::Node).unwrap();
        let (mut node, client) = tokio::join!(control.accept(), connect(&runtime, DoorOf::Node));
        client.unwrap().write_all(b"hello").await.unwrap();
        let mut heard = String::new();
        node.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&runtime), mode(&runtime.join("control.sock"))),
            (0o700, 0o600)
        );
    }

    #[tokio::test]
    async fn a_dead_nodes_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("run");
        files::create_private_dir(&runtime).unwrap();
        drop(std::os::unix::net::UnixListener::bind(runtime.join("control.sock")).unwrap());
        let alive = LocalControl::bind(&runtime, DoorOf::Node).unwrap();
        assert!(matches!(
            LocalControl::bind(&runtime, DoorOf::Node),
            Err(ControlError::InUse)
        ));
        connect(&runtime, DoorOf::Node).await.unwrap();
        drop(alive);
        assert!(!runtime.join("control.sock").exists());
        let nobody = connect(&runtime, DoorOf::Node).await.err().unwrap();
        assert!(matches!(nobody, ControlError::NobodyHome));
        assert_eq!(std::io::Error::from(nobody).kind(), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn node_and_desktop_have_doors_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("run");
        let _node = LocalControl::bind(&runtime, DoorOf::Node).unwrap();
        let nobody = connect(&runtime, DoorOf::Desk).await.err().unwrap();
        assert!(matches!(nobody, ControlError::NobodyHome));
        let _desk = LocalControl::bind(&runtime, DoorOf::Desk).unwrap();
        connect(&runtime, DoorOf::Desk).await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("run");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let real = dir.path().join("real");
        files::create_private_dir(&real).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        for folder in [open, link] {
            assert!(matches!(
                LocalControl::bind(&folder, DoorOf::Node),
                Err(ControlError::NotPrivate(_))
            ));
        }
    }

    #[tokio::test]
    async fn a_folder_with_a_long_path_works_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("x".repeat(100)).join("run");
        let mut control = LocalControl::bind(&runtime, DoorOf::Node).unwrap();
        let (_node, client) = tokio::join!(control.accept(), connect(&runtime, DoorOf::Node));
        client.unwrap();
        let folder = control.path.parent().unwrap().to_owned();
        drop(control);
        fs::remove_dir(folder).unwrap();
    }
}
