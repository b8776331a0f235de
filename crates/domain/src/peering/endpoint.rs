//! [`Probes`]: asks whether a receiver really is where it is said to be, before anything stored
//! changes (peer-link.md §2.7, §4.7).
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use kiln_model::{CloseReason, Endpoint, LinkId, Mono, Pin, ResponseKind, say};

use super::out::Out;
use super::{DialAnswer, DialFailure, Purpose};
use crate::RequestId;

/// How long a claimed slot blocks further probes for the same pin (peer-link.md §2.7).
const SLOT: Duration = Duration::from_secs(30);

/// Probes in flight and the slots they claimed.
#[derive(Debug, Default)]
pub(super) struct Probes {
    slots: BTreeMap<Pin, Mono>,
    dials: BTreeMap<LinkId, Probe>,
}

/// A question that is on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) pin: Pin,
    pub(super) endpoint: Endpoint,
    /// Which state of the pairing this is about: an answer about an older one is void.
    pub(super) revision: u64,
    pub(super) wanted_by: WantedBy,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedBy {
    /// Nobody: the receiver was seen elsewhere on the network.
    Discovery,
    /// The receiver itself, on this waiting connection.
    Receiver(LinkId),
    /// A person.
    Person(RequestId),
}

/// Whether a probe may be made now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Claimed,
    Taken,
}

/// What a probe found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The pinned key answers there.
    ThePinned,
    /// Another key does.
    Another,
    /// Nobody, for this reason.
    Nobody(CloseReason),
}

impl Probes {
    /// Claims the slot of `pin` for 30 s. Discovery and `connect_back` share it; a person is not kept
    /// waiting, but takes the slot as well.
    pub(super) fn claim(&mut self, pin: Pin, now: Mono, wanted_by: WantedBy) -> Slot {
        self.slots.retain(|_, until| now < *until);
        match wanted_by {
            WantedBy::Discovery | WantedBy::Receiver(_) if self.slots.contains_key(&pin) => {
                Slot::Taken
            }
            WantedBy::Discovery | WantedBy::Receiver(_) | WantedBy::Person(_) => {
                self.slots.insert(pin, now + SLOT);
                Slot::Claimed
            }
        }
    }

    /// Frees the slot early: the endpoint was found good.
    pub(super) fn release(&mut self, pin: Pin) {
        self.slots.remove(&pin);
    }

    pub(super) fn start(&mut self, probe: Probe, out: &mut Out) {
        // What the network says must not make us dial ourselves.
        let skip = match probe.wanted_by {
            WantedBy::Discovery => vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            WantedBy::Receiver(_) | WantedBy::Person(_) => Vec::new(),
        };
        let endpoint = probe.endpoint.clone();
        let link = out.dial(endpoint, skip, Some(probe.pin), Purpose::Preview);
        self.dials.insert(link, probe);
    }

    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.dials.contains_key(&link)
    }

    pub(super) fn handle_dialled(
        &mut self,
        link: LinkId,
        outcome: Result<DialAnswer, DialFailure>,
    ) -> Option<(Probe, Found)> {
        let probe = self.dials.remove(&link)?;
        let found = match outcome {
            Ok(answer) if answer.pin != probe.pin => Found::Another,
            Ok(answer) if answer.response.kind == Some(ResponseKind::Ok) => Found::ThePinned,
            Ok(_) => Found::Nobody(CloseReason::TransportError(say::link_not_receiving())),
            Err(failure) if failure.reason == CloseReason::PinMismatch => Found::Another,
            Err(failure) => Found::Nobody(failure.reason),
        };
        Some((probe, found))
    }

    /// Forgets a waiting connection that ended; the probe itself goes on.
    pub(super) fn handle_knock_closed(&mut self, knock: LinkId) {
        for probe in self.dials.values_mut() {
            if probe.wanted_by == WantedBy::Receiver(knock) {
                probe.wanted_by = WantedBy::Discovery;
            }
        }
    }

    /// Gives every probe up; returns who waits for one.
    pub(super) fn abort(&mut self, out: &mut Out) -> Vec<WantedBy> {
        let dials = std::mem::take(&mut self.dials);
        for link in dials.keys() {
            out.close(*link, None);
        }
        dials.into_values().map(|probe| probe.wanted_by).collect()
    }

    /// Takes out the connections that wait for a probe, because the listener goes.
    pub(super) fn take_waiters(&mut self) -> Vec<LinkId> {
        let mut waiters = Vec::new();
        for probe in self.dials.values_mut() {
            if let WantedBy::Receiver(link) = probe.wanted_by {
                waiters.push(link);
                probe.wanted_by = WantedBy::Discovery;
            }
        }
        waiters
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::pin;
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    // Covers: O-36
    #[test]
    fn discovery_and_connect_back_share_one_probe_per_pin_and_30_seconds() {
        let mut probes = Probes::default();
        let receiver = WantedBy::Receiver(LinkId(1));
        assert_eq!(
            probes.claim(pin(1), at(0), WantedBy::Discovery),
            Slot::Claimed
        );
        assert_eq!(probes.claim(pin(1), at(29), receiver), Slot::Taken);
        assert_eq!(probes.claim(pin(2), at(29), receiver), Slot::Claimed);
        assert_eq!(probes.claim(pin(1), at(30), receiver), Slot::Claimed);
        assert_eq!(
            probes.claim(pin(1), at(59), WantedBy::Discovery),
            Slot::Taken
        );
        probes.release(pin(1));
        assert_eq!(
            probes.claim(pin(1), at(59), WantedBy::Discovery),
            Slot::Claimed
        );
    }

    #[test]
    fn a_person_is_not_kept_waiting_but_takes_the_slot() {
        let mut probes = Probes::default();
        let person = WantedBy::Person(RequestId(1));
        assert_eq!(
            probes.claim(pin(1), at(0), WantedBy::Discovery),
            Slot::Claimed
        );
        assert_eq!(probes.claim(pin(1), at(1), person), Slot::Claimed);
        assert_eq!(
            probes.claim(pin(1), at(30), WantedBy::Discovery),
            Slot::Taken
        );
    }
}
