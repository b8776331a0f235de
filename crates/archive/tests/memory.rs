//! How much memory the largest allowed archive costs. Alone in its binary: it watches the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
use std::fs;
use std::io::{Seek, Write};
use std::sync::atomic::AtomicBool;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use flate2::Compression;
use flate2::write::GzEncoder;
use kiln_archive::extract_bundle;

mod support;
use support::{bundle, header};

/// Bytes of memory in use at most since the last [`forget_peak`].
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[test]
fn a_hundred_thousand_names_and_sixty_megabytes_cost_less_than_eight_of_memory() {
    let file = tempfile::tempfile().unwrap();
    let mut gzip = GzEncoder::new(&file, Compression::fast());
    gzip.write_all(&bundle().0).unwrap();
    // Counted, checked and not written, so that this test does not need as many files.
    for at in 0..99_990 {
        let name = format!(".esphome/{at}");
        gzip.write_all(&header(name.as_bytes(), b'0', 0)).unwrap();
    }
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    let noise: Vec<u8> = noise.take(1 << 20).collect();
    gzip.write_all(&header(b"image.bin", b'0', 60 << 20))
        .unwrap();
    for _ in 0..60 {
        gzip.write_all(&noise).unwrap();
    }
    gzip.write_all(&[0; 1024]).unwrap();
    gzip.finish().unwrap();
    (&file).rewind().unwrap();

    let place = tempfile::tempdir().unwrap();
    let parent = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
    let announced = "kitchen.yaml".parse().unwrap();
    forget_peak();
    let before = peak();
    let done = extract_bundle(
        &file,
        &parent,
        "kitchen",
        &announced,
        &AtomicBool::new(false),
    );
    let cost = peak() - before;
    assert_eq!(done.unwrap().members, 99_995);
    println!("unpacking cost {} KiB", cost / 1024);
    assert!(cost < 8 << 20, "{} KiB", cost / 1024);
}
