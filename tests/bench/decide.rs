//! Prints what a decision and a log line cost: `cargo bench -p kiln-tests --bench decide`.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]
// A measurement is read by people and reads the clock.
use std::hint::black_box;
use std::time::{Duration, Instant};

use kiln_domain::work::schedule::{
    Conditions, Lane, Link, Pool, Receiver, Snapshot, pick_dispatch_target,
};
use kiln_esphome::{FailureScan, LineSplitter, Progress};
use kiln_model::{
    EsphomeVersion, Label, PairingStatus, Pin, QueueStatus, Timestamp, VersionPolicy,
};

fn main() {
    for receivers in [10, 1_000, 100_000] {
        decide(receivers);
    }
    read_lines(1_000_000);
}

fn conditions() -> Conditions {
    Conditions {
        remote_builds: true,
        esphome_version: EsphomeVersion::parse("2026.10.0"),
        policy: VersionPolicy::Release,
        include_local: false,
        lane: Lane::Idle,
    }
}

fn pin(number: u32) -> Pin {
    let mut pin = [0; 32];
    pin[..4].copy_from_slice(&number.to_be_bytes());
    Pin(pin)
}

/// A third of all receivers is idle; their order is not that of their pins.
fn receiver(number: u32, of: u32) -> Receiver {
    Receiver {
        pin: pin(number),
        label: Label::clipped("receiver"),
        paired_at: Timestamp(i64::from(number.wrapping_mul(7919) % of)),
        status: PairingStatus::Approved,
        enabled: true,
        esphome_version: EsphomeVersion::parse("2026.10.1"),
        auto_provision: false,
        link: Link::Open,
        queue: Some(QueueStatus::of(!number.is_multiple_of(3), 0)),
        ours_in_flight: false,
    }
}

fn decide(count: u32) {
    let receivers: Vec<Receiver> = (0..count).map(|number| receiver(number, count)).collect();
    let mut pool = Pool::new(conditions());
    receivers
        .iter()
        .cloned()
        .for_each(|receiver| pool.put(receiver));
    let snapshot = Snapshot {
        conditions: conditions(),
        receivers,
    };

    let indexed = each(200_000, |_| {
        black_box(black_box(&pool).pick_dispatch_target().outcome);
    });
    let plain = each((2_000_000 / count).max(3), |_| {
        black_box(pick_dispatch_target(&snapshot).outcome);
    });
    let changed = each(200_000, |round| {
        let who = pin(round.wrapping_mul(7919) % count);
        pool.update(who, |receiver| {
            receiver.ours_in_flight = !receiver.ours_in_flight
        });
        black_box(black_box(&pool).pick_dispatch_target().outcome);
    });
    println!(
        "{count} receivers: decision {indexed:?}, with a change before it {changed:?}, \
         over a plain list {plain:?}"
    );
}

fn read_lines(count: u32) {
    let line = |n| format!("[{n}/{count}] Compiling .pioenvs/x/src/esphome/api_{n}.cpp.o\n");
    let text: String = (0..count).map(line).collect();
    let (mut splitter, mut progress, mut failures) = (
        LineSplitter::default(),
        Progress::default(),
        FailureScan::default(),
    );
    let start = Instant::now();
    let mut lines = 0;
    for block in text.as_bytes().chunks(4096) {
        for chunk in splitter.feed(block) {
            progress.read(&chunk);
            failures.read(&chunk);
            lines += 1;
        }
    }
    println!(
        "{lines} log lines split, measured and judged in {:?}",
        start.elapsed()
    );
}

/// Time of one round.
fn each(rounds: u32, mut work: impl FnMut(u32)) -> Duration {
    let start = Instant::now();
    (0..rounds).for_each(&mut work);
    start.elapsed() / rounds
}
