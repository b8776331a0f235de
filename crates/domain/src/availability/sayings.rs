//! What each input says, in words: value, limit and verdict, coarse enough not to change all the time.
use std::time::Duration;

use kiln_model::{
    AvailabilityReason as Reason, Foreground, Heat, Input, InputVerdict, Network, Pause, Power,
    RemoteKind, RemoteSession, RemoteSessions, Saver, Sentence, Verdict, WhileInUse, say,
};

use super::{Evaluator, Pressure, exclusive_apps};
use crate::storage::Room;

impl Evaluator {
    /// Returns one row per input, in the order of judging.
    pub(super) fn sayings(&self) -> Vec<InputVerdict> {
        let (settings, inputs) = (&self.settings, &self.inputs);
        let on = |yes: bool| if yes { say::on() } else { say::off() };
        let nothing = Sentence::default;
        let is_paused = self.stands(Reason::Snoozed);
        let paused = match settings.paused {
            Pause::Off => say::no(),
            Pause::Until(_) | Pause::Forever if is_paused => say::yes(),
            Pause::Until(_) | Pause::Forever => say::over(),
        };
        let asleep = self.is_asleep();
        let battery = matches!(inputs.power, Some(Power::Battery(_))) && !settings.on_battery;
        let saver = inputs.saver == Some(Saver::On) && !settings.on_battery;
        let any_power = settings.on_battery;
        let hours = self.hours.is_some();
        let active = inputs.idle.is_some_and(|idle| self.is_stay(idle));
        let running = inputs
            .apps
            .as_ref()
            .filter(|_| !exclusive_apps(settings).is_empty());
        let metered = inputs.network == Some(Network::Metered) && !settings.on_metered;
        let below = |free: Option<u64>, floor: u32| free.is_some_and(|mb| mb < floor.into());
        let load = inputs.other_load.filter(|_| self.quiet_for().is_some());
        vec![
            row(
                Input::Sleep,
                if asleep { say::yes() } else { say::no() },
                nothing(),
                asleep,
            ),
            row(
                Input::Receiver,
                on(settings.receiver),
                say::on(),
                !settings.receiver,
            ),
            row(Input::Pause, paused, nothing(), is_paused),
            known(
                Input::Power,
                inputs.power.map(power),
                if any_power { nothing() } else { say::mains() },
                battery,
            ),
            known(
                Input::PowerSaver,
                inputs.saver.map(|s| on(s == Saver::On)),
                if any_power { nothing() } else { say::off() },
                saver,
            ),
            known(
                Input::Thermal,
                inputs.heat.map(|heat| match heat {
                    Heat::Normal => say::heat_normal(),
                    Heat::Hot => say::heat_hot(),
                }),
                say::heat_normal(),
                inputs.heat == Some(Heat::Hot),
            ),
            row(
                Input::Hours,
                match hours {
                    false => say::hours_always(),
                    true if self.stands(Reason::Hours) => say::hours_outside(),
                    true => say::hours_inside(),
                },
                settings.hours.as_str().into(),
                self.stands(Reason::Hours),
            ),
            known(
                Input::Activity,
                inputs.idle.map(idle),
                self.absence_limit(),
                active,
            ),
            self.elsewhere(),
            known(
                Input::Apps,
                running.map(|names| match names.as_slice() {
                    [] => say::none_runs(),
                    names => names.join(", ").into(),
                }),
                settings.exclusive_apps.as_str().into(),
                running.is_some_and(|names| !names.is_empty()),
            ),
            known(
                Input::FullScreen,
                inputs.foreground.map(|foreground| match foreground {
                    Foreground::Windowed => say::none_in_full_screen(),
                    Foreground::FullScreen => say::in_full_screen(),
                }),
                match settings.beside_full_screen {
                    true => nothing(),
                    false => say::none_in_full_screen(),
                },
                self.is_covered(),
            ),
            known(
                Input::Network,
                inputs.network.map(|network| match network {
                    Network::Free => say::not_metered(),
                    Network::Metered => say::metered(),
                }),
                if settings.on_metered {
                    nothing()
                } else {
                    say::not_metered()
                },
                metered,
            ),
            match self.room {
                Room::Left => known(
                    Input::Disk,
                    inputs.free_disk.map(room),
                    floor(self.disk_floor()),
                    below(inputs.free_disk, self.disk_floor()),
                ),
                Room::UsedUp { used } => row(
                    Input::Disk,
                    say::kiln_needs(floor(mib(used))),
                    say::for_kiln(floor(settings.storage_budget_mb)),
                    true,
                ),
            },
            known(
                Input::Memory,
                inputs.free_memory.map(room),
                floor(settings.ram_floor_mb),
                below(inputs.free_memory, settings.ram_floor_mb),
            ),
            known(
                Input::Load,
                load.map(|load| say::about_percent(load.div_ceil(10) * 10)),
                match settings.cpu_limit {
                    0 => nothing(),
                    limit => format!("{limit} %").into(),
                },
                self.load.verdict == Pressure::High,
            ),
        ]
    }

    /// Somebody whose last input is so long ago is in the way of builds.
    fn is_stay(&self, idle: Duration) -> bool {
        idle < self.patience() && self.settings.while_in_use == WhileInUse::Stop
    }

    /// How long the owner's last input has to be ago, and for what.
    fn absence_limit(&self) -> Sentence {
        let gone = say::minutes_without_input(self.settings.idle_minutes);
        match (self.settings.idle_minutes, self.settings.while_in_use) {
            (0, _) => Sentence::default(),
            (_, WhileInUse::Stop) => gone,
            (_, WhileInUse::Limit) => say::limited_until(gone),
        }
    }

    /// The row of those who are logged in from elsewhere. Whom the owner counts is shown first, then
    /// whoever was there last.
    fn elsewhere(&self) -> InputVerdict {
        let minutes = self.settings.idle_minutes;
        let limit = match self.settings.remote_sessions {
            RemoteSessions::Ignore => say::does_not_count(),
            _ if minutes == 0 => Sentence::default(),
            _ if self.settings.while_in_use == WhileInUse::Limit => self.absence_limit(),
            RemoteSessions::Count => say::minutes_without_input(minutes),
            RemoteSessions::Desktop => say::remote_desktop_only(minutes),
        };
        if self.inputs.remote.as_ref().is_some_and(Vec::is_empty) {
            return row(Input::Remote, say::nobody(), limit, false);
        }
        let rank = |session: &&RemoteSession| {
            let counts = self.counts(session.kind);
            (!counts, session.idle.is_none(), session.idle)
        };
        let Some(shown) = self.remote().min_by_key(rank) else {
            return known(Input::Remote, None, limit, false);
        };
        let counts = self.counts(shown.kind);
        let active = shown.idle.is_some_and(|idle| self.is_stay(idle));
        let input = shown.idle.map_or_else(say::input_not_told, idle);
        let value = match shown.kind {
            RemoteKind::Desktop => say::remote_desktop(input),
            RemoteKind::Shell => say::remote_shell(input),
        };
        let said = row(Input::Remote, value, limit, counts && active);
        match counts && shown.idle.is_none() {
            true => InputVerdict {
                verdict: Verdict::Unknown,
                ..said
            },
            false => said,
        }
    }

    fn stands(&self, reason: Reason) -> bool {
        self.blocking.contains(&reason)
    }
}

fn row(input: Input, value: Sentence, limit: Sentence, blocks: bool) -> InputVerdict {
    known(input, Some(value), limit, blocks)
}

fn known(input: Input, value: Option<Sentence>, limit: Sentence, blocks: bool) -> InputVerdict {
    let verdict = match (&value, blocks) {
        (_, true) => Verdict::Blocks,
        (Some(_), false) => Verdict::Ok,
        (None, false) => Verdict::Unknown,
    };
    InputVerdict {
        input,
        value: value.unwrap_or_default(),
        limit,
        verdict,
    }
}

fn power(power: Power) -> Sentence {
    match power {
        Power::Mains => say::mains(),
        Power::Battery(None) => say::battery(),
        Power::Battery(Some(percent)) => say::battery_at(percent),
    }
}

fn idle(idle: Duration) -> Sentence {
    match idle.as_secs() / 60 {
        0 => say::input_just_now(),
        minutes @ 1..60 => say::minutes_without_input(minutes),
        minutes => say::hours_without_input(minutes / 60),
    }
}

/// Two digits are enough to decide by.
fn room(mib: u64) -> Sentence {
    match mib {
        0..1024 => say::megabytes_free(mib / 64 * 64),
        _ => say::gigabytes_free(mib / 1024),
    }
}

fn mib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 20).unwrap_or(u32::MAX)
}

fn floor(mib: u32) -> Sentence {
    match mib {
        0 => Sentence::default(),
        1..1024 => format!("{mib} MB").into(),
        _ => format!("{:.1} GB", f64::from(mib) / 1024.0).into(),
    }
}
