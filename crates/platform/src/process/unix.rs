//! Linux and macOS: the leader of a session, and everything that descends from it.
use std::io::{self, pipe};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use kiln_ports::process::{Child, Command, Exit, Pace, Paced, Priority, Usage};
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub(super) use super::table::command_lines;
use super::table::{self, Namespace, signal_all};
use super::warden::Warden;
use super::{AFTERMATH, BLOCK, GIVE_UP, Live, Runs, exit};
use crate::sandbox::memory_bytes;

/// Time between two looks at the process table while waiting for a tree to end.
const LOOK: Duration = Duration::from_millis(10);

/// How long a tree that nobody waits for may take to be gone. It was killed with the first look; what
/// takes longer hangs in the kernel, and ends as soon as that lets go.
pub(super) const BRIEFLY: Duration = Duration::from_secs(2);

/// Looks for which a tree is waited for that is to stand still, before whoever wants it hears that it
/// does not yet.
const ROUNDS: u32 = 50;

/// After how many of them who is waited for in the kernel is let go for a moment.
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
}

/// Processes that are looked at, one look after the other, on a thread that may wait: the kernel lets
/// nobody look into a program that is just being changed, and one that hardly gets a processor is that
/// for long.
struct Tree {
    belongs: Arc<Belongs>,
    /// Held by whoever looks, also when nobody waits for it any more: what a look does must not come
    /// after what the next one does.
    turn: Arc<Mutex<()>>,
}

impl Tree {
    fn new(belongs: Belongs) -> Self {
        Self {
            belongs: Arc::new(belongs),
            turn: Arc::default(),
        }
    }

    async fn look<T: Default + Send + 'static>(
        &self,
        look: impl FnOnce(&Belongs) -> T + Send + 'static,
    ) -> T {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let belongs = Arc::clone(&self.belongs);
        let looking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            look(&belongs)
        });
        // A look that panicked saw nothing.
        looking.await.unwrap_or_default()
    }

    async fn signal_all(&self, signal: Option<Signal>) -> usize {
        self.look(move |belongs| signal_all(belongs, signal)).await
    }

    /// Looks until that finds nothing, and rests in between for at least as long as it took.
    async fn until_none(&self, signal: Option<Signal>) {
        loop {
            let begun = Instant::now();
            if self.signal_all(signal).await == 0 {
                return;
            }
            sleep(begun.elapsed().max(LOOK)).await;
        }
    }

    /// Stops until everything stands still: what was forked meanwhile is stopped in the next round.
    async fn stop(&self) -> Paced {
        for round in 1..=ROUNDS {
            let begun = Instant::now();
            let stop = move |belongs: &Belongs| {
                signal_all(belongs, Some(Signal::STOP));
                let stand = table::all_stand(belongs);
                if !stand && round.is_multiple_of(SHAKE) {
                    table::shake(belongs);
                }
                stand
            };
            if self.look(stop).await {
                return Paced::All;
            }
            sleep(begun.elapsed().max(LOOK)).await;
        }
        Paced::NotYet
    }

    /// Asks everything to end and waits until it has.
    async fn end_orderly(&self, stands: bool) {
        // Asked once: a second request would interrupt whoever is cleaning up.
        self.signal_all(Some(Signal::TERM)).await;
        if stands {
            // What stands still cannot end in an orderly way.
            self.signal_all(Some(Signal::CONT)).await;
        }
        self.until_none(None).await;
    }

    /// Kills until nothing is left, and returns how many processes were seen at first.
    async fn kill(&self) -> usize {
        let mut namespace = Namespace::of(&self.belongs);
        let ended = async {
            if namespace.is_some() {
                // A look that nobody waits for any more would take its sessions' share again.
                drop(self.turn.lock().await);
            }
            while namespace.as_mut().is_some_and(Namespace::kill) {
                // Nobody looks at those in it: they need the processors to end.
                sleep(LOOK).await;
            }
            let first = self.signal_all(Some(Signal::KILL)).await;
            if first > 0 {
                self.until_none(Some(Signal::KILL)).await;
            }
            first
        };
        timeout(GIVE_UP, ended).await.unwrap_or_else(|_| {
            tracing::warn!("processes of a killed build do not end");
            0
        })
    }
}

/// Kills every process that has this text in its environment; returns how many there were.
pub(super) async fn reap(mark: String) -> usize {
    Tree::new(Belongs::marked(mark.into_bytes())).kill().await
}

/// A program and its descendants.
pub(super) struct Running {
    leader: Box<dyn ChildWrapper>,
    tree: Tree,
    priority: Priority,
    output: Receiver,
    block: Box<[u8]>,
    /// Some of it may stand still.
    stands: bool,
    /// When the tree was killed.
    killed: Option<Instant>,
    /// Ends the tree when Kiln is gone; goes with this.
    warden: Option<Warden>,
    /// Tells whoever reads the load that this runs.
    _runs: Runs,
}

impl Running {
    pub(super) fn spawn(
        command: Command,
        mark: String,
        live: &Live,
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
        let runs = live.enter(leader.id());
        let session = leader.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(Err(error)) = warden.as_mut().map(|warden| warden.guard(session)) {
            tracing::warn!(%error, "the warden of a build does not know its session");
        }
        let child = Self {
            leader,
            tree: Tree::new(Belongs {
                session,
                mark: mark.into_bytes(),
            }),
            priority: command.priority,
            output: Receiver::from_owned_fd(OwnedFd::from(reader))?,
            block: vec![0; BLOCK].into(),
            stands: false,
            killed: None,
            warden,
            _runs: runs,
        };
        match (command.priority, session) {
            (Priority::Background, Some(leader)) => table::lower_priority(leader),
            (Priority::Background, None) | (Priority::Normal, _) => {}
        }
        Ok(child)
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

    async fn set_pace(&mut self, pace: Pace) -> Paced {
        let paced = match pace {
            Pace::Stopped => {
                self.stands = true;
                return self.tree.stop().await;
            }
            Pace::Gentle { cores } => {
                let slow_down = move |tree: &Belongs| table::slow_down(tree, cores.into());
                self.tree.look(slow_down).await
            }
            Pace::Full { cores } => {
                let speed_up = move |tree: &Belongs| table::speed_up(tree, cores.map(usize::from));
                self.tree.look(speed_up).await
            }
        };
        if self.stands {
            self.tree.signal_all(Some(Signal::CONT)).await;
            self.stands = false;
        }
        paced
    }

    async fn usage(&mut self) -> Option<Usage> {
        let priority = self.priority;
        let measure = move |tree: &Belongs| table::measure(tree, priority);
        let (processes, bytes) = self.tree.look(measure).await;
        let machine = memory_bytes()?.max(100);
        let percent = bytes / (machine / 100);
        Some(Usage {
            processes,
            memory_percent: percent.try_into().unwrap_or(u8::MAX),
        })
    }

    async fn kill(&mut self, grace: Duration) {
        // A box takes all in it along as soon as one that holds it is asked: it is no orderly end.
        let at_once = grace.is_zero() || Namespace::of(&self.tree.belongs).is_some();
        let orderly = self.tree.end_orderly(self.stands);
        if at_once || timeout(grace, orderly).await.is_err() {
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
        if self.killed.is_none() && !end(&self.tree.belongs, BRIEFLY) {
            tracing::warn!("processes of a build that nobody waits for do not end");
        }
        if let Some(warden) = &mut self.warden {
            // One that is gone ends nobody.
            let _ = warden.guard(None);
        }
    }
}

/// Kills until nothing is left, on this thread and for so long at most; returns whether nothing is.
pub(super) fn end(tree: &Belongs, most: Duration) -> bool {
    let mut namespace = Namespace::of(tree);
    let kill = || match namespace.as_mut().is_some_and(Namespace::kill) {
        true => 1,
        false => signal_all(tree, Some(Signal::KILL)),
    };
    gone(kill, most)
}

/// Kills until that reaches nobody, for so long at most.
pub(super) fn gone(mut kill: impl FnMut() -> usize, most: Duration) -> bool {
    let begun = Instant::now();
    while kill() > 0 {
        if begun.elapsed() > most {
            return false;
        }
        blink();
    }
    true
}

/// How long one blink is.
const BLINK: Duration = Duration::from_millis(1);

/// Waits for a moment, also where nothing can be awaited.
#[expect(
    clippy::disallowed_methods,
    reason = "also a drop waits for the processes that it killed"
)]
pub(super) fn blink() {
    std::thread::sleep(BLINK);
}
