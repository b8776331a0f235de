//! The bodies of the fuzz targets on stable: random damage to good archives, a bounded number of
//! rounds. Whatever the bytes are, nothing panics and nothing lands where it must not.
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[path = "../../../fuzz/bodies/archive.rs"]
mod archive;
#[path = "../../../fuzz/bodies/mutants.rs"]
mod mutants;
mod support;
use support::build::KINDS;
use support::{CARRIERS, Tar, bundle};

/// A bundle with good and bad members, so that damage can make either of the other.
fn mixed_bundle() -> Tar {
    let mut tar = bundle()
        .file("lib/a.h", b"content")
        .link("link", b'2', b"../../outside");
    for carrier in CARRIERS {
        tar = tar.carried(carrier, b"../outside/x", b'0', b"x");
    }
    tar.file("more/b.h", &[7; 600])
}

fn build() -> Tar {
    let kind = &KINDS[2];
    let mut tar = Tar::default()
        .file("storage.json", kind.sidecar("/r/build/kitchen").as_bytes())
        .file(
            "idedata.json",
            kind.idedata_text("/r/build/kitchen").as_bytes(),
        )
        .file("build_info.json", b"{\"config_hash\": 7}")
        .file(kind.firmware, &kind.image());
    for file in kind.files {
        tar = tar.file(file, b"content");
    }
    tar
}

fn damaged(mut bytes: Vec<u8>, flips: &[(Index, u8)]) -> Vec<u8> {
    for (at, value) in flips {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
    bytes
}

/// The input of a fuzz body: a kind, then an archive of that kind.
fn inputs(tar: Tar, flips: &[(Index, u8)]) -> [Vec<u8>; 2] {
    let gzip = damaged(tar.clone().gz(), flips);
    let tar = damaged(tar.end(), flips);
    [[vec![0], gzip].concat(), [vec![1], tar].concat()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bundles_never_panic_and_never_escape(
        flips in vec((any::<Index>(), any::<u8>()), 0..8),
    ) {
        for input in inputs(mixed_bundle(), &flips).iter().chain(&inputs(bundle(), &flips)) {
            archive::bundle(input);
        }
    }

    #[test]
    fn damaged_builds_never_panic_and_never_escape(
        flips in vec((any::<Index>(), any::<u8>()), 0..8),
    ) {
        for input in &inputs(build(), &flips) {
            archive::artifacts(input);
        }
    }

    #[test]
    fn any_bytes_never_panic_and_never_escape(bytes in vec(any::<u8>(), 0..2000)) {
        archive::bundle(&bytes);
        archive::artifacts(&bytes);
    }
}

#[test]
fn mutated_manifests_do_no_harm() {
    let good = r#"{"manifest_version": 1, "esphome_version": "2026.10.0",
        "config_filename": "kitchen.yaml", "config_dir": "/x", "files": [], "has_secrets": false}"#;
    let path = r#"{"manifest_version": 1, "config_filename": "../kitchen.yaml"}"#;
    let corpus = [good, path].map(|text| text.as_bytes().to_vec());
    mutants::run(archive::manifest, &corpus, 4_000);
}
