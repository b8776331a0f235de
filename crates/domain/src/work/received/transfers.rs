//! [`Transfers`]: what goes between this machine and offloaders right now, and what is about to.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::{ArtifactsRefusal, JobKind, JobStatus, LinkId, Message, Mono, Pin, WireJobId};

use crate::work::effect::{BuildTree, Effect};
use crate::work::jobs::Entry;
use crate::work::links::Links;
use crate::work::{Stage, Work};

/// How long a sender may take until it fetches a result; a reference peer asks at once.
const FETCH: Duration = Duration::from_secs(30);

/// Transfers with offloaders.
#[derive(Debug, Default)]
pub(in crate::work) struct Transfers {
    /// Uploads in progress.
    arriving: BTreeSet<(LinkId, WireJobId)>,
    /// Artifact streams in progress.
    serving: BTreeMap<LinkId, Serving>,
    /// Results that are asked for and wait for a newer build by the same id.
    pub(super) postponed: BTreeMap<LinkId, (Pin, WireJobId)>,
    /// Results that their senders are about to fetch, and until when that is expected. A session that
    /// ends before costs the sender's user the install (builds.md §4.4).
    owed: BTreeMap<(Pin, WireJobId), Mono>,
}

/// An artifact stream.
#[derive(Debug)]
struct Serving {
    pin: Pin,
    wire: WireJobId,
    tree: BuildTree,
}

impl Transfers {
    pub(in crate::work) fn started(&mut self, link: LinkId, wire: WireJobId) {
        self.arriving.insert((link, wire));
    }

    pub(in crate::work) fn dropped(&mut self, link: LinkId, wire: &WireJobId) {
        self.arriving.remove(&(link, wire.clone()));
    }

    pub(in crate::work) fn served(&mut self, link: LinkId, wire: &WireJobId) {
        if self.serving.get(&link).is_some_and(|s| s.wire == *wire)
            && let Some(served) = self.serving.remove(&link)
        {
            self.owed.remove(&(served.pin, served.wire));
        }
    }

    pub(in crate::work) fn session_down(&mut self, link: LinkId) {
        self.arriving.retain(|(l, _)| *l != link);
        self.serving.remove(&link);
        self.postponed.remove(&link);
    }

    /// Artifacts of this tree are being packed or sent: a build would change them meanwhile.
    pub(in crate::work) fn is_serving(&self, pin: Pin, configuration: &str) -> bool {
        self.serving.values().any(|s| match &s.tree {
            BuildTree::Received {
                pin: of,
                configuration: name,
            } => *of == pin && name.as_str() == configuration,
            BuildTree::Own(_) | BuildTree::OwnAll | BuildTree::ReceivedAll(_) => false,
        })
    }

    /// Returns the trees whose artifacts are being packed or sent.
    pub(in crate::work) fn served_trees(&self) -> impl Iterator<Item = &BuildTree> {
        self.serving.values().map(|serving| &serving.tree)
    }

    /// Returns the results that are about to be fetched.
    pub(in crate::work) fn owed(&self) -> impl Iterator<Item = &(Pin, WireJobId)> {
        self.owed.keys()
    }

    pub(in crate::work) fn is_quiet(&self) -> bool {
        self.arriving.is_empty() && self.serving.is_empty() && self.postponed.is_empty()
    }

    /// A result is there to be fetched.
    pub(in crate::work) fn built(&mut self, pin: Pin, wire: WireJobId, now: Mono) {
        self.owed.insert((pin, wire), now + FETCH);
    }

    /// Returns whom a transfer is made with, and who is here and about to fetch a result.
    pub(in crate::work) fn pins(&self, links: &Links) -> impl Iterator<Item = Pin> {
        let arriving = self
            .arriving
            .iter()
            .filter_map(|(link, _)| links.get(*link));
        let arriving = arriving.map(|session| session.pin);
        let serving = self.serving.values().map(|serving| serving.pin);
        let postponed = self.postponed.values().map(|(pin, _)| *pin);
        let owed = self.owed.keys().map(|(pin, _)| *pin);
        let here = owed.filter(|pin| links.to_offloader(*pin).is_some());
        arriving.chain(serving).chain(postponed).chain(here)
    }

    pub(in crate::work) fn expire(&mut self, now: Mono) {
        self.owed.retain(|_, until| *until > now);
    }

    pub(in crate::work) fn poll_timeout(&self) -> Option<Mono> {
        self.owed.values().min().copied()
    }
}

impl Work {
    pub(super) fn download_requested(&mut self, link: LinkId, pin: Pin, wire: WireJobId) {
        let resetting = |e: &Entry| e.is(JobKind::ResetBuildEnv) && e.run().is_none();
        let found = self.jobs.received(pin, &wire).map(|(_, e)| e);
        let tree = found.and_then(|e| e.configuration());
        let status = found.map(|e| e.stored.job.status);
        let is_second = self.transfers.serving.values().any(|s| s.pin == pin)
            || self.transfers.postponed.values().any(|(of, _)| *of == pin);
        let refusal = if is_second {
            ArtifactsRefusal::DuplicateDownload
        } else if self.stage != Stage::Serving {
            ArtifactsRefusal::ShuttingDown
        } else if self.waits_for_newer(pin, &wire) {
            self.transfers.postponed.insert(link, (pin, wire));
            return;
        } else {
            match (status, tree) {
                (None, _) | (Some(_), None) => ArtifactsRefusal::UnknownJob,
                (Some(JobStatus::Completed), Some(_))
                    if self.jobs.active().any(|(_, e)| resetting(e)) =>
                {
                    ArtifactsRefusal::Busy
                }
                (Some(JobStatus::Completed), Some(configuration)) => {
                    let tree = BuildTree::Received { pin, configuration };
                    let serving = Serving {
                        pin,
                        wire: wire.clone(),
                        tree: tree.clone(),
                    };
                    self.transfers.serving.insert(link, serving);
                    return self.push(Effect::ServeArtifacts(link, wire, tree));
                }
                (
                    Some(
                        JobStatus::Queued
                        | JobStatus::Running
                        | JobStatus::Failed
                        | JobStatus::Cancelled,
                    ),
                    Some(_),
                ) => ArtifactsRefusal::JobNotCompleted,
            }
        };
        let verdict = Err((Some(refusal), String::new()));
        let job_id = wire;
        self.send(link, Message::ArtifactsEnd { job_id, verdict });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{completed, download};
    use crate::work::Event;
    use crate::work::fixtures::{failed, wire};

    //
    #[test]
    fn artifacts_are_served_for_completed_jobs_and_refused_for_others() {
        let (mut shop, link) = completed();
        download(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["serve link-2 a"]);
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        download(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["serve link-2 a"], "as often as it likes");
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        download(&mut shop, link, "zz");
        assert_eq!(shop.acts(), ["link-2 no artifacts zz Some(UnknownJob)"]);
        let next = shop.submit_queued(link, "b", "bath");
        shop.lines();
        download(&mut shop, link, "b");
        assert_eq!(shop.acts(), ["link-2 no artifacts b Some(JobNotCompleted)"]);
        shop.ends(&next, failed("boom"));
        shop.lines();
        download(&mut shop, link, "b");
        assert_eq!(shop.acts(), ["link-2 no artifacts b Some(JobNotCompleted)"]);
    }

    //
    #[test]
    fn a_second_download_is_refused_and_leaves_the_first_alone() {
        let (mut shop, link) = completed();
        download(&mut shop, link, "a");
        shop.lines();
        download(&mut shop, link, "other");
        assert_eq!(
            shop.acts(),
            ["link-2 no artifacts other Some(DuplicateDownload)"]
        );
        shop.hang_up(2, link);
        let back = shop.offloader_on(2, 9);
        shop.lines();
        download(&mut shop, back, "a");
        assert_eq!(shop.acts(), ["serve link-9 a"], "a dead link holds nothing");
    }

    //
    #[test]
    fn artifacts_of_another_offloader_do_not_exist() {
        let (mut shop, _) = completed();
        let other = shop.offloader(3);
        shop.lines();
        download(&mut shop, other, "a");
        assert_eq!(shop.acts(), ["link-3 no artifacts a Some(UnknownJob)"]);
    }

    //
    #[test]
    fn a_newer_build_of_the_same_device_replaces_the_older_result() {
        let (mut shop, link) = completed();
        let newer = shop.submit_queued(link, "b", "kitchen");
        shop.succeeds(&newer);
        assert_eq!(shop.lines_of("forget"), ["forget j1"]);
        download(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["link-2 no artifacts a Some(UnknownJob)"]);
    }
}
