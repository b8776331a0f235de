//! The owner of a receiver needs it back: every reason at every stage of a sender's job, and what its
//! sender sees of that.
use std::time::Duration;

use kiln_model::{
    AvailabilityReason as Reason, BuildChoice, Heat, Inputs, Job, JobStatus, Lid, Network,
    Placement, Power, Reply, Request, Saver, Snooze,
};
use kiln_ports::process::{Pace, Usage};
use kiln_ports::sleep::Turn;
use tokio::sync::watch;

use crate::world::{Host, World};

/// Time between two readings of a machine on which nothing is built for others.
const READING: Duration = Duration::from_secs(10);

/// Enough for everything: a build that is held for ten minutes goes back after that.
const LONG: Duration = Duration::from_secs(3_600);

/// How far a job is when the owner is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is asked for a little later.
    Idle,
    /// It waits behind a build of the owner.
    Queued,
    /// Its bundle is on its way.
    Uploading,
    /// Its bundle arrives at that moment.
    Unpacking,
    /// It is compiled.
    Building,
    /// Its result is asked for at that moment.
    Packing,
    /// Its result is on its way.
    Downloading,
}

const STAGES: [Stage; 7] = [
    Stage::Idle,
    Stage::Queued,
    Stage::Uploading,
    Stage::Unpacking,
    Stage::Building,
    Stage::Packing,
    Stage::Downloading,
];

/// A machine of which everything can be read, with nothing in the way.
fn calm() -> Inputs {
    Inputs {
        idle: Some(Duration::from_secs(3_600)),
        remote: Some(Vec::new()),
        power: Some(Power::Mains),
        lid: Some(Lid::Open),
        saver: Some(Saver::Off),
        heat: Some(Heat::Normal),
        other_load: Some(5),
        free_memory: Some(8_192),
        free_disk: Some(100_000),
        network: Some(Network::Free),
        apps: Some(Vec::new()),
        foreground: Some(kiln_model::Foreground::Windowed),
        utc_offset: Some(0),
    }
}

/// What a machine says when this stands in the way; `None`: somebody has to say it.
fn sensed(reason: Reason) -> Option<Inputs> {
    let mut inputs = calm();
    match reason {
        Reason::UserActive => inputs.idle = Some(Duration::ZERO),
        Reason::Battery => inputs.power = Some(Power::Battery(Some(50))),
        Reason::PowerSaver => inputs.saver = Some(Saver::On),
        Reason::Thermal => inputs.heat = Some(Heat::Hot),
        Reason::CpuBusy => inputs.other_load = Some(90),
        Reason::LowRam => inputs.free_memory = Some(1),
        Reason::LowDisk => inputs.free_disk = Some(1),
        Reason::ExclusiveApp => inputs.apps = Some(vec!["game".to_owned()]),
        Reason::Metered => inputs.network = Some(Network::Metered),
        Reason::Ready | Reason::Hours | Reason::Snoozed | Reason::UserOff | Reason::Sleeping => {
            return None;
        }
    }
    Some(inputs)
}

fn setting(name: &str, value: &str) -> Request {
    Request::SetSettings(vec![(name.to_owned(), value.to_owned())])
}

/// A sender, and a receiver whose owner is about to need it.
struct Story {
    world: World,
    one: Host,
    two: Host,
    reason: Reason,
}

impl Story {
    async fn begin(reason: Reason) -> Self {
        let world = World::new();
        let one = world.host(1, "one").await;
        let mut two = world.cold_host(2, "two");
        two.activity.says(calm());
        two.start().await.unwrap();
        one.pair_with(&two).await;
        // Who waits for somebody to pair with is there whatever happens.
        assert_eq!(two.ask(Request::CloseWindow).await, Reply::Done);
        Self {
            world,
            one,
            two,
            reason,
        }
    }

    /// The machine was read just now: with the next reading the owner is back. Load counts when it
    /// has lasted for twenty seconds.
    async fn prepare(&self) {
        if let Some(inputs) = sensed(self.reason) {
            self.two.activity.says(inputs);
        }
        if self.reason == Reason::CpuBusy {
            self.world.run_for(READING * 2).await;
        }
    }

    /// Waits until the moment at which the owner is back, and not a bit longer.
    async fn strike(&self) {
        let tick = Duration::from_millis(1);
        self.world.run_for(READING - tick).await;
        self.world.clock.advance(tick);
        match self.reason {
            Reason::Snoozed => self.two.tell(Request::Pause(Snooze::TwoHours)),
            Reason::UserOff => self.two.tell(setting("receiver", "off")),
            // The world begins on a Thursday.
            Reason::Hours => self.two.tell(setting("hours", "mon 00:00-00:01")),
            Reason::Sleeping => self.two.sleep.turns(Turn::GoesToSleep),
            _ => {}
        }
        self.world.settle().await;
    }

    async fn end(&self) {
        self.two.activity.says(calm());
        match self.reason {
            Reason::Snoozed => self.two.tell(Request::Resume),
            Reason::UserOff => self.two.tell(setting("receiver", "on")),
            Reason::Hours => self.two.tell(setting("hours", "")),
            Reason::Sleeping => self.two.sleep.turns(Turn::WokeUp),
            _ => {}
        }
        self.world.settle().await;
    }

    /// Waits until the machine was read just now.
    async fn after_a_reading(&self) {
        let before = self.two.activity.times_read();
        self.world.settle().await;
        while self.two.activity.times_read() == before {
            self.world.run_to_next().await;
        }
    }

    async fn compile(&self) -> Job {
        let request = Request::Compile {
            device: "kitchen".to_owned(),
            build: BuildChoice::Auto,
        };
        match self.one.ask(request).await {
            Reply::Jobs(mut jobs) => jobs.remove(0),
            other => panic!("{other:?} are no jobs"),
        }
    }

    /// Asks for a clean, and returns the part of it that the receiver does, if it has any.
    async fn clean(&self) -> Option<Job> {
        let request = Request::Clean {
            device: "kitchen".to_owned(),
        };
        let Reply::Jobs(jobs) = self.one.ask(request).await else {
            panic!("no jobs");
        };
        let there = |job: &Job| matches!(job.placement, Placement::Remote { .. });
        jobs.into_iter().find(there)
    }

    /// Brings a clean to a stage, lets the owner come back, and returns what its sender sees at last.
    async fn play_clean(&self, stage: Stage) -> Option<Job> {
        let gate = self.two.esphome.hold("clean");
        self.after_a_reading().await;
        self.prepare().await;
        self.world.net.latency(match stage {
            Stage::Unpacking => READING,
            _ => Duration::from_millis(1),
        });
        let clean = self.clean().await;
        if stage == Stage::Building {
            let started = async || self.two.started("clean") == 1;
            self.world.run_until(READING / 2, started).await;
        }
        self.strike().await;
        self.world.run_for(READING * 6).await;
        gate.send_replace(true);
        if (self.reason, stage) == (Reason::LowDisk, Stage::Unpacking) {
            // There is nothing of the device to delete, and the bundle stays packed.
            assert_eq!(self.two.started("clean"), 0, "unpacked on a full disk");
        }
        self.one.finish_jobs(LONG).await;
        let jobs = self.one.jobs().await;
        let id = clean?.id;
        jobs.into_iter().find(|job| job.id == id)
    }

    async fn built_on_the_receiver(&self) -> watch::Sender<bool> {
        let gate = self.two.esphome.hold("compile");
        self.compile().await;
        let started = async || self.two.started("compile") == 1;
        self.world.run_until(LONG, started).await;
        gate
    }

    /// Brings a job to a stage, lets the owner come back, and returns what its sender sees at last.
    async fn play(&self, stage: Stage) -> Job {
        match stage {
            Stage::Idle => {
                self.after_a_reading().await;
                self.prepare().await;
                self.strike().await;
                self.compile().await;
            }
            Stage::Uploading | Stage::Unpacking => {
                self.after_a_reading().await;
                self.prepare().await;
                self.world.net.latency(match stage {
                    Stage::Unpacking => READING,
                    _ => READING * 3 / 2,
                });
                self.compile().await;
                self.strike().await;
            }
            Stage::Queued => {
                let gate = self.two.esphome.hold("compile");
                self.after_a_reading().await;
                self.prepare().await;
                self.world.net.latency(READING / 2);
                self.compile().await;
                let own = Request::Compile {
                    device: "kitchen".to_owned(),
                    build: BuildChoice::Local,
                };
                self.two.tell(own);
                self.strike().await;
                let jobs = self.two.jobs().await;
                assert_eq!(jobs.len(), 2, "one builds, one waits: {jobs:#?}");
                self.world.run_for(Duration::from_secs(60)).await;
                gate.send_replace(true);
                self.two.esphome.set("compile", None);
            }
            Stage::Building => {
                let _held = self.built_on_the_receiver().await;
                self.after_a_reading().await;
                self.prepare().await;
                self.strike().await;
                self.one.finish_jobs(LONG).await;
            }
            Stage::Packing | Stage::Downloading => {
                let gate = self.built_on_the_receiver().await;
                if self.reason == Reason::CpuBusy {
                    self.after_a_reading().await;
                    self.prepare().await;
                }
                self.world.net.latency(match stage {
                    Stage::Packing => READING / 2,
                    _ => READING * 2 / 5,
                });
                gate.send_replace(true);
                // The machine is read when a build of others ends.
                self.after_a_reading().await;
                if self.reason != Reason::CpuBusy {
                    self.prepare().await;
                }
                self.strike().await;
            }
        }
        let ends = self.one.finish_jobs(LONG).await;
        assert_eq!(ends.len(), 1);
        self.one.jobs().await.remove(0)
    }

    /// When the reason is over, the receiver serves again by itself.
    async fn is_back(&self) {
        self.world.net.latency(Duration::ZERO);
        self.two.esphome.set("compile", None);
        self.end().await;
        let ready = async || self.two.view().await.availability.is_open();
        self.world.run_until(LONG, ready).await;
        let linked = async || self.one.is_connected().await;
        self.world.run_until(LONG, linked).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_owner_needs_and_whenever_no_job_of_a_sender_fails() {
    let reasons = Reason::ALL
        .iter()
        .filter(|reason| **reason != Reason::Ready);
    let header = STAGES.map(|stage| format!("{stage:?}")).join(" | ");
    println!("| reason | {header} |");
    let mut failed = Vec::new();
    for reason in reasons {
        let mut row = Vec::new();
        for stage in STAGES {
            let story = Story::begin(*reason).await;
            let job = story.play(stage).await;
            let place = match job.placement {
                Placement::Remote { .. } => "there",
                Placement::Local | Placement::RemotePending => "at home",
            };
            row.push(format!("{} {place}", job.status.word()));
            if job.status != JobStatus::Completed {
                failed.push(format!("{reason:?} while {stage:?}: {:?}", job.error));
            }
            story.is_back().await;
        }
        println!("| {} | {} |", reason.word(), row.join(" | "));
    }
    println!("declined jobs that ended failed: {}", failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_owner_needs_and_whenever_no_clean_of_a_sender_fails() {
    // A clean that takes longer than a sleep waits ends with its session: what its sender says of it then
    // is the sender's.
    let all = Reason::ALL.iter().copied();
    let reasons = all.filter(|reason| !matches!(reason, Reason::Ready | Reason::Sleeping));
    let mut failed = Vec::new();
    for reason in reasons {
        for stage in [Stage::Unpacking, Stage::Building] {
            let story = Story::begin(reason).await;
            let job = story.play_clean(stage).await;
            let status = job.map(|job| (job.status, job.error));
            if !matches!(status, Some((JobStatus::Completed, _))) {
                failed.push(format!("{reason:?} while {stage:?}: {status:?}"));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_build_that_goes_on_after_receiving_was_switched_off_is_in_nobodys_way() {
    let story = Story::begin(Reason::Battery).await;
    let _held = story.built_on_the_receiver().await;
    story.two.tell(setting("receiver", "off"));
    story.world.settle().await;
    story.prepare().await;
    let ends = story.one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed]);
    let job = story.one.jobs().await.remove(0);
    assert_eq!(job.placement, Placement::Local);
    let log = story.one.log(&job);
    assert!(log.contains("this computer runs on battery"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_back_last_is_told_before_the_session_ends() {
    let story = Story::begin(Reason::Snoozed).await;
    let job = story.play(Stage::Unpacking).await;
    let log = story.one.log(&job);
    assert!(log.contains("its owner paused builds for others"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_sleep_waits_a_moment_for_a_result_that_is_being_fetched() {
    let story = Story::begin(Reason::Sleeping).await;
    let gate = story.built_on_the_receiver().await;
    story.world.net.latency(Duration::from_millis(500));
    gate.send_replace(true);
    let built = async || story.two.jobs().await[0].status == JobStatus::Completed;
    story.world.run_until(LONG, built).await;
    story.two.sleep.turns(Turn::GoesToSleep);
    story.world.settle().await;
    let ends = story.one.finish_jobs(LONG).await;
    assert_eq!(ends.len(), 1);
    let job = story.one.jobs().await.remove(0);
    let there = matches!(job.placement, Placement::Remote { .. });
    assert!(there && job.status == JobStatus::Completed, "{job:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_sleep_waits_a_moment_for_a_clean() {
    let story = Story::begin(Reason::Sleeping).await;
    let gate = story.two.esphome.hold("clean");
    story.after_a_reading().await;
    story.prepare().await;
    let clean = story.clean().await.unwrap();
    let started = async || story.two.started("clean") == 1;
    story.world.run_until(LONG, started).await;
    story.two.sleep.turns(Turn::GoesToSleep);
    story.world.settle().await;
    gate.send_replace(true);
    story.one.finish_jobs(LONG).await;
    let jobs = story.one.jobs().await;
    let clean = jobs.into_iter().find(|job| job.id == clean.id).unwrap();
    assert_eq!(clean.status, JobStatus::Completed, "{:?}", clean.error);
}

/// A receiver whose owner lets builds go on beside them.
async fn shared() -> Story {
    let story = Story::begin(Reason::UserActive).await;
    story.two.tell(setting("while_in_use", "limit"));
    story.world.settle().await;
    story
}

#[tokio::test(start_paused = true)]
async fn a_running_build_keeps_to_the_limits_of_whoever_is_there_and_to_what_becomes_of_them() {
    let story = shared().await;
    let gate = story.built_on_the_receiver().await;
    let two = &story.two;
    let a_moment = Duration::from_secs(1);
    two.activity.says(sensed(Reason::UserActive).unwrap());
    story.world.run_for(READING).await;
    let mut paces = vec![Pace::Gentle { cores: 1 }];
    assert_eq!(two.processes.paces(), paces);
    two.tell(setting("in_use_cores", "2"));
    story.world.run_for(a_moment).await;
    paces.push(Pace::Gentle { cores: 2 });
    assert_eq!(two.processes.paces(), paces);
    two.activity.says(calm());
    story.world.run_for(READING).await;
    paces.push(Pace::AS_STARTED);
    assert_eq!(two.processes.paces(), paces);
    two.tell(setting("idle_cores", "3"));
    story.world.run_for(a_moment).await;
    paces.push(Pace::Full { cores: Some(3) });
    assert_eq!(two.processes.paces(), paces);
    gate.send_replace(true);
    let ends = story.one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed]);
    story.compile().await;
    story.one.finish_jobs(LONG).await;
    paces.push(Pace::Full { cores: Some(3) });
    assert_eq!(two.processes.paces(), paces, "the next begins with them");
}

#[tokio::test(start_paused = true)]
async fn a_build_that_does_not_give_way_is_ended_all_the_same_when_its_sender_does_not_want_it() {
    let story = shared().await;
    let _gate = story.built_on_the_receiver().await;
    let two = &story.two;
    two.processes.heed_no_pace();
    two.activity.says(sensed(Reason::UserActive).unwrap());
    let asked = async || !two.processes.paces().is_empty();
    story.world.run_until(LONG, asked).await;
    let job = story.one.jobs().await.remove(0);
    story.one.tell(Request::Cancel(job.id));
    let ends = story.one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Cancelled]);
    let killed = async || two.processes.killed() == 1;
    story.world.run_until(LONG, killed).await;
}

#[tokio::test(start_paused = true)]
async fn a_build_that_holds_more_memory_than_the_owner_wants_to_spare_is_built_at_home() {
    let story = shared().await;
    let two = &story.two;
    two.tell(setting("in_use_ram_percent", "25"));
    two.processes.use_up(Usage {
        processes: 1,
        memory_percent: 30,
    });
    let _gate = story.built_on_the_receiver().await;
    story.world.run_for(READING).await;
    assert_eq!(story.one.jobs().await[0].status, JobStatus::Running);
    two.activity.says(sensed(Reason::UserActive).unwrap());
    let ends = story.one.finish_jobs(LONG).await;
    assert_eq!(ends, [JobStatus::Completed]);
    assert_eq!(story.one.started("compile"), 1, "at home");
    let why = two.jobs().await[0].error.clone().unwrap_or_default();
    assert!(
        why.contains("more than 25 % of this computer's memory"),
        "{why}"
    );
}
