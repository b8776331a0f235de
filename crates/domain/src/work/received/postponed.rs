//! Downloads that wait for a newer build by the same id.
//!
//! A reference offloader that lost its session submits again by the id of its first attempt, and listens
//! before it has made its bundle anew. An end of the first build that it hears meanwhile counts for the
//! second, whose artifacts it asks for at once. They are not refused as unfinished, which would fail
//! its install, but sent when they are there: it waits without a limit.
use kiln_model::{LinkId, Pin, WireJobId};

use crate::work::Work;

impl Work {
    /// Returns whether a sender may take the end of an older job for that of the one that it means.
    pub(super) fn waits_for_newer(&self, pin: Pin, wire: &WireJobId) -> bool {
        self.is_active(pin, wire) && self.jobs.completed_before(pin, wire)
    }

    /// Answers the downloads whose builds are over.
    pub(in crate::work) fn serve_postponed(&mut self) {
        let postponed = self.transfers.postponed.iter();
        let over = postponed.filter(|(_, (pin, wire))| !self.is_active(*pin, wire));
        let over: Vec<LinkId> = over.map(|(link, _)| *link).collect();
        for link in over {
            if let Some((pin, wire)) = self.transfers.postponed.remove(&link) {
                self.download_requested(link, pin, wire);
            }
        }
    }

    fn is_active(&self, pin: Pin, wire: &WireJobId) -> bool {
        let newest = self.jobs.received(pin, wire);
        newest.is_some_and(|(_, entry)| !entry.is_over())
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::JobId;

    use super::super::tests::download;
    use super::*;
    use crate::work::Event;
    use crate::work::fixtures::{Shop, failed, wire};

    /// An offloader that was back when its first build ended, submitted again by the same id, and asks for
    /// the artifacts of the first.
    fn confused() -> (Shop, LinkId, JobId) {
        let (mut shop, link) = Shop::with_offloader();
        let first = shop.submit_queued(link, "a", "kitchen");
        shop.hang_up(2, link);
        let back = shop.offloader_on(2, 9);
        shop.lines();
        shop.succeeds(&first);
        assert_eq!(shop.lines_of("link-9 a"), ["link-9 a completed"]);
        let second = shop.submit_queued(back, "a", "kitchen");
        shop.lines();
        download(&mut shop, back, "a");
        assert!(shop.acts().is_empty(), "it waits");
        (shop, back, second)
    }

    // Covers: M62
    #[test]
    fn artifacts_of_an_older_build_by_the_same_id_are_those_of_the_newer_one_when_that_completed() {
        let (mut shop, back, second) = confused();
        shop.succeeds(&second);
        assert_eq!(shop.lines_of("serve"), ["serve link-9 a"]);
        shop.happens(Event::ArtifactsServed(back, wire("a")));
        download(&mut shop, back, "a");
        assert_eq!(shop.lines_of("serve"), ["serve link-9 a"]);
    }

    //
    #[test]
    fn artifacts_of_a_newer_build_by_the_same_id_that_failed_are_refused() {
        let (mut shop, _, second) = confused();
        shop.ends(&second, failed("boom"));
        let refused = "link-9 no artifacts a Some(JobNotCompleted)".to_owned();
        assert!(shop.acts().contains(&refused));
    }

    //
    #[test]
    fn a_download_that_waits_is_one_and_is_over_with_its_session() {
        let (mut shop, back, second) = confused();
        download(&mut shop, back, "a");
        let refused = "link-9 no artifacts a Some(DuplicateDownload)";
        assert_eq!(shop.acts(), [refused]);
        shop.hang_up(2, back);
        shop.succeeds(&second);
        assert_eq!(shop.lines_of("serve"), [""; 0]);
    }
}
