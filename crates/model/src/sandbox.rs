//! [`Confinement`]: how well builds for others are kept away from the rest of this computer.
use crate::link::words;

words! {
    /// Whether builds for others have to run in a box.
    SandboxMode {
        /// In tier 2 or better; otherwise this computer does not receive.
        Required = "required",
        /// In the best box that works here, and without one if none does.
        BestEffort = "best_effort",
        /// Never: a paired computer can do what the owner's account can do.
        Off = "off",
    }
}

/// What holds a build that came from another computer (trust.md §1.7). A tier is only ever claimed
/// after everything that it denies was tried and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Nothing does: it can do what the owner's account can do. Tier 0.
    #[default]
    Open,
    /// It cannot change files, settings and programs of this computer, but can read them and get
    /// onto its networks. Tier 1.
    Hindered,
    /// It cannot reach files, programs and networks of this computer. Tier 2.
    Confined,
    /// It does not even see them: it has processes, files and a network of its own. Tier 3.
    Boxed,
}

impl Tier {
    /// Returns the number that faces show: 0, 1, 2 or 3.
    pub fn number(self) -> u8 {
        match self {
            Tier::Open => 0,
            Tier::Hindered => 1,
            Tier::Confined => 2,
            Tier::Boxed => 3,
        }
    }

    /// Reads the number; anything else is `None`.
    pub fn from_number(number: u8) -> Option<Self> {
        let all = [Tier::Open, Tier::Hindered, Tier::Confined, Tier::Boxed];
        all.into_iter().find(|tier| tier.number() == number)
    }
}

/// The tier that this computer proved, and in words how or why not better.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Proved at the start.
    pub tier: Tier,
    /// One sentence or a few.
    pub detail: String,
}

impl Confinement {
    /// Returns whether builds for others may run here under this setting.
    pub fn allows_receiving(&self, mode: SandboxMode) -> bool {
        match mode {
            SandboxMode::Required => self.tier >= Tier::Confined,
            SandboxMode::BestEffort | SandboxMode::Off => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_its_number() {
        for tier in [Tier::Open, Tier::Hindered, Tier::Confined, Tier::Boxed] {
            assert_eq!(Tier::from_number(tier.number()), Some(tier));
        }
        assert_eq!(Tier::from_number(4), None);
    }

    #[test]
    fn a_required_box_keeps_a_computer_without_one_from_receiving() {
        let at = |tier| Confinement {
            tier,
            detail: String::new(),
        };
        assert!(!at(Tier::Open).allows_receiving(SandboxMode::Required));
        assert!(!at(Tier::Hindered).allows_receiving(SandboxMode::Required));
        assert!(at(Tier::Confined).allows_receiving(SandboxMode::Required));
        assert!(at(Tier::Open).allows_receiving(SandboxMode::BestEffort));
    }
}
