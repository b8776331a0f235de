//! What strangers send, decoded without a socket; for fuzzing.

use super::{upgrade, wire};

/// Who reads: frames to a listener are masked, frames to a dialler are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The accepting side.
    Listener,
    /// The dialling side.
    Dialler,
}

/// Returns the binary messages in a stream of frames that arrives in these pieces, up to the first
/// fault or close.
pub fn websocket<'a>(
    side: Side,
    limit: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Vec<Vec<u8>> {
    let role = match side {
        Side::Listener => wire::Role::Server,
        Side::Dialler => wire::Role::Client,
    };
    wire::messages(role, limit, pieces)
}

/// Returns whether a request head is upgraded.
pub fn upgrade_request(head: &[u8]) -> bool {
    upgrade::judge(head).is_ok()
}

/// Returns whether an answer head agrees to the request with this key.
pub fn upgrade_answer(head: &[u8], key: &str) -> bool {
    upgrade::check_answer(head, key).is_ok()
}
