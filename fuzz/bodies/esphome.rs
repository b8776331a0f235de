//! What is done with hostile texts of ESPHome: sidecars and idedata of a receiver, the owner's
//! YAML, what tools print. Shared by the fuzz targets and the smoke test on stable.
// Each target uses one body; an `expect` that fails is a finding.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "each user needs a part of it, and what must not be ends the run"
)]

use kiln_esphome::idedata::{Places, local_idedata};
use kiln_esphome::{ArtifactSet, LineSplitter, Outline, Progress, Sidecar, ansi, version_output};

/// Reads a sidecar as a receiver wrote it. What was understood can be written again and is
/// understood the same, and whatever it says, everything made from it lies below our own folder.
pub fn sidecar(data: &[u8]) {
    let Ok(sidecar) = Sidecar::parse(data) else {
        return;
    };
    let again = Sidecar::parse(sidecar.to_text().as_bytes()).expect("our own text");
    assert_eq!(again.to_text(), sidecar.to_text());
    if let Ok(firmware) = sidecar.firmware_below_build() {
        let here = sidecar.relocated("/ours/build/kitchen", &firmware);
        let path = here.firmware_bin_path().unwrap_or_default();
        assert!(path.starts_with("/ours/build/kitchen"), "{path}");
        assert!(!path.split('/').any(|part| part == ".."), "{path}");
    }
    let _ = ArtifactSet::of(&sidecar);
}

/// Reads idedata as a receiver wrote it: what is kept names only files below our own folders.
pub fn idedata(data: &[u8]) {
    let sidecar = br#"{"storage_version":1,"name":"kitchen","esp_platform":"ESP8266",
        "build_path":"/r/build/kitchen",
        "firmware_bin_path":"/r/build/kitchen/.pioenvs/kitchen/firmware.bin"}"#;
    let sidecar = Sidecar::parse(sidecar).expect("a good sidecar");
    let set = ArtifactSet::of(&sidecar).expect("a known platform");
    let places = Places {
        receiver_build: "/r/build/kitchen",
        local_build: "/ours/build/kitchen",
        local_platformio: Some("/ours/pio"),
    };
    if let Ok(ours) = local_idedata(data, &set, places) {
        assert!(!ours.contains("/r/"), "{ours}");
        assert!(!ours.contains(".."), "{ours}");
    }
}

/// Reads a configuration of the owner, which may be anything that lies in the folder.
pub fn yaml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        drop(Outline::of(text));
    }
}

/// Reads what a tool prints, however it is cut: no text is lost, and nothing that is shown without
/// colour can steer a terminal.
pub fn output(data: &[u8]) {
    let mut splitter = LineSplitter::default();
    let mut chunks: Vec<String> = data.chunks(5).flat_map(|c| splitter.feed(c)).collect();
    chunks.extend(splitter.finish());
    let mut whole = LineSplitter::default();
    let mut at_once: Vec<String> = whole.feed(data).into_iter().collect();
    at_once.extend(whole.finish());
    assert_eq!(chunks.concat(), at_once.concat());
    let mut progress = Progress::default();
    for chunk in &chunks {
        let told = progress.read(chunk);
        assert!(told.percent.is_none_or(|percent| percent <= 100));
    }
    let text = at_once.concat();
    assert!(!ansi::plain(&text).contains('\u{1b}'));
    drop(version_output::version_of(&text));
}
