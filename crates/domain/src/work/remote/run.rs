//! [`Run`]: one build on a receiver, as the offloader sees it (builds.md §4).
//!
//! A run belongs to the link over which its submission went and to a wire id that no other attempt
//! ever had, so neither an old link nor an old attempt can speak for it; a build that goes on without
//! its link is bound to the next one. Cleans and resets on receivers are runs too; unlike the reference
//! peer's they hold no compile lane while they wait.
use std::time::Duration;

use kiln_model::{BlobId, LinkId, Mono, Pin, WireJobId};

use crate::Deadline;
use crate::work::event::BundleFacts;
use crate::work::outcome::Outcome;

/// Longest wait for the verdict on an upload, from its last chunk (peer-link.md §5.7).
const ACK_PATIENCE: Duration = Duration::from_secs(60);

/// One attempt on one receiver.
#[derive(Debug)]
pub(in crate::work) struct Run {
    pub(in crate::work) pin: Pin,
    pub(super) phase: Phase,
    /// When a cancel that is not answered ends the job here.
    pub(super) cancel_by: Option<Mono>,
    pub(super) retry: Retry,
    /// Until when a receiver that still sends other artifacts is asked for ours.
    pub(super) turn_by: Option<Mono>,
}

/// Whether the download was tried again already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    Left,
    Used,
}

/// Nothing is heard of a build that was taken up again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unheard {
    /// When its artifacts are asked for again; `None`: as soon as none come over the link.
    pub(super) ask: Option<Mono>,
    /// When no more is expected of it, whatever its receiver is busy with.
    pub(super) until: Mono,
    /// What its receiver did when it was asked last.
    pub(super) found: Found,
}

/// What a receiver does that says nothing of a build.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// Nothing.
    Idle,
    /// It builds and nothing waits there, so ours does not either. `until` is when no more is expected of
    /// it if that stays so.
    Building { until: Mono },
    /// Ours may wait there, behind others or for the owner.
    Busy,
}

impl Unheard {
    /// Returns when no more is expected of the build.
    pub(super) fn end(&self) -> Mono {
        match self.found {
            Found::Building { until } => until.min(self.until),
            Found::Idle | Found::Busy => self.until,
        }
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Its bundle is being made.
    Bundling,
    /// Waits for the link, or for its turn on it; `until` runs while the link is closed. A reset
    /// has no bundle.
    Ready {
        bundle: Option<BundleFacts>,
        until: Option<Mono>,
    },
    /// Chunks are being sent.
    Uploading { link: LinkId, wire: WireJobId },
    /// All is sent; the verdict is due. Then the link is asked whether anything was heard `since`.
    AwaitingAck {
        link: LinkId,
        wire: WireJobId,
        since: Mono,
        until: Mono,
    },
    /// Accepted: it waits or builds there. `unheard` is set while nothing was heard of it since it was
    /// taken up again.
    Accepted {
        link: LinkId,
        wire: WireJobId,
        unheard: Option<Unheard>,
    },
    /// Said to have ended without a reason; that counts unless the session ends too.
    Doubted {
        link: LinkId,
        wire: WireJobId,
        until: Mono,
        outcome: Outcome,
    },
    /// Completed there; its artifacts are asked for when none come over the link, and not before a
    /// moment.
    Completed {
        link: LinkId,
        wire: WireJobId,
        not_before: Option<Mono>,
    },
    /// Accepted there, and its link was lost: it is taken up again over a newer link than `not`.
    Detached {
        wire: WireJobId,
        not: LinkId,
        until: Mono,
    },
    /// Taken up again: its artifacts are asked for, in case it is completed. `before` is set when they were
    /// asked for before.
    Asking {
        link: LinkId,
        wire: WireJobId,
        before: Option<Unheard>,
    },
    /// Completed there; its artifacts are on the way.
    Downloading { link: LinkId, wire: WireJobId },
    /// Completed there; the download is tried again, over a newer link than `not`.
    DownloadAgain {
        wire: WireJobId,
        not: Option<LinkId>,
        until: Mono,
    },
    /// Its artifacts are here and wait until nobody uses the local build tree.
    Delivered { blob: BlobId },
    /// Its artifacts are being put into the local build tree.
    Materialising { blob: BlobId },
}

impl Phase {
    /// All is sent now.
    pub(super) fn awaiting_ack(link: LinkId, wire: WireJobId, now: Mono) -> Self {
        Self::AwaitingAck {
            link,
            wire,
            since: now,
            until: now + ACK_PATIENCE,
        }
    }
}

impl Run {
    pub(super) fn new(pin: Pin, phase: Phase) -> Self {
        Self {
            pin,
            phase,
            cancel_by: None,
            retry: Retry::Left,
            turn_by: None,
        }
    }

    pub(in crate::work) fn is_materialising(&self) -> bool {
        matches!(self.phase, Phase::Materialising { .. })
    }

    /// Returns when something has to happen even if nobody says anything.
    pub(in crate::work) fn deadline(&self) -> Option<(Mono, Deadline)> {
        let phase = match &self.phase {
            Phase::Ready { until, .. } => until.map(|at| (at, "LinkGrace")),
            Phase::AwaitingAck { until, .. } => Some((*until, "SubmitAck")),
            Phase::Doubted { until, .. } => Some((*until, "LastWord")),
            Phase::Completed { not_before, .. } => not_before.map(|at| (at, "DownloadTurn")),
            Phase::DownloadAgain { until, .. } => Some((*until, "DownloadRetry")),
            Phase::Detached { until, .. } => Some((*until, "Reattach")),
            Phase::Accepted { unheard, .. } => {
                unheard.map(|u| (u.ask.map_or(u.end(), |ask| ask.min(u.end())), "Silence"))
            }
            Phase::Bundling
            | Phase::Uploading { .. }
            | Phase::Asking { .. }
            | Phase::Downloading { .. }
            | Phase::Delivered { .. }
            | Phase::Materialising { .. } => None,
        };
        let cancel = self.cancel_by.map(|at| (at, "CancelAnswer"));
        phase.into_iter().chain(cancel).min_by_key(|(at, _)| *at)
    }

    /// Returns the link and wire id this run is bound to, once it is.
    pub(super) fn bound(&self) -> Option<(LinkId, &WireJobId)> {
        match &self.phase {
            Phase::Uploading { link, wire }
            | Phase::AwaitingAck { link, wire, .. }
            | Phase::Accepted { link, wire, .. }
            | Phase::Doubted { link, wire, .. }
            | Phase::Completed { link, wire, .. }
            | Phase::Asking { link, wire, .. }
            | Phase::Downloading { link, wire } => Some((*link, wire)),
            Phase::Bundling
            | Phase::Ready { .. }
            | Phase::Detached { .. }
            | Phase::DownloadAgain { .. }
            | Phase::Delivered { .. }
            | Phase::Materialising { .. } => None,
        }
    }

    /// Returns whether the end of this link is its loss.
    pub(super) fn hangs_on(&self, link: LinkId) -> bool {
        match &self.phase {
            // The link may be told to be lost before it is told why.
            Phase::Detached { not, .. } => *not == link,
            _ => self.bound().is_some_and(|(of, _)| of == link),
        }
    }

    /// Still needs its receiver, and can leave it: a bundle in the making is not interrupted, and
    /// firmware that is here needs nobody.
    pub(in crate::work) fn needs_receiver(&self) -> bool {
        match &self.phase {
            Phase::Ready { .. }
            | Phase::Uploading { .. }
            | Phase::AwaitingAck { .. }
            | Phase::Accepted { .. }
            | Phase::Doubted { .. }
            | Phase::Completed { .. }
            | Phase::Detached { .. }
            | Phase::Asking { .. }
            | Phase::Downloading { .. }
            | Phase::DownloadAgain { .. } => true,
            Phase::Bundling | Phase::Delivered { .. } | Phase::Materialising { .. } => false,
        }
    }

    /// An upload of this run occupies the link: only one may (peer-link.md §5.6).
    pub(super) fn occupies(&self, link: LinkId) -> bool {
        match &self.phase {
            Phase::Uploading { link: l, .. } | Phase::AwaitingAck { link: l, .. } => *l == link,
            _ => false,
        }
    }
}
