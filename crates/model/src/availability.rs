//! [`Availability`]: may this computer compile for others now, why not, since when and until when.

use crate::link::words;
use crate::{Sentence, Timestamp};

words! {
    /// Why this computer does not compile for others. The codes are stable.
    AvailabilityReason {
        /// It does: nothing stands in the way.
        Ready = "ready",
        /// The owner uses this computer.
        UserActive = "user_active",
        /// It runs on battery.
        Battery = "battery",
        /// The system saves power.
        PowerSaver = "power_saver",
        /// It is too hot.
        Thermal = "thermal",
        /// Other programs need the processor.
        CpuBusy = "cpu_busy",
        /// Too little memory is free.
        LowRam = "low_ram",
        /// Too little room is left on the disk.
        LowDisk = "low_disk",
        /// Outside the hours that the owner set.
        Hours = "hours",
        /// A program has the computer for itself: one that the owner named, or one in full screen.
        ExclusiveApp = "exclusive_app",
        /// The network is metered.
        Metered = "metered",
        /// The owner paused it.
        Snoozed = "snoozed",
        /// The owner switched receiving off.
        UserOff = "user_off",
        /// The system goes to sleep.
        Sleeping = "sleeping",
    }
}

words! {
    /// What availability is judged by.
    Input {
        /// The owner's switch.
        Receiver = "receiver",
        /// The owner's pause.
        Pause = "pause",
        /// Whether the system is about to sleep.
        Sleep = "sleep",
        /// Hours per weekday.
        Hours = "hours",
        /// Mains or battery.
        Power = "power",
        /// Power saving of the system.
        PowerSaver = "power_saver",
        /// Heat.
        Thermal = "thermal",
        /// Time since the owner's last input.
        Activity = "activity",
        /// Who is logged in from elsewhere.
        Remote = "remote",
        /// Programs that want the computer for themselves.
        Apps = "apps",
        /// Whether the program in front is in full screen.
        FullScreen = "full_screen",
        /// Whether the network is metered.
        Network = "network",
        /// Free disk space.
        Disk = "disk",
        /// Free memory.
        Memory = "memory",
        /// Load that other programs make.
        Load = "load",
    }
}

words! {
    /// What an input says.
    Verdict {
        /// It does not stand in the way.
        Ok = "ok",
        /// It does.
        Blocks = "blocks",
        /// It cannot be read here, and so does not stand in the way.
        Unknown = "unknown",
    }
}

/// One input with what it was held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputVerdict {
    /// Which.
    pub input: Input,
    /// What it is now, in words; empty when it cannot be read.
    pub value: Sentence,
    /// What it is held against, in words; empty when the owner set none.
    pub limit: Sentence,
    /// What comes of it.
    pub verdict: Verdict,
}

/// The decision and its explanation in one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// Why not; [`AvailabilityReason::Ready`] when builds are taken.
    pub reason: AvailabilityReason,
    /// Since when it is so; `None` before anything was judged.
    pub since: Option<Timestamp>,
    /// When it ends by itself, if that is known.
    pub until: Option<Timestamp>,
    /// What it was judged by, in the order of judging.
    pub inputs: Vec<InputVerdict>,
}

impl Availability {
    /// Returns whether builds are taken.
    pub fn is_open(&self) -> bool {
        self.reason == AvailabilityReason::Ready
    }

    /// Returns whether this computer is known to run on its battery.
    pub fn on_battery(&self) -> bool {
        let power = self.inputs.iter().find(|i| i.input == Input::Power);
        let code = power.and_then(|power| power.value.code());
        matches!(code, Some("battery" | "battery_at"))
    }
}

/// What a receiver tells of a time in which it does not build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Why.
    pub reason: AvailabilityReason,
    /// When it ends by itself, if that is known.
    pub until: Option<Timestamp>,
}
