//! Runs whose link was lost while they built. The build goes on there (builds.md §4.6, trap 4): for a
//! moment it is waited for, and taken up again over the next link.
//!
//! A receiver tells what happens from then on to the newest session, and what happened without one to
//! nobody. So the artifacts are asked for: they come, or the build is not known any more, or it is not
//! completed. Then it goes on, or it failed meanwhile. The next word of it settles that; if none comes,
//! it is sent anew. So is a build whose link was lost too often: it may be what takes its receiver down.
//! What nobody waits for any more is cancelled at receivers that were away.
use std::collections::VecDeque;
use std::time::Duration;

use kiln_model::{
    ArtifactsRefusal, CloseReason, JobId, JobKind, LinkId, Message, Now, Pin, QueueStatus,
    TerminateReason, WireJobId, say,
};

use super::run::{Found, Phase, Unheard};
use crate::work::Work;
use crate::work::dispatch::RECONNECT_GRACE;
use crate::work::effect::Effect;
use crate::work::event::DownloadFailure;
use crate::work::outcome::Outcome;

/// When a receiver that says nothing of a build is asked for it again.
const NEXT_QUESTION: Duration = Duration::from_secs(30);
/// How long a build that is not completed may go without a word: it may wait there behind others, or for
/// the owner.
const SILENCE: Duration = Duration::from_secs(600);
/// The same while its receiver builds and nothing waits there: a build that goes on says more.
const SILENCE_OF_BUILDING: Duration = Duration::from_secs(120);
/// How often a job may be taken up again. Beyond that each lost link counts as a loss: a bad network
/// interrupts a long build a dozen times, and a build that takes its receiver down does so each time.
const MAX_TAKE_UPS: u8 = 12;
/// How many builds are remembered that were left at receivers which are away; the oldest are forgotten.
const MAX_LEFT: usize = 64;

/// Whether a request is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Yes,
    NotYet,
}

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
        let Some(entry) = self.jobs.get_mut(id) else {
            return;
        };
        let taken_up = entry.taken_up;
        let Some(run) = entry.run_mut() else {
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
        if taken_up >= MAX_TAKE_UPS {
            let why = self.closed_link_of(id);
            return self.lost(id, why, now);
        }
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
        if self.ask(id, link, wire, None) == Asked::Yes {
            if let Some(entry) = self.jobs.get_mut(id) {
                entry.taken_up = entry.taken_up.saturating_add(1);
            }
            let name = self.receiver_name_of(id);
            self.explain(id, say::asked_there(name));
        }
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
            unheard: Some(unheard @ Unheard { ask: None, .. }),
        } = &run.phase
        {
            let (link, wire, unheard) = (*link, wire.clone(), *unheard);
            self.ask(id, link, wire, Some(unheard));
        }
    }

    /// Asks, if nothing is on its way over that link: a second request would be refused.
    fn ask(&mut self, id: &JobId, link: LinkId, wire: WireJobId, before: Option<Unheard>) -> Asked {
        if self.uploads.fetching.contains_key(&link) {
            return Asked::NotYet;
        }
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return Asked::NotYet;
        };
        run.phase = Phase::Asking {
            link,
            wire: wire.clone(),
            before,
        };
        self.uploads.fetching.insert(link, wire.clone());
        self.push(Effect::Download(link, wire));
        Asked::Yes
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
            | DownloadFailure::Stalled => self.ask_later(id, Found::Busy, now),
            DownloadFailure::Refused(..) => self.lost(id, say::build_forgotten(name), now),
            DownloadFailure::Invalid(detail) => {
                self.lost(id, say::broken_firmware(name, detail), now);
            }
            // That is about this computer: built anew it could not be stored either.
            DownloadFailure::Disk(detail) => {
                let error = say::firmware_not_stored(detail);
                self.finish(id, Outcome::failed(error), now);
            }
        }
    }

    /// The receiver knows the build and has no artifacts of it. If it has nothing to do either, each of two
    /// times that it is asked, the build is over.
    fn not_completed(&mut self, id: &JobId, now: Now) {
        let Some(run) = self.jobs.get(id).and_then(|e| e.run()) else {
            return;
        };
        let Phase::Asking { before, .. } = &run.phase else {
            return;
        };
        let queue = self.receivers.get(run.pin).and_then(|r| r.queue);
        let found = match (Found::of(queue, now), before.map(|b| b.found)) {
            (Found::Idle, Some(Found::Idle)) => {
                let why = say::silent_there(self.receiver_name_of(id));
                return self.lost(id, why, now);
            }
            (Found::Building { .. }, Some(since @ Found::Building { .. })) => since,
            (found, _) => found,
        };
        self.ask_later(id, found, now);
    }

    fn ask_later(&mut self, id: &JobId, found: Found, now: Now) {
        let Some(run) = self.jobs.get_mut(id).and_then(|e| e.run_mut()) else {
            return;
        };
        let Phase::Asking { link, wire, before } = &run.phase else {
            return;
        };
        let unheard = Unheard {
            ask: Some(now.mono + NEXT_QUESTION),
            until: before.map_or(now.mono + SILENCE, |b| b.until),
            found,
        };
        run.phase = Phase::Accepted {
            link: *link,
            wire: wire.clone(),
            unheard: Some(unheard),
        };
    }

    /// A word of this build came over this link: it is not asked for any more. Returns the job if it was.
    pub(super) fn heard(&mut self, link: LinkId, wire: &WireJobId) -> Option<JobId> {
        let (id, run) = self.run_mut_at(link, wire)?;
        match &mut run.phase {
            Phase::Accepted { unheard, .. } => unheard.take().map(|_| id),
            _ => None,
        }
    }

    /// A line of what this build says came over this link: it goes on.
    pub(in crate::work) fn output_came(&mut self, link: LinkId, wire: &WireJobId) {
        if let Some(id) = self.heard(link, wire) {
            let name = self.receiver_name_of(&id);
            self.explain(&id, say::goes_on_there(name));
        }
    }

    /// Nobody waits any more for a build at a receiver that is away.
    pub(super) fn leave(&mut self, pin: Pin, wire: WireJobId) {
        let left = &mut self.uploads.left;
        if left.len() >= MAX_LEFT {
            left.pop_front();
        }
        left.push_back((pin, wire));
    }

    /// Cancels what was left at a receiver that is back, before anything of ours waits behind it.
    pub(in crate::work) fn cancel_left(&mut self, pin: Pin) {
        let Some(link) = self.links.to_receiver(pin) else {
            return;
        };
        let left = std::mem::take(&mut self.uploads.left);
        let (there, elsewhere) = left.into_iter().partition::<VecDeque<_>, _>(|l| l.0 == pin);
        self.uploads.left = elsewhere;
        for (_, job_id) in there {
            self.send(link, Message::CancelJob { job_id });
        }
    }
}

impl Found {
    /// What a receiver does that said this of its queue last.
    fn of(queue: Option<QueueStatus>, now: Now) -> Self {
        match queue {
            Some(q) if q.queue_depth > 0 => Self::Busy,
            // The build that runs may stand still.
            Some(q) if q.running && q.absence.is_some() => Self::Busy,
            Some(q) if q.running => Self::Building {
                until: now.mono + SILENCE_OF_BUILDING,
            },
            Some(_) => Self::Idle,
            None => Self::Busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{Absence, AvailabilityReason, BuildChoice, JobStatus, Placement, Sentence};

    use super::*;
    use crate::work::Event;
    use crate::work::fixtures::{Shop, pin};

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
    fn a_build_that_may_wait_at_a_receiver_that_says_nothing_of_it_is_sent_anew_in_the_end() {
        let away = Absence {
            reason: AvailabilityReason::UserActive,
            until: None,
        };
        let stands_still = QueueStatus {
            absence: Some(away),
            ..QueueStatus::of(true, 0)
        };
        for queue in [QueueStatus::of(true, 1), stands_still] {
            let (mut shop, _, w1) = lost();
            let link = back_and_busy(&mut shop, &w1);
            shop.says(link, Message::QueueStatus(queue));
            for _ in 1..20 {
                shop.pass(30);
                assert_eq!(shop.lines_of("download"), ["download link-9 w1"]);
                refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
                let losses = shop.store.iter().map(|s| s.losses).max();
                assert_eq!(losses, Some(0), "it may wait there");
            }
            shop.pass(30);
            let losses = shop.store.iter().map(|s| s.losses).max();
            assert_eq!(losses, Some(1));
        }
    }

    #[test]
    fn a_build_that_does_not_wait_and_says_nothing_is_sent_anew_after_two_minutes() {
        // As a reference receiver does of what it builds again after its own restart.
        let (mut shop, _, w1) = lost();
        let link = back_and_busy(&mut shop, &w1);
        for n in [1, 0, 0, 0] {
            shop.says(link, Message::QueueStatus(QueueStatus::of(true, n)));
            shop.pass(30);
            assert_eq!(shop.acts(), ["download link-9 w1"]);
            refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        }
        shop.pass(59);
        assert_eq!(
            shop.acts(),
            ["download link-9 w1"],
            "it is its turn only now"
        );
        refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        shop.pass(1);
        assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);

        let (mut shop, _, w1) = lost();
        let link = back_and_busy(&mut shop, &w1);
        shop.pass(90);
        shop.says(link, output(&w1));
        shop.lines();
        shop.pass(7200);
        assert!(shop.acts().is_empty(), "a word of it is enough");
    }

    #[test]
    fn a_receiver_that_has_nothing_to_do_for_a_moment_has_not_lost_the_build() {
        let (mut shop, [job, _], w1) = lost();
        let link = back_and_busy(&mut shop, &w1);
        for idle in [true, false, true] {
            shop.says(link, Message::QueueStatus(QueueStatus::of(!idle, 0)));
            shop.pass(30);
            assert_eq!(shop.acts(), ["download link-9 w1"]);
            refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        }
        shop.state(link, &w1, JobStatus::Completed);
        assert_eq!(shop.acts(), ["download link-9 w1"]);
        shop.delivered(&job, link, 1);
        assert_eq!(shop.status(&job), JobStatus::Completed);
    }

    #[test]
    fn its_log_says_once_that_it_was_asked_for_and_that_it_goes_on_only_when_that_is_known() {
        let (mut shop, _, w1) = lost();
        let link = back_and_busy(&mut shop, &w1);
        for _ in 0..3 {
            shop.pass(30);
            refused(&mut shop, link, &w1, ArtifactsRefusal::JobNotCompleted);
        }
        let said = |shop: &Shop, text: &str| {
            let notes = shop.notes.iter();
            notes.filter(|(_, note)| note.contains(text)).count()
        };
        assert_eq!(said(&shop, "asked how far it is"), 1);
        assert_eq!(said(&shop, "goes on with it"), 0);
        for _ in 0..3 {
            shop.says(link, output(&w1));
        }
        assert_eq!(said(&shop, "goes on with it"), 1);
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
    fn a_build_whose_firmware_does_not_fit_on_this_disk_is_not_built_anew() {
        let (mut shop, [job, _], w1) = lost();
        let link = shop.connect(1, 9);
        shop.lines();
        fails(&mut shop, link, &w1, DownloadFailure::Disk("full".into()));
        assert_eq!(shop.status(&job), JobStatus::Failed);
        assert!(shop.error(&job).contains("full"), "{}", shop.error(&job));
        assert_eq!(shop.acts(), ["bundle j2 bath.yaml"], "the next is sent");
    }

    // Covers: M41
    #[test]
    fn a_build_that_takes_its_receiver_down_again_and_again_fails_in_the_end() {
        for told_first in [false, true] {
            let (mut shop, [job, waiting], mut wire, mut link) = building();
            let mut downs: usize = 0;
            while shop.status(&job) != JobStatus::Failed {
                assert!(downs < 20, "it never ends");
                let losses = downs.saturating_sub(usize::from(MAX_TAKE_UPS));
                assert_eq!(shop.submissions(), 1 + losses, "the rest is taken up again");
                if told_first && downs > 0 && losses == 0 {
                    fails(&mut shop, link, &wire, DownloadFailure::LinkLost);
                }
                shop.hang_up(1, link);
                downs += 1;
                shop.pass(5);
                link = shop.connect(1, 100 + downs as u64);
                if downs <= usize::from(MAX_TAKE_UPS) {
                    assert_eq!(shop.status(&job), JobStatus::Running);
                } else if shop.status(&job) == JobStatus::Running {
                    wire = shop.building_on(&job, link);
                }
            }
            assert_eq!(downs, usize::from(MAX_TAKE_UPS) + 4);
            assert!(shop.error(&job).contains("4 times"), "{}", shop.error(&job));
            assert_eq!(shop.job(&waiting).placement, Placement::Local);
        }
    }

    #[test]
    fn a_link_that_is_lost_again_is_waited_for_again() {
        let (mut shop, [job, _], w1) = lost();
        for n in 10..20 {
            shop.pass(15);
            let link = shop.connect(1, n);
            let asked = shop.lines_of("download");
            assert_eq!(asked, [format!("download link-{n} w1")]);
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

    #[test]
    fn what_is_cancelled_while_its_link_is_lost_is_cancelled_there_when_it_is_back() {
        let (mut shop, [job, waiting], _) = lost();
        shop.cancel(&job);
        assert_eq!(shop.status(&job), JobStatus::Cancelled);
        shop.lines();
        shop.pass(15);
        shop.connect(1, 9);
        assert_eq!(shop.acts(), ["link-9 cancel w1", "bundle j2 bath.yaml"]);
        shop.building_on(&waiting, LinkId(9));
        shop.hang_up(1, LinkId(9));
        shop.connect(1, 10);
        assert!(!shop.acts().contains(&"link-10 cancel w1".to_owned()));

        let (mut shop, [job, _], _, link) = building();
        shop.cancel(&job);
        shop.hang_up(1, link);
        assert_eq!(shop.status(&job), JobStatus::Cancelled);
        shop.lines();
        shop.connect(1, 9);
        assert_eq!(shop.acts()[0], "link-9 cancel w1", "it may not have heard");
    }

    #[test]
    fn what_was_not_waited_for_any_longer_is_cancelled_at_a_receiver_that_comes_back_late() {
        let (mut shop, [job, _], _) = lost();
        shop.receiver(2);
        shop.pass(20);
        assert_eq!(shop.status(&job), JobStatus::Queued);
        shop.lines();
        shop.connect(1, 9);
        assert_eq!(shop.acts(), ["link-9 cancel w1", "bundle j1 kitchen.yaml"]);
    }

    #[test]
    fn of_builds_that_were_left_at_receivers_that_stay_away_the_oldest_are_forgotten() {
        let mut shop = Shop::open();
        let wires: Vec<_> = (0..=MAX_LEFT)
            .map(|n| WireJobId(format!("left-{n}")))
            .collect();
        for wire in &wires {
            shop.work.leave(pin(1), wire.clone());
        }
        shop.receiver(1);
        let told = shop.lines_of("link-1 cancel");
        assert_eq!(told.len(), MAX_LEFT);
        assert_eq!(told[0], "link-1 cancel left-1");
    }
}
