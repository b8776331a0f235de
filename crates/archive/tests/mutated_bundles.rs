//! Random damage: whatever the bytes are, nothing panics and nothing lands outside the target.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
use std::sync::atomic::AtomicBool;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_archive::extract_bundle;
use proptest::collection::vec;
use proptest::prelude::*;

mod support;
use support::{CARRIERS, Tar, bundle, gz, put, sealed};

fn seed() -> Tar {
    let mut tar = bundle()
        .file("lib/a.h", b"content")
        .link("link", b'2', b"../../outside");
    for carrier in CARRIERS {
        tar = tar.carried(carrier, b"../outside/x", b'0', b"x");
    }
    tar.file("more/b.h", &[7; 600])
}

fn check(packed: &[u8]) {
    let place = tempfile::tempdir().unwrap();
    put(place.path(), "outside/canary", b"untouched");
    std::fs::create_dir(place.path().join("peer")).unwrap();
    let parent = Dir::open_ambient_dir(place.path().join("peer"), ambient_authority()).unwrap();
    let announced = "kitchen.yaml".parse().unwrap();
    let tarball = support::tarball(packed);
    let result = extract_bundle(
        &tarball,
        &parent,
        "kitchen",
        &announced,
        &AtomicBool::new(false),
    );
    let found = support::snapshot(place.path());
    let strays = found.iter().filter(|entry| {
        let inside = entry.starts_with("peer/kitchen/") || entry.starts_with("peer/kitchen:");
        let known = entry.starts_with("outside") || entry.starts_with("peer:");
        !(known || inside && result.is_ok()) || entry.contains("SPECIAL")
    });
    assert_eq!(strays.collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(found.iter().filter(|e| e.starts_with("outside")).count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damaged_gzip_never_panics_and_never_escapes(
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut packed = seed().gz();
        for (at, value) in flips {
            let at = at.index(packed.len());
            packed[at] = value;
        }
        check(&packed);
    }

    /// Most damaged headers fail their checksum, so this one mends it: the damage is read.
    #[test]
    fn damaged_headers_with_right_checksums_never_panic_and_never_escape(
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut tar = seed().end();
        for (at, value) in flips {
            let at = at.index(tar.len());
            tar[at] = value;
        }
        for block in tar.as_chunks_mut::<512>().0 {
            if block[257..262] == *b"ustar" {
                *block = sealed(*block);
            }
        }
        check(&gz(&tar));
    }

    #[test]
    fn any_bytes_never_panic_and_never_escape(bytes in vec(any::<u8>(), 0..2000)) {
        check(&bytes);
        check(&gz(&bytes));
    }
}
