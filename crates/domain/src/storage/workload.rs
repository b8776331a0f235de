//! Random weeks of a busy receiver: the budget is passed by no more than the job that runs and what each
//! sender has waiting, nothing that is needed goes, and the least recently used goes first.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::{EsphomeVersion, Kept, Pin, Timestamp};
use proptest::prelude::*;

use super::{Bounds, Facts, Found, Stock, in_order, plan};

/// What all of it may take, and what one job may add (trust.md §1.7), in MiB.
const BUDGET: u64 = 20 * 1024;
const JOB: u64 = 5 * 1024;

/// What a sender may have waiting: one bundle unpacked (builds.md §5.2), the others packed.
const UNPACKED: u64 = 500;
const PACKED: u64 = 256;

/// One job of one of four offloaders for one of six devices.
#[derive(Clone, Debug)]
struct Job {
    pin: u8,
    device: u8,
    version: u8,
    built: u64,
    downloaded: u64,
    /// Minutes until the next one.
    pause: i64,
    /// Whether its sender fetches the result at once.
    fetched: bool,
    /// What waits for the lane meanwhile, by offloader.
    waiting: BTreeMap<u8, Waiting>,
}

/// What waits of one offloader.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    device: u8,
    unpacked: u64,
    packed: u64,
}

fn waiting() -> impl Strategy<Value = BTreeMap<u8, Waiting>> {
    let one = (0..6_u8, 0..=UNPACKED, 0..=PACKED);
    let one = one.prop_map(|(device, unpacked, packed)| Waiting {
        device,
        unpacked,
        packed,
    });
    prop::collection::btree_map(0..4_u8, one, 0..4)
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let job = (
        (0..4_u8, 0..6_u8, 0..3_u8),
        (0..JOB / 2, 0..JOB / 2),
        1..2_000_i64,
        prop::bool::weighted(0.8),
        waiting(),
    );
    let job = job.prop_map(
        |((pin, device, version), (built, downloaded), pause, fetched, waiting)| Job {
            pin,
            device,
            version,
            built,
            downloaded,
            pause,
            fetched,
            waiting,
        },
    );
    prop::collection::vec(job, 1..120)
}

#[derive(Default)]
struct Disk {
    stocks: BTreeMap<Stock, Found>,
    facts: Facts,
    now: Timestamp,
}

impl Disk {
    fn used(&self) -> u64 {
        self.stocks.values().map(|found| found.bytes).sum()
    }

    fn grows(&mut self, stock: Stock, device: Option<&str>, bytes: u64) {
        let found = self.stocks.entry(stock.clone()).or_insert(Found {
            stock,
            devices: device.map(str::to_owned).into_iter().collect(),
            bytes: 0,
            touched: self.now,
        });
        found.bytes += bytes;
        found.touched = self.now;
    }

    /// Makes room as a node does, and checks what goes.
    fn tidies(&mut self, missing: u64) -> Result<(), TestCaseError> {
        let judge = |found: &Found| self.facts.judge(found);
        let mut items: Vec<_> = self.stocks.values().map(judge).collect();
        in_order(&mut items);
        let bounds = Bounds {
            budget: Some(BUDGET),
            missing,
            retention: Duration::from_secs(365 * 86_400),
        };
        let plan = plan(&items, &bounds, self.now);
        let mut freed = 0;
        for stock in &plan.evict {
            let over = self.used() > BUDGET || freed < missing;
            prop_assert!(over, "{stock:?} went although there was room");
            let item = items.iter().find(|item| item.stock == *stock);
            prop_assert_eq!(item.and_then(|item| item.kept), None, "{:?}", stock);
            let older_stays = |other: &Found| {
                other.stock.kind() == stock.kind()
                    && judge(other).kept.is_none()
                    && Some(judge(other).last_used) < item.map(|item| item.last_used)
            };
            prop_assert!(
                !self.stocks.values().any(older_stays),
                "{:?} is not the oldest",
                stock
            );
            freed += self.stocks.remove(stock).map_or(0, |found| found.bytes);
        }
        let needed = items.iter().filter(|item| item.kept.is_some());
        let needed: u64 = needed.map(|item| item.bytes).sum();
        prop_assert_eq!(plan.over, self.used().saturating_sub(BUDGET));
        prop_assert!(self.used() <= BUDGET.max(needed), "something spare is left");
        Ok(())
    }
}

fn version(n: u8) -> EsphomeVersion {
    EsphomeVersion::parse(&format!("2026.{}.0", 8 + n)).unwrap()
}

proptest! {
    #[test]
    fn the_budget_is_passed_by_no_more_than_the_running_job_and_what_waits(jobs in jobs(), missing in 0..2 * JOB) {
        let mut disk = Disk::default();
        let own = version(2);
        disk.grows(Stock::Environment(own.clone()), None, 1_024);
        disk.facts.own = Some(own.clone());
        let mut owed: Option<(Pin, String)> = None;
        for job in jobs {
            let pin = Pin([job.pin; 32]);
            let device = format!("d{}", job.device);
            let key = (pin, device.clone());
            disk.now.0 += job.pause * 60_000_000;
            let waiting = job.waiting.iter().map(|(pin, waits)| {
                (Pin([*pin; 32]), format!("d{}", waits.device), waits)
            });
            let waiting: Vec<_> = waiting.collect();
            disk.facts.used = BTreeSet::from([key.clone()]);
            let ahead = waiting.iter().map(|(pin, device, _)| (*pin, device.clone()));
            disk.facts.used.extend(ahead);
            disk.facts.versions = BTreeSet::from([version(job.version)]);
            let needed = |disk: &Disk| {
                let kept = disk.stocks.values().map(|found| disk.facts.judge(found));
                kept.filter(|item| item.kept.is_some()).map(|item| item.bytes).sum::<u64>()
            };
            let before = disk.used();
            prop_assert!(before <= BUDGET.max(needed(&disk)), "{before} before a job");
            disk.grows(Stock::Bundle(pin, device.clone()), Some(&device), 1);
            disk.grows(Stock::Build(pin, device.clone()), Some(&device), job.built);
            disk.grows(Stock::Toolchains(pin), None, job.downloaded);
            let environment = Stock::Environment(version(job.version));
            if !disk.stocks.contains_key(&environment) {
                disk.grows(environment, None, 600);
            }
            let mut most = before + JOB + 601;
            for (pin, device, waits) in &waiting {
                let bundle = Stock::Bundle(*pin, device.clone());
                disk.grows(bundle, Some(device), waits.unpacked);
                disk.grows(Stock::Transfers, None, waits.packed);
                most += UNPACKED + PACKED;
            }
            prop_assert!(disk.used() <= most, "a job and what waits");
            // While it runs, others make room on the disk; it is left alone.
            disk.tidies(missing)?;
            for stock in [Stock::Build(pin, device.clone()), Stock::Toolchains(pin)] {
                prop_assert!(disk.stocks.contains_key(&stock), "{stock:?} was in use");
            }
            disk.facts.device_used.insert(key.clone(), disk.now);
            disk.facts.sender_used.insert(pin, disk.now);
            disk.facts.version_used.insert(version(job.version), disk.now);
            disk.facts.used.clear();
            disk.stocks.remove(&Stock::Transfers);
            disk.facts.versions.clear();
            owed = (!job.fetched).then(|| key.clone()).or(owed);
            disk.facts.owed = owed.iter().cloned().collect();
            disk.tidies(0)?;
            prop_assert!(disk.stocks.contains_key(&Stock::Environment(own.clone())));
            for (pin, device) in &disk.facts.owed {
                let result = Stock::Build(*pin, device.clone());
                let found = disk.stocks.get(&result).map(|found| disk.facts.judge(found).kept);
                prop_assert_eq!(found, Some(Some(Kept::NotFetched)));
            }
        }
    }
}
