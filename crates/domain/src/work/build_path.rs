//! The original slice of the scheduler (builds.md §1.8): local, or the first idle receiver in
//! insertion order. Kept under its own name; today's rules are in [`super::schedule`].
use std::collections::BTreeSet;

use indexmap::IndexMap;
use kiln_model::{PairingStatus, Pin, QueueStatus};

/// Where a build happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuildPath {
    /// On this machine.
    Local,
    /// On a receiver.
    Remote,
}

impl BuildPath {
    /// Returns the serialised word.
    pub fn word(self) -> &'static str {
        match self {
            BuildPath::Local => "local",
            BuildPath::Remote => "remote",
        }
    }
}

/// A path and the pin it goes to. Only [`BuildPathDecision::local`] and
/// [`BuildPathDecision::remote`] make one and nothing changes one, so "remote without a pin" and
/// "local with a pin" do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BuildPathDecision {
    pin: Option<Pin>,
}

impl BuildPathDecision {
    /// Decides for this machine.
    pub fn local() -> Self {
        Self { pin: None }
    }

    /// Decides for a receiver.
    pub fn remote(pin: Pin) -> Self {
        Self { pin: Some(pin) }
    }

    /// Returns the path.
    pub fn path(&self) -> BuildPath {
        match self.pin {
            None => BuildPath::Local,
            Some(_) => BuildPath::Remote,
        }
    }

    /// Returns the receiver, exactly when the path is remote.
    pub fn pin_sha256(&self) -> Option<Pin> {
        self.pin
    }
}

/// Takes the first pairing in insertion order that is approved, has an open link and whose queue
/// snapshot says idle; this machine if there is none or the switch is off.
///
/// Only `idle` of a snapshot is read; a missing snapshot skips the pairing.
pub fn pick_build_path(
    remote_builds_enabled: bool,
    pairings: &IndexMap<Pin, PairingStatus>,
    open_peer_links: &BTreeSet<Pin>,
    peer_queue_status: &IndexMap<Pin, QueueStatus>,
) -> BuildPathDecision {
    if !remote_builds_enabled {
        return BuildPathDecision::local();
    }
    pairings
        .iter()
        .filter(|(_, status)| match status {
            PairingStatus::Approved => true,
            PairingStatus::Pending => false,
        })
        .map(|(pin, _)| *pin)
        .filter(|pin| open_peer_links.contains(pin))
        .find(|pin| peer_queue_status.get(pin).is_some_and(|queue| queue.idle))
        .map_or_else(BuildPathDecision::local, BuildPathDecision::remote)
}

#[cfg(test)]
mod tests {
    use PairingStatus::{Approved, Pending};

    use super::*;

    const A: Pin = Pin([0xaa; 32]);
    const B: Pin = Pin([0xbb; 32]);
    const IDLE: QueueStatus = QueueStatus {
        idle: true,
        running: false,
        queue_depth: 0,
        absence: None,
    };
    const BUSY: QueueStatus = QueueStatus {
        idle: false,
        running: true,
        queue_depth: 2,
        absence: None,
    };
    /// Only `idle` is read.
    const NOT_IDLE: QueueStatus = QueueStatus {
        idle: false,
        running: false,
        queue_depth: 0,
        absence: None,
    };
    /// Only `idle` is read.
    const SAYS_IDLE: QueueStatus = QueueStatus {
        idle: true,
        running: true,
        queue_depth: 9,
        absence: None,
    };

    /// One pairing of a case: pin, status, link open, queue.
    type Peer = (Pin, PairingStatus, bool, Option<QueueStatus>);

    fn pick(enabled: bool, peers: &[Peer]) -> BuildPathDecision {
        let pairings = peers.iter().map(|p| (p.0, p.1)).collect();
        let open = peers.iter().filter(|p| p.2).map(|p| p.0).collect();
        let queue = peers.iter().filter_map(|p| Some((p.0, p.3?))).collect();
        pick_build_path(enabled, &pairings, &open, &queue)
    }

    fn good(pin: Pin) -> Peer {
        (pin, Approved, true, Some(IDLE))
    }

    // Covers: M15
    #[test]
    fn the_slice_takes_the_first_idle_connected_receiver_in_insertion_order() {
        let cases: &[(&str, &[Peer], Option<Pin>)] = &[
            ("no pairings", &[], None),
            ("A pending", &[(A, Pending, true, Some(IDLE))], None),
            (
                "A pending, B good",
                &[(A, Pending, true, Some(IDLE)), good(B)],
                Some(B),
            ),
            (
                "A closed, B good",
                &[(A, Approved, false, Some(IDLE)), good(B)],
                Some(B),
            ),
            (
                "A busy, B good",
                &[(A, Approved, true, Some(BUSY)), good(B)],
                Some(B),
            ),
            (
                "A no snapshot, B good",
                &[(A, Approved, true, None), good(B)],
                Some(B),
            ),
            (
                "both busy",
                &[
                    (A, Approved, true, Some(BUSY)),
                    (B, Approved, true, Some(BUSY)),
                ],
                None,
            ),
            ("A no snapshot only", &[(A, Approved, true, None)], None),
            ("both good", &[good(A), good(B)], Some(A)),
            ("both good, inserted B then A", &[good(B), good(A)], Some(B)),
            (
                "not idle without work",
                &[(A, Approved, true, Some(NOT_IDLE))],
                None,
            ),
            (
                "idle although running",
                &[(A, Approved, true, Some(SAYS_IDLE))],
                Some(A),
            ),
        ];
        for (name, peers, expected) in cases {
            assert_eq!(pick(true, peers).pin_sha256(), *expected, "{name}");
        }
    }

    // Covers: M1
    #[test]
    fn the_slice_builds_here_when_the_switch_is_off() {
        assert_eq!(pick(false, &[good(A)]), BuildPathDecision::local());
    }

    #[test]
    fn an_open_link_of_a_peer_that_is_not_paired_is_not_used() {
        let (open, queue) = ([A].into(), [(A, IDLE)].into());
        let decision = pick_build_path(true, &IndexMap::new(), &open, &queue);
        assert_eq!(decision, BuildPathDecision::local());
    }

    // Covers: M16
    #[test]
    fn a_decision_has_a_pin_exactly_when_it_is_remote() {
        let local = BuildPathDecision::local();
        assert_eq!((local.path(), local.pin_sha256()), (BuildPath::Local, None));
        let remote = BuildPathDecision::remote(A);
        assert_eq!(
            (remote.path(), remote.pin_sha256()),
            (BuildPath::Remote, Some(A))
        );
        assert_eq!(
            [local.path().word(), remote.path().word()],
            ["local", "remote"]
        );
    }
}
