//! [`Entry`]: one line of the audit, the record of what this node did and for whom; what can be
//! asked of it, and the answers.
use std::time::Duration;

use crate::link::words;
use crate::{Digest, EsphomeVersion, JobId, JobKind, Label, Pin, Tier, Timestamp};

/// Something that happened, at its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1 since the audit began; never used twice.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// SHA-256 of the entry as it is stored; the next entry names it.
    pub hash: Digest,
    /// What happened.
    pub fact: Fact,
}

/// What happened. Nothing in it is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The node started: what was open before and has no end ended without a word.
    Started {
        /// Version of Kiln.
        version: String,
        /// Its own key.
        pin: Pin,
        /// What holds builds of others, as it was proved at this start.
        tier: Tier,
    },
    /// Who is trusted, or asks to be.
    Pairing(PairingFact),
    /// This computer's own key changed.
    Rotated {
        /// The key before.
        from: Pin,
        /// The key from now on.
        to: Pin,
    },
    /// A session began or ended.
    Session(SessionFact),
    /// A job went on.
    Job(Box<JobFact>),
    /// A setting changed.
    Setting {
        /// Its name, as in `kiln settings`.
        name: String,
        /// Its value before.
        old: String,
        /// Its value from now on.
        new: String,
    },
}

words! {
    /// What an entry is about.
    FactKind {
        /// The node itself.
        Node = "node",
        /// Who is trusted, and this computer's own key.
        Pairing = "pairing",
        /// Sessions.
        Session = "session",
        /// Jobs.
        Job = "job",
        /// Settings.
        Setting = "setting",
    }
}

impl Fact {
    /// Returns what it is about.
    pub fn kind(&self) -> FactKind {
        match self {
            Fact::Started { .. } => FactKind::Node,
            Fact::Pairing(_) | Fact::Rotated { .. } => FactKind::Pairing,
            Fact::Session(_) => FactKind::Session,
            Fact::Job(_) => FactKind::Job,
            Fact::Setting { .. } => FactKind::Setting,
        }
    }

    /// Returns whether another computer has a part in it.
    pub fn involves(&self, pin: Pin) -> bool {
        let is = |party: &Option<Party>| party.as_ref().is_some_and(|party| party.pin == pin);
        match self {
            Fact::Started { .. } | Fact::Rotated { .. } | Fact::Setting { .. } => false,
            Fact::Pairing(fact) => fact.party.pin == pin || fact.observed == Some(pin),
            Fact::Session(fact) => fact.party.pin == pin,
            Fact::Job(fact) => {
                let there = match &fact.built {
                    Built::Here | Built::Undecided => false,
                    Built::There(receiver) => receiver.pin == pin,
                };
                there || is(&fact.sender)
            }
        }
    }
}

/// Another computer, as it was called then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// Its key.
    pub pin: Pin,
    /// Its label.
    pub label: Label,
}

words! {
    /// What another computer is to this one.
    Side {
        /// It sends builds to this one.
        Offloader = "offloader",
        /// It builds for this one.
        Receiver = "receiver",
    }
}

words! {
    /// What happened to the trust in another computer.
    PairingStep {
        /// It asked to be admitted, or was asked to admit this computer.
        Asked = "asked",
        /// It is trusted from now on.
        Approved = "approved",
        /// It was trusted already when the node started, and no entry says since when: it was taken over
        /// from a dashboard, or that entry was pruned.
        Found = "found",
        /// Its request was refused by the owner.
        Rejected = "rejected",
        /// It is not trusted any more.
        Removed = "removed",
        /// It does not know this computer any more, or refused its request.
        Revoked = "revoked",
        /// Another key answered in its place; it is not used until the owner decides.
        KeyChanged = "key_changed",
        /// Another Kiln with the same identity took over its session.
        Superseded = "superseded",
    }
}

/// A step of a pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingFact {
    /// Which.
    pub step: PairingStep,
    /// What the other computer is.
    pub side: Side,
    /// Which computer.
    pub party: Party,
    /// The key that answered instead of the pinned one.
    pub observed: Option<Pin>,
}

words! {
    /// What happened to a session.
    SessionStep {
        /// It began.
        Opened = "opened",
        /// It ended.
        Closed = "closed",
    }
}

/// Begin or end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFact {
    /// Which.
    pub step: SessionStep,
    /// What the other computer is.
    pub side: Side,
    /// Which computer.
    pub party: Party,
    /// Why it ended, in one word or a few; empty when it began.
    pub why: String,
}

words! {
    /// How far a job came.
    JobStep {
        /// It was taken on.
        Accepted = "accepted",
        /// Work on it began.
        Started = "started",
        /// It is over.
        Ended = "ended",
        /// What it built was packed for its sender.
        Packed = "packed",
    }
}

words! {
    /// How a job ended.
    JobOutcome {
        /// With what was asked for.
        Completed = "completed",
        /// Without.
        Failed = "failed",
        /// Because somebody asked.
        Cancelled = "cancelled",
        /// Given back, so that its sender builds it elsewhere.
        HandedBack = "handed_back",
    }
}

/// Where a job is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Built {
    /// On this computer.
    Here,
    /// On a receiver.
    There(Party),
    /// On some receiver that is not chosen yet.
    Undecided,
}

words! {
    /// What came of a build's wish to reach a host.
    Reach {
        /// A connection was made.
        Reached = "reached",
        /// It is not allowed, or leads into a private network.
        Refused = "refused",
        /// It could not be reached.
        Failed = "failed",
    }
}

/// A host that a boxed build asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactedHost {
    /// Name and port.
    pub place: String,
    /// What came of it at best.
    pub reach: Reach,
}

/// A step of a job, with everything that is known by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFact {
    /// Which step.
    pub step: JobStep,
    /// Our id of the job.
    pub job: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Who sent it; `None`: the owner of this computer.
    pub sender: Option<Party>,
    /// Leaf YAML name; empty for a reset.
    pub configuration: String,
    /// Display name of the device.
    pub device: String,
    /// Where it is done.
    pub built: Built,
    /// When it was taken on.
    pub accepted: Timestamp,
    /// When work on it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// For how long it ran for somebody else: neither stood still, nor while this computer slept.
    pub ran: Option<Duration>,
    /// How it ended.
    pub outcome: Option<JobOutcome>,
    /// Why it ended so, or why it is where it is.
    pub reason: String,
    /// ESPHome version it was built with.
    pub esphome_version: Option<EsphomeVersion>,
    /// Hash of the bundle that it was sent as.
    pub bundle: Option<Digest>,
    /// Hash of the artifacts that were packed here, or came from the receiver.
    pub artifacts: Option<Digest>,
    /// What held a build of somebody else.
    pub tier: Option<Tier>,
    /// Hosts that a boxed build asked for, each once: those first that it reached, then in the order of the
    /// first time.
    pub hosts: Vec<ContactedHost>,
    /// Further hosts that are not listed; of those that are too many to keep apart, each time counts.
    pub more_hosts: u32,
}

/// Which entries are wanted: those that fit everything that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Written at this time or later.
    pub since: Option<Timestamp>,
    /// About this.
    pub kind: Option<FactKind>,
    /// In which this computer has a part.
    pub peer: Option<Pin>,
    /// At most so many, the newest; `None`: as many as fit into one answer.
    pub limit: Option<u32>,
}

/// Something that is asked of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditQuestion {
    /// Entries, oldest first.
    Entries(AuditFilter),
    /// Whether it is as it was written.
    Verify {
        /// Hash of an entry that was noted elsewhere, which has to be in it.
        noted: Option<Digest>,
    },
    /// What was built for others and by others.
    Statistics {
        /// Jobs that ended at this time or later.
        since: Option<Timestamp>,
    },
}

/// What verifying the audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Every entry is there as it was written.
    Intact(AuditSpan),
    /// It is not as it was written.
    Broken {
        /// The first entry that is not right.
        number: u64,
        /// What is wrong with it.
        fault: ChainFault,
    },
}

/// What an intact audit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditSpan {
    /// Number of the oldest entry that is kept.
    pub first: u64,
    /// Number of the newest; 0 while there is none.
    pub last: u64,
    /// Hash of the newest, to be noted elsewhere.
    pub head: Digest,
}

words! {
    /// How a chain is broken.
    ChainFault {
        /// The entry is not what was written.
        Changed = "changed",
        /// The entry is gone.
        Missing = "missing",
        /// The entry stands at the wrong place, or twice.
        Reordered = "reordered",
        /// The oldest entries are gone without having been pruned.
        BeginningCut = "beginning_cut",
        /// The newest entries are gone.
        EndCut = "end_cut",
        /// What says where the audit begins and ends is or was lost, so a cut is not noticed.
        NoAnchor = "no_anchor",
        /// The entry that was noted elsewhere is not in it: it was rewritten, or pruned since.
        NotedMissing = "noted_missing",
    }
}

/// What was built for others and by others, as far as the audit reaches back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When the oldest entry that is kept was written, or the time that was asked for if that is
    /// later.
    pub since: Option<Timestamp>,
    /// For whom this computer built, most time first.
    pub given: Vec<Given>,
    /// Who built for this computer, most builds first.
    pub gained: Vec<Gained>,
}

/// What this computer did for one sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The sender.
    pub party: Party,
    /// Builds that completed.
    pub completed: u64,
    /// Builds that failed.
    pub failed: u64,
    /// Builds that the sender cancelled.
    pub cancelled: u64,
    /// Builds that were given back.
    pub handed_back: u64,
    /// Seconds between begin and end of all of them.
    pub seconds: u64,
}

/// What one receiver did for this computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gained {
    /// The receiver.
    pub party: Party,
    /// Builds that completed there.
    pub completed: u64,
    /// Seconds between begin and end of all of them, transfers included.
    pub seconds: u64,
    /// How many of them can be compared: the same configuration was compiled here, too.
    pub compared: u64,
    /// Seconds that those took less than the median compile here; negative when they took longer.
    pub saved_seconds: i64,
}
