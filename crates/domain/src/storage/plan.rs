//! [`plan`]: what has to go, and when the next thing does.
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use kiln_model::{Kept, Pin, StoredKind, Timestamp};

use super::stock::Stock;

/// What has to be fetched over the network again counts as used so much later than it was.
const HEAD_START: Duration = Duration::from_secs(7 * 86_400);

/// Something on disk with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What.
    pub stock: Stock,
    /// The one of [`super::Found::devices`] that was used last.
    pub device: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// When it was used last.
    pub last_used: Timestamp,
    /// Why it must not go; `None`: it may.
    pub kept: Option<Kept>,
}

/// What is wanted of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What everything may take, in bytes; `None`: any amount.
    pub budget: Option<u64>,
    /// By how much the disk has too little room, in bytes.
    pub missing: u64,
    /// How long unused bundles are kept.
    pub retention: Duration,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What goes, in this order.
    pub evict: Vec<Stock>,
    /// By how much the budget is passed even then, in bytes.
    pub over: u64,
    /// When the next thing has been unused for too long.
    pub next: Option<Timestamp>,
}

/// Puts what may go into the order in which it would, then what stays, largest first.
///
/// The least recently used goes first. What is made here again is no loss beside what has to be
/// downloaded: that has a head start of a week. Of what was used at the same time the cheapest goes
/// first.
pub fn in_order(items: &mut [Item]) {
    let place = |item: &Item| {
        let spare = item.kept.is_none();
        let rank = spare.then(|| (ripe(item), cost(item)));
        (!spare, rank, Reverse(item.bytes), item.stock.clone())
    };
    items.sort_by_cached_key(place);
}

/// Decides what goes: what was unused for too long, then as much as the bounds ask for. `items` are
/// [`in_order`].
pub fn plan(items: &[Item], bounds: &Bounds, now: Timestamp) -> Plan {
    let spare = || items.iter().filter(|item| item.kept.is_none());
    let expiry = |item: &Item| later(item.last_used, bounds.retention);
    let is_bundle = |item: &&Item| item.stock.kind() == StoredKind::Bundle;
    let left: BTreeSet<Pin> = items
        .iter()
        .filter(is_bundle)
        .filter(|item| item.kept.is_some() || expiry(item) > now)
        .filter_map(|item| item.stock.pin())
        .collect();
    // What else there is of an offloader goes with its last bundle (builds.md §7.5).
    let expires = |item: &&Item| {
        let pin = item.stock.pin();
        is_bundle(item) || pin.is_some_and(|pin| !left.contains(&pin))
    };
    // A result waits for its sender as long as an unused bundle is kept.
    let may_expire = |item: &&Item| matches!(item.kept, None | Some(Kept::NotFetched));
    let expiring = items.iter().filter(may_expire).filter(expires);
    let mut plan = Plan {
        next: expiring.map(expiry).filter(|at| *at > now).min(),
        ..Plan::default()
    };
    let expired = spare().filter(expires).filter(|item| expiry(item) <= now);
    let expired: Vec<&Item> = expired.collect();
    let used: u64 = items.iter().map(|item| item.bytes).sum();
    let mut over = bounds
        .budget
        .map_or(0, |budget| used.saturating_sub(budget));
    let mut missing = bounds.missing;
    let rest = spare().filter(|item| !expired.contains(item));
    for item in expired.iter().copied().chain(rest) {
        if over == 0 && missing == 0 && plan.evict.len() >= expired.len() {
            break;
        }
        over = over.saturating_sub(item.bytes);
        missing = missing.saturating_sub(item.bytes);
        plan.evict.push(item.stock.clone());
    }
    plan.over = over;
    plan
}

/// Returns how long ago something was used, for the order.
fn ripe(item: &Item) -> Timestamp {
    match item.stock {
        Stock::Toolchains(_) | Stock::Environment(_) => later(item.last_used, HEAD_START),
        Stock::Bundle(..) | Stock::Build(..) | Stock::Transfers | Stock::Logs => item.last_used,
    }
}

/// Returns how much it costs to make it again, as an order.
fn cost(item: &Item) -> u8 {
    match item.stock {
        Stock::Bundle(..) => 0,
        Stock::Build(..) => 1,
        Stock::Toolchains(_) => 2,
        Stock::Environment(_) => 3,
        Stock::Transfers | Stock::Logs => 4,
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp(at.0.saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use kiln_model::EsphomeVersion;

    use super::*;

    const DAY: i64 = 86_400_000_000;
    const A: Pin = Pin([1; 32]);
    const B: Pin = Pin([2; 32]);

    fn item(stock: Stock, days_ago: i64, bytes: u64) -> Item {
        Item {
            stock,
            device: None,
            bytes,
            last_used: Timestamp((100 - days_ago) * DAY),
            kept: None,
        }
    }

    fn bundle(pin: Pin, days_ago: i64) -> Item {
        item(Stock::Bundle(pin, format!("d{days_ago}")), days_ago, 1)
    }

    fn build(pin: Pin, days_ago: i64, bytes: u64) -> Item {
        item(Stock::Build(pin, format!("d{days_ago}")), days_ago, bytes)
    }

    fn environment(days_ago: i64) -> Item {
        let version = EsphomeVersion::parse("2026.9.0").unwrap();
        item(Stock::Environment(version), days_ago, 50)
    }

    const EASY: Bounds = Bounds {
        budget: None,
        missing: 0,
        retention: Duration::from_secs(1_000 * 86_400),
    };

    fn planned(mut items: Vec<Item>, bounds: Bounds) -> (Vec<String>, Plan) {
        in_order(&mut items);
        let plan = plan(&items, &bounds, Timestamp(100 * DAY));
        let words = plan.evict.iter().map(|stock| match stock {
            Stock::Bundle(pin, name) => format!("bundle {} {name}", pin.0[0]),
            Stock::Build(pin, name) => format!("build {} {name}", pin.0[0]),
            Stock::Toolchains(pin) => format!("toolchains {}", pin.0[0]),
            Stock::Environment(version) => format!("esphome {version}"),
            Stock::Transfers | Stock::Logs => panic!("{stock:?} never goes"),
        });
        (words.collect(), plan)
    }

    #[test]
    fn with_room_left_nothing_goes() {
        let items = vec![build(A, 9, 10), environment(90)];
        let (gone, plan) = planned(items, EASY);
        assert!(gone.is_empty() && plan.over == 0, "{plan:?}");
    }

    #[test]
    fn the_least_recently_used_goes_until_the_budget_is_kept() {
        let items = vec![build(A, 1, 10), build(B, 3, 10), build(A, 2, 10)];
        let budget = |bytes| Bounds {
            budget: Some(bytes),
            ..EASY
        };
        assert_eq!(planned(items.clone(), budget(30)).0, [""; 0]);
        assert_eq!(planned(items.clone(), budget(29)).0, ["build 2 d3"]);
        assert_eq!(
            planned(items.clone(), budget(15)).0,
            ["build 2 d3", "build 1 d2"]
        );
        assert_eq!(planned(items, budget(0)).0.len(), 3);
    }

    #[test]
    fn room_that_is_missing_on_the_disk_counts_like_a_passed_budget() {
        let items = vec![build(A, 1, 10), build(B, 3, 10)];
        let bounds = Bounds { missing: 1, ..EASY };
        assert_eq!(planned(items, bounds).0, ["build 2 d3"]);
    }

    #[test]
    fn what_has_to_be_downloaded_again_goes_a_week_later() {
        let toolchains = item(Stock::Toolchains(A), 9, 10);
        let items = vec![build(A, 1, 10), build(A, 3, 10), toolchains, environment(7)];
        let bounds = Bounds {
            budget: Some(0),
            ..EASY
        };
        let order = [
            "build 1 d3",
            "toolchains 1",
            "build 1 d1",
            "esphome 2026.9.0",
        ];
        assert_eq!(planned(items, bounds).0, order);
    }

    #[test]
    fn what_is_needed_stays_and_what_is_missing_then_is_told() {
        let mut needed = build(A, 9, 10);
        needed.kept = Some(Kept::InUse);
        let bounds = Bounds {
            budget: Some(4),
            ..EASY
        };
        let (gone, plan) = planned(vec![needed, build(B, 1, 10)], bounds);
        assert_eq!((gone, plan.over), (vec!["build 2 d1".to_owned()], 6));
    }

    // Covers: M83
    #[test]
    fn unused_bundles_go_by_age_and_the_last_one_takes_along_what_else_there_is() {
        let bounds = Bounds {
            retention: Duration::from_secs(86_400),
            ..EASY
        };
        let toolchains = |pin| item(Stock::Toolchains(pin), 2, 10);
        let items = vec![
            bundle(A, 2),
            bundle(A, 0),
            build(A, 2, 10),
            toolchains(A),
            bundle(B, 2),
            build(B, 2, 10),
            toolchains(B),
            environment(50),
        ];
        let (mut gone, plan) = planned(items, bounds);
        gone.sort();
        let all = ["build 2 d2", "bundle 1 d2", "bundle 2 d2", "toolchains 2"];
        assert_eq!(gone, all);
        assert_eq!(plan.next, Some(Timestamp(101 * DAY)));
    }

    #[test]
    fn a_bundle_in_use_keeps_what_else_there_is_of_its_sender() {
        let bounds = Bounds {
            retention: Duration::from_secs(86_400),
            ..EASY
        };
        let mut used = bundle(A, 2);
        used.kept = Some(Kept::InUse);
        let (gone, plan) = planned(vec![used, build(A, 3, 10)], bounds);
        assert!(gone.is_empty() && plan.next.is_none(), "{plan:?}");
    }
}
