//! Bulk data: [`Chunk`], the [`Assembler`] that checks a stream of them, the [`Chunker`] that cuts
//! one (peer-link.md §5.6, §6.4, §8.1 B-24 to B-27).
use std::borrow::Cow;

use aws_lc_rs::digest;
use base64_simd::STANDARD;
use kiln_model::SubmitRefusal;
use kiln_model::witness::DigestVerified;

use crate::json::Object;
use crate::limits::TAG;
use crate::session::Side;

/// One piece of a bundle or of a tarball, its payload still base64.
#[derive(Debug, PartialEq)]
pub struct Chunk<'a> {
    /// The job it belongs to.
    pub job_id: Cow<'a, str>,
    /// Its number, counted from 0; as sent, possibly nonsense.
    pub index: i64,
    /// The sender says that it is the last one.
    pub is_last: bool,
    payload: Payload<'a>,
}

#[derive(Debug, PartialEq)]
enum Payload<'a> {
    /// Base64 that was checked, in the buffer it came in.
    Checked(&'a mut [u8]),
    /// Text that may be base64.
    Text(String),
    /// The bytes themselves, from another Kiln.
    Raw(&'a [u8]),
}

/// Members before and after the payload, as every known writer puts them.
const TYPE: &[u8] = br#"{"type":""#;
const JOB_ID: &[u8] = br#"","job_id":""#;
const INDEX: &[u8] = br#"","chunk_index":"#;
const DATA: &[u8] = br#","data_b64":""#;
const LAST: &[u8] = br#"","is_last":true}"#;
const NOT_LAST: &[u8] = br#"","is_last":false}"#;

impl<'a> Chunk<'a> {
    /// Returns the bytes, decoded where they lie when possible.
    ///
    /// # Errors
    /// [`SubmitRefusal::ChunkDecodeFailed`] if the text is not strict base64.
    fn decode(self) -> Result<Cow<'a, [u8]>, SubmitRefusal> {
        let failed = |_| SubmitRefusal::ChunkDecodeFailed;
        match self.payload {
            Payload::Checked(text) => {
                let bytes: &'a [u8] = STANDARD.decode_inplace(text).map_err(failed)?;
                Ok(Cow::Borrowed(bytes))
            }
            Payload::Text(text) => {
                let bytes = STANDARD.decode_to_vec(text).map_err(failed)?;
                Ok(Cow::Owned(bytes))
            }
            Payload::Raw(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// Reads a binary chunk, see [`encode_binary`].
    pub(crate) fn binary(frame: &'a [u8]) -> Option<Self> {
        let (&[BINARY, is_last, id_len], rest) = frame.split_first_chunk()? else {
            return None;
        };
        let (id, rest) = rest.split_at_checked(usize::from(id_len))?;
        let (index, data) = rest.split_first_chunk()?;
        Some(Self {
            job_id: Cow::Borrowed(std::str::from_utf8(id).ok()?),
            index: i64::try_from(u64::from_le_bytes(*index)).ok()?,
            is_last: match is_last {
                0 => false,
                1 => true,
                _ => return None,
            },
            payload: Payload::Raw(data),
        })
    }

    /// Reads the members; `None` if one is missing or of the wrong type.
    pub(crate) fn read(object: &Object<'_>) -> Option<Chunk<'static>> {
        Some(Chunk {
            job_id: Cow::Owned(object.string("job_id")?.into_owned()),
            index: object.integer("chunk_index")?,
            payload: Payload::Text(object.string("data_b64")?.into_owned()),
            is_last: object.boolean("is_last")?,
        })
    }

    /// Finds the parts of a chunk frame that looks exactly as writers make it. Anything unusual
    /// (other order, white space, escapes, a payload that is not base64) is left to the JSON
    /// reader, so both ways give the same result.
    pub(crate) fn find(side: Side, frame: &[u8]) -> Option<Place> {
        let word: &[u8] = match side {
            Side::Receiver => b"submit_job_chunk",
            Side::Offloader => b"artifacts_chunk",
        };
        let rest = frame.strip_prefix(TYPE)?.strip_prefix(word)?;
        let rest = rest.strip_prefix(JOB_ID)?;
        let id_start = frame.len() - rest.len();
        let id_len = rest.iter().position(|byte| *byte == b'"')?;
        let (id, rest) = rest.split_at_checked(id_len)?;
        if id.iter().any(|b| *b == b'\\' || *b < 0x20) || std::str::from_utf8(id).is_err() {
            return None;
        }
        let rest = rest.strip_prefix(INDEX)?;
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = rest.split_at_checked(digits)?;
        if digits == 0 || digits > 18 || (digits > 1 && number.first() == Some(&b'0')) {
            return None;
        }
        let index = number
            .iter()
            .fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
        let rest = rest.strip_prefix(DATA)?;
        let data_start = frame.len() - rest.len();
        let (data, is_last) = match (rest.strip_suffix(LAST), rest.strip_suffix(NOT_LAST)) {
            (Some(data), _) => (data, true),
            (None, Some(data)) => (data, false),
            (None, None) => return None,
        };
        STANDARD.check(data).ok()?;
        Some(Place {
            id: (id_start, id_start + id_len),
            data: (data_start, data_start + data.len()),
            index,
            is_last,
        })
    }
}

/// Where the parts of a chunk lie in its frame.
pub(crate) struct Place {
    id: (usize, usize),
    data: (usize, usize),
    index: i64,
    is_last: bool,
}

impl Place {
    /// Takes the parts out of the frame they were found in.
    pub(crate) fn take(self, frame: &mut [u8]) -> Chunk<'_> {
        let (head, tail) = frame.split_at_mut(self.data.0);
        let id = head.get(self.id.0..self.id.1).unwrap_or_default();
        let data = tail
            .get_mut(..self.data.1 - self.data.0)
            .unwrap_or_default();
        Chunk {
            job_id: String::from_utf8_lossy(id),
            index: self.index,
            is_last: self.is_last,
            payload: Payload::Checked(data),
        }
    }
}

/// Writes a chunk as JSON. `data` is at most [`crate::limits::CHUNK`] bytes.
pub(crate) fn encode_chunk(side: Side, job_id: &str, piece: Piece, data: &[u8]) -> Vec<u8> {
    let payload = STANDARD.encoded_length(data.len());
    let mut frame = Vec::with_capacity(128 + 2 * job_id.len() + payload + TAG);
    frame.extend_from_slice(TYPE);
    frame.extend_from_slice(match side {
        Side::Offloader => b"submit_job_chunk",
        Side::Receiver => b"artifacts_chunk",
    });
    frame.extend_from_slice(br#"","job_id":"#);
    frame.extend_from_slice(&crate::intent::json(&job_id));
    frame.extend_from_slice(br#","chunk_index":"#);
    frame.extend_from_slice(piece.index.to_string().as_bytes());
    frame.extend_from_slice(DATA);
    STANDARD.encode_append(data, &mut frame);
    frame.extend_from_slice(if piece.is_last { LAST } else { NOT_LAST });
    frame
}

/// First byte of a binary chunk. No JSON document begins with it.
pub(crate) const BINARY: u8 = 0;

/// Writes a chunk as Kilns send it to each other: the byte [`BINARY`], a byte 1 for the last chunk
/// and 0 for others, the length of the job id as a byte, the job id, the index as 64-bit
/// little-endian, the data. `None` if the job id is longer than [`crate::limits::MAX_JOB_ID`].
///
/// The rules of a stream are the same as for JSON chunks; a quarter less travels, and nobody
/// translates base64.
pub(crate) fn encode_binary(job_id: &str, piece: Piece, data: &[u8]) -> Option<Vec<u8>> {
    let id_len = u8::try_from(job_id.len()).ok()?;
    let mut frame = Vec::with_capacity(3 + job_id.len() + 8 + data.len() + TAG);
    frame.extend_from_slice(&[BINARY, u8::from(piece.is_last), id_len]);
    frame.extend_from_slice(job_id.as_bytes());
    frame.extend_from_slice(&piece.index.to_le_bytes());
    frame.extend_from_slice(data);
    Some(frame)
}

/// Checks a stream of chunks against its header and hands the bytes on; it holds none of them.
pub struct Assembler {
    total: u64,
    chunks: i64,
    sha256: String,
    received: u64,
    next: i64,
    digest: digest::Context,
}

impl Assembler {
    /// Judges a header: at least one byte, at least one chunk, at most `cap` bytes.
    ///
    /// # Errors
    /// [`SubmitRefusal::EmptyBundle`], [`SubmitRefusal::ChunkCountMismatch`],
    /// [`SubmitRefusal::Oversized`], looked for in this order.
    pub fn new(
        total_bytes: i64,
        num_chunks: i64,
        sha256: &str,
        cap: u64,
    ) -> Result<Self, SubmitRefusal> {
        let total = match u64::try_from(total_bytes) {
            Ok(0) | Err(_) => return Err(SubmitRefusal::EmptyBundle),
            Ok(total) => total,
        };
        if num_chunks <= 0 {
            return Err(SubmitRefusal::ChunkCountMismatch);
        }
        if total > cap {
            return Err(SubmitRefusal::Oversized);
        }
        Ok(Self {
            total,
            chunks: num_chunks,
            sha256: sha256.to_owned(),
            received: 0,
            next: 0,
            digest: digest::Context::new(&digest::SHA256),
        })
    }

    /// Takes the next chunk and returns its bytes, to be written at once.
    ///
    /// # Errors
    /// The first rule it breaks: [`SubmitRefusal::PostCompletion`],
    /// [`SubmitRefusal::ChunkDecodeFailed`], [`SubmitRefusal::OutOfOrder`],
    /// [`SubmitRefusal::Oversized`], [`SubmitRefusal::ChunkCountMismatch`]. The stream is over.
    pub fn feed<'a>(&mut self, chunk: Chunk<'a>) -> Result<Cow<'a, [u8]>, SubmitRefusal> {
        let (index, is_last) = (chunk.index, chunk.is_last);
        if self.is_complete() {
            return Err(SubmitRefusal::PostCompletion);
        }
        let bytes = chunk.decode()?;
        if index != self.next {
            return Err(SubmitRefusal::OutOfOrder);
        }
        if bytes.len() as u64 > self.total - self.received {
            return Err(SubmitRefusal::Oversized);
        }
        if is_last != (self.next + 1 == self.chunks) {
            return Err(SubmitRefusal::ChunkCountMismatch);
        }
        self.digest.update(&bytes);
        self.received += bytes.len() as u64;
        self.next += 1;
        Ok(bytes)
    }

    /// Returns whether the last chunk is in.
    pub fn is_complete(&self) -> bool {
        self.next == self.chunks
    }

    /// Returns the bytes received so far and in total.
    pub fn progress(&self) -> (u64, u64) {
        (self.received, self.total)
    }

    /// Compares size and digest; letter case of the announced digest does not count.
    ///
    /// # Errors
    /// [`SubmitRefusal::Undersized`], [`SubmitRefusal::HashMismatch`].
    pub fn finish(self) -> Result<DigestVerified, SubmitRefusal> {
        if !self.is_complete() || self.received < self.total {
            return Err(SubmitRefusal::Undersized);
        }
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.digest.finish().as_ref());
        if kiln_model::Pin(sha256).to_string() != self.sha256.to_ascii_lowercase() {
            return Err(SubmitRefusal::HashMismatch);
        }
        Ok(DigestVerified::assertion())
    }
}

/// Cuts `total` bytes into pieces; the last one is the shortest.
#[derive(Clone, Debug)]
pub struct Chunker {
    total: u64,
    size: u64,
    next: u64,
}

/// One piece to be sent: read `len` bytes and seal them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its number, counted from 0.
    pub index: u64,
    /// Bytes in it.
    pub len: usize,
    /// No piece follows.
    pub is_last: bool,
}

impl Chunker {
    /// Plans pieces of `size` bytes; see [`crate::Sealer::chunk_size`].
    pub fn new(total: u64, size: usize) -> Self {
        let size = size.max(1) as u64;
        Self {
            total,
            size,
            next: 0,
        }
    }

    /// Returns how many pieces there are, for the header.
    pub fn num_chunks(&self) -> u64 {
        self.total.div_ceil(self.size)
    }
}

impl Iterator for Chunker {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let index = self.next;
        if index >= self.num_chunks() {
            return None;
        }
        self.next += 1;
        Some(Piece {
            index,
            len: (self.total - index * self.size).min(self.size) as usize,
            is_last: self.next == self.num_chunks(),
        })
    }
}

#[cfg(test)]
mod tests {
    use base64_simd::STANDARD as B64;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::fixture::{rows, unhex, vectors};
    use crate::frame::{Frame, decode, decode_slowly};
    use crate::limits::{CHUNK, MAX_ARTIFACTS, MAX_BUNDLE, MAX_SENT_PLAINTEXT};
    use crate::session::Dialect;

    fn chunk(index: i64, text: &str, is_last: bool) -> Chunk<'static> {
        Chunk {
            job_id: Cow::Borrowed("j"),
            index,
            is_last,
            payload: Payload::Text(text.to_owned()),
        }
    }

    /// What a stream of (index, base64, is_last) gives: the bytes, or (place, code).
    fn assemble(
        header: (i64, i64, &str, u64),
        feeds: impl Iterator<Item = (i64, String, bool)>,
    ) -> Result<Vec<u8>, (String, &'static str)> {
        let (total, chunks, sha256, cap) = header;
        let at = |place: &str, code: SubmitRefusal| (place.to_owned(), code.word());
        let mut assembler =
            Assembler::new(total, chunks, sha256, cap).map_err(|code| at("header", code))?;
        let mut bytes = Vec::new();
        for (i, (index, text, is_last)) in feeds.enumerate() {
            let fed = assembler.feed(chunk(index, &text, is_last));
            bytes.extend_from_slice(&fed.map_err(|code| at(&format!("feed[{i}]"), code))?);
        }
        assembler.finish().map_err(|code| at("finalise", code))?;
        Ok(bytes)
    }

    // Covers: B-25, B-27
    #[test]
    fn the_assembler_accepts_and_refuses_as_the_bundle_vectors_say() {
        let vectors = vectors!("bundle");
        assert_eq!(vectors["chunk_size"], CHUNK);
        assert_eq!(vectors["bundle_max_total_bytes"], MAX_BUNDLE);
        assert_eq!(vectors["firmware_max_total_bytes"], MAX_ARTIFACTS);
        for case in rows(&vectors["assembler"]) {
            let header = (
                case["header"]["total_bytes"].as_i64().unwrap(),
                case["header"]["num_chunks"].as_i64().unwrap(),
                case["header"]["sha256_hex"].as_str().unwrap(),
                case["max_total_bytes"].as_u64().unwrap_or(MAX_BUNDLE),
            );
            let feeds = rows(&case["feeds"]).iter().map(|feed| {
                (
                    feed["chunk_index"].as_i64().unwrap(),
                    feed["data_b64"].as_str().unwrap().to_owned(),
                    feed["is_last"].as_bool().unwrap(),
                )
            });
            match assemble(header, feeds) {
                Ok(bytes) => assert_eq!(B64.encode_to_string(bytes), case["result_b64"]),
                Err((place, code)) => {
                    assert_eq!(
                        (place, code.into()),
                        (
                            case["error_at"].as_str().unwrap().to_owned(),
                            case["error"].clone()
                        ),
                        "{}",
                        case["name"]
                    );
                }
            }
        }
    }

    // Covers: M58
    #[test]
    fn the_assembler_accepts_and_refuses_as_the_build_vectors_say() {
        let vectors = vectors!("build-vectors");
        for case in rows(&vectors["assembler"]) {
            let header = (
                case["total_bytes"].as_i64().unwrap(),
                case["num_chunks"].as_i64().unwrap(),
                case["sha256"].as_str().unwrap(),
                case["cap"].as_u64().unwrap_or(MAX_BUNDLE),
            );
            let feeds = rows(&case["feeds"]).iter().map(|feed| {
                let text = B64.encode_to_string(feed[1].as_str().unwrap());
                (feed[0].as_i64().unwrap(), text, feed[2].as_bool().unwrap())
            });
            let result = match assemble(header, feeds) {
                Ok(_) => "ok",
                Err((_, code)) => code,
            };
            assert_eq!(result, case["result"], "{case}");
        }
    }

    // Covers: B-24
    #[test]
    fn base64_is_decoded_strictly_as_the_vectors_say() {
        let vectors = vectors!("bundle");
        for case in rows(&vectors["base64"]) {
            let decoded = chunk(0, case["data_b64"].as_str().unwrap(), true).decode();
            match decoded {
                Ok(bytes) => assert_eq!(bytes.as_ref(), unhex(&case["hex"]), "{case}"),
                Err(_) => assert_eq!(case["ok"], false, "{case}"),
            }
        }
    }

    // Covers: B-26
    #[test]
    fn a_bundle_is_cut_as_the_vectors_say_and_every_frame_fits() {
        let vectors = vectors!("bundle");
        for case in rows(&vectors["chunking"]) {
            let length = case["len"].as_u64().unwrap();
            let data: Vec<u8> = (0..length).map(|i| (7 * i + 3) as u8).collect();
            let chunker = Chunker::new(length, CHUNK);
            assert_eq!(chunker.num_chunks(), case["num_chunks"]);
            let mut at = 0;
            for (piece, expected) in chunker.zip(rows(&case["chunks"])) {
                let raw = &data[at..at + piece.len];
                at += piece.len;
                let mut frame = encode_chunk(Side::Offloader, "0a1b2c3d4e5f", piece, raw);
                assert!(frame.len() <= MAX_SENT_PLAINTEXT);
                let json: Value = serde_json::from_slice(&frame).unwrap();
                let text = json["data_b64"].as_str().unwrap();
                assert_eq!(json["chunk_index"], expected["chunk_index"]);
                assert_eq!(json["is_last"], expected["is_last"]);
                assert_eq!(text.len(), expected["data_b64_len"]);
                assert!(text.starts_with(expected["data_b64_prefix"].as_str().unwrap()));
                let Frame::Chunk(chunk) =
                    decode(Side::Receiver, Dialect::Reference, &mut frame).unwrap()
                else {
                    panic!("a chunk");
                };
                assert!(matches!(chunk.payload, Payload::Checked(_)));
                assert_eq!(chunk.decode().unwrap(), raw);
            }
            assert_eq!(at as u64, length);
        }
    }

    /// A frame as a value: all that a chunk says, its payload decoded.
    fn meaning(frame: Frame<'_>) -> String {
        match frame {
            Frame::Chunk(chunk) => {
                let said = (chunk.job_id.to_string(), chunk.index, chunk.is_last);
                format!("{said:?} {:?}", chunk.decode())
            }
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_binary_chunk_arrives_as_it_was_sent_and_no_bytes_panic(
            job_id in "\\PC{0,60}",
            index in 0..i64::MAX as u64,
            data in any::<Vec<u8>>(),
            is_last: bool,
            noise in any::<Vec<u8>>(),
        ) {
            let piece = Piece { index, len: data.len(), is_last };
            let frame = encode_binary(&job_id, piece, &data).unwrap();
            let chunk = Chunk::binary(&frame).unwrap();
            prop_assert_eq!((chunk.job_id.as_ref(), chunk.index), (job_id.as_str(), index as i64));
            prop_assert_eq!(chunk.is_last, is_last);
            prop_assert_eq!(chunk.decode().unwrap(), data);
            let _ = Chunk::binary(&noise);
        }

        #[test]
        fn the_short_cut_and_the_json_reader_agree_on_any_spoiled_chunk(
            job_id in "\\PC{0,6}",
            index in any::<u64>(),
            data in any::<Vec<u8>>(),
            is_last: bool,
            spoil in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
            cut in proptest::option::of(any::<proptest::sample::Index>()),
        ) {
            let piece = Piece { index, len: data.len(), is_last };
            let mut frame = encode_chunk(Side::Offloader, &job_id, piece, &data);
            for (at, byte) in spoil {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            if let Some(cut) = cut {
                frame.remove(cut.index(frame.len()));
            }
            let slow = decode_slowly(Side::Receiver, &frame).map(meaning);
            let fast = decode(Side::Receiver, Dialect::Reference, &mut frame).map(meaning);
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn whatever_is_cut_is_assembled_again(data in proptest::collection::vec(any::<u8>(), 1..5000), size in 1usize..700) {
            let sha256 = digest::digest(&digest::SHA256, &data);
            let sha256: String = sha256.as_ref().iter().map(|b| format!("{b:02X}")).collect();
            let chunker = Chunker::new(data.len() as u64, size);
            let chunks = chunker.num_chunks() as i64;
            let feeds = chunker.map(|piece| {
                let from = piece.index as usize * size;
                let text = B64.encode_to_string(&data[from..from + piece.len]);
                (piece.index as i64, text, piece.is_last)
            });
            let header = (data.len() as i64, chunks, sha256.as_str(), MAX_BUNDLE);
            prop_assert_eq!(assemble(header, feeds).unwrap(), data);
        }
    }
}
