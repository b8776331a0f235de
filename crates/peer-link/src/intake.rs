//! [`Intake`]: the uploads of one session as its receiver judges them (peer-link.md §5.6).
//!
//! It holds the header and a running digest, never the bundle: the caller writes the bytes of each
//! step to disk. Dropping it with its session drops the upload.
use std::borrow::Cow;

use kiln_model::witness::DigestVerified;
use kiln_model::{ConfigurationName, Message, SubmitHeader, SubmitRefusal, Target, WireJobId};

use crate::chunk::{Assembler, Chunk};
use crate::limits::{MAX_BUNDLE, MAX_JOB_ID};

/// At most one upload in progress.
#[derive(Default)]
pub struct Intake(Option<Upload>);

struct Upload {
    header: Box<SubmitHeader>,
    configuration: ConfigurationName,
    assembler: Assembler,
}

/// What a good chunk leads to.
pub enum Fed<'a> {
    /// Append these bytes to the bundle.
    Write(Cow<'a, [u8]>),
    /// Append these bytes; then the bundle is complete. Once it is durable, send
    /// [`Submission::ack`] before anything else about the job.
    Complete(Cow<'a, [u8]>, Submission),
}

/// A complete bundle whose size and digest are as announced.
#[derive(Debug)]
pub struct Submission {
    /// The header, judged.
    pub header: Box<SubmitHeader>,
    /// The configuration's file name.
    pub configuration: ConfigurationName,
    /// Proof of size and digest.
    pub verified: DigestVerified,
}

impl Submission {
    /// Returns the positive acknowledgement.
    pub fn ack(&self) -> Message {
        Message::SubmitJobAck {
            job_id: self.header.job_id.clone(),
            verdict: Ok(()),
        }
    }
}

/// A refused header or chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What to send.
    pub ack: Message,
    /// Why.
    pub reason: SubmitRefusal,
    /// What becomes of the upload in progress.
    pub upload: UploadFate,
    /// What becomes of the session.
    pub session: SessionFate,
}

/// What a refusal does to the upload in progress, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFate {
    /// It goes on.
    Kept,
    /// It is over: delete what was written.
    Dropped,
}

/// What a refusal does to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFate {
    /// It goes on.
    Stays,
    /// It ends with `terminate`/`malformed_frame` after the acknowledgement.
    Terminates,
}

impl Intake {
    /// Starts without an upload.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges a header. A good one is not acknowledged; begin an empty bundle.
    ///
    /// `is_preparing` tells whether an accepted upload of this peer with this id is still being
    /// unpacked.
    ///
    /// # Errors
    /// The first failing row of the header table. The session and an upload in progress go on.
    pub fn header(
        &mut self,
        header: SubmitHeader,
        is_preparing: impl FnOnce(&WireJobId) -> bool,
    ) -> Result<&SubmitHeader, Refused> {
        let upload = self.judge(&header, is_preparing);
        let (configuration, assembler) = upload.map_err(|reason| Refused {
            ack: refusal(&header.job_id, reason),
            reason,
            upload: UploadFate::Kept,
            session: SessionFate::Stays,
        })?;
        let upload = self.0.insert(Upload {
            header: Box::new(header),
            configuration,
            assembler,
        });
        Ok(&upload.header)
    }

    fn judge(
        &self,
        header: &SubmitHeader,
        is_preparing: impl FnOnce(&WireJobId) -> bool,
    ) -> Result<(ConfigurationName, Assembler), SubmitRefusal> {
        let name = header.configuration_filename.parse();
        let configuration = name.map_err(|_| SubmitRefusal::InvalidHeader)?;
        if header.job_id.0.len() > MAX_JOB_ID {
            return Err(SubmitRefusal::InvalidHeader);
        }
        if self.0.is_some() || is_preparing(&header.job_id) {
            return Err(SubmitRefusal::DuplicateSubmit);
        }
        if header.target == "upload" {
            return Err(SubmitRefusal::UploadUnsupported);
        }
        Target::from_word(&header.target).ok_or(SubmitRefusal::InvalidHeader)?;
        let assembler = Assembler::new(
            header.total_bundle_bytes,
            header.num_chunks,
            &header.bundle_sha256,
            MAX_BUNDLE,
        )?;
        Ok((configuration, assembler))
    }

    /// Judges a chunk.
    ///
    /// # Errors
    /// The first failing row of the chunk table.
    pub fn chunk<'a>(&mut self, chunk: Chunk<'a>) -> Result<Fed<'a>, Refused> {
        let Some(upload) = self.0.as_mut() else {
            return Err(Refused::of_stray(&chunk, SubmitRefusal::NoInflightSubmit));
        };
        if upload.header.job_id.0 != chunk.job_id {
            return Err(Refused::of_stray(&chunk, SubmitRefusal::JobIdMismatch));
        }
        let bytes = match upload.assembler.feed(chunk) {
            Ok(bytes) if !upload.assembler.is_complete() => return Ok(Fed::Write(bytes)),
            Ok(bytes) => bytes,
            Err(reason) => return Err(self.drop_upload(reason)),
        };
        let Some(upload) = self.0.take() else {
            return Ok(Fed::Write(bytes));
        };
        let job_id = upload.header.job_id.clone();
        match upload.assembler.finish() {
            Ok(verified) => Ok(Fed::Complete(
                bytes,
                Submission {
                    header: upload.header,
                    configuration: upload.configuration,
                    verified,
                },
            )),
            Err(reason) => Err(Refused::of_upload(&job_id, reason)),
        }
    }

    /// Gives the upload in progress up because this side cannot store it, and returns a refusal
    /// without a reason: the protocol has no word for a full disk.
    pub fn abort(&mut self) -> Option<Message> {
        let upload = self.0.take()?;
        Some(Message::SubmitJobAck {
            job_id: upload.header.job_id,
            verdict: Err(None),
        })
    }

    /// Returns whether an upload is in progress; a reset is refused meanwhile.
    pub fn is_busy(&self) -> bool {
        self.0.is_some()
    }

    fn drop_upload(&mut self, reason: SubmitRefusal) -> Refused {
        let upload = self.0.take();
        let job_id = upload.map_or(WireJobId(String::new()), |upload| upload.header.job_id);
        Refused::of_upload(&job_id, reason)
    }
}

impl Refused {
    /// A chunk that belongs to no upload: whatever is in progress goes on.
    fn of_stray(chunk: &Chunk<'_>, reason: SubmitRefusal) -> Self {
        Self {
            ack: refusal(&WireJobId(chunk.job_id.clone().into_owned()), reason),
            reason,
            upload: UploadFate::Kept,
            session: SessionFate::Stays,
        }
    }

    /// A chunk that ends its upload.
    fn of_upload(job_id: &WireJobId, reason: SubmitRefusal) -> Self {
        Self {
            ack: refusal(job_id, reason),
            reason,
            upload: UploadFate::Dropped,
            session: session_fate(reason),
        }
    }
}

fn refusal(job_id: &WireJobId, reason: SubmitRefusal) -> Message {
    Message::SubmitJobAck {
        job_id: job_id.clone(),
        verdict: Err(Some(reason)),
    }
}

/// The last column of the chunk table.
fn session_fate(reason: SubmitRefusal) -> SessionFate {
    match reason {
        SubmitRefusal::InvalidChunk
        | SubmitRefusal::ChunkDecodeFailed
        | SubmitRefusal::OutOfOrder
        | SubmitRefusal::ChunkCountMismatch
        | SubmitRefusal::PostCompletion => SessionFate::Terminates,
        SubmitRefusal::InvalidHeader
        | SubmitRefusal::DuplicateSubmit
        | SubmitRefusal::UploadUnsupported
        | SubmitRefusal::NoInflightSubmit
        | SubmitRefusal::JobIdMismatch
        | SubmitRefusal::EmptyBundle
        | SubmitRefusal::Oversized
        | SubmitRefusal::Undersized
        | SubmitRefusal::HashMismatch => SessionFate::Stays,
    }
}
