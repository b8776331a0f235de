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
