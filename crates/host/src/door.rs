//! [`Door`]: the control channel of one state directory, as faces reach it.
use std::io;

use kiln_client::{Stream, Transport};
use kiln_platform::{DoorOf, Paths};

/// Leads to the node of one state directory, whichever process runs it.
#[derive(Clone, Debug)]
pub struct Door {
    paths: Paths,
    program: &'static str,
}

impl Door {
    /// Leads to the node of these folders; `program` is told to the node, for its log.
    pub fn new(paths: &Paths, program: &'static str) -> Self {
        Self {
            paths: paths.clone(),
            program,
        }
    }
}

impl Transport for Door {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = kiln_platform::control::connect(&self.paths, DoorOf::Node).await?;
        Ok(Box::new(stream))
    }

    fn program(&self) -> &'static str {
        self.program
    }
}
