//! [`Upload`] and [`Stream`]: bulk that goes out over a link: bundles of an offloader, artifacts of
//! a receiver (peer-link.md §5.6, §5.10).
use std::path::PathBuf;

use kiln_archive::PackedArtifacts;
use kiln_domain::work;
use kiln_domain::work::StepFailure;
use kiln_model::{ArtifactsRefusal, LinkId, Message, SubmitHeader, WireJobId};
use kiln_peer_link::{Chunker, Piece, Sealer};
use tokio::sync::oneshot;

use super::blob_reader::BlobReader;

/// An order to send bulk.
pub(super) enum Upload {
    Bundle {
        header: Box<SubmitHeader>,
        path: PathBuf,
    },
    Artifacts {
        job_id: WireJobId,
        path: PathBuf,
        packed: Box<PackedArtifacts>,
        /// Dropped when the file is no longer needed.
        served: oneshot::Sender<()>,
    },
}

impl Upload {
    /// Returns what the domain has to hear if nothing of this was sent.
    pub(super) fn link_lost(self, link: LinkId) -> Option<work::Event> {
        match self {
            Upload::Bundle { header, .. } => {
                Some(uploaded(link, header.job_id, Err(StepFailure::LinkLost)))
            }
            // Whoever waits for the end of it is woken by the drop.
            Upload::Artifacts { .. } => None,
        }
    }
}

/// Bulk under way. Its frames are made one by one, when the link has room for one.
pub(super) struct Stream {
    kind: Kind,
    job_id: WireJobId,
    pieces: Chunker,
    next: Option<Piece>,
    file: BlobReader,
    failure: Option<String>,
    zeros: Vec<u8>,
}

enum Kind {
    Bundle,
    /// Dropped with the stream: its file is no longer needed.
    Artifacts(#[expect(dead_code, reason = "its drop is the message")] oneshot::Sender<()>),
}

/// What comes next of a stream.
pub(super) enum Next {
    /// Send this frame.
    Frame(Vec<u8>),
    /// Nothing more, but perhaps this frame and this event.
    End(Option<Vec<u8>>, Option<Box<work::Event>>),
}

/// The sealer is used up or our own frame was too large; the session cannot go on.
pub(super) type Sealed<T> = Result<T, kiln_peer_link::Error>;

impl Stream {
    /// Begins a stream; the frame announces it.
    pub(super) fn begin(upload: Upload, sealer: &mut Sealer) -> Sealed<(Vec<u8>, Self)> {
        let size = sealer.chunk_size();
        let (kind, job_id, path, total, frame);
        match upload {
            Upload::Bundle {
                mut header,
                path: bundle,
            } => {
                total = u64::try_from(header.total_bundle_bytes).unwrap_or(0);
                header.num_chunks = count(&Chunker::new(total, size));
                frame = sealer.header(&header)?;
                (kind, job_id, path) = (Kind::Bundle, header.job_id, bundle);
            }
            Upload::Artifacts {
                job_id: id,
                path: tarball,
                packed,
                served,
            } => {
                total = packed.facts.bytes;
                frame = sealer.message(&Message::ArtifactsStart {
                    job_id: id.clone(),
                    total_bytes: i64::try_from(total).unwrap_or(i64::MAX),
                    num_chunks: count(&Chunker::new(total, size)),
                    artifacts_sha256: packed.facts.sha256,
                    firmware_offset: packed.firmware_offset,
                })?;
                (kind, job_id, path) = (Kind::Artifacts(served), id, tarball);
            }
        }
        let mut pieces = Chunker::new(total, size);
        let next = pieces.next();
        let file = BlobReader::open(path, total, size);
        let stream = Self {
            kind,
            job_id,
            pieces,
            next,
            file,
            failure: None,
            zeros: Vec::new(),
        };
        Ok((frame, stream))
    }

    /// Makes the next frame. Cancel safe.
    pub(super) async fn next(&mut self, link: LinkId, sealer: &mut Sealer) -> Sealed<Next> {
        let Some(piece) = self.next else {
            return self.end(link, sealer);
        };
        if self.failure.is_none() {
            match self.file.piece(piece.len).await {
                Ok(bytes) => {
                    let frame = sealer.chunk(&self.job_id.0, piece, bytes)?;
                    self.next = self.pieces.next();
                    return Ok(Next::Frame(frame));
                }
                Err(error) => self.failure = Some(format!("could not be read here: {error}")),
            }
        }
        match self.kind {
            // The receiver has no word for a sender that gives up: zeros take the place of what is
            // missing, the digest does not match, and the session stays usable.
            Kind::Bundle => {
                self.zeros.resize(piece.len, 0);
                let frame = sealer.chunk(&self.job_id.0, piece, &self.zeros)?;
                self.next = self.pieces.next();
                Ok(Next::Frame(frame))
            }
            Kind::Artifacts(_) => self.end(link, sealer),
        }
    }

    /// Returns whether this is the bundle of `job_id`, which the receiver refused meanwhile.
    pub(super) fn is_bundle_of(&self, job_id: &WireJobId) -> bool {
        matches!(self.kind, Kind::Bundle) && self.job_id == *job_id
    }

    /// Returns what the domain has to hear of a stream that ends before its last frame.
    pub(super) fn cut(self, link: LinkId, failure: StepFailure) -> Option<work::Event> {
        match self.kind {
            Kind::Bundle => Some(uploaded(link, self.job_id, Err(failure))),
            Kind::Artifacts(_) => None,
        }
    }

    fn end(&mut self, link: LinkId, sealer: &mut Sealer) -> Sealed<Next> {
        let job_id = self.job_id.clone();
        let failure = self.failure.take();
        if let Some(failure) = &failure {
            tracing::warn!(%link, job = %job_id, %failure, "bulk was not sent whole");
        }
        match self.kind {
            Kind::Bundle => {
                let told = |why| Err(StepFailure::Failed(format!("The bundle {why}.").into()));
                let outcome = failure.map_or(Ok(()), told);
                let event = uploaded(link, job_id, outcome);
                Ok(Next::End(None, Some(Box::new(event))))
            }
            Kind::Artifacts(_) => {
                let refused = |why| Err((Some(ArtifactsRefusal::StreamFailed), why));
                let verdict = failure.map_or(Ok(()), refused);
                let end = sealer.message(&Message::ArtifactsEnd { job_id, verdict })?;
                Ok(Next::End(Some(end), None))
            }
        }
    }
}

fn uploaded(link: LinkId, job_id: WireJobId, outcome: Result<(), StepFailure>) -> work::Event {
    work::Event::Uploaded(link, job_id, outcome)
}

fn count(pieces: &Chunker) -> i64 {
    i64::try_from(pieces.num_chunks()).unwrap_or(i64::MAX)
}
