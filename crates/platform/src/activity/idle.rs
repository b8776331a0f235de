//! Time since the owner's last input: from the X server, the Wayland compositor, the desktop, or the
//! login manager.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::bus::{Session, System};
use super::display::Display;
use super::wayland::{Compositor, Heard};
use crate::lazy::Lazy;

/// How long a desktop may be silent until what it said before does not count any more.
const SILENCE: Duration = Duration::from_secs(300);

/// Where the owner's input can be seen.
#[derive(Debug, Default)]
pub(super) struct Idle {
    compositor: Lazy<Arc<Compositor>>,
    session: Session,
    /// What was last seen there, and when.
    last: Mutex<Option<(Duration, Instant)>>,
    /// The login manager's hint was seen to change, so somebody sets it.
    hinted: AtomicBool,
}

impl Idle {
    pub(super) async fn read(&self, display: &Display, system: &System) -> Option<Duration> {
        let seen = match display {
            Display::X11(screen) => screen.since_input().await,
            Display::Wayland(_) | Display::None(_) => self.wayland().await,
        };
        if let Some(idle) = self.remember(seen) {
            return Some(idle);
        }
        match system.login_idle().await {
            Some(idle) if !idle.is_zero() => {
                self.hinted.store(true, Ordering::Relaxed);
                Some(idle)
            }
            // Many desktops never set the hint; then it says nothing.
            not_idle => not_idle.filter(|_| self.hinted.load(Ordering::Relaxed)),
        }
    }

    /// Asks the compositor before the desktop: it sees every input, tells it by itself, and means the
    /// same everywhere. GNOME's does not tell, and KDE's screen saver may count nothing.
    async fn wayland(&self) -> Option<Duration> {
        // One that ended may have begun again already.
        for _ in 0..2 {
            let Some(compositor) = self.compositor.get(Compositor::find).await else {
                break;
            };
            match compositor.heard(Instant::now()) {
                Heard::Idle(idle) => return Some(idle),
                Heard::Nothing => break,
                Heard::Gone => self.compositor.close(),
            }
        }
        self.session.idle().await
    }

    /// Returns what is seen. Who answered before and is silent now, because the desktop is busy or
    /// starts again, does not make a computer without people: the last input only gets older, until
    /// it is silent for so long that it says nothing any more.
    fn remember(&self, seen: Option<Duration>) -> Option<Duration> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = seen {
            *last = Some((idle, Instant::now()));
        }
        *last = last.filter(|(_, when)| when.elapsed() < SILENCE);
        last.map(|(idle, when)| idle + when.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_desktop_that_falls_silent_makes_the_last_input_older_and_nobody_vanish() {
        let idle = Idle::default();
        assert_eq!(idle.remember(None), None);
        let seen = Duration::from_secs(5);
        assert_eq!(idle.remember(Some(seen)), Some(seen));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(idle.remember(None), Some(Duration::from_secs(65)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_desktop_that_is_silent_for_five_minutes_says_nothing_any_more() {
        let idle = Idle::default();
        idle.remember(Some(Duration::from_secs(5)));
        tokio::time::advance(SILENCE).await;
        assert_eq!(idle.remember(None), None);
        assert_eq!(idle.remember(Some(SILENCE)), Some(SILENCE), "it is back");
    }
}
