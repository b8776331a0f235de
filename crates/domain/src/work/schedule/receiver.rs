//! [`Receiver`]: one pairing as the scheduler sees it, and its [`Standing`] (builds.md §1.3, §1.4).
use kiln_model::{
    EsphomeVersion, Label, Pairing, PairingStatus, Pin, Placement, QueueStatus, Sentence,
    Timestamp, VersionPolicy, say,
};

use super::Conditions;

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
    pub(super) fn readiness(&self) -> Standing {
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
    pub(super) fn rank(&self) -> Rank {
        (self.paired_at, self.pin)
    }
}

/// Preference order of receivers: paired longest, then lowest pin.
pub(super) type Rank = (Timestamp, Pin);

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
    /// Returns whether this receiver can build for us, now or when it has built what it builds for us.
    pub fn can_build(self) -> bool {
        match self {
            Standing::BusyWithOurs
            | Standing::Idle
            | Standing::BusyWithOthers
            | Standing::QueueUnknown => true,
            Standing::NotApproved
            | Standing::Disabled
            | Standing::LinkClosed
            | Standing::NotLent
            | Standing::OtherVersion => false,
        }
    }

    pub(super) fn sentence(self) -> Sentence {
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
