//! The icon in the panel and the notifications: one order a line, as JSON, and one line for
//! everything that comes of it. `{"show":{"icon":NAME,"tooltip":TEXT,"menu":[…]}}`,
//! `{"notify":{"id":…,"title":…,"body":…,"buttons":[[ID,LABEL]…]}}`, `{"withdraw":ID}`.
use kiln_glance::{Icon, Look};
use kiln_platform::notify::Program;
use kiln_platform::{DesktopNotify, StatusItem, SystemAppearance};
use kiln_ports::Notify as _;
use kiln_ports::appearance::Contrast;
use kiln_ports::notify::{Click, Notification, NotificationButton, Sound, Urgency};
use kiln_ports::tray::{
    Attention, Clickable, Tray, TrayEntry, TrayEvent, TrayHost, TrayImage, TrayItem,
};
use serde_json::Value;

use crate::{order, say};

/// Sizes that panels ask for.
const SIZES: [u16; 4] = [16, 22, 32, 48];

pub(crate) async fn run() {
    let notify = DesktopNotify::new(Program {
        name: "Kiln".to_owned(),
        id: "kiln-desktop".to_owned(),
        icon: "kiln".to_owned(),
    });
    let (item, mut events) = match StatusItem::start("kiln", "Kiln", tray(&Value::Null)).await {
        Ok(started) => started,
        Err(error) => return say(&format!("error {error:?}")),
    };
    let appearance = SystemAppearance::default();
    let mut orders = tokio::task::spawn_blocking(order);
    loop {
        tokio::select! {
            line = &mut orders => {
                let Ok(Some(line)) = line else { break };
                let order: Value = serde_json::from_str(&line).unwrap_or_default();
                obey(&order, &item, &notify).await;
                orders = tokio::task::spawn_blocking(crate::order);
            }
            Some(event) = events.recv() => say(&match event {
                TrayEvent::Clicked(id) => format!("clicked {id}"),
                TrayEvent::Activated => "activated".to_owned(),
                TrayEvent::Host(TrayHost::Here) => "host here".to_owned(),
                TrayEvent::Host(TrayHost::Missing) => "host missing".to_owned(),
            }),
            contrast = appearance.contrast() => say(match contrast {
                Contrast::Normal => "contrast normal",
                Contrast::High => "contrast high",
            }),
            event = notify.next() => say(&match event.click {
                Click::Body => format!("opened {}", event.id),
                Click::Button(button) => format!("pressed {} {button}", event.id),
                Click::Closed => format!("closed {}", event.id),
            }),
        }
    }
    item.remove().await;
}

async fn obey(order: &Value, item: &StatusItem, notify: &DesktopNotify) {
    if !order["show"].is_null() {
        item.show(tray(&order["show"])).await;
        say("shown");
    } else if !order["notify"].is_null() {
        match notify.show(notification(&order["notify"])).await {
            Ok(()) => say("notified"),
            Err(error) => say(&format!("error {error:?}")),
        }
    } else {
        notify.withdraw(&text(&order["withdraw"])).await;
        say("withdrawn");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn tray(order: &Value) -> Tray {
    let mut icons = Icon::ALL.into_iter();
    let icon = icons.find(|icon| order["icon"] == icon.word());
    let icon = icon.unwrap_or(Icon::Off);
    let image = |size| TrayImage {
        size,
        rgba: icon.pixels(size, Look::Colour).rgba,
    };
    let item = |line: &Value| TrayItem {
        id: text(&line["id"]),
        label: text(&line["label"]),
        clickable: match line["id"] {
            Value::Null => Clickable::No,
            _ => Clickable::Yes,
        },
    };
    let entry = |line: &Value| match line {
        Value::Null => TrayEntry::Separator,
        line if line["items"].is_null() => TrayEntry::Item(item(line)),
        line => TrayEntry::Submenu {
            label: text(&line["label"]),
            items: list(&line["items"]).iter().map(item).collect(),
        },
    };
    Tray {
        icon: SIZES.map(image).to_vec(),
        attention: match icon {
            Icon::Attention => Attention::Wanted,
            _ => Attention::No,
        },
        tooltip: text(&order["tooltip"]),
        menu: list(&order["menu"]).iter().map(entry).collect(),
    }
}

fn notification(order: &Value) -> Notification {
    let button = |pair: &Value| NotificationButton {
        id: text(&pair[0]),
        label: text(&pair[1]),
    };
    Notification {
        id: text(&order["id"]),
        title: text(&order["title"]),
        body: text(&order["body"]),
        urgency: Urgency::Normal,
        sound: Sound::AsSet,
        buttons: list(&order["buttons"]).iter().map(button).collect(),
        progress: order["progress"]
            .as_u64()
            .and_then(|n| u8::try_from(n).ok()),
    }
}
