//! [`ScriptedProcesses`]: programs that say and do what a test wrote down.
use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kiln_ports::Processes;
use kiln_ports::process::{Child, Command, Exit, Pace, Paced, SpawnError, Usage};
use tokio::sync::watch;

/// What a program does when it is started.
#[derive(Clone, Debug)]
pub struct Script {
    output: VecDeque<Vec<u8>>,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    Missing,
    Exits(Exit),
    Hangs,
    Waits(watch::Receiver<bool>),
}

impl Script {
    /// There is no such program.
    pub fn missing() -> Self {
        Self {
            output: VecDeque::new(),
            end: End::Missing,
        }
    }

    /// Ends with this code.
    pub fn exits(code: i32) -> Self {
        Self {
            output: VecDeque::new(),
            end: End::Exits(Exit::Code(code)),
        }
    }

    /// Runs until it is killed.
    pub fn hangs() -> Self {
        Self {
            output: VecDeque::new(),
            end: End::Hangs,
        }
    }

    /// Ends well as soon as `gate` is open; never if the gate is dropped before.
    pub fn waits(gate: watch::Receiver<bool>) -> Self {
        Self {
            output: VecDeque::new(),
            end: End::Waits(gate),
        }
    }

    /// Prints `text` as one block before it ends; may be called again.
    pub fn says(mut self, text: &str) -> Self {
        self.output.push_back(text.as_bytes().to_vec());
        self
    }
}

type Answer = dyn Fn(&Command) -> Script + Send + Sync;

/// Asks a closure for every program that is started, and remembers what was started. Like the
/// real ones it starts nothing in a folder that does not exist.
pub struct ScriptedProcesses {
    answer: Box<Answer>,
    started: Mutex<Vec<Command>>,
    paces: Arc<Mutex<Vec<Pace>>>,
    usage: Arc<Mutex<Option<Usage>>>,
    heedless: Arc<AtomicBool>,
    killed: Arc<AtomicUsize>,
}

impl ScriptedProcesses {
    /// Makes processes that behave as `answer` says. It may also do what the program would do, for
    /// example write files.
    pub fn new(answer: impl Fn(&Command) -> Script + Send + Sync + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            started: Mutex::default(),
            paces: Arc::default(),
            usage: Arc::default(),
            heedless: Arc::default(),
            killed: Arc::default(),
        }
    }

    /// Returns everything that was started, in order.
    pub fn started(&self) -> Vec<Command> {
        self.started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the command lines that were started: program and arguments, joined by spaces.
    pub fn lines(&self) -> Vec<String> {
        let line = |c: &Command| {
            let program = c.program.display().to_string();
            [&[program], c.arguments.as_slice()].concat().join(" ")
        };
        self.started().iter().map(line).collect()
    }

    /// Returns the paces that were set, of all programs, in order.
    pub fn paces(&self) -> Vec<Pace> {
        self.paces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on every program uses this; nothing is told at first.
    pub fn use_up(&self, usage: Usage) {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner) = Some(usage);
    }

    /// From now on no program takes another pace, as one that hangs in the kernel does not.
    pub fn heed_no_pace(&self) {
        self.heedless.store(true, Ordering::Relaxed);
    }

    /// Returns how many programs did not end by themselves.
    pub fn killed(&self) -> usize {
        self.killed.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Processes for ScriptedProcesses {
    async fn spawn(&self, command: Command) -> Result<Box<dyn Child>, SpawnError> {
        let program = command.program.display().to_string();
        if !command.directory.is_dir() {
            let reason = format!("{} is no folder", command.directory.display());
            return Err(SpawnError { program, reason });
        }
        let Script { output, end } = (self.answer)(&command);
        self.started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(command);
        let mut gate = None;
        let exit = match end {
            End::Missing => {
                return Err(SpawnError {
                    program,
                    reason: "no such file".to_owned(),
                });
            }
            End::Exits(exit) => Some(exit),
            End::Hangs => None,
            End::Waits(open) => {
                gate = Some(open);
                None
            }
        };
        let killed = Arc::clone(&self.killed);
        Ok(Box::new(Scripted {
            paces: Arc::clone(&self.paces),
            usage: Arc::clone(&self.usage),
            heedless: Arc::clone(&self.heedless),
            output,
            exit,
            gate,
            killed,
        }))
    }
}

struct Scripted {
    paces: Arc<Mutex<Vec<Pace>>>,
    usage: Arc<Mutex<Option<Usage>>>,
    heedless: Arc<AtomicBool>,
    output: VecDeque<Vec<u8>>,
    exit: Option<Exit>,
    gate: Option<watch::Receiver<bool>>,
    killed: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Child for Scripted {
    async fn read(&mut self) -> Option<Vec<u8>> {
        match self.output.pop_front() {
            Some(block) => Some(block),
            None => {
                self.wait().await;
                None
            }
        }
    }

    async fn wait(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let opened = match &mut self.gate {
            Some(gate) => gate.wait_for(|open| *open).await.is_ok(),
            None => false,
        };
        if !opened {
            pending::<()>().await;
        }
        *self.exit.insert(Exit::Code(0))
    }

    async fn set_pace(&mut self, pace: Pace) -> Paced {
        self.paces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(pace);
        if self.heedless.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
        Paced::All
    }

    async fn usage(&mut self) -> Option<Usage> {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn kill(&mut self, _grace: Duration) {
        if self.exit.is_none() {
            self.killed.fetch_add(1, Ordering::Relaxed);
            self.exit = Some(Exit::Signal);
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.killed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
