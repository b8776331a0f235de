//! [`run`]: one program for one job: its output to log and offloader, its progress to the domain,
//! and its whole tree ended on request.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use kiln_domain::Event;
use kiln_domain::work::{Drive, Ending, Event as WorkEvent, ProcessOutcome};
use kiln_esphome::{FailureScan, FlashScan, LineSplitter, Progress, Shortage, ShortageScan};
use kiln_model::{JobId, Mono, Reach, Sentence, Settings, say};
use kiln_ports::Clock;
use kiln_ports::process::{Child, Command, Exit, Pace, Paced};
use kiln_ports::sandbox::{Answer, Contact, Gate};
use tokio::sync::{mpsc, watch};
use tokio::task::unconstrained;

use crate::context::Context;
use crate::growth::Growth;
use crate::held::Held;
use crate::limits::{Breach, LINES_OVER, Limits, Spent, Then};
use crate::particulars::Particular;

/// Time between the polite and the final end of a process tree (builds.md §11.6).
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// Longest time for which an offloader is waited for that takes the last output slowly: of a program
/// that was ended, and of one that ended by itself.
const LAST_WORDS: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_secs(300);

/// How often a guest is measured.
const MEASURE: Duration = Duration::from_millis(500);

/// Longest time between two measurements that counts as run time. What is longer, the computer
/// slept.
const AWAKE: Duration = Duration::from_secs(5);

/// What a box makes of the end of a program that was killed, as the system does when it runs out of
/// memory: 128 and the number of the signal (bwrap(1)).
const KILLED: i32 = 128 + 9;

/// What a running step of a job is told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    /// How it is to end, once it is to.
    pub(crate) stop: Option<Ending>,
    /// How hard it may go.
    pub(crate) drive: Drive,
}

/// Where a step hears its orders.
pub(crate) type Stop = watch::Receiver<Orders>;

/// Waits until the job is to stop, and returns how; for ever if that never happens.
pub(crate) async fn stopped(stop: &mut Stop) -> Ending {
    let told = stop.wait_for(|orders| orders.stop.is_some()).await;
    match told.ok().and_then(|orders| orders.stop) {
        Some(ending) => ending,
        None => std::future::pending().await,
    }
}

/// Waits until the job may go in another way than `drive`; for ever if that never happens.
pub(crate) async fn driven(stop: &mut Stop, drive: Drive) -> Drive {
    let changed = stop.wait_for(|orders| orders.drive != drive).await;
    let told = changed.map(|orders| orders.drive);
    match told {
        Ok(drive) => drive,
        Err(_) => std::future::pending().await,
    }
}

/// Returns how fast the tree of a guest goes under an order.
pub(crate) fn pace(settings: &Settings, drive: Drive) -> Pace {
    match drive {
        Drive::Full => Pace::Full {
            cores: Some(settings.idle_cores).filter(|cores| *cores > 0),
        },
        Drive::Gentle => Pace::Gentle {
            cores: settings.in_use_cores,
        },
        Drive::Stopped => Pace::Stopped,
    }
}

/// Returns the memory that a guest may hold under an order, in percent of this machine's.
fn memory_percent(settings: &Settings, drive: Drive) -> u8 {
    match drive {
        Drive::Full => settings.idle_ram_percent,
        Drive::Gentle | Drive::Stopped => settings.in_use_ram_percent,
    }
}

/// What holds a program while it runs.
pub(crate) enum Bounds {
    /// Nothing does.
    None,
    /// It may run for so long.
    Time(Duration),
    /// It runs for somebody else.
    Guest(Box<Guest>),
}

/// A build for somebody else.
pub(crate) struct Guest {
    limits: Limits,
    gate: Option<Box<dyn Gate>>,
    growth: Growth,
    measured: Mono,
    next_look: Mono,
    passed: u64,
    lines_since: Mono,
    spent: Spent,
}

impl Guest {
    /// Begins to watch a build that may write into `folders` and reaches the network over `gate`.
    pub(crate) fn new(
        limits: Limits,
        folders: Vec<PathBuf>,
        gate: Option<Box<dyn Gate>>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let now = clock.now().mono;
        let most = Held {
            bytes: limits.disk_bytes,
            entries: limits.entries,
            hidden: 0,
        };
        Self {
            limits,
            gate,
            growth: Growth::new(folders, most, clock),
            measured: now,
            next_look: now + MEASURE,
            passed: 0,
            lines_since: now,
            spent: Spent::default(),
        }
    }

    /// Takes note of output.
    fn said(&mut self, block: &[u8]) {
        self.spent.silent = Duration::ZERO;
        self.spent.log_bytes += block.len() as u64;
        self.spent.lines += block.iter().filter(|b| **b == b'\n').count() as u64;
    }

    /// Measures, and returns what was too much.
    async fn measure(
        &mut self,
        child: &mut dyn Child,
        drive: Drive,
        settings: &Settings,
        clock: &dyn Clock,
    ) -> Option<Breach> {
        let now = clock.now().mono;
        let awake = match drive {
            Drive::Full | Drive::Gentle => now.since(self.measured).min(AWAKE),
            // A build that has to stand still is not late.
            Drive::Stopped => Duration::ZERO,
        };
        self.measured = now;
        let passed = self.gate.as_ref().map(|gate| gate.passed());
        let passed = passed.unwrap_or_default();
        if passed != self.passed {
            self.spent.silent = Duration::ZERO;
            self.passed = passed;
        }
        let grown = self.growth.measure(drive);
        let tree = child.usage().await.unwrap_or_default();
        // What takes long to look at is looked at less often.
        let looked = clock.now().mono;
        self.next_look = (now + MEASURE).max(looked + looked.since(now));
        self.spent = Spent {
            running: self.spent.running + awake,
            silent: self.spent.silent + awake,
            tree,
            disk_bytes: grown.bytes,
            entries: grown.entries,
            hidden: grown.hidden,
            network_bytes: passed,
            ..self.spent
        };
        let owners = memory_percent(settings, drive);
        let limits = Limits {
            memory_percent: self.limits.memory_percent.min(owners),
            ..self.limits
        };
        let breach = limits.breached(&self.spent);
        if now.since(self.lines_since) > LINES_OVER {
            self.lines_since = now;
            self.spent.lines = 0;
        }
        breach
    }
}

/// Notes a host that the build asked for, once each.
fn contacted(contact: &Contact, context: &Context, job: &JobId) {
    let place = format!("{}:{}", contact.host, contact.port);
    let reach = match contact.answer {
        Answer::Reached => Reach::Reached,
        Answer::NotAllowed | Answer::NotPublic => Reach::Refused,
        Answer::Failed(_) => Reach::Failed,
    };
    let note = |known: &mut Particular| known.contacts.note(&place, reach);
    if !context.particulars.note(job, note) {
        return;
    }
    tracing::info!(%job, %place, answer = ?contact.answer, "a build asked for a host");
    let why = match &contact.answer {
        Answer::Reached => return,
        Answer::NotAllowed => "the owner of this build server does not allow it (build_hosts)",
        Answer::NotPublic => "it is not on the open internet",
        Answer::Failed(why) => why,
    };
    let text = format!("{place} was not reached: {why}");
    context.outputs.note(job, &text);
}

/// Returns the next host that a guest asks for; never for others.
async fn contact(bounds: &mut Bounds) -> Contact {
    match bounds {
        Bounds::Guest(guest) => match &mut guest.gate {
            Some(gate) => gate.next().await,
            None => std::future::pending().await,
        },
        Bounds::None | Bounds::Time(_) => std::future::pending().await,
    }
}

/// Runs `command` to its end, within `bounds`. What a failed flash says of its reason is read with
/// `flash`; other tools may print the same words and mean something else.
pub(crate) async fn run(
    context: &Context,
    job: &JobId,
    command: Command,
    mut bounds: Bounds,
    flash: Option<FlashScan>,
    stop: &mut Stop,
) -> ProcessOutcome {
    let mut child = match context.processes.spawn(command).await {
        Ok(child) => child,
        Err(error) => {
            let message = error.sentence();
            return match bounds {
                Bounds::Guest(_) => ProcessOutcome::GivenUp(message),
                Bounds::None | Bounds::Time(_) => ProcessOutcome::Failed {
                    exit_code: None,
                    message,
                },
            };
        }
    };
    let (heard, blocks) = mpsc::channel(1);
    let (end, listener) = {
        let watched = look_after(context, job, child.as_mut(), &mut bounds, stop, heard);
        let listened = Listener::new(context, job, flash).listen(blocks);
        tokio::pin!(watched, listened);
        let mut listener = None;
        let end = loop {
            tokio::select! {
                end = &mut watched => break end,
                done = &mut listened, if listener.is_none() => listener = Some(done),
            }
        };
        if listener.is_none() {
            let patience = match end {
                End::Done => DRAIN,
                End::Stopped(_) | End::Breach(_) => LAST_WORDS,
            };
            let over = context.clock.now().mono + patience;
            listener = tokio::select! {
                biased;
                done = &mut listened => Some(done),
                () = context.clock.sleep_until(over) => None,
            };
        }
        (end, listener)
    };
    match end {
        End::Done => match (child.wait().await, &bounds, listener) {
            (Exit::Code(126 | 127), Bounds::Guest(_), _) => {
                // A boxed shell that does not find or may not start a program (POSIX shell, 2.8.2): no
                // fault of the configuration.
                ProcessOutcome::GivenUp(say::not_in_box())
            }
            (exit, Bounds::Guest(_), Some(listener)) => match listener.excuse(exit) {
                Some(excuse) => ProcessOutcome::GivenUp(excuse),
                None => listener.verdict(exit),
            },
            (exit, Bounds::None | Bounds::Time(_), Some(listener)) => listener.verdict(exit),
            (_, _, None) => ProcessOutcome::GivenUp(say::output_not_taken()),
        },
        End::Stopped(_) => ProcessOutcome::Killed,
        End::Breach(Breach { said, then }) => match then {
            Then::Fails => ProcessOutcome::Failed {
                exit_code: None,
                message: said,
            },
            Then::GoesBack => ProcessOutcome::GivenUp(said),
        },
    }
}

/// Looks after a program until it is gone, and hands on what it says. Whoever hears that slowly, as
/// a sender over a slow network does, slows the program and not those who look after it.
async fn look_after(
    context: &Context,
    job: &JobId,
    child: &mut dyn Child,
    bounds: &mut Bounds,
    stop: &mut Stop,
    heard: mpsc::Sender<Vec<u8>>,
) -> End {
    let began = context.clock.now().mono;
    let mut orders = stop.clone();
    let mut drive = Drive::Full;
    let (mut set, mut paced) = (Some(Pace::AS_STARTED), Paced::All);
    let end = loop {
        if let Bounds::Guest(_) = bounds {
            // The owner may also have changed a setting.
            let wanted = pace(&context.settings(), drive);
            if set != Some(wanted) {
                set = Some(wanted);
                tokio::select! {
                    biased;
                    ending = stopped(stop) => break End::Stopped(ending),
                    wanted = driven(&mut orders, drive) => {
                        (set, drive) = (None, wanted);
                        continue;
                    }
                    done = child.set_pace(wanted) => paced = done,
                }
            }
        }
        let next_look = match &bounds {
            Bounds::None => None,
            Bounds::Time(limit) => Some(began + *limit),
            Bounds::Guest(guest) => Some(guest.next_look),
        };
        let look = async {
            match next_look {
                Some(when) => context.clock.sleep_until(when).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ending = stopped(stop) => break End::Stopped(ending),
            wanted = driven(&mut orders, drive) => drive = wanted,
            // Before the output: a flood of it must not keep anybody from looking.
            () = look => {
                let breach = match bounds {
                    Bounds::None => None,
                    Bounds::Time(limit) => Some(Breach {
                        said: say::limit_seconds(limit.as_secs()),
                        then: Then::Fails,
                    }),
                    Bounds::Guest(guest) => {
                        let settings = context.settings();
                        let measured = guest.measure(child, drive, &settings, &*context.clock);
                        tokio::select! {
                            biased;
                            ending = stopped(stop) => break End::Stopped(ending),
                            breach = measured => breach,
                        }
                    }
                };
                if let Some(breach) = breach {
                    break End::Breach(breach);
                }
                if paced == Paced::NotYet {
                    set = None;
                }
            }
            asked = contact(bounds) => contacted(&asked, context, job),
            block = next_block(child, &heard) => match block {
                Some((block, room)) => {
                    if let Bounds::Guest(guest) = bounds {
                        guest.said(&block);
                    }
                    room.send(block);
                }
                None => break End::Done,
            },
        }
    };
    match &end {
        End::Done => {}
        End::Stopped(ending) => finish_off(context, child, &heard, grace(*ending)).await,
        End::Breach(Breach { said, .. }) => {
            // Said first: a system that takes gigabytes back takes its time.
            let text = format!("this build was ended: {said}");
            context.outputs.note(job, &text);
            // What takes too much is not asked to end.
            finish_off(context, child, &heard, Duration::ZERO).await;
        }
    }
    // However it ended: whom it asked for is told, however many these are.
    while let Some(asked) = unconstrained(contact(bounds)).now_or_never() {
        contacted(&asked, context, job);
    }
    end
}

/// Reads when there is room for what is read.
async fn next_block<'a>(
    child: &mut dyn Child,
    heard: &'a mpsc::Sender<Vec<u8>>,
) -> Option<(Vec<u8>, mpsc::Permit<'a, Vec<u8>>)> {
    let room = heard.reserve().await.ok()?;
    Some((child.read().await?, room))
}

enum End {
    Done,
    Stopped(Ending),
    Breach(Breach),
}

/// Returns for how long a program that is to end may go on.
fn grace(ending: Ending) -> Duration {
    match ending {
        Ending::Asked => GRACE,
        Ending::AtOnce => Duration::ZERO,
    }
}

/// Ends the tree, politely at first, and takes what it still said, as far as somebody hears it.
async fn finish_off(
    context: &Context,
    child: &mut dyn Child,
    heard: &mpsc::Sender<Vec<u8>>,
    grace: Duration,
) {
    child.kill(grace).await;
    let over = context.clock.now().mono + LAST_WORDS;
    let drained = async {
        while let Some((block, room)) = next_block(child, heard).await {
            room.send(block);
        }
    };
    tokio::select! {
        biased;
        () = drained => {}
        () = context.clock.sleep_until(over) => {}
    }
}

/// Splits output, passes it on, and judges it.
struct Listener<'a> {
    context: &'a Context,
    job: &'a JobId,
    splitter: LineSplitter,
    progress: Progress,
    failures: FailureScan,
    shortage: ShortageScan,
    flash: Option<FlashScan>,
}

impl<'a> Listener<'a> {
    fn new(context: &'a Context, job: &'a JobId, flash: Option<FlashScan>) -> Self {
        let (splitter, progress, failures, shortage) = Default::default();
        Self {
            context,
            job,
            splitter,
            progress,
            failures,
            shortage,
            flash,
        }
    }

    /// Takes blocks until there are no more.
    async fn listen(mut self, mut blocks: mpsc::Receiver<Vec<u8>>) -> Self {
        while let Some(block) = blocks.recv().await {
            let chunks = self.splitter.feed(&block);
            self.hear(chunks).await;
        }
        let rest = self.splitter.finish();
        self.hear(rest.into_iter().collect()).await;
        self
    }

    async fn hear(&mut self, chunks: Vec<String>) {
        if chunks.is_empty() {
            return;
        }
        let mut percent = None;
        for chunk in &chunks {
            self.failures.read(chunk);
            self.shortage.read(chunk);
            if let Some(flash) = &mut self.flash {
                flash.read(chunk);
            }
            percent = self.progress.read(chunk).percent.or(percent);
        }
        self.context.outputs.text(self.job, &chunks.concat()).await;
        if let Some(percent) = percent {
            let event = WorkEvent::Progressed(self.job.clone(), percent);
            self.context.tell(Event::Work(event)).await;
        }
    }

    /// Says why a program that failed here may well succeed on another computer.
    fn excuse(&self, exit: Exit) -> Option<Sentence> {
        match (exit, self.shortage.found()) {
            (Exit::Code(0), _) => None,
            (_, Some(Shortage::Memory)) => Some(say::ran_out_of_memory()),
            (_, Some(Shortage::Disk)) => Some(say::ran_out_of_disk()),
            (Exit::Signal | Exit::Code(KILLED), None) => Some(say::ended_by_system()),
            (Exit::Code(_), None) => None,
        }
    }

    fn verdict(&self, exit: Exit) -> ProcessOutcome {
        match (exit, self.failures.found()) {
            (Exit::Code(0), None) => ProcessOutcome::Succeeded,
            (Exit::Code(0), Some(complaint)) => ProcessOutcome::Failed {
                exit_code: Some(0),
                message: say::tool_complained(complaint),
            },
            (Exit::Code(code), _) => ProcessOutcome::Failed {
                exit_code: Some(code),
                message: match self.flash.as_ref().and_then(FlashScan::found) {
                    Some(said) => said.clone(),
                    None => say::tool_ended_with_code(code),
                },
            },
            (Exit::Signal, _) => ProcessOutcome::Failed {
                exit_code: None,
                message: say::tool_ended_by_signal(),
            },
        }
    }
}
