//! Stories of the audit: what is told afterwards of pairings, sessions, jobs and settings.
use std::time::Duration;

use kiln_model::{
    AuditFilter, AuditQuestion, Built, ChainFault, ContactedHost, Entry, Fact, JobFact, JobKind,
    JobOutcome, JobStep, PairingStep, Reach, Reply, Request, SessionStep, Side, Snooze, Statistics,
    Tier, Verification,
};
use kiln_ports::Store as _;
use kiln_ports::sandbox::{Answer, Contact};
use kiln_ports::store::{Change, Row, StoreError};

use crate::esphome::VERSION;
use crate::installing::LONG;
use crate::world::{Host, World};

async fn entries(host: &Host) -> Vec<Entry> {
    let all = AuditQuestion::Entries(AuditFilter::default());
    match host.ask(Request::Audit(all)).await {
        Reply::Audit {
            entries,
            unreadable: 0,
        } => entries,
        other => panic!("{other:?}"),
    }
}

async fn verified(host: &Host) -> Verification {
    let question = AuditQuestion::Verify { noted: None };
    match host.ask(Request::Audit(question)).await {
        Reply::AuditVerified(verification) => verification,
        other => panic!("{other:?}"),
    }
}

async fn is_intact(host: &Host) -> bool {
    matches!(verified(host).await, Verification::Intact(_))
}

async fn statistics(host: &Host) -> Statistics {
    let question = AuditQuestion::Statistics { since: None };
    match host.ask(Request::Audit(question)).await {
        Reply::Statistics(statistics) => statistics,
        other => panic!("{other:?}"),
    }
}

/// What happened, in a word or two.
fn told(entries: &[Entry]) -> Vec<String> {
    let word = |entry: &Entry| match &entry.fact {
        Fact::Started { .. } => "started".to_owned(),
        Fact::Pairing(fact) => format!("{} {}", fact.side.word(), fact.step.word()),
        Fact::Rotated { .. } => "rotated".to_owned(),
        Fact::Session(fact) => format!("session {}", fact.step.word()),
        Fact::Job(fact) => format!("{} {}", fact.kind.word(), fact.step.word()),
        Fact::Setting { name, .. } => name.clone(),
    };
    entries.iter().map(word).collect()
}

fn jobs(entries: &[Entry], kind: JobKind, step: JobStep) -> Vec<JobFact> {
    let job = |entry: &Entry| match &entry.fact {
        Fact::Job(fact) => Some(fact.as_ref().clone()),
        _ => None,
    };
    entries
        .iter()
        .filter_map(job)
        .filter(|fact| fact.kind == kind && fact.step == step)
        .collect()
}

fn rows(host: &Host) -> Vec<Row> {
    host.store.rows("audit").unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_two_computers_did_together_is_told_on_both_sides() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    one.install("kitchen").await;
    one.finish_jobs(LONG).await;
    let id = one.view().await.identity.dashboard_id;
    assert_eq!(two.ask(Request::RemovePeer(id)).await, Reply::Done);
    world.run_for(Duration::from_secs(60)).await;

    let here = entries(&one).await;
    assert_eq!(
        told(&here),
        [
            "started",
            "receiver asked",
            "receiver approved",
            "session opened",
            "compile accepted",
            "compile started",
            "upload accepted",
            "compile ended",
            "upload started",
            "upload ended",
            "session closed",
            "receiver revoked",
        ]
    );
    let there = entries(&two).await;
    assert_eq!(
        told(&there),
        [
            "started",
            "offloader asked",
            "offloader approved",
            "session opened",
            "compile accepted",
            "compile started",
            "compile ended",
            "compile packed",
            "offloader removed",
            "session closed",
        ]
    );
    let [sent] = &jobs(&here, JobKind::Compile, JobStep::Ended)[..] else {
        panic!("one compile: {here:#?}");
    };
    let [built] = &jobs(&there, JobKind::Compile, JobStep::Ended)[..] else {
        panic!("one compile: {there:#?}");
    };
    let receiver = two.pin().await;
    assert!(matches!(&sent.built, Built::There(party) if party.pin == receiver));
    assert_eq!(built.sender.as_ref().unwrap().pin, one.pin().await);
    assert_eq!(built.built, Built::Here);
    assert_eq!(built.tier, Some(Tier::Boxed));
    for fact in [sent, built] {
        assert_eq!(fact.configuration, "kitchen.yaml");
        assert_eq!(fact.outcome, Some(JobOutcome::Completed));
        assert_eq!(fact.esphome_version.as_ref().unwrap().as_str(), VERSION);
        assert!(fact.started.is_some() && fact.ended >= fact.started);
    }
    // Both sides name the same bundle and the same artifacts.
    assert!(sent.bundle.is_some() && sent.bundle == built.bundle);
    let [packed] = &jobs(&there, JobKind::Compile, JobStep::Packed)[..] else {
        panic!("packed once: {there:#?}");
    };
    assert!(sent.artifacts.is_some() && sent.artifacts == packed.artifacts);
    assert!(is_intact(&one).await && is_intact(&two).await);
}

#[tokio::test(start_paused = true)]
async fn an_end_of_a_session_says_why() {
    let world = World::new();
    let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    two.stop().await;
    world.run_for(Duration::from_secs(5)).await;
    let entries = entries(&one).await;
    let Some(Fact::Session(last)) = entries.last().map(|entry| &entry.fact) else {
        panic!("{entries:#?}");
    };
    assert_eq!(
        (last.step, last.side),
        (SessionStep::Closed, Side::Receiver)
    );
    assert_eq!(last.why, "the other side ended it (server_shutting_down)");
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_handed_back_and_a_session_that_ends_for_the_owner_say_why() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let _held = two.esphome.hold("compile");
    one.install("kitchen").await;
    one.finish_jobs(LONG).await;
    let handed_back = jobs(&entries(&two).await, JobKind::Compile, JobStep::Ended);
    assert_eq!(handed_back[0].outcome, Some(JobOutcome::HandedBack));
    let why = &handed_back[0].reason;
    assert!(why.contains("it said nothing for 5 minutes"), "{why}");
    assert_eq!(statistics(&two).await.given[0].handed_back, 1);
    assert_eq!(two.ask(Request::Pause(Snooze::Forever)).await, Reply::Done);
    world.run_for(Duration::from_secs(300)).await;
    let there = entries(&two).await;
    let closed = there.iter().rev().find_map(|entry| match &entry.fact {
        Fact::Session(fact) if fact.step == SessionStep::Closed => Some(&fact.why),
        _ => None,
    });
    assert_eq!(closed.unwrap(), "this side is not lent (snoozed)");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_and_a_key_that_changes_are_told() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    two.ask(Request::OpenWindow).await;
    assert_eq!(one.ask_to_pair(&two).await, Reply::PairingPending);
    let id = one.view().await.identity.dashboard_id;
    assert_eq!(two.ask(Request::Reject(id)).await, Reply::Done);
    world.run_for(Duration::from_secs(30)).await;
    let rejected = told(&entries(&two).await);
    assert_eq!(
        rejected,
        ["started", "offloader asked", "offloader rejected"]
    );
    one.pair_with(&two).await;
    let before = two.pin().await;
    assert_eq!(two.ask(Request::RotateIdentity).await, Reply::Done);
    world.run_for(Duration::from_secs(120)).await;
    let rotated = entries(&two).await;
    let (from, to) = (before, two.pin().await);
    let fact = Fact::Rotated { from, to };
    assert!(rotated.iter().any(|entry| entry.fact == fact));
    let seen = entries(&one).await;
    let changed = seen.iter().find_map(|entry| match &entry.fact {
        Fact::Pairing(fact) if fact.step == PairingStep::KeyChanged => Some(fact),
        _ => None,
    });
    let changed = changed.expect("the change is told");
    assert_eq!((changed.party.pin, changed.observed), (before, Some(to)));
}

#[tokio::test(start_paused = true)]
async fn whom_no_entry_names_is_told_of_at_the_next_start_once() {
    let world = World::new();
    let (one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    two.stop().await;
    let gone = rows(&two).into_iter();
    let gone: Vec<Change> = gone
        .map(|Row { kind, key, .. }| Change::Delete { kind, key })
        .collect();
    two.store.apply(&gone).unwrap();
    two.start().await.unwrap();
    assert_eq!(
        told(&entries(&two).await)[..2],
        ["started", "offloader found"]
    );
    two.stop().await;
    two.start().await.unwrap();
    let again = told(&entries(&two).await);
    let found = again.iter().filter(|word| *word == "offloader found");
    assert_eq!(found.count(), 1, "{again:?}");
    assert!(is_intact(&two).await);
}

#[tokio::test(start_paused = true)]
async fn the_hosts_that_a_build_asked_for_stand_in_its_entry() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    let contact = |host: &str, answer| Contact {
        host: host.to_owned(),
        port: 443,
        answer,
    };
    two.sandbox.visits(vec![
        contact("pypi.org", Answer::Reached),
        contact("evil.example", Answer::NotAllowed),
        contact("pypi.org", Answer::Reached),
        contact("github.com", Answer::Failed("no route".to_owned())),
    ]);
    one.pair_with(&two).await;
    one.install("kitchen").await;
    one.finish_jobs(LONG).await;
    let entries = entries(&two).await;
    let host = |place: &str, reach| ContactedHost {
        place: place.to_owned(),
        reach,
    };
    let expected = [
        host("pypi.org:443", Reach::Reached),
        host("evil.example:443", Reach::Refused),
        host("github.com:443", Reach::Failed),
    ];
    assert_eq!(
        jobs(&entries, JobKind::Compile, JobStep::Ended)[0].hosts,
        expected
    );
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_changes_is_told_once_with_both_values() {
    let world = World::new();
    let one = world.host(1, "one").await;
    for value in ["7", "7", "9"] {
        let change = ("idle_minutes".to_owned(), value.to_owned());
        one.ask(Request::SetSettings(vec![change])).await;
    }
    let facts: Vec<Fact> = entries(&one).await.into_iter().map(|e| e.fact).collect();
    let changed = |old: &str, new: &str| Fact::Setting {
        name: "idle_minutes".to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
    };
    assert_eq!(facts[1..], [changed("3", "7"), changed("7", "9")]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_was_tampered_with_is_named() {
    let world = World::new();
    let mut one = world.host(1, "one").await;
    for value in 4..9 {
        let change = ("idle_minutes".to_owned(), value.to_string());
        one.ask(Request::SetSettings(vec![change])).await;
    }
    let mut row = rows(&one)
        .into_iter()
        .find(|row| row.key.ends_with("03"))
        .unwrap();
    let good = row.clone();
    row.body = row.body.replace("idle_minutes", "cpu_limit");
    assert_ne!(row.body, good.body);
    one.store.apply(&[Change::Put(row)]).unwrap();
    let broken = |number, fault| Verification::Broken { number, fault };
    assert_eq!(verified(&one).await, broken(3, ChainFault::Changed));
    one.stop().await;
    one.start().await.unwrap();
    assert_eq!(verified(&one).await, broken(3, ChainFault::Changed));
    let Row { kind, key, .. } = good;
    one.store.apply(&[Change::Delete { kind, key }]).unwrap();
    assert_eq!(verified(&one).await, broken(3, ChainFault::Missing));
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_moment_the_audit_goes_on_whole() {
    let world = World::new();
    let (mut one, mut two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    for round in 0..24_u64 {
        one.install("kitchen").await;
        world.run_for(Duration::from_millis(round * 60)).await;
        let host = match round % 2 {
            0 => &mut one,
            _ => &mut two,
        };
        host.kill().await;
        host.start().await.unwrap();
        for host in [&one, &two] {
            assert!(is_intact(host).await, "round {round}: {}", host.name);
            let entries = entries(host).await;
            for job in host.jobs().await {
                let of = |step| {
                    let all = entries.iter().filter_map(|entry| match &entry.fact {
                        Fact::Job(fact) if fact.step == step => Some(&fact.job),
                        _ => None,
                    });
                    all.filter(|id| **id == job.id).count()
                };
                assert_eq!(of(JobStep::Accepted), 1, "{job:#?}");
                assert_eq!(of(JobStep::Ended), usize::from(job.status.is_final()));
            }
        }
        one.finish_jobs(LONG).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_the_disk_was_full_is_told_afterwards() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let before = told(&entries(&one).await).len();
    one.store.refuse(Some(StoreError::Full));
    world.net.reset(one.ip, two.ip);
    world.run_for(Duration::from_secs(30)).await;
    assert!(is_intact(&one).await, "the store is as it was");
    one.store.refuse(None);
    world.run_for(Duration::from_secs(10)).await;
    let entries = entries(&one).await;
    assert_eq!(
        told(&entries)[before..],
        ["session closed", "session opened"]
    );
    assert!(is_intact(&one).await);
}

#[tokio::test(start_paused = true)]
async fn an_idle_computer_writes_nothing() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    let before = (rows(&one), rows(&two));
    world.run_for(Duration::from_secs(3_600)).await;
    assert_eq!((rows(&one), rows(&two)), before);
}

#[tokio::test(start_paused = true)]
async fn both_sides_count_what_one_did_for_the_other() {
    let world = World::new();
    let (one, two) = (world.host(1, "one").await, world.host(2, "two").await);
    one.pair_with(&two).await;
    for _ in 0..2 {
        one.install("kitchen").await;
        one.finish_jobs(LONG).await;
    }
    let (here, there) = (statistics(&one).await, statistics(&two).await);
    assert_eq!((here.given.len(), there.gained.len()), (0, 0));
    assert_eq!(here.gained[0].party.pin, two.pin().await);
    assert_eq!((here.gained[0].completed, here.gained[0].compared), (2, 0));
    assert_eq!(there.given[0].party.pin, one.pin().await);
    assert_eq!((there.given[0].completed, there.given[0].failed), (2, 0));
}
