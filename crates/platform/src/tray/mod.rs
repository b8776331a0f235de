//! [`StatusItem`]: the icon in a Linux panel, over StatusNotifierItem. Without GTK, and with a clear
//! answer when there is no panel to be in. Windows and macOS show theirs through the shell's toolkit.
mod item;

use kiln_ports::tray::{Tray, TrayError, TrayEvent, TrayHost};
use ksni::{Handle, TrayMethods as _};
use tokio::sync::{Mutex, mpsc};
use zbus::fdo::DBusProxy;

use item::Item;

/// The name under which panels make themselves known.
const WATCHER: &str = "org.kde.StatusNotifierWatcher";

/// The icon. It goes when this is dropped and its connection is closed.
pub struct StatusItem {
    handle: Handle<Item>,
    shown: Mutex<Tray>,
}

impl StatusItem {
    /// Puts the icon into the panel, or waits for a panel to appear: a login may start Kiln before
    /// the panel, and a panel may be restarted. `id` is stable between starts ("kiln"), `title` is
    /// what people call the program. The first event says whether there is a panel.
    ///
    /// Waits for the panel's answer as long as that takes. Cancelling it leaves no icon behind.
    ///
    /// # Errors
    /// [`TrayError::NoBus`] without a session bus: then no panel can ever appear.
    /// [`TrayError::Refused`] if there is a panel that does not take the icon.
    pub async fn start(
        id: &str,
        title: &str,
        tray: Tray,
    ) -> Result<(Self, mpsc::UnboundedReceiver<TrayEvent>), TrayError> {
        let (events, inbox) = mpsc::unbounded_channel();
        let item = Item::new(id, title, tray.clone(), events);
        let spawned = item.assume_sni_available(true).spawn().await;
        let handle = spawned.map_err(explain)?;
        let host = handle.update(|item| item.host()).await;
        if host == Some(TrayHost::Missing) && panel_appeared().await {
            // It came between the question and the watch for it, so nobody would tell.
            handle.shutdown().await;
            return Box::pin(Self::start(id, title, tray)).await;
        }
        handle.update(|item| item.settle()).await;
        let shown = Mutex::new(tray);
        Ok((Self { handle, shown }, inbox))
    }

    /// Shows this from now on. Only what changed is sent to the panel; nothing when all is the same.
    pub async fn show(&self, tray: Tray) {
        let mut shown = self.shown.lock().await;
        if *shown != tray {
            shown.clone_from(&tray);
            self.handle.update(|item| item.show(tray)).await;
        }
    }

    /// Takes the icon away.
    pub async fn remove(self) {
        self.handle.shutdown().await;
    }
}

impl Drop for StatusItem {
    fn drop(&mut self) {
        // The request goes out at once; only its end is not waited for.
        drop(self.handle.shutdown());
    }
}

/// Returns whether a panel is there now.
async fn panel_appeared() -> bool {
    let owned = async {
        let connection = zbus::Connection::session().await?;
        let bus = DBusProxy::new(&connection).await?;
        let name = zbus::names::BusName::try_from(WATCHER)?;
        bus.name_has_owner(name).await.map_err(zbus::Error::from)
    };
    owned.await.unwrap_or(false)
}

fn explain(error: ksni::Error) -> TrayError {
    match error {
        // A bus that carries an answer is there.
        ksni::Error::Dbus(error @ zbus::Error::MethodError(..)) => {
            TrayError::Refused(error.to_string())
        }
        ksni::Error::Dbus(error) => TrayError::NoBus(error.to_string()),
        other => TrayError::Refused(other.to_string()),
    }
}
