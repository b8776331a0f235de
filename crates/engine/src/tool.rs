//! [`run`]: one program for one job: its output to log and offloader, its progress to the domain,
//! and its whole tree ended on request.
use std::time::Duration;

use kiln_domain::Event;
use kiln_domain::work::{Drive, Event as WorkEvent, ProcessOutcome};
use kiln_esphome::{FailureScan, LineSplitter, Progress};
use kiln_model::JobId;
use kiln_ports::process::{Child, Command, Exit, Pace};
use tokio::sync::watch;

use crate::context::Context;

/// Time between the polite and the final end of a process tree (builds.md §11.6).
const GRACE: Duration = Duration::from_secs(3);

/// What a running step of a job is told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    /// Whether it is asked to stop.
    pub(crate) stop: bool,
    /// How hard it may go.
    pub(crate) drive: Drive,
}

/// Where a step hears its orders.
pub(crate) type Stop = watch::Receiver<Orders>;

/// Waits until the job is asked to stop; for ever if that never happens.
pub(crate) async fn stopped(stop: &mut Stop) {
    if stop.wait_for(|orders| orders.stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until the job may go in another way than `drive`; for ever if that never happens.
async fn driven(stop: &mut Stop, drive: Drive) -> Drive {
    let changed = stop.wait_for(|orders| orders.drive != drive).await;
    let told = changed.map(|orders| orders.drive);
    match told {
        Ok(drive) => drive,
        Err(_) => std::future::pending().await,
    }
}

/// Returns how fast a tree goes under an order.
fn pace(context: &Context, drive: Drive) -> Pace {
    match drive {
        Drive::Full => Pace::Full,
        Drive::Gentle => Pace::Gentle {
            cores: context.settings().in_use_cores,
        },
        Drive::Stopped => Pace::Stopped,
    }
}

/// Runs `command` to its end. `limit` bounds its run time.
pub(crate) async fn run(
    context: &Context,
    job: &JobId,
    command: Command,
    limit: Option<Duration>,
    stop: &mut Stop,
) -> ProcessOutcome {
    let deadline = limit.map(|limit| context.clock.now().mono + limit);
    let mut child = match context.processes.spawn(command).await {
        Ok(child) => child,
        Err(error) => {
            return ProcessOutcome::Failed {
                exit_code: None,
                message: error.to_string(),
            };
        }
    };
    let mut listener = Listener::new(context, job);
    let mut orders = stop.clone();
    let mut drive = Drive::Full;
    let end = loop {
        let late = async {
            match deadline {
                Some(deadline) => context.clock.sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stopped(stop) => break End::Stopped,
            wanted = driven(&mut orders, drive) => {
                drive = wanted;
                child.set_pace(pace(context, drive)).await;
            }
            block = child.read() => match block {
                Some(block) => listener.take(&block).await,
                None => break End::Done,
            },
            () = late => break End::Late,
        }
    };
    match end {
        End::Done => {
            listener.finish().await;
            listener.verdict(child.wait().await)
        }
        End::Stopped => {
            finish_off(child.as_mut(), &mut listener).await;
            ProcessOutcome::Killed
        }
        End::Late => {
            finish_off(child.as_mut(), &mut listener).await;
            let seconds = limit.unwrap_or_default().as_secs();
            let message = format!("it took longer than {seconds} s and was stopped");
            ProcessOutcome::Failed {
                exit_code: None,
                message,
            }
        }
    }
}

enum End {
    Done,
    Stopped,
    Late,
}

/// Ends the tree and takes what it still said.
async fn finish_off(child: &mut dyn Child, listener: &mut Listener<'_>) {
    child.kill(GRACE).await;
    while let Some(block) = child.read().await {
        listener.take(&block).await;
    }
    listener.finish().await;
}

/// Splits output, passes it on, and judges it.
struct Listener<'a> {
    context: &'a Context,
    job: &'a JobId,
    splitter: LineSplitter,
    progress: Progress,
    failures: FailureScan,
}

impl<'a> Listener<'a> {
    fn new(context: &'a Context, job: &'a JobId) -> Self {
        let (splitter, progress, failures) = Default::default();
        Self {
            context,
            job,
            splitter,
            progress,
            failures,
        }
    }

    async fn take(&mut self, block: &[u8]) {
        let chunks = self.splitter.feed(block);
        self.hear(chunks).await;
    }

    async fn finish(&mut self) {
        let rest = self.splitter.finish();
        self.hear(rest.into_iter().collect()).await;
    }

    async fn hear(&mut self, chunks: Vec<String>) {
        if chunks.is_empty() {
            return;
        }
        let mut percent = None;
        for chunk in &chunks {
            self.failures.read(chunk);
            percent = self.progress.read(chunk).percent.or(percent);
        }
        self.context.outputs.text(self.job, &chunks.concat()).await;
        if let Some(percent) = percent {
            let event = WorkEvent::Progressed(self.job.clone(), percent);
            self.context.tell(Event::Work(event)).await;
        }
    }

    fn verdict(&self, exit: Exit) -> ProcessOutcome {
        match (exit, self.failures.found()) {
            (Exit::Code(0), None) => ProcessOutcome::Succeeded,
            (Exit::Code(0), Some(complaint)) => ProcessOutcome::Failed {
                exit_code: Some(0),
                message: format!("the tool reported success, but its output says: {complaint}"),
            },
            (Exit::Code(code), _) => ProcessOutcome::Failed {
                exit_code: Some(code),
                message: format!("the tool ended with exit code {code}"),
            },
            (Exit::Signal, _) => ProcessOutcome::Failed {
                exit_code: None,
                message: "the tool was ended by a signal".to_owned(),
            },
        }
    }
}
