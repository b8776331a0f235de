//! [`Download`]: one artifact stream as its offloader judges it (peer-link.md §5.10).
use std::borrow::Cow;
use std::fmt;

use kiln_model::witness::DigestVerified;
use kiln_model::{ArtifactsRefusal, FirmwareOffset, SubmitRefusal};

use crate::chunk::{Assembler, Chunk};
use crate::limits::MAX_ARTIFACTS;

/// A requested stream. After the first error it is over: drop it, and what still comes for its job
/// is ignored.
#[derive(Default)]
pub struct Download(Option<(Assembler, FirmwareOffset)>);

/// Why a stream failed. The session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// The header breaks a rule, or comes twice.
    InvalidStartHeader,
    /// The stream breaks a rule.
    Assembler(SubmitRefusal),
    /// Chunks or success without a header.
    MissingStart,
    /// The receiver refused (`None`: without a word we know), with its detail for people.
    Refused(Option<ArtifactsRefusal>, String),
}

impl Download {
    /// Starts with the request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges `artifacts_start`; begin an empty tarball.
    ///
    /// # Errors
    /// [`StreamFault::InvalidStartHeader`].
    pub fn start(
        &mut self,
        total_bytes: i64,
        num_chunks: i64,
        sha256: &str,
        offset: FirmwareOffset,
    ) -> Result<(), StreamFault> {
        let assembler = Assembler::new(total_bytes, num_chunks, sha256, MAX_ARTIFACTS);
        match assembler {
            Ok(assembler) if self.0.is_none() => self.0 = Some((assembler, offset)),
            Ok(_) | Err(_) => return Err(StreamFault::InvalidStartHeader),
        }
        Ok(())
    }

    /// Judges `artifacts_chunk` and returns its bytes, to be appended at once.
    ///
    /// # Errors
    /// [`StreamFault::MissingStart`], [`StreamFault::Assembler`].
    pub fn chunk<'a>(&mut self, chunk: Chunk<'a>) -> Result<Cow<'a, [u8]>, StreamFault> {
        let (assembler, _) = self.0.as_mut().ok_or(StreamFault::MissingStart)?;
        assembler.feed(chunk).map_err(|reason| {
            StreamFault::Assembler(match reason {
                SubmitRefusal::ChunkDecodeFailed => SubmitRefusal::OutOfOrder,
                other => other,
            })
        })
    }

    /// Judges `artifacts_end`.
    ///
    /// # Errors
    /// [`StreamFault::Refused`], [`StreamFault::MissingStart`], [`StreamFault::Assembler`].
    pub fn end(
        self,
        verdict: Result<(), (Option<ArtifactsRefusal>, String)>,
    ) -> Result<(DigestVerified, FirmwareOffset), StreamFault> {
        verdict.map_err(|(reason, detail)| StreamFault::Refused(reason, detail))?;
        let (assembler, offset) = self.0.ok_or(StreamFault::MissingStart)?;
        let verified = assembler.finish().map_err(StreamFault::Assembler)?;
        Ok((verified, offset))
    }
}

impl StreamFault {
    /// Returns the code for reports.
    pub fn word(&self) -> &'static str {
        match self {
            StreamFault::InvalidStartHeader => "invalid_start_header",
            StreamFault::Assembler(reason) => reason.word(),
            StreamFault::MissingStart => "missing_start",
            StreamFault::Refused(Some(reason), _) => reason.word(),
            StreamFault::Refused(None, _) => "unknown",
        }
    }
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use kiln_model::FirmwareOffset::Zero;
    use serde_json::json;

    use super::*;
    use crate::frame::{Frame, decode};
    use crate::session::{Dialect, Side};

    const ABCD: &str = "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589";

    fn feed(
        download: &mut Download,
        index: i64,
        text: &str,
        last: bool,
    ) -> Result<(), StreamFault> {
        let frame = json!({"type": "artifacts_chunk", "job_id": "j", "chunk_index": index,
            "data_b64": text, "is_last": last});
        let mut bytes = serde_json::to_vec(&frame).unwrap();
        let Frame::Chunk(chunk) = decode(Side::Offloader, Dialect::Reference, &mut bytes).unwrap()
        else {
            panic!("a chunk");
        };
        download.chunk(chunk).map(|_| ())
    }

    fn begun() -> Download {
        let mut download = Download::new();
        download.start(4, 2, ABCD, Zero).unwrap();
        download
    }

    fn word<T>(result: Result<T, StreamFault>) -> &'static str {
        result.err().unwrap().word()
    }

    // Covers: O-30
    #[test]
    fn a_whole_stream_proves_its_digest() {
        let mut download = begun();
        feed(&mut download, 0, "YWI=", false).unwrap();
        feed(&mut download, 1, "Y2Q=", true).unwrap();
        assert_eq!(download.end(Ok(())).unwrap().1, Zero);
    }

    // Covers: O-30, O-31
    #[test]
    fn every_fault_of_a_stream_has_its_code() {
        for (bytes, chunks) in [(0, 1), (1, 0), (268_435_457, 1), (-1, -1)] {
            let started = Download::new().start(bytes, chunks, ABCD, Zero);
            assert_eq!(word(started), "invalid_start_header");
        }
        assert_eq!(
            word(begun().start(4, 2, ABCD, Zero)),
            "invalid_start_header"
        );
        assert_eq!(
            word(feed(&mut Download::new(), 0, "YWI=", false)),
            "missing_start"
        );
        assert_eq!(word(Download::new().end(Ok(()))), "missing_start");
        assert_eq!(word(feed(&mut begun(), 0, "YWI", false)), "out_of_order");
        assert_eq!(word(feed(&mut begun(), 1, "YWI=", false)), "out_of_order");
        assert_eq!(
            word(feed(&mut begun(), 0, "YWI=", true)),
            "chunk_count_mismatch"
        );
        assert_eq!(word(feed(&mut begun(), 0, "YWJjZGU=", false)), "oversized");
        assert_eq!(word(begun().end(Ok(()))), "undersized");
        let refused = |reason| word(begun().end(Err((reason, String::new()))));
        assert_eq!(refused(Some(ArtifactsRefusal::PackFailed)), "pack_failed");
        assert_eq!(refused(None), "unknown");
        let mut forged = begun();
        feed(&mut forged, 0, "YWI=", false).unwrap();
        feed(&mut forged, 1, "Y2U=", true).unwrap();
        assert_eq!(word(forged.end(Ok(()))), "hash_mismatch");
    }
}
