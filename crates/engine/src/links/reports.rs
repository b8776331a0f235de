//! [`Reports`]: what a link tells the domain, in order; some of it only once the disk has agreed.
//!
//! A task of its own, so that neither a slow disk nor a busy domain keeps the reader from
//! answering pings, and so that a frame that arrives after a bundle is told after the bundle.
use std::sync::Arc;

use kiln_domain::work;
use kiln_domain::work::DownloadFailure;
use kiln_model::{FailureReason, JobStatus, LinkId, Message, Pin, WireJobId};
use kiln_peer_link::Submission;
use kiln_ports::store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Shared;
use super::blob_writer::BlobWriter;
use super::writer::Outbox;

/// Reports that may wait; then the link stops reading.
const WAITING: usize = 256;

/// One thing to tell.
pub(super) enum Report {
    /// This happened.
    Event(Box<work::Event>),
    /// A bundle is complete: tell when it is durable.
    Submission(Box<Submission>, BlobWriter),
    /// A tarball is complete: tell when it is durable.
    Download(WireJobId, BlobWriter),
}

/// Where reports are put.
#[derive(Clone)]
pub(super) struct Reports {
    queue: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
}

/// A report, and the room it takes.
pub(super) struct Waiting(Report, Option<OwnedSemaphorePermit>);

impl Reports {
    /// Makes the queue.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Waiting>) {
        let (queue, reports) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(WAITING));
        (Self { queue, room }, reports)
    }

    /// Puts in what the reader has to say; waits while the domain is far behind.
    pub(super) async fn send(&self, report: Report) {
        let room = Arc::clone(&self.room).acquire_owned().await;
        self.put(report, room.ok());
    }

    /// Puts in one of the few things the writer has to say, if it has. It never waits: the domain may wait
    /// for the writer to send output.
    pub(super) fn note(&self, event: Option<work::Event>) {
        if let Some(event) = event {
            self.put(Report::Event(Box::new(event)), None);
        }
    }

    fn put(&self, report: Report, room: Option<OwnedSemaphorePermit>) {
        // The queue is read until its last writer is gone.
        let _ = self.queue.send(Waiting(report, room));
    }
}

/// Tells everything until all [`Reports`] are dropped.
pub(super) async fn run(
    shared: Arc<Shared>,
    link: LinkId,
    pin: Pin,
    outbox: Outbox,
    mut queue: mpsc::UnboundedReceiver<Waiting>,
) {
    while let Some(Waiting(report, _room)) = queue.recv().await {
        match report {
            Report::Event(event) => shared.emit(*event).await,
            Report::Submission(submission, blob) => {
                let Submission {
                    header,
                    configuration,
                    verified,
                } = *submission;
                match blob.finish().await {
                    Ok(bundle) => {
                        let arrived = work::Event::SubmissionArrived {
                            link,
                            pin,
                            header,
                            configuration,
                            bundle,
                            verified,
                        };
                        shared.emit(arrived).await;
                    }
                    Err(error) => {
                        tracing::warn!(%link, %error, "a bundle could not be stored");
                        shared.submission_settled(pin, &header.job_id);
                        let dropped = work::Event::SubmissionDropped(link, header.job_id.clone());
                        shared.emit(dropped).await;
                        lament(&outbox, header.job_id, &error);
                    }
                }
            }
            Report::Download(job_id, blob) => {
                let outcome = blob.finish().await;
                let outcome = outcome.map_err(|e| DownloadFailure::Disk(e.sentence()));
                shared
                    .emit(work::Event::Downloaded(link, job_id, outcome))
                    .await;
            }
        }
    }
}

/// Tells an offloader that its bundle arrived well and cannot be built here.
///
/// No refusal word fits a receiver whose disk is full, and one without a word leaves the
/// offloader's owner without an explanation and without firmware. So the bundle is acknowledged,
/// which is true, and its job fails with the category that makes every offloader build elsewhere
/// (peer-link.md §5.8, O-27) and a sentence that says why.
fn lament(outbox: &Outbox, job_id: WireJobId, error: &StoreError) {
    outbox.message(Message::SubmitJobAck {
        job_id: job_id.clone(),
        verdict: Ok(()),
    });
    outbox.message(Message::JobStateChanged {
        job_id,
        status: JobStatus::Failed,
        error_message: format!("the receiver could not store the bundle: {error}"),
        failure_reason: Some(FailureReason::Provision),
    });
}
