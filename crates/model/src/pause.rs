//! [`Snooze`]: how long the owner pauses building for others; [`Pause`]: until when it is paused.
use std::fmt;
use std::str::FromStr;

use crate::Timestamp;
use crate::link::words;

words! {
    /// How long to pause.
    Snooze {
        /// Half an hour.
        HalfHour = "30m",
        /// Two hours.
        TwoHours = "2h",
        /// Until the next morning.
        Tomorrow = "tomorrow",
        /// Until the owner resumes.
        Forever = "forever",
    }
}

/// Whether the owner paused building for others. It outlives a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pause {
    /// No.
    #[default]
    Off,
    /// Until this moment.
    Until(Timestamp),
    /// Until the owner resumes.
    Forever,
}

impl fmt::Display for Pause {
    /// Empty, whole seconds since 1970, or `forever`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => Ok(()),
            Self::Until(end) => write!(f, "{}", end.0.div_euclid(1_000_000)),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// A text that is no [`Pause`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pause is empty, a moment in seconds since 1970, or forever")]
pub struct InvalidPause;

impl FromStr for Pause {
    type Err = InvalidPause;

    fn from_str(text: &str) -> Result<Self, InvalidPause> {
        match text {
            "" => Ok(Self::Off),
            "forever" => Ok(Self::Forever),
            seconds => {
                let seconds: u32 = seconds.parse().map_err(|_| InvalidPause)?;
                Ok(Self::Until(Timestamp(i64::from(seconds) * 1_000_000)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_as_it_was_written() {
        let end = Pause::Until(Timestamp(1_790_000_000_000_000));
        for pause in [Pause::Off, Pause::Forever, end] {
            assert_eq!(pause.to_string().parse(), Ok(pause));
        }
        for text in ["soon", "-1", "1.5", "99999999999"] {
            assert_eq!(text.parse::<Pause>(), Err(InvalidPause), "{text}");
        }
    }
}
