//! What an X server tells: time since the last input, and the program in front (Extended Window
//! Manager Hints).
use std::sync::Arc;
use std::time::Duration;

use kiln_model::Foreground;
use tokio::sync::oneshot;
use tokio::time::timeout;
use x11rb::connection::Connection as _;
use x11rb::errors::ReplyError;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};
use x11rb::rust_connection::RustConnection;

use crate::lazy::{Lazy, PATIENCE};

/// An X server, asked by one thread at a time: one that hangs costs no more than that.
#[derive(Debug)]
pub(super) struct Screen {
    /// Name of its display.
    name: String,
    answers: Lazy<()>,
    root: Arc<tokio::sync::Mutex<Option<Root>>>,
}

/// Largest number of states of a window that are read; ten are known.
const STATES: u32 = 64;

x11rb::atom_manager! {
    /// Names that window managers use.
    Names: NamesCookie {
        _NET_ACTIVE_WINDOW,
        _NET_WM_STATE,
        _NET_WM_STATE_FULLSCREEN,
    }
}

/// The root window of a server that is connected to.
struct Root {
    connection: RustConnection,
    root: u32,
    names: Names,
}

/// What a server is asked.
type Question<T> = fn(&Root) -> Result<T, ReplyError>;

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Root({})", self.root)
    }
}

impl Root {
    fn open(display: &str) -> Option<Self> {
        let (connection, number) = x11rb::connect(Some(display)).ok()?;
        let root = connection.setup().roots.get(number)?.root;
        let names = Names::new(&connection).ok()?.reply().ok()?;
        Some(Self {
            connection,
            root,
            names,
        })
    }

    fn since_input(&self) -> Result<Duration, ReplyError> {
        let info = self.connection.screensaver_query_info(self.root)?.reply()?;
        Ok(Duration::from_millis(info.ms_since_user_input.into()))
    }

    /// Reads a list of numbers that a window carries.
    fn numbers(
        &self,
        window: u32,
        name: u32,
        kind: AtomEnum,
    ) -> Result<Option<Vec<u32>>, ReplyError> {
        let connection = &self.connection;
        let asked = connection.get_property(false, window, name, kind, 0, STATES)?;
        Ok(asked.reply()?.value32().map(Iterator::collect))
    }

    /// Without a window manager that tells, nothing is known.
    fn foreground(&self) -> Result<Option<Foreground>, ReplyError> {
        let names = &self.names;
        let active = self.numbers(self.root, names._NET_ACTIVE_WINDOW, AtomEnum::WINDOW)?;
        let Some(window) = active.and_then(|windows| windows.first().copied()) else {
            return Ok(None);
        };
        let states = match self.numbers(window, names._NET_WM_STATE, AtomEnum::ATOM) {
            Ok(states) => states.unwrap_or_default(),
            // No window is in front, or it was closed just now.
            Err(ReplyError::X11Error(_)) => Vec::new(),
            Err(lost) => return Err(lost),
        };
        Ok(Some(
            match states.contains(&names._NET_WM_STATE_FULLSCREEN) {
                true => Foreground::FullScreen,
                false => Foreground::Windowed,
            },
        ))
    }
}

impl Screen {
    /// The server of this display is connected to when it is first asked.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            answers: Lazy::default(),
            root: Arc::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Asks the screen saver extension.
    pub(super) async fn since_input(&self) -> Option<Duration> {
        self.answer(Root::since_input).await
    }

    /// Asks the window manager.
    pub(super) async fn foreground(&self) -> Option<Foreground> {
        self.answer(Root::foreground).await.flatten()
    }

    async fn answer<T: Send + 'static>(&self, question: Question<T>) -> Option<T> {
        self.answers.get(|| async { Some(()) }).await?;
        let answer = timeout(PATIENCE, self.ask(question)).await.ok().flatten();
        if answer.is_none() {
            self.answers.drop_it();
        }
        answer
    }

    async fn ask<T: Send + 'static>(&self, question: Question<T>) -> Option<T> {
        let mut root = Arc::clone(&self.root).lock_owned().await;
        let name = self.name.clone();
        let (tell, told) = oneshot::channel();
        // Not a thread of the runtime: that waits for its own at the end.
        std::thread::spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = tell.send(ask(&name, &mut root, question));
        });
        told.await.ok().flatten()
    }
}

/// Connects if need be, and asks. Who does not answer well is connected to anew.
fn ask<T>(name: &str, root: &mut Option<Root>, question: Question<T>) -> Option<T> {
    let asked = match root.take() {
        Some(root) => root,
        None => Root::open(name)?,
    };
    let answer = question(&asked).ok()?;
    *root = Some(asked);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

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
