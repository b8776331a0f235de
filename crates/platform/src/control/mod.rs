//! The local front doors, of the node and of the desktop: Unix sockets or named pipes that only this
//! user can use.
//!
//! It is found by the runtime folder alone, so that every Kiln (`KILN_HOME`) has its own.
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use std::io;

use kiln_ports::control::Stream;

use crate::Paths;

pub use os::LocalControl;

/// Whose door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorOf {
    /// The node's: the control channel.
    Node,
    /// The desktop's: its window and a second start knock there.
    Desk,
}

/// Why the front door is not open, or not there.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A node already answers there.
    #[error("a Kiln already runs here; stop it first, or give this one another KILN_HOME")]
    InUse,
    /// No node answers there.
    #[error("no Kiln runs here")]
    NobodyHome,
    /// The folder, or who answers, is not this user's alone.
    #[error("the control channel is not safe: {0}")]
    NotPrivate(String),
    /// Anything else, in the system's words.
    #[error("the control channel cannot be used: {0}")]
    Io(#[from] io::Error),
}

impl From<ControlError> for io::Error {
    /// That nobody is home keeps its kind, [`io::ErrorKind::NotFound`]: faces tell people to start
    /// a node then, and nothing else.
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NobodyHome => io::Error::new(io::ErrorKind::NotFound, error),
            ControlError::Io(error) => error,
            ControlError::InUse | ControlError::NotPrivate(_) => io::Error::other(error),
        }
    }
}

/// Connects to the node or desktop of these folders, which may be one of an older build.
///
/// # Errors
/// [`ControlError::NobodyHome`] when none answers, [`ControlError::NotPrivate`] when somebody
/// else does, [`ControlError::Io`] otherwise.
pub async fn connect(paths: &Paths, of: DoorOf) -> Result<Box<dyn Stream>, ControlError> {
    match (
        os::connect(&paths.runtime, of).await,
        &paths.earlier_runtime,
    ) {
        // Whatever else is there, in a folder of somebody else's session for example, is not ours.
        (Err(ControlError::NobodyHome), Some(earlier)) => os::connect(earlier, of)
            .await
            .map_err(|_| ControlError::NobodyHome),
        (outcome, _) => outcome,
    }
}

/// Returns a short name for a folder: FNV-1a of its path, which every build computes alike.
fn short_name(folder: &std::path::Path) -> String {
    let hash = folder
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_of_an_older_build_is_found_behind_its_own_door() {
        let dir = tempfile::tempdir().unwrap();
        let mut paths = Paths::find(Some(dir.path().into())).unwrap();
        let session = dir.path().join("session");
        let older = LocalControl::bind(&session, DoorOf::Node).unwrap();
        let nobody = connect(&paths, DoorOf::Node).await.err().unwrap();
        assert!(matches!(nobody, ControlError::NobodyHome));
        paths.earlier_runtime = Some(session);
        connect(&paths, DoorOf::Node).await.unwrap();
        drop(older);
        let nobody = connect(&paths, DoorOf::Node).await.err().unwrap();
        assert!(matches!(nobody, ControlError::NobodyHome));
    }
}
