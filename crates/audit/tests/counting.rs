//! What is chosen and counted from the entries of an audit.
#![allow(clippy::unwrap_used, reason = "a test cannot go on")]

use std::time::Duration;

use kiln_audit::{select, statistics};
use kiln_model::{
    AuditFilter, Built, Digest, Entry, Fact, FactKind, Gained, Given, JobFact, JobId, JobKind,
    JobOutcome, JobStep, Label, Party, Pin, Statistics, Timestamp,
};

const MINUTE: i64 = 60_000_000;

fn party(n: u8) -> Party {
    Party {
        pin: Pin([n; 32]),
        label: Label::clipped(&format!("computer {n}")),
    }
}

/// A compile of `kitchen` that ended at minute `at`, after `minutes`.
fn compile(
    sender: Option<Party>,
    built: Built,
    outcome: JobOutcome,
    at: i64,
    minutes: i64,
) -> JobFact {
    JobFact {
        step: JobStep::Ended,
        job: JobId::from_random(1),
        kind: JobKind::Compile,
        sender,
        configuration: "kitchen.yaml".to_owned(),
        device: String::new(),
        built,
        accepted: Timestamp(0),
        started: Some(Timestamp((at - minutes) * MINUTE)),
        ended: Some(Timestamp(at * MINUTE)),
        ran: None,
        outcome: Some(outcome),
        reason: String::new(),
        esphome_version: None,
        bundle: None,
        artifacts: None,
        tier: None,
        hosts: Vec::new(),
        more_hosts: 0,
    }
}

fn entries(jobs: Vec<JobFact>) -> Vec<Entry> {
    let entry = |(number, job): (usize, JobFact)| Entry {
        number: number as u64 + 1,
        at: job.ended.unwrap(),
        hash: Digest::default(),
        fact: Fact::Job(Box::new(job)),
    };
    jobs.into_iter().enumerate().map(entry).collect()
}

#[test]
fn time_is_given_with_every_build_of_others_however_it_ends() {
    use JobOutcome::{Cancelled, Completed, Failed, HandedBack};
    let of = |outcome, at| compile(Some(party(1)), Built::Here, outcome, at, 2);
    let jobs = vec![
        of(Completed, 10),
        of(Completed, 20),
        of(Failed, 30),
        of(Cancelled, 40),
        of(HandedBack, 50),
    ];
    let counted = statistics(&entries(jobs), None);
    let given = Given {
        party: party(1),
        completed: 2,
        failed: 1,
        cancelled: 1,
        handed_back: 1,
        seconds: 600,
    };
    let expected = Statistics {
        since: Some(Timestamp(10 * MINUTE)),
        given: vec![given],
        gained: Vec::new(),
    };
    assert_eq!(counted, expected);
}

#[test]
fn what_a_build_stood_still_or_the_computer_slept_is_no_time_that_was_given() {
    let mut job = compile(Some(party(1)), Built::Here, JobOutcome::Completed, 500, 490);
    job.ran = Some(Duration::from_secs(90));
    assert_eq!(statistics(&entries(vec![job]), None).given[0].seconds, 90);
}

#[test]
fn time_is_saved_only_where_the_same_configuration_was_compiled_here_too() {
    let there = |at, minutes| {
        let built = Built::There(party(2));
        compile(None, built, JobOutcome::Completed, at, minutes)
    };
    let here = |at, minutes| compile(None, Built::Here, JobOutcome::Completed, at, minutes);
    let mut unknown = there(60, 1);
    unknown.configuration = "garden.yaml".to_owned();
    let slow_here_and_failed = compile(None, Built::Here, JobOutcome::Failed, 15, 50);
    let jobs = vec![
        here(10, 4),
        slow_here_and_failed,
        here(20, 6),
        here(30, 9),
        there(40, 2),
        there(50, 8),
        unknown,
    ];
    let counted = statistics(&entries(jobs), None);
    // The median here is 6 minutes: one build took 4 less, the other 2 more.
    let gained = Gained {
        party: party(2),
        completed: 3,
        seconds: 660,
        compared: 2,
        saved_seconds: 120,
    };
    assert_eq!(counted.gained, [gained]);
}

#[test]
fn builds_that_ended_before_the_time_that_is_asked_for_are_only_compared_with() {
    let here = compile(None, Built::Here, JobOutcome::Completed, 10, 5);
    let there = |at| compile(None, Built::There(party(2)), JobOutcome::Completed, at, 1);
    let counted = statistics(
        &entries(vec![here, there(20), there(90)]),
        Some(Timestamp(60 * MINUTE)),
    );
    assert_eq!(counted.since, Some(Timestamp(60 * MINUTE)));
    assert_eq!(counted.gained[0].completed, 1);
    assert_eq!(counted.gained[0].saved_seconds, 240);
    assert_eq!(statistics(&[], Some(Timestamp(1))), Statistics::default());
}

#[test]
fn entries_are_chosen_by_time_kind_and_computer_and_the_newest_are_kept() {
    let jobs = (1..=4).map(|n| {
        let sender = Some(party(n as u8 % 2));
        compile(sender, Built::Here, JobOutcome::Completed, n, 1)
    });
    let all = entries(jobs.collect());
    let numbers = |filter: AuditFilter, most| -> Vec<u64> {
        let chosen = select(all.clone(), &filter, most);
        chosen.iter().map(|entry| entry.number).collect()
    };
    let since = AuditFilter {
        since: Some(Timestamp(3 * MINUTE)),
        ..AuditFilter::default()
    };
    assert_eq!(numbers(since, 100), [3, 4]);
    let peer = AuditFilter {
        peer: Some(Pin([1; 32])),
        ..AuditFilter::default()
    };
    assert_eq!(numbers(peer, 100), [1, 3]);
    let other_kind = AuditFilter {
        kind: Some(FactKind::Session),
        ..AuditFilter::default()
    };
    assert_eq!(numbers(other_kind, 100), [] as [u64; 0]);
    let newest = AuditFilter {
        limit: Some(2),
        ..AuditFilter::default()
    };
    assert_eq!(numbers(newest, 100), [3, 4]);
    assert_eq!(numbers(AuditFilter::default(), 3), [2, 3, 4]);
}
