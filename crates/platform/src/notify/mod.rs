//! [`DesktopNotify`]: the desktop's notifications, behind the port.
#[cfg(not(target_os = "macos"))]
mod markup;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;

use kiln_ports::Notify;
use kiln_ports::notify::{Notification, NotificationEvent, NotifyError};

#[cfg(target_os = "linux")]
pub(crate) use markup::markup;

/// How the system knows the program that notifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What people call it ("Kiln").
    pub name: String,
    /// What the system calls it: the name of the desktop file on Linux, the AppUserModelID on
    /// Windows. macOS takes it from the bundle.
    pub id: String,
    /// Name of its icon in the icon themes of Linux. Elsewhere it is that of the program.
    pub icon: String,
}

/// Notifications of this session: `org.freedesktop.Notifications`, toasts or the Notification
/// Center. Nothing is asked for before the first one is shown.
pub struct DesktopNotify(os::Center);

impl DesktopNotify {
    /// Notifies in the name of this program.
    pub fn new(program: Program) -> Self {
        Self(os::Center::new(program))
    }
}

#[async_trait::async_trait]
impl Notify for DesktopNotify {
    async fn show(&self, notification: Notification) -> Result<(), NotifyError> {
        self.0.show(notification).await
    }

    async fn withdraw(&self, id: &str) {
        self.0.withdraw(id).await;
    }

    async fn next(&self) -> NotificationEvent {
        self.0.next().await
    }
}
