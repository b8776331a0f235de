//! Linux: the login manager's signal and locks (org.freedesktop.login1, Inhibitor Locks).
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use kiln_model::Wakefulness;
use kiln_ports::sleep::Turn;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use zbus::message::Type;
use zbus::zvariant::OwnedFd;
use zbus::{Connection, MatchRule, MessageStream};

const SERVICE: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const INTERFACE: &str = "org.freedesktop.login1.Manager";

/// Longest that the login manager may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The locks are let go by closing them.
#[derive(Debug, Default)]
pub(super) struct Rest {
    signals: OnceCell<Option<Signals>>,
    /// Delays the sleep until whoever has to be told was told.
    delay: Mutex<Option<OwnedFd>>,
    /// Keeps the idle system awake.
    awake: Mutex<Option<OwnedFd>>,
}

struct Signals {
    bus: Connection,
    stream: tokio::sync::Mutex<MessageStream>,
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

impl Rest {
    pub(super) async fn next(&self) -> Turn {
        let Some(signals) = self.signals().await else {
            return std::future::pending().await;
        };
        if lock(&self.delay).is_none() {
            self.take_delay(&signals.bus).await;
        }
        let mut stream = signals.stream.lock().await;
        while let Some(signal) = stream.next().await {
            let Some(goes) = signal
                .ok()
                .and_then(|s| s.body().deserialize::<bool>().ok())
            else {
                continue;
            };
            if goes {
                return Turn::GoesToSleep;
            }
            self.take_delay(&signals.bus).await;
            return Turn::WokeUp;
        }
        // The bus is gone, and with it whoever could tell.
        std::future::pending().await
    }

    pub(super) fn ready(&self) {
        drop(lock(&self.delay).take());
    }

    pub(super) async fn hold(&self, wakefulness: Wakefulness) {
        let held = match wakefulness {
            Wakefulness::AsSet => None,
            Wakefulness::StayAwake => match self.signals().await {
                Some(signals) => {
                    inhibit(&signals.bus, "idle", "Builds firmware for others", "block").await
                }
                None => None,
            },
        };
        *lock(&self.awake) = held;
    }

    async fn take_delay(&self, bus: &Connection) {
        let held = inhibit(bus, "sleep", "Tells others that it goes", "delay").await;
        *lock(&self.delay) = held;
    }

    /// A system without a login manager has nothing to say.
    async fn signals(&self) -> Option<&Signals> {
        let listen = || async {
            let bus = Connection::system().await.ok()?;
            let rule = MatchRule::builder()
                .msg_type(Type::Signal)
                .sender(SERVICE)
                .ok()?
                .interface(INTERFACE)
                .ok()?
                .member("PrepareForSleep")
                .ok()?
                .build();
            let stream = MessageStream::for_match_rule(rule, &bus, None).await.ok()?;
            let stream = tokio::sync::Mutex::new(stream);
            Some(Signals { bus, stream })
        };
        self.signals.get_or_init(listen).await.as_ref()
    }
}

/// A login manager that does not answer is one that is not there: nothing waits for it.
async fn inhibit(bus: &Connection, what: &str, why: &str, mode: &str) -> Option<OwnedFd> {
    let body = (what, "Kiln", why, mode);
    let asked = bus.call_method(Some(SERVICE), PATH, Some(INTERFACE), "Inhibit", &body);
    let answer = timeout(PATIENCE, asked).await.ok()?.ok()?;
    answer.body().deserialize().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
