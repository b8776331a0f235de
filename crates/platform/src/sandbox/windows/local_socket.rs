//! [`LocalSocket`]: a named pipe, as programs of this computer listen on it.
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};

/// What a program of this computer listens on.
pub(in crate::sandbox) struct LocalSocket {
    /// One for the attempt outside, one for the attempt in the box.
    _open: [NamedPipeServer; 2],
}

impl LocalSocket {
    /// Opens one, and returns its name.
    pub(in crate::sandbox) fn listen() -> io::Result<(Self, PathBuf)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!(r"\\.\pipe\kiln-try-{:032x}", u128::from_le_bytes(random));
        let first = ServerOptions::new()
            .first_pipe_instance(true)
            .create(&name)?;
        let second = ServerOptions::new().create(&name)?;
        let socket = Self {
            _open: [first, second],
        };
        Ok((socket, name.into()))
    }

    /// Returns whether it can be connected to.
    pub(in crate::sandbox) fn reaches(name: &Path) -> bool {
        OpenOptions::new().read(true).write(true).open(name).is_ok()
    }
}
