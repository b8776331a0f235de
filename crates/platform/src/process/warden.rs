//! [`Warden`]: a small program beside a build of others that ends it when Kiln is gone.
use std::io::{self, PipeWriter, Read as _, Write as _, pipe};
use std::path::Path;
use std::process::Stdio;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};

use super::os::{Belongs, end};

/// First argument of a warden.
pub(crate) const VERB: &str = "warden";

/// Kiln's own program, started once more. It reads from a pipe that Kiln alone holds, and that
/// therefore ends with Kiln, however that ends. In a session of its own, so that what ends Kiln from
/// a terminal does not end it as well.
#[derive(Debug)]
pub(super) struct Warden {
    _pipe: PipeWriter,
    _program: Box<dyn ChildWrapper>,
}

impl Warden {
    /// Starts one for the programs with this mark. It is told over the pipe: who has the mark in its
    /// environment belongs to the build itself.
    pub(super) fn start(program: &Path, mark: &str) -> io::Result<Self> {
        let (reader, mut pipe) = pipe()?;
        pipe.write_all(mark.as_bytes())?;
        let mut wrapped = CommandWrap::with_new(program, |c| {
            c.arg(VERB)
                .env_clear()
                .current_dir("/")
                .stdin(reader)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
        });
        let program = wrapped.wrap(ProcessSession).spawn()?;
        Ok(Self {
            _pipe: pipe,
            _program: program,
        })
    }
}

/// Is a warden until Kiln is gone or does not need it any more; then nothing is left to end.
pub(crate) fn stand_by() {
    let mut mark = Vec::new();
    let heard = io::stdin().read_to_end(&mut mark);
    if heard.is_ok() && !mark.is_empty() {
        end(&Belongs::marked(mark));
    }
}
