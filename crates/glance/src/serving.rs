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
        Self::named(availability.reason.word(), availability.until)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{NOW, at, english, german};
    use expect_test::expect;

    #[test]
    fn every_pause_says_why_and_when_it_ends() {
        let mut told = String::new();
        for words in [english(), german()] {
            for code in [
                "user_active",
                "battery",
                "power_saver",
                "thermal",
                "cpu_busy",
                "low_ram",
                "low_disk",
                "hours",
                "exclusive_app",
                "metered",
                "snoozed",
                "sleeping",
            ] {
                let Serving::Paused(pause) = Serving::named(code, None) else {
                    panic!("{code} is a pause");
                };
                told.push_str(&pause.sentence(&words, NOW));
                told.push('\n');
            }
            let Serving::Paused(pause) = Serving::named("snoozed", Some(at(1800))) else {
                panic!("a snooze is a pause");
            };
            told.push_str(&pause.sentence(&words, NOW));
            told.push('\n');
        }
        expect![[r#"
            Paused: you are using this computer. Resumes when you are away.
            Paused: on battery. Resumes on mains.
            Paused: the power saver is on. Resumes when it is off.
            Paused: this computer is hot. Resumes when it has cooled down.
            Paused: other programs need the processor. Resumes when they are done.
            Paused: memory is short. Resumes when there is more.
            Paused: disk space is short. Resumes when there is more.
            Paused: outside your hours. Resumes when they begin.
            Paused: another program needs the whole computer. Resumes when it is closed.
            Paused: on a metered network. Resumes on another network.
            Paused: by you. Resumes when you say so.
            Paused: this computer goes to sleep. Resumes when it wakes up.
            Paused: by you. Resumes at 17:30.
            Pause: du benutzt diesen Computer. Weiter, wenn du weg bist.
            Pause: Akkubetrieb. Weiter am Netzteil.
            Pause: der Energiesparmodus ist an. Weiter, wenn er aus ist.
            Pause: dieser Computer ist heiß. Weiter, wenn er abgekühlt ist.
            Pause: andere Programme brauchen den Prozessor. Weiter, wenn sie fertig sind.
            Pause: der Arbeitsspeicher ist knapp. Weiter, wenn wieder mehr frei ist.
            Pause: der Speicherplatz ist knapp. Weiter, wenn wieder mehr frei ist.
            Pause: außerhalb deiner Zeiten. Weiter, wenn sie beginnen.
            Pause: ein anderes Programm braucht den ganzen Computer. Weiter, wenn es beendet ist.
            Pause: getaktetes Netzwerk. Weiter in einem anderen Netzwerk.
            Pause: von dir. Weiter, wenn du es sagst.
            Pause: dieser Computer geht schlafen. Weiter, wenn er aufwacht.
            Pause: von dir. Weiter um 17:30.
        "#]]
        .assert_eq(&told);
    }
}
