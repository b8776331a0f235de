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
    X11 {
        name: String,
        screen: Screen,
    },
    /// The X server of a Wayland desktop sees only part of the input, so it is not asked.
    Wayland,
    /// It is not known. A node that a service manager starts does not learn of it, so that the
    /// desktop is asked nevertheless.
    None,
}

/// A screen of an X server, opened when it is first asked.
pub(super) type Screen = Lazy<Arc<Mutex<Root>>>;

/// Where the X server of a screen is asked.
pub(super) struct Root {
    connection: RustConnection,
    root: u32,
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Root({})", self.root)
    }
}

impl Idle {
    pub(super) fn new() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let wayland = set("WAYLAND_DISPLAY").is_some()
            || std::env::var_os("XDG_SESSION_TYPE").is_some_and(|kind| kind == "wayland");
        Self {
            display: match (wayland, set("DISPLAY")) {
                (true, _) => Display::Wayland,
                (false, Some(name)) => Display::X11 {
                    name: name.to_string_lossy().into_owned(),
                    screen: Screen::default(),
                },
                (false, None) => Display::None,
            },
            session: Session::default(),
            last: Mutex::default(),
            hinted: AtomicBool::new(false),
        }
    }

    pub(super) async fn read(&self, system: &System) -> Option<Duration> {
        let seen = match &self.display {
            Display::X11 { screen, .. } => since_input(screen, None).await,
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

    /// Returns the display of the X server that is asked.
    pub(super) fn display(&self) -> Option<&str> {
        match &self.display {
            Display::X11 { name, .. } => Some(name),
            Display::Wayland | Display::None => None,
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

/// Asks the screen saver extension of the X server of a display; `None`: of the environment's.
pub(super) async fn since_input(screen: &Screen, display: Option<&str>) -> Option<Duration> {
    let display = display.map(str::to_owned);
    let open = || async {
        let opened = tokio::task::spawn_blocking(move || {
            let (connection, number) = x11rb::connect(display.as_deref()).ok()?;
            let root = connection.setup().roots.get(number)?.root;
            Some(Arc::new(Mutex::new(Root { connection, root })))
        });
        opened.await.ok().flatten()
    };
    let asked = screen.get(open).await?;
    let idle = tokio::task::spawn_blocking(move || {
        let Root { connection, root } = &*asked.lock().unwrap_or_else(PoisonError::into_inner);
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
