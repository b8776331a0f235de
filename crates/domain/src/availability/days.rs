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
    (idle, power, load, memory).prop_map(|(idle, power, other_load, free_memory)| Inputs {
        idle,
        power,
        other_load,
        free_memory,
        utc_offset: Some(3_600),
        ..Inputs::default()
    })
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let word = prop_oneof![
        40 => Just(Word::Nothing),
        1 => proptest::sample::select(Snooze::ALL).prop_map(Word::Pause),
        2 => Just(Word::Resume),
        1 => Just(Word::Sleep),
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
                1_790_000_000_000_000 + i64::try_from(self.second).unwrap() * 1_000_000,
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
        let blocked = !self.evaluator.blocking.is_empty();
        prop_assert!(
            !blocked || lending.in_the_way != InTheWay::No,
            "a build is in the way"
        );
        let closed = lending.stance != Stance::Open;
        prop_assert!(
            !closed || lending.in_the_way != InTheWay::No,
            "it goes on while closed"
        );
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
            Word::Sleep => {
                self.evaluator.handle_sleep(Sleep::Asleep, now);
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
        watcher.hear(Word::Resume);
        let quiet = Inputs {
            idle: Some(Duration::from_secs(100_000)),
            power: Some(Power::Mains),
            other_load: Some(0),
            free_memory: Some(100_000),
            ..Inputs::default()
        };
        let now = watcher.now();
        watcher.evaluator.handle_inputs(quiet, now);
        let longest = LOAD_FALLS + CALM.max(DWELL);
        watcher.pass(longest.as_secs() + 1)?;
        prop_assert!(watcher.open, "{:?}", watcher.evaluator.availability().reason);
        prop_assert_eq!(watcher.evaluator.lending(), Lending::FREE);
    }
}
