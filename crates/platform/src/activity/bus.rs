//! What desktop and system say over D-Bus. A service that is not there is asked again now and then, not
//! all the time.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kiln_model::{Heat, Lid, Network, RemoteKind, Saver};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Type};

use crate::dbus::{Bus, LOGIN, Place};
use crate::lazy::Lazy;

/// Where properties are asked for.
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// One service of a bus; asked again later if it is not there.
#[derive(Debug, Default)]
struct Service(Lazy<()>);

impl Service {
    async fn call<A, R>(&self, bus: &Bus, place: &Place<'_>, method: &str, body: &A) -> Option<R>
    where
        A: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        self.0.get(|| async { Some(()) }).await?;
        let read = bus.call(place, method, body).await;
        // Where there is no bus nobody can answer.
        if read.is_none() && bus.is_there() {
            self.0.drop_it();
        }
        read
    }

    async fn property(&self, bus: &Bus, place: &Place<'_>, name: &str) -> Option<OwnedValue> {
        let properties = Place {
            interface: PROPERTIES,
            ..*place
        };
        let body = (place.interface, name);
        self.call(bus, &properties, "Get", &body).await
    }
}

/// The bus of the owner's session.
#[derive(Debug)]
pub(super) struct Session {
    bus: Bus,
    mutter: Service,
    saver: Service,
    /// The screen saver service was seen to count. On Wayland KDE's may answer 0 whatever happens.
    counts: AtomicBool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            bus: Bus::of_session(),
            mutter: Service::default(),
            saver: Service::default(),
            counts: AtomicBool::default(),
        }
    }
}

impl Session {
    /// Returns the time since the last input on a Wayland desktop: GNOME's, then KDE's answer.
    pub(super) async fn idle(&self) -> Option<Duration> {
        let bus = &self.bus;
        let mutter = Place {
            service: "org.gnome.Mutter.IdleMonitor",
            path: "/org/gnome/Mutter/IdleMonitor/Core",
            interface: "org.gnome.Mutter.IdleMonitor",
        };
        let ms: Option<u64> = self.mutter.call(bus, &mutter, "GetIdletime", &()).await;
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
            .call(bus, &saver, "GetSessionIdleTime", &())
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

/// What a session of the login manager is.
const SESSION: &str = "org.freedesktop.login1.Session";

/// Returns where the properties of a session are.
fn session_at(path: &OwnedObjectPath) -> Place<'_> {
    Place {
        path: path.as_str(),
        interface: PROPERTIES,
        ..LOGIN
    }
}

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
#[derive(Debug)]
pub(super) struct System {
    bus: Bus,
    profiles: Service,
    old_profiles: Service,
    network: Service,
    login: Service,
    lid: Service,
}

impl Default for System {
    fn default() -> Self {
        Self {
            bus: Bus::of_system(),
            profiles: Service::default(),
            old_profiles: Service::default(),
            network: Service::default(),
            login: Service::default(),
            lid: Service::default(),
        }
    }
}

impl System {
    /// Asks power-profiles-daemon, under its new and its old name.
    pub(super) async fn power_profile(&self) -> Option<Profile> {
        let bus = &self.bus;
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
            let Some(active) = service.property(bus, &place, "ActiveProfile").await else {
                continue;
            };
            let degraded = service.property(bus, &place, "PerformanceDegraded").await;
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
        let bus = &self.bus;
        let place = Place {
            service: "org.freedesktop.NetworkManager",
            path: "/org/freedesktop/NetworkManager",
            interface: "org.freedesktop.NetworkManager",
        };
        let metered = self.network.property(bus, &place, "Metered").await?;
        match u32::try_from(&metered).ok()? {
            1 | 3 => Some(Network::Metered),
            2 | 4 => Some(Network::Free),
            _ => None,
        }
    }

    /// Asks the login manager for the lid. A machine without one says that it is open; one in its dock
    /// goes on with a closed lid (HandleLidSwitchDocked of logind.conf(5)).
    pub(super) async fn lid(&self) -> Option<Lid> {
        let bus = &self.bus;
        let says = async |name| {
            let value = self.lid.property(bus, &LOGIN, name).await?;
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
        let bus = &self.bus;
        let rows: Vec<Listed> = self.login.call(bus, &LOGIN, "ListSessions", &()).await?;
        let me = rustix::process::getuid().as_raw();
        let here = rows
            .into_iter()
            .filter(|(_, user, _, seat, _)| *user == me && !seat.is_empty());
        let mut last: Option<u64> = None;
        for (.., path) in here {
            let session = session_at(&path);
            let get = async |name| {
                let body = (SESSION, name);
                bus.call::<_, OwnedValue>(&session, "Get", &body).await
            };
            let hint = bool::try_from(&get("IdleHint").await?).ok()?;
            let since = u64::try_from(&get(IDLE_SINCE).await?).ok()?;
            last = Some(last.unwrap_or(0).max(if hint { since } else { u64::MAX }));
        }
        last.map(idle_since)
    }

    /// Returns the sessions of people who are logged in from elsewhere. One at a seat is at this machine.
    pub(super) async fn distant(&self) -> Option<Vec<Distant>> {
        let bus = &self.bus;
        let rows: Vec<Listed> = self.login.call(bus, &LOGIN, "ListSessions", &()).await?;
        let elsewhere = rows
            .into_iter()
            .filter(|(_, _, _, seat, _)| seat.is_empty());
        let mut found = Vec::new();
        for (.., path) in elsewhere {
            let said = bus.call(&session_at(&path), "GetAll", &SESSION).await;
            // One that has just ended is nobody.
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
