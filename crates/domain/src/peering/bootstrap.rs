//! [`Bootstrap`]: how a receiver without a face admits its first offloader (peer-link.md §1.5).
use std::net::IpAddr;
use std::time::Duration;

use kiln_model::{Mono, PairingKey};

/// How long the key may be used; nothing extends it (peer-link.md §1.5).
const LIFETIME: Duration = Duration::from_secs(900);

/// A one-shot key, in memory only.
#[derive(Debug, Default)]
pub(super) enum Bootstrap {
    /// The node has a face: a person decides.
    #[default]
    NotAsked,
    /// The key may be presented.
    Armed {
        key: PairingKey,
        sources: Vec<IpAddr>,
        until: Mono,
    },
    /// Used, not needed because an offloader is approved already, or lapsed.
    Over,
}

/// What became of a presented key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// It was the key, and is consumed.
    Accepted,
    /// It was not, or it may not come from there. Nothing is consumed.
    Refused,
}

/// Whether the receiver runs without a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Headless,
    WithFace,
}

/// What passing time did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lapse {
    Lapsed,
    No,
}

impl Bootstrap {
    pub(super) fn arm(&mut self, key: PairingKey, sources: Vec<IpAddr>, now: Mono) {
        *self = Self::Armed {
            key,
            sources: sources.iter().map(IpAddr::to_canonical).collect(),
            until: now + LIFETIME,
        };
    }

    pub(super) fn mode(&self) -> Mode {
        match self {
            Self::NotAsked => Mode::WithFace,
            Self::Armed { .. } | Self::Over => Mode::Headless,
        }
    }

    /// Returns until when a key may be presented.
    pub(super) fn until(&self) -> Option<Mono> {
        match self {
            Self::Armed { until, .. } => Some(*until),
            Self::NotAsked | Self::Over => None,
        }
    }

    /// Compares a presented key. Both checks are always made, so that neither answer nor time tells
    /// which one failed.
    pub(super) fn present(&mut self, presented: Option<&str>, source: IpAddr) -> Presented {
        let Self::Armed { key, sources, .. } = self else {
            return Presented::Refused;
        };
        let from_there = sources.is_empty() || sources.contains(&source.to_canonical());
        if key.matches(presented) & from_there {
            *self = Self::Over;
            Presented::Accepted
        } else {
            Presented::Refused
        }
    }

    /// Forgets the key: an offloader is approved by other means, or nothing can be bound.
    pub(super) fn disarm(&mut self) {
        if matches!(self, Self::Armed { .. }) {
            *self = Self::Over;
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) -> Lapse {
        if self.until().is_some_and(|until| until <= now) {
            *self = Self::Over;
            return Lapse::Lapsed;
        }
        Lapse::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ABCD-EFGH-JKMN-PQRS";

    fn armed(sources: &[&str]) -> Bootstrap {
        let mut bootstrap = Bootstrap::default();
        let sources = sources.iter().map(|s| s.parse().unwrap()).collect();
        bootstrap.arm(PairingKey::from_text(KEY), sources, Mono::default());
        bootstrap
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    //
    #[test]
    fn a_wrong_missing_or_overlong_key_or_a_foreign_source_is_refused_and_consumes_nothing() {
        let mut bootstrap = armed(&["192.0.2.7"]);
        let long = KEY.repeat(20);
        for (key, source) in [
            (None, "192.0.2.7"),
            (Some(""), "192.0.2.7"),
            (Some("ABCD-EFGH-JKMN-PQRT"), "192.0.2.7"),
            (Some(long.as_str()), "192.0.2.7"),
            (Some(KEY), "192.0.2.8"),
        ] {
            assert_eq!(bootstrap.present(key, ip(source)), Presented::Refused);
        }
        let mapped = ip("::ffff:192.0.2.7");
        assert_eq!(bootstrap.present(Some(KEY), mapped), Presented::Accepted);
    }

    //
    #[test]
    fn the_key_works_once() {
        let mut bootstrap = armed(&[]);
        let source = ip("198.51.100.1");
        assert_eq!(bootstrap.present(Some(KEY), source), Presented::Accepted);
        assert_eq!(bootstrap.present(Some(KEY), source), Presented::Refused);
        assert_eq!(bootstrap.mode(), Mode::Headless);
        assert_eq!(bootstrap.until(), None);
    }

    #[test]
    fn the_key_lapses_after_900_seconds_once() {
        let mut bootstrap = armed(&[]);
        let end = Mono(Duration::from_secs(900));
        let before = Mono(Duration::from_millis(899_999));
        assert_eq!(bootstrap.handle_timeout(before), Lapse::No);
        assert_eq!(bootstrap.handle_timeout(end), Lapse::Lapsed);
        assert_eq!(bootstrap.handle_timeout(end), Lapse::No);
        let source = ip("198.51.100.1");
        assert_eq!(bootstrap.present(Some(KEY), source), Presented::Refused);
    }
}
