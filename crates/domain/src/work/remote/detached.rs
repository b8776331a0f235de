//! Runs whose link was lost while they built. The build goes on there (builds.md §4.6, trap 4): for a
//! moment it is waited for, and taken up again over the next link.
//!
//! A receiver tells what happens from then on to the newest session, and what happened without one to
//! nobody. So the artifacts are asked for: they come, or the build is not known any more, or it is not
//! completed. Then it goes on, or it failed meanwhile. The next word of it settles that; if none comes,
//! it is sent anew.
use std::time::Duration;

use kiln_model::{
    ArtifactsRefusal, CloseReason, JobId, JobKind, LinkId, Mono, Now, TerminateReason, WireJobId,
    say,
};

use super::run::{Phase, Unheard};
use crate::work::Work;
use crate::work::dispatch::RECONNECT_GRACE;
use crate::work::effect::Effect;
use crate::work::event::DownloadFailure;

/// When a receiver that says nothing of a build is asked for it again.
const NEXT_QUESTION: Duration = Duration::from_secs(30);
/// How long a build that is not completed may go without a word: it may wait there behind others, or for
/// the owner.
const SILENCE: Duration = Duration::from_secs(600);

/// Returns whether a link was lost, so that both sides mean to go on. Who ends it with a word does not.
pub(super) fn is_lost(why: &CloseReason) -> bool {
    match why {
        CloseReason::TransportError(_)
        | CloseReason::PeerHungUp
        | CloseReason::HeartbeatTimeout
        // It heard nothing of us.
        | CloseReason::Terminated(TerminateReason::HeartbeatTimeout) => true,
        CloseReason::Terminated(_)
        | CloseReason::TerminatedUnknown(_)
        | CloseReason::WeTerminated(_)
        | CloseReason::SelfLoopback
        | CloseReason::PinMismatch => false,
    }
}

impl Work {
    /// Returns whether this build goes on there without a link.
    pub(super) fn outlives_its_link(&self, id: &JobId) -> bool {
        let Some(entry) = self.jobs.get(id) else {
            return false;
        };
        let goes_on = |phase: &Phase| {
            matches!(
                phase,
                Phase::Accepted { .. } | Phase::Asking { .. } | Phase::Detached { .. }
            )
        };
        entry.run().is_some_and(|run| goes_on(&run.phase))
            && entry.is(JobKind::Compile)
            && !entry.stored.cancel_requested
    }

    /// The link of a build that goes on there is gone.
    pub(super) fn detach(&mut self, id: &JobId, now: Now) {
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        let Some((link, wire)) = run.bound() else {
            return;
        };
        run.phase = Phase::Detached {
            wire: wire.clone(),
            not: link,
            until: now.mono + RECONNECT_GRACE,
        };
        let name = self.receiver_name_of(id);
        self.explain(id, say::link_lost_there(name));
    }

    /// Asks for the artifacts of a detached run, as soon as there is a link.
    pub(super) fn take_up_again(&mut self, id: &JobId) {
        let Some(run) = self.jobs.get(id).and_then(|e| e.run()) else {
            return;
        };
        let Phase::Detached { wire, not, .. } = &run.phase else {
            return;
        };
        let Some(link) = self.links.to_receiver(run.pin).filter(|link| link != not) else {
            return;
        };
        let wire = wire.clone();
        self.ask(id, link, wire, None);
    }

    /// Asks again for the artifacts of a run of which nothing is heard, if it is time.
    pub(super) fn try_ask_again(&mut self, id: &JobId) {
        let entry = self.jobs.get(id).filter(|e| !e.stored.cancel_requested);
        let Some(run) = entry.and_then(|e| e.run()) else {
            return;
        };
        if let Phase::Accepted {
            link,
            wire,
            unheard: Some(Unheard { ask: None, until }),
        } = &run.phase
        {
            let (link, wire, until) = (*link, wire.clone(), *until);
            self.ask(id, link, wire, Some(until));
        }
    }

    /// Asks, if nothing is on its way over that link: a second request would be refused.
    fn ask(&mut self, id: &JobId, link: LinkId, wire: WireJobId, until: Option<Mono>) {
        if self.uploads.fetching.contains_key(&link) {
            return;
        }
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        run.phase = Phase::Asking {
            link,
            wire: wire.clone(),
            until,
        };
        self.uploads.fetching.insert(link, wire.clone());
        self.push(Effect::Download(link, wire));
        let name = self.receiver_name_of(id);
        self.explain(id, say::asked_there(name));
    }

    /// No artifacts came. That is no word on the build, so a new attempt says whether it fails.
    pub(super) fn asked_in_vain(&mut self, id: &JobId, failure: DownloadFailure, now: Now) {
        let name = self.receiver_name_of(id);
        match failure {
            DownloadFailure::LinkLost => self.detach(id, now),
            DownloadFailure::Refused(Some(ArtifactsRefusal::JobNotCompleted), _) => {
                self.not_completed(id, now);
            }
            // It still sends over a session that it does not know to be over.
            DownloadFailure::Refused(Some(ArtifactsRefusal::DuplicateDownload), _)
            | DownloadFailure::Stalled => self.ask_later(id, now),
            DownloadFailure::Refused(..) => self.lost(id, say::build_forgotten(name), now),
            DownloadFailure::Invalid(detail) => {
                self.lost(id, say::broken_firmware(name, detail), now);
            }
            DownloadFailure::Disk(detail) => self.lost(id, say::firmware_not_stored(detail), now),
        }
    }

    /// The receiver knows the build and has no artifacts of it. If it has nothing to do either, long
    /// after it was asked first, the build is over.
    fn not_completed(&mut self, id: &JobId, now: Now) {
        let Some(run) = self.jobs.get(id).and_then(|e| e.run()) else {
            return;
        };
        let queue = self.receivers.get(run.pin).and_then(|r| r.queue);
        let has_work = queue.is_none_or(|queue| queue.running || queue.queue_depth > 0);
        match run.phase {
            Phase::Asking { until: Some(_), .. } if !has_work => {
                let why = say::silent_there(self.receiver_name_of(id));
                self.lost(id, why, now);
            }
            _ => {
                let name = self.receiver_name_of(id);
                self.explain(id, say::goes_on_there(name));
                self.ask_later(id, now);
            }
        }
    }

    fn ask_later(&mut self, id: &JobId, now: Now) {
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        let Phase::Asking { link, wire, until } = &run.phase else {
            return;
        };
        let unheard = Unheard {
            ask: Some(now.mono + NEXT_QUESTION),
            until: until.unwrap_or(now.mono + SILENCE),
        };
        run.phase = Phase::Accepted {
            link: *link,
            wire: wire.clone(),
            unheard: Some(unheard),
        };
    }

    /// A word of this build came over this link: it goes on.
    pub(in crate::work) fn heard(&mut self, link: LinkId, wire: &WireJobId) {
        if let Some((_, run)) = self.run_mut_at(link, wire)
            && let Phase::Accepted { unheard, .. } = &mut run.phase
        {
            *unheard = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{BuildChoice, JobStatus, Message, QueueStatus, Sentence};

    use super::*;
    use crate::work::Event;
    use crate::work::fixtures::Shop;

    /// A build on receiver 1, another that waits for the receiver, and the link.
    fn building() -> (Shop, [JobId; 2], WireJobId, LinkId) {
        let mut shop = Shop::open();
        let link = shop.receiver(1);
        let job = shop.compile("kitchen", BuildChoice::Auto);
        let waiting = shop.compile("bath", BuildChoice::Auto);
        let wire = shop.building_on(&job, link);
        shop.state(link, &wire, JobStatus::Running);
        shop.says(link, Message::QueueStatus(QueueStatus::of(true, 0)));
        shop.lines();
        (shop, [job, waiting], wire, link)
    }

    /// The same, and the link is lost.
    fn lost() -> (Shop, [JobId; 2], WireJobId) {
        let (mut shop, jobs, wire, link) = building();
        shop.hang_up(1, link);
        (shop, jobs, wire)
    }

    fn fails(shop: &mut Shop, link: LinkId, wire: &WireJobId, failure: DownloadFailure) {
        shop.happens(Event::Downloaded(link, wire.clone(), Err(failure)));
    }

    fn refused(shop: &mut Shop, link: LinkId, wire: &WireJobId, reason: ArtifactsRefusal) {
        let failure = DownloadFailure::Refused(Some(reason), Sentence::default());
        fails(shop, link, wire, failure);
    }

    /// The receiver is back, busy, and has no firmware of it.
    fn back_and_busy(shop: &mut Shop, wire: &WireJobId) -> LinkId {
        let link = shop.connect(1, 9);
        assert_eq!(shop.acts(), ["download link-9 w1"]);
        shop.says(link, Message::QueueStatus(QueueStatus::of(true, 0)));
        refused(shop, link, wire, ArtifactsRefusal::JobNotCompleted);
        link
    }

    fn output(wire: &WireJobId) -> Message {
        Message::JobOutput {
            job_id: wire.clone(),
            line: "[100/900] Compiling\n".to_owned(),
        }
    }

    #[test]
    fn a_build_goes_on_over_the_next_link() {
        let (mut shop, [job, waiting], w1) = lost();
        assert_eq!(shop.status(&job), JobStatus::Running);
        let reason = shop.job(&job).reason;
        assert!(reason.contains("the build goes on there"), "{reason}");
        shop.pass(19);
        let link = back_and_busy(&mut shop, &w1);
        assert_eq!(shop.work.log_of(link, &w1), Some(job.clone()));
        shop.says(link, output(&w1));
        shop.pass(7200);
        assert!(shop.acts().is_empty());
        shop.state(link, &w1, JobStatus::Completed);
        assert_eq!(shop.acts(), ["download link-9 w1"]);
        shop.delivered(&job, link, 1);
        assert_eq!(shop.status(&job), JobStatus::Completed);
        let next = shop.status(&waiting);
        assert_eq!(next, JobStatus::Running, "it is next there");
        assert_eq!(shop.store.iter().map(|s| s.losses).max(), Some(0));
    }

    #[test]
    fn a_build_that_ended_meanwhile_is_fetched() {
        let (mut shop, [job, _], w1) = lost();
        let link = shop.connect(1, 9);
        assert_eq!(shop.acts(), ["download link-9 w1"]);
        // It may end in this moment, and be told as well.
        shop.state(link, &w1, JobStatus::Completed);
        assert!(shop.acts().is_empty(), "it is on its way");
        shop.delivered(&job, link, 1);
        assert_eq!(shop.status(&job), JobStatus::Completed);
    }

    #[test]
    fn a_build_that_ends_while_it_is_asked_for_is_fetched() {
        let (mut shop, [job, _], w1) = lost();
        let link = shop.connect(1, 9);
        shop.lines();
        shop.state(link, &w1, JobStatus::Completed);
        refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        assert_eq!(shop.acts(), ["download link-9 w1"]);
        shop.delivered(&job, link, 1);
        assert_eq!(shop.status(&job), JobStatus::Completed);
    }

    #[test]
    fn a_receiver_that_says_that_it_goes_is_not_waited_for() {
        for told_first in [false, true] {
            let (mut shop, [job, _], w1, link) = building();
            shop.leaves(1, link);
            assert_eq!(shop.status(&job), JobStatus::Queued);

            shop.connect(1, 9);
            let w2 = shop.building_on(&job, LinkId(9));
            shop.hang_up(1, LinkId(9));
            let link = shop.connect(1, 10);
            if told_first {
                fails(&mut shop, link, &w2, DownloadFailure::LinkLost);
            }
            shop.leaves(1, link);
            assert_eq!(shop.status(&job), JobStatus::Queued);
            assert_ne!(w1, w2);
        }
    }

    #[test]
    fn only_a_link_that_is_lost_without_a_word_of_its_receiver_is_waited_for() {
        let silent = CloseReason::Terminated(TerminateReason::HeartbeatTimeout);
        let broken = CloseReason::TransportError("reset".into());
        for why in [CloseReason::HeartbeatTimeout, silent, broken] {
            let (mut shop, [job, _], _, link) = building();
            shop.session_ends(1, link, &why);
            assert_eq!(shop.status(&job), JobStatus::Running, "{why:?}");
        }
        let stopped = CloseReason::WeTerminated(TerminateReason::ClientStopped);
        let superseded = CloseReason::Terminated(TerminateReason::Superseded);
        let unknown = CloseReason::TerminatedUnknown("bye".to_owned());
        for why in [stopped, superseded, unknown] {
            let (mut shop, [job, _], _, link) = building();
            shop.session_ends(1, link, &why);
            assert_eq!(shop.status(&job), JobStatus::Queued, "{why:?}");
        }
    }

    #[test]
    fn a_build_that_failed_meanwhile_has_failed_if_its_receiver_says_so_and_is_else_sent_anew() {
        let (mut shop, [job, _], w1) = lost();
        let link = shop.connect(1, 9);
        refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        shop.state_with(link, &w1, JobStatus::Failed, "boom", None);
        assert_eq!(shop.status(&job), JobStatus::Failed);

        let (mut shop, [job, _], w1) = lost();
        let link = shop.connect(1, 9);
        refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        shop.lines();
        shop.pass(29);
        assert!(shop.acts().is_empty());
        shop.pass(1);
        assert_eq!(shop.acts(), ["download link-9 w1"]);
        refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
        assert_eq!(shop.status(&job), JobStatus::Running);
        shop.bundled(&job);
        assert_eq!(shop.acts(), ["upload link-9 w2 compile kitchen.yaml"]);
    }

    #[test]
    fn a_build_of_which_a_busy_receiver_says_nothing_is_sent_anew_in_the_end() {
        let (mut shop, _, w1) = lost();
        let link = back_and_busy(&mut shop, &w1);
        for _ in 1..20 {
            shop.pass(30);
            assert_eq!(shop.acts(), ["download link-9 w1"]);
            refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
            assert!(shop.acts().is_empty(), "it may wait there");
        }
        shop.pass(30);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
    }

    #[test]
    fn a_build_whose_artifacts_are_still_sent_over_an_earlier_link_is_asked_for_again() {
        let (mut shop, [job, _], w1) = lost();
        let link = shop.connect(1, 9);
        for _ in 0..3 {
            assert_eq!(shop.acts(), ["download link-9 w1"]);
            refused(&mut shop, link, &w1, ArtifactsRefusal::DuplicateDownload);
            assert!(shop.acts().is_empty(), "not in the same breath");
            shop.pass(30);
        }
        shop.delivered(&job, link, 1);
        assert_eq!(shop.status(&job), JobStatus::Completed);
    }

    #[test]
    fn what_was_asked_for_in_vain_fails_nothing_and_is_sent_anew() {
        let none = Sentence::default;
        for failure in [
            DownloadFailure::Refused(Some(ArtifactsRefusal::UnknownJob), none()),
            DownloadFailure::Refused(Some(ArtifactsRefusal::PackFailed), none()),
            DownloadFailure::Refused(None, none()),
            DownloadFailure::Invalid("hash".into()),
            DownloadFailure::Disk("full".into()),
        ] {
            let (mut shop, [job, _], w1) = lost();
            let link = shop.connect(1, 9);
            shop.lines();
            fails(&mut shop, link, &w1, failure);
            assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
            shop.bundled(&job);
            assert_eq!(shop.acts(), ["upload link-9 w2 compile kitchen.yaml"]);
        }
    }

    #[test]
    fn a_link_that_is_lost_again_is_waited_for_again() {
        let (mut shop, [job, _], w1) = lost();
        for n in 10..20 {
            shop.pass(15);
            let link = shop.connect(1, n);
            assert_eq!(shop.acts(), [format!("download link-{n} w1")]);
            if n % 2 == 0 {
                fails(&mut shop, link, &w1, DownloadFailure::LinkLost);
            }
            shop.hang_up(1, link);
        }
        assert_eq!(shop.status(&job), JobStatus::Running);
        assert_eq!(shop.submissions(), 1);
    }

    #[test]
    fn what_is_cancelled_while_it_is_asked_for_is_cancelled_there() {
        let (mut shop, [job, _], w1) = lost();
        let link = shop.connect(1, 9);
        shop.lines();
        shop.cancel(&job);
        assert_eq!(shop.status(&job), JobStatus::Cancelled);
        assert_eq!(shop.acts()[0], "link-9 cancel w1");
        refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        assert_eq!(shop.status(&job), JobStatus::Cancelled);
    }
}
