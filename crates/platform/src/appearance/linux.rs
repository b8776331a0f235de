//! Linux: the settings portal, which desktops fill (XDG Desktop Portal, "Settings").
use futures_util::StreamExt as _;
use kiln_ports::appearance::Contrast;
use zbus::zvariant::{OwnedValue, Value};

const NAMESPACE: &str = "org.freedesktop.appearance";
const KEY: &str = "contrast";

/// The part of the portal that is used.
#[zbus::proxy(
    interface = "org.freedesktop.portal.Settings",
    default_service = "org.freedesktop.portal.Desktop",
    default_path = "/org/freedesktop/portal/desktop",
    gen_blocking = false
)]
trait Settings {
    fn read_one(&self, namespace: &str, key: &str) -> zbus::Result<OwnedValue>;

    #[zbus(signal)]
    fn setting_changed(&self, namespace: &str, key: &str, value: Value<'_>) -> zbus::Result<()>;
}

/// Hears the portal; nothing without one.
pub(super) struct Watch(Option<SettingChangedStream>);

impl Watch {
    pub(super) async fn begin() -> (Contrast, Self) {
        match Self::open().await {
            Ok((contrast, changes)) => (contrast, Self(Some(changes))),
            // No session, or no portal: a desktop without one cannot say.
            Err(_) => (Contrast::Normal, Self(None)),
        }
    }

    async fn open() -> zbus::Result<(Contrast, SettingChangedStream)> {
        let connection = zbus::Connection::session().await?;
        let portal = SettingsProxy::new(&connection).await?;
        let changes = portal.receive_setting_changed().await?;
        let now = portal.read_one(NAMESPACE, KEY).await;
        Ok((now.map_or(Contrast::Normal, |value| read(&value)), changes))
    }

    pub(super) async fn next(&mut self) -> Contrast {
        while let Some(signal) = match &mut self.0 {
            Some(changes) => changes.next().await,
            None => None,
        } {
            if let Ok(args) = signal.args()
                && args.namespace == NAMESPACE
                && args.key == KEY
            {
                return read(&args.value);
            }
        }
        std::future::pending().await
    }
}

/// 0 is no preference, 1 is more; others are to be taken as 0.
fn read(value: &Value<'_>) -> Contrast {
    match value {
        Value::U32(1) => Contrast::High,
        _ => Contrast::Normal,
    }
}
