//! [`Menu`]: what the icon offers, as a value. The same on every system: at most twelve entries, one
//! level of submenus, all of it built at once.
use kiln_model::{
    AvailabilityReason, BuildChoice, Device, EsphomeVersion, Job, JobKind, LinkState, PairingView,
    Port, Request, Snooze, Timestamp, View,
};

use crate::serving::Serving;
use crate::standing::{Node, Standing, current_job, name, work};
use crate::words::{Key, Words};
use crate::{Action, Page, Which, Who};

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
            // A menu that is open while another job begins stops the one that it was opened for.
            self.say(&format!("stop.{}", job.id), Key::MenuStop, stop);
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
                        Snooze::Forever => Key::MenuPauseUntilResumed,
                    };
                    let id = format!("pause.{}", snooze.word());
                    item(&id, self.words.say(key, &[]), Some(Action::Pause(snooze)))
                };
                let choices = Snooze::ALL.iter().copied().map(choice).collect();
                self.submenu("pause", Key::MenuPause, choices);
            }
        }
    }

    /// Who asks to use this computer, and which computers we may use.
    fn others(&mut self, view: &View) {
        if let Some(first) = view.pending.first() {
            let count = view.pending.len().to_string();
            let label = self.words.say(Key::MenuRequests, &[("count", &count)]);
            let review = Action::Open(Page::Builders(Who::Asking(first.dashboard_id.clone())));
            self.add("requests", label, Some(review));
        }
        let all = Action::Open(Page::Builders(Who::Nobody));
        if view.pairings.is_empty() {
            return self.say("builders", Key::MenuAddBuilder, all);
        }
        let builder = |pairing: &PairingView| {
            let id = format!("builder.{}", pairing.pairing.pin);
            let open = Action::Open(Page::Builders(Who::Receiver(pairing.pairing.pin)));
            item(&id, builder(pairing, self.words), Some(open))
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
        // Nothing is begun for a device while it is flashed: that would break it off.
        let can = |d: &&Device| d.problem.is_none() && !is_flashing(d, &view.jobs);
        let mut usable: Vec<&Device> = devices.iter().filter(can).collect();
        if usable.is_empty() {
            return;
        }
        usable.sort_by_key(|d| (std::cmp::Reverse(d.last_build), d.configuration.clone()));
        let all = Action::Open(Page::Devices(Which::All));
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
            let open = Action::Open(Page::Devices(Which::Outdated));
            items.push(item("devices.outdated", label, Some(open)));
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
    let away = view.queue.and_then(|queue| away(queue.absence?.reason));
    let key = if pairing.enabled {
        match &view.link {
            LinkState::Connected => match (away, view.queue) {
                (Some(reason), _) => {
                    let reason = words.say(reason, &[]);
                    return words.say(Key::BuilderAway, &[("peer", &peer), ("reason", &reason)]);
                }
                (None, Some(queue)) if queue.idle => Key::BuilderIdle,
                (None, Some(_)) => Key::BuilderBusy,
                (None, None) => Key::BuilderConnected,
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

/// Returns why a receiver builds for nobody now; nothing if it does.
fn away(reason: AvailabilityReason) -> Option<Key> {
    use AvailabilityReason as Reason;
    Some(match reason {
        Reason::Ready => return None,
        Reason::UserActive => Key::AwayUserActive,
        Reason::Battery => Key::AwayBattery,
        Reason::PowerSaver => Key::AwayPowerSaver,
        Reason::Thermal => Key::AwayThermal,
        Reason::CpuBusy => Key::AwayCpuBusy,
        Reason::LowRam => Key::AwayLowRam,
        Reason::LowDisk => Key::AwayLowDisk,
        Reason::Hours => Key::AwayHours,
        Reason::ExclusiveApp => Key::AwayExclusiveApp,
        Reason::Metered => Key::AwayMetered,
        Reason::Snoozed => Key::AwaySnoozed,
        Reason::UserOff => Key::AwayUserOff,
        Reason::Sleeping => Key::AwaySleeping,
    })
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

/// Returns whether the device is being written now; stopped half-way it may not start again.
fn is_flashing(device: &Device, jobs: &[Job]) -> bool {
    jobs.iter()
        .any(|job| job.is_flash() && job.configuration == device.configuration.as_str())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::stage::*;
    use expect_test::expect;
    use kiln_model::{Absence, Job, JobStatus, QueueStatus};
    use proptest::prelude::*;

    /// Writes a menu as a person sees it, with ids and what a click does.
    fn written(menu: &Menu) -> String {
        let line = |item: &Item| {
            let action = item.action.as_ref();
            let action = action.map_or("-".to_owned(), |action| match action {
                Action::Open(page) => {
                    let about = page.about().map(|about| format!(" {about:.8}"));
                    format!("open {}{}", page.word(), about.unwrap_or_default())
                }
                Action::Ask(request) => format!("ask {request:?}"),
                Action::Pause(snooze) => format!("pause {}", snooze.word()),
                Action::Resume => "resume".to_owned(),
                Action::CheckUpdates => "check updates".to_owned(),
                Action::Quit => "quit".to_owned(),
            });
            format!("{}  [{}] {action}\n", item.label, item.id)
        };
        let entry = |entry: &Entry| match entry {
            Entry::Item(item) => line(item),
            Entry::Submenu { id, label, items } => {
                let items = items.iter().map(|item| format!("  {}", line(item)));
                format!("{label} >  [{id}]\n{}", items.collect::<String>())
            }
            Entry::Separator => "---\n".to_owned(),
        };
        menu.entries.iter().map(entry).collect()
    }

    fn menu(view: &View, devices: &[Device]) -> Menu {
        Menu::of(Node::Up(view), devices, &english(), at(30))
    }

    /// A house in which all of it goes on at once.
    fn busy() -> (View, Vec<Device>) {
        let mut view = quiet();
        view.jobs = vec![Job {
            progress: Some(42),
            ..on_laptop(compile(2, "kitchen", JobStatus::Running))
        }];
        view.pending = vec![asker("a", "Attic"), asker("b", "Barn")];
        let mut laptop = receiver(1, "Laptop", LinkState::Connected);
        laptop.queue = Some(QueueStatus::of(true, 1));
        let mut old = receiver(4, "Old", LinkState::Orphaned);
        old.pairing.enabled = false;
        view.pairings = vec![
            laptop,
            receiver(2, "Tower", LinkState::Connected),
            receiver(3, "Attic", LinkState::Connecting("no answer".into())),
            old,
        ];
        let mut twin = device("bath-2", "2026.11.0", 5);
        twin.friendly_name = "bath".to_owned();
        let mut broken = device("broken", "", 100);
        broken.problem = Some("line 3".into());
        let devices = vec![
            device("bath", "2026.9.1", 10),
            device("kitchen", "2026.10.0", 30),
            twin,
            broken,
        ];
        (view, devices)
    }

    #[test]
    fn a_busy_house() {
        let (view, devices) = busy();
        expect![[r#"
            2 computers ask to use this computer.  [status] -
            Building kitchen on Laptop, 42 %  [job] open job
            Stop this build  [stop.000000000002] ask Cancel(JobId("000000000002"))
            ---
            Pause serving >  [pause]
              For 30 minutes  [pause.30m] pause 30m
              For 2 hours  [pause.2h] pause 2h
              Until tomorrow  [pause.tomorrow] pause tomorrow
              Until I resume  [pause.forever] pause forever
            Pair requests (2)  [requests] open builders
            Builders >  [builders]
              Laptop — busy  [builder.0101010101010101010101010101010101010101010101010101010101010101] open builders 01010101
              Tower — idle  [builder.0202020202020202020202020202020202020202020202020202020202020202] open builders 02020202
              Attic — not reachable  [builder.0303030303030303030303030303030303030303030303030303030303030303] open builders 03030303
              Old — switched off  [builder.0404040404040404040404040404040404040404040404040404040404040404] open builders 04040404
            Install >  [install]
              kitchen  [install.kitchen.yaml] ask Install { device: "kitchen.yaml", build: Auto, port: Ota }
              bath (bath)  [install.bath.yaml] ask Install { device: "bath.yaml", build: Auto, port: Ota }
              bath (bath-2)  [install.bath-2.yaml] ask Install { device: "bath-2.yaml", build: Auto, port: Ota }
              All outdated (1)…  [devices.outdated] open devices outdated
            ---
            Open Kiln  [open] open overview
            Settings…  [settings] open settings
            Diagnostics…  [diagnostics] open diagnostics
            Check for updates  [updates] check updates
            ---
            Quit  [quit] quit
        "#]].assert_eq(&written(&menu(&view, &devices)));
    }

    #[test]
    fn a_busy_house_in_german() {
        let (view, devices) = busy();
        let menu = Menu::of(Node::Up(&view), &devices, &german(), at(30));
        let labels: Vec<&str> = menu.items().map(|item| item.label.as_str()).collect();
        expect![[r#"
            2 Computer möchten diesen Computer benutzen.
            Laptop baut kitchen, 42 %
            Diesen Build abbrechen
            Für 30 Minuten
            Für 2 Stunden
            Bis morgen
            Bis ich fortsetze
            Kopplungsanfragen (2)
            Laptop – beschäftigt
            Tower – frei
            Attic – nicht erreichbar
            Old – ausgeschaltet
            kitchen
            bath (bath)
            bath (bath-2)
            Alle veralteten (1)…
            Kiln öffnen
            Einstellungen…
            Diagnose…
            Nach Updates suchen
            Beenden"#]]
        .assert_eq(&labels.join("\n"));
    }

    #[test]
    fn a_builder_that_builds_for_nobody_says_why() {
        let mut told = String::new();
        for words in [english(), german()] {
            for reason in AvailabilityReason::ALL {
                let mut tower = receiver(1, "Tower", LinkState::Connected);
                tower.queue = Some(QueueStatus {
                    absence: Some(Absence {
                        reason: *reason,
                        until: None,
                    }),
                    ..QueueStatus::of(false, 0)
                });
                told.push_str(&builder(&tower, &words));
                told.push('\n');
            }
        }
        expect![[r#"
            Tower — idle
            Tower — in use
            Tower — on battery
            Tower — saves power
            Tower — hot
            Tower — busy with other programs
            Tower — short of memory
            Tower — short of disk space
            Tower — outside its hours
            Tower — needed by one program
            Tower — on a metered network
            Tower — paused by its owner
            Tower — builds for nobody
            Tower — goes to sleep
            Tower – frei
            Tower – in Benutzung
            Tower – im Akkubetrieb
            Tower – spart Strom
            Tower – zu heiß
            Tower – mit anderem beschäftigt
            Tower – wenig Arbeitsspeicher
            Tower – wenig Speicherplatz
            Tower – außerhalb seiner Zeiten
            Tower – von einem Programm gebraucht
            Tower – in einem getakteten Netzwerk
            Tower – vom Besitzer pausiert
            Tower – baut für niemanden
            Tower – geht schlafen
        "#]]
        .assert_eq(&told);
    }

    #[test]
    fn nothing_set_up_yet() {
        expect![[r#"
            Ready.  [status] -
            ---
            Pause serving >  [pause]
              For 30 minutes  [pause.30m] pause 30m
              For 2 hours  [pause.2h] pause 2h
              Until tomorrow  [pause.tomorrow] pause tomorrow
              Until I resume  [pause.forever] pause forever
            Add a builder…  [builders] open builders
            ---
            Open Kiln  [open] open overview
            Settings…  [settings] open settings
            Diagnostics…  [diagnostics] open diagnostics
            Check for updates  [updates] check updates
            ---
            Quit  [quit] quit
        "#]]
        .assert_eq(&written(&menu(&quiet(), &[])));
    }

    #[test]
    fn switched_off() {
        let view = View {
            availability: crate::stage::switched_off(),
            ..quiet()
        };
        let menu = menu(&view, &[]);
        assert_eq!(menu.action("pause.30m"), None);
        let on = vec![("receiver".to_owned(), "true".to_owned())];
        assert_eq!(
            menu.action("lend"),
            Some(&Action::Ask(Request::SetSettings(on)))
        );
    }

    #[test]
    fn no_node() {
        let menu = Menu::of(Node::Gone, &[], &english(), NOW);
        expect![[r#"
            Kiln does not answer.  [status] -
            ---
            Open Kiln  [open] open overview
            Settings…  [settings] open settings
            Diagnostics…  [diagnostics] open diagnostics
            Check for updates  [updates] check updates
            ---
            Quit  [quit] quit
        "#]]
        .assert_eq(&written(&menu));
    }

    #[test]
    fn a_running_flash_cannot_be_stopped_from_the_menu() {
        let mut view = quiet();
        view.jobs = vec![job(1, JobKind::Upload, "kitchen", JobStatus::Running)];
        assert_eq!(menu(&view, &[]).action("stop.000000000001"), None);
        view.jobs = vec![for_garage(compile(1, "porch", JobStatus::Running))];
        let stop = Action::Ask(Request::Cancel(view.jobs[0].id.clone()));
        assert_eq!(menu(&view, &[]).action("stop.000000000001"), Some(&stop));
        assert_eq!(menu(&view, &[]).action("stop.000000000002"), None);
    }

    #[test]
    fn a_device_that_is_being_flashed_cannot_be_installed_from_the_menu() {
        let (mut view, devices) = busy();
        let install = "install.kitchen.yaml";
        assert!(menu(&view, &devices).action(install).is_some());
        view.jobs = vec![job(1, JobKind::Upload, "kitchen", JobStatus::Running)];
        assert_eq!(menu(&view, &devices).action(install), None);
        assert!(menu(&view, &devices).action("install.bath.yaml").is_some());
        view.jobs[0].status = JobStatus::Queued;
        assert!(menu(&view, &devices).action(install).is_some());
    }

    proptest! {
        #[test]
        fn the_menu_stays_short_flat_and_clean(
            labels in proptest::collection::vec(".{0,60}", 0..30),
            asking in 0..3usize,
            running in any::<bool>(),
        ) {
            let mut view = quiet();
            let mut devices = Vec::new();
            for (n, label) in labels.iter().enumerate() {
                let number = u8::try_from(n + 1).unwrap();
                view.pairings.push(receiver(number, label, LinkState::Connected));
                let mut device = device(&format!("d{n}"), "2026.9.0", 0);
                device.friendly_name.clone_from(label);
                devices.push(device);
            }
            for n in 0..asking {
                view.pending.push(asker(&format!("a{n}"), labels.first().map_or("", |l| l)));
            }
            if running {
                let mut job = compile(1, "x", JobStatus::Running);
                job.device_name = labels.concat();
                view.jobs.push(job);
            }
            let menu = menu(&view, &devices);
            let entries = menu.entries.iter().filter(|e| **e != Entry::Separator);
            prop_assert!(entries.count() <= 12);
            let mut ids = BTreeSet::new();
            for entry in &menu.entries {
                if let Entry::Submenu { id, items, .. } = entry {
                    prop_assert!(!items.is_empty() && items.len() <= 10);
                    prop_assert!(ids.insert(id.clone()), "{id} twice");
                }
            }
            for item in menu.items() {
                prop_assert!(ids.insert(item.id.clone()), "{} twice", item.id);
                let steers = |c: char| c.is_control() || c == '\u{202e}';
                prop_assert!(!item.label.contains(steers));
                prop_assert!(item.label.chars().count() <= 100, "{}", item.label);
                prop_assert!(!item.label.is_empty());
            }
        }
    }
}
