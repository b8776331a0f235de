//! What desktop and system say over D-Bus. A bus or service that is not there is asked again now and
//! then, not all the time.
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_model::{Heat, Lid, Network, RemoteKind, Saver};
use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};
use zbus::Connection;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Type};

/// Longest that one question may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Time until something that was not there is asked again.
const AGAIN: Duration = Duration::from_secs(60);

/// Something that is opened when it is first needed, and again some time after it was lost.
#[derive(Debug)]
pub(super) struct Lazy<T>(Mutex<State<T>>);

#[derive(Debug)]
enum State<T> {
    Closed,
    Open(T),
    Failed(Instant),
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(Mutex::new(State::Closed))
    }
}

impl<T: Clone> Lazy<T> {
    pub(super) async fn get<F>(&self, open: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = Option<T>>,
    {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Open(it) => return Some(it.clone()),
            State::Failed(when) if when.elapsed() < AGAIN => return None,
            State::Failed(_) | State::Closed => {}
        }
        let opened = timeout(PATIENCE, open()).await.ok().flatten();
        self.set(match &opened {
            Some(it) => State::Open(it.clone()),
            None => State::Failed(Instant::now()),
        });
        opened
    }

    /// It does not answer any more.
    pub(super) fn drop_it(&self) {
        self.set(State::Failed(Instant::now()));
    }

    /// It is gone and may be back at once.
    pub(super) fn close(&self) {
        self.set(State::Closed);
    }

    fn set(&self, state: State<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Where something is on a bus.
struct Place {
    service: &'static str,
    path: &'static str,
    interface: &'static str,
}

/// One service of a bus; asked again later if it is not there.
#[derive(Debug, Default)]
struct Service(Lazy<()>);

impl Service {
    async fn call<A, R>(&self, bus: &Connection, place: &Place, method: &str, body: &A) -> Option<R>
    where
        A: serde::Serialize + zbus::zvariant::DynamicType,
        R: DeserializeOwned + Type,
    {
        self.0.get(|| async { Some(()) }).await?;
        let asked = bus.call_method(
            Some(place.service),
            place.path,
            Some(place.interface),
            method,
            body,
        );
        let answer = timeout(PATIENCE, asked).await.ok().and_then(Result::ok);
        let read = answer.and_then(|answer| answer.body().deserialize::<R>().ok());
        if read.is_none() {
            self.0.drop_it();
        }
        read
    }

    async fn property(&self, bus: &Connection, place: &Place, name: &str) -> Option<OwnedValue> {
        let properties = Place {
            interface: "org.freedesktop.DBus.Properties",
            ..*place
        };
        let body = (place.interface, name);
        self.call(bus, &properties, "Get", &body).await
    }
}

/// The bus of the owner's session.
#[derive(Debug, Default)]
pub(super) struct Session {
    bus: Lazy<Connection>,
    mutter: Service,
    saver: Service,
    /// The screen saver service was seen to count. On Wayland KDE's may answer 0 whatever happens.
    counts: AtomicBool,
}

impl Session {
    /// Returns the time since the last input on a Wayland desktop: GNOME's, then KDE's answer.
    pub(super) async fn idle(&self) -> Option<Duration> {
        let open = || async { Connection::session().await.ok() };
        let bus = self.bus.get(open).await?;
        let mutter = Place {
            service: "org.gnome.Mutter.IdleMonitor",
            path: "/org/gnome/Mutter/IdleMonitor/Core",
            interface: "org.gnome.Mutter.IdleMonitor",
        };
        let ms: Option<u64> = self.mutter.call(&bus, &mutter, "GetIdletime", &()).await;
        if let Some(ms) = ms {
            return Some(Duration::from_millis(ms));
        }
        let saver = Place {
            service: "org.freedesktop.ScreenSaver",
            path: "/ScreenSaver",
            interface: "org.freedesktop.ScreenSaver",
        };
        // KDE counts milliseconds here.
        let ms: Option<u32> = self
            .saver
            .call(&bus, &saver, "GetSessionIdleTime", &())
            .await;
        if ms.is_some_and(|ms| ms > 0) {
            self.counts.store(true, Ordering::Relaxed);
        }
        ms.filter(|_| self.counts.load(Ordering::Relaxed))
            .map(|ms| Duration::from_millis(ms.into()))
    }
}

/// What the system says of saving power.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    pub(super) saver: Saver,
    pub(super) heat: Heat,
}

/// A session from elsewhere, as the login manager tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Distant {
    pub(super) kind: RemoteKind,
    /// Name of its X server; empty: none.
    pub(super) display: String,
    /// Its terminal below `/dev`; empty: none, or it is not told.
    pub(super) terminal: String,
    /// Its first process.
    pub(super) leader: u32,
    /// Time since its last input as its desktop told; `None`: it never did.
    pub(super) hinted: Option<Duration>,
}

/// Where the login manager is.
const LOGIN: Place = Place {
    service: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};

/// When a session became idle, on the clock that nobody sets, in microseconds; 0: it never did.
const IDLE_SINCE: &str = "IdleSinceHintMonotonic";

/// Returns the time since such a moment; none for one to come.
fn idle_since(micros: u64) -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::try_from(now).unwrap_or_default();
    now.saturating_sub(Duration::from_micros(micros))
}

/// A session as the login manager lists it: id, user, name, seat and object.
type Listed = (String, u32, String, String, OwnedObjectPath);

/// The bus of the system.
#[derive(Debug, Default)]
pub(super) struct System {
    bus: Lazy<Connection>,
    profiles: Service,
    old_profiles: Service,
    network: Service,
    login: Service,
    lid: Service,
}

impl System {
    async fn bus(&self) -> Option<Connection> {
        let open = || async { Connection::system().await.ok() };
        self.bus.get(open).await
    }

    /// Asks power-profiles-daemon, under its new and its old name.
    pub(super) async fn power_profile(&self) -> Option<Profile> {
        let bus = self.bus().await?;
        let new = Place {
            service: "org.freedesktop.UPower.PowerProfiles",
            path: "/org/freedesktop/UPower/PowerProfiles",
            interface: "org.freedesktop.UPower.PowerProfiles",
        };
        let old = Place {
            service: "net.hadess.PowerProfiles",
            path: "/net/hadess/PowerProfiles",
            interface: "net.hadess.PowerProfiles",
        };
        for (service, place) in [(&self.profiles, new), (&self.old_profiles, old)] {
            let Some(active) = service.property(&bus, &place, "ActiveProfile").await else {
                continue;
            };
            let degraded = service.property(&bus, &place, "PerformanceDegraded").await;
            let is = |value: Option<&OwnedValue>, word: &str| {
                value.and_then(|v| v.downcast_ref::<&str>().ok()) == Some(word)
            };
            return Some(Profile {
                saver: match is(Some(&active), "power-saver") {
                    true => Saver::On,
                    false => Saver::Off,
                },
                heat: match is(degraded.as_ref(), "high-operating-temperature") {
                    true => Heat::Hot,
                    false => Heat::Normal,
                },
            });
        }
        None
    }

    /// Asks NetworkManager (NMMetered: 1 yes, 2 no, 3 probably, 4 probably not).
    pub(super) async fn network(&self) -> Option<Network> {
        let bus = self.bus().await?;
        let place = Place {
            service: "org.freedesktop.NetworkManager",
            path: "/org/freedesktop/NetworkManager",
            interface: "org.freedesktop.NetworkManager",
        };
        let metered = self.network.property(&bus, &place, "Metered").await?;
        match u32::try_from(&metered).ok()? {
            1 | 3 => Some(Network::Metered),
            2 | 4 => Some(Network::Free),
            _ => None,
        }
    }

    /// Asks the login manager for the lid. A machine without one says that it is open; one in its dock
    /// goes on with a closed lid (HandleLidSwitchDocked of logind.conf(5)).
    pub(super) async fn lid(&self) -> Option<Lid> {
        let bus = self.bus().await?;
        let says = async |name| {
            let value = self.lid.property(&bus, &LOGIN, name).await?;
            bool::try_from(value).ok()
        };
        Some(match says("LidClosed").await? {
            true if !says("Docked").await? => Lid::Closed,
            true | false => Lid::Open,
        })
    }

    /// Returns how long every session of this user at this machine has been idle, as the login manager
    /// was told; zero if one is not. `None`: there is no such session. Sessions over the network are
    /// nobody at this machine.
    pub(super) async fn login_idle(&self) -> Option<Duration> {
        let bus = self.bus().await?;
        let rows: Vec<Listed> = self.login.call(&bus, &LOGIN, "ListSessions", &()).await?;
        let me = rustix::process::getuid().as_raw();
        let here = rows
            .into_iter()
            .filter(|(_, user, _, seat, _)| *user == me && !seat.is_empty());
        let mut last: Option<u64> = None;
        for (.., path) in here {
            let get = |name: &'static str| {
                let (bus, path) = (bus.clone(), path.clone());
                async move {
                    let body = ("org.freedesktop.login1.Session", name);
                    let asked = bus.call_method(
                        Some(LOGIN.service),
                        path,
                        Some("org.freedesktop.DBus.Properties"),
                        "Get",
                        &body,
                    );
                    let answer = timeout(PATIENCE, asked).await.ok()?.ok()?;
                    answer.body().deserialize::<OwnedValue>().ok()
                }
            };
            let hint = bool::try_from(&get("IdleHint").await?).ok()?;
            let since = u64::try_from(&get(IDLE_SINCE).await?).ok()?;
            last = Some(last.unwrap_or(0).max(if hint { since } else { u64::MAX }));
        }
        last.map(idle_since)
    }

    /// Returns the sessions of people who are logged in from elsewhere. One at a seat is at this machine.
    pub(super) async fn distant(&self) -> Option<Vec<Distant>> {
        let bus = self.bus().await?;
        let rows: Vec<Listed> = self.login.call(&bus, &LOGIN, "ListSessions", &()).await?;
        let elsewhere = rows
            .into_iter()
            .filter(|(_, _, _, seat, _)| seat.is_empty());
        let mut found = Vec::new();
        for (.., path) in elsewhere {
            let asked = bus.call_method(
                Some(LOGIN.service),
                path,
                Some("org.freedesktop.DBus.Properties"),
                "GetAll",
                &"org.freedesktop.login1.Session",
            );
            // One that has just ended is nobody.
            let answer = timeout(PATIENCE, asked).await.ok().and_then(Result::ok);
            let said = answer.and_then(|answer| answer.body().deserialize().ok());
            found.extend(said.and_then(|said| distant(&said)));
        }
        Some(found)
    }
}

/// Reads a session without a seat; `None`: nobody sits behind it. One with a screen is a remote desktop
/// whatever it is called, since the services of these do not all say where their users are.
fn distant(said: &HashMap<String, OwnedValue>) -> Option<Distant> {
    let text = |name: &str| {
        let value = said.get(name).and_then(|v| v.downcast_ref::<&str>().ok());
        value.unwrap_or_default().to_owned()
    };
    let is = |name: &str| {
        said.get(name)
            .is_some_and(|v| bool::try_from(v) == Ok(true))
    };
    if !text("Class").starts_with("user") || text("State") == "closing" {
        return None;
    }
    let display = text("Display");
    let graphical = matches!(text("Type").as_str(), "x11" | "wayland" | "mir");
    let kind = match (graphical || !display.is_empty(), is("Remote")) {
        (true, _) => RemoteKind::Desktop,
        (false, true) => RemoteKind::Shell,
        (false, false) => return None,
    };
    let since = said.get(IDLE_SINCE).and_then(|v| u64::try_from(v).ok());
    // A desktop that never set the hint says nothing with it.
    let hinted = since
        .filter(|since| *since > 0)
        .map(|since| match is("IdleHint") {
            true => idle_since(since),
            false => Duration::ZERO,
        });
    let leader = said.get("Leader").and_then(|v| u32::try_from(v).ok());
    Some(Distant {
        kind,
        display,
        terminal: text("TTY"),
        leader: leader.unwrap_or_default(),
        hinted,
    })
}
