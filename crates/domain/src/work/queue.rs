//! Lanes: who is next on this machine. The compile lane has width 1 and is fair: the owner first,
//! then offloaders in turn, so that one of them cannot fill it for the others.
use kiln_model::{EsphomeVersion, JobId, Pin};

/// Whose turn it is in the compile lane.
#[derive(Debug, Default)]
pub(super) struct Turn {
    last: Option<Pin>,
}

/// A job that waits in the compile lane.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    /// Which.
    pub(super) id: &'a JobId,
    /// Whose; `None`: the owner's.
    pub(super) offloader: Option<Pin>,
}

impl Turn {
    /// Chooses from the waiting jobs, given oldest first: the owner's oldest, else the oldest of
    /// the offloader whose pin follows the one that was served last.
    pub(super) fn next<'a>(&self, waiting: &[Waiting<'a>]) -> Option<&'a JobId> {
        if let Some(own) = waiting.iter().find(|w| w.offloader.is_none()) {
            return Some(own.id);
        }
        let pins = || waiting.iter().filter_map(|w| w.offloader);
        let after_last = pins().filter(|pin| Some(*pin) > self.last).min();
        let pin = after_last.or_else(|| pins().min())?;
        let oldest = waiting.iter().find(|w| w.offloader == Some(pin))?;
        Some(oldest.id)
    }

    /// A job of this offloader got the lane.
    pub(super) fn served(&mut self, offloader: Option<Pin>) {
        self.last = offloader.or(self.last);
    }
}

/// Returns how many devices are flashed at the same time (builds.md §2.5): ESPHome locks its
/// build tree for uploads before 2026.8.
pub(super) fn upload_slots(version: Option<&EsphomeVersion>) -> usize {
    match version {
        Some(v) if v.release_line_at_least(2026, 8) => 9,
        Some(_) | None => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(turn: &Turn, waiting: &[(u64, Option<u8>)]) -> Option<u64> {
        let ids: Vec<_> = waiting
            .iter()
            .map(|(n, who)| (JobId::from_random(*n), who.map(|b| Pin([b; 32]))))
            .collect();
        let waiting: Vec<_> = ids
            .iter()
            .map(|(id, offloader)| Waiting {
                id,
                offloader: *offloader,
            })
            .collect();
        let id = turn.next(&waiting)?;
        u64::from_str_radix(id.as_str(), 16).ok()
    }

    #[test]
    fn the_owner_comes_before_every_offloader() {
        let turn = Turn::default();
        assert_eq!(next(&turn, &[(1, Some(1)), (2, None), (3, None)]), Some(2));
    }

    #[test]
    fn offloaders_take_turns_and_each_is_served_in_its_own_order() {
        let mut turn = Turn::default();
        let mut waiting = vec![
            (1, Some(7)),
            (2, Some(7)),
            (3, Some(7)),
            (4, Some(9)),
            (5, Some(2)),
        ];
        let mut order = Vec::new();
        while let Some(n) = next(&turn, &waiting) {
            let at = waiting.iter().position(|w| w.0 == n).unwrap();
            let (n, who) = waiting.remove(at);
            turn.served(who.map(|b| Pin([b; 32])));
            order.push(n);
        }
        assert_eq!(order, [5, 1, 4, 2, 3]);
    }

    #[test]
    fn an_empty_lane_has_no_next() {
        assert_eq!(next(&Turn::default(), &[]), None);
    }

    #[test]
    fn nine_devices_are_flashed_at_once_from_2026_8() {
        for (version, slots) in [("2026.8.0", 9), ("2026.7.4", 4), ("2027.1.0", 9)] {
            assert_eq!(upload_slots(EsphomeVersion::parse(version).as_ref()), slots);
        }
        assert_eq!(upload_slots(None), 4);
    }
}
