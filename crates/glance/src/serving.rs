//! [`Serving`]: whether this computer builds for others, as far as it is seen at a glance.
use kiln_model::{Availability, Timestamp};

use crate::words::{Key, Words};

/// Whether this computer builds for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    /// It takes builds.
    Ready,
    /// Something stands in the way and goes by itself, or the owner paused it.
    Paused(Pause),
    /// The owner switched it off.
    Off,
}

/// Why serving is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    why: Why,
    until: Option<Timestamp>,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    UserActive,
    Battery,
    PowerSaver,
    Thermal,
    CpuBusy,
    LowRam,
    LowDisk,
    Hours,
    ExclusiveApp,
    Metered,
    Snoozed,
    Sleeping,
}

impl Serving {
    pub(crate) fn of(availability: &Availability) -> Self {
        Self::named(availability.reason().word(), None)
    }

    /// Reads a reason code; what is unknown here says no more than that nothing is built.
    fn named(code: &str, until: Option<Timestamp>) -> Self {
        let why = match code {
            "ready" => return Serving::Ready,
            "user_active" => Why::UserActive,
            "battery" => Why::Battery,
            "power_saver" => Why::PowerSaver,
            "thermal" => Why::Thermal,
            "cpu_busy" => Why::CpuBusy,
            "low_ram" => Why::LowRam,
            "low_disk" => Why::LowDisk,
            "hours" => Why::Hours,
            "exclusive_app" => Why::ExclusiveApp,
            "metered" => Why::Metered,
            "snoozed" => Why::Snoozed,
            "sleeping" => Why::Sleeping,
            _ => return Serving::Off,
        };
        Serving::Paused(Pause { why, until })
    }

    /// Returns whether the owner asked for the pause, so that "Resume" ends it.
    pub(crate) fn is_snoozed(self) -> bool {
        match self {
            Serving::Paused(pause) => pause.why == Why::Snoozed,
            Serving::Ready | Serving::Off => false,
        }
    }
}

impl Pause {
    /// Returns the sentence with the reason and when it ends.
    pub(crate) fn sentence(self, words: &Words, now: Timestamp) -> String {
        let (reason, end) = self.why.keys();
        let resumes = match self.until {
            Some(until) => {
                let time = words.when(until, now);
                words.say(Key::ResumesAt, &[("time", &time)])
            }
            None => words.say(end, &[]),
        };
        let reason = words.say(reason, &[]);
        words.say(
            Key::StatusPaused,
            &[("reason", &reason), ("resumes", &resumes)],
        )
    }
}

impl Why {
    /// Returns the messages for the reason and for its end when no time is known.
    fn keys(self) -> (Key, Key) {
        match self {
            Why::UserActive => (Key::PausedUserActive, Key::ResumesUserActive),
            Why::Battery => (Key::PausedBattery, Key::ResumesBattery),
            Why::PowerSaver => (Key::PausedPowerSaver, Key::ResumesPowerSaver),
            Why::Thermal => (Key::PausedThermal, Key::ResumesThermal),
            Why::CpuBusy => (Key::PausedCpuBusy, Key::ResumesCpuBusy),
            Why::LowRam => (Key::PausedLowRam, Key::ResumesLowRam),
            Why::LowDisk => (Key::PausedLowDisk, Key::ResumesLowDisk),
            Why::Hours => (Key::PausedHours, Key::ResumesHours),
            Why::ExclusiveApp => (Key::PausedExclusiveApp, Key::ResumesExclusiveApp),
            Why::Metered => (Key::PausedMetered, Key::ResumesMetered),
            Why::Snoozed => (Key::PausedSnoozed, Key::ResumesSnoozed),
            Why::Sleeping => (Key::PausedSleeping, Key::ResumesSleeping),
        }
    }
}
