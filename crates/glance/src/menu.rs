//! [`Menu`]: what the icon offers, as a value. The same on every system: at most twelve entries, one
//! level of submenus, all of it built at once.
use std::collections::BTreeSet;

use kiln_model::{
    BuildChoice, Device, EsphomeVersion, Job, JobKind, JobOrigin, LinkState, PairingView, Port,
    Request, Timestamp, View,
};

use crate::serving::Serving;
use crate::standing::{Node, Standing, current_job, name, work};
use crate::words::{Key, Words};
use crate::{Action, Page, Snooze};

/// Most builders in their submenu, and most devices in theirs.
const LISTED_BUILDERS: usize = 8;
const LISTED_DEVICES: usize = 6;

/// One line of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Unique in the menu, the same in every language and as long as it means the same.
    pub id: String,
    /// What stands there. Plain text: an underscore or an ampersand is only that.
    pub label: String,
    /// What a click does; `None` is shown greyed out.
    pub action: Option<Action>,
}

/// An entry of the first level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A line.
    Item(Item),
    /// A line that leads to others; never empty.
    Submenu {
        /// Unique in the menu.
        id: String,
        /// What stands there.
        label: String,
        /// What it leads to.
        items: Vec<Item>,
    },
    /// A thin line between groups; never first, last or twice in a row.
    Separator,
}

/// The whole menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// From top to bottom. At most twelve, separators not counted.
    pub entries: Vec<Entry>,
}

impl Menu {
    /// Makes the menu from what is known of the node and of the owner's devices.
    pub fn of(node: Node<'_>, devices: &[Device], words: &Words, now: Timestamp) -> Self {
        let mut menu = Draft::new(words);
        let sentence = Standing::of(node).sentence(words, now);
        menu.add("status", sentence, None);
        if let Some(view) = node.view() {
            menu.work(view, now);
            menu.separate();
            menu.serving(view);
            menu.others(view);
            menu.install(view, devices);
        }
        menu.separate();
        menu.say("open", Key::MenuOpen, Action::Open(Page::Overview));
        menu.say("settings", Key::MenuSettings, Action::Open(Page::Settings));
        menu.say(
            "diagnostics",
            Key::MenuDiagnostics,
            Action::Open(Page::Diagnostics),
        );
        menu.say("updates", Key::MenuUpdates, Action::CheckUpdates);
        menu.separate();
        menu.say("quit", Key::MenuQuit, Action::Quit);
        Self {
            entries: menu.entries,
        }
    }

    /// Returns what a click on the item of this id means.
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.items().find(|item| item.id == id)?.action.as_ref()
    }

    /// Returns every line of both levels, from top to bottom.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.entries.iter().flat_map(|entry| match entry {
            Entry::Item(item) => std::slice::from_ref(item),
            Entry::Submenu { items, .. } => items.as_slice(),
            Entry::Separator => &[],
        })
    }
}

/// Returns the question to ask before Kiln is quit: only while it builds for somebody, whom it
/// names.
pub fn quit_question(view: &View, words: &Words) -> Option<String> {
    let waits = |job: &Job| match &job.origin {
        JobOrigin::Owner => None,
        JobOrigin::Offloader {
            label,
            dashboard_id,
            ..
        } => (!job.status.is_final()).then(|| name(&[label.as_str(), dashboard_id.as_str()])),
    };
    let waiting: BTreeSet<String> = view.jobs.iter().filter_map(waits).collect();
    let peer = waiting.first()?;
    Some(match waiting.len() {
        1 => words.say(Key::QuitOne, &[("peer", peer)]),
        all => {
            let others = (all - 1).to_string();
            words.say(Key::QuitMany, &[("peer", peer), ("count", &others)])
        }
    })
}

/// A menu that is being made.
struct Draft<'a> {
    words: &'a Words,
    entries: Vec<Entry>,
}

impl<'a> Draft<'a> {
    fn new(words: &'a Words) -> Self {
        Self {
            words,
            entries: Vec::new(),
        }
    }

    fn add(&mut self, id: &str, label: String, action: Option<Action>) {
        self.entries.push(Entry::Item(item(id, label, action)));
    }

    fn say(&mut self, id: &str, key: Key, action: Action) {
        self.add(id, self.words.say(key, &[]), Some(action));
    }

    fn submenu(&mut self, id: &str, key: Key, items: Vec<Item>) {
        self.entries.push(Entry::Submenu {
            id: id.to_owned(),
            label: self.words.say(key, &[]),
            items,
        });
    }

    fn separate(&mut self) {
        if !matches!(self.entries.last(), None | Some(Entry::Separator)) {
            self.entries.push(Entry::Separator);
        }
    }

    /// The current job, and how to stop it.
    fn work(&mut self, view: &View, now: Timestamp) {
        let Some(job) = current_job(&view.jobs) else {
            return;
        };
        let label = work(job, &view.jobs, self.words, now);
        self.add("job", label, Some(Action::Open(Page::Job(job.id.clone()))));
        // A flash is not stopped by a slip of the hand: its device may not start after that.
        if job.kind == JobKind::Compile {
            let stop = Action::Ask(Request::Cancel(job.id.clone()));
            self.say("stop", Key::MenuStop, stop);
        }
    }

    /// Pause or resume, or lend this computer in the first place.
    fn serving(&mut self, view: &View) {
        match Serving::of(&view.availability) {
            Serving::Off => {
                let on = vec![("receiver".to_owned(), "true".to_owned())];
                let lend = Action::Ask(Request::SetSettings(on));
                self.say("lend", Key::MenuLend, lend);
            }
            serving if serving.is_snoozed() => {
                self.say("resume", Key::MenuResume, Action::Resume);
            }
            Serving::Ready | Serving::Paused(_) => {
                let choice = |snooze: Snooze| {
                    let key = match snooze {
                        Snooze::HalfHour => Key::MenuPauseHalfHour,
                        Snooze::TwoHours => Key::MenuPauseTwoHours,
                        Snooze::Tomorrow => Key::MenuPauseTomorrow,
                        Snooze::UntilResumed => Key::MenuPauseUntilResumed,
                    };
                    let id = format!("pause.{}", snooze.word());
                    item(&id, self.words.say(key, &[]), Some(Action::Pause(snooze)))
                };
                let choices = Snooze::ALL.map(choice).to_vec();
                self.submenu("pause", Key::MenuPause, choices);
            }
        }
    }

    /// Who asks to use this computer, and which computers we may use.
    fn others(&mut self, view: &View) {
        if let Some(first) = view.pending.first() {
            let count = view.pending.len().to_string();
            let label = self.words.say(Key::MenuRequests, &[("count", &count)]);
            let review = Action::Open(Page::Builders(Some(first.dashboard_id.clone())));
            self.add("requests", label, Some(review));
        }
        let all = Action::Open(Page::Builders(None));
        if view.pairings.is_empty() {
            return self.say("builders", Key::MenuAddBuilder, all);
        }
        let builder = |pairing: &PairingView| {
            let id = format!("builder.{}", pairing.pairing.pin);
            item(&id, builder(pairing, self.words), Some(all.clone()))
        };
        let mut items: Vec<Item> = view
            .pairings
            .iter()
            .take(LISTED_BUILDERS)
            .map(builder)
            .collect();
        items.extend(self.more("builders.more", view.pairings.len(), LISTED_BUILDERS, &all));
        self.submenu("builders", Key::MenuBuilders, items);
    }

    /// The devices that were built last, and those with an old ESPHome.
    fn install(&mut self, view: &View, devices: &[Device]) {
        let mut usable: Vec<&Device> = devices.iter().filter(|d| d.problem.is_none()).collect();
        if usable.is_empty() {
            return;
        }
        usable.sort_by_key(|d| (std::cmp::Reverse(d.last_build), d.configuration.clone()));
        let all = Action::Open(Page::Devices);
        let recent = usable.iter().take(LISTED_DEVICES);
        let mut items: Vec<Item> = recent
            .map(|device| {
                let configuration = device.configuration.as_str();
                let install = Action::Ask(Request::Install {
                    device: configuration.to_owned(),
                    build: BuildChoice::Auto,
                    port: Port::Ota,
                });
                let label = device_label(device, &usable);
                item(&format!("install.{configuration}"), label, Some(install))
            })
            .collect();
        items.extend(self.more("devices.more", usable.len(), LISTED_DEVICES, &all));
        let outdated = usable.iter().filter(|d| is_outdated(d, view)).count();
        if outdated > 0 {
            let count = outdated.to_string();
            let label = self.words.say(Key::MenuOutdated, &[("count", &count)]);
            items.push(item("devices.outdated", label, Some(all)));
        }
        self.submenu("install", Key::MenuInstall, items);
    }

    fn more(&self, id: &str, all: usize, listed: usize, action: &Action) -> Option<Item> {
        let left = all.checked_sub(listed).filter(|left| *left > 0)?;
        let count = left.to_string();
        let label = self.words.say(Key::MenuMore, &[("count", &count)]);
        Some(item(id, label, Some(action.clone())))
    }
}

fn item(id: &str, label: String, action: Option<Action>) -> Item {
    Item {
        id: id.to_owned(),
        label,
        action,
    }
}

/// Returns "name — state" of a receiver.
fn builder(view: &PairingView, words: &Words) -> String {
    let pairing = &view.pairing;
    let peer = name(&[
        pairing.label.as_str(),
        pairing.friendly_name.as_str(),
        pairing.endpoint.host(),
    ]);
    let key = if pairing.enabled {
        match &view.link {
            LinkState::Connected => match view.queue {
                Some(queue) if queue.idle => Key::BuilderIdle,
                Some(_) => Key::BuilderBusy,
                None => Key::BuilderConnected,
            },
            LinkState::Connecting(error) if error.is_empty() => Key::BuilderConnecting,
            LinkState::Connecting(_) => Key::BuilderUnreachable,
            LinkState::Orphaned => Key::BuilderOrphaned,
            LinkState::AwaitingApproval => Key::BuilderAwaiting,
        }
    } else {
        Key::BuilderDisabled
    };
    words.say(key, &[("peer", &peer)])
}

/// Returns how a device is called; with its configuration where two share a name, because a click
/// flashes it.
fn device_label(device: &Device, all: &[&Device]) -> String {
    let called = |d: &Device| name(&[&d.friendly_name, &d.name, d.configuration.stem()]);
    let label = called(device);
    if all.iter().filter(|d| called(d) == label).count() > 1 {
        let stem = name(&[device.configuration.stem()]);
        return format!("{label} ({stem})");
    }
    label
}

/// Returns whether the device runs an older ESPHome than own builds would give it.
fn is_outdated(device: &Device, view: &View) -> bool {
    let deployed = EsphomeVersion::parse(&device.deployed_version);
    let (Some(deployed), Some(ours)) = (&deployed, &view.identity.esphome_version) else {
        return false;
    };
    match (deployed.order_key(), ours.order_key()) {
        (Some(deployed), Some(ours)) => deployed < ours,
        (None, _) | (_, None) => deployed != ours,
    }
}
