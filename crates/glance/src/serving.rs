//! [`Serving`]: whether this computer builds for others, as far as it is seen at a glance.
use kiln_model::{Availability, AvailabilityReason, Timestamp};

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
    reason: AvailabilityReason,
    /// The messages for the reason, and for its end when no time is known.
    keys: (Key, Key),
    until: Option<Timestamp>,
}

impl Serving {
    pub(crate) fn of(availability: &Availability) -> Self {
        use AvailabilityReason as Reason;
        let keys = match availability.reason {
            Reason::Ready => return Serving::Ready,
            Reason::UserOff => return Serving::Off,
            Reason::UserActive => (Key::PausedUserActive, Key::ResumesUserActive),
            Reason::Battery => (Key::PausedBattery, Key::ResumesBattery),
            Reason::PowerSaver => (Key::PausedPowerSaver, Key::ResumesPowerSaver),
            Reason::Thermal => (Key::PausedThermal, Key::ResumesThermal),
            Reason::CpuBusy => (Key::PausedCpuBusy, Key::ResumesCpuBusy),
            Reason::LowRam => (Key::PausedLowRam, Key::ResumesLowRam),
            Reason::LowDisk => (Key::PausedLowDisk, Key::ResumesLowDisk),
            Reason::Hours => (Key::PausedHours, Key::ResumesHours),
            Reason::ExclusiveApp => (Key::PausedExclusiveApp, Key::ResumesExclusiveApp),
            Reason::Metered => (Key::PausedMetered, Key::ResumesMetered),
            Reason::Snoozed => (Key::PausedSnoozed, Key::ResumesSnoozed),
            Reason::Sleeping => (Key::PausedSleeping, Key::ResumesSleeping),
        };
        Serving::Paused(Pause {
            reason: availability.reason,
            keys,
            until: availability.until,
        })
    }

    /// Returns whether the owner asked for the pause, so that "Resume" ends it.
    pub(crate) fn is_snoozed(self) -> bool {
        match self {
            Serving::Paused(pause) => pause.reason == AvailabilityReason::Snoozed,
            Serving::Ready | Serving::Off => false,
        }
    }
}

impl Pause {
    /// Returns the sentence with the reason and when it ends.
    pub(crate) fn sentence(self, words: &Words, now: Timestamp) -> String {
        let (reason, end) = self.keys;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{NOW, at, english, german, judged};
    use expect_test::expect;

    fn sentence(
        reason: AvailabilityReason,
        until: Option<Timestamp>,
        words: &Words,
    ) -> Option<String> {
        let availability = Availability {
            until,
            ..judged(reason)
        };
        match Serving::of(&availability) {
            Serving::Paused(pause) => Some(pause.sentence(words, NOW)),
            Serving::Ready | Serving::Off => None,
        }
    }

    #[test]
    fn every_pause_says_why_and_when_it_ends() {
        let mut told = String::new();
        for words in [english(), german()] {
            let reasons = AvailabilityReason::ALL.iter().copied();
            let mut all: Vec<_> = reasons.map(|reason| (reason, None)).collect();
            all.push((AvailabilityReason::Hours, Some(at(1800))));
            all.push((AvailabilityReason::Snoozed, Some(at(15 * 3600))));
            for (reason, until) in all {
                if let Some(sentence) = sentence(reason, until, &words) {
                    told.push_str(&sentence);
                    told.push('\n');
                }
            }
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
            Paused: another program needs the whole computer. Resumes when that is over.
            Paused: on a metered network. Resumes on another network.
            Paused: by you. Resumes when you say so.
            Paused: this computer goes to sleep. Resumes when it wakes up.
            Paused: outside your hours. Resumes at 17:30.
            Paused: by you. Resumes tomorrow at 08:00.
            Pause: du benutzt diesen Computer. Weiter, wenn du weg bist.
            Pause: Akkubetrieb. Weiter am Netzteil.
            Pause: der Energiesparmodus ist an. Weiter, wenn er aus ist.
            Pause: dieser Computer ist heiß. Weiter, wenn er abgekühlt ist.
            Pause: andere Programme brauchen den Prozessor. Weiter, wenn sie fertig sind.
            Pause: der Arbeitsspeicher ist knapp. Weiter, wenn wieder mehr frei ist.
            Pause: der Speicherplatz ist knapp. Weiter, wenn wieder mehr frei ist.
            Pause: außerhalb deiner Zeiten. Weiter, wenn sie beginnen.
            Pause: ein anderes Programm braucht den ganzen Computer. Weiter, wenn das vorbei ist.
            Pause: getaktetes Netzwerk. Weiter in einem anderen Netzwerk.
            Pause: von dir. Weiter, wenn du es sagst.
            Pause: dieser Computer geht schlafen. Weiter, wenn er aufwacht.
            Pause: außerhalb deiner Zeiten. Weiter um 17:30.
            Pause: von dir. Weiter morgen um 08:00.
        "#]]
        .assert_eq(&told);
    }
}
