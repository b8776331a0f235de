//! The evaluator as tables: what stands in the way, in which order, and how the owner's word counts.
use kiln_model::Input;

use super::*;

/// Monday, 7 September 2026, 12:00 UTC.
const NOON: i64 = 1_788_739_200 + 12 * 3_600;

/// An evaluator with a clock.
struct Clock {
    evaluator: Evaluator,
    seconds: u64,
    /// By how much the clock on the wall was set, in seconds.
    set: i64,
}

impl Clock {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let mut clock = Self {
            evaluator: Evaluator::new(),
            seconds: 1_000,
            set: 0,
        };
        let now = clock.now();
        clock.evaluator.handle_settings(settings, now);
        clock
    }

    fn now(&self) -> Now {
        let since_noon = i64::try_from(self.seconds - 1_000).unwrap();
        Now {
            mono: Mono(Duration::from_secs(self.seconds)),
            wall: Timestamp((NOON + since_noon + self.set) * 1_000_000),
        }
    }

    /// Lets time pass, doing what is due on the way.
    fn pass(&mut self, seconds: u64) {
        let end = self.seconds + seconds;
        while let Some(due) = self.evaluator.poll_timeout() {
            let due = due.0.as_secs() + u64::from(due.0.subsec_nanos() > 0);
            if due > end {
                break;
            }
            self.seconds = due.max(self.seconds);
            let now = self.now();
            self.evaluator.handle_timeout(now);
            assert_ne!(self.evaluator.poll_timeout(), Some(now.mono), "a busy loop");
        }
        self.seconds = end;
    }

    fn senses(&mut self, inputs: Inputs) -> Reason {
        let now = self.now();
        self.evaluator.handle_inputs(inputs, now);
        self.reason()
    }

    fn reason(&self) -> Reason {
        self.evaluator.availability().reason
    }

    fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.evaluator.settings.clone();
        change(&mut settings);
        let now = self.now();
        self.evaluator.handle_settings(settings, now);
    }
}

/// A machine of which everything can be read, with nothing in the way.
fn quiet() -> Inputs {
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
        foreground: Some(Foreground::Windowed),
        utc_offset: Some(0),
    }
}

fn active() -> Inputs {
    Inputs {
        idle: Some(Duration::ZERO),
        ..quiet()
    }
}

/// Everything that can stand in the way, in the order of judging.
fn obstacles() -> Vec<(Reason, Inputs)> {
    let battery = Power::Battery(Some(50));
    vec![
        (
            Reason::Battery,
            Inputs {
                power: Some(battery),
                ..quiet()
            },
        ),
        (
            Reason::PowerSaver,
            Inputs {
                saver: Some(Saver::On),
                ..quiet()
            },
        ),
        (
            Reason::Thermal,
            Inputs {
                heat: Some(Heat::Hot),
                ..quiet()
            },
        ),
        (Reason::UserActive, active()),
        (
            Reason::ExclusiveApp,
            Inputs {
                apps: Some(vec!["steam".to_owned()]),
                ..quiet()
            },
        ),
        (
            Reason::ExclusiveApp,
            Inputs {
                foreground: Some(Foreground::FullScreen),
                ..quiet()
            },
        ),
        (
            Reason::Metered,
            Inputs {
                network: Some(Network::Metered),
                ..quiet()
            },
        ),
        (
            Reason::LowDisk,
            Inputs {
                free_disk: Some(2_047),
                ..quiet()
            },
        ),
        (
            Reason::LowRam,
            Inputs {
                free_memory: Some(511),
                ..quiet()
            },
        ),
    ]
}

#[test]
fn each_obstacle_closes_with_its_own_reason_and_opens_again_by_itself() {
    for (reason, inputs) in obstacles() {
        let mut clock = Clock::new(|s| s.exclusive_apps = "steam".to_owned());
        assert_eq!(clock.senses(quiet()), Reason::Ready);
        assert_eq!(clock.senses(inputs), reason);
        let said = clock.evaluator.availability();
        let blocks = |row: &&kiln_model::InputVerdict| row.verdict == kiln_model::Verdict::Blocks;
        assert_eq!(said.inputs.iter().filter(blocks).count(), 1, "{reason:?}");
        assert_eq!(said.since, Some(clock.now().wall));
        clock.pass(5);
        assert_eq!(clock.senses(quiet()), reason, "not at once");
        clock.pass(60);
        assert_eq!(clock.reason(), Reason::Ready, "{reason:?}");
    }
}

#[test]
fn of_several_obstacles_the_first_in_order_is_named() {
    let all = obstacles();
    for (first, rest) in all.iter().enumerate().map(|(n, o)| (o, &all[n..])) {
        let mut inputs = quiet();
        for (_, other) in rest.iter().rev() {
            let both = |one: &Inputs| one != &quiet();
            assert!(both(other));
            inputs = merged(&inputs, other);
        }
        let mut clock = Clock::new(|_| {});
        assert_eq!(clock.senses(inputs), first.0);
    }
}

/// Takes from `b` what differs from a quiet machine.
fn merged(a: &Inputs, b: &Inputs) -> Inputs {
    let quiet = quiet();
    Inputs {
        idle: if b.idle != quiet.idle { b.idle } else { a.idle },
        power: if b.power != quiet.power {
            b.power
        } else {
            a.power
        },
        saver: if b.saver != quiet.saver {
            b.saver
        } else {
            a.saver
        },
        heat: if b.heat != quiet.heat { b.heat } else { a.heat },
        network: if b.network != quiet.network {
            b.network
        } else {
            a.network
        },
        foreground: if b.foreground != quiet.foreground {
            b.foreground
        } else {
            a.foreground
        },
        free_disk: a.free_disk.min(b.free_disk),
        free_memory: a.free_memory.min(b.free_memory),
        apps: if b.apps != quiet.apps {
            b.apps.clone()
        } else {
            a.apps.clone()
        },
        ..quiet
    }
}

#[test]
fn what_cannot_be_read_is_said_to_be_unknown_and_never_blocks() {
    let mut clock = Clock::new(|s| s.exclusive_apps = "steam".to_owned());
    assert_eq!(clock.senses(Inputs::default()), Reason::Ready);
    clock.pass(86_400);
    assert_eq!(clock.reason(), Reason::Ready);
    let said = clock.evaluator.availability();
    let unknown = said
        .inputs
        .iter()
        .filter(|row| row.verdict == kiln_model::Verdict::Unknown);
    assert_eq!(unknown.count(), 11);
}

#[test]
fn a_budget_that_cannot_be_kept_closes_with_both_sizes() {
    let mut clock = Clock::new(|_| {});
    clock.senses(quiet());
    let now = clock.now();
    let used = 21 << 30;
    clock.evaluator.handle_room(Room::UsedUp { used }, now);
    assert_eq!(clock.reason(), Reason::LowDisk);
    let inputs = clock.evaluator.availability().inputs;
    let disk = inputs.iter().find(|input| input.input == Input::Disk);
    let said = disk.map(|disk| (disk.value.as_str(), disk.limit.as_str()));
    assert_eq!(said, Some(("Kiln needs 21.0 GB", "20.0 GB for Kiln")));
    clock.evaluator.handle_room(Room::Left, now);
    clock.pass(60);
    assert_eq!(clock.reason(), Reason::Ready);
}

#[test]
fn what_a_setting_lets_in_or_shuts_out_counts_at_once_and_no_other_setting_hurries_anything() {
    let mut clock = Clock::new(|_| {});
    assert_eq!(clock.senses(active()), Reason::UserActive);
    clock.set(|s| s.idle_minutes = 0);
    assert_eq!(clock.reason(), Reason::Ready);
    clock.set(|s| s.idle_minutes = 3);
    assert_eq!(clock.reason(), Reason::UserActive);
    clock.senses(quiet());
    clock.set(|s| s.on_battery = true);
    assert_eq!(
        clock.reason(),
        Reason::UserActive,
        "it has to be calm first"
    );
}

/// A quiet machine with somebody who is logged in from elsewhere.
fn visited(kind: RemoteKind, idle: Option<u64>) -> Inputs {
    let idle = idle.map(Duration::from_secs);
    Inputs {
        remote: Some(vec![RemoteSession { kind, idle }]),
        ..quiet()
    }
}

#[test]
fn who_works_here_from_elsewhere_counts_as_the_owner_says() {
    use RemoteKind::{Desktop, Shell};
    use RemoteSessions::{Count, Ignore};
    const ACTIVE: Option<u64> = Some(0);
    const GONE: Option<u64> = Some(200);
    let only_desktops = RemoteSessions::Desktop;
    let (ok, unknown) = (kiln_model::Verdict::Ok, kiln_model::Verdict::Unknown);
    let blocks = kiln_model::Verdict::Blocks;
    for (setting, kind, idle, verdict) in [
        (Count, Desktop, ACTIVE, blocks),
        (Count, Shell, ACTIVE, blocks),
        (Count, Shell, GONE, ok),
        (Count, Shell, None, unknown),
        (only_desktops, Desktop, ACTIVE, blocks),
        (only_desktops, Desktop, GONE, ok),
        (only_desktops, Desktop, None, unknown),
        (only_desktops, Shell, ACTIVE, ok),
        (Ignore, Desktop, ACTIVE, ok),
        (Ignore, Shell, ACTIVE, ok),
    ] {
        let mut clock = Clock::new(|s| s.remote_sessions = setting);
        let reason = clock.senses(visited(kind, idle));
        let closed = verdict == kiln_model::Verdict::Blocks;
        let case = format!("{setting:?} {kind:?} {idle:?}");
        assert_eq!(reason == Reason::UserActive, closed, "{case}");
        let inputs = clock.evaluator.availability().inputs;
        let row = inputs.iter().find(|row| row.input == Input::Remote);
        assert_eq!(row.map(|row| row.verdict), Some(verdict), "{case}");
    }
}

#[test]
fn of_several_people_the_last_one_who_counts_is_shown() {
    let mut clock = Clock::new(|_| {});
    let said = |clock: &Clock| {
        let inputs = clock.evaluator.availability().inputs;
        let row = inputs.into_iter().find(|row| row.input == Input::Remote);
        row.map(|row| (row.value.to_string(), row.limit.to_string()))
    };
    let says = |value: &str, limit: &str| Some((value.to_owned(), limit.to_owned()));
    let limit = "3 min without input; SSH does not count";
    clock.senses(quiet());
    assert_eq!(said(&clock), says("nobody", limit));
    let session = |kind, seconds| RemoteSession {
        kind,
        idle: Some(Duration::from_secs(seconds)),
    };
    let people = vec![
        session(RemoteKind::Shell, 0),
        session(RemoteKind::Desktop, 7_200),
        session(RemoteKind::Desktop, 300),
    ];
    clock.senses(Inputs {
        remote: Some(people),
        ..quiet()
    });
    assert_eq!(
        said(&clock),
        says("remote desktop: 5 min without input", limit)
    );
    clock.set(|s| s.remote_sessions = RemoteSessions::Count);
    let input = "SSH: input within the last minute";
    assert_eq!(said(&clock), says(input, "3 min without input"));
    clock.set(|s| s.remote_sessions = RemoteSessions::Ignore);
    assert_eq!(said(&clock), says(input, "does not count"));
}

#[test]
fn a_headless_machine_has_an_owner_to_wait_for_only_while_somebody_counts() {
    let headless = |sessions| Inputs {
        idle: None,
        other_load: Some(90),
        remote: Some(sessions),
        ..quiet()
    };
    let shell = RemoteSession {
        kind: RemoteKind::Shell,
        idle: Some(Duration::ZERO),
    };
    let mut clock = Clock::new(|_| {});
    assert_eq!(clock.senses(headless(vec![shell])), Reason::Ready);
    clock.pass(3_600);
    assert_eq!(clock.reason(), Reason::Ready, "nor does load count");
    clock.set(|s| s.remote_sessions = RemoteSessions::Count);
    assert_eq!(clock.reason(), Reason::UserActive);
    clock.senses(headless(Vec::new()));
    clock.pass(CALM.max(DWELL).as_secs());
    assert_eq!(clock.reason(), Reason::Ready, "the session is over");
}

#[test]
fn an_owner_may_let_builds_go_on_within_limits_while_there() {
    let mut clock = Clock::new(|s| s.while_in_use = WhileInUse::Limit);
    let lending = |occupancy| Lending {
        occupancy,
        ..Lending::FREE
    };
    assert_eq!(clock.senses(active()), Reason::Ready);
    assert_eq!(clock.evaluator.lending(), lending(Occupancy::InUse));
    let inputs = clock.evaluator.availability().inputs;
    let row = inputs.iter().find(|row| row.input == Input::Activity);
    let said = row.map(|row| (row.limit.as_str(), row.verdict));
    let limit = "less is used until 3 min without input";
    assert_eq!(said, Some((limit, kiln_model::Verdict::Ok)));
    clock.senses(visited(RemoteKind::Desktop, Some(0)));
    assert_eq!(clock.evaluator.lending(), lending(Occupancy::InUse));
    clock.senses(quiet());
    assert_eq!(clock.evaluator.lending(), lending(Occupancy::Idle));
    clock.set(|s| s.idle_minutes = 0);
    clock.senses(active());
    let unlooked = clock.evaluator.lending();
    assert_eq!(unlooked, lending(Occupancy::Idle), "input is not looked at");
}

#[test]
fn more_of_the_disk_stays_free_while_the_owner_is_there() {
    for (in_use_floor, idle, free, reason) in [
        (0, 0, 2_048, Reason::Ready),
        (0, 0, 2_047, Reason::LowDisk),
        (5_000, 0, 4_999, Reason::LowDisk),
        (5_000, 0, 5_000, Reason::Ready),
        (5_000, 200, 4_999, Reason::Ready),
        (1_000, 0, 2_047, Reason::LowDisk),
    ] {
        let mut clock = Clock::new(|s| {
            s.while_in_use = WhileInUse::Limit;
            s.in_use_disk_floor_mb = in_use_floor;
        });
        let inputs = Inputs {
            idle: Some(Duration::from_secs(idle)),
            free_disk: Some(free),
            ..quiet()
        };
        assert_eq!(clock.senses(inputs), reason, "{in_use_floor} {idle} {free}");
    }
}

#[test]
fn a_program_in_full_screen_counts_unless_the_owner_lets_builds_run_beside_it() {
    use kiln_model::Verdict::{Blocks, Ok, Unknown};
    let (full, windowed) = (Some(Foreground::FullScreen), Some(Foreground::Windowed));
    for (beside, foreground, value, limit, verdict) in [
        (
            false,
            full,
            "a program in full screen",
            "none in full screen",
            Blocks,
        ),
        (
            false,
            windowed,
            "none in full screen",
            "none in full screen",
            Ok,
        ),
        (false, None, "", "none in full screen", Unknown),
        (true, full, "a program in full screen", "", Ok),
        (true, None, "", "", Unknown),
    ] {
        let mut clock = Clock::new(|s| s.beside_full_screen = beside);
        let reason = clock.senses(Inputs {
            foreground,
            ..quiet()
        });
        assert_eq!(reason == Reason::ExclusiveApp, verdict == Blocks);
        let inputs = clock.evaluator.availability().inputs;
        let row = inputs.iter().find(|row| row.input == Input::FullScreen);
        let said = row.map(|row| (row.value.to_string(), row.limit.to_string(), row.verdict));
        assert_eq!(said, Some((value.to_owned(), limit.to_owned(), verdict)));
    }
}

#[test]
fn settings_switch_inputs_off() {
    type Switch = fn(&mut Settings);
    let cases: [(Switch, Inputs); 6] = [
        (|s| s.idle_minutes = 0, active()),
        (
            |s| s.on_battery = true,
            Inputs {
                power: Some(Power::Battery(None)),
                ..quiet()
            },
        ),
        (
            |s| s.beside_full_screen = true,
            Inputs {
                foreground: Some(Foreground::FullScreen),
                ..quiet()
            },
        ),
        (
            |s| s.on_metered = true,
            Inputs {
                network: Some(Network::Metered),
                ..quiet()
            },
        ),
        (
            |s| s.ram_floor_mb = 0,
            Inputs {
                free_memory: Some(0),
                ..quiet()
            },
        ),
        (
            |s| s.disk_floor_mb = 0,
            Inputs {
                free_disk: Some(0),
                ..quiet()
            },
        ),
    ];
    for (change, inputs) in cases {
        let mut clock = Clock::new(change);
        assert_eq!(clock.senses(inputs.clone()), Reason::Ready, "{inputs:?}");
    }
}

#[test]
fn a_pause_counts_at_once_and_ends_by_itself_or_at_a_word() {
    let mut clock = Clock::new(|_| {});
    clock.senses(quiet());
    let pause = clock.evaluator.pause(Snooze::HalfHour, clock.now().wall);
    clock.set(|s| s.paused = pause);
    assert_eq!(clock.reason(), Reason::Snoozed);
    let end = Timestamp((NOON + 1_800) * 1_000_000);
    assert_eq!(clock.evaluator.availability().until, Some(end));
    assert_eq!(clock.evaluator.lending().stance, Stance::Long);
    clock.pass(1_799);
    assert_eq!(clock.reason(), Reason::Snoozed);
    clock.pass(1);
    assert_eq!(clock.reason(), Reason::Ready);
    clock.set(|s| s.paused = Pause::Forever);
    assert_eq!(clock.reason(), Reason::Snoozed);
    clock.pass(86_400);
    assert_eq!(clock.reason(), Reason::Snoozed);
    clock.set(|s| s.paused = Pause::Off);
    assert_eq!(clock.reason(), Reason::Ready);
}

#[test]
fn a_pause_lasts_as_long_as_was_said_also_when_the_clock_is_set_meanwhile() {
    for set in [-7_200, 7_200] {
        let mut clock = Clock::new(|_| {});
        clock.senses(quiet());
        let pause = clock.evaluator.pause(Snooze::HalfHour, clock.now().wall);
        clock.set(|s| s.paused = pause);
        clock.pass(600);
        clock.set = set;
        assert_eq!(clock.senses(quiet()), Reason::Snoozed);
        let end = Timestamp((NOON + 1_800 + set) * 1_000_000);
        assert_eq!(clock.evaluator.availability().until, Some(end));
        clock.pass(1_199);
        assert_eq!(clock.reason(), Reason::Snoozed);
        clock.pass(1);
        assert_eq!(clock.reason(), Reason::Ready);
    }
}

#[test]
fn until_something_was_read_nothing_begins_and_nothing_is_said_or_handed_back() {
    let mut clock = Clock::new(|s| s.hours = "mon-sun 13:00-20:00".to_owned());
    let unread = Lending {
        stance: Stance::Brief,
        ..Lending::FREE
    };
    assert_eq!(
        (clock.reason(), clock.evaluator.lending()),
        (Reason::Ready, unread)
    );
    let battery = Power::Battery(Some(50));
    let unplugged = Inputs {
        power: Some(battery),
        ..quiet()
    };
    assert_eq!(
        clock.senses(unplugged),
        Reason::Battery,
        "it was never open"
    );
    // The hours are those of where this computer is.
    let mut clock = Clock::new(|s| s.hours = "mon-sun 13:00-20:00".to_owned());
    let east = Inputs {
        utc_offset: Some(3_600),
        ..quiet()
    };
    assert_eq!(clock.senses(east), Reason::Ready);
    assert_eq!(clock.evaluator.lending(), Lending::FREE);
}

#[test]
fn a_first_reading_that_does_not_come_is_not_waited_for_and_the_owners_word_is_not_either() {
    let mut clock = Clock::new(|_| {});
    clock.pass(START.as_secs());
    assert_eq!(clock.evaluator.lending(), Lending::FREE);
    let clock = Clock::new(|s| s.paused = Pause::Forever);
    assert_eq!(clock.reason(), Reason::Snoozed);
    assert_eq!(clock.evaluator.lending().stance, Stance::Long);
}

#[test]
fn after_a_pause_other_obstacles_still_count() {
    let mut clock = Clock::new(|s| s.paused = Pause::Forever);
    assert_eq!(clock.senses(active()), Reason::Snoozed);
    clock.set(|s| s.paused = Pause::Off);
    assert_eq!(clock.reason(), Reason::UserActive);
}

#[test]
fn tomorrow_is_the_next_morning_that_is_a_night_away() {
    let mut clock = Clock::new(|_| {});
    clock.senses(Inputs {
        utc_offset: Some(7_200),
        ..quiet()
    });
    // (now, end), in hours of local time from Monday 0:00 on.
    for (now, end) in [(14, 30), (23, 30), (24, 30), (25, 30), (27, 54), (30, 54)] {
        let at = |hour: i64| Timestamp((NOON - 12 * 3_600 - 7_200 + hour * 3_600) * 1_000_000);
        let pause = clock.evaluator.pause(Snooze::Tomorrow, at(now));
        assert_eq!(pause, Pause::Until(at(end)), "at {now}");
    }
}

#[test]
fn hours_close_and_open_on_time() {
    let mut clock = Clock::new(|s| s.hours = "mon 13:00-14:00".to_owned());
    assert_eq!(clock.senses(quiet()), Reason::Hours);
    let opens = Timestamp((NOON + 3_600) * 1_000_000);
    assert_eq!(clock.evaluator.availability().until, Some(opens));
    clock.pass(3_599);
    assert_eq!(clock.reason(), Reason::Hours);
    clock.pass(1 + CALM.as_secs());
    assert_eq!(clock.reason(), Reason::Ready);
    clock.pass(3_600);
    assert_eq!(clock.reason(), Reason::Hours);
}

#[test]
fn load_counts_late_only_where_somebody_sits_and_without_ourselves() {
    let busy = Inputs {
        other_load: Some(90),
        ..quiet()
    };
    let mut clock = Clock::new(|_| {});
    assert_eq!(
        clock.senses(busy.clone()),
        Reason::Ready,
        "a moment is no load"
    );
    clock.pass(LOAD_RISES.as_secs());
    assert_eq!(clock.reason(), Reason::CpuBusy);
    assert_eq!(
        clock.senses(Inputs {
            other_load: Some(45),
            ..quiet()
        }),
        Reason::CpuBusy
    );
    clock.pass(3_600);
    assert_eq!(
        clock.reason(),
        Reason::CpuBusy,
        "not clearly below the limit"
    );
    clock.senses(quiet());
    clock.pass(LOAD_FALLS.as_secs());
    assert_eq!(clock.reason(), Reason::CpuBusy);
    clock.pass(CALM.as_secs());
    assert_eq!(clock.reason(), Reason::Ready);
    let mut server = Clock::new(|_| {});
    server.senses(Inputs { idle: None, ..busy });
    server.pass(3_600);
    assert_eq!(server.reason(), Reason::Ready);
}

#[test]
fn a_short_absence_is_brief_and_a_lasting_one_long() {
    let mut clock = Clock::new(|_| {});
    clock.senses(quiet());
    let stance = |clock: &Clock| clock.evaluator.lending().stance;
    assert_eq!(stance(&clock), Stance::Open);
    clock.senses(Inputs {
        network: Some(Network::Metered),
        ..quiet()
    });
    assert_eq!(stance(&clock), Stance::Brief);
    clock.pass(GRACE.as_secs() - 1);
    assert_eq!(stance(&clock), Stance::Brief);
    clock.pass(1);
    assert_eq!(stance(&clock), Stance::Long);
    clock.senses(quiet());
    clock.pass(CALM.as_secs());
    assert_eq!(stance(&clock), Stance::Open);
}

#[test]
fn an_absence_that_cannot_end_within_the_grace_is_no_brief_one_and_nobody_leaves_for_it() {
    for (minutes, stance) in [(3, Stance::Lasting), (1, Stance::Brief)] {
        let mut clock = Clock::new(|s| s.idle_minutes = minutes);
        clock.senses(quiet());
        clock.senses(active());
        assert_eq!(clock.evaluator.lending().stance, stance, "{minutes} min");
        clock.pass(GRACE.as_secs());
        assert_eq!(clock.evaluator.lending().stance, Stance::Long);
    }
}

#[test]
fn what_is_short_is_not_waited_for_and_comes_before_what_only_passes_by() {
    let scarce = [
        Inputs {
            free_memory: Some(1),
            ..quiet()
        },
        Inputs {
            free_disk: Some(1),
            ..quiet()
        },
    ];
    for inputs in scarce {
        let mut clock = Clock::new(|s| s.idle_minutes = 1);
        clock.senses(quiet());
        clock.senses(active());
        assert_eq!(clock.evaluator.lending().stance, Stance::Brief);
        let idle = Some(Duration::ZERO);
        clock.senses(Inputs { idle, ..inputs });
        assert_eq!(clock.evaluator.lending().stance, Stance::Lasting);
        let InTheWay::Briefly(reason) = in_the_way(&clock) else {
            panic!("it is in no way");
        };
        assert!(is_scarce(reason), "{reason:?}");
    }
}

#[test]
fn that_receiving_is_off_is_in_no_running_builds_way_and_hides_nothing_that_is() {
    let mut clock = Clock::new(|_| {});
    clock.senses(quiet());
    clock.set(|s| s.receiver = false);
    assert_eq!(
        (clock.reason(), in_the_way(&clock)),
        (Reason::UserOff, InTheWay::No)
    );
    clock.senses(active());
    assert_eq!(in_the_way(&clock), InTheWay::Briefly(Reason::UserActive));
    clock.pass(PATIENCE.as_secs());
    clock.senses(active());
    assert_eq!(in_the_way(&clock), InTheWay::Still(Reason::UserActive));
    clock.senses(quiet());
    clock.pass(CALM.as_secs());
    assert_eq!(
        (clock.reason(), in_the_way(&clock)),
        (Reason::UserOff, InTheWay::No)
    );
}

#[test]
fn a_shortage_is_named_whatever_else_stands_in_the_way_and_for_a_moment_after_it() {
    let mut clock = Clock::new(|_| {});
    let short = |clock: &Clock| clock.evaluator.lending().short;
    clock.senses(Inputs {
        free_memory: Some(1),
        ..active()
    });
    assert_eq!(in_the_way(&clock), InTheWay::Briefly(Reason::LowRam));
    assert_eq!(short(&clock), Some(Reason::LowRam));
    clock.senses(active());
    clock.pass(CALM.as_secs() - 1);
    assert_eq!(short(&clock), Some(Reason::LowRam));
    clock.pass(1);
    assert_eq!(short(&clock), None);
}

#[test]
fn the_system_is_kept_awake_on_mains_with_an_open_lid_only() {
    let (mains, battery) = (Some(Power::Mains), Some(Power::Battery(Some(80))));
    let (open, closed) = (Some(Lid::Open), Some(Lid::Closed));
    for (power, lid, held) in [
        (mains, open, Wakefulness::StayAwake),
        // No lid at all, or nobody who tells.
        (mains, None, Wakefulness::StayAwake),
        (mains, closed, Wakefulness::AsSet),
        (battery, open, Wakefulness::AsSet),
        (battery, None, Wakefulness::AsSet),
        (battery, closed, Wakefulness::AsSet),
        (None, open, Wakefulness::AsSet),
    ] {
        let mut clock = Clock::new(|s| s.on_battery = true);
        clock.senses(Inputs {
            power,
            lid,
            ..quiet()
        });
        assert_eq!(clock.reason(), Reason::Ready);
        let found = clock.evaluator.wakefulness();
        assert_eq!(found, held, "{power:?} {lid:?}");
    }
}

#[test]
fn sleep_counts_at_once_and_what_was_read_before_it_is_forgotten() {
    let mut clock = Clock::new(|_| {});
    clock.senses(quiet());
    let now = clock.now();
    clock
        .evaluator
        .handle_sleep(Sleep::Asleep { since: now.mono }, now);
    assert_eq!(clock.reason(), Reason::Sleeping);
    assert_eq!(clock.evaluator.lending().stance, Stance::Long);
    clock.seconds += 30_000;
    let now = clock.now();
    clock.evaluator.handle_sleep(Sleep::Awake, now);
    assert_eq!(clock.reason(), Reason::Sleeping, "nothing was read yet");
    assert_eq!(clock.senses(active()), Reason::UserActive);
}

#[test]
fn the_owners_switch_beats_everything() {
    let mut clock = Clock::new(|s| {
        s.receiver = false;
        s.paused = Pause::Forever;
    });
    assert_eq!(clock.senses(active()), Reason::UserOff);
    clock.set(|s| {
        s.receiver = true;
        s.paused = Pause::Off;
    });
    assert_eq!(clock.reason(), Reason::UserActive);
}

fn in_the_way(clock: &Clock) -> InTheWay {
    clock.evaluator.lending().in_the_way
}

#[test]
fn an_owner_who_stays_is_seen_to_stay_although_it_became_free_just_now() {
    let mut clock = Clock::new(|_| {});
    clock.senses(active());
    clock.senses(quiet());
    clock.pass(DWELL.as_secs());
    assert_eq!(clock.reason(), Reason::Ready);
    for second in 0..PATIENCE.as_secs() {
        assert_eq!(
            clock.senses(active()),
            Reason::Ready,
            "not faster than the dwell"
        );
        let briefly = InTheWay::Briefly(Reason::UserActive);
        assert_eq!(in_the_way(&clock), briefly, "after {second} s");
        clock.pass(1);
    }
    let still = InTheWay::Still(Reason::UserActive);
    assert_eq!((clock.reason(), in_the_way(&clock)), (Reason::Ready, still));
    assert_eq!(clock.evaluator.lending().stance, Stance::Open);
}

#[test]
fn one_touch_is_no_stay_and_passes() {
    let mut clock = Clock::new(|_| {});
    clock.senses(quiet());
    let touched = clock.seconds;
    for _ in 0..180 {
        let idle = Some(Duration::from_millis(
            (clock.seconds - touched) * 1_000 + 20,
        ));
        clock.senses(Inputs { idle, ..quiet() });
        assert_eq!(in_the_way(&clock), InTheWay::Briefly(Reason::UserActive));
        clock.pass(1);
    }
    clock.senses(quiet());
    clock.pass(CALM.as_secs());
    assert_eq!(clock.evaluator.lending(), Lending::FREE);
}

#[test]
fn what_is_in_the_way_again_and_again_does_not_let_a_build_go_on_in_between() {
    let mut clock = Clock::new(|_| {});
    let short = Inputs {
        free_memory: Some(100),
        ..quiet()
    };
    clock.senses(short.clone());
    clock.senses(quiet());
    clock.pass(DWELL.as_secs());
    assert_eq!(in_the_way(&clock), InTheWay::No);
    for inputs in [short.clone(), quiet(), short, quiet()] {
        clock.senses(inputs);
        clock.pass(CALM.as_secs() / 2);
        assert_ne!(in_the_way(&clock), InTheWay::No);
    }
    clock.pass(DWELL.as_secs());
    assert_eq!(in_the_way(&clock), InTheWay::No);
}
