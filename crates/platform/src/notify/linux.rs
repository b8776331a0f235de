//! Linux: `org.freedesktop.Notifications` over the session bus (Desktop Notifications
//! Specification 1.3). One connection for all, so that no click is lost between showing and waiting.
use std::collections::{HashMap, VecDeque};

use futures_util::StreamExt as _;
use kiln_ports::notify::{Click, Notification, NotificationEvent, NotifyError, Sound, Urgency};
use tokio::sync::{Mutex, OnceCell};
use zbus::DBusError as _;
use zbus::names::OwnedUniqueName;
use zbus::proxy::OwnerChangedStream;
use zbus::zvariant::Value;

use super::{Program, markup};

/// What a click on the notification itself is called (specification, "Actions").
const BODY: &str = "default";

/// The part of the interface that is used.
#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications",
    gen_blocking = false
)]
trait Notifications {
    fn close_notification(&self, id: u32) -> zbus::Result<()>;

    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;

    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: String) -> zbus::Result<()>;

    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// The notification daemon, called when first needed.
pub(super) struct Center {
    program: Program,
    daemon: OnceCell<Daemon>,
    /// Rings when the daemon is known.
    called: tokio::sync::Notify,
}

/// Whoever shows notifications. Another one may take its place, which knows nothing of what was shown
/// and gives the same numbers anew.
struct Daemon {
    proxy: NotificationsProxy<'static>,
    /// Held while a notification is being shown, so that a click cannot come before its number is
    /// known.
    now: Mutex<Now>,
    signals: Mutex<Signals>,
}

/// What is known of the daemon that there is now.
#[derive(Default)]
struct Now {
    /// What it can do; asked for when it is needed.
    capabilities: Option<Vec<String>>,
    shown: HashMap<String, Shown>,
}

struct Shown {
    /// What the daemon calls it.
    number: u32,
    /// Which daemon. One that was started for it may be heard of only after it has shown it.
    by: Option<OwnedUniqueName>,
}

struct Signals {
    owner: OwnerChangedStream<'static>,
    invoked: ActionInvokedStream,
    closed: NotificationClosedStream,
    /// What went with the daemon before, to be told.
    gone: VecDeque<String>,
}

impl Center {
    pub(super) fn new(program: Program) -> Self {
        Self {
            program,
            daemon: OnceCell::new(),
            called: tokio::sync::Notify::new(),
        }
    }

    pub(super) async fn show(&self, notification: Notification) -> Result<(), NotifyError> {
        let daemon = self.daemon.get_or_try_init(Daemon::call).await;
        let daemon = daemon.map_err(explain)?;
        self.called.notify_one();
        daemon
            .show(&self.program, &notification)
            .await
            .map_err(explain)
    }

    pub(super) async fn withdraw(&self, id: &str) {
        let Some(daemon) = self.daemon.get() else {
            return;
        };
        if let Some(shown) = daemon.now.lock().await.shown.remove(id) {
            // It is an error to close one that is gone already, and no harm.
            let _ = daemon.proxy.close_notification(shown.number).await;
        }
    }

    pub(super) async fn next(&self) -> NotificationEvent {
        let daemon = loop {
            match self.daemon.get() {
                Some(daemon) => break daemon,
                None => self.called.notified().await,
            }
        };
        daemon.next().await
    }
}

impl Daemon {
    async fn call() -> zbus::Result<Self> {
        let connection = zbus::Connection::session().await?;
        let proxy = NotificationsProxy::new(&connection).await?;
        let signals = Signals {
            owner: proxy.inner().receive_owner_changed().await?,
            invoked: proxy.receive_action_invoked().await?,
            closed: proxy.receive_notification_closed().await?,
            gone: VecDeque::new(),
        };
        Ok(Self {
            proxy,
            now: Mutex::default(),
            signals: Mutex::new(signals),
        })
    }

    async fn show(&self, program: &Program, notification: &Notification) -> zbus::Result<()> {
        let mut now = self.now.lock().await;
        let capabilities = match now.capabilities.take() {
            Some(known) => known,
            None => self.proxy.get_capabilities().await?,
        };
        let capabilities = now.capabilities.insert(capabilities);
        let can = |capability: &str| capabilities.iter().any(|known| known == capability);
        let body = if can("body-markup") {
            markup(&notification.body)
        } else {
            notification.body.clone()
        };
        let mut actions = Vec::new();
        if can("actions") {
            actions.extend([BODY, program.name.as_str()]);
            let buttons = notification.buttons.iter();
            actions.extend(buttons.flat_map(|b| [b.id.as_str(), b.label.as_str()]));
        }
        let before = now.shown.get(&notification.id);
        let words = (
            &program.name,
            before.map_or(0, |shown| shown.number),
            &program.icon,
            &notification.title,
            &body,
            &actions,
            hints(program, notification),
            expiry(notification.urgency),
        );
        // The answer says who gave it.
        let answer = self.proxy.inner().call_method("Notify", &words).await?;
        let shown = Shown {
            number: answer.body().deserialize()?,
            by: answer.header().sender().map(|by| by.to_owned().into()),
        };
        now.shown.insert(notification.id.clone(), shown);
        Ok(())
    }

    async fn next(&self) -> NotificationEvent {
        let mut signals = self.signals.lock().await;
        let Signals {
            owner,
            invoked,
            closed,
            gone,
        } = &mut *signals;
        loop {
            if let Some(id) = gone.pop_front() {
                let click = Click::Closed;
                return NotificationEvent { id, click };
            }
            let (number, click) = tokio::select! {
                // What a daemon says counts for what it has shown itself. A click is followed by the end
                // of its notification, never the other way round.
                biased;
                Some(owner) = owner.next() => {
                    let mut now = self.now.lock().await;
                    now.capabilities = None;
                    let others = |shown: &Shown| shown.by.as_deref() != owner.as_ref();
                    let lost = now.shown.extract_if(|_, shown| others(shown));
                    gone.extend(lost.map(|(id, _)| id));
                    continue;
                }
                Some(signal) = invoked.next() => match signal.args() {
                    Ok(args) if args.action_key == BODY => (args.id, Click::Body),
                    Ok(args) => (args.id, Click::Button(args.action_key)),
                    Err(_) => continue,
                },
                Some(signal) = closed.next() => match signal.args() {
                    Ok(args) => (args.id, Click::Closed),
                    Err(_) => continue,
                },
                else => std::future::pending().await,
            };
            let mut now = self.now.lock().await;
            // Numbers of other programs are heard as well.
            let ours = now.shown.iter().find(|(_, known)| known.number == number);
            if let Some(id) = ours.map(|(id, _)| id.clone()) {
                now.shown.remove(&id);
                if click != Click::Closed {
                    // It was answered. Not every daemon takes it away by itself, and it is an error
                    // to close one that is gone already, and no harm.
                    let _ = self.proxy.close_notification(number).await;
                }
                return NotificationEvent { id, click };
            }
        }
    }
}

fn hints<'a>(program: &'a Program, notification: &'a Notification) -> HashMap<&'a str, Value<'a>> {
    let level: u8 = match notification.urgency {
        Urgency::Quiet => 0,
        Urgency::Normal => 1,
        Urgency::Urgent => 2,
    };
    let mut hints = HashMap::from([
        ("urgency", Value::from(level)),
        ("desktop-entry", Value::from(program.id.as_str())),
    ]);
    if notification.sound == Sound::Never {
        hints.insert("suppress-sound", Value::from(true));
    }
    if let Some(percent) = notification.progress {
        hints.insert("value", Value::from(i32::from(percent)));
    }
    hints
}

/// Milliseconds; -1 leaves it to the desktop, 0 is until somebody closes it.
fn expiry(urgency: Urgency) -> i32 {
    match urgency {
        Urgency::Quiet | Urgency::Normal => -1,
        Urgency::Urgent => 0,
    }
}

/// Puts an error of the bus into our words.
fn explain(error: zbus::Error) -> NotifyError {
    use zbus::Error::{Address, Connection, InputOutput, MethodError};
    let nobody = |name: &str| {
        matches!(
            name,
            "org.freedesktop.DBus.Error.ServiceUnknown"
                | "org.freedesktop.DBus.Error.NameHasNoOwner"
                | "org.freedesktop.DBus.Error.Spawn.ServiceNotFound"
                | "org.freedesktop.DBus.Error.Disconnected"
        )
    };
    match &error {
        Address(_) | Connection(..) | InputOutput(_) => NotifyError::NoDaemon,
        MethodError(name, ..) if nobody(name.as_str()) => NotifyError::NoDaemon,
        zbus::Error::FDO(fdo) if nobody(fdo.name().as_str()) => NotifyError::NoDaemon,
        _ => NotifyError::Failed(error.to_string()),
    }
}
