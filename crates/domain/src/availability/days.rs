//! Simulated days full of noise: it never flaps faster than the dwell, and always resumes.
use proptest::prelude::*;

use super::*;

/// One stretch of a day.
#[derive(Clone, Debug)]
struct Stretch {
    seconds: u64,
    inputs: Inputs,
    /// The owner's word in it.
    word: Word,
}

#[derive(Clone, Copy, Debug)]
enum Word {
    Nothing,
    Pause(Snooze),
    Resume,
    Sleep,
    Switch,
    Set(Change),
    /// Somebody sets the clock by so many hours.
    Clock(i64),
    /// The disk takes no more of Kiln's own, or does again.
    Room(bool),
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let idle = prop_oneof![
        Just(None),
        (0u64..20).prop_map(|s| Some(Duration::from_secs(s))),
        (150u64..10_000).prop_map(|s| Some(Duration::from_secs(s))),
    ];
    let power = proptest::option::of(prop_oneof![
        3 => Just(Power::Mains),
        1 => Just(Power::Battery(Some(40))),
    ]);
    let load = proptest::option::of(0u8..=100);
    let memory = proptest::option::of(400u64..4_000);
    let disk = proptest::option::of(1_500u64..20_000);
    let visitor = RemoteSession {
        kind: RemoteKind::Shell,
        idle: Some(Duration::ZERO),
    };
    let system = (
        rarely(Saver::Off, Saver::On),
        rarely(Heat::Normal, Heat::Hot),
        rarely(Network::Free, Network::Metered),
        rarely(Vec::new(), vec!["game".to_owned()]),
        rarely(Vec::new(), vec![visitor]),
        rarely(Foreground::Windowed, Foreground::FullScreen),
    );
    let room = (load, memory, disk);
    (idle, power, room, system).prop_map(|(idle, power, room, system)| {
        let (other_load, free_memory, free_disk) = room;
        let (saver, heat, network, apps, remote, foreground) = system;
        Inputs {
            idle,
            remote,
            power,
            lid: None,
            saver,
            heat,
            other_load,
            free_memory,
            free_disk,
            network,
            apps,
            foreground,
            utc_offset: Some(3_600),
        }
    })
}

/// Mostly the first, now and then the second, or not known.
fn rarely<T: Clone + std::fmt::Debug + 'static>(
    mostly: T,
    sometimes: T,
) -> impl Strategy<Value = Option<T>> {
    prop_oneof![6 => Just(Some(mostly)), 1 => Just(Some(sometimes)), 2 => Just(None)]
}

/// A setting that decides what stands in the way, and another value of it.
fn settings() -> impl Strategy<Value = Change> {
    let hours = ["", "mon-sun 08:00-20:00", "mon-fri 22:00-06:00"];
    prop_oneof![
        (0u16..10).prop_map(Change::IdleMinutes),
        any::<bool>().prop_map(Change::OnBattery),
        any::<bool>().prop_map(Change::OnMetered),
        proptest::sample::select(hours.to_vec()).prop_map(Change::Hours),
        (0u8..=100).prop_map(Change::CpuLimit),
        (0u32..3_000).prop_map(Change::Floors),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Change {
    IdleMinutes(u16),
    OnBattery(bool),
    OnMetered(bool),
    Hours(&'static str),
    CpuLimit(u8),
    Floors(u32),
}

impl Change {
    fn make(self, settings: &mut Settings) {
        match self {
            Self::IdleMinutes(minutes) => settings.idle_minutes = minutes,
            Self::OnBattery(yes) => settings.on_battery = yes,
            Self::OnMetered(yes) => settings.on_metered = yes,
            Self::Hours(hours) => settings.hours = hours.to_owned(),
            Self::CpuLimit(percent) => settings.cpu_limit = percent,
            Self::Floors(mib) => (settings.ram_floor_mb, settings.disk_floor_mb) = (mib, mib * 2),
        }
    }
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let word = prop_oneof![
        40 => Just(Word::Nothing),
        1 => proptest::sample::select(Snooze::ALL).prop_map(Word::Pause),
        2 => Just(Word::Resume),
        1 => Just(Word::Sleep),
        2 => Just(Word::Switch),
        4 => settings().prop_map(Word::Set),
        2 => any::<bool>().prop_map(Word::Room),
        1 => (-30i64..30).prop_map(Word::Clock),
    ];
    let seconds = prop_oneof![1u64..5, 1u64..90, 1u64..2_000];
    (seconds, inputs(), word).prop_map(|(seconds, inputs, word)| Stretch {
        seconds,
        inputs,
        word,
    })
}

/// What is watched while a day goes by.
struct Watcher {
    evaluator: Evaluator,
    settings: Settings,
    second: u64,
    /// By how much the clock on the wall was set, in hours.
    set: i64,
    open: bool,
    turned: u64,
    /// Somebody said something since the last turn: then it may be fast.
    spoken: bool,
    first: bool,
}

impl Watcher {
    fn now(&self) -> Now {
        Now {
            mono: Mono(Duration::from_secs(self.second)),
            wall: Timestamp(
                1_790_000_000_000_000
                    + (i64::try_from(self.second).unwrap() + self.set * 3_600) * 1_000_000,
            ),
        }
    }

    /// Looks at what was decided; holds it against what was decided before.
    fn look(&mut self) -> Result<(), TestCaseError> {
        let said = self.evaluator.availability();
        if said.is_open() != self.open {
            let stayed = self.second - self.turned;
            prop_assert!(
                stayed >= DWELL.as_secs() || self.spoken || self.first,
                "{:?} after {stayed} s",
                said.reason
            );
            self.open = said.is_open();
            self.turned = self.second;
            self.spoken = false;
            self.first = false;
        }
        if is_word(said.reason) {
            self.spoken = true;
        }
        let lending = self.evaluator.lending();
        prop_assert_eq!(lending.stance == Stance::Open, said.is_open());
        prop_assert_eq!(lending.absence.is_none(), said.is_open());
        let mut blocking = self.evaluator.blocking.iter();
        let blocked = blocking.any(|reason| *reason != Reason::UserOff);
        prop_assert!(
            !blocked || lending.in_the_way != InTheWay::No,
            "a build is in the way"
        );
        let closed = lending.stance != Stance::Open && said.reason != Reason::UserOff;
        prop_assert!(
            !closed || lending.in_the_way != InTheWay::No,
            "it goes on while closed"
        );
        let mut blocking = self.evaluator.blocking.iter();
        let scarce = blocking.any(|r| matches!(r, Reason::LowRam | Reason::LowDisk));
        prop_assert!(!scarce || lending.short.is_some(), "a shortage is hidden");
        Ok(())
    }

    fn pass(&mut self, seconds: u64) -> Result<(), TestCaseError> {
        for _ in 0..seconds {
            self.second += 1;
            let now = self.now();
            if self
                .evaluator
                .poll_timeout()
                .is_some_and(|at| at <= now.mono)
            {
                self.evaluator.handle_timeout(now);
                let next = self.evaluator.poll_timeout();
                prop_assert!(next.is_none_or(|at| at > now.mono), "a busy loop");
            }
            self.look()?;
        }
        Ok(())
    }

    fn hear(&mut self, word: Word) {
        let now = self.now();
        let pause = match word {
            Word::Nothing => return,
            Word::Clock(hours) => {
                self.set += hours;
                return;
            }
            Word::Switch => {
                self.settings.receiver = !self.settings.receiver;
                self.settings.paused
            }
            Word::Set(change) => {
                change.make(&mut self.settings);
                self.settings.paused
            }
            Word::Room(left) => {
                let room = match left {
                    true => Room::Left,
                    false => Room::UsedUp { used: 1 << 40 },
                };
                return self.evaluator.handle_room(room, now);
            }
            Word::Sleep => {
                self.evaluator
                    .handle_sleep(Sleep::Asleep { since: now.mono }, now);
                self.evaluator.handle_sleep(Sleep::Awake, now);
                self.spoken = true;
                return;
            }
            Word::Pause(snooze) => self.evaluator.pause(snooze, now.wall),
            Word::Resume => Pause::Off,
        };
        self.settings.paused = pause;
        self.evaluator.handle_settings(self.settings.clone(), now);
        self.spoken = true;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_noisy_day_never_flaps_and_a_quiet_end_always_resumes(
        day in proptest::collection::vec(stretch(), 1..80),
    ) {
        let mut watcher = Watcher {
            evaluator: Evaluator::new(),
            settings: Settings::default(),
            second: 10,
            set: 0,
            open: true,
            turned: 0,
            spoken: false,
            first: true,
        };
        let now = watcher.now();
        watcher.evaluator.handle_settings(watcher.settings.clone(), now);
        for Stretch { seconds, inputs, word } in day {
            watcher.hear(word);
            let now = watcher.now();
            watcher.evaluator.handle_inputs(inputs, now);
            watcher.look()?;
            watcher.pass(seconds)?;
        }
        watcher.settings = Settings::default();
        watcher.hear(Word::Resume);
        watcher.hear(Word::Room(true));
        let quiet = Inputs {
            idle: Some(Duration::from_secs(100_000)),
            power: Some(Power::Mains),
            other_load: Some(0),
            free_memory: Some(100_000),
            free_disk: Some(100_000),
            ..Inputs::default()
        };
        let now = watcher.now();
        watcher.evaluator.handle_inputs(quiet, now);
        watcher.look()?;
        let longest = LOAD_FALLS + CALM.max(DWELL);
        watcher.pass(longest.as_secs() + 1)?;
        prop_assert!(watcher.open, "{:?}", watcher.evaluator.availability().reason);
        prop_assert_eq!(watcher.evaluator.lending(), Lending::FREE);
    }
}
