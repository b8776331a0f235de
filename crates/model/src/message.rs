//! [`Message`]: every session frame, decoded and checked (peer-link.md §5).
use crate::link::words;
use crate::{
    ArtifactsRefusal, EsphomeVersion, FailureReason, FirmwareOffset, JobStatus, QueueStatus,
    TerminateReason, WireJobId,
};

words! {
    /// Why a submission was refused (peer-link.md §6.7).
    SubmitRefusal {
        /// Header malformed or file name refused.
        InvalidHeader = "invalid_header",
        /// Chunk malformed.
        InvalidChunk = "invalid_chunk",
        /// An upload is in progress.
        DuplicateSubmit = "duplicate_submit",
        /// Receivers never flash.
        UploadUnsupported = "upload_unsupported",
        /// Chunk without header.
        NoInflightSubmit = "no_inflight_submit",
        /// Chunk of another job.
        JobIdMismatch = "job_id_mismatch",
        /// Bad base64.
        ChunkDecodeFailed = "chunk_decode_failed",
        /// Zero bytes announced.
        EmptyBundle = "empty_bundle",
        /// Zero chunks, or `is_last` at the wrong place.
        ChunkCountMismatch = "chunk_count_mismatch",
        /// Above 128 MiB or above the announced size.
        Oversized = "oversized",
        /// Fewer bytes than announced.
        Undersized = "undersized",
        /// SHA-256 differs.
        HashMismatch = "hash_mismatch",
        /// Gap or repeat.
        OutOfOrder = "out_of_order",
        /// Chunk after the last one.
        PostCompletion = "post_completion",
    }
}

words! {
    /// Why a reset was refused.
    ResetRefusal {
        /// Work is going on.
        Busy = "busy",
        /// Malformed frame.
        InvalidFrame = "invalid_frame",
        /// Still starting.
        NotReady = "not_ready",
        /// Internal.
        QueueRejected = "queue_rejected",
    }
}

words! {
    /// What a submitted job does.
    Target {
        /// Build firmware.
        Compile = "compile",
        /// Remove the build tree.
        Clean = "clean",
    }
}

/// Largest bundle, in bytes: 128 MiB (peer-link.md §6.1).
pub const MAX_BUNDLE: u64 = 134_217_728;

/// Header of a bundle upload (peer-link.md §5.6), types checked, values not yet judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitHeader {
    /// The offloader's id for the job.
    pub job_id: WireJobId,
    /// YAML file name as sent; judged by the intake.
    pub configuration_filename: String,
    /// `compile`, `clean` or anything else, as sent.
    pub target: String,
    /// Announced size of the bundle in bytes; as sent, possibly negative.
    pub total_bundle_bytes: i64,
    /// Announced number of chunks; as sent, possibly negative. Of our own uploads it is set when
    /// they begin, because the session knows how large chunks are.
    pub num_chunks: i64,
    /// Announced SHA-256, hex in any case.
    pub bundle_sha256: String,
    /// Display name or `""`.
    pub device_name: String,
    /// Display name or `""`.
    pub device_friendly_name: String,
    /// Version to build with.
    pub target_esphome_version: Option<EsphomeVersion>,
    /// Leave the bootloader out.
    pub skip_bootloader: bool,
}

/// One decoded frame. Bulk chunks are not here: they are handled beside the frames by the upload
/// and download assemblers, so that no payload is copied through the decision makers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Ends the session.
    Terminate(TerminateReason),
    /// Receiver's compile lane.
    QueueStatus(QueueStatus),
    /// Verdict on an upload.
    SubmitJobAck {
        /// Which job.
        job_id: WireJobId,
        /// `Ok` or why not; `Err(None)` is a refusal without a word we know.
        verdict: Result<(), Option<SubmitRefusal>>,
    },
    /// A job's state.
    JobStateChanged {
        /// Which job.
        job_id: WireJobId,
        /// New state.
        status: JobStatus,
        /// Text for people, possibly empty.
        error_message: String,
        /// Category of the failure.
        failure_reason: Option<FailureReason>,
    },
    /// A line of output with its terminator.
    JobOutput {
        /// Which job.
        job_id: WireJobId,
        /// Text with terminator.
        line: String,
    },
    /// Stop a job.
    CancelJob {
        /// Which job.
        job_id: WireJobId,
    },
    /// Ask for the artifacts.
    DownloadArtifacts {
        /// Which job.
        job_id: WireJobId,
    },
    /// Header of an artifact stream.
    ArtifactsStart {
        /// Which job.
        job_id: WireJobId,
        /// Size of the tarball in bytes.
        total_bytes: i64,
        /// Number of chunks.
        num_chunks: i64,
        /// SHA-256, hex in any case.
        artifacts_sha256: String,
        /// Flash offset of the main image.
        firmware_offset: FirmwareOffset,
    },
    /// End of an artifact stream, or the refusal of one.
    ArtifactsEnd {
        /// Which job.
        job_id: WireJobId,
        /// `Ok` or why not (`None`: a word we do not know, with which the detail begins) with a detail for
        /// people.
        verdict: Result<(), (Option<ArtifactsRefusal>, String)>,
    },
    /// Wipe this offloader's build environment.
    ResetBuildEnv {
        /// Which job.
        job_id: WireJobId,
    },
    /// Verdict on a reset.
    ResetBuildEnvAck {
        /// Which job.
        job_id: WireJobId,
        /// `Ok` or why not.
        verdict: Result<(), Option<ResetRefusal>>,
    },
}
