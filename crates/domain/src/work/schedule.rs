//! Today's scheduler (builds.md §1.1–1.7): which receiver builds, and why.
//!
//! [`pick_build_path`] and [`pick_dispatch_target`] are the rules, plain functions over a
//! [`Snapshot`]. [`Pool`] gives the same answers from an index that is kept up to date by the
//! changes, so that a decision costs the same for ten receivers and for a hundred thousand.
//! Neither knows of jobs, clocks or links beyond the values given.
mod pool;
mod receiver;

use std::collections::BTreeMap;

use kiln_model::{EsphomeVersion, Pin, Sentence, Settings, VersionPolicy, say};

pub use self::pool::Pool;
pub use self::receiver::{Link, Receiver, Standing, satisfies};

/// What the owner wants and how this machine is; the same for every receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Master switch.
    pub remote_builds: bool,
    /// Our own ESPHome version; `None` while none is installed.
    pub esphome_version: Option<EsphomeVersion>,
    /// Which receivers' versions are acceptable.
    pub policy: VersionPolicy,
    /// Build here when all receivers are busy with our own work.
    pub include_local: bool,
    /// Our own compile lane. Read at dispatch only.
    pub lane: Lane,
}

/// How our own compile lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Nothing runs or waits in it.
    Idle,
    /// Something does.
    Busy,
}

impl Conditions {
    /// Makes them of what the owner set, our own version and our lane.
    pub fn of(settings: &Settings, own: Option<&EsphomeVersion>, lane: Lane) -> Self {
        Self {
            remote_builds: settings.remote_builds,
            esphome_version: own.cloned(),
            policy: settings.version_policy,
            include_local: settings.include_local,
            lane,
        }
    }
}

/// How many receivers stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Approved and enabled: the owner means them to build.
    pub intended: usize,
    /// Intended, but without an open link or needed by its owner.
    pub link_closed: usize,
    /// Connected, with a version that does not fit.
    pub other_version: usize,
    /// Fitting, but already building for us.
    pub busy_with_ours: usize,
}

impl Tally {
    /// The count that a standing adds to besides `intended`, and whether it adds to that.
    fn counters(&mut self, standing: Standing) -> [Option<&mut usize>; 2] {
        match standing {
            Standing::NotApproved | Standing::Disabled => [None, None],
            Standing::LinkClosed | Standing::NotLent => {
                [Some(&mut self.intended), Some(&mut self.link_closed)]
            }
            Standing::OtherVersion => [Some(&mut self.intended), Some(&mut self.other_version)],
            Standing::BusyWithOurs => [Some(&mut self.intended), Some(&mut self.busy_with_ours)],
            Standing::Idle | Standing::BusyWithOthers | Standing::QueueUnknown => {
                [Some(&mut self.intended), None]
            }
        }
    }

    fn add(&mut self, standing: Standing) {
        for counter in self.counters(standing).into_iter().flatten() {
            *counter += 1;
        }
    }

    fn remove(&mut self, standing: Standing) {
        for counter in self.counters(standing).into_iter().flatten() {
            *counter -= 1;
        }
    }
}

/// The answer at submit: remote at all? The pin is only a forecast; it binds at dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Here.
    Local,
    /// On a receiver, this one if it were dispatched now.
    Remote(Pin),
    /// Nowhere: the policy allows no fallback.
    NoCompatiblePeer,
}

/// The answer at dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Build here.
    Local,
    /// Build there.
    Remote(Pin),
    /// Ask again when something changes; there is no time limit.
    Wait,
    /// Fail: the policy allows no fallback.
    NoCompatiblePeer,
}

/// An outcome and its reason.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a, O> {
    /// What to do.
    pub outcome: O,
    /// Which rule said so.
    pub rule: Rule,
    /// How many receivers stood where.
    pub tally: Tally,
    chosen: Option<(&'a Receiver, Standing)>,
    conditions: &'a Conditions,
    receivers: Receivers<'a>,
}

/// The rule that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The master switch is off.
    RemoteBuildsOff,
    /// A receiver can take it.
    Free,
    /// All fitting receivers build for us and this machine is idle and may help.
    LocalOverflow,
    /// All fitting receivers build for us.
    AllBusyWithOurs,
    /// The policy allows no fallback, and a receiver may come back.
    LinkMayReturn,
    /// The policy allows no fallback, and no receiver fits.
    NoneFits,
    /// No receiver can take it, so this machine does.
    Fallback,
}

/// Why one receiver was or was not chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerReason<'a> {
    /// Who.
    pub receiver: &'a Receiver,
    /// How it stands.
    pub standing: Standing,
}

impl PeerReason<'_> {
    /// Returns it in words: `receiver Attic: link closed`.
    pub fn sentence(&self) -> Sentence {
        let Receiver { label, pin, .. } = self.receiver;
        let name = if label.is_empty() {
            pin.short()
        } else {
            label.to_string()
        };
        say::standing_of(name, self.standing.sentence())
    }
}

impl<'a, O> Decision<'a, O> {
    /// Returns the chosen receiver with its standing.
    pub fn chosen(&self) -> Option<PeerReason<'a>> {
        let (receiver, standing) = self.chosen?;
        Some(PeerReason { receiver, standing })
    }

    /// Returns every receiver with its standing, the unintended ones too. Computed while iterating,
    /// so that a decision that nobody explains stays cheap.
    pub fn peers(&self) -> impl Iterator<Item = PeerReason<'a>> + use<'a, O> {
        let conditions = self.conditions;
        self.receivers.iter().map(move |receiver| PeerReason {
            receiver,
            standing: receiver.standing(conditions),
        })
    }
}

/// Peers named in a sentence; the rest is counted.
const NAMED_PEERS: usize = 4;

impl<O> Decision<'_, O> {
    /// Returns it in words: one sentence without its final stop.
    pub fn sentence(&self) -> Sentence {
        let what = match self.rule {
            Rule::RemoteBuildsOff => return say::remote_builds_off(),
            Rule::Free => {
                let chosen = self.chosen();
                return chosen.map_or_else(Sentence::default, |chosen| chosen.sentence());
            }
            Rule::Fallback if self.tally.intended == 0 => return say::no_receiver_in_use(),
            Rule::Fallback => say::no_receiver_now(),
            Rule::LocalOverflow => say::local_overflow(),
            Rule::AllBusyWithOurs => say::all_busy_with_ours(),
            Rule::LinkMayReturn => say::link_may_return(),
            Rule::NoneFits => say::none_fits(),
        };
        let intended = |reason: &PeerReason<'_>| match reason.standing {
            Standing::NotApproved | Standing::Disabled => false,
            Standing::LinkClosed
            | Standing::NotLent
            | Standing::OtherVersion
            | Standing::BusyWithOurs
            | Standing::Idle
            | Standing::BusyWithOthers
            | Standing::QueueUnknown => true,
        };
        let named = self.peers().filter(intended).take(NAMED_PEERS);
        let named = named.map(|reason| reason.sentence()).reduce(say::both);
        let named = named.map(
            |named| match self.tally.intended.saturating_sub(NAMED_PEERS) {
                0 => named,
                more => say::and_more(named, more),
            },
        );
        match named {
            Some(details) => say::with_details(what, details),
            None => what,
        }
    }
}

/// Everything the rules look at, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The same for every receiver.
    pub conditions: Conditions,
    /// In any order; each pin once.
    pub receivers: Vec<Receiver>,
}

/// Decides at submit (builds.md §1.5). A caller that submits leaves `ours_in_flight` false.
pub fn pick_build_path(snapshot: &Snapshot) -> Decision<'_, Path> {
    build_path(&snapshot.conditions, snapshot.survey())
}

/// Decides at dispatch (builds.md §1.6).
pub fn pick_dispatch_target(snapshot: &Snapshot) -> Decision<'_, Target> {
    dispatch_target(&snapshot.conditions, snapshot.survey())
}

impl Snapshot {
    fn survey(&self) -> Survey<'_> {
        let mut tally = Tally::default();
        let mut free: Option<(&Receiver, Standing)> = None;
        let preference =
            |&(r, standing): &(&Receiver, Standing)| (standing != Standing::Idle, r.rank());
        for receiver in &self.receivers {
            let standing = receiver.standing(&self.conditions);
            tally.add(standing);
            if is_eligible(standing) {
                let candidate = (receiver, standing);
                free = match free {
                    Some(best) if preference(&best) <= preference(&candidate) => Some(best),
                    Some(_) | None => Some(candidate),
                };
            }
        }
        let receivers = Receivers::List(&self.receivers);
        Survey {
            free,
            tally,
            receivers,
        }
    }
}

fn is_eligible(standing: Standing) -> bool {
    match standing {
        Standing::Idle | Standing::BusyWithOthers | Standing::QueueUnknown => true,
        Standing::NotApproved
        | Standing::Disabled
        | Standing::LinkClosed
        | Standing::NotLent
        | Standing::OtherVersion
        | Standing::BusyWithOurs => false,
    }
}

/// What the rules need to know of all receivers together.
struct Survey<'a> {
    /// The preferred eligible receiver: an idle one before all others, then by rank.
    free: Option<(&'a Receiver, Standing)>,
    tally: Tally,
    receivers: Receivers<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Receivers<'a> {
    List(&'a [Receiver]),
    Map(&'a BTreeMap<Pin, Receiver>),
}

impl<'a> Receivers<'a> {
    fn iter(self) -> Box<dyn Iterator<Item = &'a Receiver> + 'a> {
        match self {
            Receivers::List(list) => Box::new(list.iter()),
            Receivers::Map(map) => Box::new(map.values()),
        }
    }
}

fn build_path<'a>(conditions: &'a Conditions, survey: Survey<'a>) -> Decision<'a, Path> {
    let no_fallback = conditions.policy == VersionPolicy::ExactRequired;
    let (outcome, rule) = if !conditions.remote_builds {
        (Path::Local, Rule::RemoteBuildsOff)
    } else if let Some((receiver, _)) = survey.free {
        (Path::Remote(receiver.pin), Rule::Free)
    } else if no_fallback && survey.tally.intended > 0 {
        (Path::NoCompatiblePeer, Rule::NoneFits)
    } else {
        (Path::Local, Rule::Fallback)
    };
    survey.decide(conditions, outcome, rule)
}

fn dispatch_target<'a>(conditions: &'a Conditions, survey: Survey<'a>) -> Decision<'a, Target> {
    let Tally {
        intended,
        link_closed,
        busy_with_ours,
        ..
    } = survey.tally;
    let no_fallback = conditions.policy == VersionPolicy::ExactRequired && intended > 0;
    let may_help = conditions.include_local && conditions.lane == Lane::Idle;
    let (outcome, rule) = if !conditions.remote_builds {
        (Target::Local, Rule::RemoteBuildsOff)
    } else if let Some((receiver, _)) = survey.free {
        (Target::Remote(receiver.pin), Rule::Free)
    } else if busy_with_ours > 0 && may_help {
        (Target::Local, Rule::LocalOverflow)
    } else if busy_with_ours > 0 {
        (Target::Wait, Rule::AllBusyWithOurs)
    } else if no_fallback && link_closed > 0 {
        (Target::Wait, Rule::LinkMayReturn)
    } else if no_fallback {
        (Target::NoCompatiblePeer, Rule::NoneFits)
    } else {
        (Target::Local, Rule::Fallback)
    };
    survey.decide(conditions, outcome, rule)
}

impl<'a> Survey<'a> {
    fn decide<O>(self, conditions: &'a Conditions, outcome: O, rule: Rule) -> Decision<'a, O> {
        Decision {
            outcome,
            rule,
            tally: self.tally,
            chosen: self.free.filter(|_| rule == Rule::Free),
            conditions,
            receivers: self.receivers,
        }
    }
}

#[cfg(test)]
mod tests;
