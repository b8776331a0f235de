//! [`Download`]: artifacts that come in over a link, as their offloader (peer-link.md §5.10).
use std::sync::Arc;
use std::time::Duration;

use kiln_domain::work;
use kiln_domain::work::DownloadFailure;
use kiln_model::{ArtifactsRefusal, BlobId, FirmwareOffset, LinkId, Mono, Sentence, WireJobId};
use kiln_peer_link::{Chunk, StreamFault};
use kiln_ports::Store;

use super::blob_writer::BlobWriter;
use super::reports::Report;

/// Silence of a download after which it is given up although the link lives (peer-link.md §11,
/// Q10). Looked at with every heartbeat, so up to 30 s later.
const STALL: Duration = Duration::from_secs(120);

/// A requested stream and what is there of it.
pub(super) struct Download {
    job_id: WireJobId,
    stream: kiln_peer_link::Download,
    tarball: BlobWriter,
    heard: Mono,
}

impl Download {
    /// Begins with the request.
    pub(super) fn new(job_id: WireJobId, store: Arc<dyn Store>, blob: BlobId, now: Mono) -> Self {
        Self {
            job_id,
            stream: kiln_peer_link::Download::new(),
            tarball: BlobWriter::new(store, blob),
            heard: now,
        }
    }

    /// Refuses a request that this side must not make: one download per link, and only of
    /// receivers.
    pub(super) fn out_of_turn(link: LinkId, job_id: WireJobId) -> work::Event {
        let reason = Some(ArtifactsRefusal::DuplicateDownload);
        let failure = DownloadFailure::Refused(reason, Sentence::default());
        work::Event::Downloaded(link, job_id, Err(failure))
    }

    /// Returns whether frames of this job belong here.
    pub(super) fn is_of(&self, job_id: &str) -> bool {
        self.job_id.0 == job_id
    }

    /// Takes the header.
    pub(super) fn start(
        &mut self,
        total_bytes: i64,
        num_chunks: i64,
        sha256: &str,
        offset: FirmwareOffset,
        now: Mono,
    ) -> Result<(), StreamFault> {
        self.heard = now;
        self.stream.start(total_bytes, num_chunks, sha256, offset)
    }

    /// Takes a chunk.
    pub(super) async fn chunk(&mut self, chunk: Chunk<'_>, now: Mono) -> Result<(), StreamFault> {
        self.heard = now;
        let bytes = self.stream.chunk(chunk)?;
        self.tarball.write(&bytes).await;
        Ok(())
    }

    /// Takes the end.
    pub(super) async fn end(
        self,
        link: LinkId,
        verdict: Result<(), (Option<ArtifactsRefusal>, String)>,
    ) -> Report {
        match self.stream.end(verdict) {
            Ok(_) => Report::Download(self.job_id, self.tarball),
            Err(fault) => {
                self.tarball.discard().await;
                failed(link, self.job_id, failure_of(fault))
            }
        }
    }

    /// Gives the download up.
    pub(super) async fn fail(self, link: LinkId, failure: DownloadFailure) -> Report {
        self.tarball.discard().await;
        failed(link, self.job_id, failure)
    }

    /// Returns whether nothing came for too long.
    pub(super) fn is_stalled(&self, now: Mono) -> bool {
        now.since(self.heard) >= STALL
    }
}

fn failed(link: LinkId, job_id: WireJobId, failure: DownloadFailure) -> Report {
    Report::Event(Box::new(work::Event::Downloaded(
        link,
        job_id,
        Err(failure),
    )))
}

/// Says for the domain how a stream broke.
pub(super) fn failure_of(fault: StreamFault) -> DownloadFailure {
    match fault {
        StreamFault::Refused(reason, detail) => DownloadFailure::Refused(reason, detail.into()),
        fault @ (StreamFault::InvalidStartHeader
        | StreamFault::Assembler(_)
        | StreamFault::MissingStart) => DownloadFailure::Invalid(fault.word().into()),
    }
}
