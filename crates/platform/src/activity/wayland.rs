//! Time since the last input as a Wayland compositor tells it (ext-idle-notify-v1). It says by itself
//! when the owner stops and goes on; between the two nothing wakes anybody.
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, thread};

use tokio::sync::watch::{self, Receiver, Sender};
use tokio::time::{Instant, timeout};
use wayland_backend::client::{Backend, ObjectData, ObjectId};
use wayland_backend::protocol::Message;
use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::{wl_display, wl_registry, wl_seat};
use wayland_client::{Connection, Dispatch, Proxy as _, QueueHandle, delegate_noop};
use wayland_protocols::ext::idle_notify::v1::client::{
    ext_idle_notification_v1::{Event, ExtIdleNotificationV1},
    ext_idle_notifier_v1::ExtIdleNotifierV1,
};

/// Quiet after which the compositor tells that the owner stopped. Whoever goes on after a pause of
/// that length wakes Kiln, so that it is not shorter; a touch has to be told from a stay of ten seconds,
/// so that it is not longer.
const PAUSE: Duration = Duration::from_secs(5);

/// Longest time for which a reading waits for the first word. KDE's reads a program of which it knows
/// nothing yet before it answers, which takes longer; the next reading hears of it then.
const PATIENCE: Duration = Duration::from_millis(500);

/// Longest time for which a compositor may owe an answer.
const SILENCE: Duration = Duration::from_secs(20);

/// A line to a compositor. Dropping it ends whatever waits at the other clones of the connection.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) connection: Connection,
    socket: UnixStream,
}

impl Line {
    pub(super) async fn open(path: &Path) -> Option<Self> {
        let stream = tokio::net::UnixStream::connect(path).await.ok()?;
        let socket = stream.into_std().ok()?;
        let connection = Connection::from_socket(socket.try_clone().ok()?).ok()?;
        Some(Self { connection, socket })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

/// A compositor that tells of the owner's input.
#[derive(Debug)]
pub(super) struct Compositor {
    line: Line,
    since: Instant,
    said: Receiver<Said>,
    /// What was asked last to see whether it still lives, and when.
    asked: Mutex<Option<(Instant, Arc<Answer>)>>,
}

/// What the compositor said last. When nobody listens to it any more, the sender is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Nothing yet.
    Nothing,
    /// The last input was less than [`PAUSE`] ago.
    Busy,
    /// The last input was then.
    QuietSince(Instant),
}

/// What can be heard of a compositor now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The time since the last input; zero while that is too short to be told.
    Idle(Duration),
    /// Nothing yet.
    Nothing,
    /// Nothing any more: it is gone, or hangs.
    Gone,
}

impl Compositor {
    /// Returns the first compositor that tells of input, or may come to it.
    pub(super) async fn find() -> Option<Arc<Self>> {
        for path in sockets() {
            let Some(mut found) = Self::at(&path).await else {
                continue;
            };
            let first = found.said.wait_for(|said| *said != Said::Nothing);
            // Who hangs up knows nothing of idle owners.
            if !matches!(timeout(PATIENCE, first).await, Ok(Err(_))) {
                return Some(Arc::new(found));
            }
        }
        None
    }

    async fn at(path: &Path) -> Option<Self> {
        let line = Line::open(path).await?;
        let connection = line.connection.clone();
        let (tell, said) = watch::channel(Said::Nothing);
        let compositor = Self {
            line,
            since: Instant::now(),
            said,
            asked: Mutex::default(),
        };
        let name = thread::Builder::new().name("wayland".to_owned());
        name.spawn(move || listen(&connection, tell)).ok()?;
        Some(compositor)
    }

    /// Returns what can be heard of it without waiting.
    pub(super) fn heard(&self, now: Instant) -> Heard {
        if self.said.has_changed().is_err() {
            return Heard::Gone;
        }
        let said = *self.said.borrow();
        match said {
            Said::Nothing if now.saturating_duration_since(self.since) < SILENCE => Heard::Nothing,
            Said::Busy if self.lives(now) => Heard::Idle(Duration::ZERO),
            Said::QuietSince(when) => Heard::Idle(now.saturating_duration_since(when)),
            Said::Nothing | Said::Busy => Heard::Gone,
        }
    }

    /// Returns whether it answered, and asks it again. One that hangs would have an owner type for ever.
    fn lives(&self, now: Instant) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match &*asked {
            Some((when, answer)) if !answer.came.load(Ordering::Relaxed) => {
                return now.saturating_duration_since(*when) < SILENCE;
            }
            Some(_) | None => {}
        }
        let answer = Arc::new(Answer::default());
        let question = wl_display::Request::Sync {};
        let data: Arc<dyn ObjectData> = Arc::clone(&answer) as _;
        let display = self.line.connection.display();
        let sent = self
            .line
            .connection
            .send_request(&display, question, Some(data));
        // What does not fit into the socket now is not answered either.
        let _ = self.line.connection.flush();
        *asked = Some((now, answer));
        sent.is_ok()
    }
}

/// Returns where compositors listen: that of the owner's session, or if a service manager started Kiln
/// and told it nothing, all in the user's folder.
pub(super) fn sockets() -> Vec<PathBuf> {
    let is_set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = is_set("XDG_RUNTIME_DIR").map(PathBuf::from);
    if let Some(name) = is_set("WAYLAND_DISPLAY") {
        return vec![folder.unwrap_or_default().join(name)];
    }
    let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
    let entries = entries.into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("wayland-"));
            number.is_some_and(|number| number.parse::<u16>().is_ok())
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Listens until the connection ends; `None` says that it did, or never told anything.
fn listen(connection: &Connection, tell: Sender<Said>) -> Option<()> {
    let (globals, mut queue) = registry_queue_init::<Listener>(connection).ok()?;
    let handle = queue.handle();
    let notifier: ExtIdleNotifierV1 = globals.bind(&handle, 1..=2, ()).ok()?;
    // Computers with more than one seat have more than one owner; the first is this one's.
    let seat: wl_seat::WlSeat = globals.bind(&handle, 1..=1, ()).ok()?;
    let pause = u32::try_from(PAUSE.as_millis()).ok()?;
    // Where it can be told apart only input counts, as on every other desktop: a forgotten tab that
    // keeps the screen on would keep builds away for days.
    match notifier.version() {
        1 => notifier.get_idle_notification(pause, &seat, &handle, ()),
        _ => notifier.get_input_idle_notification(pause, &seat, &handle, ()),
    };
    let mut listener = Listener(tell);
    queue.roundtrip(&mut listener).ok()?;
    listener.0.send_if_modified(|said| {
        let silent = *said == Said::Nothing;
        if silent {
            *said = Said::Busy;
        }
        silent
    });
    loop {
        queue.blocking_dispatch(&mut listener).ok()?;
    }
}

struct Listener(Sender<Said>);

impl Dispatch<ExtIdleNotificationV1, ()> for Listener {
    fn event(
        state: &mut Self,
        _: &ExtIdleNotificationV1,
        event: Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        let now = Instant::now();
        let said = match event {
            Event::Idled => Said::QuietSince(now.checked_sub(PAUSE).unwrap_or(now)),
            _ => Said::Busy,
        };
        let _ = state.0.send(said);
    }
}

impl Dispatch<wl_registry::WlRegistry, GlobalListContents> for Listener {
    fn event(
        _: &mut Self,
        _: &wl_registry::WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}

delegate_noop!(Listener: ignore wl_seat::WlSeat);
delegate_noop!(Listener: ExtIdleNotifierV1);

/// Whether a question was answered.
#[derive(Debug, Default)]
struct Answer {
    came: AtomicBool,
}

impl ObjectData for Answer {
    fn event(
        self: Arc<Self>,
        _: &Backend,
        _: Message<ObjectId, OwnedFd>,
    ) -> Option<Arc<dyn ObjectData>> {
        self.came.store(true, Ordering::Relaxed);
        None
    }

    fn destroyed(&self, _: ObjectId) {}
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc;

    use super::*;

    const SEAT: (&str, u32) = ("wl_seat", 5);
    const NOTIFIER: (&str, u32) = ("ext_idle_notifier_v1", 2);

    /// Events of an idle notification, by their numbers.
    const IDLED: u32 = 0;
    const RESUMED: u32 = 1;

    /// A compositor that does what it is told.
    struct Scripted {
        folder: tempfile::TempDir,
        /// Who asked to be notified, and under which number.
        asked: mpsc::Receiver<(UnixStream, u32)>,
        hangs: Arc<AtomicBool>,
    }

    impl Scripted {
        fn new(globals: &'static [(&'static str, u32)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
            let (tell, asked) = mpsc::channel();
            let hangs = Arc::new(AtomicBool::new(false));
            let hung = Arc::clone(&hangs);
            thread::spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                serve(stream, globals, &tell, &hung)
            });
            Self {
                folder,
                asked,
                hangs,
            }
        }

        fn socket(&self) -> PathBuf {
            self.folder.path().join("socket")
        }
    }

    /// Answers until the other side leaves.
    fn serve(
        mut stream: UnixStream,
        globals: &[(&str, u32)],
        tell: &mpsc::Sender<(UnixStream, u32)>,
        hangs: &AtomicBool,
    ) -> Option<()> {
        let (display, mut registry, mut notifier) = (1, 0, 0);
        loop {
            let (object, opcode, body) = request(&mut stream)?;
            let new = |at: usize| u32::from_ne_bytes(body[at..at + 4].try_into().unwrap());
            if hangs.load(Ordering::Relaxed) {
            } else if (object, opcode) == (display, 0) {
                event(&mut stream, new(0), 0, &[0; 4]);
                event(&mut stream, display, 1, &new(0).to_ne_bytes());
            } else if object == display {
                registry = new(0);
                for (name, global) in (0_u32..).zip(globals) {
                    event(&mut stream, registry, 0, &offer(name, *global));
                }
            } else if object == registry && body.windows(4).any(|part| part == b"ext_") {
                notifier = new(body.len() - 4);
            } else if object == notifier {
                tell.send((stream.try_clone().unwrap(), new(0))).ok()?;
            }
        }
    }

    fn request(stream: &mut UnixStream) -> Option<(u32, u32, Vec<u8>)> {
        let mut head = [0; 8];
        stream.read_exact(&mut head).ok()?;
        let [object, size] = [0, 4].map(|at| {
            let word: [u8; 4] = head[at..at + 4].try_into().unwrap();
            u32::from_ne_bytes(word)
        });
        let mut body = vec![0; (size >> 16) as usize - head.len()];
        stream.read_exact(&mut body).ok()?;
        Some((object, size & 0xffff, body))
    }

    fn event(stream: &mut UnixStream, object: u32, opcode: u32, body: &[u8]) {
        let size = u32::try_from(8 + body.len()).unwrap();
        let head = [object, size << 16 | opcode];
        let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(body);
        // Who left hears nothing.
        let _ = stream.write_all(&bytes);
    }

    fn offer(name: u32, (interface, version): (&str, u32)) -> Vec<u8> {
        let mut text = format!("{interface}\0").into_bytes();
        let length = u32::try_from(text.len()).unwrap();
        text.resize(text.len().next_multiple_of(4), 0);
        let mut body = name.to_ne_bytes().to_vec();
        body.extend(length.to_ne_bytes());
        body.extend(text);
        body.extend(version.to_ne_bytes());
        body
    }

    /// Waits for the first word.
    async fn listened(path: &Path) -> Option<Compositor> {
        let mut compositor = Compositor::at(path).await.unwrap();
        let first = compositor.said.wait_for(|said| *said != Said::Nothing);
        first.await.ok()?;
        Some(compositor)
    }

    #[tokio::test]
    async fn the_count_begins_when_the_owner_stops_and_ends_when_the_owner_goes_on() {
        let scripted = Scripted::new(&[SEAT, NOTIFIER]);
        let compositor = listened(&scripted.socket()).await.unwrap();
        let active = Heard::Idle(Duration::ZERO);
        assert_eq!(compositor.heard(Instant::now()), active);
        let (mut stream, notification) = scripted.asked.recv().unwrap();
        let mut said = compositor.said.clone();
        // Saying it twice is against the rules and does no harm.
        for _ in 0..2 {
            event(&mut stream, notification, IDLED, &[]);
            said.changed().await.unwrap();
        }
        let minute = Duration::from_secs(60);
        let later = Instant::now() + minute;
        let Heard::Idle(idle) = compositor.heard(later) else {
            panic!("it is heard");
        };
        assert!(idle >= minute && idle <= minute + 2 * PAUSE, "{idle:?}");
        event(&mut stream, notification, RESUMED, &[]);
        said.changed().await.unwrap();
        assert_eq!(compositor.heard(later), active);
    }

    #[tokio::test]
    async fn a_compositor_that_leaves_or_hangs_tells_nothing_any_more() {
        let scripted = Scripted::new(&[SEAT, NOTIFIER]);
        let compositor = listened(&scripted.socket()).await.unwrap();
        scripted.hangs.store(true, Ordering::Relaxed);
        let now = Instant::now();
        assert_eq!(compositor.heard(now), Heard::Idle(Duration::ZERO));
        assert_eq!(compositor.heard(now + SILENCE), Heard::Gone);
        let (stream, _) = scripted.asked.recv().unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        let mut said = compositor.said.clone();
        assert!(said.wait_for(|said| *said == Said::Nothing).await.is_err());
        assert_eq!(compositor.heard(now), Heard::Gone);
    }

    #[tokio::test]
    async fn one_that_knows_nothing_of_idle_owners_is_not_listened_to() {
        let scripted = Scripted::new(&[SEAT]);
        assert!(listened(&scripted.socket()).await.is_none());
    }

    #[tokio::test]
    async fn one_that_never_answers_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _silent = UnixListener::bind(&path).unwrap();
        let compositor = Compositor::at(&path).await.unwrap();
        let now = Instant::now();
        assert_eq!(compositor.heard(now), Heard::Nothing);
        assert_eq!(compositor.heard(now + SILENCE), Heard::Gone);
    }

    #[tokio::test]
    async fn one_that_talks_nonsense_is_left() {
        // Of an object that is not there, too long, too short, and an offer without a name.
        for (object, size, length) in [(7, 8, 0), (1, 0xfff0, 0xfff0), (1, 4, 0), (2, 12, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let listener = UnixListener::bind(&path).unwrap();
            let talks = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let head = [object, size << 16];
                let mut bytes: Vec<u8> = head.iter().flat_map(|w: &u32| w.to_ne_bytes()).collect();
                bytes.resize(8 + length, 0xff);
                let _ = stream.write_all(&bytes);
            });
            assert!(listened(&path).await.is_none(), "{object} {size}");
            talks.join().unwrap();
        }
    }
}
