//! What is done with hostile update manifests. Shared by the fuzz target and the smoke test on stable.
// A body that panics is a finding.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each user needs a part of it, and what must not be ends the run"
)]

use kiln_model::Timestamp;
use kiln_update::{Asked, Version, verify};

/// A recorded manifest with its signature and the key that made it.
const RECORDED: &str = include_str!("../../tests/vectors/update.txt");

/// Splits into manifest and signature at the first NUL. Only what was recorded may be believed.
pub fn update(data: &[u8]) {
    let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (manifest, signature) = data.split_at(end);
    let signature = signature.get(1..).unwrap_or_default();
    let (key, recorded) = recorded();
    let asked = Asked {
        key,
        running: &Version::new(0, 1, 0),
        newest_seen: None,
        platform: "linux-x86_64-deb",
        now: Timestamp(1_790_000_000_000_000),
    };
    let believed = verify(manifest, signature, &asked).is_ok();
    assert_eq!(
        believed,
        data == recorded,
        "what nobody signed was believed"
    );
}

/// What mutants are made of.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![recorded().1]
}

fn recorded() -> (&'static str, Vec<u8>) {
    let (key, rest) = RECORDED.split_once('\n').expect("a recorded key");
    let (manifest, signature) = rest.split_once('\n').expect("a recorded manifest");
    (
        key,
        [manifest.as_bytes(), b"\0", signature.as_bytes()].concat(),
    )
}
