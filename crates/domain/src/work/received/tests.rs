//! What offloaders ask of this machine, as stories. The helpers serve the tests of the parts, too.
use kiln_model::{BuildChoice, JobKind, JobStatus, LinkId, Message, QueueStatus, Request};

use crate::work::fixtures::{Shop, failed, pin, wire};
use crate::work::{BuildTree, Event, ProcessOutcome, StepFailure};

fn cancel(shop: &mut Shop, link: LinkId, job: &str) {
    let job_id = wire(job);
    shop.says(link, Message::CancelJob { job_id });
}

pub(super) fn download(shop: &mut Shop, link: LinkId, job: &str) {
    let job_id = wire(job);
    shop.says(link, Message::DownloadArtifacts { job_id });
}

fn reset(shop: &mut Shop, link: LinkId, job: &str) {
    let job_id = wire(job);
    shop.says(link, Message::ResetBuildEnv { job_id });
}

/// Frames to offloaders without queue statuses.
pub(super) fn frames(shop: &mut Shop) -> Vec<String> {
    let mut frames = shop.acts();
    frames.retain(|l| l.starts_with("link-"));
    frames
}

/// A kitchen job of offloader 2, completed, under the id `a`.
pub(super) fn completed() -> (Shop, LinkId) {
    let (mut shop, link) = Shop::with_offloader();
    let job = shop.submit_queued(link, "a", "kitchen");
    shop.succeeds(&job);
    shop.lines();
    (shop, link)
}

// Covers: M61, R-41
#[test]
fn a_cancel_while_unpacking_ends_in_one_cancelled_and_no_build() {
    for result in [Ok(BuildTree::OwnAll), Err(StepFailure::Cancelled)] {
        let (mut shop, link) = Shop::with_offloader();
        let job = shop.submit(link, "a", "kitchen");
        shop.lines();
        cancel(&mut shop, link, "a");
        cancel(&mut shop, link, "a");
        assert_eq!(shop.acts(), ["stop j1"]);
        shop.happens(Event::Prepared(job, result));
        assert_eq!(
            shop.acts(),
            [
                "link-2 a cancelled cancelled by the offloader before the build was queued",
                "settled 2 a"
            ]
        );
    }
}

// Covers: R-35, R-41
#[test]
fn a_cancel_works_while_waiting_to_be_unpacked_queued_and_running() {
    let (mut shop, link) = Shop::with_offloader();
    let first = shop.submit(link, "a", "kitchen");
    shop.submit(link, "b", "bath");
    shop.lines();
    cancel(&mut shop, link, "b");
    assert_eq!(
        frames(&mut shop),
        ["link-2 b cancelled cancelled by the offloader before the build was queued"]
    );
    shop.prepared(&first);
    let queued = shop.submit_queued(link, "c", "bath");
    shop.lines();
    cancel(&mut shop, link, "c");
    assert_eq!(
        frames(&mut shop),
        ["link-2 c cancelled cancelled by the offloader"]
    );
    assert_eq!(shop.status(&queued), JobStatus::Cancelled);
    cancel(&mut shop, link, "a");
    assert_eq!(shop.acts(), ["stop j1"]);
    shop.ends(&first, ProcessOutcome::Killed);
    assert_eq!(
        frames(&mut shop),
        ["link-2 a cancelled cancelled by the offloader"]
    );
}

// Covers: R-41, R-48
#[test]
fn unknown_final_and_foreign_jobs_are_not_cancelled() {
    let (mut shop, link) = completed();
    cancel(&mut shop, link, "a");
    cancel(&mut shop, link, "zz");
    assert!(shop.acts().is_empty());
    let job = shop.submit_queued(link, "b", "bath");
    let other = shop.offloader(3);
    shop.lines();
    cancel(&mut shop, other, "b");
    assert!(shop.acts().is_empty());
    assert_eq!(shop.status(&job), JobStatus::Running);
}

// Covers: M67, R-40
#[test]
fn a_lost_session_does_not_stop_the_build_and_what_it_came_to_meanwhile_is_not_told_later() {
    let (mut shop, link) = Shop::with_offloader();
    let job = shop.submit_queued(link, "a", "kitchen");
    shop.hang_up(2, link);
    shop.lines();
    assert_eq!(shop.work.output_route(&job), None);
    shop.succeeds(&job);
    assert!(shop.acts().is_empty());
    let back = shop.offloader_on(2, 9);
    assert_eq!(shop.lines(), ["link-9 queue idle"]);
    download(&mut shop, back, "a");
    assert_eq!(shop.acts(), ["serve link-9 a"], "its result is there");
}

// Covers: M67, R-37
#[test]
fn frames_of_a_running_job_go_to_the_senders_newest_session() {
    let (mut shop, link) = Shop::with_offloader();
    let job = shop.submit_queued(link, "a", "kitchen");
    let newer = shop.offloader_on(2, 9);
    shop.offloader_on(3, 8);
    shop.hang_up(2, link);
    shop.lines();
    assert_eq!(shop.work.output_route(&job), Some((newer, wire("a"))));
    shop.ends(&job, failed("boom"));
    assert_eq!(frames(&mut shop), ["link-9 a failed boom"]);
}

// Covers: R-24, M65
#[test]
fn a_new_session_hears_the_queue_status() {
    let mut shop = Shop::open();
    shop.compile("kitchen", BuildChoice::Auto);
    shop.compile("bath", BuildChoice::Auto);
    shop.lines();
    shop.offloader(2);
    assert_eq!(shop.lines(), ["link-2 queue running=true depth=1"]);
}

#[test]
fn what_is_not_unpacked_yet_counts_as_waiting() {
    let (mut shop, link) = Shop::with_offloader();
    let job = shop.submit(link, "a", "kitchen");
    assert_eq!(shop.work.queue_status(), QueueStatus::of(false, 1));
    let told = shop.lines_of("link-2 queue");
    assert_eq!(told.last().unwrap(), "link-2 queue running=false depth=1");
    shop.prepared(&job);
    assert_eq!(shop.work.queue_status(), QueueStatus::of(true, 0));
}

// Covers: M66, R-50
#[test]
fn a_reset_is_busy_while_anything_at_all_goes_on() {
    let refused = "link-2 reset refused r Some(Busy)";
    let (mut shop, link) = Shop::with_offloader();
    let own = shop.compile("attic", BuildChoice::Auto);
    shop.lines();
    reset(&mut shop, link, "r");
    assert_eq!(shop.acts(), [refused], "the owner builds");
    shop.succeeds(&own);

    shop.happens(Event::SubmissionStarted(link, wire("a")));
    shop.lines();
    reset(&mut shop, link, "r");
    assert_eq!(shop.acts(), [refused], "chunks are arriving");
    let job = shop.submit(link, "a", "kitchen");
    shop.lines();
    reset(&mut shop, link, "r");
    assert_eq!(shop.acts(), [refused], "a bundle is being unpacked");
    shop.prepared(&job);
    shop.succeeds(&job);
    download(&mut shop, link, "a");
    shop.lines();
    reset(&mut shop, link, "r");
    assert_eq!(shop.acts(), [refused], "artifacts are being fetched");
    shop.happens(Event::ArtifactsServed(link, wire("a")));

    let other = shop.offloader(3);
    shop.happens(Event::SubmissionStarted(other, wire("x")));
    shop.lines();
    reset(&mut shop, link, "r");
    assert_eq!(shop.acts(), [refused], "another offloader uploads");
    shop.happens(Event::SubmissionDropped(other, wire("x")));
    reset(&mut shop, link, "r");
    assert_eq!(
        shop.acts(),
        [
            "link-2 r queued",
            "link-2 r running",
            "build j3 reset_build_env 2 everything",
            "link-2 reset ack r"
        ]
    );
}

#[test]
fn a_header_that_was_read_on_a_session_that_is_over_is_no_upload_that_goes_on() {
    let mut shop = Shop::open();
    let (old, link) = (shop.offloader_on(2, 2), shop.offloader_on(2, 4));
    shop.hang_up(2, old);
    shop.happens(Event::SubmissionStarted(old, wire("a")));
    shop.lines();
    reset(&mut shop, link, "r");
    let last = shop.acts().pop();
    assert_eq!(last.as_deref(), Some("link-4 reset ack r"));
}

// Covers: R-51
#[test]
fn a_reset_ends_like_a_job_and_refuses_downloads_meanwhile() {
    let (mut shop, link) = completed();
    reset(&mut shop, link, "r");
    let job = shop.work.jobs().remove(0);
    assert_eq!(job.kind, JobKind::ResetBuildEnv);
    shop.lines();
    download(&mut shop, link, "a");
    assert_eq!(shop.acts(), ["link-2 no artifacts a Some(Busy)"]);
    cancel(&mut shop, link, "r");
    shop.ends(&job.id, ProcessOutcome::Killed);
    assert_eq!(
        shop.acts(),
        ["stop j2", "link-2 r cancelled cancelled by the offloader"]
    );
}

#[test]
fn the_owner_can_cancel_a_received_job() {
    let (mut shop, link) = Shop::with_offloader();
    let job = shop.submit_queued(link, "a", "kitchen");
    shop.lines();
    shop.ask(&Request::Cancel(job.clone()));
    shop.ends(&job, ProcessOutcome::Killed);
    assert_eq!(frames(&mut shop), ["link-2 a cancelled cancelled"]);
}

// Covers: M26
#[test]
fn the_owners_install_leaves_a_received_job_of_the_same_name_alone() {
    let (mut shop, link) = Shop::with_offloader();
    let job = shop.submit_queued(link, "a", "kitchen");
    shop.install("kitchen", BuildChoice::Auto);
    assert_eq!(shop.status(&job), JobStatus::Running);
}

#[test]
fn a_removed_offloader_takes_its_jobs_with_it() {
    let mut shop = Shop::open();
    let [two, three] = [shop.offloader(2), shop.offloader(3)];
    let running = shop.submit_queued(two, "a", "kitchen");
    let queued = shop.submit_queued(two, "b", "bath");
    let other = shop.submit_queued(three, "c", "bath");
    shop.lines();
    shop.work.offloader_forgotten(pin(2), shop.now);
    shop.ends(&running, ProcessOutcome::Killed);
    let acts = shop.acts();
    let told: Vec<_> = acts.iter().filter(|l| l.starts_with("link-2")).collect();
    assert!(told.is_empty(), "nobody there cancelled anything: {told:?}");
    let statuses = [&running, &queued, &other].map(|id| shop.status(id));
    assert_eq!(
        statuses,
        [
            JobStatus::Cancelled,
            JobStatus::Cancelled,
            JobStatus::Running
        ]
    );
}
