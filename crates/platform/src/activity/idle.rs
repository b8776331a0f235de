//! Time since the owner's last input: from the X server, the desktop, or the login manager.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use x11rb::connection::Connection as _;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::bus::{Lazy, Session, System};

/// Where the owner's input can be seen.
#[derive(Debug)]
pub(super) struct Idle {
    display: Display,
    session: Session,
    /// The login manager's hint was seen to change, so somebody sets it.
    hinted: AtomicBool,
}

/// What the owner looks at.
#[derive(Debug)]
enum Display {
    X11(Lazy<Arc<Mutex<Screen>>>),
    /// The X server of a Wayland desktop sees only part of the input, so it is not asked.
    Wayland,
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
            hinted: AtomicBool::new(false),
        }
    }

    pub(super) async fn read(&self, system: &System) -> Option<Duration> {
        let seen = match &self.display {
            Display::X11(screen) => x11(screen).await,
            Display::Wayland => self.session.idle().await,
            Display::None => None,
        };
        if seen.is_some() {
            return seen;
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
