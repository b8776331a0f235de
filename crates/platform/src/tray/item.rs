//! [`Item`]: what a panel asks of the icon, answered from the [`Tray`] value.
use std::sync::Mutex;

use kiln_ports::tray::{Attention, Clickable, Tray, TrayEntry, TrayEvent, TrayHost, TrayItem};
use ksni::menu::{MenuItem, StandardItem, SubMenu};
use ksni::{Category, OfflineReason, Status, ToolTip};
use tokio::sync::mpsc;

/// The icon as the panel sees it.
pub(super) struct Item {
    id: String,
    title: String,
    tray: Tray,
    events: mpsc::UnboundedSender<TrayEvent>,
    host: Mutex<Told>,
}

/// Whether there is a panel, and whether the shell was told.
#[derive(Clone, Copy)]
struct Told {
    host: TrayHost,
    settled: bool,
}

impl Item {
    pub(super) fn new(
        id: &str,
        title: &str,
        tray: Tray,
        events: mpsc::UnboundedSender<TrayEvent>,
    ) -> Self {
        let host = Told {
            host: TrayHost::Here,
            settled: false,
        };
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            tray,
            events,
            host: Mutex::new(host),
        }
    }

    pub(super) fn host(&self) -> TrayHost {
        self.told().host
    }

    /// Tells the state that the start ended in; from now on changes are told at once.
    pub(super) fn settle(&mut self) {
        let host = {
            let mut told = self.told();
            told.settled = true;
            told.host
        };
        self.tell(TrayEvent::Host(host));
    }

    pub(super) fn show(&mut self, tray: Tray) {
        self.tray = tray;
    }

    fn turned(&self, host: TrayHost) {
        let news = {
            let mut told = self.told();
            let news = told.settled && told.host != host;
            told.host = host;
            news
        };
        if news {
            self.tell(TrayEvent::Host(host));
        }
    }

    /// Nobody listens any more when the shell ends.
    fn tell(&self, event: TrayEvent) {
        let _ = self.events.send(event);
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.host
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn images(&self) -> Vec<ksni::Icon> {
        let images = self.tray.icon.iter();
        images
            .map(|image| ksni::Icon {
                width: i32::from(image.size),
                height: i32::from(image.size),
                data: argb(&image.rgba),
            })
            .collect()
    }
}

impl ksni::Tray for Item {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn category(&self) -> Category {
        Category::ApplicationStatus
    }

    fn status(&self) -> Status {
        match self.tray.attention {
            Attention::Wanted => Status::NeedsAttention,
            Attention::No => Status::Active,
        }
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        self.images()
    }

    /// Panels show this one instead while attention is wanted.
    fn attention_icon_pixmap(&self) -> Vec<ksni::Icon> {
        match self.tray.attention {
            Attention::Wanted => self.images(),
            Attention::No => Vec::new(),
        }
    }

    /// The title of a tooltip is shown as it is; its description is read as markup.
    fn tool_tip(&self) -> ToolTip {
        ToolTip {
            title: self.title.clone(),
            description: crate::notify::markup(&self.tray.tooltip),
            ..ToolTip::default()
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let entries = self.tray.menu.iter();
        entries
            .map(|entry| match entry {
                TrayEntry::Item(item) => standard(item).into(),
                TrayEntry::Submenu { label, items } => SubMenu {
                    label: mnemonic_free(label),
                    submenu: items.iter().map(|item| standard(item).into()).collect(),
                    ..SubMenu::default()
                }
                .into(),
                TrayEntry::Separator => MenuItem::Separator,
            })
            .collect()
    }

    fn activate(&mut self, _x: i32, _y: i32) {
        self.tell(TrayEvent::Activated);
    }

    fn watcher_online(&self) {
        self.turned(TrayHost::Here);
    }

    /// Goes on: a panel that is restarted is back in a second.
    fn watcher_offline(&self, _reason: OfflineReason) -> bool {
        self.turned(TrayHost::Missing);
        true
    }
}

fn standard(item: &TrayItem) -> StandardItem<Item> {
    let id = item.id.clone();
    StandardItem {
        label: mnemonic_free(&item.label),
        enabled: match item.clickable {
            Clickable::Yes => true,
            Clickable::No => false,
        },
        activate: Box::new(move |tray: &mut Item| tray.tell(TrayEvent::Clicked(id.clone()))),
        ..StandardItem::default()
    }
}

/// An underscore makes the next letter a shortcut; two are an underscore (com.canonical.dbusmenu).
fn mnemonic_free(label: &str) -> String {
    label.replace('_', "__")
}

/// Alpha first, in network byte order (StatusNotifierItem, "IconPixmap").
fn argb(rgba: &[u8]) -> Vec<u8> {
    let pixels = rgba.chunks_exact(4);
    pixels.flat_map(|p| [p[3], p[0], p[1], p[2]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_labels_are_in_the_form_that_panels_read() {
        assert_eq!(argb(&[1, 2, 3, 4, 5, 6, 7, 8]), [4, 1, 2, 3, 8, 5, 6, 7]);
        assert_eq!(mnemonic_free("living_room"), "living__room");
    }
}
