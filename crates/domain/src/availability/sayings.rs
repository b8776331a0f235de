//! What each input says, in words: value, limit and verdict, coarse enough not to change all the time.
use std::time::Duration;

use kiln_model::{
    AvailabilityReason as Reason, Heat, Input, InputVerdict, Network, Pause, Power, Saver, Verdict,
};

use super::{Evaluator, Pressure, Rest, exclusive_apps};
use crate::work::Room;

impl Evaluator {
    /// Returns one row per input, in the order of judging.
    pub(super) fn sayings(&self) -> Vec<InputVerdict> {
        let (settings, inputs) = (&self.settings, &self.inputs);
        let on = |yes: bool| if yes { "on" } else { "off" };
        let paused = match settings.paused {
            Pause::Off => "no",
            Pause::Until(_) | Pause::Forever if self.stands(Reason::Snoozed) => "yes",
            Pause::Until(_) | Pause::Forever => "over",
        };
        let asleep = self.rest != Rest::Awake;
        let battery = matches!(inputs.power, Some(Power::Battery(_))) && !settings.on_battery;
        let saver = inputs.saver == Some(Saver::On) && !settings.on_battery;
        let power_limit = if settings.on_battery { "" } else { "mains" };
        let hours = self.hours.is_some();
        let active = inputs.idle.is_some_and(|idle| idle < self.patience());
        let running = inputs
            .apps
            .as_ref()
            .filter(|_| !exclusive_apps(settings).is_empty());
        let metered = inputs.network == Some(Network::Metered) && !settings.on_metered;
        let below = |free: Option<u64>, floor: u32| free.is_some_and(|mb| mb < floor.into());
        let load = inputs.other_load.filter(|_| inputs.idle.is_some());
        vec![
            row(Input::Sleep, if asleep { "yes" } else { "no" }, "", asleep),
            row(
                Input::Receiver,
                on(settings.receiver),
                "on",
                !settings.receiver,
            ),
            row(Input::Pause, paused, "", paused == "yes"),
            known(Input::Power, inputs.power.map(power), power_limit, battery),
            known(
                Input::PowerSaver,
                inputs.saver.map(|s| on(s == Saver::On).to_owned()),
                if settings.on_battery { "" } else { "off" },
                saver,
            ),
            known(
                Input::Thermal,
                inputs.heat.map(|heat| match heat {
                    Heat::Normal => "normal".to_owned(),
                    Heat::Hot => "hot".to_owned(),
                }),
                "normal",
                inputs.heat == Some(Heat::Hot),
            ),
            row(
                Input::Hours,
                match hours {
                    false => "always",
                    true if self.stands(Reason::Hours) => "outside",
                    true => "inside",
                },
                &settings.hours,
                self.stands(Reason::Hours),
            ),
            known(
                Input::Activity,
                inputs.idle.map(idle),
                &match settings.idle_minutes {
                    0 => String::new(),
                    minutes => format!("{minutes} min without input"),
                },
                active,
            ),
            known(
                Input::Apps,
                running.map(|names| match names.as_slice() {
                    [] => "none runs".to_owned(),
                    names => names.join(", "),
                }),
                &settings.exclusive_apps,
                running.is_some_and(|names| !names.is_empty()),
            ),
            known(
                Input::Network,
                inputs.network.map(|network| match network {
                    Network::Free => "not metered".to_owned(),
                    Network::Metered => "metered".to_owned(),
                }),
                if settings.on_metered {
                    ""
                } else {
                    "not metered"
                },
                metered,
            ),
            match self.room {
                Room::Left => known(
                    Input::Disk,
                    inputs.free_disk.map(room),
                    &floor(settings.disk_floor_mb),
                    below(inputs.free_disk, settings.disk_floor_mb),
                ),
                Room::UsedUp { used } => row(
                    Input::Disk,
                    &format!("Kiln needs {}", floor(mib(used))),
                    &format!("{} for Kiln", floor(settings.storage_budget_mb)),
                    true,
                ),
            },
            known(
                Input::Memory,
                inputs.free_memory.map(room),
                &floor(settings.ram_floor_mb),
                below(inputs.free_memory, settings.ram_floor_mb),
            ),
            known(
                Input::Load,
                load.map(|load| format!("about {} %", load.div_ceil(10) * 10)),
                &match settings.cpu_limit {
                    0 => String::new(),
                    limit => format!("{limit} %"),
                },
                self.load.verdict == Pressure::High,
            ),
        ]
    }

    fn stands(&self, reason: Reason) -> bool {
        self.blocking.contains(&reason)
    }
}

fn row(input: Input, value: &str, limit: &str, blocks: bool) -> InputVerdict {
    known(input, Some(value.to_owned()), limit, blocks)
}

fn known(input: Input, value: Option<String>, limit: &str, blocks: bool) -> InputVerdict {
    let verdict = match (&value, blocks) {
        (_, true) => Verdict::Blocks,
        (Some(_), false) => Verdict::Ok,
        (None, false) => Verdict::Unknown,
    };
    InputVerdict {
        input,
        value: value.unwrap_or_default(),
        limit: limit.to_owned(),
        verdict,
    }
}

fn power(power: Power) -> String {
    match power {
        Power::Mains => "mains".to_owned(),
        Power::Battery(None) => "battery".to_owned(),
        Power::Battery(Some(percent)) => format!("battery, {percent} %"),
    }
}

fn idle(idle: Duration) -> String {
    match idle.as_secs() / 60 {
        0 => "input within the last minute".to_owned(),
        minutes @ 1..60 => format!("{minutes} min without input"),
        minutes => format!("{} h without input", minutes / 60),
    }
}

/// Two digits are enough to decide by.
fn room(mib: u64) -> String {
    match mib {
        0..1024 => format!("{} MB free", mib / 64 * 64),
        _ => format!("{} GB free", mib / 1024),
    }
}

fn mib(bytes: u64) -> u32 {
    u32::try_from(bytes >> 20).unwrap_or(u32::MAX)
}

fn floor(mib: u32) -> String {
    match mib {
        0 => String::new(),
        1..1024 => format!("{mib} MB"),
        _ => format!("{:.1} GB", f64::from(mib) / 1024.0),
    }
}
