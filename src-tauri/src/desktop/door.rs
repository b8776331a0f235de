//! The desktop's door: a second start and the window come in here.
use std::sync::{Arc, Mutex, PoisonError};

use kiln_desk::{Event, Goal, ToDesk, ToWindow, WindowEnd};
use kiln_platform::LocalControl;
use kiln_ports::Control as _;
use kiln_ports::control::Stream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::kept::Kept;
use crate::lines;

/// The way to the window that is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<Mutex<Talk>>);

#[derive(Debug, Default)]
struct Talk {
    to: Option<UnboundedSender<ToWindow>>,
    child: Child,
}

/// Whether the window's end is seen by its process or by its conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Child {
    /// Its process is ours and is waited for.
    Ours,
    /// It was started by somebody else.
    #[default]
    Theirs,
}

impl Line {
    /// Tells the window, if it still listens; that it does not is told as an event of its own.
    pub(super) fn tell(&self, word: ToWindow) {
        if let Some(to) = &self.talk().to {
            let _ = to.send(word);
        }
    }

    /// Notes that the window's process is ours.
    pub(super) fn is_ours(&self) {
        self.talk().child = Child::Ours;
    }

    /// Notes that the window's process ended.
    pub(super) fn ended(&self) {
        *self.talk() = Talk::default();
    }

    /// Takes the place of the window, unless it is taken.
    fn take(&self) -> Option<UnboundedReceiver<ToWindow>> {
        let mut talk = self.talk();
        if talk.to.as_ref().is_some_and(|to| !to.is_closed()) {
            return None;
        }
        let (to, from) = mpsc::unbounded_channel();
        talk.to = Some(to);
        Some(from)
    }

    /// Ends a conversation. Returns what that says of the window: of one whose process is ours, the
    /// end follows.
    fn hung_up(&self) -> Option<Event> {
        let mut talk = self.talk();
        match talk.child {
            Child::Ours => Some(Event::WindowGoing),
            Child::Theirs => {
                let ended = talk.to.take();
                ended.map(|_| Event::WindowEnded(WindowEnd::Closed))
            }
        }
    }

    fn talk(&self) -> std::sync::MutexGuard<'_, Talk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets in who knocks, for ever.
pub(super) async fn keep(
    mut control: LocalControl,
    line: Line,
    events: UnboundedSender<Event>,
    kept: Kept,
) {
    loop {
        let stream = control.accept().await;
        tokio::spawn(talk(stream, line.clone(), events.clone(), kept.clone()));
    }
}

async fn talk(stream: Box<dyn Stream>, line: Line, events: UnboundedSender<Event>, kept: Kept) {
    let (mut hearing, mut saying) = lines::halves(stream);
    let first = lines::hear(&mut hearing).await;
    let first = first.and_then(|line| ToDesk::from_line(&line).ok());
    let mut words = match (first, &line) {
        (Some(word @ ToDesk::Show { .. }), _) => {
            let _ = events.send(Event::Window(word));
            answer(&mut saying, &ToWindow::Taken).await;
            return;
        }
        (Some(ToDesk::Window), line) => match line.take() {
            Some(words) => words,
            None => {
                let goal = Goal::overview();
                let _ = events.send(Event::Window(ToDesk::Show { goal }));
                answer(&mut saying, &ToWindow::Taken).await;
                return;
            }
        },
        (Some(_) | None, _) => {
            tracing::warn!("somebody at the desktop's door does not speak its language");
            return;
        }
    };
    let _ = events.send(Event::Window(ToDesk::Window));
    let write = async {
        while let Some(word) = words.recv().await {
            answer(&mut saying, &word).await;
        }
    };
    let read = async {
        while let Some(heard) = lines::hear(&mut hearing).await {
            match ToDesk::from_line(&heard) {
                Ok(ToDesk::Settings) => {
                    let _ = events.send(Event::Settings(kept.read()));
                }
                Ok(word) => {
                    let _ = events.send(Event::Window(word));
                }
                Err(error) => tracing::warn!(%error, "the window said something odd"),
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    if let Some(event) = line.hung_up() {
        let _ = events.send(event);
    }
}

/// Says it to a side that may be gone; its end is seen where it is listened to.
async fn answer(saying: &mut (impl tokio::io::AsyncWrite + Unpin), word: &ToWindow) {
    if let Ok(line) = word.to_line() {
        let _ = lines::say(saying, &line).await;
    }
}
