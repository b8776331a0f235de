//! Session frames: JSON to [`Frame`] and [`Message`] to JSON (peer-link.md §5).
//!
//! Unknown types and types in the wrong direction are values, not errors; so are malformed frames
//! of a known type, which say what has to be answered.
use kiln_model::{
    Absence, ArtifactsRefusal, AvailabilityReason, CloseReason, FailureReason, FirmwareOffset,
    JobStatus, Message, QueueStatus, ResetRefusal, SubmitHeader, SubmitRefusal, TerminateReason,
    Timestamp, WireJobId,
};
use serde::Serialize;

use crate::chunk::{BINARY, Chunk};
use crate::error::Misbehaviour;
use crate::intent::json;
use crate::json::Object;
use crate::limits::{
    MAX_DETAIL, MAX_DISPLAY, MAX_ERROR_HEARD, MAX_ERROR_MESSAGE, MAX_JOB_ID, MAX_NONCE, MAX_REASON,
};
use crate::session::{Dialect, Side};

/// One decoded frame.
#[derive(Debug, PartialEq)]
pub enum Frame<'a> {
    /// A frame for the decision makers.
    Message(Message),
    /// The header of an upload (receivers only).
    SubmitJob(SubmitHeader),
    /// A piece of an upload (receivers) or of an artifact stream (offloaders).
    Chunk(Chunk<'a>),
    /// To be answered with [`crate::Sealer::pong`] and this nonce.
    Ping(Nonce),
    /// A sign of life and nothing else.
    Pong,
    /// The other side ends the session; close with 1000 and say nothing more.
    Terminate(CloseReason),
    /// Not for us: an unknown or missing type, the wrong direction, a word we do not know.
    Ignored,
    /// A known type that breaks its rules.
    Malformed(FrameFault),
}

/// What a malformed frame leads to (peer-link.md §5.1).
#[derive(Clone, Debug, PartialEq)]
pub enum FrameFault {
    /// Log it and go on.
    Ignore,
    /// Drop an upload in progress, send this acknowledgement if there is one, then terminate with
    /// `malformed_frame`.
    Terminate {
        /// What to send before.
        first: Option<Message>,
    },
}

/// The nonce of a ping: any JSON value, echoed verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Returns the nonce as JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// Decodes one plaintext as `side`, decoding nothing of a chunk's payload yet.
///
/// # Errors
/// [`Misbehaviour::NotJson`], [`Misbehaviour::NotAnObject`], [`Misbehaviour::Binary`]: the session
/// ends.
pub(crate) fn decode(
    side: Side,
    dialect: Dialect,
    plaintext: &mut [u8],
) -> Result<Frame<'_>, Misbehaviour> {
    if dialect == Dialect::Kiln && plaintext.first() == Some(&BINARY) {
        let chunk = Chunk::binary(plaintext).ok_or(Misbehaviour::Binary)?;
        return Ok(Frame::Chunk(chunk));
    }
    match Chunk::find(side, plaintext) {
        Some(place) => Ok(Frame::Chunk(place.take(plaintext))),
        None => decode_slowly(side, plaintext),
    }
}

/// Decodes one plaintext without the short cut for chunks.
pub(crate) fn decode_slowly(side: Side, plaintext: &[u8]) -> Result<Frame<'static>, Misbehaviour> {
    let object = Object::parse(plaintext)?;
    let Some(kind) = object.string("type") else {
        return Ok(Frame::Ignored);
    };
    let frame = match (kind.as_ref(), side) {
        ("ping", _) => {
            let nonce = object.get("nonce").map_or("null", |value| value.raw());
            if nonce.len() <= MAX_NONCE {
                Frame::Ping(Nonce(nonce.to_owned()))
            } else {
                Frame::Ignored
            }
        }
        ("pong", _) => Frame::Pong,
        ("terminate", _) => Frame::Terminate(close_reason(&object)),
        ("submit_job", Side::Receiver) => {
            submit_job(&object).unwrap_or_else(|| refuse(&object, SubmitRefusal::InvalidHeader))
        }
        ("submit_job_chunk", Side::Receiver) => Chunk::read(&object)
            .map(Frame::Chunk)
            .unwrap_or_else(|| refuse(&object, SubmitRefusal::InvalidChunk)),
        ("cancel_job", Side::Receiver) => message_or(
            job_id(&object).map(|job_id| Message::CancelJob { job_id }),
            || FrameFault::Ignore,
        ),
        ("download_artifacts", Side::Receiver) => {
            let message = short_job_id(&object).map(|job_id| Message::DownloadArtifacts { job_id });
            message_or(message, || FrameFault::Terminate { first: None })
        }
        ("reset_build_env", Side::Receiver) => {
            let message = short_job_id(&object).map(|job_id| Message::ResetBuildEnv { job_id });
            message_or(message, || {
                let verdict = Err(Some(ResetRefusal::InvalidFrame));
                let job_id = echoed_job_id(&object);
                let first = Some(Message::ResetBuildEnvAck { job_id, verdict });
                FrameFault::Terminate { first }
            })
        }
        ("queue_status", Side::Offloader) => tolerate(queue_status(&object)),
        ("submit_job_ack", Side::Offloader) => tolerate(submit_job_ack(&object)),
        ("job_state_changed", Side::Offloader) => job_state_changed(&object),
        ("job_output", Side::Offloader) => job_output(&object),
        ("artifacts_start", Side::Offloader) => tolerate(artifacts_start(&object)),
        ("artifacts_chunk", Side::Offloader) => {
            Chunk::read(&object).map_or(Frame::Malformed(FrameFault::Ignore), Frame::Chunk)
        }
        ("artifacts_end", Side::Offloader) => tolerate(artifacts_end(&object)),
        ("reset_build_env_ack", Side::Offloader) => tolerate(reset_build_env_ack(&object)),
        _ => Frame::Ignored,
    };
    Ok(frame)
}

fn message_or(message: Option<Message>, fault: impl FnOnce() -> FrameFault) -> Frame<'static> {
    match message {
        Some(message) => Frame::Message(message),
        None => Frame::Malformed(fault()),
    }
}

fn tolerate(message: Option<Message>) -> Frame<'static> {
    message_or(message, || FrameFault::Ignore)
}

fn refuse(object: &Object<'_>, reason: SubmitRefusal) -> Frame<'static> {
    let first = Some(Message::SubmitJobAck {
        job_id: echoed_job_id(object),
        verdict: Err(Some(reason)),
    });
    Frame::Malformed(FrameFault::Terminate { first })
}

fn job_id(object: &Object<'_>) -> Option<WireJobId> {
    Some(WireJobId(object.string("job_id")?.into_owned()))
}

/// Returns an id that fits into every answer about it.
fn short_job_id(object: &Object<'_>) -> Option<WireJobId> {
    job_id(object).filter(|id| id.0.len() <= MAX_JOB_ID)
}

fn echoed_job_id(object: &Object<'_>) -> WireJobId {
    let id = job_id(object).map(|id| id.0).unwrap_or_default();
    echo(&id)
}

/// Returns the id that a refusal names: the one sent, or none in place of an endless one, because
/// refusals wait in memory for a peer that does not read.
pub(crate) fn echo(job_id: &str) -> WireJobId {
    let short = job_id.len() <= MAX_JOB_ID;
    WireJobId(if short { job_id } else { "" }.to_owned())
}

fn close_reason(object: &Object<'_>) -> CloseReason {
    match object.string("reason") {
        None => CloseReason::PeerHungUp,
        Some(word) => match TerminateReason::from_word(&word) {
            Some(reason) => CloseReason::Terminated(reason),
            None => CloseReason::TerminatedUnknown(plain(&word)),
        },
    }
}

fn submit_job(object: &Object<'_>) -> Option<Frame<'static>> {
    let display = |name| {
        let text = object.string(name).unwrap_or_default();
        let short = text.chars().nth(MAX_DISPLAY).is_none();
        if short {
            text.into_owned()
        } else {
            String::new()
        }
    };
    let version = object.string("target_esphome_version");
    Some(Frame::SubmitJob(SubmitHeader {
        job_id: job_id(object)?,
        configuration_filename: object.string("configuration_filename")?.into_owned(),
        target: object.string("target")?.into_owned(),
        total_bundle_bytes: object.integer("total_bundle_bytes")?,
        num_chunks: object.integer("num_chunks")?,
        bundle_sha256: object.string("bundle_sha256")?.into_owned(),
        device_name: display("device_name"),
        device_friendly_name: display("device_friendly_name"),
        target_esphome_version: version.and_then(|text| text.parse().ok()),
        skip_bootloader: object.boolean("skip_bootloader") == Some(true),
    }))
}

fn queue_status(object: &Object<'_>) -> Option<Message> {
    Some(Message::QueueStatus(QueueStatus {
        idle: object.boolean("idle")?,
        running: object.boolean("running")?,
        queue_depth: object.integer("queue_depth")?.try_into().unwrap_or(0),
        absence: absence(object),
    }))
}

/// Reads why, and until when, a Kiln does not build. A reason that we do not know counts as the
/// owner's switch: it is not there.
fn absence(object: &Object<'_>) -> Option<Absence> {
    let reason = object.string("kiln_absent")?;
    let until = object.integer("kiln_absent_until");
    Some(Absence {
        reason: AvailabilityReason::from_word(&reason).unwrap_or(AvailabilityReason::UserOff),
        until: until.map(|seconds| Timestamp(seconds.saturating_mul(1_000_000))),
    })
    .filter(|absence| absence.reason != AvailabilityReason::Ready)
}

/// Reads `accepted` and, if it is false, the reason.
fn verdict<R>(object: &Object<'_>, word: fn(&str) -> Option<R>) -> Option<Result<(), Option<R>>> {
    if object.boolean("accepted")? {
        return Some(Ok(()));
    }
    Some(Err(object.string("reason").and_then(|text| word(&text))))
}

fn submit_job_ack(object: &Object<'_>) -> Option<Message> {
    Some(Message::SubmitJobAck {
        job_id: job_id(object)?,
        verdict: verdict(object, SubmitRefusal::from_word)?,
    })
}

fn reset_build_env_ack(object: &Object<'_>) -> Option<Message> {
    Some(Message::ResetBuildEnvAck {
        job_id: job_id(object)?,
        verdict: verdict(object, ResetRefusal::from_word)?,
    })
}

fn artifacts_end(object: &Object<'_>) -> Option<Message> {
    let verdict = verdict(object, ArtifactsRefusal::from_word)?.map_err(|word| {
        let text = |name| object.string(name).unwrap_or_default();
        let detail: String = text("detail").chars().take(MAX_DETAIL).collect();
        let reason = plain(&text("reason"));
        let told = match (word, detail.is_empty()) {
            (None, true) => reason,
            (None, false) if !reason.is_empty() => format!("{reason}: {detail}"),
            _ => detail,
        };
        (word, told)
    });
    Some(Message::ArtifactsEnd {
        job_id: job_id(object)?,
        verdict,
    })
}

/// Returns a reason that only a newer peer knows, for people.
fn plain(reason: &str) -> String {
    let plain = reason.chars().filter(|c| !c.is_control());
    plain.take(MAX_REASON).collect()
}

/// An offset other than the two known ones reads as zero: it is announced for people, flashing
/// takes its offsets from the artifacts.
fn artifacts_start(object: &Object<'_>) -> Option<Message> {
    let offset = object.string("firmware_offset")?;
    Some(Message::ArtifactsStart {
        job_id: job_id(object)?,
        total_bytes: object.integer("total_bytes")?,
        num_chunks: object.integer("num_chunks")?,
        artifacts_sha256: object.string("artifacts_sha256")?.into_owned(),
        firmware_offset: if offset == FirmwareOffset::Esp32.word() {
            FirmwareOffset::Esp32
        } else {
            FirmwareOffset::Zero
        },
    })
}

fn job_state_changed(object: &Object<'_>) -> Frame<'static> {
    let members = (
        job_id(object),
        object.string("status"),
        object.string("error_message"),
    );
    let (Some(job_id), Some(status), Some(error_message)) = members else {
        return Frame::Malformed(FrameFault::Ignore);
    };
    let Some(status) = JobStatus::from_word(&status) else {
        return Frame::Ignored;
    };
    let provision = object.string("failure_reason").as_deref() == Some(PROVISION);
    Frame::Message(Message::JobStateChanged {
        job_id,
        status,
        error_message: cut(&error_message, MAX_ERROR_HEARD).to_owned(),
        failure_reason: provision.then_some(FailureReason::Provision),
    })
}

fn job_output(object: &Object<'_>) -> Frame<'static> {
    let members = (
        job_id(object),
        object.string("stream"),
        object.string("line"),
    );
    let (Some(job_id), Some(stream), Some(line)) = members else {
        return Frame::Malformed(FrameFault::Ignore);
    };
    match stream.as_ref() {
        "stdout" | "stderr" => Frame::Message(Message::JobOutput {
            job_id,
            line: line.into_owned(),
        }),
        _ => Frame::Ignored,
    }
}

/// The only category of failure (peer-link.md §5.8).
const PROVISION: &str = "provision";

/// Writes a ping.
pub(crate) fn ping(nonce: u64) -> Vec<u8> {
    format!(r#"{{"type":"ping","nonce":{nonce}}}"#).into_bytes()
}

/// Writes the answer to a ping.
pub(crate) fn pong(nonce: &Nonce) -> Vec<u8> {
    format!(r#"{{"type":"pong","nonce":{}}}"#, nonce.0).into_bytes()
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Wire<'a> {
    Terminate {
        reason: &'a str,
    },
    QueueStatus {
        idle: bool,
        running: bool,
        queue_depth: u64,
        /// Reference peers ignore members that they do not know (product.md §0.6).
        #[serde(skip_serializing_if = "Option::is_none")]
        kiln_absent: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kiln_absent_until: Option<i64>,
    },
    SubmitJob {
        job_id: &'a str,
        configuration_filename: &'a str,
        target: &'a str,
        total_bundle_bytes: i64,
        num_chunks: i64,
        bundle_sha256: &'a str,
        device_name: &'a str,
        device_friendly_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        target_esphome_version: Option<&'a str>,
        skip_bootloader: bool,
    },
    SubmitJobAck {
        job_id: &'a str,
        accepted: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    JobStateChanged {
        job_id: &'a str,
        status: &'a str,
        error_message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        failure_reason: Option<&'a str>,
    },
    JobOutput {
        job_id: &'a str,
        stream: &'a str,
        line: &'a str,
    },
    CancelJob {
        job_id: &'a str,
    },
    DownloadArtifacts {
        job_id: &'a str,
    },
    ArtifactsStart {
        job_id: &'a str,
        total_bytes: i64,
        num_chunks: i64,
        artifacts_sha256: &'a str,
        firmware_offset: &'a str,
    },
    ArtifactsEnd {
        job_id: &'a str,
        accepted: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        #[serde(skip_serializing_if = "str::is_empty")]
        detail: &'a str,
    },
    ResetBuildEnv {
        job_id: &'a str,
    },
    ResetBuildEnvAck {
        job_id: &'a str,
        accepted: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
}

/// Writes the header of an upload.
pub(crate) fn encode_header(header: &SubmitHeader) -> Vec<u8> {
    json(&Wire::SubmitJob {
        job_id: &header.job_id.0,
        configuration_filename: &header.configuration_filename,
        target: &header.target,
        total_bundle_bytes: header.total_bundle_bytes,
        num_chunks: header.num_chunks,
        bundle_sha256: &header.bundle_sha256,
        device_name: &header.device_name,
        device_friendly_name: &header.device_friendly_name,
        target_esphome_version: header
            .target_esphome_version
            .as_ref()
            .map(|version| version.as_str()),
        skip_bootloader: header.skip_bootloader,
    })
}

/// Writes a message. Texts for people are cut so that they fit a frame; a line of output is not,
/// see [`crate::split_output`].
pub(crate) fn encode(message: &Message) -> Vec<u8> {
    json(&match message {
        Message::Terminate(reason) => Wire::Terminate {
            reason: reason.word(),
        },
        Message::QueueStatus(status) => Wire::QueueStatus {
            idle: status.idle,
            running: status.running,
            queue_depth: status.queue_depth,
            kiln_absent: status.absence.map(|absence| absence.reason.word()),
            kiln_absent_until: status
                .absence
                .and_then(|absence| absence.until)
                .map(|until| until.0.div_euclid(1_000_000)),
        },
        Message::SubmitJobAck { job_id, verdict } => Wire::SubmitJobAck {
            job_id: &job_id.0,
            accepted: verdict.is_ok(),
            reason: refusal(verdict, SubmitRefusal::word),
        },
        Message::JobStateChanged {
            job_id,
            status,
            error_message,
            failure_reason,
        } => Wire::JobStateChanged {
            job_id: &job_id.0,
            status: status.word(),
            error_message: cut(error_message, MAX_ERROR_MESSAGE),
            failure_reason: failure_reason.map(|FailureReason::Provision| PROVISION),
        },
        Message::JobOutput { job_id, line } => Wire::JobOutput {
            job_id: &job_id.0,
            stream: "stdout",
            line,
        },
        Message::CancelJob { job_id } => Wire::CancelJob { job_id: &job_id.0 },
        Message::DownloadArtifacts { job_id } => Wire::DownloadArtifacts { job_id: &job_id.0 },
        Message::ArtifactsStart {
            job_id,
            total_bytes,
            num_chunks,
            artifacts_sha256,
            firmware_offset,
        } => Wire::ArtifactsStart {
            job_id: &job_id.0,
            total_bytes: *total_bytes,
            num_chunks: *num_chunks,
            artifacts_sha256,
            firmware_offset: firmware_offset.word(),
        },
        Message::ArtifactsEnd { job_id, verdict } => match verdict {
            Ok(()) => Wire::ArtifactsEnd {
                job_id: &job_id.0,
                accepted: true,
                reason: None,
                detail: "",
            },
            Err((reason, detail)) => Wire::ArtifactsEnd {
                job_id: &job_id.0,
                accepted: false,
                reason: reason.map(ArtifactsRefusal::word),
                detail: match detail.char_indices().nth(MAX_DETAIL) {
                    Some((end, _)) => cut(detail, end),
                    None => detail,
                },
            },
        },
        Message::ResetBuildEnv { job_id } => Wire::ResetBuildEnv { job_id: &job_id.0 },
        Message::ResetBuildEnvAck { job_id, verdict } => Wire::ResetBuildEnvAck {
            job_id: &job_id.0,
            accepted: verdict.is_ok(),
            reason: refusal(verdict, ResetRefusal::word),
        },
    })
}

fn refusal<R: Copy>(
    verdict: &Result<(), Option<R>>,
    word: fn(R) -> &'static str,
) -> Option<&'static str> {
    verdict.err().flatten().map(word)
}

/// Returns the longest start of `text` of at most `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{rows, vectors};

    fn read(side: Side, frame: &Value) -> Frame<'static> {
        decode_slowly(side, &serde_json::to_vec(frame).unwrap()).unwrap()
    }

    /// The one side that this type is for.
    fn recipient(kind: &str) -> Side {
        match kind {
            "submit_job" | "submit_job_chunk" | "cancel_job" | "download_artifacts"
            | "reset_build_env" => Side::Receiver,
            _ => Side::Offloader,
        }
    }

    fn other(side: Side) -> Side {
        match side {
            Side::Receiver => Side::Offloader,
            Side::Offloader => Side::Receiver,
        }
    }

    // Covers: B-15, B-16, O-18, R-29
    #[test]
    fn every_variant_of_every_type_is_accepted_or_refused_as_the_vectors_say() {
        let vectors = vectors!("frame_schema");
        let mut checked = 0;
        for table in rows(&vectors) {
            let kind = table["type"].as_str().unwrap();
            let side = recipient(kind);
            for case in rows(&table["cases"]) {
                let frame = &case["frame"];
                match read(side, frame) {
                    Frame::Malformed(fault) => {
                        assert_eq!(case["valid"], false, "{frame}");
                        assert_eq!(fault, expected_fault(kind, frame), "{frame}");
                    }
                    // Words that nobody knows are valid and ignored.
                    Frame::Ignored => {
                        assert_eq!(case["valid"], true, "{frame}");
                        assert!(matches!(kind, "job_state_changed" | "job_output"));
                    }
                    _ => assert_eq!(case["valid"], true, "{frame}"),
                }
                assert_eq!(read(other(side), frame), Frame::Ignored, "{frame}");
                checked += 1;
            }
        }
        assert!(checked > 500);
    }

    #[test]
    fn of_an_error_message_only_the_first_sentence_or_so_is_taken_in() {
        let frame = json!({
            "type": "job_state_changed", "job_id": "0a1b2c3d4e5f", "status": "failed",
            "error_message": "ü".repeat(30_000),
        });
        let Frame::Message(Message::JobStateChanged { error_message, .. }) =
            read(Side::Offloader, &frame)
        else {
            panic!("it is not read");
        };
        assert_eq!(error_message, "ü".repeat(MAX_ERROR_HEARD / 2));
    }

    fn expected_fault(kind: &str, frame: &Value) -> FrameFault {
        let job_id = WireJobId(frame["job_id"].as_str().unwrap_or_default().to_owned());
        let ack = |reason| Message::SubmitJobAck {
            job_id: job_id.clone(),
            verdict: Err(Some(reason)),
        };
        let first = match kind {
            "submit_job" => Some(ack(SubmitRefusal::InvalidHeader)),
            "submit_job_chunk" => Some(ack(SubmitRefusal::InvalidChunk)),
            "download_artifacts" => None,
            "reset_build_env" => Some(Message::ResetBuildEnvAck {
                job_id,
                verdict: Err(Some(ResetRefusal::InvalidFrame)),
            }),
            _ => return FrameFault::Ignore,
        };
        FrameFault::Terminate { first }
    }

    #[test]
    fn an_id_that_fits_into_no_answer_is_malformed() {
        let frame = |kind: &str, length| json!({"type": kind, "job_id": "a".repeat(length)});
        for kind in ["download_artifacts", "reset_build_env"] {
            let longest = read(Side::Receiver, &frame(kind, MAX_JOB_ID));
            assert!(matches!(longest, Frame::Message(_)), "{kind}");
            let endless = read(Side::Receiver, &frame(kind, MAX_JOB_ID + 1));
            let fault = expected_fault(kind, &json!({"type": kind}));
            assert_eq!(endless, Frame::Malformed(fault), "{kind}");
        }
    }

    // Covers: B-14
    #[test]
    fn frames_without_a_type_we_know_are_ignored() {
        for frame in [json!({}), json!({"type": 5}), json!({"type": "zzz"})] {
            assert_eq!(read(Side::Receiver, &frame), Frame::Ignored);
            assert_eq!(read(Side::Offloader, &frame), Frame::Ignored);
        }
    }

    // Covers: B-17
    #[test]
    fn a_ping_is_answered_with_its_nonce_whatever_it_is() {
        for nonce in ["7", "\"a\\u0041\"", "null", "[1,{\"a\":1e2}]", "1.50"] {
            let ping = format!(r#"{{"nonce":{nonce},"type":"ping"}}"#);
            let Frame::Ping(heard) = decode_slowly(Side::Offloader, ping.as_bytes()).unwrap()
            else {
                panic!("{ping}");
            };
            let expected = format!(r#"{{"type":"pong","nonce":{nonce}}}"#);
            assert_eq!(pong(&heard), expected.as_bytes());
        }
        let endless = json!({"type": "ping", "nonce": "x".repeat(MAX_NONCE)});
        assert_eq!(read(Side::Receiver, &endless), Frame::Ignored);
        let Frame::Ping(heard) = read(Side::Receiver, &json!({"type": "ping"})) else {
            panic!("a ping");
        };
        assert_eq!(heard.as_json(), "null");
    }

    // Covers: B-21
    #[test]
    fn a_terminate_passes_its_reason_on() {
        let ends = |reason: Value| {
            read(
                Side::Offloader,
                &json!({"type": "terminate", "reason": reason}),
            )
        };
        let known = CloseReason::Terminated(TerminateReason::Superseded);
        assert_eq!(ends(json!("superseded")), Frame::Terminate(known));
        let unknown = CloseReason::TerminatedUnknown("weird".into());
        assert_eq!(ends(json!("weird")), Frame::Terminate(unknown));
        assert_eq!(ends(json!(null)), Frame::Terminate(CloseReason::PeerHungUp));
    }

    // Covers: O-25
    #[test]
    fn words_of_a_later_version_are_ignored_or_read_as_nothing() {
        let state = |status: &str, reason: Value| {
            json!({"type": "job_state_changed", "job_id": "a", "status": status,
                "error_message": "e", "failure_reason": reason})
        };
        assert_eq!(
            read(Side::Offloader, &state("paused", json!(null))),
            Frame::Ignored
        );
        for (reason, expected) in [
            (json!("provision"), Some(FailureReason::Provision)),
            (json!("zzz"), None),
            (json!(5), None),
        ] {
            let Frame::Message(Message::JobStateChanged { failure_reason, .. }) =
                read(Side::Offloader, &state("failed", reason))
            else {
                panic!("a state");
            };
            assert_eq!(failure_reason, expected);
        }
        let output = |stream: &str| json!({"type": "job_output", "job_id": "a", "stream": stream, "line": "l\r"});
        let heard = Message::JobOutput {
            job_id: WireJobId("a".into()),
            line: "l\r".into(),
        };
        assert_eq!(
            read(Side::Offloader, &output("stderr")),
            Frame::Message(heard)
        );
        assert_eq!(read(Side::Offloader, &output("stdlog")), Frame::Ignored);
        let ack = json!({"type": "submit_job_ack", "job_id": "a", "accepted": false, "reason": 5});
        let heard = Message::SubmitJobAck {
            job_id: WireJobId("a".into()),
            verdict: Err(None),
        };
        assert_eq!(read(Side::Offloader, &ack), Frame::Message(heard));
    }

    // Covers: R-44
    #[test]
    fn display_names_of_a_header_are_coerced_as_the_vectors_say() {
        let expand = |value: &Value| match value.as_str().and_then(|t| t.strip_prefix("'x' * ")) {
            Some(times) => json!("x".repeat(times.parse().unwrap())),
            None => value.clone(),
        };
        let vectors = vectors!("validators");
        for row in rows(&vectors["display_field"]) {
            let name = expand(&row["in"]);
            let frame = json!({"type": "submit_job", "job_id": "j", "target": "compile",
                "configuration_filename": "a.yaml", "total_bundle_bytes": 1, "num_chunks": 1,
                "bundle_sha256": "00", "device_name": name, "device_friendly_name": name,
                "target_esphome_version": "not a version", "skip_bootloader": 1});
            let Frame::SubmitJob(header) = read(Side::Receiver, &frame) else {
                panic!("{frame}");
            };
            assert_eq!(json!(header.device_name), expand(&row["out"]));
            assert_eq!(json!(header.device_friendly_name), expand(&row["out"]));
            assert_eq!(header.target_esphome_version, None);
            assert!(!header.skip_bootloader);
        }
    }

    #[test]
    fn texts_for_people_are_cut_so_that_the_frame_fits() {
        let job_id = WireJobId("j".into());
        let long = "\u{1}ü".repeat(40_000);
        for message in [
            Message::JobStateChanged {
                job_id: job_id.clone(),
                status: JobStatus::Failed,
                error_message: long.clone(),
                failure_reason: None,
            },
            Message::ArtifactsEnd {
                job_id,
                verdict: Err((Some(ArtifactsRefusal::PackFailed), long)),
            },
        ] {
            let frame = encode(&message);
            assert!(frame.len() <= crate::limits::MAX_SENT_PLAINTEXT);
            assert!(matches!(
                decode_slowly(Side::Offloader, &frame),
                Ok(Frame::Message(_))
            ));
        }
    }

    #[test]
    fn a_reason_that_only_a_newer_receiver_has_is_told_to_people() {
        for (reason, detail, told) in [
            ("out_of\u{1b}_stock", "", "out_of_stock".to_owned()),
            (
                "out_of_stock",
                "try later",
                "out_of_stock: try later".to_owned(),
            ),
            (&"x".repeat(9000), "", "x".repeat(MAX_REASON)),
            ("", "", String::new()),
        ] {
            let frame = json!({
                "type": "artifacts_end", "job_id": "j",
                "accepted": false, "reason": reason, "detail": detail,
            });
            let heard = decode_slowly(Side::Offloader, frame.to_string().as_bytes());
            let message = Message::ArtifactsEnd {
                job_id: WireJobId("j".into()),
                verdict: Err((None, told)),
            };
            assert_eq!(heard.unwrap(), Frame::Message(message));
        }
    }

    fn absence_told() -> impl Strategy<Value = Absence> {
        let reasons = proptest::sample::select(&AvailabilityReason::ALL[1..]);
        let until = proptest::option::of(0..i64::from(u32::MAX));
        (reasons, until).prop_map(|(reason, until)| Absence {
            reason,
            until: until.map(|seconds| Timestamp(seconds * 1_000_000)),
        })
    }

    fn message() -> impl Strategy<Value = Message> {
        let job_id = || any::<String>().prop_map(WireJobId);
        let refusal = |all: &'static [SubmitRefusal]| proptest::sample::select(all);
        prop_oneof![
            (
                any::<bool>(),
                0..u64::MAX / 2,
                proptest::option::of(absence_told())
            )
                .prop_map(|(running, depth, absence)| Message::QueueStatus(
                    QueueStatus {
                        absence,
                        ..QueueStatus::of(running, depth)
                    }
                )),
            (job_id(), proptest::option::of(refusal(SubmitRefusal::ALL))).prop_map(
                |(job_id, refusal)| Message::SubmitJobAck {
                    job_id,
                    verdict: refusal.map_or(Ok(()), |reason| Err(Some(reason))),
                }
            ),
            (job_id(), any::<String>(), any::<bool>()).prop_map(
                |(job_id, error_message, provision)| Message::JobStateChanged {
                    job_id,
                    status: JobStatus::Failed,
                    error_message,
                    failure_reason: provision.then_some(FailureReason::Provision),
                }
            ),
            (job_id(), any::<String>())
                .prop_map(|(job_id, line)| Message::JobOutput { job_id, line }),
            job_id().prop_map(|job_id| Message::CancelJob { job_id }),
            job_id().prop_map(|job_id| Message::DownloadArtifacts { job_id }),
            job_id().prop_map(|job_id| Message::ResetBuildEnv { job_id }),
            (
                job_id(),
                any::<i64>(),
                any::<i64>(),
                any::<String>(),
                any::<bool>()
            )
                .prop_map(
                    |(job_id, total_bytes, num_chunks, artifacts_sha256, esp32)| {
                        Message::ArtifactsStart {
                            job_id,
                            total_bytes,
                            num_chunks,
                            artifacts_sha256,
                            firmware_offset: if esp32 {
                                FirmwareOffset::Esp32
                            } else {
                                FirmwareOffset::Zero
                            },
                        }
                    }
                ),
            (job_id(), ".{0,256}").prop_map(|(job_id, detail)| Message::ArtifactsEnd {
                job_id,
                verdict: Err((Some(ArtifactsRefusal::PackFailed), detail)),
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_message_arrives_as_it_was_sent(message in message()) {
            let frame = encode(&message);
            let kind = serde_json::from_slice::<Value>(&frame).unwrap();
            let side = recipient(kind["type"].as_str().unwrap());
            let heard = decode_slowly(side, &frame).unwrap();
            prop_assert_eq!(heard, Frame::Message(message));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(mut bytes in any::<Vec<u8>>()) {
            let _ = decode(Side::Receiver, Dialect::Kiln, &mut bytes.clone());
            let _ = decode(Side::Offloader, Dialect::Reference, &mut bytes);
        }
    }
}
