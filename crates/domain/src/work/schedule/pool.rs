//! [`Pool`]: the rules' answers from an index that is kept up to date by the changes.
use std::collections::{BTreeMap, BTreeSet};

use kiln_model::Pin;

use super::receiver::Rank;
use super::{
    Conditions, Decision, Path, PeerReason, Receiver, Receivers, Standing, Survey, Tally, Target,
    build_path, dispatch_target, is_eligible,
};

/// All receivers, indexed: a change costs O(log n), a decision too.
#[derive(Clone, Debug)]
pub struct Pool {
    conditions: Conditions,
    receivers: BTreeMap<Pin, Receiver>,
    at_submit: Index,
    at_dispatch: Index,
}

impl Pool {
    /// Makes a pool without receivers.
    pub fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            receivers: BTreeMap::new(),
            at_submit: Index::default(),
            at_dispatch: Index::default(),
        }
    }

    /// Returns the conditions.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Replaces the conditions. Only another version or policy looks at every receiver again.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        let judge = |c: &Conditions| (c.policy, c.esphome_version.clone());
        let rejudge = judge(&self.conditions) != judge(&conditions);
        self.conditions = conditions;
        if rejudge {
            (self.at_submit, self.at_dispatch) = Default::default();
            for receiver in std::mem::take(&mut self.receivers).into_values() {
                self.put(receiver);
            }
        }
    }

    /// Adds a receiver, or replaces the one of the same pin.
    pub fn put(&mut self, receiver: Receiver) {
        self.remove(receiver.pin);
        let rank = receiver.rank();
        let [submit, dispatch] = self.standings(&receiver);
        self.at_submit.enter(rank, submit);
        self.at_dispatch.enter(rank, dispatch);
        self.receivers.insert(receiver.pin, receiver);
    }

    /// Removes a receiver and returns it.
    pub fn remove(&mut self, pin: Pin) -> Option<Receiver> {
        let receiver = self.receivers.remove(&pin)?;
        let rank = receiver.rank();
        let [submit, dispatch] = self.standings(&receiver);
        self.at_submit.leave(rank, submit);
        self.at_dispatch.leave(rank, dispatch);
        Some(receiver)
    }

    /// Changes a receiver in place; nothing happens if there is none of that pin. The pin itself
    /// cannot be changed.
    pub fn update(&mut self, pin: Pin, change: impl FnOnce(&mut Receiver)) {
        if let Some(mut receiver) = self.remove(pin) {
            change(&mut receiver);
            receiver.pin = pin;
            self.put(receiver);
        }
    }

    /// Returns a receiver.
    pub fn get(&self, pin: Pin) -> Option<&Receiver> {
        self.receivers.get(&pin)
    }

    /// Returns a receiver with its standing at dispatch.
    pub fn standing(&self, pin: Pin) -> Option<PeerReason<'_>> {
        let receiver = self.get(pin)?;
        let standing = receiver.standing(&self.conditions);
        Some(PeerReason { receiver, standing })
    }

    /// Decides at submit: [`super::pick_build_path`] as if none of our work were in flight.
    pub fn pick_build_path(&self) -> Decision<'_, Path> {
        build_path(&self.conditions, self.survey(&self.at_submit))
    }

    /// Decides at dispatch: [`super::pick_dispatch_target`].
    pub fn pick_dispatch_target(&self) -> Decision<'_, Target> {
        dispatch_target(&self.conditions, self.survey(&self.at_dispatch))
    }

    fn survey<'a>(&'a self, index: &Index) -> Survey<'a> {
        let free = index.idle.first().or_else(|| index.others.first());
        Survey {
            free: free
                .and_then(|(_, pin)| self.receivers.get(pin))
                .map(|receiver| (receiver, receiver.readiness())),
            tally: index.tally,
            receivers: Receivers::Map(&self.receivers),
        }
    }

    /// Standing at submit and at dispatch.
    fn standings(&self, receiver: &Receiver) -> [Standing; 2] {
        let dispatch = receiver.standing(&self.conditions);
        let submit = match dispatch {
            Standing::BusyWithOurs => receiver.readiness(),
            other => other,
        };
        [submit, dispatch]
    }
}

/// Who is eligible at one of the two moments.
#[derive(Clone, Debug, Default)]
struct Index {
    idle: BTreeSet<Rank>,
    others: BTreeSet<Rank>,
    tally: Tally,
}

impl Index {
    fn enter(&mut self, rank: Rank, standing: Standing) {
        self.tally.add(standing);
        if standing == Standing::Idle {
            self.idle.insert(rank);
        } else if is_eligible(standing) {
            self.others.insert(rank);
        }
    }

    fn leave(&mut self, rank: Rank, standing: Standing) {
        self.tally.remove(standing);
        self.idle.remove(&rank);
        self.others.remove(&rank);
    }
}
