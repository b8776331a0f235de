//! The writing half of a session: [`Outbox`], where everybody puts frames, and the task that sends
//! them in order of urgency.
//!
//! Three queues meet here. What keeps the session alive or decides something goes first; then
//! states and output of jobs, in their order; then one piece of bulk, so that a ping never waits
//! behind more than what the socket already holds.
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln_domain::work::StepFailure;
use kiln_model::{LinkId, Message, TerminateReason, WireJobId};
use kiln_peer_link::limits::SILENCE;
use kiln_peer_link::{Error, Misuse, Nonce, Sealer, split_output};
use kiln_ports::Clock;
use kiln_ports::net::{NetError, Writer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::reports::Reports;
use super::upload::{Next, Sealed, Stream, Upload};

/// Bytes of output that wait for a link before its producers do.
const OUTPUT_BYTES: u32 = 1 << 20;

/// Bytes of a frame beside the line in it: each line travels alone, and a flood of short ones is long
/// to read on the other side.
const FRAME_BYTES: usize = 110;

/// Answers that may wait for a peer that sends and does not read. A reference offloader that
/// streams on after a refused header earns one per chunk, which is half of this (peer-link.md §11,
/// Q9).
const REPLIES: usize = 8192;

/// The close code of every deliberate close (peer-link.md §3.2).
pub(super) const CLOSE: u16 = 1000;

/// Where frames for a link are put. What is put here before the session opened is sent then; after
/// the link has ended everything is dropped.
#[derive(Clone)]
pub(super) struct Outbox {
    urgent: mpsc::UnboundedSender<Urgent>,
    jobs: mpsc::UnboundedSender<JobFrame>,
    bulk: mpsc::UnboundedSender<Upload>,
    room: Arc<Semaphore>,
    replies: Arc<AtomicUsize>,
}

/// Where the writer finds what was put into the [`Outbox`].
pub(super) struct Outgoing {
    urgent: mpsc::UnboundedReceiver<Urgent>,
    jobs: mpsc::UnboundedReceiver<JobFrame>,
    bulk: mpsc::UnboundedReceiver<Upload>,
    replies: Arc<AtomicUsize>,
}

enum Urgent {
    Message(Message),
    Reply(Message),
    Ping(u64),
    Pong(Nonce),
    StopUpload(WireJobId),
    End(Option<TerminateReason>),
}

enum JobFrame {
    State(Message),
    Output {
        job_id: WireJobId,
        text: String,
        _room: Option<OwnedSemaphorePermit>,
    },
}

/// A peer that makes us answer without reading our answers.
pub(super) struct Flooded;

impl Outbox {
    /// Makes an outbox, and where what is put into it comes out.
    pub(super) fn new() -> (Self, Outgoing) {
        let (urgent, urgent_out) = mpsc::unbounded_channel();
        let (jobs, jobs_out) = mpsc::unbounded_channel();
        let (bulk, bulk_out) = mpsc::unbounded_channel();
        let replies = Arc::new(AtomicUsize::new(0));
        let outgoing = Outgoing {
            urgent: urgent_out,
            jobs: jobs_out,
            bulk: bulk_out,
            replies: Arc::clone(&replies),
        };
        let room = Arc::new(Semaphore::new(OUTPUT_BYTES as usize));
        (
            Self {
                urgent,
                jobs,
                bulk,
                room,
                replies,
            },
            outgoing,
        )
    }

    /// Puts a frame in.
    pub(super) fn message(&self, message: Message) {
        match message {
            Message::JobStateChanged { .. } | Message::JobOutput { .. } => {
                let _ = self.jobs.send(JobFrame::State(message));
            }
            Message::Terminate(_)
            | Message::QueueStatus(_)
            | Message::SubmitJobAck { .. }
            | Message::CancelJob { .. }
            | Message::DownloadArtifacts { .. }
            | Message::ArtifactsStart { .. }
            | Message::ArtifactsEnd { .. }
            | Message::ResetBuildEnv { .. }
            | Message::ResetBuildEnvAck { .. } => {
                let _ = self.urgent.send(Urgent::Message(message));
            }
        }
    }

    /// Puts in what the reader owes the peer.
    pub(super) fn reply(&self, message: Message) -> Result<(), Flooded> {
        self.owed(Urgent::Reply(message))
    }

    /// Puts in the answer to a ping.
    pub(super) fn pong(&self, nonce: Nonce) -> Result<(), Flooded> {
        self.owed(Urgent::Pong(nonce))
    }

    /// Puts in a ping.
    pub(super) fn ping(&self, number: u64) {
        let _ = self.urgent.send(Urgent::Ping(number));
    }

    /// Stops the upload of a job that the receiver refused.
    pub(super) fn stop_upload(&self, job_id: WireJobId) {
        let _ = self.urgent.send(Urgent::StopUpload(job_id));
    }

    /// Ends the session after what is urgent: what became of jobs and `terminate` if there is a reason,
    /// then the close.
    pub(super) fn end(&self, terminate: Option<TerminateReason>) {
        let _ = self.urgent.send(Urgent::End(terminate));
    }

    /// Puts in output of a job; returns when there is room for more.
    pub(super) async fn output(&self, job_id: WireJobId, text: String) {
        let bytes = text.len() + lines(&text).count() * FRAME_BYTES;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(OUTPUT_BYTES);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        // The semaphore is never closed.
        self.put_output(job_id, text, room.ok());
    }

    /// Puts in a sentence of our own about a job, whether there is room or not.
    pub(super) fn note(&self, job_id: WireJobId, text: String) {
        self.put_output(job_id, text, None);
    }

    fn put_output(&self, job_id: WireJobId, text: String, room: Option<OwnedSemaphorePermit>) {
        let _ = self.jobs.send(JobFrame::Output {
            job_id,
            text,
            _room: room,
        });
    }

    /// Puts in bulk; gives it back if the link has ended.
    pub(super) fn upload(&self, upload: Upload) -> Result<(), Upload> {
        self.bulk.send(upload).map_err(|undelivered| undelivered.0)
    }

    fn owed(&self, reply: Urgent) -> Result<(), Flooded> {
        if self.replies.fetch_add(1, Ordering::Relaxed) >= REPLIES {
            return Err(Flooded);
        }
        let _ = self.urgent.send(reply);
        Ok(())
    }
}

/// Sends until [`Outbox::end`], until the connection breaks or until `give_up` is dropped, then
/// reports bulk that was not sent.
pub(super) async fn run(
    link: LinkId,
    writer: Box<dyn Writer>,
    sealer: Sealer,
    outgoing: Outgoing,
    reports: Reports,
    clock: Arc<dyn Clock>,
    give_up: oneshot::Receiver<()>,
) {
    let mut task = Task {
        link,
        writer,
        sealer,
        outgoing,
        stream: None,
        unflushed: false,
        reports,
        clock,
    };
    let stop = tokio::select! {
        stop = task.serve() => stop,
        _ = give_up => Stop::Broken("the other side does not read".to_owned()),
    };
    match stop {
        Stop::Ended => {}
        Stop::Broken(error) => tracing::debug!(%link, %error, "the link cannot be written to"),
    }
    task.settle().await;
}

struct Task {
    link: LinkId,
    writer: Box<dyn Writer>,
    sealer: Sealer,
    outgoing: Outgoing,
    stream: Option<Stream>,
    unflushed: bool,
    reports: Reports,
    clock: Arc<dyn Clock>,
}

/// Why the task stops.
enum Stop {
    /// It was told to, and closed the connection.
    Ended,
    /// The connection, or our use of it, is broken.
    Broken(String),
}

impl From<NetError> for Stop {
    fn from(error: NetError) -> Self {
        Stop::Broken(error.to_string())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Broken(error.to_string())
    }
}

impl Task {
    async fn serve(&mut self) -> Stop {
        match self.send_all().await {
            Ok(never) => match never {},
            Err(stop) => stop,
        }
    }

    async fn send_all(&mut self) -> Result<Infallible, Stop> {
        loop {
            tokio::select! {
                biased;
                Some(urgent) = self.outgoing.urgent.recv() => {
                    self.urgent(urgent).await?;
                }
                Some(frame) = self.outgoing.jobs.recv() => {
                    self.job_frame(frame).await?;
                }
                Some(upload) = self.outgoing.bulk.recv(), if self.stream.is_none() => {
                    let (frame, stream) = Stream::begin(upload, &mut self.sealer)?;
                    self.stream = Some(stream);
                    self.feed(frame).await?;
                }
                next = next(&mut self.stream, self.link, &mut self.sealer) => {
                    match next? {
                        Next::Frame(frame) => {
                            self.feed(frame).await?;
                        }
                        Next::End(frame, event) => {
                            self.stream = None;
                            if let Some(frame) = frame {
                                self.feed(frame).await?;
                            }
                            self.flush().await?;
                            self.reports.note(event.map(|event| *event));
                        }
                    }
                }
                // Polled last: nothing else is ready to join what was fed.
                () = std::future::ready(()), if self.unflushed => self.flush().await?,
            }
        }
    }

    async fn urgent(&mut self, urgent: Urgent) -> Result<(), Stop> {
        let sealed = match urgent {
            Urgent::Message(message) => self.sealer.message(&message),
            Urgent::Reply(message) => {
                self.outgoing.replies.fetch_sub(1, Ordering::Relaxed);
                self.sealer.message(&message)
            }
            Urgent::Ping(number) => self.sealer.ping(number),
            Urgent::Pong(nonce) => {
                self.outgoing.replies.fetch_sub(1, Ordering::Relaxed);
                self.sealer.pong(&nonce)
            }
            Urgent::StopUpload(job_id) => {
                if let Some(stream) = self.stream.take_if(|s| s.is_bundle_of(&job_id)) {
                    let refused = StepFailure::Failed("The receiver refused the bundle.".into());
                    let event = stream.cut(self.link, refused);
                    self.reports.note(event);
                }
                return Ok(());
            }
            Urgent::End(terminate) => {
                if let Some(reason) = terminate {
                    self.last_states().await?;
                    let frame = self.sealer.message(&Message::Terminate(reason))?;
                    self.feed(frame).await?;
                    self.flush().await?;
                }
                self.writer.close(CLOSE, "").await;
                return Err(Stop::Ended);
            }
        };
        if let Some(frame) = self.fitting(sealed)? {
            self.feed(frame).await?;
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what became of jobs, of which nobody could tell any more. Output that still waits is let
    /// go: before a sleep there is no time for it.
    async fn last_states(&mut self) -> Result<(), Stop> {
        while let Ok(frame) = self.outgoing.jobs.try_recv() {
            if matches!(frame, JobFrame::State(_)) {
                self.job_frame(frame).await?;
            }
        }
        Ok(())
    }

    async fn feed(&mut self, frame: Vec<u8>) -> Result<(), NetError> {
        self.unflushed = true;
        in_time(self.clock.as_ref(), self.writer.feed(frame)).await
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        self.unflushed = false;
        in_time(self.clock.as_ref(), self.writer.flush()).await
    }

    async fn job_frame(&mut self, frame: JobFrame) -> Result<(), Stop> {
        match frame {
            JobFrame::State(message) => {
                let sealed = self.sealer.message(&message);
                if let Some(frame) = self.fitting(sealed)? {
                    self.feed(frame).await?;
                }
            }
            JobFrame::Output {
                job_id,
                text,
                _room,
            } => {
                for line in lines(&text) {
                    for piece in split_output(&job_id, line) {
                        let line = piece.to_owned();
                        let output = Message::JobOutput {
                            job_id: job_id.clone(),
                            line,
                        };
                        let sealed = self.sealer.message(&output);
                        if let Some(frame) = self.fitting(sealed)? {
                            self.feed(frame).await?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A frame that is too large costs itself and no nonce; any other fault costs the session.
    fn fitting(&self, sealed: Sealed<Vec<u8>>) -> Result<Option<Vec<u8>>, Stop> {
        match sealed {
            Ok(frame) => Ok(Some(frame)),
            Err(Error::Ours(Misuse::TooLarge)) => {
                tracing::error!(link = %self.link, "a frame was too large to be sent");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reports every piece of bulk that does not leave any more.
    async fn settle(mut self) {
        let link = self.link;
        let cut = self
            .stream
            .take()
            .and_then(|s| s.cut(link, StepFailure::LinkLost));
        self.reports.note(cut);
        self.outgoing.bulk.close();
        while let Some(upload) = self.outgoing.bulk.recv().await {
            self.reports.note(upload.link_lost(link));
        }
    }
}

/// Bounds the time in which the other side has to take something, so that one which only talks
/// holds up nobody who waits for its output to leave.
async fn in_time(
    clock: &dyn Clock,
    taken: impl Future<Output = Result<(), NetError>>,
) -> Result<(), NetError> {
    let patience = clock.now().mono + SILENCE;
    tokio::select! {
        biased;
        outcome = taken => outcome,
        () = clock.sleep_until(patience) => Err(NetError::TimedOut(SILENCE)),
    }
}

/// Waits for the next frame of a stream; for ever without one.
async fn next(stream: &mut Option<Stream>, link: LinkId, sealer: &mut Sealer) -> Sealed<Next> {
    match stream {
        Some(stream) => stream.next(link, sealer).await,
        None => std::future::pending().await,
    }
}

/// Cuts text after each `\n`, `\r\n` or lone `\r`; what follows the last one is a line too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = match rest.find(['\n', '\r']) {
            Some(at) if rest.as_bytes().get(at..at + 2) == Some(b"\r\n") => at + 2,
            Some(at) => at + 1,
            None => rest.len(),
        };
        let (line, later) = rest.split_at(end);
        rest = later;
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Covers: R-38
    #[test]
    fn output_is_cut_after_every_kind_of_terminator_and_keeps_it() {
        let text = "a\nb\r\nc\rd\r\r\n\ne";
        let cut: Vec<&str> = lines(text).collect();
        assert_eq!(cut, ["a\n", "b\r\n", "c\r", "d\r", "\r\n", "\n", "e"]);
        assert_eq!(cut.concat(), text);
    }
}
