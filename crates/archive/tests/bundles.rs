//! Good bundles: unpacked as they are, caches of an earlier build kept, crashes cleaned up.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_archive::{ExtractError, ExtractedBundle, extract_bundle, finish_interrupted};

mod support;
use support::{CARRIERS, MANIFEST, Tar, bundle, gz, header, pax_record, put, sealed, snapshot};

fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

fn extract(place: &Path, packed: &[u8]) -> Result<ExtractedBundle, ExtractError> {
    let announced = "kitchen.yaml".parse().unwrap();
    let tarball = support::tarball(packed);
    extract_bundle(
        &tarball,
        &open(place),
        "kitchen",
        &announced,
        &AtomicBool::new(false),
    )
}

fn text(place: &Path, path: &str) -> String {
    fs::read_to_string(place.join(path)).unwrap()
}

// Covers: M71
// Covers: M72
#[test]
fn a_bundle_is_unpacked_whole_with_its_manifest_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let packed = bundle().file("fonts/a.ttf", b"font").gz();
    let done = extract(place.path(), &packed).unwrap();
    assert_eq!(done.esphome_version, "2026.10.0");
    assert_eq!(text(place.path(), "kitchen/manifest.json"), MANIFEST);
    assert_eq!(text(place.path(), "kitchen/fonts/a.ttf"), "font");
    let files: Vec<String> = snapshot(place.path());
    assert_eq!(files.len(), 6, "{files:?}");
    assert_eq!(done.members, 5);
}

#[test]
fn names_travel_by_every_carrier_python_and_gnu_tar_use() {
    for carrier in CARRIERS {
        let place = tempfile::tempdir().unwrap();
        let deep = "lib/components/some_component/file.h";
        let packed = bundle()
            .carried(carrier, deep.as_bytes(), b'0', b"#pragma once")
            .carried(carrier, "ü/ñ.png".as_bytes(), b'0', b"png")
            .carried(carrier, "nfd-u\u{308}.png".as_bytes(), b'0', b"png")
            .carried(carrier, b"empty/", b'5', b"")
            .gz();
        extract(place.path(), &packed).unwrap();
        assert_eq!(
            text(place.path(), &format!("kitchen/{deep}")),
            "#pragma once"
        );
        assert_eq!(text(place.path(), "kitchen/ü/ñ.png"), "png");
        assert_eq!(text(place.path(), "kitchen/nfd-u\u{308}.png"), "png");
        assert!(place.path().join("kitchen/empty").is_dir());
    }
}

#[test]
fn long_paths_times_and_owners_in_pax_are_harmless() {
    let place = tempfile::tempdir().unwrap();
    let long = format!("{}/file.h", vec!["component"; 15].join("/"));
    let records = [
        pax_record(b"mtime", b"1700000000.5"),
        pax_record(b"uname", "jürgen".as_bytes()),
        pax_record(b"path", long.as_bytes()),
    ]
    .concat();
    let packed = bundle()
        .pax(&records)
        .raw(header(b"cut", b'0', 1), b"x")
        .gz();
    extract(place.path(), &packed).unwrap();
    assert_eq!(text(place.path(), &format!("kitchen/{long}")), "x");
}

#[test]
fn ustar_prefixes_and_gnu_headers_are_read() {
    let place = tempfile::tempdir().unwrap();
    let mut prefixed = header(b"leaf.h", b'0', 1);
    prefixed[345..353].copy_from_slice(b"some/dir");
    let mut gnu = header(b"gnu.h", b'0', 1);
    gnu[257..265].copy_from_slice(b"ustar  \0");
    let packed = bundle()
        .raw(sealed(prefixed), b"p")
        .raw(sealed(gnu), b"g")
        .gz();
    extract(place.path(), &packed).unwrap();
    assert_eq!(text(place.path(), "kitchen/some/dir/leaf.h"), "p");
    assert_eq!(text(place.path(), "kitchen/gnu.h"), "g");
}

#[test]
fn the_manifest_may_come_last_and_the_end_may_be_padded_or_bare() {
    let last = Tar::default()
        .file("kitchen.yaml", b"")
        .file("manifest.json", MANIFEST.as_bytes());
    let mut bare = bundle().0;
    bare.extend([0; 1024]);
    for packed in [last.gz(), gz(&bare)] {
        let place = tempfile::tempdir().unwrap();
        extract(place.path(), &packed).unwrap();
    }
}

#[test]
fn no_file_becomes_executable_whatever_the_archive_says() {
    let place = tempfile::tempdir().unwrap();
    let mut packed = bundle();
    for (at, mode) in ["0000777", "0000000", "0000111", "0100755"]
        .into_iter()
        .enumerate()
    {
        let mut block = header(format!("tool{at}").as_bytes(), b'0', 0);
        block[100..107].copy_from_slice(mode.as_bytes());
        packed = packed.raw(sealed(block), b"");
    }
    extract(place.path(), &packed.gz()).unwrap();
    let tarball_mode = support::tarball(b"").metadata().unwrap().permissions();
    for at in 0..4 {
        let file = place.path().join(format!("kitchen/tool{at}"));
        assert_eq!(fs::metadata(file).unwrap().permissions(), tarball_mode);
    }
    let executable = snapshot(place.path())
        .into_iter()
        .filter(|entry| entry.contains("file") && entry.contains('x') && entry.contains("rwx"));
    assert_eq!(executable.count(), 0);
}

// Covers: M70
#[test]
fn caches_of_an_earlier_build_survive_and_win_over_the_archive() {
    let place = tempfile::tempdir().unwrap();
    put(place.path(), "kitchen/.esphome/build/x.o", b"object");
    put(place.path(), "kitchen/.pioenvs/y.o", b"object");
    put(place.path(), "kitchen/.pio/z.o", b"object");
    put(place.path(), "kitchen/old.h", b"gone with the new bundle");
    let packed = bundle()
        .file(".esphome/build/x.o", b"theirs")
        .file(".esphome/more", b"theirs")
        .file(".PIOENVS/y.o", b"theirs")
        .file(".pio", b"theirs")
        .gz();
    extract(place.path(), &packed).unwrap();
    assert_eq!(text(place.path(), "kitchen/.esphome/build/x.o"), "object");
    assert_eq!(text(place.path(), "kitchen/.pioenvs/y.o"), "object");
    assert_eq!(text(place.path(), "kitchen/.pio/z.o"), "object");
    assert!(!place.path().join("kitchen/.esphome/more").exists());
    assert!(!place.path().join("kitchen/.PIOENVS").exists());
    assert!(!place.path().join("kitchen/old.h").exists());
}

#[test]
fn members_under_preserved_names_are_never_written_even_without_an_earlier_build() {
    let place = tempfile::tempdir().unwrap();
    let packed = bundle()
        .file(".esphome/storage/kitchen.yaml.json", b"{}")
        .gz();
    extract(place.path(), &packed).unwrap();
    assert!(!place.path().join("kitchen/.esphome").exists());
}

#[test]
fn a_refused_bundle_leaves_the_earlier_tree_usable() {
    let place = tempfile::tempdir().unwrap();
    extract(place.path(), &bundle().file("a", b"first").gz()).unwrap();
    let before = snapshot(place.path());
    let refused = bundle().file("a", b"second").file("../x", b"").gz();
    extract(place.path(), &refused).unwrap_err();
    assert_eq!(snapshot(place.path()), before);
}

#[test]
fn bundles_of_one_offloader_may_arrive_at_the_same_time() {
    let place = tempfile::tempdir().unwrap();
    let packed = bundle().file("big", &[7; 300_000]).gz();
    std::thread::scope(|scope| {
        for at in 0..16 {
            let (place, packed) = (place.path(), &packed);
            scope.spawn(move || {
                let announced = "kitchen.yaml".parse().unwrap();
                let tarball = support::tarball(packed);
                let leaf = format!("device{}", at % 8);
                let go = AtomicBool::new(false);
                extract_bundle(&tarball, &open(place), &leaf, &announced, &go).unwrap();
            });
        }
    });
    // Eight folders of four files.
    assert_eq!(snapshot(place.path()).len(), 8 * 5);
}

#[test]
fn a_cancelled_bundle_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let announced = "kitchen.yaml".parse().unwrap();
    let tarball = support::tarball(&bundle().gz());
    let cancelled = AtomicBool::new(true);
    let result = extract_bundle(
        &tarball,
        &open(place.path()),
        "kitchen",
        &announced,
        &cancelled,
    );
    assert!(matches!(result, Err(ExtractError::Cancelled)));
    assert_eq!(snapshot(place.path()), Vec::<String>::new());
}

#[test]
fn a_folder_name_that_is_not_one_is_an_error_of_ours() {
    for leaf in ["", "..", "a/b", ".bundle_staging", ".Bundle_Staging", "C:"] {
        let place = tempfile::tempdir().unwrap();
        let announced = "kitchen.yaml".parse().unwrap();
        let tarball = support::tarball(&bundle().gz());
        let result = extract_bundle(
            &tarball,
            &open(place.path()),
            leaf,
            &announced,
            &AtomicBool::new(false),
        );
        assert!(matches!(result, Err(ExtractError::Io(_))), "{leaf}");
    }
}

/// Crash points of a replacement, as folders below `.bundle_staging`, and what must be there
/// after the next start.
#[test]
fn an_interrupted_replacement_is_completed_or_taken_back() {
    let stories: [(&[&str], &[&str]); 5] = [
        // Half unpacked: the earlier tree stays.
        (
            &["kitchen/old", ".bundle_staging/incoming/kitchen/half"],
            &["kitchen/old"],
        ),
        // The old tree made room, the new one did not arrive.
        (
            &[
                ".bundle_staging/incoming/kitchen/new",
                ".bundle_staging/outgoing/kitchen/old",
                ".bundle_staging/outgoing/kitchen/.esphome/o",
            ],
            &["kitchen/.esphome/o", "kitchen/old"],
        ),
        // The new one arrived, caches still lie in the old one.
        (
            &[
                "kitchen/new",
                ".bundle_staging/outgoing/kitchen/old",
                ".bundle_staging/outgoing/kitchen/.esphome/o",
                ".bundle_staging/outgoing/kitchen/.pio/o",
            ],
            &["kitchen/.esphome/o", "kitchen/.pio/o", "kitchen/new"],
        ),
        // One cache was moved already.
        (
            &[
                "kitchen/new",
                "kitchen/.esphome/o",
                ".bundle_staging/outgoing/kitchen/.pio/o",
            ],
            &["kitchen/.esphome/o", "kitchen/.pio/o", "kitchen/new"],
        ),
        (&[".bundle_staging"], &[]),
    ];
    for (crashed, expected) in stories {
        let place = tempfile::tempdir().unwrap();
        for path in crashed {
            put(place.path(), path, b"");
        }
        finish_interrupted(&open(place.path())).unwrap();
        let files: Vec<String> = snapshot(place.path())
            .into_iter()
            .filter_map(|entry| entry.split_once(": file").map(|(path, _)| path.to_owned()))
            .collect();
        assert_eq!(files, expected, "{crashed:?}");
        finish_interrupted(&open(place.path())).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn links_that_a_build_left_behind_are_removed_and_never_followed() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let canary = put(place.path(), "outside/canary", b"untouched");
    let peers = place.path().join("peers");
    fs::create_dir_all(peers.join("kitchen")).unwrap();
    symlink(canary.parent().unwrap(), peers.join("kitchen/.esphome")).unwrap();
    symlink(canary.parent().unwrap(), peers.join("kitchen/lib")).unwrap();
    symlink(canary.parent().unwrap(), peers.join(".bundle_staging")).unwrap();
    let packed = bundle().file("lib/canary", b"new").gz();
    extract(&peers, &packed).unwrap();
    assert_eq!(text(place.path(), "outside/canary"), "untouched");
    assert_eq!(text(&peers, "kitchen/lib/canary"), "new");
    assert_eq!(support::specials(place.path()), Vec::<String>::new());

    // The target itself as a link.
    fs::remove_dir_all(peers.join("kitchen")).unwrap();
    symlink(canary.parent().unwrap(), peers.join("kitchen")).unwrap();
    extract(&peers, &packed).unwrap();
    assert_eq!(text(place.path(), "outside/canary"), "untouched");
    assert_eq!(text(&peers, "kitchen/lib/canary"), "new");
    assert_eq!(support::specials(place.path()), Vec::<String>::new());
}
