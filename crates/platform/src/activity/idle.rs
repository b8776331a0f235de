//! Time since the owner's last input: from the X server, the Wayland compositor, the desktop, or the
//! login manager.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use x11rb::connection::Connection as _;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use super::bus::{Lazy, PATIENCE, Session, System};
use super::wayland::{Compositor, Heard};

/// How long a desktop may be silent until what it said before does not count any more.
const SILENCE: Duration = Duration::from_secs(300);

/// Where the owner's input can be seen.
#[derive(Debug)]
pub(super) struct Idle {
    display: Display,
    compositor: Lazy<Arc<Compositor>>,
    session: Session,
    /// What was last seen there, and when.
    last: Mutex<Option<(Duration, Instant)>>,
    /// The login manager's hint was seen to change, so somebody sets it.
    hinted: AtomicBool,
}

/// What the owner looks at.
#[derive(Debug)]
enum Display {
    X11(Screen),
    /// The X server of a Wayland desktop sees only part of the input, so it is not asked.
    Wayland,
    /// It is not known. A node that a service manager starts does not learn of it, so that the
    /// desktop is asked nevertheless.
    None,
}

/// An X server, asked by one thread at a time: one that hangs costs no more than that.
#[derive(Debug)]
pub(super) struct Screen {
    /// Name of its display.
    name: String,
    answers: Lazy<()>,
    connection: Arc<tokio::sync::Mutex<Option<Connected>>>,
}

struct Connected {
    connection: RustConnection,
    root: u32,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connected({})", self.root)
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
                (false, Some(name)) => Display::X11(Screen::new(&name.to_string_lossy())),
                (false, None) => Display::None,
            },
            compositor: Lazy::default(),
            session: Session::default(),
            last: Mutex::default(),
            hinted: AtomicBool::new(false),
        }
    }

    pub(super) async fn read(&self, system: &System) -> Option<Duration> {
        let seen = match &self.display {
            Display::X11(screen) => screen.since_input().await,
            Display::Wayland | Display::None => self.wayland().await,
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
            Display::X11(screen) => Some(&screen.name),
            Display::Wayland | Display::None => None,
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

impl Screen {
    /// The server of this display is connected to when it is first asked.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            answers: Lazy::default(),
            connection: Arc::default(),
        }
    }

    /// Asks the screen saver extension.
    pub(super) async fn since_input(&self) -> Option<Duration> {
        self.answers.get(|| async { Some(()) }).await?;
        let idle = timeout(PATIENCE, self.ask()).await.ok().flatten();
        if idle.is_none() {
            self.answers.drop_it();
        }
        idle
    }

    async fn ask(&self) -> Option<Duration> {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        let name = self.name.clone();
        let (tell, told) = oneshot::channel();
        // Not a thread of the runtime: that waits for its own at the end.
        std::thread::spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = tell.send(ask(&name, &mut connection));
        });
        told.await.ok().flatten()
    }
}

/// Connects if need be, and asks. Who does not answer well is connected to anew.
fn ask(name: &str, connected: &mut Option<Connected>) -> Option<Duration> {
    let screen = match connected.take() {
        Some(screen) => screen,
        None => {
            let (connection, number) = x11rb::connect(Some(name)).ok()?;
            let root = connection.setup().roots.get(number)?.root;
            Connected { connection, root }
        }
    };
    let asked = screen.connection.screensaver_query_info(screen.root).ok()?;
    let idle = asked.reply().ok()?.ms_since_user_input;
    *connected = Some(screen);
    Some(Duration::from_millis(idle.into()))
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

    #[tokio::test(start_paused = true)]
    async fn a_desktop_that_is_silent_for_five_minutes_says_nothing_any_more() {
        let idle = Idle::new();
        idle.remember(Some(Duration::from_secs(5)));
        tokio::time::advance(SILENCE).await;
        assert_eq!(idle.remember(None), None);
        assert_eq!(idle.remember(Some(SILENCE)), Some(SILENCE), "it is back");
    }

    #[tokio::test]
    async fn an_x_server_that_hangs_is_given_up_and_asked_again_by_nobody_meanwhile() {
        // X servers listen at 6000 and above; this one says nothing to who connects.
        let (server, port) = loop {
            let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            if let Some(number) = server.local_addr().unwrap().port().checked_sub(6000) {
                break (server, number);
            }
        };
        let screen = Screen::new(&format!("127.0.0.1:{port}"));
        assert_eq!(screen.since_input().await, None);
        let (_connected, _) = server.accept().unwrap();
        assert_eq!(screen.since_input().await, None);
        server.set_nonblocking(true).unwrap();
        assert!(server.accept().is_err(), "it was called once");
    }
}
