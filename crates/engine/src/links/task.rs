//! The reading half of an open session: every frame that arrives, the heartbeat, and the end.
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kiln_domain::work;
use kiln_model::{CloseReason, LinkId, Message, Mono, Pin, TerminateReason, WireJobId};
use kiln_peer_link::limits::MAX_OFFLOADER_CIPHERTEXT;
use kiln_peer_link::{
    Beat, Chunk, Error, Fed, Frame, FrameFault, Heartbeat, Intake, Misbehaviour, Opener, Refused,
    Session, SessionFate, Side, UploadFate,
};
use kiln_ports::net::{Connection, Incoming, NetError, Reader};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::blob_writer::BlobWriter;
use super::download::{Download, failure_of};
use super::last_heard::LastHeard;
use super::reports::{self, Report, Reports};
use super::writer::{self, Flooded, Outbox};
use super::{Command, Ends, Shared, link_lost};

/// Time for the last words of a session to leave, when the other side does not read.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Time for the other side's last words to arrive, once it does not take ours any more.
const ITS_LAST_WORDS: Duration = Duration::from_secs(2);

/// Longest time without a byte of an upload. Its sender is alive and hangs, and whoever waits for
/// this upload to be over would wait for ever.
const UPLOAD_STALL: Duration = Duration::from_secs(120);

/// Drives an open session to its end and says why it ended. When it returns, nothing of the
/// connection is left and everything else was told to the domain.
pub(super) async fn run(
    shared: Arc<Shared>,
    link: LinkId,
    connection: Connection,
    session: Session,
    ends: Ends,
) -> CloseReason {
    let Connection {
        mut reader,
        writer,
        peer: _,
    } = connection;
    let Ends {
        mut inbox,
        outbox,
        outgoing,
        heard,
    } = ends;
    // Above the limit of a session, so that a receiver can still say what was wrong.
    reader.limit(MAX_OFFLOADER_CIPHERTEXT);
    let (side, pin) = (session.side(), session.pin());
    let (sealer, opener) = session.split();
    let (reports, queue) = Reports::new();
    let telling = reports::run(Arc::clone(&shared), link, pin, outbox.clone(), queue);
    let telling = tokio::spawn(telling);
    let (give_up, given_up) = oneshot::channel();
    let clock = Arc::clone(&shared.clock);
    let writing = writer::run(
        link,
        writer,
        sealer,
        outgoing,
        reports.clone(),
        clock,
        given_up,
    );
    let mut writing = tokio::spawn(writing);

    let heartbeat = Heartbeat::new(shared.clock.now().mono);
    let mut task = Task {
        link,
        side,
        pin,
        reader,
        opener,
        heartbeat,
        heard,
        outbox,
        reports,
        intake: Intake::new(),
        bundle: None,
        download: None,
        shared: Arc::clone(&shared),
    };
    let reason = task.read(&mut inbox, &mut writing).await;

    if !writing.is_finished() {
        let patience = shared.clock.now().mono + LAST_WORDS;
        tokio::select! {
            _ = &mut writing => {}
            () = shared.clock.sleep_until(patience) => {
                drop(give_up);
                // A panic in there is in the log already, and the session is over either way.
                let _ = writing.await;
            }
        }
    }
    inbox.close();
    while let Some(command) = inbox.recv().await {
        task.too_late(command).await;
    }
    task.settle().await;
    let _ = telling.await;
    reason
}

struct Task {
    link: LinkId,
    side: Side,
    pin: Pin,
    reader: Box<dyn Reader>,
    opener: Opener,
    heartbeat: Heartbeat,
    heard: LastHeard,
    outbox: Outbox,
    reports: Reports,
    intake: Intake,
    bundle: Option<Arriving>,
    download: Option<Download>,
    shared: Arc<Shared>,
}

/// An upload in progress.
struct Arriving {
    job_id: WireJobId,
    bundle: BlobWriter,
    /// When its last bytes came.
    moved: Mono,
}

/// The session is over, for this reason.
struct Over(CloseReason);

impl From<Flooded> for Over {
    fn from(_: Flooded) -> Self {
        Over(CloseReason::TransportError(
            "the other side asks and does not read".into(),
        ))
    }
}

impl Task {
    async fn read(
        &mut self,
        inbox: &mut tokio::sync::mpsc::UnboundedReceiver<Command>,
        writing: &mut JoinHandle<()>,
    ) -> CloseReason {
        let clock = Arc::clone(&self.shared.clock);
        let mut tick = clock.sleep_until(self.heartbeat.poll_timeout());
        loop {
            let step = tokio::select! {
                incoming = self.reader.next() => self.incoming(incoming).await,
                Some(command) = inbox.recv() => self.command(command).await,
                () = &mut tick => {
                    let step = self.tick().await;
                    tick = clock.sleep_until(self.heartbeat.poll_timeout());
                    step
                }
                _ = &mut *writing => return self.its_last_words().await,
            };
            if let Err(Over(reason)) = step {
                return reason;
            }
        }
    }

    async fn incoming(&mut self, incoming: Result<Incoming, NetError>) -> Result<(), Over> {
        match incoming {
            Ok(Incoming::Binary(mut message)) => match self.opener.open(&mut message) {
                Ok(frame) => {
                    let now = self.shared.clock.now().mono;
                    self.heartbeat.heard(now);
                    self.heard.set(now);
                    self.frame(frame).await
                }
                Err(error) => Err(self.misbehaved(&error)),
            },
            Ok(Incoming::Text) => Err(self.misbehaved(&Misbehaviour::Text.into())),
            Ok(Incoming::Closed(_)) => {
                self.outbox.end(None);
                Err(Over(CloseReason::PeerHungUp))
            }
            Err(NetError::TooLarge(_)) => Err(self.misbehaved(&Misbehaviour::TooLarge.into())),
            Err(
                error @ (NetError::Failed(_) | NetError::NoFreePort { .. } | NetError::TimedOut(_)),
            ) => {
                tracing::debug!(link = %self.link, %error, "the link broke");
                self.outbox.end(None);
                Err(Over(CloseReason::PeerHungUp))
            }
        }
    }

    async fn frame(&mut self, frame: Frame<'_>) -> Result<(), Over> {
        match frame {
            Frame::Message(message) => self.message(message).await,
            Frame::SubmitJob(header) => {
                let preparing = |id: &_| self.shared.is_preparing(self.pin, id);
                match self.intake.header(header, preparing) {
                    Ok(header) => {
                        let job_id = header.job_id.clone();
                        self.bundle = Some(Arriving {
                            job_id: job_id.clone(),
                            bundle: BlobWriter::fresh(Arc::clone(&self.shared.store), "bundle"),
                            moved: self.shared.clock.now().mono,
                        });
                        self.tell(work::Event::SubmissionStarted(self.link, job_id))
                            .await;
                        Ok(())
                    }
                    Err(refused) => self.refused(refused).await,
                }
            }
            Frame::Chunk(chunk) => match self.side {
                Side::Receiver => self.bundle_chunk(chunk).await,
                Side::Offloader => {
                    self.artifacts_chunk(chunk).await;
                    Ok(())
                }
            },
            Frame::Ping(nonce) => Ok(self.outbox.pong(nonce)?),
            Frame::Pong | Frame::Ignored => Ok(()),
            Frame::Terminate(reason) => {
                self.outbox.end(None);
                Err(Over(reason))
            }
            Frame::Malformed(FrameFault::Ignore) => {
                tracing::debug!(link = %self.link, "a malformed frame was ignored");
                Ok(())
            }
            Frame::Malformed(FrameFault::Terminate { first }) => {
                if let Some(message) = first {
                    self.outbox.reply(message)?;
                }
                Err(self.terminate(TerminateReason::MalformedFrame))
            }
        }
    }

    async fn message(&mut self, message: Message) -> Result<(), Over> {
        match message {
            Message::ArtifactsStart {
                job_id,
                total_bytes,
                num_chunks,
                artifacts_sha256,
                firmware_offset,
            } => {
                let now = self.shared.clock.now().mono;
                if let Some(mut download) = self.download.take_if(|d| d.is_of(&job_id.0)) {
                    let started = download.start(
                        total_bytes,
                        num_chunks,
                        &artifacts_sha256,
                        firmware_offset,
                        now,
                    );
                    self.carry_on(download, started).await;
                }
                return Ok(());
            }
            Message::ArtifactsEnd { job_id, verdict } => {
                if let Some(download) = self.download.take_if(|d| d.is_of(&job_id.0)) {
                    let report = download.end(self.link, verdict).await;
                    self.reports.send(report).await;
                }
                return Ok(());
            }
            Message::Terminate(_)
            | Message::QueueStatus(_)
            | Message::SubmitJobAck { .. }
            | Message::JobStateChanged { .. }
            | Message::JobOutput { .. }
            | Message::CancelJob { .. }
            | Message::DownloadArtifacts { .. }
            | Message::ResetBuildEnv { .. }
            | Message::ResetBuildEnvAck { .. } => {}
        }
        self.tell(work::Event::Received(self.link, message)).await;
        Ok(())
    }

    async fn bundle_chunk(&mut self, chunk: Chunk<'_>) -> Result<(), Over> {
        let fed = match self.intake.chunk(chunk) {
            Ok(fed) => fed,
            Err(refused) => return self.refused(refused).await,
        };
        let (bytes, complete) = match fed {
            Fed::Write(bytes) => (bytes, None),
            Fed::Complete(bytes, submission) => (bytes, Some(submission)),
        };
        if let Some(arriving) = &mut self.bundle {
            if !bytes.is_empty() {
                arriving.moved = self.shared.clock.now().mono;
            }
            arriving.bundle.write(&bytes).await;
        }
        if let Some(submission) = complete
            && let Some(Arriving { bundle, .. }) = self.bundle.take()
        {
            self.shared.prepare(self.pin, &submission.header.job_id);
            self.reports
                .send(Report::Submission(Box::new(submission), bundle))
                .await;
        }
        Ok(())
    }

    async fn refused(&mut self, refused: Refused) -> Result<(), Over> {
        if refused.upload == UploadFate::Dropped
            && let Some(Arriving { job_id, bundle, .. }) = self.bundle.take()
        {
            bundle.discard().await;
            self.tell(work::Event::SubmissionDropped(self.link, job_id))
                .await;
        }
        self.outbox.reply(refused.ack)?;
        match refused.session {
            SessionFate::Stays => Ok(()),
            SessionFate::Terminates => Err(self.terminate(TerminateReason::MalformedFrame)),
        }
    }

    async fn artifacts_chunk(&mut self, chunk: Chunk<'_>) {
        if let Some(mut download) = self.download.take_if(|d| d.is_of(&chunk.job_id)) {
            let now = self.shared.clock.now().mono;
            let fed = download.chunk(chunk, now).await;
            self.carry_on(download, fed).await;
        }
    }

    /// Keeps a download that goes on, and reports one that does not.
    async fn carry_on(
        &mut self,
        download: Download,
        step: Result<(), kiln_peer_link::StreamFault>,
    ) {
        match step {
            Ok(()) => self.download = Some(download),
            Err(fault) => {
                let report = download.fail(self.link, failure_of(fault)).await;
                self.reports.send(report).await;
            }
        }
    }

    async fn command(&mut self, command: Command) -> Result<(), Over> {
        match command {
            Command::Download(job_id, blob) => match (&self.side, &self.download) {
                (Side::Offloader, None) => {
                    let (store, now) = (&self.shared.store, self.shared.clock.now().mono);
                    self.download =
                        Some(Download::new(job_id.clone(), Arc::clone(store), blob, now));
                    self.outbox.message(Message::DownloadArtifacts { job_id });
                    Ok(())
                }
                (Side::Offloader, Some(_)) | (Side::Receiver, _) => {
                    let refused = Download::out_of_turn(self.link, job_id);
                    self.tell(refused).await;
                    Ok(())
                }
            },
            Command::Close(Some(reason)) => Err(self.terminate(reason)),
            Command::Close(None) => {
                self.outbox.end(None);
                Err(Over(CloseReason::WeTerminated(
                    TerminateReason::ClientStopped,
                )))
            }
            Command::ShutDown => Err(self.terminate(match self.side {
                Side::Receiver => TerminateReason::ServerShuttingDown,
                Side::Offloader => TerminateReason::ClientStopped,
            })),
            // Answered already.
            Command::Answer(_) => Ok(()),
        }
    }

    /// Every 30 s: is the other side alive, and do its upload and our download get on?
    async fn tick(&mut self) -> Result<(), Over> {
        let now = self.shared.clock.now().mono;
        if let Some(stalled) = self.download.take_if(|d| d.is_stalled(now)) {
            let report = stalled
                .fail(self.link, work::DownloadFailure::Stalled)
                .await;
            self.reports.send(report).await;
        }
        let hangs = |arriving: &Arriving| now.since(arriving.moved) >= UPLOAD_STALL;
        let beat = match &self.bundle {
            Some(arriving) if hangs(arriving) => Beat::Dead,
            Some(_) | None => self.heartbeat.handle_timeout(now),
        };
        match beat {
            Beat::Wait => Ok(()),
            Beat::Ping(number) => {
                self.outbox.ping(number);
                Ok(())
            }
            Beat::Dead => {
                self.outbox.end(match self.side {
                    Side::Receiver => Some(TerminateReason::HeartbeatTimeout),
                    Side::Offloader => None,
                });
                Err(Over(CloseReason::HeartbeatTimeout))
            }
        }
    }

    /// Ends the session as peer-link.md §5.1 asks of our side.
    fn misbehaved(&self, error: &Error) -> Over {
        tracing::debug!(link = %self.link, %error, "the link ends");
        match self.side {
            Side::Receiver => self.terminate(TerminateReason::MalformedFrame),
            Side::Offloader => {
                self.outbox.end(None);
                Over(CloseReason::TransportError(error.to_string().into()))
            }
        }
    }

    fn terminate(&self, reason: TerminateReason) -> Over {
        self.outbox.end(Some(reason));
        Over(CloseReason::WeTerminated(reason))
    }

    /// The connection cannot be written to; a `terminate` may still be on its way to us.
    async fn its_last_words(&mut self) -> CloseReason {
        let clock = Arc::clone(&self.shared.clock);
        let mut patience = pin!(clock.sleep_until(clock.now().mono + ITS_LAST_WORDS));
        loop {
            let incoming = tokio::select! {
                incoming = self.reader.next() => incoming,
                () = &mut patience => return CloseReason::PeerHungUp,
            };
            let Ok(Incoming::Binary(mut message)) = incoming else {
                return CloseReason::PeerHungUp;
            };
            match self.opener.open(&mut message) {
                Ok(Frame::Terminate(reason)) => return reason,
                Ok(_) => {}
                Err(_) => return CloseReason::PeerHungUp,
            }
        }
    }

    async fn too_late(&mut self, command: Command) {
        match command {
            Command::Download(job_id, _) => self.tell(link_lost(self.link, job_id)).await,
            Command::Answer(_) | Command::Close(_) | Command::ShutDown => {}
        }
    }

    /// Gives up what was under way.
    async fn settle(mut self) {
        if let Some(arriving) = self.bundle.take() {
            arriving.bundle.discard().await;
        }
        if let Some(download) = self.download.take() {
            let report = download
                .fail(self.link, work::DownloadFailure::LinkLost)
                .await;
            self.reports.send(report).await;
        }
    }

    async fn tell(&mut self, event: work::Event) {
        self.reports.send(Report::Event(Box::new(event))).await;
    }
}
