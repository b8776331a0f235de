//! Time since the owner's last input: from the X server, the desktop, or the login manager.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use x11rb::connection::Connection as _;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::bus::{Lazy, Session, System};

/// Where the owner's input can be seen.
#[derive(Debug)]
pub(super) struct Idle {
    display: Display,
    session: Session,
    /// What was last seen there, and when.
    last: Mutex<Option<(Duration, Instant)>>,
    /// The login manager's hint was seen to change, so somebody sets it.
    hinted: AtomicBool,
}

/// What the owner looks at.
#[derive(Debug)]
enum Display {
    X11(Lazy<Arc<Mutex<Screen>>>),
    /// The X server of a Wayland desktop sees only part of the input, so it is not asked.
    Wayland,
    /// It is not known. A node that a service manager starts does not learn of it, so that the
    /// desktop is asked nevertheless.
    None,
}

struct Screen {
    connection: RustConnection,
    root: u32,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Screen({})", self.root)
    }
}

impl Idle {
    pub(super) fn new() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let wayland = is_set("WAYLAND_DISPLAY")
            || std::env::var_os("XDG_SESSION_TYPE").is_some_and(|kind| kind == "wayland");
        Self {
            display: match (wayland, is_set("DISPLAY")) {
                (true, _) => Display::Wayland,
                (false, true) => Display::X11(Lazy::default()),
                (false, false) => Display::None,
            },
            session: Session::default(),
            last: Mutex::default(),
            hinted: AtomicBool::new(false),
        }
    }

    pub(super) async fn read(&self, system: &System) -> Option<Duration> {
        let seen = match &self.display {
            Display::X11(screen) => x11(screen).await,
            Display::Wayland | Display::None => self.session.idle().await,
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

    /// Returns what is seen. Who answered before and is silent now, because the desktop is busy or
    /// starts again, does not make a computer without people: the last input only gets older.
    fn remember(&self, seen: Option<Duration>) -> Option<Duration> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = seen {
            *last = Some((idle, Instant::now()));
        }
        last.map(|(idle, when)| idle + when.elapsed())
    }
}

/// Asks the screen saver extension of the X server.
async fn x11(screen: &Lazy<Arc<Mutex<Screen>>>) -> Option<Duration> {
    let open = || async {
        let opened = tokio::task::spawn_blocking(|| {
            let (connection, number) = x11rb::connect(None).ok()?;
            let root = connection.setup().roots.get(number)?.root;
            Some(Arc::new(Mutex::new(Screen { connection, root })))
        });
        opened.await.ok().flatten()
    };
    let asked = screen.get(open).await?;
    let idle = tokio::task::spawn_blocking(move || {
        let Screen { connection, root } = &*asked.lock().unwrap_or_else(PoisonError::into_inner);
        let info = connection.screensaver_query_info(*root).ok()?;
        Some(info.reply().ok()?.ms_since_user_input)
    });
    match idle.await.ok().flatten() {
        Some(ms) => Some(Duration::from_millis(ms.into())),
        None => {
            screen.drop_it();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_desktop_that_falls_silent_makes_the_last_input_older_and_nobody_vanish() {
        let idle = Idle::new();
        assert_eq!(idle.remember(None), None);
        let seen = Duration::from_secs(5);
        assert_eq!(idle.remember(Some(seen)), Some(seen));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(idle.remember(None), Some(Duration::from_secs(65)));
    }
}
