//! The rules of the scheduler, and the index held against them.
use kiln_model::{Label, PairingStatus, Placement, QueueStatus, Timestamp};
use proptest::prelude::*;

use super::*;

/// A pin written as one letter, as in the vectors.
fn pin(letter: &str) -> Pin {
    letter.repeat(64).parse().unwrap()
}

fn conditions(policy: VersionPolicy) -> Conditions {
    Conditions {
        remote_builds: true,
        esphome_version: EsphomeVersion::parse("2026.10.0"),
        policy,
        include_local: false,
        lane: Lane::Idle,
    }
}

fn lane(busy: bool) -> Lane {
    match busy {
        true => Lane::Busy,
        false => Lane::Idle,
    }
}

/// Approved, enabled, connected, idle, with our version.
fn good(letter: &str, paired_at: i64) -> Receiver {
    Receiver {
        pin: pin(letter),
        label: Label::clipped(&letter.to_uppercase()),
        paired_at: Timestamp(paired_at),
        status: PairingStatus::Approved,
        enabled: true,
        esphome_version: EsphomeVersion::parse("2026.10.0"),
        auto_provision: false,
        link: Link::Open,
        queue: Some(QueueStatus::of(false, 0)),
        ours_in_flight: false,
    }
}

fn with(mut receiver: Receiver, change: impl FnOnce(&mut Receiver)) -> Receiver {
    change(&mut receiver);
    receiver
}

fn busy(r: &mut Receiver) {
    r.queue = Some(QueueStatus::of(true, 0));
}

fn closed(r: &mut Receiver) {
    r.link = Link::Closed;
}

fn other_version(r: &mut Receiver) {
    r.esphome_version = EsphomeVersion::parse("2026.9.1");
}

fn ours(r: &mut Receiver) {
    r.ours_in_flight = true;
}

fn snapshot(policy: VersionPolicy, receivers: &[Receiver]) -> Snapshot {
    Snapshot {
        conditions: conditions(policy),
        receivers: receivers.to_vec(),
    }
}

fn submit(policy: VersionPolicy, receivers: &[Receiver]) -> Path {
    pick_build_path(&snapshot(policy, receivers)).outcome
}

fn dispatch(policy: VersionPolicy, receivers: &[Receiver]) -> Target {
    pick_dispatch_target(&snapshot(policy, receivers)).outcome
}

fn vectors(table: &str) -> Vec<serde_json::Value> {
    let text = include_str!("../../../../../tests/vectors/build-vectors.json");
    let all: serde_json::Value = serde_json::from_str(text).unwrap();
    all[table].as_array().unwrap().clone()
}

fn snapshot_of(row: &serde_json::Value) -> Snapshot {
    let version = |v: &serde_json::Value| EsphomeVersion::parse(v.as_str().unwrap());
    let names =
        |list: &serde_json::Value, name: &str| list.as_array().unwrap().iter().any(|n| n == name);
    let receiver = |pairing: &serde_json::Value| {
        let name = pairing["pin"].as_str().unwrap();
        Receiver {
            pin: pin(name),
            label: Label::clipped(name),
            paired_at: Timestamp::from_seconds(pairing["paired_at"].as_f64().unwrap()),
            status: match pairing["status"].as_str().unwrap() {
                "approved" => PairingStatus::Approved,
                "pending" => PairingStatus::Pending,
                other => panic!("{other}"),
            },
            enabled: pairing["enabled"].as_bool().unwrap(),
            esphome_version: version(&pairing["esphome_version"]),
            auto_provision: pairing["auto_provision"].as_bool().unwrap(),
            link: if names(&row["open"], name) {
                Link::Open
            } else {
                Link::Closed
            },
            queue: row["queue"].get(name).map(|queue| QueueStatus {
                idle: queue["idle"].as_bool().unwrap(),
                running: queue["running"].as_bool().unwrap(),
                queue_depth: queue["queue_depth"].as_u64().unwrap(),
                absence: None,
            }),
            ours_in_flight: names(&row["busy"], name),
        }
    };
    Snapshot {
        conditions: Conditions {
            remote_builds: row["enabled"].as_bool().unwrap(),
            esphome_version: version(&row["offloader_version"]),
            policy: VersionPolicy::from_word(row["policy"].as_str().unwrap()).unwrap(),
            include_local: row["include_local"].as_bool().unwrap(),
            lane: lane(row["local_busy"].as_bool().unwrap()),
        },
        receivers: row["pairings"]
            .as_array()
            .unwrap()
            .iter()
            .map(receiver)
            .collect(),
    }
}

fn remote(pin: Pin) -> String {
    format!("remote:{}", &pin.to_string()[..1])
}

fn pool_of(snapshot: &Snapshot) -> Pool {
    let mut pool = Pool::new(snapshot.conditions.clone());
    for receiver in &snapshot.receivers {
        pool.put(receiver.clone());
    }
    pool
}

// Covers: M14
#[test]
fn every_scheduler_row_of_the_vectors_is_reproduced() {
    let rows = vectors("scheduler");
    assert_eq!(rows.len(), 546);
    for row in rows {
        let snapshot = snapshot_of(&row);
        let path = match pick_build_path(&snapshot).outcome {
            Path::Local => "local".to_owned(),
            Path::Remote(pin) => remote(pin),
            Path::NoCompatiblePeer => "error:no_compatible_peer".to_owned(),
        };
        assert_eq!(path, row["pick_build_path"], "{row}");
        let target = |outcome| match outcome {
            Target::Local => "local".to_owned(),
            Target::Remote(pin) => remote(pin),
            Target::Wait => "wait".to_owned(),
            Target::NoCompatiblePeer => "no_compatible_peer".to_owned(),
        };
        let expected = &row["pick_dispatch_target"];
        assert_eq!(
            target(pick_dispatch_target(&snapshot).outcome),
            *expected,
            "{row}"
        );
        let pool = pool_of(&snapshot);
        assert_eq!(
            target(pool.pick_dispatch_target().outcome),
            *expected,
            "{row}"
        );
    }
}

// Covers: M17
#[test]
fn every_version_policy_row_of_the_vectors_is_reproduced() {
    let mut rows = vectors("version_policy");
    let more = include_str!("../../../../../tests/vectors/versions.json");
    let more: serde_json::Value = serde_json::from_str(more).unwrap();
    rows.extend(more["policy"].as_array().unwrap().iter().cloned());
    assert_eq!(rows.len(), 16 + 9);
    for row in rows {
        for &policy in VersionPolicy::ALL {
            let side = |key: &str| row[key].as_str().unwrap();
            let fits = satisfies(side("local"), side("peer"), policy);
            assert_eq!(fits, row[policy.word()], "{policy:?} {row}");
        }
    }
}

// Covers: M1
#[test]
fn with_the_master_switch_off_everything_is_built_here() {
    let row = |row: &serde_json::Value| {
        let mut snapshot = snapshot_of(row);
        snapshot.conditions.remote_builds = false;
        snapshot
    };
    for snapshot in vectors("scheduler").iter().map(row) {
        assert_eq!(pick_build_path(&snapshot).outcome, Path::Local);
        assert_eq!(pick_dispatch_target(&snapshot).outcome, Target::Local);
    }
}

// Covers: M2
#[test]
fn a_pending_pairing_is_not_picked_and_not_intended() {
    let pending = with(good("a", 1), |r| r.status = PairingStatus::Pending);
    for &policy in VersionPolicy::ALL {
        assert_eq!(submit(policy, std::slice::from_ref(&pending)), Path::Local);
        assert_eq!(
            dispatch(policy, std::slice::from_ref(&pending)),
            Target::Local
        );
    }
}

// Covers: M3
#[test]
fn a_disabled_pairing_is_not_picked_and_not_intended() {
    let disabled = with(good("a", 1), |r| r.enabled = false);
    for &policy in VersionPolicy::ALL {
        assert_eq!(submit(policy, std::slice::from_ref(&disabled)), Path::Local);
        assert_eq!(
            dispatch(policy, std::slice::from_ref(&disabled)),
            Target::Local
        );
    }
}

// Covers: M4
#[test]
fn receivers_are_preferred_by_age_of_pairing_then_pin_in_whatever_order_they_come() {
    let (old, young) = (good("b", 1), good("a", 2));
    let twins = [good("b", 1), good("a", 1)];
    for policy in [VersionPolicy::Any, VersionPolicy::ExactRequired] {
        let forth = [old.clone(), young.clone()];
        let back = [young.clone(), old.clone()];
        assert_eq!(dispatch(policy, &forth), Target::Remote(old.pin));
        assert_eq!(dispatch(policy, &back), Target::Remote(old.pin));
        assert_eq!(dispatch(policy, &twins), Target::Remote(pin("a")));
    }
}

// Covers: M5
#[test]
fn an_idle_receiver_wins_over_an_older_one_that_is_not() {
    let receivers = [with(good("a", 1), busy), good("b", 2)];
    assert_eq!(
        dispatch(VersionPolicy::Any, &receivers),
        Target::Remote(pin("b"))
    );
}

// Covers: M6
#[test]
fn without_an_idle_receiver_the_oldest_gets_it_also_when_its_queue_is_unknown() {
    let unknown = with(good("a", 1), |r| r.queue = None);
    let receivers = [with(good("b", 2), busy), unknown];
    assert_eq!(
        dispatch(VersionPolicy::Any, &receivers),
        Target::Remote(pin("a"))
    );
    assert_eq!(
        submit(VersionPolicy::Any, &receivers),
        Path::Remote(pin("a"))
    );
}

// Covers: M7
#[test]
fn submit_is_refused_only_when_the_policy_requires_a_receiver_and_none_fits() {
    let unfit = [with(good("a", 1), other_version)];
    for &policy in VersionPolicy::ALL {
        let refused = submit(policy, &unfit) == Path::NoCompatiblePeer;
        assert_eq!(
            refused,
            policy == VersionPolicy::ExactRequired,
            "{policy:?}"
        );
        assert_eq!(submit(policy, &[]), Path::Local, "{policy:?}");
    }
    assert_eq!(
        submit(VersionPolicy::ExactRequired, &[good("a", 1)]),
        Path::Remote(pin("a"))
    );
}

// Covers: M8
#[test]
fn a_job_waits_while_every_fitting_receiver_builds_for_us() {
    for &policy in VersionPolicy::ALL {
        assert_eq!(dispatch(policy, &[with(good("a", 1), ours)]), Target::Wait);
    }
}

// Covers: M9
#[test]
fn this_machine_helps_only_when_allowed_and_idle() {
    for (include_local, lane, expected) in [
        (true, Lane::Idle, Target::Local),
        (true, Lane::Busy, Target::Wait),
        (false, Lane::Idle, Target::Wait),
        (false, Lane::Busy, Target::Wait),
    ] {
        let mut snapshot = snapshot(VersionPolicy::ExactRequired, &[with(good("a", 1), ours)]);
        snapshot.conditions.include_local = include_local;
        snapshot.conditions.lane = lane;
        assert_eq!(pick_dispatch_target(&snapshot).outcome, expected);
    }
}

// Covers: M10
#[test]
fn under_exact_required_a_closed_link_is_waited_for_but_refuses_a_submit() {
    let away = [with(good("a", 1), closed)];
    assert_eq!(dispatch(VersionPolicy::ExactRequired, &away), Target::Wait);
    assert_eq!(
        submit(VersionPolicy::ExactRequired, &away),
        Path::NoCompatiblePeer
    );
}

// Covers: M11
#[test]
fn under_other_policies_a_pool_of_closed_links_builds_here() {
    for policy in [
        VersionPolicy::Any,
        VersionPolicy::Release,
        VersionPolicy::Exact,
    ] {
        assert_eq!(
            dispatch(policy, &[with(good("a", 1), closed)]),
            Target::Local
        );
    }
}

// Covers: M12
#[test]
fn auto_provision_rescues_another_version_only_when_ours_can_be_pinned() {
    let able = with(with(good("a", 1), other_version), |r| {
        r.auto_provision = true
    });
    for (version, fits) in [("2026.10.0", true), ("2026.10.0-dev", false)] {
        for policy in [
            VersionPolicy::Release,
            VersionPolicy::Exact,
            VersionPolicy::ExactRequired,
        ] {
            let mut snapshot = snapshot(policy, std::slice::from_ref(&able));
            snapshot.conditions.esphome_version = EsphomeVersion::parse(version);
            let picked = pick_build_path(&snapshot).outcome == Path::Remote(able.pin);
            assert_eq!(picked, fits, "{version} {policy:?}");
        }
    }
}

// Covers: M13
#[test]
fn an_unknown_version_fits_every_policy_but_exact_required() {
    let silent = [with(good("a", 1), |r| r.esphome_version = None)];
    for &policy in VersionPolicy::ALL {
        let picked = submit(policy, &silent) == Path::Remote(pin("a"));
        assert_eq!(picked, policy != VersionPolicy::ExactRequired, "{policy:?}");
    }
}

#[test]
fn a_submit_does_not_count_our_own_work_in_flight_against_a_receiver() {
    let pool = pool_of(&snapshot(
        VersionPolicy::ExactRequired,
        &[with(good("a", 1), ours)],
    ));
    assert_eq!(pool.pick_build_path().outcome, Path::Remote(pin("a")));
    assert_eq!(pool.pick_dispatch_target().outcome, Target::Wait);
}

#[test]
fn a_bound_job_names_the_receivers_version_only_when_it_builds_with_another_than_ours() {
    let stamped = |receiver: Receiver| match receiver.placement(&conditions(VersionPolicy::Any)) {
        Placement::Remote {
            esphome_version, ..
        } => esphome_version,
        Placement::Local | Placement::RemotePending => panic!("not remote"),
    };
    let other = with(good("a", 1), other_version);
    assert_eq!(stamped(good("a", 1)), None);
    assert_eq!(stamped(other.clone()), EsphomeVersion::parse("2026.9.1"));
    assert_eq!(stamped(with(other, |r| r.auto_provision = true)), None);
}

#[test]
fn a_decision_explains_itself_with_every_intended_receiver() {
    let away = with(good("a", 1), closed);
    let old = with(good("b", 2), other_version);
    let off = with(good("c", 3), |r| r.enabled = false);
    let say = |policy, receivers: &[Receiver]| {
        pick_dispatch_target(&snapshot(policy, receivers))
            .sentence()
            .to_string()
    };
    use VersionPolicy::{Any, Exact, ExactRequired};
    assert_eq!(say(Any, &[good("a", 1)]), "receiver A: idle");
    assert_eq!(
        say(Any, std::slice::from_ref(&off)),
        "no receiver is paired and switched on"
    );
    assert_eq!(
        say(Exact, &[away.clone(), old.clone(), off.clone()]),
        "no receiver can build now: receiver A: link closed; receiver B: another ESPHome version"
    );
    assert_eq!(
        say(ExactRequired, &[old]),
        "no receiver has the same ESPHome version and a link: receiver B: another ESPHome version"
    );
    assert_eq!(
        say(Any, &[with(good("a", 1), ours)]),
        "waits for a receiver to finish our work: receiver A: builds for us already"
    );
    let many: Vec<_> = (0..7)
        .map(|i| with(away.clone(), |r| r.pin = Pin([i; 32])))
        .collect();
    assert!(say(Any, &many).ends_with("; and 3 more"));
    let snapshot = snapshot(Any, &[away, off]);
    let peers: Vec<_> = pick_build_path(&snapshot)
        .peers()
        .map(|p| p.standing)
        .collect();
    assert_eq!(peers, [Standing::LinkClosed, Standing::Disabled]);
}

fn any_receiver() -> impl Strategy<Value = Receiver> {
    let version = prop_oneof![
        Just(""),
        Just("2026.10.0"),
        Just("2026.10.1"),
        Just("2026.9.0"),
        Just("2026.10.0-dev"),
    ];
    let queue = prop::option::of(any::<bool>().prop_map(|idle| QueueStatus {
        idle,
        running: false,
        queue_depth: 0,
        absence: None,
    }));
    let flags = prop::array::uniform5(prop::bool::weighted(0.8));
    (0..12_u8, 0..4_i64, version, queue, flags).prop_map(
        |(pin, paired_at, version, queue, [approved, enabled, open, free, plain])| Receiver {
            pin: Pin([pin; 32]),
            label: Label::default(),
            paired_at: Timestamp(paired_at),
            status: match approved {
                true => PairingStatus::Approved,
                false => PairingStatus::Pending,
            },
            enabled,
            esphome_version: EsphomeVersion::parse(version),
            auto_provision: !plain,
            link: if open { Link::Open } else { Link::Closed },
            queue,
            ours_in_flight: !free,
        },
    )
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let policy = prop::sample::select(VersionPolicy::ALL);
    let version = prop::sample::select(vec!["", "2026.10.0", "2026.10.0-dev"]);
    (
        prop::bool::weighted(0.9),
        policy,
        version,
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(remote_builds, policy, version, [include_local, busy])| Conditions {
                remote_builds,
                esphome_version: EsphomeVersion::parse(version),
                policy,
                include_local,
                lane: lane(busy),
            },
        )
}

#[derive(Clone, Debug)]
enum Change {
    Put(Receiver),
    Remove(u8),
    Link(u8, bool),
    Queue(u8, Option<bool>),
    Ours(u8, bool),
    Conditions(Conditions),
}

fn any_change() -> impl Strategy<Value = Change> {
    let who = 0..12_u8;
    prop_oneof![
        6 => any_receiver().prop_map(Change::Put),
        1 => who.clone().prop_map(Change::Remove),
        2 => (who.clone(), any::<bool>()).prop_map(|(w, b)| Change::Link(w, b)),
        2 => (who.clone(), any::<Option<bool>>()).prop_map(|(w, b)| Change::Queue(w, b)),
        2 => (who, any::<bool>()).prop_map(|(w, b)| Change::Ours(w, b)),
        1 => any_conditions().prop_map(Change::Conditions),
    ]
}

proptest! {
    #[test]
    fn the_pool_decides_like_the_plain_functions_after_any_changes(
        first in any_conditions(),
        changes in prop::collection::vec(any_change(), 1..60),
    ) {
        let mut pool = Pool::new(first.clone());
        let mut model = (first, BTreeMap::new());
        for change in changes {
            let edit = |pool: &mut Pool, model: &mut BTreeMap<Pin, Receiver>, who: u8, f: &dyn Fn(&mut Receiver)| {
                pool.update(Pin([who; 32]), f);
                if let Some(receiver) = model.get_mut(&Pin([who; 32])) {
                    f(receiver);
                }
            };
            match change {
                Change::Put(r) => {
                    model.1.insert(r.pin, r.clone());
                    pool.put(r);
                }
                Change::Remove(who) => {
                    let pin = Pin([who; 32]);
                    prop_assert_eq!(pool.remove(pin), model.1.remove(&pin));
                }
                Change::Link(who, open) => edit(&mut pool, &mut model.1, who, &|r| {
                    r.link = if open { Link::Open } else { Link::Closed };
                }),
                Change::Queue(who, idle) => edit(&mut pool, &mut model.1, who, &|r| {
                    r.queue = idle.map(|idle| QueueStatus { idle, ..QueueStatus::default() });
                }),
                Change::Ours(who, ours) => edit(&mut pool, &mut model.1, who, &|r| {
                    r.ours_in_flight = ours;
                }),
                Change::Conditions(c) => {
                    model.0 = c.clone();
                    pool.set_conditions(c);
                }
            }
            let dispatch = Snapshot {
                conditions: model.0.clone(),
                receivers: model.1.values().cloned().collect(),
            };
            let mut submit = dispatch.clone();
            submit.receivers.iter_mut().for_each(|r| r.ours_in_flight = false);
            let (ours, reference) = (pool.pick_dispatch_target(), pick_dispatch_target(&dispatch));
            prop_assert_eq!(ours.outcome, reference.outcome);
            prop_assert_eq!(ours.tally, reference.tally);
            prop_assert_eq!(ours.sentence(), reference.sentence());
            let (ours, reference) = (pool.pick_build_path(), pick_build_path(&submit));
            prop_assert_eq!(ours.outcome, reference.outcome);
            prop_assert_eq!(ours.tally, reference.tally);
        }
    }
}
