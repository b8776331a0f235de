//! [`Evaluator`]: may this computer compile for others now? One pure decision from what the machine
//! says, what the owner set, and the time.
//!
//! The order of judging is that of BOINC's `check_suspend_processing`: the owner's word first, then
//! power, hours, the owner's presence, and what other programs need. Only the owner's word, what the
//! owner's settings let in or shut out, and sleep take effect at once both ways. Everything else opens late and never changes faster than a minimum
//! dwell, because every ended session costs a sender one of its three re-routes.

mod hours;
mod sayings;

use std::time::Duration;

use kiln_model::{
    Absence, Availability, AvailabilityReason, Foreground, Heat, Inputs, Lid, Mono, Network, Now,
    Pause, Power, RemoteKind, RemoteSession, RemoteSessions, Saver, Settings, Snooze, Timestamp,
    Wakefulness, WhileInUse,
};

pub(crate) use hours::Hours;

use crate::storage::Room;
use AvailabilityReason as Reason;

/// Shortest time that it stays open, and closed, unless the owner says otherwise.
pub(crate) const DWELL: Duration = Duration::from_secs(60);

/// How long nothing may stand in the way before it opens.
pub(crate) const CALM: Duration = Duration::from_secs(30);

/// How long something may be in the owner's way, or the owner be there, before a running build is
/// stopped: the owner may only have passed by.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long other programs may need the processor before it closes, and how long they must not
/// before that counts as over. FASTBuild smooths in the same lopsided way.
const LOAD_RISES: Duration = Duration::from_secs(20);
const LOAD_FALLS: Duration = Duration::from_secs(60);

/// Percent below the limit at which load counts as low again.
const LOAD_MARGIN: u8 = 10;

/// Absences up to this are sat out: what arrives is kept queued (product.md §0.1).
pub(crate) const GRACE: Duration = Duration::from_secs(120);

/// Hour of the day at which "until tomorrow" ends, and how far ahead that is at least.
const MORNING: i64 = 6;
const SHORTEST_NIGHT: i64 = 4 * 3_600;

/// How long the first reading may take until which nothing begins.
const START: Duration = Duration::from_secs(2);

/// By how much the clock on the wall differs from what was expected if somebody set it, in microseconds:
/// less is how clocks keep time.
const SET: u64 = 5_000_000;

/// Whether the system is awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// It is.
    Awake,
    /// It goes to sleep now, or went since then and was heard of too late.
    Asleep {
        /// Since when nothing runs.
        since: Mono,
    },
}

/// What is known of the system's sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Awake, and nothing was read since Kiln started: nothing is known but the owner's word. Taken for
    /// awake from that moment on, whatever was read.
    Starting(Option<Mono>),
    Awake,
    Asleep,
    /// Awake, but nothing was read since: what was true before the sleep says nothing now.
    Waking,
}

/// How the rest of the node treats others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// Build for them.
    Open,
    /// Not now, but soon: keep what arrives.
    Brief,
    /// Not soon: hand everything back, but stay. Whoever leaves costs each sender one of its re-routes.
    Lasting,
    /// Not for a while: hand everything back and be gone.
    Long,
}

/// Whether a running build is in the owner's way, however open it still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTheWay {
    /// Nothing stands against it, and has not for a while.
    No,
    /// Something does, or did a moment ago; that may pass.
    Briefly(Reason),
    /// Something does, and stays.
    Still(Reason),
}

/// Whether the owner is at this computer, as far as that is known: which of the owner's two sets of
/// limits holds for builds of others that go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupancy {
    /// Nobody is.
    Idle,
    /// The owner is.
    InUse,
}

/// What the rest of the node acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lending {
    /// How others are treated.
    pub stance: Stance,
    /// Why, and until when.
    pub absence: Option<Absence>,
    /// How a running build is treated.
    pub in_the_way: InTheWay,
    /// What a running build may use that is not in the way.
    pub occupancy: Occupancy,
    /// What this computer is short of, or was a moment ago: a build may fail of that.
    pub short: Option<Reason>,
}

impl Lending {
    /// Open, with nothing in the way.
    pub const FREE: Self = Self {
        stance: Stance::Open,
        absence: None,
        in_the_way: InTheWay::No,
        occupancy: Occupancy::Idle,
        short: None,
    };
}

/// The decision and what it was made of.
#[derive(Debug)]
pub(crate) struct Evaluator {
    settings: Settings,
    /// The pause of the settings, if it has an end.
    paused: Option<Paused>,
    hours: Option<Hours>,
    inputs: Inputs,
    room: Room,
    read_at: Mono,
    rest: Rest,
    load: Load,
    standing: Standing,
    /// Everything that stands in the way now, in the order of judging.
    blocking: Vec<Reason>,
    /// Since when nothing stands in the way of a build that runs.
    calm_since: Option<Mono>,
    /// What stands in the way, or did until a moment ago.
    obstacle: Option<Obstacle>,
    /// What is short, and until when that counts although it may be over.
    short: Option<(Reason, Mono)>,
    lending: Lending,
    wake: Option<Mono>,
}

/// What was decided last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    reason: Reason,
    until: Option<Timestamp>,
    /// When the reason, and when open or closed, began; `None` before the first reading.
    since: Option<Now>,
    turned: Option<Mono>,
}

/// Whether other programs need the processor, smoothed.
#[derive(Debug, Default)]
struct Load {
    verdict: Pressure,
    /// Since when the load contradicts the verdict.
    against: Option<Mono>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pressure {
    #[default]
    Low,
    High,
}

impl Load {
    /// Takes in how loaded the machine is; returns when the verdict changes if that stays so.
    fn settle(&mut self, load: Option<u8>, limit: u8, now: Mono) -> Option<Mono> {
        let load = load.filter(|_| limit > 0).unwrap_or(0);
        let (contradicts, patience) = match self.verdict {
            Pressure::Low => (load > limit, LOAD_RISES),
            Pressure::High => (load <= limit.saturating_sub(LOAD_MARGIN), LOAD_FALLS),
        };
        if !contradicts {
            self.against = None;
            return None;
        }
        let due = *self.against.get_or_insert(now) + patience;
        if now < due {
            return Some(due);
        }
        self.against = None;
        self.verdict = match self.verdict {
            Pressure::Low => Pressure::High,
            Pressure::High => Pressure::Low,
        };
        None
    }
}

/// Something that stands in the way, and when it ends if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    reason: Reason,
    until: Option<Timestamp>,
}

/// A pause with an end. It lasts as long as was said, also when the clock on the wall is set meanwhile.
#[derive(Clone, Copy, Debug)]
struct Paused {
    ends: Mono,
    /// When that is by the clock on the wall.
    until: Timestamp,
}

impl Paused {
    fn new(until: Timestamp, now: Now) -> Self {
        let left = until.0.saturating_sub(now.wall.0).max(0).unsigned_abs();
        Self {
            ends: now.mono + Duration::from_micros(left),
            until,
        }
    }

    fn follow_the_clock(&mut self, now: Now) {
        let left = i64::try_from(self.ends.since(now.mono).as_micros()).unwrap_or(i64::MAX);
        let until = now.wall.0.saturating_add(left);
        if until.abs_diff(self.until.0) > SET {
            self.until = Timestamp(until);
        }
    }
}

/// What a running build is in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Obstacle {
    reason: Reason,
    /// When the first of them came.
    since: Mono,
}

impl Evaluator {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            paused: None,
            hours: None,
            inputs: Inputs::default(),
            room: Room::Left,
            read_at: Mono::default(),
            rest: Rest::Starting(None),
            load: Load::default(),
            standing: Standing {
                reason: Reason::Ready,
                until: None,
                since: None,
                turned: None,
            },
            blocking: Vec::new(),
            calm_since: None,
            obstacle: None,
            short: None,
            lending: Lending {
                stance: Stance::Brief,
                ..Lending::FREE
            },
            wake: None,
        }
    }

    /// The owner changed something. `settings` say `receiver` also for a receiver without a face.
    pub(crate) fn handle_settings(&mut self, settings: Settings, now: Now) {
        self.hours = Hours::parse(&settings.hours);
        if settings.paused != self.settings.paused {
            self.paused = match settings.paused {
                Pause::Until(end) => Some(Paused::new(end, now)),
                Pause::Off | Pause::Forever => None,
            };
        }
        if self.rest == Rest::Starting(None) {
            self.rest = Rest::Starting(Some(now.mono + START));
        }
        self.settings = settings;
        self.settle_for(Occasion::Settings, now);
    }

    /// The machine was read.
    pub(crate) fn handle_inputs(&mut self, inputs: Inputs, now: Now) {
        self.inputs = inputs;
        self.read_at = now.mono;
        match self.rest {
            Rest::Starting(_) | Rest::Waking => self.rest = Rest::Awake,
            Rest::Awake | Rest::Asleep => {}
        }
        self.settle(now);
        self.standing.since.get_or_insert(now);
    }

    /// Kiln keeps to its budget, or cannot.
    pub(crate) fn handle_room(&mut self, room: Room, now: Now) {
        if self.room != room {
            self.room = room;
            self.settle(now);
        }
    }

    /// The system goes to sleep, or woke up.
    pub(crate) fn handle_sleep(&mut self, sleep: Sleep, now: Now) {
        self.rest = match (sleep, self.rest) {
            (Sleep::Asleep { .. }, _) => Rest::Asleep,
            (Sleep::Awake, Rest::Awake | Rest::Starting(_)) => self.rest,
            (Sleep::Awake, Rest::Asleep | Rest::Waking) => Rest::Waking,
        };
        self.settle(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.wake.is_some_and(|at| at <= now.mono) {
            self.settle(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Mono> {
        self.wake
    }

    /// Returns what the rest of the node acts on.
    pub(crate) fn lending(&self) -> Lending {
        self.lending
    }

    /// Returns whether the machine may be kept awake for others: only on mains, and with its lid open.
    pub(crate) fn wakefulness(&self) -> Wakefulness {
        match (self.inputs.power, self.inputs.lid) {
            (Some(Power::Mains), Some(Lid::Open) | None) => Wakefulness::StayAwake,
            (Some(Power::Mains), Some(Lid::Closed)) | (Some(Power::Battery(_)) | None, _) => {
                Wakefulness::AsSet
            }
        }
    }

    /// Returns the decision as faces show it.
    pub(crate) fn availability(&self) -> Availability {
        Availability {
            reason: self.standing.reason,
            since: self.standing.since.map(|since| since.wall),
            until: self.standing.until,
            inputs: self.sayings(),
        }
    }

    /// Returns when a pause that begins now is over.
    pub(crate) fn pause(&self, snooze: Snooze, now: Timestamp) -> Pause {
        let seconds = now.0.div_euclid(1_000_000);
        let end = match snooze {
            Snooze::HalfHour => seconds + 1_800,
            Snooze::TwoHours => seconds + 7_200,
            Snooze::Tomorrow => {
                let offset = i64::from(self.utc_offset());
                let day = |at: i64| (at + offset).div_euclid(86_400);
                let morning = |day: i64| day * 86_400 + MORNING * 3_600 - offset;
                let next = morning(day(seconds));
                if next - seconds >= SHORTEST_NIGHT {
                    next
                } else {
                    morning(day(seconds) + 1)
                }
            }
            Snooze::Forever => return Pause::Forever,
        };
        Pause::Until(Timestamp(end * 1_000_000))
    }

    fn utc_offset(&self) -> i32 {
        self.inputs.utc_offset.unwrap_or(0)
    }

    /// Decides anew, and when to look again.
    fn settle(&mut self, now: Now) {
        self.settle_for(Occasion::Machine, now);
    }

    fn settle_for(&mut self, occasion: Occasion, now: Now) {
        self.wake = None;
        match self.rest {
            Rest::Starting(Some(until)) if now.mono < until => self.wake_at(until),
            Rest::Starting(Some(_)) => self.rest = Rest::Awake,
            Rest::Starting(None) | Rest::Awake | Rest::Asleep | Rest::Waking => {}
        }
        if let Some(paused) = &mut self.paused {
            paused.follow_the_clock(now);
        }
        let limit = self.settings.cpu_limit;
        // Where nobody's input is seen there is nobody whom a program at lowest priority could disturb.
        let load = self
            .inputs
            .other_load
            .filter(|_| self.quiet_for().is_some());
        if let Some(due) = self.load.settle(load, limit, now.mono) {
            self.wake_at(due);
        }
        let blocks = self.blocks(now);
        let blocking = blocks.iter().map(|block| block.reason).collect();
        let before = std::mem::replace(&mut self.blocking, blocking);
        let occasion = match before == self.blocking {
            true => Occasion::Machine,
            false => occasion,
        };
        let first = blocks.first().copied();
        if let Some(paused) = self.paused.filter(|paused| now.mono < paused.ends) {
            self.wake_at(paused.ends);
        }
        let of_hours = blocks.iter().filter(|block| block.reason == Reason::Hours);
        for end in of_hours.filter_map(|block| block.until) {
            let left =
                Duration::from_micros(end.0.saturating_sub(now.wall.0).max(0).unsigned_abs());
            self.wake_at(now.mono + left);
        }
        if let (true, Some(left)) = self.hours_now(now) {
            self.wake_at(now.mono + left);
        }
        // What runs when receiving is switched off goes on.
        let in_a_builds_way = |block: &&Block| block.reason != Reason::UserOff;
        // What a build takes more of with every moment comes before what it only stands in the way of.
        let scarce = blocks.iter().find(|block| is_scarce(block.reason));
        let ahead = scarce
            .or_else(|| blocks.iter().find(in_a_builds_way))
            .copied();
        match ahead {
            None => {
                self.calm_since.get_or_insert(now.mono);
            }
            Some(_) => self.calm_since = None,
        }
        self.short = self.shortage(&blocks, now.mono);
        let was = self.standing.reason;
        self.decide(first, &blocks, occasion, now);
        let opened = was != Reason::Ready && self.standing.reason == Reason::Ready;
        let in_the_way = self.in_the_way(ahead, opened, now.mono);
        self.take_stance(in_the_way, now);
    }

    fn wake_at(&mut self, at: Mono) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn decide(&mut self, first: Option<Block>, blocks: &[Block], occasion: Occasion, now: Now) {
        let at_once = |reason| occasion == Occasion::Settings || is_word(reason);
        let closed = self.standing.reason != Reason::Ready;
        match first {
            Some(block) if is_word(block.reason) => self.stand(block, now),
            Some(_) if closed => {
                let same = |b: &&Block| b.reason == self.standing.reason;
                let kept = blocks.iter().find(same).copied();
                if let Some(block) = kept.or(first) {
                    self.stand(block, now);
                }
            }
            Some(block) => {
                let turned = self.standing.turned.map(|at| at + DWELL);
                let due = turned.filter(|due| now.mono < *due);
                match due.filter(|_| !at_once(block.reason)) {
                    Some(due) => self.wake_at(due),
                    None => self.stand(block, now),
                }
            }
            None if !closed => {}
            None => {
                let calm = self.calm_since.map(|since| since + CALM);
                let dwelt = self.standing.turned.map(|at| at + DWELL);
                let due = calm.max(dwelt).filter(|due| now.mono < *due);
                match due.filter(|_| !at_once(self.standing.reason)) {
                    Some(due) => self.wake_at(due),
                    None => {
                        let reason = Reason::Ready;
                        self.stand(
                            Block {
                                reason,
                                until: None,
                            },
                            now,
                        );
                    }
                }
            }
        }
    }

    fn stand(&mut self, block: Block, now: Now) {
        let Block { reason, until } = block;
        let was = self.standing.reason;
        if reason != was {
            self.standing.since = Some(now);
        }
        if (reason == Reason::Ready) != (was == Reason::Ready) {
            self.standing.turned = Some(now.mono);
        }
        self.standing.reason = reason;
        self.standing.until = until;
    }

    /// Says how a running build is treated. What was in the way is gone when it opens, or when it was
    /// calm for as long as opening takes: a build that stops and goes on all the time helps nobody.
    fn in_the_way(&mut self, first: Option<Block>, opened: bool, now: Mono) -> InTheWay {
        let Some(block) = first else {
            let calm = self.calm_since.map(|since| since + CALM);
            match calm.filter(|due| now < *due) {
                Some(due) if !opened && self.obstacle.is_some() => self.wake_at(due),
                _ if matches!(self.standing.reason, Reason::Ready | Reason::UserOff) => {
                    self.obstacle = None;
                }
                _ => {}
            }
            return self
                .obstacle
                .map_or(InTheWay::No, |it| InTheWay::Briefly(it.reason));
        };
        let since = self.obstacle.map_or(now, |it| it.since);
        let reason = block.reason;
        self.obstacle = Some(Obstacle { reason, since });
        let due = since + PATIENCE;
        // One touch keeps the owner's wish for minutes, but is no stay.
        let stayed = match reason {
            Reason::UserActive => self.last_input(now).is_some_and(|last| due <= last),
            _ => due <= now,
        };
        if now < due {
            self.wake_at(due);
        }
        match stayed {
            true => InTheWay::Still(reason),
            false => InTheWay::Briefly(reason),
        }
    }

    /// Says what is short. It counts for as long as calm takes: a compiler that got no memory gives back
    /// what it had.
    fn shortage(&mut self, blocks: &[Block], now: Mono) -> Option<(Reason, Mono)> {
        let scarce = blocks.iter().find(|block| is_scarce(block.reason));
        if let Some(block) = scarce {
            return Some((block.reason, now + CALM));
        }
        let (reason, until) = self.short.filter(|(_, until)| now < *until)?;
        self.wake_at(until);
        Some((reason, until))
    }

    /// Returns when the owner's last input was; a reading of no time at all stays true.
    fn last_input(&self, now: Mono) -> Option<Mono> {
        let idle = self.quiet_for()?;
        match idle.is_zero() {
            true => Some(now),
            false => Some(Mono(self.read_at.since(Mono(idle)))),
        }
    }

    fn take_stance(&mut self, in_the_way: InTheWay, now: Now) {
        let Standing { reason, until, .. } = self.standing;
        let occupancy = self.occupancy();
        let short = self.short.map(|(reason, _)| reason);
        if reason == Reason::Ready {
            self.lending = Lending {
                stance: match self.rest {
                    // Nobody knows yet, which is no reason to tell.
                    Rest::Starting(_) => Stance::Brief,
                    Rest::Awake | Rest::Asleep | Rest::Waking => Stance::Open,
                },
                absence: None,
                in_the_way,
                occupancy,
                short,
            };
            return;
        }
        let ends = until.map(|end| end.0.saturating_sub(now.wall.0));
        let far = i64::try_from(GRACE.as_micros()).unwrap_or(i64::MAX);
        let since = self.standing.turned.unwrap_or(now.mono);
        let long = is_word(reason) || ends.is_some_and(|left| left > far);
        let due = since + GRACE;
        let stance = if long || due <= now.mono {
            Stance::Long
        } else {
            self.wake_at(due);
            // What is kept takes room as well, and waiting makes none.
            let scarce = self.blocking.iter().any(|reason| is_scarce(*reason));
            match self.opens_at_the_earliest(now.mono) {
                _ if scarce => Stance::Lasting,
                earliest if due < earliest => Stance::Lasting,
                _ => Stance::Brief,
            }
        };
        self.lending = Lending {
            stance,
            absence: Some(Absence { reason, until }),
            in_the_way,
            occupancy,
            short,
        };
    }

    /// Returns when it opens if the owner does nothing from now on.
    fn opens_at_the_earliest(&self, now: Mono) -> Mono {
        let leaves = match self.blocking.contains(&Reason::UserActive) {
            true => self.last_input(now).map(|last| last + self.patience()),
            false => None,
        };
        leaves.unwrap_or(now).max(now) + CALM
    }

    /// Returns the hours' answer: lent, and for how long that stays so.
    fn hours_now(&self, now: Now) -> (bool, Option<Duration>) {
        match &self.hours {
            None => (true, None),
            Some(hours) => hours.at(now.wall, self.utc_offset()),
        }
    }

    /// Returns everything that stands in the way, in the order of judging.
    fn blocks(&self, now: Now) -> Vec<Block> {
        let (settings, inputs) = (&self.settings, &self.inputs);
        let mut blocks = Vec::new();
        let mut block = |reason, until| blocks.push(Block { reason, until });
        if self.is_asleep() {
            block(Reason::Sleeping, None);
        }
        if !settings.receiver {
            block(Reason::UserOff, None);
        }
        match self.paused {
            _ if settings.paused == Pause::Forever => block(Reason::Snoozed, None),
            Some(pause) if now.mono < pause.ends => block(Reason::Snoozed, Some(pause.until)),
            Some(_) | None => {}
        }
        if let Rest::Starting(_) = self.rest {
            return blocks;
        }
        if let (Some(Power::Battery(_)), false) = (inputs.power, settings.on_battery) {
            block(Reason::Battery, None);
        }
        if let (Some(Saver::On), false) = (inputs.saver, settings.on_battery) {
            block(Reason::PowerSaver, None);
        }
        if inputs.heat == Some(Heat::Hot) {
            block(Reason::Thermal, None);
        }
        if let (false, left) = self.hours_now(now) {
            let end = left.map(|left| {
                let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
                Timestamp(now.wall.0.saturating_add(micros))
            });
            block(Reason::Hours, end);
        }
        if self.occupancy() == Occupancy::InUse && settings.while_in_use == WhileInUse::Stop {
            block(Reason::UserActive, None);
        }
        let wanted = inputs.apps.as_ref().is_some_and(|apps| !apps.is_empty());
        if wanted || self.is_covered() {
            block(Reason::ExclusiveApp, None);
        }
        if let (Some(Network::Metered), false) = (inputs.network, settings.on_metered) {
            block(Reason::Metered, None);
        }
        let below = |free: Option<u64>, floor: u32| free.is_some_and(|mb| mb < u64::from(floor));
        if below(inputs.free_disk, self.disk_floor()) || self.room != Room::Left {
            block(Reason::LowDisk, None);
        }
        if below(inputs.free_memory, settings.ram_floor_mb) {
            block(Reason::LowRam, None);
        }
        if self.load.verdict == Pressure::High {
            block(Reason::CpuBusy, None);
        }
        blocks
    }

    fn is_asleep(&self) -> bool {
        matches!(self.rest, Rest::Asleep | Rest::Waking)
    }

    fn occupancy(&self) -> Occupancy {
        match self.quiet_for().is_some_and(|idle| idle < self.patience()) {
            true => Occupancy::InUse,
            false => Occupancy::Idle,
        }
    }

    /// Returns the disk space that stays free now, in MiB.
    fn disk_floor(&self) -> u32 {
        disk_floor(&self.settings, self.occupancy())
    }

    /// Returns the time since the owner's last input, wherever it came from.
    fn quiet_for(&self) -> Option<Duration> {
        let elsewhere = self.remote().filter(|session| self.counts(session.kind));
        let elsewhere = elsewhere.filter_map(|session| session.idle);
        self.inputs.idle.into_iter().chain(elsewhere).min()
    }

    fn remote(&self) -> impl Iterator<Item = &RemoteSession> {
        self.inputs.remote.iter().flatten()
    }

    /// Returns whether input from there counts as the owner's.
    fn counts(&self, kind: RemoteKind) -> bool {
        match self.settings.remote_sessions {
            RemoteSessions::Count => true,
            RemoteSessions::Desktop => kind == RemoteKind::Desktop,
            RemoteSessions::Ignore => false,
        }
    }

    /// Returns whether a program in full screen has the computer for itself.
    fn is_covered(&self) -> bool {
        self.inputs.foreground == Some(Foreground::FullScreen) && !self.settings.beside_full_screen
    }

    /// Returns how long the owner has to be quiet to count as away.
    fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.idle_minutes) * 60)
    }
}

/// Why something else is in the way than before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// The machine was read, or time passed.
    Machine,
    /// The owner set something.
    Settings,
}

/// Returns the disk space that stays free, in MiB.
pub(crate) fn disk_floor(settings: &Settings, occupancy: Occupancy) -> u32 {
    match occupancy {
        Occupancy::Idle => settings.disk_floor_mb,
        Occupancy::InUse => settings.disk_floor_mb.max(settings.in_use_disk_floor_mb),
    }
}

/// What a build takes is what the computer is short of.
pub(crate) fn is_scarce(reason: Reason) -> bool {
    matches!(reason, Reason::LowRam | Reason::LowDisk)
}

/// The owner said so, or the system sleeps: it counts at once, both ways.
fn is_word(reason: Reason) -> bool {
    matches!(reason, Reason::UserOff | Reason::Snoozed | Reason::Sleeping)
}

/// Returns the names of the programs beside which nothing is built for others, in lower case.
pub fn exclusive_apps(settings: &Settings) -> Vec<String> {
    let names = settings.exclusive_apps.split(',');
    let names = names.map(|name| name.trim().to_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod days;
#[cfg(test)]
mod tables;
