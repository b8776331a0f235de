//! Runs from their bundle to their end, with everything that comes in between.
use kiln_model::{BuildChoice, QueueStatus, ResetRefusal};

use super::super::Event;
use super::super::fixtures::{Shop, failed, pin, step_failed, wire};
use super::*;

/// A kitchen install whose compile is on receiver 1 over link 1, where it is bundled.
fn started() -> (Shop, JobId, JobId, LinkId) {
    let mut shop = Shop::open();
    let link = shop.receiver(1);
    let (compile, flash) = shop.install("kitchen", BuildChoice::Auto);
    shop.lines();
    (shop, compile, flash, link)
}

/// The same, accepted by the receiver.
fn accepted() -> (Shop, JobId, LinkId, WireJobId) {
    let (mut shop, compile, _, link) = started();
    let wire = shop.building_on(&compile, link);
    shop.lines();
    (shop, compile, link, wire)
}

// Covers: M44, M54
#[test]
fn a_remote_build_goes_all_the_way_and_then_its_flash_runs_here() {
    let (mut shop, compile, flash, link) = started();
    shop.bundled(&compile);
    assert_eq!(shop.acts(), ["upload link-1 w1 compile kitchen.yaml"]);
    let w1 = shop.wire(1);
    assert_eq!(shop.work.log_of(link, &w1), Some(compile.clone()));
    shop.accepted(link, 1);
    shop.state(link, &w1, JobStatus::Queued);
    assert!(shop.job(&compile).reason.contains("R1: queued there"));
    shop.state(link, &w1, JobStatus::Running);
    assert!(shop.job(&compile).reason.contains("R1: works on it"));
    shop.state(link, &w1, JobStatus::Completed);
    assert_eq!(shop.acts(), ["download link-1 w1"]);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    let blob = shop.blob();
    shop.happens(Event::Downloaded(link, w1, Ok(blob)));
    assert_eq!(shop.acts(), ["materialise j1 kitchen.yaml"]);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    shop.happens(Event::Materialised(compile.clone(), Ok(())));
    assert_eq!(shop.status(&compile), JobStatus::Completed);
    assert_eq!(shop.job(&compile).exit_code, Some(0));
    assert_eq!(shop.acts(), ["flash j2 kitchen.yaml Ota"]);
    assert_eq!(shop.status(&flash), JobStatus::Running);
}

// Covers: M47
#[test]
fn the_header_says_what_to_build_with_which_version() {
    let mut shop = Shop::open();
    shop.receiver(1);
    let mut work = Work::new(1);
    let (compile, _) = shop.install("kitchen", BuildChoice::Auto);
    std::mem::swap(&mut work, &mut shop.work);
    let blob = shop.blob();
    let facts = BundleFacts {
        blob,
        bytes: 32_769,
        sha256: "ab".to_owned(),
    };
    work.handle(Event::BundleMade(compile, Ok(facts)), shop.now);
    let header = std::iter::from_fn(|| work.poll_effect()).find_map(|e| match e {
        crate::Effect::Work(Effect::Upload(_, header, _)) => Some(header),
        _ => None,
    });
    let header = header.unwrap();
    assert_eq!(header.target, "compile");
    assert_eq!(header.configuration_filename, "kitchen.yaml");
    assert_eq!(header.total_bundle_bytes, 32_769);
    let version = header.target_esphome_version.unwrap();
    assert_eq!(version.as_str(), "2026.10.0");
    assert!(header.skip_bootloader, "an OTA flash needs none");
}

// Covers: M45, R-48
#[test]
fn frames_of_other_receivers_ids_and_attempts_are_ignored() {
    let (mut shop, compile, _, w1) = accepted();
    let other = shop.receiver(2);
    shop.state(other, &w1, JobStatus::Completed);
    shop.state(LinkId(1), &wire("unknown"), JobStatus::Failed);
    shop.state(LinkId(77), &w1, JobStatus::Failed);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    assert!(shop.acts().is_empty());
    assert_eq!(shop.work.log_of(other, &w1), None);
}

// Covers: M46
#[test]
fn a_bundle_that_no_receiver_takes_is_not_sent() {
    let (mut shop, compile, _, _) = started();
    shop.bundled_with(&compile, 134_217_729);
    assert_eq!(shop.status(&compile), JobStatus::Failed);
    assert!(shop.error(&compile).contains("128 MiB"));
    assert!(shop.acts().is_empty());
    let again = shop.compile("kitchen", BuildChoice::Auto);
    shop.bundled_with(&again, 134_217_728);
    assert_eq!(shop.lines_of("upload").len(), 1);
}

#[test]
fn a_bundle_that_cannot_be_made_fails_the_job_with_the_tools_words() {
    let (mut shop, compile, flash, _) = started();
    let error = Err(step_failed("secret wifi_password not defined"));
    shop.happens(Event::BundleMade(compile.clone(), error));
    assert_eq!(shop.error(&compile), "secret wifi_password not defined");
    assert_eq!(shop.status(&flash), JobStatus::Cancelled);
}

// Covers: M48
#[test]
fn a_cancel_while_bundling_sends_nothing() {
    let (mut shop, compile, _, _) = started();
    shop.cancel(&compile);
    assert_eq!(shop.acts(), ["stop j1"]);
    shop.bundled(&compile);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    assert!(shop.acts().is_empty());
}

// Covers: M49, O-29
#[test]
fn a_cancel_while_it_builds_sends_one_frame_and_waits_for_the_answer() {
    let (mut shop, compile, link, w1) = accepted();
    shop.cancel(&compile);
    shop.cancel(&compile);
    assert_eq!(shop.acts(), ["link-1 cancel w1"]);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    shop.state(link, &w1, JobStatus::Cancelled);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
}

// Covers: M28, M49
#[test]
fn a_cancel_beats_the_receivers_outcome_and_the_lost_link() {
    for status in [JobStatus::Completed, JobStatus::Failed] {
        let (mut shop, compile, link, w1) = accepted();
        shop.cancel(&compile);
        shop.state(link, &w1, status);
        assert_eq!(shop.status(&compile), JobStatus::Cancelled);
        assert_eq!(shop.acts(), ["link-1 cancel w1"], "nothing is downloaded");
    }
    let (mut shop, compile, link, w1) = accepted();
    shop.cancel(&compile);
    let provision = Some(FailureReason::Provision);
    shop.state_with(link, &w1, JobStatus::Failed, "", provision);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    let (mut shop, compile, link, _) = accepted();
    shop.cancel(&compile);
    shop.hang_up(1, link);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
}

// Covers: M50, O-29
#[test]
fn a_cancel_without_a_link_ends_at_once() {
    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Completed);
    shop.hang_up(1, link);
    shop.lines();
    shop.cancel(&compile);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    assert!(shop.acts().is_empty());

    let (mut shop, compile, link, _) = accepted();
    shop.hang_up(1, link);
    shop.lines();
    shop.cancel(&compile);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    assert!(shop.acts().is_empty());
}

#[test]
fn an_unanswered_cancel_ends_after_half_a_minute() {
    let (mut shop, compile, link, w1) = accepted();
    shop.cancel(&compile);
    shop.pass(29);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    shop.pass(1);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    shop.state(link, &w1, JobStatus::Completed);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
}

#[test]
fn a_cancel_during_the_upload_ends_here_and_is_passed_on_with_the_ack() {
    let (mut shop, compile, _, link) = started();
    shop.bundled(&compile);
    shop.lines();
    shop.cancel(&compile);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    // The next submission waits until the link is free of this one.
    let next = shop.compile("bath", BuildChoice::Auto);
    shop.bundled(&next);
    assert_eq!(shop.acts(), ["bundle j3 bath.yaml"]);
    shop.accepted(link, 1);
    assert_eq!(
        shop.acts(),
        ["upload link-1 w2 compile bath.yaml", "link-1 cancel w1"]
    );
}

#[test]
fn a_cancel_during_the_download_drops_what_comes() {
    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Completed);
    shop.cancel(&compile);
    shop.lines();
    shop.delivered(&compile, link, 1);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    assert!(shop.acts().is_empty());
}

// Covers: M51, O-24
#[test]
fn every_attempt_has_a_wire_id_of_its_own_and_old_ones_say_nothing() {
    let (mut shop, compile, link, w1) = accepted();
    shop.leaves(1, link);
    let again = shop.connect(1, 9);
    let w2 = shop.building_on(&compile, again);
    assert_ne!(w1, w2);
    // The receiver supersedes the old build and says so, under its old id.
    shop.state(again, &w1, JobStatus::Cancelled);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    shop.lines();
    shop.state(again, &w2, JobStatus::Completed);
    assert_eq!(shop.acts(), ["download link-9 w2"]);
}

// Covers: M52
#[test]
fn a_link_that_dropped_and_healed_before_the_submission_is_no_loss() {
    let (mut shop, compile, _, link) = started();
    shop.hang_up(1, link);
    shop.connect(1, 9);
    shop.bundled(&compile);
    assert_eq!(shop.acts(), ["upload link-9 w1 compile kitchen.yaml"]);
    shop.accepted(LinkId(9), 1);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    assert!(!shop.notes.iter().any(|(_, n)| n.contains("lost")));
}

#[test]
fn a_submission_waits_a_moment_for_its_link() {
    let (mut shop, compile, _, link) = started();
    shop.hang_up(1, link);
    shop.bundled(&compile);
    shop.pass(5);
    assert!(shop.acts().is_empty());
    shop.connect(1, 9);
    assert_eq!(shop.acts(), ["upload link-9 w1 compile kitchen.yaml"]);
}

// Covers: O-28
#[test]
fn a_link_lost_while_uploading_or_awaiting_the_ack_routes_again() {
    for acked in [false, true] {
        let (mut shop, compile, _, link) = started();
        shop.bundled(&compile);
        let w1 = shop.wire(1);
        if acked {
            shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
        }
        shop.hang_up(1, link);
        if !acked {
            let lost = Err(StepFailure::LinkLost);
            shop.happens(Event::Uploaded(link, w1, lost));
        }
        assert_eq!(shop.status(&compile), JobStatus::Queued);
        assert_eq!(shop.store.last().unwrap().losses, 1);
    }
}

#[test]
fn a_loss_that_is_told_twice_counts_once() {
    let (mut shop, compile, _, link) = started();
    shop.bundled(&compile);
    let w1 = shop.wire(1);
    shop.happens(Event::Uploaded(link, w1, Err(StepFailure::LinkLost)));
    assert_eq!(shop.lines_of("bundle").len(), 1, "the link is still there");
    shop.hang_up(1, link);
    let losses = shop.store.iter().filter(|s| s.job.id == compile);
    assert_eq!(losses.map(|s| s.losses).max(), Some(1));
}

// Covers: M53
#[test]
fn a_failure_without_text_gets_one() {
    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Failed);
    shop.pass(5);
    assert_eq!(shop.status(&compile), JobStatus::Failed);
    assert_eq!(
        shop.error(&compile),
        "R1: the build failed there; its output says why"
    );
}

#[test]
fn an_end_without_a_reason_that_the_end_of_the_session_follows_routes_the_build_again() {
    for status in [JobStatus::Cancelled, JobStatus::Failed] {
        let (mut shop, compile, link, w1) = accepted();
        shop.state(link, &w1, status);
        shop.pass(4);
        shop.hang_up(1, link);
        assert_eq!(shop.status(&compile), JobStatus::Queued, "nobody meant it");
        shop.pass(20);
        assert_eq!(shop.lines_of("build").len(), 1);
    }
}

// Covers: M28
#[test]
fn a_cancel_ends_what_is_said_to_have_ended_without_a_reason_at_once() {
    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Failed);
    shop.cancel(&compile);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
}

// Covers: O-26
#[test]
fn an_end_without_a_beginning_is_honoured() {
    let (mut shop, compile, _, link) = started();
    shop.bundled(&compile);
    let w1 = shop.wire(1);
    shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
    shop.lines();
    shop.state(link, &w1, JobStatus::Cancelled);
    shop.pass(5);
    assert_eq!(shop.status(&compile), JobStatus::Cancelled);
    assert_eq!(shop.error(&compile), "R1 cancelled it");
}

// Covers: O-25
#[test]
fn states_before_the_ack_of_a_reset_are_tolerated() {
    let mut shop = Shop::open();
    let link = shop.receiver(1);
    let request = kiln_model::Request::ResetEnvironment(Some(pin(1)));
    let job = shop.ask_jobs(&request).remove(0);
    let w1 = shop.wire(1);
    shop.state(link, &w1, JobStatus::Queued);
    shop.state(link, &w1, JobStatus::Running);
    let verdict = Ok(());
    let job_id = w1.clone();
    shop.says(link, Message::ResetBuildEnvAck { job_id, verdict });
    shop.state(link, &w1, JobStatus::Completed);
    assert_eq!(shop.status(&job), JobStatus::Completed);
    assert_eq!(shop.lines_of("download").len(), 0);
}

#[test]
fn a_refused_reset_fails_with_the_word() {
    let mut shop = Shop::open();
    let link = shop.receiver(1);
    let request = kiln_model::Request::ResetEnvironment(Some(pin(1)));
    let job = shop.ask_jobs(&request).remove(0);
    let message = Message::ResetBuildEnvAck {
        job_id: shop.wire(1),
        verdict: Err(Some(ResetRefusal::Busy)),
    };
    shop.says(link, message);
    assert_eq!(shop.error(&job), "R1 refused it: busy");
}

// Covers: O-22
#[test]
fn an_ack_that_does_not_come_fails_the_job_without_a_second_submission() {
    let (mut shop, compile, _, link) = started();
    shop.bundled(&compile);
    shop.pass(300);
    assert_eq!(
        shop.status(&compile),
        JobStatus::Running,
        "it still streams"
    );
    let w1 = shop.wire(1);
    shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
    shop.pass(59);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    shop.pass(1);
    assert_eq!(shop.status(&compile), JobStatus::Failed);
    assert_eq!(shop.submissions(), 1);
    shop.lines();
    let verdict = Ok(());
    shop.says(
        link,
        Message::SubmitJobAck {
            job_id: w1,
            verdict,
        },
    );
    assert_eq!(shop.acts(), ["link-1 cancel w1"], "nobody waits for it");
}

/// A submission that was sent whole, over a link on which nothing is heard since.
fn unheard() -> (Shop, JobId, LinkId) {
    let (mut shop, compile, _, link) = started();
    shop.pass(1);
    shop.silent.push(link);
    shop.bundled(&compile);
    let w1 = shop.wire(1);
    shop.happens(Event::Uploaded(link, w1, Ok(())));
    (shop, compile, link)
}

#[test]
fn a_receiver_that_was_not_heard_since_the_last_chunk_is_routed_round_when_its_session_ends() {
    let (mut shop, compile, link) = unheard();
    shop.pass(89);
    assert_eq!(shop.status(&compile), JobStatus::Running, "it may be gone");
    shop.hang_up(1, link);
    assert_eq!(shop.status(&compile), JobStatus::Queued);
}

#[test]
fn a_receiver_that_is_heard_again_and_does_not_answer_fails_the_job() {
    let (mut shop, compile, _) = unheard();
    shop.pass(60);
    assert_eq!(shop.status(&compile), JobStatus::Running);
    shop.silent.clear();
    shop.pass(30);
    assert_eq!(shop.status(&compile), JobStatus::Failed);
}

// Covers: O-23
#[test]
fn a_refusal_stops_the_upload_and_its_echoes_are_ignored() {
    let (mut shop, compile, _, link) = started();
    shop.bundled(&compile);
    shop.lines();
    let refused = |reason| Message::SubmitJobAck {
        job_id: wire(""),
        verdict: Err(Some(reason)),
    };
    let with_id = |message, id: &WireJobId| match message {
        Message::SubmitJobAck { verdict, .. } => Message::SubmitJobAck {
            job_id: id.clone(),
            verdict,
        },
        other => other,
    };
    let w1 = shop.wire(1);
    shop.says(link, with_id(refused(SubmitRefusal::InvalidHeader), &w1));
    assert_eq!(shop.acts(), ["stop upload link-1 w1"]);
    assert_eq!(shop.error(&compile), "R1 refused it: invalid_header");
    shop.says(link, with_id(refused(SubmitRefusal::NoInflightSubmit), &w1));
    shop.says(link, with_id(refused(SubmitRefusal::NoInflightSubmit), &w1));
    assert!(shop.acts().is_empty());
    let next = shop.compile("bath", BuildChoice::Auto);
    shop.bundled(&next);
    assert_eq!(
        shop.lines_of("upload").len(),
        0,
        "chunks are still on the way"
    );
    let stopped = Err(StepFailure::Cancelled);
    shop.happens(Event::Uploaded(link, w1, stopped));
    assert_eq!(shop.lines_of("upload").len(), 1);
}

// Covers: O-21
#[test]
fn uploads_to_one_receiver_wait_for_each_other() {
    let mut shop = Shop::open();
    let link = shop.receiver(1);
    let jobs = shop.clean("kitchen");
    let compile = shop.compile("bath", BuildChoice::Auto);
    shop.lines();
    shop.bundled(&jobs[1]);
    shop.bundled(&compile);
    assert_eq!(shop.acts(), ["upload link-1 w1 clean kitchen.yaml"]);
    let w1 = shop.wire(1);
    shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
    assert!(shop.acts().is_empty(), "until the verdict");
    let verdict = Ok(());
    shop.says(
        link,
        Message::SubmitJobAck {
            job_id: w1,
            verdict,
        },
    );
    assert_eq!(shop.acts(), ["upload link-1 w2 compile bath.yaml"]);
}

#[test]
fn a_remote_clean_completes_without_a_download_and_fails_with_its_link() {
    let mut shop = Shop::open();
    let link = shop.receiver(1);
    let first = shop.clean("kitchen").remove(1);
    let w1 = shop.building_on(&first, link);
    shop.lines();
    shop.state(link, &w1, JobStatus::Completed);
    assert_eq!(shop.status(&first), JobStatus::Completed);
    let second = shop.clean("bath").remove(1);
    shop.building_on(&second, link);
    shop.hang_up(1, link);
    assert_eq!(shop.status(&second), JobStatus::Failed);
    assert_eq!(shop.lines_of("download").len(), 0);
}

#[test]
fn a_remote_clean_holds_no_lane() {
    let mut shop = Shop::open();
    let link = shop.receiver(1);
    let jobs = shop.clean("kitchen");
    shop.succeeds(&jobs[0]);
    shop.building_on(&jobs[1], link);
    assert_eq!(shop.work.queue_status(), QueueStatus::of(false, 0));
}

#[test]
fn a_download_is_tried_once_more_after_a_reconnect() {
    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Completed);
    shop.lines();
    let lost = Err(DownloadFailure::LinkLost);
    shop.happens(Event::Downloaded(link, w1.clone(), lost));
    assert!(shop.acts().is_empty(), "not over the dying link");
    shop.hang_up(1, link);
    let again = shop.connect(1, 9);
    assert_eq!(shop.acts(), ["download link-9 w1"]);
    shop.delivered(&compile, again, 1);
    assert_eq!(shop.status(&compile), JobStatus::Completed);
}

#[test]
fn a_receiver_that_forgot_the_build_or_stays_away_loses_it() {
    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Completed);
    shop.hang_up(1, link);
    let again = shop.connect(1, 9);
    let forgot = Some(ArtifactsRefusal::UnknownJob);
    let refused = Err(DownloadFailure::Refused(forgot, Sentence::default()));
    shop.happens(Event::Downloaded(again, w1, refused));
    assert_eq!(shop.lines_of("bundle"), ["bundle j1 kitchen.yaml"]);
    assert_eq!(shop.status(&compile), JobStatus::Running);

    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Completed);
    shop.hang_up(1, link);
    shop.pass(20);
    assert_eq!(shop.status(&compile), JobStatus::Queued);
}

#[test]
fn artifacts_are_asked_for_when_those_of_a_cancelled_run_have_come_and_that_is_no_loss() {
    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Completed);
    shop.cancel(&compile);
    let again = shop.compile("kitchen", BuildChoice::Auto);
    let w2 = shop.building_on(&again, link);
    shop.lines();
    shop.state(link, &w2, JobStatus::Completed);
    shop.pass(100);
    assert!(shop.acts().is_empty(), "one download at a time");
    let blob = shop.blob();
    shop.happens(Event::Downloaded(link, w1, Ok(blob)));
    assert_eq!(shop.acts(), ["download link-1 w2"]);
    shop.delivered(&again, link, 2);
    assert_eq!(shop.status(&again), JobStatus::Completed);
    let losses = shop.store.iter().filter(|s| s.job.id == again);
    assert_eq!(losses.map(|s| s.losses).max(), Some(0));
}

#[test]
fn a_receiver_that_still_sends_other_artifacts_is_asked_again_for_a_while_before_that_is_a_loss() {
    let (mut shop, compile, link, w1) = accepted();
    shop.state(link, &w1, JobStatus::Completed);
    let refused = |shop: &mut Shop| {
        shop.lines();
        let why = Some(ArtifactsRefusal::DuplicateDownload);
        let refused = Err(DownloadFailure::Refused(why, Sentence::default()));
        shop.happens(Event::Downloaded(link, w1.clone(), refused));
    };
    for _ in 0..10 {
        refused(&mut shop);
        assert!(shop.acts().is_empty(), "not in the same breath");
        shop.pass(2);
        assert_eq!(shop.acts(), ["download link-1 w1"]);
    }
    refused(&mut shop);
    assert_eq!(shop.acts(), ["download link-1 w1"], "once more");
    refused(&mut shop);
    assert_eq!(shop.acts(), ["bundle j1 kitchen.yaml"]);
    assert_eq!(shop.status(&compile), JobStatus::Running);
}

// Covers: O-30, O-31
#[test]
fn firmware_that_does_not_come_right_fails_the_job() {
    let refused = DownloadFailure::Refused(
        Some(ArtifactsRefusal::PackFailed),
        "platform HOST unknown".into(),
    );
    for (failure, words) in [
        (refused, "platform HOST unknown"),
        (
            DownloadFailure::Refused(None, Sentence::default()),
            "no reason",
        ),
        (DownloadFailure::Invalid("hash".into()), "broken"),
        (DownloadFailure::Disk("full".into()), "full"),
    ] {
        let (mut shop, compile, link, w1) = accepted();
        shop.state(link, &w1, JobStatus::Completed);
        shop.happens(Event::Downloaded(link, w1, Err(failure)));
        assert_eq!(shop.status(&compile), JobStatus::Failed);
        assert!(shop.error(&compile).contains(words), "{words}");
    }
}

// Covers: M54
#[test]
fn firmware_that_does_not_fit_fails_the_job_and_flashes_nothing() {
    let (mut shop, compile, flash, link) = started();
    let w1 = shop.building_on(&compile, link);
    shop.state(link, &w1, JobStatus::Completed);
    let blob = shop.blob();
    shop.happens(Event::Downloaded(link, w1, Ok(blob)));
    let error = Err(step_failed("platformio.ini is missing"));
    shop.happens(Event::Materialised(compile.clone(), error));
    assert_eq!(shop.error(&compile), "platformio.ini is missing");
    assert_eq!(shop.status(&flash), JobStatus::Cancelled);
}

#[test]
fn artifacts_wait_for_the_build_tree() {
    let mut shop = Shop::open();
    let link = shop.receiver(1);
    let (first, flash) = shop.install("kitchen", BuildChoice::Local);
    shop.succeeds(&first);
    shop.cancel(&flash);
    let second = shop.compile("kitchen", BuildChoice::Auto);
    let w1 = shop.building_on(&second, link);
    shop.state(link, &w1, JobStatus::Completed);
    let blob = shop.blob();
    shop.lines();
    shop.happens(Event::Downloaded(link, w1, Ok(blob)));
    assert!(
        shop.acts().is_empty(),
        "the flash that was given up still reads it"
    );
    shop.ends(&flash, failed("killed"));
    assert_eq!(shop.lines_of("materialise").len(), 1);
}

#[test]
fn a_receiver_that_clings_to_an_old_upload_is_left_and_dialled_again() {
    let (mut shop, compile, _, link) = started();
    shop.bundled(&compile);
    shop.lines();
    let w1 = shop.wire(1);
    shop.happens(Event::Uploaded(link, w1.clone(), Ok(())));
    let message = Message::SubmitJobAck {
        job_id: w1,
        verdict: Err(Some(SubmitRefusal::DuplicateSubmit)),
    };
    shop.says(link, message);
    assert_eq!(
        shop.acts(),
        ["link-1 terminate client_stopped", "bundle j1 kitchen.yaml"]
    );
    shop.hang_up(1, link);
    shop.connect(1, 9);
    shop.bundled(&compile);
    assert_eq!(shop.acts(), ["upload link-9 w2 compile kitchen.yaml"]);
}
