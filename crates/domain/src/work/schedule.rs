//! Today's scheduler (builds.md §1.1–1.7): which receiver builds, and why.
//!
//! [`pick_build_path`] and [`pick_dispatch_target`] are the rules, plain functions over a
//! [`Snapshot`]. [`Pool`] gives the same answers from an index that is kept up to date by the
//! changes, so that a decision costs the same for ten receivers and for a hundred thousand.
//! Neither knows of jobs, clocks or links beyond the values given.
use std::collections::{BTreeMap, BTreeSet};

use kiln_model::{
    EsphomeVersion, Label, Pairing, PairingStatus, Pin, Placement, QueueStatus, Sentence,
    Timestamp, VersionPolicy, say,
};

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
    /// Our own compile lane is not idle. Read at dispatch only.
    pub local_busy: bool,
}

/// Whether a session with a receiver is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Live, after the handshake.
    Open,
    /// Anything else.
    Closed,
}

/// One pairing as the scheduler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Who.
    pub pin: Pin,
    /// The owner's name for it.
    pub label: Label,
    /// When it was paired: older ones are preferred.
    pub paired_at: Timestamp,
    /// Pending or approved.
    pub status: PairingStatus,
    /// Whether the owner lets the scheduler choose it.
    pub enabled: bool,
    /// What it compiles with, if it said.
    pub esphome_version: Option<EsphomeVersion>,
    /// It compiles with our version when that is not its own.
    pub auto_provision: bool,
    /// Its link.
    pub link: Link,
    /// Its last queue snapshot; only `idle` is read.
    pub queue: Option<QueueStatus>,
    /// It already compiles for us. Read at dispatch only.
    pub ours_in_flight: bool,
}

impl Receiver {
    /// Makes the scheduler's view of a pairing: link closed, queue unknown, nothing in flight.
    pub fn of(pairing: &Pairing) -> Self {
        Self {
            pin: pairing.pin,
            label: pairing.label.clone(),
            paired_at: pairing.paired_at,
            status: pairing.status,
            enabled: pairing.enabled,
            esphome_version: pairing.esphome_version.clone(),
            auto_provision: pairing.capabilities.auto_provision,
            link: Link::Closed,
            queue: None,
            ours_in_flight: false,
        }
    }

    /// Judges this receiver; the first rule that applies decides (builds.md §1.4).
    pub fn standing(&self, conditions: &Conditions) -> Standing {
        match self.status {
            PairingStatus::Approved => {}
            PairingStatus::Pending => return Standing::NotApproved,
        }
        if !self.enabled {
            return Standing::Disabled;
        }
        match self.link {
            Link::Open => {}
            Link::Closed => return Standing::LinkClosed,
        }
        if self.queue.is_some_and(|queue| queue.absence.is_some()) {
            return Standing::NotLent;
        }
        if !self.version_fits(conditions) {
            return Standing::OtherVersion;
        }
        if self.ours_in_flight {
            return Standing::BusyWithOurs;
        }
        self.readiness()
    }

    /// How ready an eligible receiver is.
    fn readiness(&self) -> Standing {
        match self.queue {
            Some(QueueStatus { idle: true, .. }) => Standing::Idle,
            Some(QueueStatus { idle: false, .. }) => Standing::BusyWithOthers,
            None => Standing::QueueUnknown,
        }
    }

    /// Returns what a job that is bound to this receiver says of its place (builds.md §1.7): its
    /// version only when it will compile with another one than ours.
    pub fn placement(&self, conditions: &Conditions) -> Placement {
        let same = self.esphome_version == conditions.esphome_version;
        let foreign = !same && !self.can_provision(conditions);
        Placement::Remote {
            pin: self.pin,
            label: self.label.clone(),
            esphome_version: self.esphome_version.clone().filter(|_| foreign),
        }
    }

    fn version_fits(&self, conditions: &Conditions) -> bool {
        let ours = text_of(conditions.esphome_version.as_ref());
        let theirs = text_of(self.esphome_version.as_ref());
        satisfies(ours, theirs, conditions.policy) || self.can_provision(conditions)
    }

    /// It compiles with our version in an environment of its own, so the result is exact.
    fn can_provision(&self, conditions: &Conditions) -> bool {
        let ours = conditions.esphome_version.as_ref();
        self.auto_provision && ours.is_some_and(EsphomeVersion::is_pinnable)
    }

    /// Preference: paired longest, then lowest pin.
    fn rank(&self) -> Rank {
        (self.paired_at, self.pin)
    }
}

/// Preference order of receivers: paired longest, then lowest pin.
type Rank = (Timestamp, Pin);

fn text_of(version: Option<&EsphomeVersion>) -> &str {
    version.map_or("", EsphomeVersion::as_str)
}

/// Returns whether a receiver of version `theirs` is acceptable to an offloader of version `ours`
/// (builds.md §1.3). The empty text is an unknown version.
pub fn satisfies(ours: &str, theirs: &str, policy: VersionPolicy) -> bool {
    let unknown = ours.is_empty() || theirs.is_empty();
    match policy {
        VersionPolicy::Any => true,
        VersionPolicy::Release => {
            unknown || ours == theirs || release_key(ours) == release_key(theirs)
        }
        VersionPolicy::Exact => unknown || ours == theirs,
        VersionPolicy::ExactRequired => !unknown && ours == theirs,
    }
}

/// The release line as text: up to the first dot, and the leading digits of what follows. Textual
/// on purpose: `2026.06` is not `2026.6` for the reference peer either.
fn release_key(version: &str) -> (&str, &str) {
    let (year, rest) = version.split_once('.').unwrap_or((version, ""));
    let month = rest.split('.').next().unwrap_or(rest);
    let digits = month.bytes().take_while(u8::is_ascii_digit).count();
    let leading = if digits == 0 { month } else { &month[..digits] };
    (year, leading)
}

/// What keeps a receiver from building, or how ready it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Its admin has not decided.
    NotApproved,
    /// The owner switched it off.
    Disabled,
    /// No session is open.
    LinkClosed,
    /// A Kiln whose owner needs it now.
    NotLent,
    /// Its ESPHome version does not fit the policy and it cannot build with ours.
    OtherVersion,
    /// It already builds for us.
    BusyWithOurs,
    /// Can build; says it is idle.
    Idle,
    /// Can build; its queue takes the job behind others' work.
    BusyWithOthers,
    /// Can build; has not said how busy it is.
    QueueUnknown,
}

impl Standing {
    /// Returns the stable code, for machine-readable faces.
    pub fn code(self) -> &'static str {
        match self {
            Standing::NotApproved => "not_approved",
            Standing::Disabled => "disabled",
            Standing::LinkClosed => "link_closed",
            Standing::NotLent => "not_lent",
            Standing::OtherVersion => "other_version",
            Standing::BusyWithOurs => "busy_with_ours",
            Standing::Idle => "idle",
            Standing::BusyWithOthers => "busy_with_others",
            Standing::QueueUnknown => "queue_unknown",
        }
    }

    fn sentence(self) -> Sentence {
        match self {
            Standing::NotApproved => say::standing_not_approved(),
            Standing::Disabled => say::standing_disabled(),
            Standing::LinkClosed => say::standing_link_closed(),
            Standing::NotLent => say::standing_not_lent(),
            Standing::OtherVersion => say::standing_other_version(),
            Standing::BusyWithOurs => say::standing_busy_with_ours(),
            Standing::Idle => say::standing_idle(),
            Standing::BusyWithOthers => say::standing_busy_with_others(),
            Standing::QueueUnknown => say::standing_queue_unknown(),
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

/// The rule that decided; stable codes in [`Rule::code`].
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

impl Rule {
    /// Returns the stable code, for machine-readable faces.
    pub fn code(self) -> &'static str {
        match self {
            Rule::RemoteBuildsOff => "remote_builds_off",
            Rule::Free => "free",
            Rule::LocalOverflow => "local_overflow",
            Rule::AllBusyWithOurs => "all_busy_with_ours",
            Rule::LinkMayReturn => "link_may_return",
            Rule::NoneFits => "none_fits",
            Rule::Fallback => "fallback",
        }
    }
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
    let may_help = conditions.include_local && !conditions.local_busy;
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

    /// Decides at submit: [`pick_build_path`] as if none of our work were in flight.
    pub fn pick_build_path(&self) -> Decision<'_, Path> {
        build_path(&self.conditions, self.survey(&self.at_submit))
    }

    /// Decides at dispatch: [`pick_dispatch_target`].
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A pin written as one letter, as in the vectors.
    fn pin(letter: &str) -> Pin {
        letter.repeat(64).parse().unwrap()
    }

    fn conditions(policy: VersionPolicy) -> Conditions {
        Conditions {
            remote_builds: true,
            esphome_version: EsphomeVersion::parse("2026.10.0"),
            policy,
            include_local: false,
            local_busy: false,
        }
    }

    /// Approved, enabled, connected, idle, with our version.
    fn good(letter: &str, paired_at: i64) -> Receiver {
        Receiver {
            pin: pin(letter),
            label: Label::clipped(&letter.to_uppercase()),
            paired_at: Timestamp(paired_at),
            status: PairingStatus::Approved,
            enabled: true,
            esphome_version: EsphomeVersion::parse("2026.10.0"),
            auto_provision: false,
            link: Link::Open,
            queue: Some(QueueStatus::of(false, 0)),
            ours_in_flight: false,
        }
    }

    fn with(mut receiver: Receiver, change: impl FnOnce(&mut Receiver)) -> Receiver {
        change(&mut receiver);
        receiver
    }

    fn busy(r: &mut Receiver) {
        r.queue = Some(QueueStatus::of(true, 0));
    }

    fn closed(r: &mut Receiver) {
        r.link = Link::Closed;
    }

    fn other_version(r: &mut Receiver) {
        r.esphome_version = EsphomeVersion::parse("2026.9.1");
    }

    fn ours(r: &mut Receiver) {
        r.ours_in_flight = true;
    }

    fn snapshot(policy: VersionPolicy, receivers: &[Receiver]) -> Snapshot {
        Snapshot {
            conditions: conditions(policy),
            receivers: receivers.to_vec(),
        }
    }

    fn submit(policy: VersionPolicy, receivers: &[Receiver]) -> Path {
        pick_build_path(&snapshot(policy, receivers)).outcome
    }

    fn dispatch(policy: VersionPolicy, receivers: &[Receiver]) -> Target {
        pick_dispatch_target(&snapshot(policy, receivers)).outcome
    }

    fn vectors(table: &str) -> Vec<serde_json::Value> {
        let text = include_str!("../../../../tests/vectors/build-vectors.json");
        let all: serde_json::Value = serde_json::from_str(text).unwrap();
        all[table].as_array().unwrap().clone()
    }

    fn snapshot_of(row: &serde_json::Value) -> Snapshot {
        let version = |v: &serde_json::Value| EsphomeVersion::parse(v.as_str().unwrap());
        let names = |list: &serde_json::Value, name: &str| {
            list.as_array().unwrap().iter().any(|n| n == name)
        };
        let receiver = |pairing: &serde_json::Value| {
            let name = pairing["pin"].as_str().unwrap();
            Receiver {
                pin: pin(name),
                label: Label::clipped(name),
                paired_at: Timestamp::from_seconds(pairing["paired_at"].as_f64().unwrap()),
                status: match pairing["status"].as_str().unwrap() {
                    "approved" => PairingStatus::Approved,
                    "pending" => PairingStatus::Pending,
                    other => panic!("{other}"),
                },
                enabled: pairing["enabled"].as_bool().unwrap(),
                esphome_version: version(&pairing["esphome_version"]),
                auto_provision: pairing["auto_provision"].as_bool().unwrap(),
                link: if names(&row["open"], name) {
                    Link::Open
                } else {
                    Link::Closed
                },
                queue: row["queue"].get(name).map(|queue| QueueStatus {
                    idle: queue["idle"].as_bool().unwrap(),
                    running: queue["running"].as_bool().unwrap(),
                    queue_depth: queue["queue_depth"].as_u64().unwrap(),
                    absence: None,
                }),
                ours_in_flight: names(&row["busy"], name),
            }
        };
        Snapshot {
            conditions: Conditions {
                remote_builds: row["enabled"].as_bool().unwrap(),
                esphome_version: version(&row["offloader_version"]),
                policy: VersionPolicy::from_word(row["policy"].as_str().unwrap()).unwrap(),
                include_local: row["include_local"].as_bool().unwrap(),
                local_busy: row["local_busy"].as_bool().unwrap(),
            },
            receivers: row["pairings"]
                .as_array()
                .unwrap()
                .iter()
                .map(receiver)
                .collect(),
        }
    }

    fn remote(pin: Pin) -> String {
        format!("remote:{}", &pin.to_string()[..1])
    }

    fn pool_of(snapshot: &Snapshot) -> Pool {
        let mut pool = Pool::new(snapshot.conditions.clone());
        for receiver in &snapshot.receivers {
            pool.put(receiver.clone());
        }
        pool
    }

    // Covers: M14
    #[test]
    fn every_scheduler_row_of_the_vectors_is_reproduced() {
        let rows = vectors("scheduler");
        assert_eq!(rows.len(), 546);
        for row in rows {
            let snapshot = snapshot_of(&row);
            let path = match pick_build_path(&snapshot).outcome {
                Path::Local => "local".to_owned(),
                Path::Remote(pin) => remote(pin),
                Path::NoCompatiblePeer => "error:no_compatible_peer".to_owned(),
            };
            assert_eq!(path, row["pick_build_path"], "{row}");
            let target = |outcome| match outcome {
                Target::Local => "local".to_owned(),
                Target::Remote(pin) => remote(pin),
                Target::Wait => "wait".to_owned(),
                Target::NoCompatiblePeer => "no_compatible_peer".to_owned(),
            };
            let expected = &row["pick_dispatch_target"];
            assert_eq!(
                target(pick_dispatch_target(&snapshot).outcome),
                *expected,
                "{row}"
            );
            let pool = pool_of(&snapshot);
            assert_eq!(
                target(pool.pick_dispatch_target().outcome),
                *expected,
                "{row}"
            );
        }
    }

    // Covers: M17
    #[test]
    fn every_version_policy_row_of_the_vectors_is_reproduced() {
        let mut rows = vectors("version_policy");
        let more = include_str!("../../../../tests/vectors/versions.json");
        let more: serde_json::Value = serde_json::from_str(more).unwrap();
        rows.extend(more["policy"].as_array().unwrap().iter().cloned());
        assert_eq!(rows.len(), 16 + 9);
        for row in rows {
            for &policy in VersionPolicy::ALL {
                let side = |key: &str| row[key].as_str().unwrap();
                let fits = satisfies(side("local"), side("peer"), policy);
                assert_eq!(fits, row[policy.word()], "{policy:?} {row}");
            }
        }
    }

    // Covers: M1
    #[test]
    fn with_the_master_switch_off_everything_is_built_here() {
        let row = |row: &serde_json::Value| {
            let mut snapshot = snapshot_of(row);
            snapshot.conditions.remote_builds = false;
            snapshot
        };
        for snapshot in vectors("scheduler").iter().map(row) {
            assert_eq!(pick_build_path(&snapshot).outcome, Path::Local);
            assert_eq!(pick_dispatch_target(&snapshot).outcome, Target::Local);
        }
    }

    // Covers: M2
    #[test]
    fn a_pending_pairing_is_not_picked_and_not_intended() {
        let pending = with(good("a", 1), |r| r.status = PairingStatus::Pending);
        for &policy in VersionPolicy::ALL {
            assert_eq!(submit(policy, std::slice::from_ref(&pending)), Path::Local);
            assert_eq!(
                dispatch(policy, std::slice::from_ref(&pending)),
                Target::Local
            );
        }
    }

    // Covers: M3
    #[test]
    fn a_disabled_pairing_is_not_picked_and_not_intended() {
        let disabled = with(good("a", 1), |r| r.enabled = false);
        for &policy in VersionPolicy::ALL {
            assert_eq!(submit(policy, std::slice::from_ref(&disabled)), Path::Local);
            assert_eq!(
                dispatch(policy, std::slice::from_ref(&disabled)),
                Target::Local
            );
        }
    }

    // Covers: M4
    #[test]
    fn receivers_are_preferred_by_age_of_pairing_then_pin_in_whatever_order_they_come() {
        let (old, young) = (good("b", 1), good("a", 2));
        let twins = [good("b", 1), good("a", 1)];
        for policy in [VersionPolicy::Any, VersionPolicy::ExactRequired] {
            let forth = [old.clone(), young.clone()];
            let back = [young.clone(), old.clone()];
            assert_eq!(dispatch(policy, &forth), Target::Remote(old.pin));
            assert_eq!(dispatch(policy, &back), Target::Remote(old.pin));
            assert_eq!(dispatch(policy, &twins), Target::Remote(pin("a")));
        }
    }

    // Covers: M5
    #[test]
    fn an_idle_receiver_wins_over_an_older_one_that_is_not() {
        let receivers = [with(good("a", 1), busy), good("b", 2)];
        assert_eq!(
            dispatch(VersionPolicy::Any, &receivers),
            Target::Remote(pin("b"))
        );
    }

    // Covers: M6
    #[test]
    fn without_an_idle_receiver_the_oldest_gets_it_also_when_its_queue_is_unknown() {
        let unknown = with(good("a", 1), |r| r.queue = None);
        let receivers = [with(good("b", 2), busy), unknown];
        assert_eq!(
            dispatch(VersionPolicy::Any, &receivers),
            Target::Remote(pin("a"))
        );
        assert_eq!(
            submit(VersionPolicy::Any, &receivers),
            Path::Remote(pin("a"))
        );
    }

    // Covers: M7
    #[test]
    fn submit_is_refused_only_when_the_policy_requires_a_receiver_and_none_fits() {
        let unfit = [with(good("a", 1), other_version)];
        for &policy in VersionPolicy::ALL {
            let refused = submit(policy, &unfit) == Path::NoCompatiblePeer;
            assert_eq!(
                refused,
                policy == VersionPolicy::ExactRequired,
                "{policy:?}"
            );
            assert_eq!(submit(policy, &[]), Path::Local, "{policy:?}");
        }
        assert_eq!(
            submit(VersionPolicy::ExactRequired, &[good("a", 1)]),
            Path::Remote(pin("a"))
        );
    }

    // Covers: M8
    #[test]
    fn a_job_waits_while_every_fitting_receiver_builds_for_us() {
        for &policy in VersionPolicy::ALL {
            assert_eq!(dispatch(policy, &[with(good("a", 1), ours)]), Target::Wait);
        }
    }

    // Covers: M9
    #[test]
    fn this_machine_helps_only_when_allowed_and_idle() {
        for (include_local, local_busy, expected) in [
            (true, false, Target::Local),
            (true, true, Target::Wait),
            (false, false, Target::Wait),
            (false, true, Target::Wait),
        ] {
            let mut snapshot = snapshot(VersionPolicy::ExactRequired, &[with(good("a", 1), ours)]);
            snapshot.conditions.include_local = include_local;
            snapshot.conditions.local_busy = local_busy;
            assert_eq!(pick_dispatch_target(&snapshot).outcome, expected);
        }
    }

    // Covers: M10
    #[test]
    fn under_exact_required_a_closed_link_is_waited_for_but_refuses_a_submit() {
        let away = [with(good("a", 1), closed)];
        assert_eq!(dispatch(VersionPolicy::ExactRequired, &away), Target::Wait);
        assert_eq!(
            submit(VersionPolicy::ExactRequired, &away),
            Path::NoCompatiblePeer
        );
    }

    // Covers: M11
    #[test]
    fn under_other_policies_a_pool_of_closed_links_builds_here() {
        for policy in [
            VersionPolicy::Any,
            VersionPolicy::Release,
            VersionPolicy::Exact,
        ] {
            assert_eq!(
                dispatch(policy, &[with(good("a", 1), closed)]),
                Target::Local
            );
        }
    }

    // Covers: M12
    #[test]
    fn auto_provision_rescues_another_version_only_when_ours_can_be_pinned() {
        let able = with(with(good("a", 1), other_version), |r| {
            r.auto_provision = true
        });
        for (version, fits) in [("2026.10.0", true), ("2026.10.0-dev", false)] {
            for policy in [
                VersionPolicy::Release,
                VersionPolicy::Exact,
                VersionPolicy::ExactRequired,
            ] {
                let mut snapshot = snapshot(policy, std::slice::from_ref(&able));
                snapshot.conditions.esphome_version = EsphomeVersion::parse(version);
                let picked = pick_build_path(&snapshot).outcome == Path::Remote(able.pin);
                assert_eq!(picked, fits, "{version} {policy:?}");
            }
        }
    }

    // Covers: M13
    #[test]
    fn an_unknown_version_fits_every_policy_but_exact_required() {
        let silent = [with(good("a", 1), |r| r.esphome_version = None)];
        for &policy in VersionPolicy::ALL {
            let picked = submit(policy, &silent) == Path::Remote(pin("a"));
            assert_eq!(picked, policy != VersionPolicy::ExactRequired, "{policy:?}");
        }
    }

    #[test]
    fn a_submit_does_not_count_our_own_work_in_flight_against_a_receiver() {
        let pool = pool_of(&snapshot(
            VersionPolicy::ExactRequired,
            &[with(good("a", 1), ours)],
        ));
        assert_eq!(pool.pick_build_path().outcome, Path::Remote(pin("a")));
        assert_eq!(pool.pick_dispatch_target().outcome, Target::Wait);
    }

    #[test]
    fn a_bound_job_names_the_receivers_version_only_when_it_builds_with_another_than_ours() {
        let stamped = |receiver: Receiver| match receiver.placement(&conditions(VersionPolicy::Any))
        {
            Placement::Remote {
                esphome_version, ..
            } => esphome_version,
            Placement::Local | Placement::RemotePending => panic!("not remote"),
        };
        let other = with(good("a", 1), other_version);
        assert_eq!(stamped(good("a", 1)), None);
        assert_eq!(stamped(other.clone()), EsphomeVersion::parse("2026.9.1"));
        assert_eq!(stamped(with(other, |r| r.auto_provision = true)), None);
    }

    #[test]
    fn a_decision_explains_itself_with_every_intended_receiver() {
        let away = with(good("a", 1), closed);
        let old = with(good("b", 2), other_version);
        let off = with(good("c", 3), |r| r.enabled = false);
        let say = |policy, receivers: &[Receiver]| {
            pick_dispatch_target(&snapshot(policy, receivers))
                .sentence()
                .to_string()
        };
        use VersionPolicy::{Any, Exact, ExactRequired};
        assert_eq!(say(Any, &[good("a", 1)]), "receiver A: idle");
        assert_eq!(
            say(Any, std::slice::from_ref(&off)),
            "no receiver is paired and switched on"
        );
        assert_eq!(
            say(Exact, &[away.clone(), old.clone(), off.clone()]),
            "no receiver can build now: receiver A: link closed; receiver B: another ESPHome version"
        );
        assert_eq!(
            say(ExactRequired, &[old]),
            "no receiver has the same ESPHome version and a link: receiver B: another ESPHome version"
        );
        assert_eq!(
            say(Any, &[with(good("a", 1), ours)]),
            "waits for a receiver to finish our work: receiver A: builds for us already"
        );
        let many: Vec<_> = (0..7)
            .map(|i| with(away.clone(), |r| r.pin = Pin([i; 32])))
            .collect();
        assert!(say(Any, &many).ends_with("; and 3 more"));
        let snapshot = snapshot(Any, &[away, off]);
        let peers: Vec<_> = pick_build_path(&snapshot)
            .peers()
            .map(|p| p.standing.code())
            .collect();
        assert_eq!(peers, ["link_closed", "disabled"]);
    }

    fn any_receiver() -> impl Strategy<Value = Receiver> {
        let version = prop_oneof![
            Just(""),
            Just("2026.10.0"),
            Just("2026.10.1"),
            Just("2026.9.0"),
            Just("2026.10.0-dev"),
        ];
        let queue = prop::option::of(any::<bool>().prop_map(|idle| QueueStatus {
            idle,
            running: false,
            queue_depth: 0,
            absence: None,
        }));
        let flags = prop::array::uniform5(prop::bool::weighted(0.8));
        (0..12_u8, 0..4_i64, version, queue, flags).prop_map(
            |(pin, paired_at, version, queue, [approved, enabled, open, free, plain])| Receiver {
                pin: Pin([pin; 32]),
                label: Label::default(),
                paired_at: Timestamp(paired_at),
                status: match approved {
                    true => PairingStatus::Approved,
                    false => PairingStatus::Pending,
                },
                enabled,
                esphome_version: EsphomeVersion::parse(version),
                auto_provision: !plain,
                link: if open { Link::Open } else { Link::Closed },
                queue,
                ours_in_flight: !free,
            },
        )
    }

    fn any_conditions() -> impl Strategy<Value = Conditions> {
        let policy = prop::sample::select(VersionPolicy::ALL);
        let version = prop::sample::select(vec!["", "2026.10.0", "2026.10.0-dev"]);
        (
            prop::bool::weighted(0.9),
            policy,
            version,
            any::<[bool; 2]>(),
        )
            .prop_map(
                |(remote_builds, policy, version, [include_local, local_busy])| Conditions {
                    remote_builds,
                    esphome_version: EsphomeVersion::parse(version),
                    policy,
                    include_local,
                    local_busy,
                },
            )
    }

    #[derive(Clone, Debug)]
    enum Change {
        Put(Receiver),
        Remove(u8),
        Link(u8, bool),
        Queue(u8, Option<bool>),
        Ours(u8, bool),
        Conditions(Conditions),
    }

    fn any_change() -> impl Strategy<Value = Change> {
        let who = 0..12_u8;
        prop_oneof![
            6 => any_receiver().prop_map(Change::Put),
            1 => who.clone().prop_map(Change::Remove),
            2 => (who.clone(), any::<bool>()).prop_map(|(w, b)| Change::Link(w, b)),
            2 => (who.clone(), any::<Option<bool>>()).prop_map(|(w, b)| Change::Queue(w, b)),
            2 => (who, any::<bool>()).prop_map(|(w, b)| Change::Ours(w, b)),
            1 => any_conditions().prop_map(Change::Conditions),
        ]
    }

    proptest! {
        #[test]
        fn the_pool_decides_like_the_plain_functions_after_any_changes(
            first in any_conditions(),
            changes in prop::collection::vec(any_change(), 1..60),
        ) {
            let mut pool = Pool::new(first.clone());
            let mut model = (first, BTreeMap::new());
            for change in changes {
                let edit = |pool: &mut Pool, model: &mut BTreeMap<Pin, Receiver>, who: u8, f: &dyn Fn(&mut Receiver)| {
                    pool.update(Pin([who; 32]), f);
                    if let Some(receiver) = model.get_mut(&Pin([who; 32])) {
                        f(receiver);
                    }
                };
                match change {
                    Change::Put(r) => {
                        model.1.insert(r.pin, r.clone());
                        pool.put(r);
                    }
                    Change::Remove(who) => {
                        let pin = Pin([who; 32]);
                        prop_assert_eq!(pool.remove(pin), model.1.remove(&pin));
                    }
                    Change::Link(who, open) => edit(&mut pool, &mut model.1, who, &|r| {
                        r.link = if open { Link::Open } else { Link::Closed };
                    }),
                    Change::Queue(who, idle) => edit(&mut pool, &mut model.1, who, &|r| {
                        r.queue = idle.map(|idle| QueueStatus { idle, ..QueueStatus::default() });
                    }),
                    Change::Ours(who, ours) => edit(&mut pool, &mut model.1, who, &|r| {
                        r.ours_in_flight = ours;
                    }),
                    Change::Conditions(c) => {
                        model.0 = c.clone();
                        pool.set_conditions(c);
                    }
                }
                let dispatch = Snapshot {
                    conditions: model.0.clone(),
                    receivers: model.1.values().cloned().collect(),
                };
                let mut submit = dispatch.clone();
                submit.receivers.iter_mut().for_each(|r| r.ours_in_flight = false);
                let (ours, reference) = (pool.pick_dispatch_target(), pick_dispatch_target(&dispatch));
                prop_assert_eq!(ours.outcome, reference.outcome);
                prop_assert_eq!(ours.tally, reference.tally);
                prop_assert_eq!(ours.sentence(), reference.sentence());
                let (ours, reference) = (pool.pick_build_path(), pick_build_path(&submit));
                prop_assert_eq!(ours.outcome, reference.outcome);
                prop_assert_eq!(ours.tally, reference.tally);
            }
        }
    }
}
