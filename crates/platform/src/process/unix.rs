//! Linux and macOS: the leader of a session, and everything that descends from it.
use std::io::{self, pipe};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kiln_ports::process::{Child, Command, Exit, Pace, Priority, Usage};
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub(super) use super::table::command_lines;
use super::table::{self, signal_all};
use super::warden::Warden;
use super::{AFTERMATH, BLOCK, GIVE_UP, Live, exit};
use crate::sandbox::memory_bytes;

/// Time between two looks at the process table while waiting for a tree to end.
const LOOK: Duration = Duration::from_millis(10);

/// How long a tree that nobody waits for may take to be gone. It was killed with the first look; what
/// takes longer hangs in the kernel, and ends as soon as that lets go.
const BRIEFLY: Duration = Duration::from_secs(2);

/// After how many looks what does not stand is let go for a moment.
const SHAKE: u32 = 10;

/// Which processes are meant.
pub(super) struct Belongs {
    /// Those of this session, which is named after its leader.
    pub(super) session: Option<Pid>,
    /// Those with this text in their environment.
    pub(super) mark: Vec<u8>,
}

impl Belongs {
    /// Those with this text in their environment, whatever their session.
    pub(super) fn marked(mark: Vec<u8>) -> Self {
        let session = None;
        Self { session, mark }
    }

    /// Returns whether processes of this session are meant.
    pub(super) fn holds_session(&self, session: Option<Pid>) -> bool {
        self.session.is_some() && self.session == session
    }

    /// Returns whether processes with this environment are meant.
    pub(super) fn marks(&self, environment: &[u8]) -> bool {
        let mut parts = environment.windows(self.mark.len());
        parts.any(|p| p == self.mark)
    }

    /// Stops until everything stands still: what was forked meanwhile is stopped in the next round.
    async fn stop(&self) {
        let stands = async {
            for round in 1_u32.. {
                signal_all(self, Some(Signal::STOP));
                if table::all_stand(self) {
                    break;
                }
                // Who is stopped between vfork and exec keeps its parent from standing.
                if round.is_multiple_of(SHAKE) {
                    signal_all(self, Some(Signal::CONT));
                }
                sleep(LOOK).await;
            }
        };
        if timeout(GIVE_UP, stands).await.is_err() {
            tracing::warn!("processes of a build that was stopped go on");
        }
    }

    /// Kills until nothing is left, and returns how many processes there were at first.
    async fn kill(&self) -> usize {
        let first = signal_all(self, Some(Signal::KILL));
        let ended = async {
            while signal_all(self, Some(Signal::KILL)) > 0 {
                sleep(LOOK).await
            }
        };
        if first > 0 && timeout(GIVE_UP, ended).await.is_err() {
            tracing::warn!("processes of a killed build do not end");
        }
        first
    }
}

/// Kills every process that has this text in its environment; returns how many there were.
pub(super) async fn reap(mark: String) -> usize {
    Belongs::marked(mark.into_bytes()).kill().await
}

/// A program and its descendants.
pub(super) struct Running {
    leader: Box<dyn ChildWrapper>,
    tree: Belongs,
    output: Receiver,
    block: Box<[u8]>,
    pace: Pace,
    /// When the tree was killed.
    killed: Option<Instant>,
    /// Ends the tree when Kiln is gone; goes with this.
    warden: Option<Warden>,
    /// Tells whoever reads the load that something runs.
    _live: Live,
}

impl Running {
    pub(super) fn spawn(
        command: Command,
        mark: String,
        live: Live,
        warden: Option<&Path>,
    ) -> io::Result<Self> {
        let mut warden = warden.and_then(|program| {
            let started = Warden::start(program, &mark);
            // The build needs it only if Kiln is killed, and the next start ends what is left then.
            started
                .inspect_err(|error| tracing::warn!(%error, "a build runs without its warden"))
                .ok()
        });
        let (reader, writer) = pipe()?;
        let errors = writer.try_clone()?;
        let mut wrapped = CommandWrap::with_new(&command.program, |c| {
            c.args(&command.arguments)
                .env_clear()
                .envs(command.environment)
                .envs(mark.split_once('='))
                .current_dir(&command.directory)
                .stdin(Stdio::null())
                .stdout(writer)
                .stderr(errors);
        });
        // The wrapper would wait for the whole group; the port promises the leader.
        let leader = wrapped.wrap(ProcessSession).spawn()?.into_inner();
        // Our ends of the pipe; the stream could never end while they are open.
        drop(wrapped);
        let session = leader.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(Err(error)) = warden.as_mut().map(|warden| warden.guard(session)) {
            tracing::warn!(%error, "the warden of a build does not know its session");
        }
        let child = Self {
            leader,
            tree: Belongs {
                session,
                mark: mark.into_bytes(),
            },
            output: Receiver::from_owned_fd(OwnedFd::from(reader))?,
            block: vec![0; BLOCK].into(),
            pace: Pace::AS_STARTED,
            killed: None,
            warden,
            _live: live,
        };
        match (command.priority, session) {
            (Priority::Background, Some(leader)) => table::lower_priority(leader),
            (Priority::Background, None) | (Priority::Normal, _) => {}
        }
        Ok(child)
    }
}

impl Running {
    /// Asks everything to end and waits until it has.
    async fn end_orderly(&self) {
        // Asked once: a second request would interrupt whoever is cleaning up.
        signal_all(&self.tree, Some(Signal::TERM));
        if self.pace == Pace::Stopped {
            // What stands still cannot end in an orderly way.
            signal_all(&self.tree, Some(Signal::CONT));
        }
        while signal_all(&self.tree, None) > 0 {
            sleep(LOOK).await
        }
    }
}

#[async_trait::async_trait]
impl Child for Running {
    async fn read(&mut self) -> Option<Vec<u8>> {
        let read = self.output.read(&mut self.block);
        let count = match self.killed {
            None => read.await.ok()?,
            Some(when) => timeout_at(when + AFTERMATH, read).await.ok()?.ok()?,
        };
        let bytes = self.block.get(..count)?;
        (!bytes.is_empty()).then(|| bytes.to_vec())
    }

    async fn wait(&mut self) -> Exit {
        exit(self.leader.wait().await)
    }

    async fn set_pace(&mut self, pace: Pace) {
        let stood = self.pace == Pace::Stopped;
        self.pace = pace;
        match pace {
            Pace::Stopped => self.tree.stop().await,
            Pace::Gentle { cores } => table::slow_down(&self.tree, usize::from(cores)),
            Pace::Full { cores } => table::speed_up(&self.tree, cores.map(usize::from)),
        }
        if stood && pace != Pace::Stopped {
            signal_all(&self.tree, Some(Signal::CONT));
        }
    }

    fn usage(&self) -> Option<Usage> {
        let (processes, bytes) = table::measure(&self.tree);
        let machine = memory_bytes()?.max(100);
        let percent = bytes / (machine / 100);
        Some(Usage {
            processes,
            memory_percent: percent.try_into().unwrap_or(u8::MAX),
        })
    }

    async fn kill(&mut self, grace: Duration) {
        if grace.is_zero() || timeout(grace, self.end_orderly()).await.is_err() {
            self.tree.kill().await;
        }
        // Nothing but the dead leader is left, to be collected.
        let _ = timeout(GIVE_UP, self.leader.wait()).await;
        self.killed = Some(Instant::now());
    }
}

impl Drop for Running {
    /// Kills what is left; usually nothing is. The leader is collected by the runtime.
    fn drop(&mut self) {
        if self.killed.is_none() && !end(&self.tree) {
            tracing::warn!("processes of a build that nobody waits for do not end");
        }
        if let Some(warden) = &mut self.warden {
            // One that is gone ends nobody.
            let _ = warden.guard(None);
        }
    }
}

/// Kills until nothing is left, on this thread; returns whether nothing is.
pub(super) fn end(tree: &Belongs) -> bool {
    gone(|| signal_all(tree, Some(Signal::KILL)))
}

/// Kills for [`BRIEFLY`] at most: the thread has other things to do.
pub(super) fn gone(kill: impl Fn() -> usize) -> bool {
    let begun = Instant::now();
    while kill() > 0 {
        if begun.elapsed() > BRIEFLY {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
