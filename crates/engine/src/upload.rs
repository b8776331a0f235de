//! [`Upload`] and [`Stream`]: bulk that goes out over a link: bundles of an offloader, artifacts of
//! a receiver (peer-link.md §5.6, §5.10).
use std::path::PathBuf;

use kiln_domain::work;
use kiln_domain::work::StepFailure;
use kiln_model::{ArtifactsRefusal, LinkId, Message, SubmitHeader, WireJobId};
use kiln_peer_link::{Chunker, Piece, Sealer};

use crate::blob_reader::BlobReader;
use crate::links::Tarball;

/// An order to send bulk.
pub(crate) enum Upload {
    Bundle {
        header: Box<SubmitHeader>,
        path: PathBuf,
    },
    Artifacts {
        job_id: WireJobId,
        tarball: Tarball,
    },
}

impl Upload {
    /// Reports that the link was gone before anything of this was sent.
    pub(crate) fn link_lost(self, link: LinkId) -> work::Event {
        match self {
            Upload::Bundle { header, .. } => {
                work::Event::Uploaded(link, header.job_id, Err(StepFailure::LinkLost))
            }
            Upload::Artifacts { job_id, .. } => work::Event::ArtifactsServed(link, job_id),
        }
    }
}

/// Bulk under way. Its frames are made one by one, when the link has room for one.
pub(crate) struct Stream {
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
    Artifacts,
}

/// What comes next of a stream.
pub(crate) enum Next {
    /// Send this frame.
    Frame(Vec<u8>),
    /// Nothing more: tell the domain.
    End(Option<Vec<u8>>, Box<work::Event>),
}

/// The sealer is used up or our own frame was too large; the session cannot go on.
pub(crate) type Sealed<T> = Result<T, kiln_peer_link::Error>;

impl Stream {
    /// Begins a stream; the frame announces it.
    pub(crate) fn begin(upload: Upload, sealer: &mut Sealer) -> Sealed<(Vec<u8>, Self)> {
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
                tarball,
            } => {
                total = tarball.bytes;
                frame = sealer.message(&Message::ArtifactsStart {
                    job_id: id.clone(),
                    total_bytes: i64::try_from(total).unwrap_or(i64::MAX),
                    num_chunks: count(&Chunker::new(total, size)),
                    artifacts_sha256: tarball.sha256,
                    firmware_offset: tarball.firmware_offset,
                })?;
                (kind, job_id, path) = (Kind::Artifacts, id, tarball.path);
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
    pub(crate) async fn next(&mut self, link: LinkId, sealer: &mut Sealer) -> Sealed<Next> {
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
            Kind::Artifacts => self.end(link, sealer),
        }
    }

    /// Returns whether this is the bundle of `job_id`, which the receiver refused meanwhile.
    pub(crate) fn is_bundle_of(&self, job_id: &WireJobId) -> bool {
        matches!(self.kind, Kind::Bundle) && self.job_id == *job_id
    }

    /// Reports a stream that ends before its last frame: refused by the receiver, or cut off.
    pub(crate) fn cut(self, link: LinkId, failure: StepFailure) -> work::Event {
        match self.kind {
            Kind::Bundle => work::Event::Uploaded(link, self.job_id, Err(failure)),
            Kind::Artifacts => work::Event::ArtifactsServed(link, self.job_id),
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
                let told = |why| Err(StepFailure::Failed(format!("The bundle {why}")));
                let outcome = failure.map_or(Ok(()), told);
                Ok(Next::End(
                    None,
                    Box::new(work::Event::Uploaded(link, job_id, outcome)),
                ))
            }
            Kind::Artifacts => {
                let refused = |why| Err((Some(ArtifactsRefusal::StreamFailed), why));
                let verdict = failure.map_or(Ok(()), refused);
                let end = sealer.message(&Message::ArtifactsEnd {
                    job_id: job_id.clone(),
                    verdict,
                })?;
                Ok(Next::End(
                    Some(end),
                    Box::new(work::Event::ArtifactsServed(link, job_id)),
                ))
            }
        }
    }
}

fn count(pieces: &Chunker) -> i64 {
    i64::try_from(pieces.num_chunks()).unwrap_or(i64::MAX)
}
