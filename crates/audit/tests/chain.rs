//! The chain of the audit: what was written verifies, and whatever is done to it is found.
#![allow(clippy::unwrap_used, reason = "a test cannot go on")]

use std::time::Duration;

use kiln_audit::{Head, KEPT, PRUNED, read, verify};
use kiln_model::{
    AuditSpan, Built, ChainFault, ContactedHost, Digest, Fact, JobFact, JobId, JobKind, JobOutcome,
    JobStep, Label, PairingFact, PairingStep, Party, Pin, Reach, SessionFact, SessionStep, Side,
    Tier, Timestamp, Verification,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Largest line; the cap on disk is made of it.
const MAX_LINE: usize = 4096;

fn party() -> impl Strategy<Value = Party> {
    (any::<[u8; 32]>(), any::<String>()).prop_map(|(pin, label)| Party {
        pin: Pin(pin),
        label: Label::clipped(&label),
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_i64).prop_map(|millis| Timestamp(millis * 1_000))
}

fn job() -> impl Strategy<Value = JobFact> {
    let text = || any::<String>();
    let digest = || proptest::option::of(any::<[u8; 32]>().prop_map(Digest));
    let hosts = vec((text(), prop::sample::select(Reach::ALL)), 0..40);
    let built = prop_oneof![
        Just(Built::Here),
        Just(Built::Undecided),
        party().prop_map(Built::There),
    ];
    (
        (
            prop::sample::select(JobStep::ALL),
            any::<u64>(),
            proptest::option::of(party()),
            built,
        ),
        (text(), text(), text()),
        (
            time(),
            proptest::option::of(time()),
            proptest::option::of(any::<u32>()),
        ),
        (digest(), digest(), hosts, any::<u32>()),
    )
        .prop_map(|((step, id, sender, built), texts, times, found)| JobFact {
            step,
            job: JobId::from_random(id),
            kind: JobKind::Compile,
            sender,
            configuration: texts.0,
            device: texts.1,
            built,
            accepted: times.0,
            started: times.1,
            ended: times.1,
            ran: times.2.map(|seconds| Duration::from_secs(seconds.into())),
            outcome: Some(JobOutcome::HandedBack),
            reason: texts.2,
            esphome_version: "2026.10.0".parse().ok(),
            bundle: found.0,
            artifacts: found.1,
            tier: Some(Tier::Boxed),
            hosts: found
                .2
                .into_iter()
                .map(|(place, reach)| ContactedHost { place, reach })
                .collect(),
            more_hosts: found.3,
        })
}

fn fact() -> impl Strategy<Value = Fact> {
    let pin = || any::<[u8; 32]>().prop_map(Pin);
    let side = || prop::sample::select(Side::ALL);
    let pairing = (
        prop::sample::select(PairingStep::ALL),
        side(),
        party(),
        proptest::option::of(pin()),
    );
    let session = (
        prop::sample::select(SessionStep::ALL),
        side(),
        party(),
        any::<String>(),
    );
    prop_oneof![
        (any::<String>(), pin()).prop_map(|(version, pin)| Fact::Started {
            version,
            pin,
            tier: Tier::Confined
        }),
        pairing.prop_map(|(step, side, party, observed)| Fact::Pairing(PairingFact {
            step,
            side,
            party,
            observed
        })),
        (pin(), pin()).prop_map(|(from, to)| Fact::Rotated { from, to }),
        session.prop_map(|(step, side, party, why)| Fact::Session(SessionFact {
            step,
            side,
            party,
            why
        })),
        job().prop_map(|job| Fact::Job(Box::new(job))),
        (any::<String>(), any::<String>(), any::<String>())
            .prop_map(|(name, old, new)| Fact::Setting { name, old, new }),
    ]
}

fn setting(value: u64) -> Fact {
    Fact::Setting {
        name: "idle_minutes".to_owned(),
        old: String::new(),
        new: value.to_string(),
    }
}

/// An audit of so many entries.
fn written(count: u64) -> (Head, Vec<String>) {
    let mut head = Head::default();
    let lines = (0..count)
        .map(|n| head.append(Timestamp(n as i64), &setting(n)).1)
        .collect();
    (head, lines)
}

fn fault(lines: &[String], head: &Head) -> Option<(u64, ChainFault)> {
    match verify(lines, Some(head), None) {
        Verification::Intact(_) => None,
        Verification::Broken { number, fault } => Some((number, fault)),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_and_verifies(facts in vec((time(), fact()), 0..12)) {
        let mut head = Head::default();
        let mut lines = Vec::new();
        for (at, fact) in &facts {
            let (number, line) = head.append(*at, fact);
            prop_assert!(line.len() <= MAX_LINE, "{} bytes", line.len());
            let entry = read(&line).unwrap();
            prop_assert_eq!((entry.number, entry.at), (number, *at));
            // Long texts are cut, and then stay as they are.
            let mut again = Head::default();
            let second = read(&again.append(*at, &entry.fact).1).unwrap();
            prop_assert_eq!(second.fact, entry.fact);
            lines.push(line);
        }
        let kept = Head::read(&head.text()).unwrap();
        prop_assert_eq!(&kept, &head);
        prop_assert_eq!(fault(&lines, &kept), None);
    }

    #[test]
    fn a_flipped_bit_is_found_wherever_it_is(
        count in 1..20_u64,
        at in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..7_u8,
    ) {
        let (head, mut lines) = written(count);
        let line = &mut lines[at.index(count as usize)];
        let mut bytes = line.clone().into_bytes();
        bytes[place.index(line.len())] ^= 1 << bit;
        *line = String::from_utf8(bytes).unwrap();
        prop_assert!(fault(&lines, &head).is_some());
    }

    #[test]
    fn a_removed_entry_is_named(count in 1..20_u64, at in any::<prop::sample::Index>()) {
        let (head, mut lines) = written(count);
        let at = at.index(count as usize);
        lines.remove(at);
        let expected = match at as u64 + 1 {
            last if last == count => ChainFault::EndCut,
            1 => ChainFault::BeginningCut,
            _ => ChainFault::Missing,
        };
        prop_assert_eq!(fault(&lines, &head), Some((at as u64 + 1, expected)));
    }

    #[test]
    fn two_entries_that_changed_places_are_named(
        count in 2..20_u64,
        at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let (head, mut lines) = written(count);
        let (at, other) = (at.index(count as usize), other.index(count as usize));
        prop_assume!(at != other);
        lines.swap(at, other);
        let first = at.min(other) as u64 + 1;
        prop_assert_eq!(fault(&lines, &head), Some((first, ChainFault::Reordered)));
    }

    #[test]
    fn entries_cut_off_at_either_end_are_missed(count in 1..20_u64, cut in 1..20_u64) {
        let (head, lines) = written(count);
        let cut = cut.min(count) as usize;
        let end = &lines[..lines.len() - cut];
        let number = end.len() as u64 + 1;
        let shorter = Some((number, ChainFault::EndCut));
        prop_assert_eq!(fault(end, &head), shorter);
        if (cut as u64) < count {
            let beginning = Some((1, ChainFault::BeginningCut));
            prop_assert_eq!(fault(&lines[cut..], &head), beginning);
        }
    }

    #[test]
    fn an_entry_rewritten_with_its_own_hash_shows_in_the_next(
        count in 1..20_u64,
        at in any::<prop::sample::Index>(),
    ) {
        let (head, mut lines) = written(count);
        let at = at.index(count as usize);
        let mut forged = written(at as u64).0;
        lines[at] = forged.append(Timestamp(at as i64), &setting(999)).1;
        let number = at as u64 + 1;
        prop_assert_eq!(fault(&lines, &head), Some((number, ChainFault::Changed)));
    }

    #[test]
    fn an_entry_that_was_added_behind_the_end_is_found(count in 0..20_u64) {
        let (head, mut lines) = written(count);
        lines.push(head.clone().append(Timestamp(9), &setting(9)).1);
        prop_assert_eq!(fault(&lines, &head), Some((count + 1, ChainFault::Reordered)));
    }
}

#[test]
fn nothing_at_all_is_intact_and_lines_without_a_head_are_not() {
    let intact = AuditSpan {
        first: 1,
        last: 0,
        head: Digest::default(),
    };
    assert_eq!(verify(&[], None, None), Verification::Intact(intact));
    let (_, lines) = written(3);
    let broken = Verification::Broken {
        number: 0,
        fault: ChainFault::NoAnchor,
    };
    assert_eq!(verify(&lines, None, None), broken);
}

#[test]
fn an_entry_that_was_noted_elsewhere_shows_that_the_whole_audit_was_rewritten() {
    let (head, lines) = written(5);
    let noted = read(&lines[2]).unwrap().hash;
    assert!(matches!(
        verify(&lines, Some(&head), Some(noted)),
        Verification::Intact(_)
    ));
    let mut forged = Head::default();
    let rewritten: Vec<String> = (0..5)
        .map(|n| forged.append(Timestamp(n), &setting(7)).1)
        .collect();
    assert_eq!(fault(&rewritten, &forged), None, "by itself it is whole");
    let broken = Verification::Broken {
        number: 0,
        fault: ChainFault::NotedMissing,
    };
    assert_eq!(verify(&rewritten, Some(&forged), Some(noted)), broken);
}

#[test]
fn a_pruned_audit_verifies_from_where_it_begins_now() {
    let (mut head, mut lines) = written(KEPT + PRUNED);
    let first = head.prunes_to().unwrap();
    let begins = lines[first as usize - 1].clone();
    let gone = head.begin_with(&begins).unwrap();
    assert_eq!(gone, 1..PRUNED + 1);
    lines.drain(..PRUNED as usize);
    assert_eq!(fault(&lines, &head), None);
    assert_eq!(head.prunes_to(), None);
    let cut = Some((first, ChainFault::BeginningCut));
    assert_eq!(fault(&lines[1..], &head), cut);
    let (number, line) = head.append(Timestamp(1), &setting(1));
    assert_eq!(number, KEPT + PRUNED + 1);
    lines.push(line);
    assert_eq!(fault(&lines, &head), None);
}

#[test]
fn an_audit_whose_head_was_lost_goes_on_and_says_so() {
    let (_, mut lines) = written(3);
    let mut head = Head::behind(&lines);
    let (number, line) = head.append(Timestamp(9), &setting(9));
    lines.push(line);
    assert_eq!(number, 4);
    assert_eq!(fault(&lines, &head), Some((4, ChainFault::NoAnchor)));
}
