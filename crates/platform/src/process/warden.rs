//! [`Warden`]: a small program beside a build of others that ends it when Kiln is gone.
use std::io::{self, PipeWriter, Read as _, Write as _, pipe};
use std::path::Path;
use std::process::Stdio;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::process::Pid;

use super::GIVE_UP;
use super::os::{Belongs, end};

/// First argument of a warden.
pub(crate) const VERB: &str = "warden";

/// Between what a warden is told; no mark has it.
const BETWEEN: char = '\0';

/// Kiln's own program, started once more. It reads from a pipe that Kiln alone holds, and that
/// therefore ends with Kiln, however that ends. In a session of its own, so that what ends Kiln from
/// a terminal does not end it as well.
#[derive(Debug)]
pub(super) struct Warden {
    pipe: PipeWriter,
    _program: Box<dyn ChildWrapper>,
}

impl Warden {
    /// Starts one for the programs with this mark. It is told over the pipe, as everything: who has the
    /// mark in its environment belongs to the build itself.
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
            pipe,
            _program: program,
        })
    }

    /// The programs are those of this session as well, from now on, also who cleaned its environment;
    /// `None`: not any more, since the number may soon be somebody else's.
    pub(super) fn guard(&mut self, session: Option<Pid>) -> io::Result<()> {
        let number = session.map_or(0, |leader| leader.as_raw_nonzero().get());
        write!(self.pipe, "{BETWEEN}{number}")
    }
}

/// Is a warden until Kiln is gone or does not need it any more; then nothing is left to end.
pub(crate) fn stand_by() {
    let mut told = String::new();
    if io::stdin().read_to_string(&mut told).is_err() {
        return;
    }
    let mut words = told.split(BETWEEN);
    let mark = words.next().unwrap_or_default().as_bytes().to_vec();
    if mark.is_empty() {
        return;
    }
    let last = words.next_back().and_then(|number| number.parse().ok());
    let session = last.and_then(Pid::from_raw);
    // It has nothing else to do, and one look at a large tree can take seconds.
    end(&Belongs { session, mark }, GIVE_UP);
}
