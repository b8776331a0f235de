//! [`Programs`]: finding small programs and running them to their end.
use kiln_model::{Sentence, Settings, say};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kiln_esphome::{LineSplitter, Purpose, Surroundings, ansi};
use kiln_ports::process::{Command, Exit, Pace, Paced, Priority, SpawnError};
use kiln_ports::{Clock, Processes};
use tokio::sync::watch;

use crate::tool::{self, Stop};

/// Output kept of a program, in bytes (builds.md §7.4).
const TAIL_BYTES: usize = 2000;

/// How many times a pace is set that not all of a program takes, as one that hangs in the kernel.
const PACE_TRIES: u32 = 10;

/// For whom programs run.
#[derive(Clone)]
pub(crate) enum Customer {
    /// The owner: they go as fast as they can.
    Owner,
    /// Somebody whose build waits for them: they give way as it does.
    Guest {
        /// Where is heard how hard they may go.
        orders: Stop,
        /// What the owner allows them.
        settings: watch::Receiver<Settings>,
    },
}

impl Customer {
    fn priority(&self) -> Priority {
        match self {
            Customer::Owner => Priority::Normal,
            Customer::Guest { .. } => Priority::Background,
        }
    }

    /// Waits until whoever wants it does not any more.
    pub(crate) async fn stopped(&mut self) {
        match self {
            Customer::Owner => std::future::pending().await,
            Customer::Guest { orders, .. } => drop(tool::stopped(orders).await),
        }
    }

    /// Waits until they may go in another way than `paced`: they are told so, or the owner changed a
    /// setting.
    async fn paced(&mut self, paced: Pace) -> Pace {
        let Customer::Guest { orders, settings } = self else {
            return std::future::pending().await;
        };
        loop {
            let drive = orders.borrow_and_update().drive;
            let pace = tool::pace(&settings.borrow_and_update(), drive);
            if pace != paced {
                return pace;
            }
            tokio::select! {
                Ok(()) = orders.changed() => {}
                Ok(()) = settings.changed() => {}
                else => return std::future::pending().await,
            }
        }
    }
}

/// Runs programs in the environment for installing things.
#[derive(Clone)]
pub(crate) struct Programs {
    pub(crate) customer: Customer,
    pub(crate) processes: Arc<dyn Processes>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) surroundings: Surroundings,
    /// Working folder; made when it is needed.
    pub(crate) folder: PathBuf,
}

/// Why a program did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunError {
    /// The working folder cannot be made.
    Folder(String),
    /// Not started.
    Spawn(SpawnError),
    /// Stopped after this many seconds.
    TookTooLong(u64),
    /// Ended otherwise than with 0; the text is the last line of its output.
    Failed(Sentence),
}

impl RunError {
    /// Returns it in words.
    pub(crate) fn sentence(&self) -> Sentence {
        match self {
            RunError::Folder(why) => why.into(),
            RunError::Spawn(error) => error.sentence(),
            RunError::TookTooLong(seconds) => say::took_too_long(*seconds),
            RunError::Failed(last_line) => last_line.clone(),
        }
    }
}

kiln_model::spoken_errors!(RunError);

impl Programs {
    /// Returns the same for somebody else.
    pub(crate) fn run_for(&self, customer: Customer) -> Self {
        Self {
            customer,
            ..self.clone()
        }
    }

    /// Runs a program for at most `limit`, not counting the time in which it has to stand still; returns the end of its output if it succeeds. Every
    /// chunk of output goes to `say` as it comes. Dropping the future kills the program.
    pub(crate) async fn run<Saying: Future<Output = ()>>(
        &self,
        program: &Path,
        arguments: &[&str],
        limit: Duration,
        say: impl Fn(String) -> Saying,
    ) -> Result<String, RunError> {
        let mut deadline = self.clock.now().mono + limit;
        let command = Command {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            environment: self.surroundings.environment(Purpose::Provision),
            directory: self.folder.clone(),
            priority: self.customer.priority(),
        };
        tokio::fs::create_dir_all(&self.folder)
            .await
            .map_err(|error| RunError::Folder(format!("{}: {error}", self.folder.display())))?;
        let child = self.processes.spawn(command).await;
        let mut child = child.map_err(RunError::Spawn)?;
        let mut output = Tail::default();
        let mut splitter = LineSplitter::default();
        let mut late = self.clock.sleep_until(deadline);
        let mut customer = self.customer.clone();
        let mut paced = Pace::AS_STARTED;
        let mut stands_since = None;
        loop {
            tokio::select! {
                biased;
                pace = customer.paced(paced) => {
                    paced = pace;
                    for _ in 0..PACE_TRIES {
                        if child.set_pace(pace).await == Paced::All {
                            break;
                        }
                    }
                    let now = self.clock.now().mono;
                    if let Some(since) = stands_since.take() {
                        deadline = deadline + now.since(since);
                        late = self.clock.sleep_until(deadline);
                    }
                    stands_since = (pace == Pace::Stopped).then_some(now);
                }
                block = child.read() => {
                    let chunks = match &block {
                        Some(block) => splitter.feed(block),
                        None => splitter.finish().into_iter().collect(),
                    };
                    for chunk in chunks {
                        output.keep(&chunk);
                        say(chunk).await;
                    }
                    if block.is_none() {
                        break;
                    }
                }
                () = &mut late, if stands_since.is_none() => {
                    child.kill(tool::GRACE).await;
                    return Err(RunError::TookTooLong(limit.as_secs()));
                }
            }
        }
        match child.wait().await {
            Exit::Code(0) => Ok(output.0),
            Exit::Code(_) | Exit::Signal => Err(RunError::Failed(output.last_line())),
        }
    }

    /// Returns every file of one of these names on the parent's search path, names first.
    pub(crate) fn on_path(&self, names: &[&str]) -> Vec<PathBuf> {
        let path = self.surroundings.get("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
        let places = names.iter().flat_map(|name| {
            let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
            folders.iter().map(move |folder| folder.join(&file))
        });
        places
            .filter(|place| place.is_absolute() && place.is_file())
            .collect()
    }
}

/// The last output of a program.
#[derive(Default)]
struct Tail(String);

impl Tail {
    /// The last line that says something, without escapes.
    fn last_line(&self) -> Sentence {
        let text = ansi::plain(&self.0);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        last.map_or_else(say::said_nothing, Sentence::from)
    }

    fn keep(&mut self, chunk: &str) {
        self.0.push_str(chunk);
        let surplus = self.0.len().saturating_sub(TAIL_BYTES);
        let cut = (surplus..=self.0.len()).find(|&at| self.0.is_char_boundary(at));
        self.0.drain(..cut.unwrap_or_default());
    }
}
