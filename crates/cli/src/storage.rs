//! The verb about the disk: what is kept, and deleting what may go.
use kiln_ipc::reply_json;
use kiln_model::{Kept, Pin, Reclaimed, Reply, Request, Storage, StoredItem, StoredKind, View};

use crate::args::StorageAction;
use crate::asking::{unexpected, view};
use crate::exit::Failure;
use crate::face::Face;
use crate::text::{safe, size, table, when};
use kiln_client::{Client, Transport};

pub(crate) async fn storage(
    transport: &impl Transport,
    face: &mut Face,
    action: Option<StorageAction>,
) -> Result<(), Failure> {
    let mut client = Client::connect(transport).await?;
    face.notice("Looking at the disk.")?;
    let reply = client.ask(Request::Storage).await?;
    let Reply::Storage(storage) = &reply else {
        return Err(unexpected());
    };
    let view = view(&mut client).await?;
    match action {
        None => face.result(
            || reply_json(&reply)["storage"].clone(),
            || storage_text(storage, &view),
        ),
        Some(StorageAction::Reclaim { yes }) => {
            reclaim(&mut client, face, storage, &view, yes).await
        }
    }
}

async fn reclaim(
    client: &mut Client,
    face: &mut Face,
    storage: &Storage,
    view: &View,
    yes: bool,
) -> Result<(), Failure> {
    let spare = spare(&storage.items);
    if spare.is_empty() {
        let nothing = Reclaimed::default();
        let reply = Reply::Reclaimed(nothing.clone());
        return face.result(|| reply_json(&reply), || reclaimed_text(&nothing, view));
    }
    let question = format!(
        "Delete {}? It is made or downloaded again when it is needed.",
        size(total(&spare))
    );
    let items = items_text(&spare, view);
    face.confirm(yes, &items, &question, "Nothing was deleted.")?;
    face.notice("Deleting.")?;
    let reply = client.ask(Request::Reclaim).await?;
    let Reply::Reclaimed(reclaimed) = &reply else {
        return Err(unexpected());
    };
    face.result(|| reply_json(&reply), || reclaimed_text(reclaimed, view))
}

fn storage_text(storage: &Storage, view: &View) -> String {
    let mut text = format!("Kiln uses {}", size(storage.used_bytes));
    if let Some(budget) = storage.budget_bytes {
        text += &format!(" of {}", size(budget));
    }
    text += ".";
    if let Some(free) = storage.free_bytes {
        text += &format!(" {} are free on this disk.", size(free));
    }
    if let Some(floor) = storage.floor_bytes {
        text += &format!(" Below {} nothing is built for others.", size(floor));
    }
    text += "\n\n";
    let all: Vec<&StoredItem> = storage.items.iter().collect();
    text += &items_text(&all, view);
    let spare = total(&spare(&storage.items));
    if spare > 0 {
        let spare = size(spare);
        text += &format!("\n{spare} can be made again; `kiln storage reclaim` deletes it.\n");
    }
    text
}

/// Says how much is used of what, for whoever wonders why nothing is built for others, and what to do.
pub(crate) fn no_room(storage: &Storage) -> String {
    let used = size(storage.used_bytes);
    let over = storage
        .budget_bytes
        .filter(|budget| storage.used_bytes > *budget);
    let mut text = match (over, storage.free_bytes, storage.floor_bytes) {
        (Some(budget), ..) => format!("Kiln uses {used} of {}", size(budget)),
        (None, Some(free), Some(floor)) => format!(
            "{} are free on this disk, {} have to stay free; Kiln uses {used}",
            size(free),
            size(floor)
        ),
        (None, ..) => format!("Kiln uses {used}"),
    };
    let most = most_used(&storage.items);
    if !most.is_empty() {
        text += &format!(", most of it for {}", most.join(" and "));
    }
    text += ". `kiln storage` shows all of it";
    text += match (spare(&storage.items).is_empty(), over) {
        (false, _) => ", `kiln storage reclaim` deletes what can be made again.",
        (true, Some(_)) => ", `kiln settings set storage_budget_mb=MB` allows more.",
        (true, None) => "; all of it is needed, so something else has to go.",
    };
    text
}

/// Returns the two kinds of things that take most, with their sizes.
fn most_used(items: &[StoredItem]) -> Vec<String> {
    let mut kinds: Vec<(&str, u64)> = Vec::new();
    for item in items {
        let what = kinds_of(item.kind);
        match kinds.iter_mut().find(|(kind, _)| *kind == what) {
            Some((_, bytes)) => *bytes += item.bytes,
            None => kinds.push((what, item.bytes)),
        }
    }
    kinds.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let most = kinds.into_iter().filter(|(_, bytes)| *bytes > 0).take(2);
    most.map(|(what, bytes)| format!("{what} ({})", size(bytes)))
        .collect()
}

fn kinds_of(kind: StoredKind) -> &'static str {
    match kind {
        StoredKind::Bundle => "configurations",
        StoredKind::Build => "builds",
        StoredKind::Toolchains => "toolchains",
        StoredKind::Environment => "ESPHome",
        StoredKind::Transfers => "transfers",
        StoredKind::Logs => "logs",
    }
}

fn reclaimed_text(reclaimed: &Reclaimed, view: &View) -> String {
    let list = |items: &[StoredItem]| items_text(&items.iter().collect::<Vec<_>>(), view);
    let mut text = match reclaimed.freed.as_slice() {
        [] => "Nothing was deleted: all of it is needed.\n".to_owned(),
        freed => {
            let bytes = size(reclaimed.freed_bytes());
            format!("Deleted {bytes}:\n{}", list(freed))
        }
    };
    if !reclaimed.left.is_empty() {
        text += "This could not be deleted; Kiln's own log says why:\n";
        text += &list(&reclaimed.left);
    }
    text
}

fn spare(items: &[StoredItem]) -> Vec<&StoredItem> {
    items.iter().filter(|item| item.kept.is_none()).collect()
}

fn total(items: &[&StoredItem]) -> u64 {
    items.iter().map(|item| item.bytes).sum()
}

/// Returns what is kept for whom, those with most first, and of each device one below the other.
fn items_text(items: &[&StoredItem], view: &View) -> String {
    let mut owners: Vec<(Option<Pin>, Vec<&StoredItem>)> = Vec::new();
    for item in items {
        match owners.iter_mut().find(|(pin, _)| *pin == item.pin) {
            Some((_, theirs)) => theirs.push(item),
            None => owners.push((item.pin, vec![item])),
        }
    }
    owners.sort_by_key(|(_, theirs)| std::cmp::Reverse(total(theirs)));
    let mut rows = Vec::new();
    for (pin, mut theirs) in owners {
        theirs.sort_by(|a, b| (&a.device, a.kind.word()).cmp(&(&b.device, b.kind.word())));
        let whole = "all of it".to_owned();
        rows.push(vec![owner(pin, view), whole, size(total(&theirs))]);
        rows.extend(theirs.into_iter().map(row));
    }
    let mut heading = vec!["FOR", "WHAT", "SIZE", "LAST USED"];
    if items.iter().any(|item| item.kept.is_some()) {
        heading.push("STAYS BECAUSE");
    }
    table(&heading, &rows)
}

fn row(item: &StoredItem) -> Vec<String> {
    let used = match item.kind {
        StoredKind::Transfers | StoredKind::Logs => String::new(),
        _ => when(item.last_used),
    };
    let because = item.kept.map_or("", because).to_owned();
    vec![String::new(), what(item), size(item.bytes), used, because]
}

fn owner(pin: Option<Pin>, view: &View) -> String {
    let Some(pin) = pin else {
        return "this Kiln".to_owned();
    };
    let mut peers = view.peers.iter();
    let peer = peers.find(|peer| peer.peer.pin == pin);
    peer.map_or_else(|| pin.short(), |peer| safe(peer.peer.label.as_str()))
}

fn what(item: &StoredItem) -> String {
    let device = safe(&item.device);
    match (item.kind, &item.version) {
        (StoredKind::Bundle, _) => format!("{device}: configuration"),
        (StoredKind::Build, _) => format!("{device}: build"),
        (StoredKind::Toolchains, _) => "toolchains and caches".to_owned(),
        (StoredKind::Environment, Some(version)) => format!("ESPHome {version}"),
        (StoredKind::Environment, None) => "ESPHome".to_owned(),
        (StoredKind::Transfers, _) => "bundles and artifacts on their way".to_owned(),
        (StoredKind::Logs, _) => "logs of jobs".to_owned(),
    }
}

fn because(kept: Kept) -> &'static str {
    match kept {
        Kept::InUse => "a job needs it",
        Kept::NotFetched => "its sender may still fetch it",
        Kept::OwnBuilds => "your own builds are made with it",
        Kept::Listed => "the jobs are still listed",
        Kept::Stuck => "it could not be deleted",
    }
}
