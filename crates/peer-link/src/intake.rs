//! [`Intake`]: the uploads of one session as its receiver judges them (peer-link.md §5.6).
//!
//! It holds the header and a running digest, never the bundle: the caller writes the bytes of each
//! step to disk. Dropping it with its session drops the upload.
use std::borrow::Cow;

use kiln_model::witness::DigestVerified;
use kiln_model::{ConfigurationName, Message, SubmitHeader, SubmitRefusal, Target, WireJobId};

use crate::chunk::{Assembler, Chunk};
use crate::frame::echo;
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
            ack: refusal(&header.job_id.0, reason),
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
            ack: refusal(&chunk.job_id, reason),
            reason,
            upload: UploadFate::Kept,
            session: SessionFate::Stays,
        }
    }

    /// A chunk that ends its upload.
    fn of_upload(job_id: &WireJobId, reason: SubmitRefusal) -> Self {
        Self {
            ack: refusal(&job_id.0, reason),
            reason,
            upload: UploadFate::Dropped,
            session: session_fate(reason),
        }
    }
}

fn refusal(job_id: &str, reason: SubmitRefusal) -> Message {
    Message::SubmitJobAck {
        job_id: echo(job_id),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{rows, vectors};
    use crate::frame::{Frame, FrameFault, decode};
    use crate::session::{Dialect, Side};

    /// One receiver session: frames in, what it says out.
    #[derive(Default)]
    struct Desk {
        intake: Intake,
        said: Vec<Value>,
        stored: Vec<u8>,
        over: bool,
    }

    impl Desk {
        fn say(&mut self, message: &Message) {
            self.said
                .push(serde_json::from_slice(&crate::frame::encode(message)).unwrap());
        }

        fn terminate(&mut self) {
            let reason = kiln_model::TerminateReason::MalformedFrame;
            self.say(&Message::Terminate(reason));
            self.over = true;
        }

        fn refuse(&mut self, refused: &Refused) {
            self.say(&refused.ack);
            if refused.upload == UploadFate::Dropped {
                self.stored.clear();
            }
            if refused.session == SessionFate::Terminates {
                self.terminate();
            }
        }

        fn hear(&mut self, frame: &Value) {
            let mut bytes = serde_json::to_vec(frame).unwrap();
            match decode(Side::Receiver, Dialect::Reference, &mut bytes).unwrap() {
                Frame::SubmitJob(header) => {
                    let judged = self
                        .intake
                        .header(header, |id| id.0 == "preparing")
                        .map(|_| ());
                    match judged {
                        Ok(()) => self.stored.clear(),
                        Err(refused) => self.refuse(&refused),
                    }
                }
                Frame::Chunk(chunk) => match self.intake.chunk(chunk) {
                    Ok(Fed::Write(bytes)) => self.stored.extend_from_slice(&bytes),
                    Ok(Fed::Complete(bytes, submission)) => {
                        self.stored.extend_from_slice(&bytes);
                        self.say(&submission.ack());
                    }
                    Err(refused) => self.refuse(&refused),
                },
                Frame::Malformed(FrameFault::Terminate { first }) => {
                    if let Some(first) = first {
                        self.say(&first);
                    }
                    self.terminate();
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The bytes that the recorded exchanges talk about are not in the vectors, only their size:
    /// these of the same size stand in for them.
    fn stand_in(text: &str, frames: &[Value]) -> Value {
        let size = frames
            .iter()
            .find_map(|frame| frame["total_bundle_bytes"].as_u64())
            .unwrap_or(1);
        if text.starts_with('<') {
            json!(base64_simd::STANDARD.encode_to_string(vec![7; size as usize]))
        } else {
            json!(text)
        }
    }

    fn sha256(bytes: &[u8]) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    //
    #[test]
    fn uploads_are_answered_as_the_recorded_receiver_answered_them() {
        let vectors = vectors!("receiver_behaviour");
        let mut played = 0;
        for case in rows(&vectors["cases"]) {
            let frames = rows(&case["send"]);
            let upload = |f: &Value| {
                f["type"]
                    .as_str()
                    .is_some_and(|kind| kind.starts_with("submit_job"))
            };
            if !frames.iter().all(upload) {
                continue;
            }
            let mut desk = Desk::default();
            for frame in frames {
                let mut frame = frame.clone();
                if let Some(text) = frame["data_b64"].as_str() {
                    frame["data_b64"] = stand_in(text, frames);
                }
                let genuine = |digest: &str| !digest.starts_with("00000000");
                let size = frame["total_bundle_bytes"].as_u64().unwrap_or(0);
                if frame["bundle_sha256"].as_str().is_some_and(genuine) && size == 230 {
                    frame["bundle_sha256"] = json!(sha256(&[7; 230]));
                }
                desk.hear(&frame);
            }
            // What follows the acknowledgements is the work of others.
            let ours = |f: &&Value| f["type"] == "submit_job_ack" || f["type"] == "terminate";
            let expected: Vec<&Value> = rows(&case["expect"]).iter().filter(ours).collect();
            let said: Vec<&Value> = desk.said.iter().collect();
            assert_eq!(said, expected, "{}", case["title"]);
            assert_eq!(!desk.over, case["session_stays_open"], "{}", case["title"]);
            played += 1;
        }
        assert!(played >= 25, "{played}");
    }

    fn header(over: Value) -> Value {
        let mut frame = json!({"type": "submit_job", "job_id": "j", "target": "compile",
            "configuration_filename": "a.yaml", "total_bundle_bytes": 4, "num_chunks": 2,
            "bundle_sha256": sha256(b"abcd")});
        for (key, value) in over.as_object().unwrap() {
            frame[key] = value.clone();
        }
        frame
    }

    fn chunk(index: i64, text: &str, is_last: bool) -> Value {
        json!({"type": "submit_job_chunk", "job_id": "j", "chunk_index": index,
            "data_b64": text, "is_last": is_last})
    }

    fn reasons(desk: &Desk) -> Vec<&str> {
        let reason = |frame: &Value| frame["reason"].as_str().map(str::to_owned);
        desk.said
            .iter()
            .filter_map(|f| reason(f).map(|_| f["reason"].as_str().unwrap()))
            .collect()
    }

    // Covers: R-29, M57
    #[test]
    fn every_row_of_the_header_table_gives_its_code_and_keeps_the_session() {
        for (over, code) in [
            (
                json!({"configuration_filename": "a/b.yaml"}),
                "invalid_header",
            ),
            (
                json!({"configuration_filename": "con.yaml"}),
                "invalid_header",
            ),
            (json!({"job_id": "x".repeat(256)}), "invalid_header"),
            (json!({"job_id": "preparing"}), "duplicate_submit"),
            (json!({"target": "upload"}), "upload_unsupported"),
            (json!({"target": "install"}), "invalid_header"),
            (json!({"total_bundle_bytes": 0}), "empty_bundle"),
            (
                json!({"total_bundle_bytes": -5, "num_chunks": 0}),
                "empty_bundle",
            ),
            (
                json!({"num_chunks": 0, "total_bundle_bytes": 134_217_729}),
                "chunk_count_mismatch",
            ),
            (json!({"total_bundle_bytes": 134_217_729}), "oversized"),
            (json!({"total_bundle_bytes": u64::MAX}), "oversized"),
        ] {
            let mut desk = Desk::default();
            desk.hear(&header(over.clone()));
            assert_eq!(reasons(&desk), [code], "{over}");
            assert!(
                desk.said[0].to_string().len() < 512,
                "endless ids are not echoed"
            );
            assert!(!desk.over && desk.intake.0.is_none());
        }
    }

    //
    #[test]
    fn every_row_of_the_chunk_table_gives_its_code_and_fate() {
        for (frames, code, over) in [
            (vec![chunk(0, "a", false)], "chunk_decode_failed", true),
            (vec![chunk(1, "YWI=", false)], "out_of_order", true),
            (vec![chunk(0, "YWJjZGU=", false)], "oversized", false),
            (vec![chunk(0, "YWI=", true)], "chunk_count_mismatch", true),
            (
                vec![chunk(0, "YWI=", false), chunk(1, "Yw==", true)],
                "undersized",
                false,
            ),
            (
                vec![chunk(0, "YWI=", false), chunk(1, "Y2U=", true)],
                "hash_mismatch",
                false,
            ),
        ] {
            let mut desk = Desk::default();
            desk.hear(&header(json!({})));
            for frame in &frames {
                desk.hear(frame);
            }
            assert_eq!(reasons(&desk)[0], code);
            assert_eq!(desk.over, over, "{code}");
            assert!(desk.intake.0.is_none(), "{code}");
            assert!(desk.stored.is_empty(), "{code}");
        }
    }

    // Covers: R-31, M56
    #[test]
    fn a_second_header_or_a_strange_chunk_does_not_disturb_the_upload() {
        let mut desk = Desk::default();
        desk.hear(&header(json!({})));
        desk.hear(&chunk(0, "YWI=", false));
        desk.hear(&header(json!({"job_id": "k"})));
        let mut strange = chunk(7, "!", true);
        strange["job_id"] = json!("k");
        desk.hear(&strange);
        desk.hear(&chunk(1, "Y2Q=", true));
        assert_eq!(reasons(&desk), ["duplicate_submit", "job_id_mismatch"]);
        assert_eq!(
            desk.said[2],
            json!({"type": "submit_job_ack", "job_id": "j", "accepted": true})
        );
        assert_eq!(desk.stored, b"abcd");
        desk.hear(&chunk(2, "", true));
        assert_eq!(reasons(&desk)[2], "no_inflight_submit");
    }

    #[test]
    fn an_upload_that_cannot_be_stored_is_refused_without_a_word() {
        let mut desk = Desk::default();
        desk.hear(&header(json!({})));
        let ack = desk.intake.abort().unwrap();
        desk.say(&ack);
        assert_eq!(
            desk.said,
            [json!({"type": "submit_job_ack", "job_id": "j", "accepted": false})]
        );
        assert_eq!(desk.intake.abort(), None);
    }

    proptest! {
        /// Whatever comes, only a stream with the announced digest completes, and it is whole.
        #[test]
        fn no_order_of_frames_completes_anything_but_the_announced_bytes(
            moves in proptest::collection::vec((0i64..3, 0usize..3, any::<bool>(), 0u8..8), 0..24)
        ) {
            let mut desk = Desk::default();
            for (index, data, is_last, kind) in moves {
                if desk.over {
                    break;
                }
                let text = ["YWI=", "Y2Q=", "YWJjZA=="][data];
                match kind {
                    0 | 1 => desk.hear(&header(json!({}))),
                    2 => desk.hear(&header(json!({"num_chunks": 1}))),
                    _ => desk.hear(&chunk(index, text, is_last)),
                }
                let accepted = desk.said.last().is_some_and(|f| f["accepted"] == true);
                if accepted {
                    prop_assert_eq!(&desk.stored, b"abcd");
                    prop_assert!(desk.intake.0.is_none());
                    desk.said.clear();
                }
            }
        }
    }
}
