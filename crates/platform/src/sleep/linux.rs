//! Linux: the login manager's signal and locks (org.freedesktop.login1, Inhibitor Locks).
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use kiln_model::Wakefulness;
use kiln_ports::sleep::Turn;
use tokio::time::{sleep, timeout};
use zbus::message::Type;
use zbus::zvariant::OwnedFd;
use zbus::{MatchRule, MessageStream};

use crate::dbus::{Bus, LOGIN};
use crate::lazy::{AGAIN, PATIENCE};

/// The locks are let go by closing them; the login manager keeps them also when the bus starts again.
#[derive(Debug)]
pub(super) struct Rest {
    bus: Bus,
    /// Where its signals are heard.
    signals: tokio::sync::Mutex<Option<MessageStream>>,
    /// Delays the sleep until whoever has to be told was told.
    delay: Mutex<Option<OwnedFd>>,
    /// Keeps the idle system awake.
    awake: Mutex<Option<OwnedFd>>,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            bus: Bus::of_system(),
            signals: tokio::sync::Mutex::default(),
            delay: Mutex::default(),
            awake: Mutex::default(),
        }
    }
}

impl Rest {
    pub(super) async fn next(&self) -> Turn {
        let mut signals = self.signals.lock().await;
        loop {
            let Some(stream) = &mut *signals else {
                *signals = self.listen().await;
                match &*signals {
                    Some(_) if lock(&self.delay).is_none() => self.take_delay().await,
                    Some(_) => {}
                    None => sleep(AGAIN).await,
                }
                continue;
            };
            match stream.next().await {
                Some(Ok(signal)) => match signal.body().deserialize::<bool>() {
                    Ok(true) => return Turn::GoesToSleep,
                    Ok(false) => {
                        self.take_delay().await;
                        return Turn::WokeUp;
                    }
                    Err(_) => {}
                },
                // The bus is gone, and may be back soon.
                Some(Err(_)) | None => {
                    *signals = None;
                    self.bus.broke();
                }
            }
        }
    }

    pub(super) fn ready(&self) {
        drop(lock(&self.delay).take());
    }

    pub(super) async fn hold(&self, wakefulness: Wakefulness) {
        let held = match wakefulness {
            Wakefulness::AsSet => None,
            Wakefulness::StayAwake => {
                self.inhibit("idle", "Builds firmware for others", "block")
                    .await
            }
        };
        *lock(&self.awake) = held;
    }

    async fn take_delay(&self) {
        let held = self.inhibit("sleep", "Tells others that it goes", "delay");
        let held = held.await;
        *lock(&self.delay) = held;
    }

    /// A system without a login manager has nothing to say.
    async fn listen(&self) -> Option<MessageStream> {
        let bus = self.bus.connection().await?;
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(LOGIN.service)
            .ok()?
            .interface(LOGIN.interface)
            .ok()?
            .member("PrepareForSleep")
            .ok()?
            .build();
        let listening = MessageStream::for_match_rule(rule, &bus, None);
        let stream = timeout(PATIENCE, listening).await.ok().and_then(Result::ok);
        if stream.is_none() {
            self.bus.broke();
        }
        stream
    }

    /// A login manager that does not answer is one that is not there: nothing waits for it.
    async fn inhibit(&self, what: &str, why: &str, mode: &str) -> Option<OwnedFd> {
        let body = (what, "Kiln", why, mode);
        self.bus.call(&LOGIN, "Inhibit", &body).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
