//! Keeps what is on disk within its bounds. The disk is looked at after the start, after each job of
//! an offloader, and when somebody asks; what has to go is decided on what is known then, and nothing
//! that it is about begins before it is gone.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kiln_model::{
    EnvironmentInfo, EsphomeVersion, JobKind, Kept, Mono, Now, Pin, Reclaimed, Reply, Storage,
    StoredItem, Timestamp, say,
};

use super::effect::{BuildTree, Effect};
use super::jobs::{Entry, Step};
use super::outcome::Outcome;
use super::{Stage, Work};
use crate::availability::disk_floor;
use crate::storage::{Bounds, Extent, Facts, Found, Item, Room, Stock, in_order, plan};
use crate::{Lending, RequestId, Stance};

/// When the next deletion is tried, at the earliest.
const SHORTEST_WAIT: Duration = Duration::from_secs(60);

/// What is known of the disk.
#[derive(Debug, Default)]
pub(super) struct Housekeeping {
    found: BTreeMap<Stock, Found>,
    measured_at: Option<Timestamp>,
    /// Room on the disk, in bytes: now, and when it was looked at. Faces are not told of each byte.
    free: Option<u64>,
    free_then: Option<u64>,
    /// The look that goes on.
    looking: Option<Extent>,
    /// Looks that follow it.
    ahead: BTreeSet<Extent>,
    /// What is being deleted.
    going: BTreeSet<Stock>,
    stuck: BTreeSet<Stock>,
    room: Room,
    review: Review,
    /// When something will have been unused for too long.
    due: Option<Mono>,
    /// Who wants to know what there is, after the next look at everything.
    curious: Vec<RequestId>,
    /// Who wants everything deleted that may be, after the next look at everything.
    wishing: Vec<RequestId>,
    /// The same, now that everything was looked at.
    wished: Vec<RequestId>,
    /// For whom this deletion is done.
    served: Vec<RequestId>,
}

/// Whether it was decided what goes since that could have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Review {
    #[default]
    Wanted,
    Done,
}

impl Housekeeping {
    /// Something changed that decides what may go.
    pub(super) fn review(&mut self) {
        self.review = Review::Wanted;
    }

    pub(super) fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Something of this offloader is being deleted.
    pub(super) fn is_clearing(&self, pin: Pin) -> bool {
        self.going.iter().any(|stock| stock.pin() == Some(pin))
    }

    /// This version is being deleted.
    pub(super) fn is_removing(&self, version: &EsphomeVersion) -> bool {
        let stock = Stock::Environment(version.clone());
        self.going.contains(&stock)
    }
}

impl Work {
    /// The disk has so much room, in MiB.
    pub fn disk_free(&mut self, mib: u64, now: Now) {
        let free = Some(mib << 20);
        if self.house.free != free {
            self.house.free = free;
            self.advance(now);
        }
    }

    /// Returns whether Kiln keeps to its budget.
    pub fn room(&self) -> Room {
        self.house.room
    }

    /// Returns what is kept on disk, as of the last look.
    pub fn storage(&self) -> Storage {
        let items = self.items();
        let (budget, floor) = self.bounds();
        Storage {
            measured_at: self.house.measured_at,
            used_bytes: total(&items),
            budget_bytes: budget,
            free_bytes: self.house.free_then,
            floor_bytes: floor,
            items: items.iter().map(shown).collect(),
        }
    }

    pub(super) fn storage_asked(&mut self, id: RequestId) {
        self.house.curious.push(id);
        self.look(Extent::All);
    }

    pub(super) fn reclaim_asked(&mut self, id: RequestId) {
        self.house.wishing.push(id);
        self.look(Extent::All);
    }

    /// Looks at the disk, now or after the look that goes on.
    pub(super) fn look(&mut self, extent: Extent) {
        if (extent, self.house.looking) == (Extent::All, Some(Extent::All)) {
            return;
        }
        self.house.ahead.insert(extent);
        if self.house.ahead.contains(&Extent::All) {
            self.house.ahead = [Extent::All].into();
        }
        self.look_next();
    }

    /// An environment was made, deleted or chosen: it counts, and others may go.
    pub(super) fn environments_changed(&mut self, environments: Vec<EnvironmentInfo>) {
        let facts = |list: &[EnvironmentInfo]| -> Vec<_> {
            let facts = |e: &EnvironmentInfo| (e.version.clone(), e.size_bytes, e.installed);
            list.iter().map(facts).collect()
        };
        let changed = facts(&self.environments) != facts(&environments);
        self.environments = environments;
        if changed {
            self.house.review();
            self.look(Extent::Environments);
        }
    }

    fn look_next(&mut self) {
        if self.stage != Stage::Serving || self.house.looking.is_some() {
            return;
        }
        if let Some(extent) = self.house.ahead.pop_first() {
            self.house.looking = Some(extent);
            self.push(Effect::Measure(extent));
        }
    }

    pub(super) fn measured(&mut self, found: Vec<Found>, free: Option<u64>, now: Now) {
        let Some(extent) = self.house.looking.take() else {
            return;
        };
        let house = &mut self.house;
        // What is being deleted while it is looked at counts as it was.
        let going = house.going.clone();
        let old = |stock: &Stock| extent.covers(stock) && !going.contains(stock);
        house.found.retain(|stock, _| !old(stock));
        house.stuck.retain(|stock| !old(stock));
        let found = found.into_iter().filter(|found| old(&found.stock));
        let found = found.map(|found| (found.stock.clone(), found));
        house.found.extend(found);
        house.measured_at = Some(now.wall);
        house.free = free.or(house.free);
        house.free_then = house.free;
        house.review();
        if extent == Extent::All {
            let wishing = std::mem::take(&mut house.wishing);
            house.wished.extend(wishing);
            let curious = std::mem::take(&mut house.curious);
            let storage = self.storage();
            for id in curious {
                self.reply(id, Reply::Storage(Box::new(storage.clone())));
            }
        }
        self.push(Effect::ViewChanged);
        self.look_next();
    }

    pub(super) fn evicted(&mut self, gone: &[Stock], free: Option<u64>) {
        let going = std::mem::take(&mut self.house.going);
        let items = self.items();
        let asked = items.iter().filter(|item| going.contains(&item.stock));
        let (freed, left): (Vec<&Item>, Vec<&Item>) =
            asked.partition(|item| gone.contains(&item.stock));
        let reclaimed = Reclaimed {
            freed: freed.into_iter().map(shown).collect(),
            left: left.into_iter().map(shown).collect(),
        };
        self.tell_reclaimed(&reclaimed);
        let house = &mut self.house;
        house.found.retain(|stock, _| !gone.contains(stock));
        let stuck = going.into_iter().filter(|stock| !gone.contains(stock));
        house.stuck.extend(stuck);
        house.free = free.or(house.free);
        house.free_then = house.free;
        house.review();
        self.push(Effect::ViewChanged);
    }

    fn tell_reclaimed(&mut self, reclaimed: &Reclaimed) {
        for id in std::mem::take(&mut self.house.served) {
            self.reply(id, Reply::Reclaimed(reclaimed.clone()));
        }
    }

    /// Deletes what has to go, or what somebody wants gone, unless that goes on already.
    pub(super) fn tidy(&mut self, now: Now) {
        let house = &self.house;
        if !house.going.is_empty() || house.measured_at.is_none() {
            return;
        }
        let (budget, floor) = self.bounds();
        // Before the floor that holds now is reached, below which nothing is built for others.
        let margin = u64::from(self.settings.disk_floor_mb) << 20;
        let enough = floor.map(|floor| floor.saturating_add(margin));
        let missing = enough.zip(house.free);
        let bounds = Bounds {
            budget,
            missing: missing.map_or(0, |(enough, free)| enough.saturating_sub(free)),
            retention: Duration::from_secs(self.settings.cleanup_ttl_seconds.into()),
        };
        let used = house.found.values().map(|found| found.bytes).sum();
        let pressed = bounds.missing > 0 || budget.is_some_and(|budget| used > budget);
        let late = house.due.is_some_and(|due| due <= now.mono);
        if !pressed && !late && house.wished.is_empty() && house.review == Review::Done {
            return;
        }
        let items = self.items();
        let plan = plan(&items, &bounds, now.wall);
        let until = |at: Timestamp| {
            let left = u64::try_from(at.0.saturating_sub(now.wall.0)).unwrap_or_default();
            now.mono + Duration::from_micros(left).max(SHORTEST_WAIT)
        };
        let house = &mut self.house;
        house.review = Review::Done;
        house.due = plan.next.map(until);
        house.room = match plan.over {
            0 => Room::Left,
            _ => Room::UsedUp { used },
        };
        house.served = std::mem::take(&mut house.wished);
        let evict = if house.served.is_empty() {
            plan.evict
        } else {
            let spare = items.into_iter().filter(|item| item.kept.is_none());
            spare.map(|item| item.stock).collect()
        };
        if evict.is_empty() {
            return self.tell_reclaimed(&Reclaimed::default());
        }
        house.going = evict.iter().cloned().collect();
        self.push(Effect::Evict(evict));
    }

    /// What is kept, in the order in which it would go.
    fn items(&self) -> Vec<Item> {
        let facts = self.facts();
        let found = self.house.found.values();
        let mut items: Vec<Item> = found.map(|found| facts.judge(found)).collect();
        in_order(&mut items);
        items
    }

    /// Ends the cleans that wait packed on a disk that is short, as soon as nothing is left that was built
    /// of their devices: that goes like all that nobody needs, and takes no ESPHome. Their sender may
    /// build nothing at all before they are over.
    pub(super) fn clean_packed(&mut self, now: Now) {
        let house = &self.house;
        let is_known = house.measured_at.is_some() && house.looking.is_none();
        if !is_known || !self.is_disk_short() {
            return;
        }
        let facts = self.facts();
        let packed = |e: &Entry| matches!(e.step, Step::Arrived) && e.is(JobKind::Clean);
        for id in self.jobs.ids(packed) {
            let entry = self.jobs.get(&id);
            let device = entry.and_then(|e| Some((e.sender()?.0, e.configuration()?)));
            let Some((pin, configuration)) = device else {
                continue;
            };
            let name = configuration.stem();
            let is_its = |found: &&Found| {
                matches!(&found.stock, Stock::Build(of, _) if *of == pin)
                    && (found.devices.is_empty() || found.devices.contains(name))
            };
            let its = self.house.found.values().filter(is_its);
            let kept: Vec<Option<Kept>> = its.map(|found| facts.judge(found).kept).collect();
            let stays = |kept: &Option<Kept>| *kept == Some(Kept::Stuck);
            if facts.used.contains(&(pin, name.to_owned())) || !kept.iter().all(stays) {
                continue;
            }
            let outcome = if kept.is_empty() {
                self.note(
                    &id,
                    "the disk is short, and what was built of it is deleted",
                );
                Outcome::Completed
            } else {
                Outcome::failed(say::build_not_deleted())
            };
            self.finish(&id, outcome, now);
        }
    }

    /// Budget, and the floor that holds now, in bytes.
    fn bounds(&self) -> (Option<u64>, Option<u64>) {
        let bytes = |mib: u32| (mib > 0).then(|| u64::from(mib) << 20);
        let floor = disk_floor(&self.settings, self.lending.occupancy);
        (bytes(self.settings.storage_budget_mb), bytes(floor))
    }

    /// Returns whether the node has just started, and how much of the disk is free is not known yet.
    pub(super) fn is_unread(&self) -> bool {
        let Lending {
            stance, absence, ..
        } = self.lending;
        self.house.free.is_none() && stance == Stance::Brief && absence.is_none()
    }

    /// Returns whether less of the disk is free than has to stay so.
    pub(super) fn is_disk_short(&self) -> bool {
        let (_, floor) = self.bounds();
        let both = floor.zip(self.house.free);
        both.is_some_and(|(floor, free)| free < floor)
    }

    /// Who needs what, as far as jobs say.
    fn facts(&self) -> Facts {
        let own = self.own_version().cloned();
        let mut facts = Facts {
            stuck: self.house.stuck.clone(),
            ..Facts::default()
        };
        for (_, entry) in self.jobs.iter() {
            self.add_job(&mut facts, entry, own.as_ref());
        }
        let mut owe = |pin: Pin, name: &str| facts.owed.insert((pin, name.to_owned()));
        for tree in self.transfers.served_trees() {
            if let BuildTree::Received { pin, configuration } = tree {
                owe(*pin, configuration.stem());
            }
        }
        for (pin, wire) in self.transfers.owed() {
            let job = self.jobs.received(*pin, wire);
            if let Some(configuration) = job.and_then(|(_, entry)| entry.configuration()) {
                owe(*pin, configuration.stem());
            }
        }
        facts.own = own;
        facts
    }

    /// A job whose bundle is not unpacked needs nothing but that: what waits must not keep so much that
    /// there is never room to unpack it.
    fn add_job(&self, facts: &mut Facts, entry: &Entry, own: Option<&EsphomeVersion>) {
        let job = &entry.stored.job;
        let last = job
            .completed_at
            .or(job.started_at)
            .unwrap_or(job.created_at);
        // It was started with the version for own builds, which may be another one by now.
        let runs = matches!(
            entry.step,
            Step::Building | Step::Flashing | Step::Remote(_)
        );
        if runs && (entry.is_owners() || job.target_version.is_none()) {
            let all = self.environments.iter().map(|e| e.version.clone());
            facts.versions.extend(all);
        }
        let Some((pin, _)) = entry.sender() else {
            return;
        };
        let needs = !matches!(entry.step, Step::Arrived | Step::Over);
        if let Some(version) = job.target_version.as_ref().or(own) {
            if needs {
                facts.versions.insert(version.clone());
            }
            let used = facts.version_used.entry(version.clone()).or_default();
            *used = last.max(*used);
        }
        let used = facts.sender_used.entry(pin).or_default();
        *used = last.max(*used);
        let Some(configuration) = entry.configuration() else {
            if !entry.is_over() {
                facts.wiped.insert(pin);
            }
            return;
        };
        let device = (pin, configuration.stem().to_owned());
        if needs {
            facts.used.insert(device.clone());
        }
        let used = facts.device_used.entry(device).or_default();
        *used = last.max(*used);
    }
}

fn total(items: &[Item]) -> u64 {
    items.iter().map(|item| item.bytes).sum()
}

fn shown(item: &Item) -> StoredItem {
    let version = match &item.stock {
        Stock::Environment(version) => Some(version.clone()),
        _ => None,
    };
    let folder = match &item.stock {
        Stock::Bundle(_, name) | Stock::Build(_, name) => name.as_str(),
        _ => "",
    };
    StoredItem {
        kind: item.stock.kind(),
        pin: item.stock.pin(),
        device: item.device.as_deref().unwrap_or(folder).to_owned(),
        version,
        bytes: item.bytes,
        last_used: item.last_used,
        kept: item.kept,
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::{BuildChoice, JobId, JobStatus, LinkId, Message, Request};

    use super::super::Event;
    use super::super::fixtures::{Shop, installed, pin, version, wire};
    use super::*;
    use crate::storage::Extent;
    use crate::{Lending, Occupancy};

    const GIB: u64 = 1 << 30;
    const DAY: u64 = 86_400;

    fn build(n: u8, name: &str) -> Stock {
        Stock::Build(pin(n), name.to_owned())
    }

    fn bundle(n: u8, name: &str) -> Stock {
        Stock::Bundle(pin(n), name.to_owned())
    }

    /// What takes a GiB and was last changed so many days ago.
    fn aged(shop: &Shop, stock: Stock, days: u64) -> Found {
        let devices = match &stock {
            Stock::Bundle(_, name) | Stock::Build(_, name) => [name.clone()].into(),
            _ => BTreeSet::new(),
        };
        let micros = i64::try_from(days * DAY).unwrap() * 1_000_000;
        Found {
            stock,
            devices,
            bytes: GIB,
            touched: Timestamp(shop.now.wall.0 - micros),
        }
    }

    /// The look that was wanted comes back with this.
    fn finds(shop: &mut Shop, found: Vec<Found>) {
        let free = Some(100 * GIB);
        shop.happens(Event::Measured { found, free });
    }

    fn gone(shop: &mut Shop, gone: &[Stock]) {
        let (gone, free) = (gone.to_vec(), Some(100 * GIB));
        shop.happens(Event::Evicted { gone, free });
    }

    fn clean_of(shop: &mut Shop, link: LinkId, job: &str, configuration: &str) -> JobId {
        shop.submit_with(link, job, configuration, |header| {
            header.target = "clean".to_owned();
        })
    }

    fn evicts(stocks: &[Stock]) -> Vec<String> {
        vec![format!("evict {stocks:?}")]
    }

    /// A node with a budget of two GiB whose disk was never looked at. Nothing goes by age.
    fn shop() -> Shop {
        let mut shop = Shop::open();
        shop.now.wall = Timestamp(i64::try_from(1_000 * DAY).unwrap() * 1_000_000);
        shop.change(|s| {
            s.storage_budget_mb = 2_048;
            s.cleanup_ttl_seconds = 2_592_000;
        });
        shop
    }

    fn kept(shop: &Shop, stock: &Stock) -> Option<Kept> {
        let storage = shop.work.storage();
        let device = match stock {
            Stock::Bundle(_, name) | Stock::Build(_, name) => name.as_str(),
            _ => "",
        };
        let is = |item: &&StoredItem| {
            item.kind == stock.kind() && item.pin == stock.pin() && item.device == device
        };
        storage.items.iter().find(is).unwrap().kept
    }

    #[test]
    fn the_disk_is_looked_at_after_the_start_and_after_each_job_of_an_offloader_and_not_otherwise()
    {
        let mut shop = Shop::open();
        assert_eq!(shop.looks, [Extent::All]);
        finds(&mut shop, Vec::new());
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        assert_eq!(shop.looks.len(), 1);
        shop.succeeds(&job);
        assert_eq!(shop.looks, [Extent::All, Extent::Sender(pin(2))]);
        finds(&mut shop, Vec::new());
        shop.pass(7 * DAY);
        assert_eq!(shop.looks.len(), 2);
        assert_eq!(shop.work.poll_timeout(), None, "nothing wakes the machine");
    }

    #[test]
    fn looks_follow_one_another_and_one_at_everything_is_enough() {
        let (mut shop, link) = Shop::with_offloader();
        for name in ["a", "b"] {
            let job = shop.submit_queued(link, name, "kitchen");
            shop.succeeds(&job);
        }
        shop.ask(&Request::Storage);
        assert_eq!(shop.looks, [Extent::All], "it goes on");
        finds(&mut shop, Vec::new());
        assert_eq!(shop.looks, [Extent::All, Extent::Sender(pin(2))]);
        shop.ask(&Request::Storage);
        finds(&mut shop, Vec::new());
        assert_eq!(shop.looks.last(), Some(&Extent::All));
        finds(&mut shop, Vec::new());
        assert_eq!(shop.looks.len(), 3);
    }

    #[test]
    fn over_the_budget_the_least_recently_used_goes_and_never_what_a_job_needs() {
        let mut shop = shop();
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        shop.lines();
        let found = [build(2, "kitchen"), build(2, "bath"), build(3, "attic")];
        let found = [9, 5, 7].into_iter().zip(found);
        let found: Vec<_> = found
            .map(|(days, stock)| aged(&shop, stock, days))
            .collect();
        finds(&mut shop, found.clone());
        assert_eq!(shop.lines_of("evict"), evicts(&[build(3, "attic")]));
        gone(&mut shop, &[build(3, "attic")]);
        assert_eq!(kept(&shop, &build(2, "kitchen")), Some(Kept::InUse));
        // The job is over, its result fetched, and the budget is kept.
        shop.succeeds(&job);
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        assert!(shop.lines_of("evict").is_empty());
    }

    #[test]
    fn nothing_begins_on_what_is_being_deleted_until_it_is_gone() {
        let mut shop = shop();
        let found = ["kitchen", "bath", "attic"].map(|name| aged(&shop, build(2, name), 3));
        finds(&mut shop, found.into());
        let going = build(2, "attic");
        assert_eq!(shop.lines_of("evict"), evicts(std::slice::from_ref(&going)));
        let link = shop.offloader(2);
        shop.submit(link, "a", "attic");
        let other = shop.offloader(3);
        shop.submit(other, "b", "attic");
        assert_eq!(shop.lines_of("unpack"), ["unpack j2 of 3"]);
        gone(&mut shop, &[going]);
        assert_eq!(shop.lines_of("unpack"), ["unpack j1 of 2"]);
    }

    #[test]
    fn a_version_that_is_being_deleted_is_installed_again_only_when_it_is_gone() {
        let mut shop = shop();
        let old = Stock::Environment(version("2026.9.0"));
        let found = vec![
            aged(&shop, old.clone(), 3),
            aged(&shop, Stock::Environment(version("2026.10.0")), 90),
            aged(&shop, build(2, "kitchen"), 0),
        ];
        shop.change(|s| s.storage_budget_mb = 2_048);
        finds(&mut shop, found);
        // The build is cheaper to make again.
        assert_eq!(shop.lines_of("evict"), evicts(&[build(2, "kitchen")]));
        gone(&mut shop, &[build(2, "kitchen")]);
        shop.change(|s| s.storage_budget_mb = 1_024);
        assert_eq!(shop.lines_of("evict"), evicts(std::slice::from_ref(&old)));
        let link = shop.offloader(4);
        let job = shop.submit_with(link, "a", "bath", |h| {
            h.target_esphome_version = Some(version("2026.9.0"));
        });
        shop.prepared(&job);
        assert!(shop.lines_of("provision").is_empty());
        gone(&mut shop, &[old]);
        assert_eq!(shop.lines_of("provision"), ["provision j1 2026.9.0"]);
    }

    #[test]
    fn a_build_of_the_owner_keeps_its_version_also_when_another_one_is_chosen_meanwhile() {
        let mut shop = shop();
        shop.change(|s| s.storage_budget_mb = 1_024);
        let old = Stock::Environment(version("2026.10.0"));
        let new = Stock::Environment(version("2026.11.0"));
        let job = shop.compile("kitchen", BuildChoice::Local);
        let unused = EnvironmentInfo {
            installed: false,
            ..installed("2026.10.0")
        };
        let all = vec![unused, installed("2026.11.0")];
        shop.happens(Event::EnvironmentsChanged(all));
        let found = [old.clone(), new].map(|stock| aged(&shop, stock, 3));
        finds(&mut shop, found.into());
        assert!(shop.lines_of("evict").is_empty());
        shop.succeeds(&job);
        assert_eq!(shop.lines_of("evict"), evicts(&[old]));
    }

    /// The look that was wanted finds the build of a device, on a disk that is short.
    fn finds_short(shop: &mut Shop, stock: &Stock) {
        let found = vec![aged(shop, stock.clone(), 0)];
        let free = Some(2_047 << 20);
        shop.happens(Event::Measured { found, free });
    }

    /// What was to go is gone, or not, and the disk is as short as before.
    fn gone_in_vain(shop: &mut Shop, gone: &[Stock]) {
        let (gone, free) = (gone.to_vec(), Some(2_047 << 20));
        shop.happens(Event::Evicted { gone, free });
    }

    #[test]
    fn a_clean_that_stays_packed_is_done_when_what_was_built_of_its_device_is_deleted() {
        let mut shop = Shop::open();
        let kitchen = build(2, "kitchen");
        let link = shop.offloader(2);
        finds_short(&mut shop, &kitchen);
        let clean = clean_of(&mut shop, link, "a", "kitchen");
        let evicted = evicts(std::slice::from_ref(&kitchen));
        assert_eq!(shop.lines_of("evict"), evicted);
        assert_eq!(shop.status(&clean), JobStatus::Queued);
        gone_in_vain(&mut shop, &[kitchen]);
        assert_eq!(shop.acts(), ["link-2 a completed"]);
    }

    #[test]
    fn a_clean_that_stays_packed_waits_for_the_build_of_its_device_and_for_whoever_fetches_it() {
        let mut shop = Shop::open();
        let kitchen = build(2, "kitchen");
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        finds_short(&mut shop, &kitchen);
        shop.succeeds(&job);
        let clean = clean_of(&mut shop, link, "b", "kitchen");
        assert_eq!(
            shop.status(&clean),
            JobStatus::Queued,
            "the disk is looked at"
        );
        finds_short(&mut shop, &kitchen);
        assert_eq!(
            shop.status(&clean),
            JobStatus::Queued,
            "its result is fetched first"
        );
        let job_id = wire("a");
        shop.says(link, Message::DownloadArtifacts { job_id });
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        assert_eq!(shop.status(&clean), JobStatus::Queued);
        gone_in_vain(&mut shop, &[kitchen]);
        assert_eq!(shop.status(&clean), JobStatus::Completed);
    }

    #[test]
    fn a_clean_that_stays_packed_fails_when_what_was_built_cannot_be_deleted() {
        let mut shop = Shop::open();
        finds_short(&mut shop, &build(2, "kitchen"));
        let link = shop.offloader(2);
        let clean = clean_of(&mut shop, link, "a", "kitchen");
        assert_eq!(shop.status(&clean), JobStatus::Queued);
        gone_in_vain(&mut shop, &[]);
        assert_eq!(shop.status(&clean), JobStatus::Failed);
        assert_eq!(shop.job(&clean).failure_reason, None);
    }

    #[test]
    fn a_result_that_is_being_fetched_stays_whole() {
        let mut shop = shop();
        let link = shop.offloader(2);
        let job = shop.submit_queued(link, "a", "kitchen");
        shop.succeeds(&job);
        let job_id = wire("a");
        shop.says(link, Message::DownloadArtifacts { job_id });
        finds(&mut shop, Vec::new());
        let found = aged(&shop, build(2, "kitchen"), 0);
        shop.change(|s| s.storage_budget_mb = 1);
        finds(&mut shop, vec![found]);
        shop.lines();
        shop.pass(60);
        assert!(shop.lines_of("evict").is_empty());
        shop.happens(Event::ArtifactsServed(link, wire("a")));
        assert_eq!(shop.lines_of("evict"), evicts(&[build(2, "kitchen")]));
    }

    // Covers: M82
    #[test]
    fn unused_bundles_go_when_their_time_is_over_and_never_those_in_use() {
        let (mut shop, link) = Shop::with_offloader();
        shop.submit_queued(link, "b", "bath");
        let found = [bundle(2, "kitchen"), bundle(2, "bath"), build(2, "kitchen")];
        let found = found.map(|stock| aged(&shop, stock, 0));
        finds(&mut shop, found.into());
        shop.lines();
        shop.pass(DAY - 1);
        assert!(shop.lines_of("evict").is_empty());
        shop.pass(1);
        assert_eq!(shop.lines_of("evict"), evicts(&[bundle(2, "kitchen")]));
    }

    #[test]
    fn room_is_made_before_the_floor_is_reached() {
        let mut shop = shop();
        shop.change(|s| s.storage_budget_mb = 0);
        let found = [3, 2, 1].map(|days| aged(&shop, build(2, &format!("d{days}")), days));
        finds(&mut shop, found.into());
        let mib = |gib: f64| (gib * 1_024.0) as u64;
        shop.has_free(mib(4.0));
        assert!(shop.lines_of("evict").is_empty());
        shop.has_free(mib(2.5));
        let oldest = [build(2, "d3"), build(2, "d2")];
        assert_eq!(shop.lines_of("evict"), evicts(&oldest));
        // What is deleted counts as room only when it is there.
        shop.has_free(mib(2.4));
        assert!(shop.lines_of("evict").is_empty());
    }

    #[test]
    fn more_room_is_made_while_the_owner_is_there_if_more_is_to_stay_free_then() {
        let mut shop = shop();
        shop.change(|s| {
            s.storage_budget_mb = 0;
            s.in_use_disk_floor_mb = 6 * 1_024;
        });
        let found = [3, 2, 1].map(|days| aged(&shop, build(2, &format!("d{days}")), days));
        finds(&mut shop, found.into());
        shop.has_free(7 * 1_024);
        assert!(shop.lines_of("evict").is_empty(), "nobody is there");
        shop.lends(Lending {
            occupancy: Occupancy::InUse,
            ..Lending::FREE
        });
        assert_eq!(shop.lines_of("evict"), evicts(&[build(2, "d3")]));
        let floor = shop.work.storage().floor_bytes;
        assert_eq!(floor, Some(6 * GIB), "what is said is what holds");
    }

    #[test]
    fn what_waits_packed_keeps_nothing_but_its_bundle() {
        let mut shop = shop();
        let link = shop.offloader(2);
        shop.submit_queued(link, "a", "kitchen");
        shop.submit_queued(link, "b", "bath");
        shop.submit(link, "c", "attic");
        shop.lines();
        let names = ["kitchen", "bath", "attic"];
        let found = names.map(|name| aged(&shop, build(2, name), 0));
        finds(&mut shop, found.into());
        assert_eq!(shop.lines_of("evict"), evicts(&[build(2, "attic")]));
        let needed = [build(2, "kitchen"), build(2, "bath")];
        let needed = needed.map(|stock| kept(&shop, &stock));
        assert_eq!(needed, [Some(Kept::InUse); 2]);
    }

    #[test]
    fn what_cannot_be_deleted_is_told_and_not_tried_again_before_the_next_look() {
        let mut shop = shop();
        let found = ["a", "b", "c"].map(|name| aged(&shop, build(2, name), 3));
        finds(&mut shop, found.clone().into());
        assert_eq!(shop.lines_of("evict"), evicts(&[build(2, "a")]));
        gone(&mut shop, &[]);
        assert_eq!(kept(&shop, &build(2, "a")), Some(Kept::Stuck));
        assert_eq!(shop.lines_of("evict"), evicts(&[build(2, "b")]));
        gone(&mut shop, &[build(2, "b")]);
        shop.happens(Event::VersionAnswered);
        assert!(shop.lines_of("evict").is_empty());
        shop.ask(&Request::Storage);
        finds(&mut shop, found.into());
        assert_eq!(shop.lines_of("evict"), evicts(&[build(2, "a")]));
    }

    #[test]
    fn whoever_asks_hears_what_there_is_after_a_look() {
        let mut shop = shop();
        finds(&mut shop, Vec::new());
        let id = shop.ask(&Request::Storage);
        assert_eq!(shop.reply_to(id), None);
        let found = aged(&shop, build(2, "kitchen"), 3);
        finds(&mut shop, vec![found.clone()]);
        let Some(Reply::Storage(storage)) = shop.reply_to(id) else {
            panic!("no answer");
        };
        let item = StoredItem {
            kind: kiln_model::StoredKind::Build,
            pin: Some(pin(2)),
            device: "kitchen".to_owned(),
            version: None,
            bytes: GIB,
            last_used: found.touched,
            kept: None,
        };
        let expected = Storage {
            measured_at: Some(shop.now.wall),
            used_bytes: GIB,
            budget_bytes: Some(2 * GIB),
            free_bytes: Some(100 * GIB),
            floor_bytes: Some(2 * GIB),
            items: vec![item],
        };
        assert_eq!(*storage, expected);
    }

    #[test]
    fn a_wish_for_room_deletes_all_that_nobody_needs_and_says_what_that_was() {
        let mut shop = shop();
        let link = shop.offloader(2);
        shop.submit_queued(link, "a", "kitchen");
        finds(&mut shop, Vec::new());
        let id = shop.ask(&Request::Reclaim);
        let found = [build(2, "kitchen"), build(3, "bath")];
        let found: Vec<_> = found.map(|stock| aged(&shop, stock, 0)).into();
        finds(&mut shop, found);
        assert_eq!(shop.lines_of("evict"), evicts(&[build(3, "bath")]));
        assert_eq!(shop.reply_to(id), None);
        gone(&mut shop, &[build(3, "bath")]);
        let Some(Reply::Reclaimed(reclaimed)) = shop.reply_to(id) else {
            panic!("no answer");
        };
        assert_eq!(reclaimed.freed_bytes(), GIB);
        assert_eq!((reclaimed.freed.len(), reclaimed.left.len()), (1, 0));
        assert_eq!(shop.work.storage().used_bytes, GIB);
    }

    #[test]
    fn a_wish_for_room_where_nothing_may_go_is_answered_at_once() {
        let mut shop = shop();
        finds(&mut shop, Vec::new());
        let id = shop.ask(&Request::Reclaim);
        finds(&mut shop, Vec::new());
        let nothing = Reply::Reclaimed(Reclaimed::default());
        assert_eq!(shop.reply_to(id), Some(nothing));
    }

    #[test]
    fn the_version_for_own_builds_stays_whatever_the_budget_says() {
        let mut shop = shop();
        shop.change(|s| s.storage_budget_mb = 1);
        let own = Stock::Environment(version("2026.10.0"));
        let found = aged(&shop, own.clone(), 400);
        finds(&mut shop, vec![found]);
        assert!(shop.lines_of("evict").is_empty());
        assert_eq!(kept(&shop, &own), Some(Kept::OwnBuilds));
        let id = shop.ask(&Request::Reclaim);
        let found = aged(&shop, own, 400);
        finds(&mut shop, vec![found]);
        let nothing = Reply::Reclaimed(Reclaimed::default());
        assert_eq!(shop.reply_to(id), Some(nothing));
    }
}
