//! What the tray shows: icon, tooltip and menu.
use kiln_glance::{Entry, Icon, Look, Menu, tooltip};
use kiln_model::Now;
use kiln_ports::tray::{Attention, Clickable, Tray, TrayEntry, TrayImage, TrayItem};

use super::Desk;
use super::ending::Ending;
use crate::{Effect, Hosting};

/// Sizes in which the icon is drawn: what panels ask for at one and at two pixels per point.
const SIZES: [u16; 4] = [16, 22, 32, 48];

impl Desk {
    /// Makes icon, tooltip and menu anew, and shows them if they changed.
    pub(super) fn draw(&mut self, now: Now) {
        let node = self.node();
        let icon = Icon::of(node);
        let mut sentence = tooltip(node, &self.words, now.wall);
        let mut menu = Menu::of(node, &self.devices, &self.words, now.wall);
        if let Some(matters_more) = self.matters_more() {
            sentence = matters_more;
            if let Some(Entry::Item(first)) = menu.entries.first_mut() {
                first.label.clone_from(&sentence);
            }
        }
        let attention = match icon {
            Icon::Attention => Attention::Wanted,
            Icon::Error
            | Icon::BuildingMine
            | Icon::BuildingOthers
            | Icon::Paused
            | Icon::Ready
            | Icon::Off => Attention::No,
        };
        let tray = Tray {
            icon: self.images(icon),
            attention,
            tooltip: sentence,
            menu: menu.entries.iter().map(entry).collect(),
        };
        self.menu = menu;
        if self.shown.as_ref() != Some(&tray) {
            self.shown = Some(tray.clone());
            self.effects.push_back(Effect::ShowTray(tray));
        }
    }

    /// Returns what matters more than how the node is.
    fn matters_more(&self) -> Option<String> {
        match (&self.hosting, self.ending) {
            // Why there is no node says more than that there is none.
            (Some(Hosting::Failed { why, .. }), _) if self.view.is_none() => {
                Some(self.words.statement(why))
            }
            (_, Ending::WhenFlashed(_)) => self.waits_for(),
            (_, Ending::No | Ending::Asked) => None,
        }
    }

    /// Draws the icon, unless it is the one that was drawn last.
    fn images(&mut self, icon: Icon) -> Vec<TrayImage> {
        match &self.drawn {
            Some((drawn, look, images)) if (*drawn, *look) == (icon, self.look) => images.clone(),
            Some(_) | None => {
                let images = SIZES.map(|size| image(icon, size, self.look)).to_vec();
                self.drawn = Some((icon, self.look, images.clone()));
                images
            }
        }
    }
}

fn image(icon: Icon, size: u16, look: Look) -> TrayImage {
    let pixels = icon.pixels(size, look);
    TrayImage {
        size: pixels.size,
        rgba: pixels.rgba,
    }
}

fn entry(entry: &Entry) -> TrayEntry {
    match entry {
        Entry::Item(line) => TrayEntry::Item(item(line)),
        Entry::Submenu { label, items, .. } => TrayEntry::Submenu {
            label: label.clone(),
            items: items.iter().map(item).collect(),
        },
        Entry::Separator => TrayEntry::Separator,
    }
}

fn item(item: &kiln_glance::Item) -> TrayItem {
    TrayItem {
        id: item.id.clone(),
        label: item.label.clone(),
        clickable: match item.action {
            Some(_) => Clickable::Yes,
            None => Clickable::No,
        },
    }
}
