//! Every cap and deadline of the wire, with the section it comes from.
use std::time::Duration;

/// Path of the WebSocket upgrade (peer-link.md §3.2).
pub const PATH: &str = "/remote-build/peer-link";

/// Largest first message a responder reads: a 32-byte key and a short clear-text JSON. Ours, far
/// below the reference's 4 MiB: nothing is authenticated yet.
pub const MAX_MSG1: usize = 1024;

/// Largest msg3 a responder reads. Labels, ids and a pairing key fit several times. Ours.
pub const MAX_MSG3: usize = 4096;

/// Largest message an initiator reads before a session (msg2, answer): the Noise limit
/// (peer-link.md §3.2, §3.3).
pub const MAX_ONE_SHOT: usize = 65_535;

/// Largest session ciphertext that is sent; the reference offloader's limit is exclusive
/// (peer-link.md §3.2, Q1).
pub const MAX_SENT_CIPHERTEXT: usize = 61_439;

/// Bytes that sealing adds to a plaintext.
pub const TAG: usize = 16;

/// Largest session plaintext that is sent.
pub const MAX_SENT_PLAINTEXT: usize = MAX_SENT_CIPHERTEXT - TAG;

/// Largest session ciphertext a receiver accepts (peer-link.md §3.2, R-28).
pub const MAX_RECEIVER_CIPHERTEXT: usize = 61_440;

/// Largest session ciphertext an offloader accepts: more than the reference's 61,439, because a
/// reference receiver does not split long output lines (peer-link.md Q2).
pub const MAX_OFFLOADER_CIPHERTEXT: usize = 65_535 + TAG;

/// Raw bytes in one JSON chunk, the last one excepted (peer-link.md §6.1).
pub const CHUNK: usize = 32_768;

/// Raw bytes in one binary chunk between Kilns, the last one excepted: what fits a frame beside the
/// longest job id, in whole pages.
pub const KILN_CHUNK: usize = 57_344;

pub use kiln_model::MAX_BUNDLE;

/// Largest artifact tarball: 256 MiB (peer-link.md §6.1).
pub const MAX_ARTIFACTS: u64 = 268_435_456;

/// Deepest nesting of a JSON document (peer-link.md §3.5).
pub const MAX_JSON_DEPTH: usize = 1024;

/// Longest wire job id we take on, in bytes. Ours: the id is repeated in every frame of the job,
/// so an endless one would leave no room for what the frame is about. The reference sends 12.
pub const MAX_JOB_ID: usize = 255;

/// Longest nonce of a ping that is echoed, in bytes of JSON. Ours: echoes wait in memory for a peer
/// that does not read. The reference sends a small number.
pub const MAX_NONCE: usize = 1024;

/// Longest unknown reason of a `terminate` that is passed on, in code points. Ours.
pub const MAX_REASON: usize = 128;

/// Longest `detail` of an `artifacts_end`, in code points (peer-link.md §6.1).
pub const MAX_DETAIL: usize = 256;

/// Longest error message sent with a job state, in bytes. Ours; the reference has no limit, but a
/// frame has.
pub const MAX_ERROR_MESSAGE: usize = 8192;

/// Longest error message of a job state that is taken in, in bytes. Ours: it is one sentence, the
/// output says the rest, and a view of the longest history holds one for each job, in full and as a
/// value, and has to fit the control channel even if every character of it is escaped.
pub const MAX_ERROR_HEARD: usize = 1024;

/// Longest display name of a device in a header, in code points (peer-link.md §5.6).
pub const MAX_DISPLAY: usize = 256;

/// Time for each handshake message of the other side (peer-link.md §3.6).
pub const HANDSHAKE_STEP: Duration = Duration::from_secs(10);

/// Time for each step of a `pair_status` (peer-link.md §3.6).
pub const PAIR_STATUS_STEP: Duration = Duration::from_secs(3600);

/// Time for each step of a `connect_back` (peer-link.md §3.6).
pub const CONNECT_BACK_STEP: Duration = Duration::from_secs(30);

/// Time between pings (peer-link.md §5.4).
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// Silence after which a peer is dead at the next tick (peer-link.md §5.4).
pub const SILENCE: Duration = Duration::from_secs(90);
