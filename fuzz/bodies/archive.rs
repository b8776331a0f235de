//! What is done with hostile archives: each body panics exactly if unpacking does, or if something
//! lands where it must not. Shared by the fuzz targets and the smoke test on stable.
//!
//! The first byte of the input says what the rest is: even for gzip, odd for a tar whose checksums
//! are mended first, because most damage would otherwise end there.
// Each target uses one body; an `expect` that fails is a finding.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each user needs a part of it, and what must not be ends the run"
)]
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use flate2::Compression;
use flate2::write::GzEncoder;
use kiln_archive::{LocalTree, extract_bundle, materialise};
use kiln_model::ConfigurationName;

/// Reads the manifest of a bundle on its own, where most damage to an archive would not reach it.
/// One that is good for a configuration is good for no other.
pub fn manifest(data: &[u8]) {
    let other = "bath.yaml".parse().expect("a name");
    let fits = [&kitchen(), &other].map(|name| kiln_archive::decoders::manifest(data, name));
    assert_ne!(fits, [true, true]);
}

/// Unpacks a bundle: on success only the target is new, on refusal nothing is.
pub fn bundle(data: &[u8]) {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(root.path().join("peer")).expect("a folder");
    fs::write(root.path().join("canary"), b"untouched").expect("a canary");
    let peer = open(&root.path().join("peer"));
    let done = extract_bundle(
        &archive(data),
        &peer,
        "kitchen",
        &kitchen(),
        &AtomicBool::new(false),
    );
    for path in everything(root.path()) {
        let fine = path == Path::new("peer")
            || path == Path::new("canary")
            || (done.is_ok() && path.starts_with("peer/kitchen"));
        assert!(fine, "{} after {done:?}", path.display());
    }
}

/// Puts a build in place: on success only in the four folders it belongs to, on refusal nowhere.
pub fn artifacts(data: &[u8]) {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(root.path().join("data")).expect("a folder");
    fs::write(root.path().join("canary"), b"untouched").expect("a canary");
    let tree = LocalTree {
        data: &open(&root.path().join("data")),
        data_path: "/owner/.esphome",
        configuration: &kitchen(),
        device: None,
        platformio: None,
    };
    let done = materialise(&archive(data), tree, &AtomicBool::new(false));
    let places = ["data/build", "data/idedata", "data/storage"];
    for path in everything(root.path()) {
        let fine = path == Path::new("data")
            || path == Path::new("canary")
            || (done.is_ok() && places.iter().any(|place| path.starts_with(place)));
        assert!(fine, "{} after {done:?}", path.display());
    }
}

fn kitchen() -> ConfigurationName {
    "kitchen.yaml".parse().expect("a good name")
}

fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).expect("a folder that was just made")
}

fn archive(data: &[u8]) -> File {
    let (kind, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut file = tempfile::tempfile().expect("a temporary file");
    let written = match kind % 2 {
        0 => file.write_all(rest),
        _ => {
            let mut gzip = GzEncoder::new(&mut file, Compression::fast());
            gzip.write_all(&mended(rest))
                .and_then(|()| gzip.finish().map(|_| ()))
        }
    };
    written.expect("room in the temporary folder");
    file.rewind().expect("a file that can be rewound");
    file
}

/// Writes the right checksum into every block that looks like a header.
fn mended(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    for block in tar.as_chunks_mut::<512>().0 {
        if block[257..262] == *b"ustar" {
            block[148..156].copy_from_slice(b"        ");
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    tar
}

/// Paths below a folder; panics at anything that is neither a folder nor a plain file.
fn everything(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder that can be read") {
            let path = entry.expect("an entry").path();
            let meta = fs::symlink_metadata(&path).expect("an entry that is there");
            assert!(meta.is_dir() || meta.is_file(), "{}", path.display());
            found.push(
                path.strip_prefix(root)
                    .expect("below the root")
                    .to_path_buf(),
            );
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
    found
}
