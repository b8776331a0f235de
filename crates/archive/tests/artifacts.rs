//! A build packed here and put in place there, for every platform and toolchain.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, UNIX_EPOCH};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_archive::{
    BuildTree, LocalTree, MaterialiseError, Materialised, Objects, PackError, PackedArtifacts,
    blob_facts, materialise, pack_artifacts,
};
use kiln_model::{ArtifactsRefusal, ConfigurationName, DeviceName, FirmwareOffset};
use serde_json::Value;

mod support;
use support::build::{KINDS, Kind, date};
use support::{put, snapshot, tarball};

static GO: AtomicBool = AtomicBool::new(false);

fn open(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

fn kitchen() -> ConfigurationName {
    "kitchen.yaml".parse().unwrap()
}

fn pack(data: &Path, to: &fs::File) -> Result<PackedArtifacts, PackError> {
    let tree = BuildTree {
        data: &open(data),
        data_path: data.to_str().unwrap(),
        configuration: &kitchen(),
    };
    pack_artifacts(tree, to, &GO)
}

/// Packs a fresh build of this kind.
fn packed(kind: &Kind) -> (fs::File, PackedArtifacts) {
    let receiver = tempfile::tempdir().unwrap();
    kind.write(receiver.path());
    let archive = tempfile::tempfile().unwrap();
    let done = pack(receiver.path(), &archive).unwrap();
    (archive, done)
}

fn place(archive: &fs::File, data: &Path) -> Result<Materialised, MaterialiseError> {
    let tree = LocalTree {
        data: &open(data),
        data_path: data.to_str().unwrap(),
        configuration: &kitchen(),
        device: None,
        platformio: Some("/home/me/.platformio"),
    };
    materialise(archive, tree, &GO)
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn kind(esp_platform: &str) -> &'static Kind {
    KINDS
        .iter()
        .find(|kind| kind.esp_platform == esp_platform)
        .unwrap()
}

// Covers: M84
// Covers: M94
// Covers: R-49
#[test]
fn every_kind_of_build_is_packed_with_its_files_and_nothing_else() {
    for kind in KINDS {
        let (archive, done) = packed(kind);
        let metadata = kind.members();
        assert_eq!(done.members[..metadata.len()], metadata, "{kind:?}");
        let files: BTreeSet<&str> = done.members[metadata.len()..]
            .iter()
            .map(String::as_str)
            .collect();
        let mut expected: BTreeSet<&str> = kind.files.iter().copied().collect();
        expected.insert(kind.firmware);
        assert_eq!(files, expected, "{kind:?}");
        assert_eq!(done.facts, blob_facts(&archive, &GO).unwrap());
        let esp32 = kind.esp_platform.starts_with("ESP32");
        assert_eq!(done.firmware_offset == FirmwareOffset::Esp32, esp32);
    }
}

// Covers: M88
// Covers: M89
#[test]
fn every_kind_of_build_arrives_where_a_local_build_would_be() {
    for kind in KINDS {
        let (archive, _) = packed(kind);
        let owner = tempfile::tempdir().unwrap();
        let data = owner.path();
        let done = place(&archive, data).unwrap();
        assert_eq!(done.objects, Objects::Wiped);
        let build = data.join("build/kitchen");
        assert_eq!(Path::new(&done.firmware), build.join(kind.firmware));
        assert_eq!(fs::read(&done.firmware).unwrap(), kind.image());
        for file in kind.files.iter().chain([&"build_info.json"]) {
            assert_eq!(modified(&build.join(file)), UNIX_EPOCH, "{file}");
        }
        let sidecar = fs::read_to_string(data.join("storage/kitchen.yaml.json")).unwrap();
        assert_eq!(sidecar, kind.sidecar(build.to_str().unwrap()));
        let needs_ini = kind.ini || kind.esp_platform == "HOST";
        assert_eq!(build.join("platformio.ini").exists(), needs_ini);
        let suffix = kind.idedata.unwrap_or(".json");
        let idedata = data.join(format!("idedata/kitchen{suffix}"));
        assert_eq!(idedata.exists(), kind.idedata.is_some());
        assert!(!build.join("src").exists());
        assert!(!data.join(".kiln_staging").exists());
        let special: Vec<String> = support::specials(data);
        assert_eq!(special, Vec::<String>::new());
    }
}

#[test]
fn files_are_never_executable_wherever_they_came_from() {
    for kind in KINDS {
        let (archive, _) = packed(kind);
        let owner = tempfile::tempdir().unwrap();
        let done = place(&archive, owner.path()).unwrap();
        let own = archive.metadata().unwrap().permissions();
        assert_eq!(fs::metadata(done.firmware).unwrap().permissions(), own);
    }
}

#[test]
fn an_image_that_is_mostly_padding_travels() {
    let receiver = tempfile::tempdir().unwrap();
    let kind = kind("ESP32");
    kind.write(receiver.path());
    let mut image = kind.image();
    image.resize(24 << 20, 0xff);
    put(receiver.path(), "build/kitchen/build/kitchen.bin", &image);
    let archive = tempfile::tempfile().unwrap();
    let done = pack(receiver.path(), &archive).unwrap();
    assert!(done.facts.bytes < 400_000, "{}", done.facts.bytes);
    let owner = tempfile::tempdir().unwrap();
    place(&archive, owner.path()).unwrap();
}

#[test]
fn images_that_libretiny_lists_travel_along() {
    let receiver = tempfile::tempdir().unwrap();
    let kind = kind("BK72XX");
    kind.write(receiver.path());
    for leaf in ["ota.bin", "app.rbl", "hidden.bin"] {
        let path = format!("build/kitchen/.pioenvs/kitchen/{leaf}");
        put(receiver.path(), &path, b"image");
    }
    let list = br#"[{"filename": "ota.bin", "public": true, "title": "OTA"},
        {"filename": "app.rbl", "public": true}, {"filename": "hidden.bin", "public": false}]"#;
    let path = "build/kitchen/.pioenvs/kitchen/firmware.json";
    put(receiver.path(), path, list);
    let archive = tempfile::tempfile().unwrap();
    pack(receiver.path(), &archive).unwrap();
    let owner = tempfile::tempdir().unwrap();
    place(&archive, owner.path()).unwrap();
    let folder = owner.path().join("build/kitchen/.pioenvs/kitchen");
    assert!(folder.join("ota.bin").exists());
    assert!(folder.join("app.rbl").exists());
    assert!(!folder.join("hidden.bin").exists());
}

// Covers: M90
#[test]
fn idedata_is_newer_than_platformio_ini_even_if_that_is_from_the_future() {
    for ahead in [0, 1, 100_000] {
        let (archive, _) = packed(kind("RP2"));
        let owner = tempfile::tempdir().unwrap();
        place(&archive, owner.path()).unwrap();
        let ini = owner.path().join("build/kitchen/platformio.ini");
        let now = modified(&ini).duration_since(UNIX_EPOCH).unwrap().as_secs();
        date(&ini, now + ahead);
        let done = place(&archive, owner.path()).unwrap();
        assert_eq!(done.objects, Objects::Kept);
        let idedata = owner.path().join("idedata/kitchen.json");
        assert!(modified(&idedata) > modified(&ini), "{ahead}");
    }
}

// Covers: M91
#[test]
fn a_local_platformio_ini_keeps_its_content_and_its_time() {
    let owner = tempfile::tempdir().unwrap();
    kind("RP2").write(owner.path());
    let ini = owner.path().join("build/kitchen/platformio.ini");
    for content in ["[env:kitchen]\n", "[env:kitchen]\nmine = 1\n"] {
        fs::write(&ini, content).unwrap();
        date(&ini, 1_000_000);
        let (archive, _) = packed(kind("RP2"));
        let done = place(&archive, owner.path()).unwrap();
        assert_eq!(done.objects, Objects::Kept);
        assert_eq!(fs::read_to_string(&ini).unwrap(), content);
        assert_eq!(modified(&ini), UNIX_EPOCH + Duration::from_secs(1_000_000));
    }
}

#[test]
fn nothing_of_a_received_platformio_ini_reaches_the_disk() {
    let receiver = tempfile::tempdir().unwrap();
    kind("RP2").write(receiver.path());
    let evil = b"[env:kitchen]\nextra_scripts = pre:/tmp/evil.py\n";
    put(receiver.path(), "build/kitchen/platformio.ini", evil);
    let archive = tempfile::tempfile().unwrap();
    pack(receiver.path(), &archive).unwrap();
    let owner = tempfile::tempdir().unwrap();
    place(&archive, owner.path()).unwrap();
    let ini = fs::read_to_string(owner.path().join("build/kitchen/platformio.ini")).unwrap();
    assert!(!ini.contains("evil"));
    // The markers between which ESPHome writes, once each, or its next local build fails.
    assert_eq!(ini.matches("AUTO GENERATED CODE BEGIN").count(), 1);
    assert_eq!(ini.matches("AUTO GENERATED CODE END").count(), 1);
    assert!(ini.lines().all(|line| line.starts_with(';')));
}

// Covers: M92
#[test]
fn validated_configurations_are_never_taken_over_and_old_ones_go() {
    let (archive, done) = packed(kind("HOST"));
    assert!(done.members.contains(&"validated.json".to_owned()));
    let owner = tempfile::tempdir().unwrap();
    put(owner.path(), "storage/kitchen.yaml.validated.json", b"old");
    put(owner.path(), "storage/kitchen.yaml.validated.yaml", b"old");
    place(&archive, owner.path()).unwrap();
    let left = fs::read_dir(owner.path().join("storage")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["kitchen.yaml.json"]);
}

// Covers: M93
#[test]
fn stale_factory_and_bootloader_images_go_when_the_archive_lacks_them() {
    let owner = tempfile::tempdir().unwrap();
    kind("ESP32").write(owner.path());
    put(owner.path(), "build/kitchen/build/obj/main.o", b"object");
    let receiver = tempfile::tempdir().unwrap();
    kind("ESP32").write(receiver.path());
    for stale in [
        "build/firmware.factory.bin",
        "build/bootloader/bootloader.bin",
    ] {
        fs::remove_file(receiver.path().join("build/kitchen").join(stale)).unwrap();
    }
    let archive = tempfile::tempfile().unwrap();
    pack(receiver.path(), &archive).unwrap();
    let done = place(&archive, owner.path()).unwrap();
    assert_eq!(done.objects, Objects::Kept);
    let build = owner.path().join("build/kitchen/build");
    assert!(!build.join("firmware.factory.bin").exists());
    assert!(!build.join("bootloader/bootloader.bin").exists());
    assert!(build.join("obj/main.o").exists());
    assert!(build.join("firmware.ota.bin").exists());
}

#[test]
fn objects_of_local_builds_stay_as_long_as_they_fit() {
    for (from, to, expected) in [
        ("", "", Objects::Kept),
        ("2026.10.0", "2026.9.0", Objects::Kept),
        ("\"api\",\n", "", Objects::Kept),
        ("5.5.6", "5.5.5", Objects::Wiped),
        ("\"api\"", "\"api\", \"wifi\"", Objects::Wiped),
        ("platformio", "other", Objects::Wiped),
        ("{", "not JSON", Objects::Wiped),
    ] {
        let owner = tempfile::tempdir().unwrap();
        kind("RP2").write(owner.path());
        let object = put(owner.path(), "build/kitchen/.pioenvs/kitchen/main.o", b"o");
        let sidecar = owner.path().join("storage/kitchen.yaml.json");
        let text = fs::read_to_string(&sidecar).unwrap();
        fs::write(&sidecar, text.replacen(from, to, 1)).unwrap();
        let (archive, _) = packed(kind("RP2"));
        let done = place(&archive, owner.path()).unwrap();
        assert_eq!(done.objects, expected, "{to}");
        assert_eq!(object.exists(), expected == Objects::Kept, "{to}");
        assert!(Path::new(&done.firmware).exists());
    }
}

#[test]
fn whatever_stands_in_the_way_of_a_file_costs_the_objects_and_nothing_else() {
    let owner = tempfile::tempdir().unwrap();
    kind("RP2").write(owner.path());
    let firmware = owner
        .path()
        .join("build/kitchen/.pioenvs/kitchen/firmware.bin");
    fs::remove_file(&firmware).unwrap();
    fs::create_dir(&firmware).unwrap();
    let (archive, _) = packed(kind("RP2"));
    let done = place(&archive, owner.path()).unwrap();
    assert_eq!(done.objects, Objects::Wiped);
    assert_eq!(fs::read(firmware).unwrap(), kind("RP2").image());
}

#[test]
fn idedata_names_only_local_paths() {
    let (archive, _) = packed(kind("ESP8266"));
    let owner = tempfile::tempdir().unwrap();
    place(&archive, owner.path()).unwrap();
    let idedata = json(&owner.path().join("idedata/kitchen.arduino.json"));
    let elf = owner
        .path()
        .join("build/kitchen/.pioenvs/kitchen/firmware.elf");
    assert_eq!(idedata["prog_path"], elf.to_str().unwrap());
    let gcc = "/home/me/.platformio/packages/toolchain-x/bin/x-gcc";
    assert_eq!(idedata["cc_path"], gcc);
    assert!(idedata.get("cxx_path").is_none());
}

#[test]
fn placing_the_same_build_twice_changes_nothing_but_times() {
    for kind in KINDS {
        let (archive, _) = packed(kind);
        let owner = tempfile::tempdir().unwrap();
        place(&archive, owner.path()).unwrap();
        let once = snapshot(owner.path());
        place(&archive, owner.path()).unwrap();
        assert_eq!(snapshot(owner.path()), once);
    }
}

#[test]
fn what_a_crash_left_in_staging_is_swept_by_the_next_call() {
    let (archive, _) = packed(kind("HOST"));
    let owner = tempfile::tempdir().unwrap();
    put(owner.path(), ".kiln_staging/new/half", b"");
    put(owner.path(), ".kiln_staging/old/x", b"");
    place(&archive, owner.path()).unwrap();
    assert!(!owner.path().join(".kiln_staging").exists());
}

#[test]
fn another_device_than_the_one_asked_for_is_refused() {
    let (archive, _) = packed(kind("HOST"));
    let owner = tempfile::tempdir().unwrap();
    let other = DeviceName::parse("garage").unwrap();
    let tree = LocalTree {
        data: &open(owner.path()),
        data_path: owner.path().to_str().unwrap(),
        configuration: &kitchen(),
        device: Some(&other),
        platformio: None,
    };
    let refused = materialise(&archive, tree, &GO).unwrap_err().to_string();
    assert!(refused.contains("kitchen"), "{refused}");
    assert_eq!(snapshot(owner.path()), Vec::<String>::new());
}

#[test]
fn cancelling_stops_both_ways_and_changes_nothing() {
    let stop = AtomicBool::new(true);
    let (archive, _) = packed(kind("HOST"));
    let owner = tempfile::tempdir().unwrap();
    let tree = LocalTree {
        data: &open(owner.path()),
        data_path: owner.path().to_str().unwrap(),
        configuration: &kitchen(),
        device: None,
        platformio: None,
    };
    let stopped = materialise(&archive, tree, &stop);
    assert!(matches!(stopped, Err(MaterialiseError::Cancelled)));
    assert_eq!(snapshot(owner.path()), Vec::<String>::new());
    kind("HOST").write(owner.path());
    let tree = BuildTree {
        data: &open(owner.path()),
        data_path: owner.path().to_str().unwrap(),
        configuration: &kitchen(),
    };
    let to = tempfile::tempfile().unwrap();
    assert_eq!(pack_artifacts(tree, &to, &stop), Err(PackError::Cancelled));
}

/// Changes a good build and returns how packing it is refused.
fn refusal_after(kind: &Kind, change: impl Fn(&Path)) -> (ArtifactsRefusal, String) {
    let receiver = tempfile::tempdir().unwrap();
    kind.write(receiver.path());
    change(receiver.path());
    let archive = tempfile::tempfile().unwrap();
    let error = pack(receiver.path(), &archive).unwrap_err();
    let shown = receiver.path().to_str().unwrap();
    assert!(!error.detail().contains(shown), "{}", error.detail());
    assert!(error.detail().chars().count() <= 256);
    assert!(!error.detail().contains(char::is_control));
    (error.refusal(), error.detail())
}

fn edit(path: &str, from: &str, to: &str) -> impl Fn(&Path) {
    let (path, from, to) = (path.to_owned(), from.to_owned(), to.to_owned());
    move |data| {
        let path = data.join(&path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(&from));
        fs::write(&path, text.replace(&from, &to)).unwrap();
    }
}

fn remove(path: &str) -> impl Fn(&Path) {
    let path = path.to_owned();
    move |data| fs::remove_file(data.join(&path)).unwrap()
}

const SIDECAR: &str = "storage/kitchen.yaml.json";

// Covers: M85
#[test]
fn builds_that_lack_something_are_refused_with_the_right_word() {
    use ArtifactsRefusal::{BuildDirMissing, PackFailed};
    let rp2 = kind("RP2");
    type Change = Box<dyn Fn(&Path)>;
    let cases: [(Change, ArtifactsRefusal); 15] = [
        (Box::new(remove(SIDECAR)), BuildDirMissing),
        (Box::new(remove("idedata/kitchen.json")), BuildDirMissing),
        (
            Box::new(remove("build/kitchen/platformio.ini")),
            BuildDirMissing,
        ),
        (
            Box::new(remove("build/kitchen/.pioenvs/kitchen/firmware.bin")),
            PackFailed,
        ),
        (
            Box::new(|data| fs::remove_dir_all(data.join("build/kitchen")).unwrap()),
            BuildDirMissing,
        ),
        (
            Box::new(|data| fs::write(data.join(SIDECAR), "{").unwrap()),
            BuildDirMissing,
        ),
        (
            Box::new(|data| fs::write(data.join(SIDECAR), vec![b' '; 2 << 20]).unwrap()),
            BuildDirMissing,
        ),
        (Box::new(edit(SIDECAR, "\"RP2\"", "\"Z80\"")), PackFailed),
        (
            Box::new(edit(SIDECAR, "\"RP2\"", "\"Z\\u001b[31m80\"")),
            PackFailed,
        ),
        (
            Box::new(edit(SIDECAR, "\"kitchen\"", "\"../kitchen\"")),
            BuildDirMissing,
        ),
        (
            Box::new(edit(SIDECAR, "\"build_path\"", "\"build_paths\"")),
            BuildDirMissing,
        ),
        (
            Box::new(edit(SIDECAR, "firmware.bin", "firmware.elf2")),
            PackFailed,
        ),
        (
            Box::new(edit(SIDECAR, "firmware_bin_path", "x")),
            BuildDirMissing,
        ),
        (
            Box::new(edit(SIDECAR, "/build/kitchen", "/../build/kitchen")),
            BuildDirMissing,
        ),
        (
            Box::new(|data| {
                let firmware = "build/kitchen/.pioenvs/kitchen/firmware.uf2";
                let file = fs::File::create(data.join(firmware)).unwrap();
                file.set_len(268_435_457).unwrap();
            }),
            PackFailed,
        ),
    ];
    for (at, (change, word)) in cases.iter().enumerate() {
        let (refusal, detail) = refusal_after(rp2, change);
        assert_eq!(refusal, *word, "case {at}: {detail}");
    }
}

#[test]
fn a_sidecar_cannot_make_the_packer_read_elsewhere() {
    let other = tempfile::tempdir().unwrap();
    kind("HOST").write(other.path());
    let foreign = other.path().join("build/kitchen");
    let foreign = foreign.to_str().unwrap();
    let (refusal, _) = refusal_after(kind("HOST"), |data| {
        let own = data.join("build/kitchen");
        edit(SIDECAR, own.to_str().unwrap(), foreign)(data);
    });
    assert_eq!(refusal, ArtifactsRefusal::BuildDirMissing);
}

#[cfg(unix)]
#[test]
fn links_pipes_and_second_names_are_never_sent() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let private = put(place.path(), "private", b"\x7fELF somebody's file");
    let firmware = "build/kitchen/.pioenvs/kitchen/program";
    let replaced = |make: &dyn Fn(&Path)| {
        refusal_after(kind("HOST"), |data| {
            fs::remove_file(data.join(firmware)).unwrap();
            make(&data.join(firmware));
        })
        .0
    };
    let word = ArtifactsRefusal::PackFailed;
    assert_eq!(replaced(&|at| symlink(&private, at).unwrap()), word);
    assert_eq!(replaced(&|at| fs::hard_link(&private, at).unwrap()), word);
    assert_eq!(replaced(&|at| fs::create_dir(at).unwrap()), word);
    let pipe = |at: &Path| {
        let made = std::process::Command::new("mkfifo").arg(at).status();
        assert!(made.unwrap().success());
    };
    assert_eq!(replaced(&pipe), word);
    for folder in ["build/kitchen/.pioenvs/kitchen", "build/kitchen", "build"] {
        let linked = |data: &Path| {
            fs::rename(data.join(folder), data.join("moved")).unwrap();
            symlink(data.join("moved"), data.join(folder)).unwrap();
        };
        refusal_after(kind("HOST"), linked);
    }
    for metadata in [
        SIDECAR,
        "idedata/kitchen.json",
        "build/kitchen/build_info.json",
        "storage/kitchen.yaml.validated.json",
    ] {
        let linked = |data: &Path| {
            fs::remove_file(data.join(metadata)).unwrap();
            symlink(&private, data.join(metadata)).unwrap();
        };
        assert_eq!(refusal_after(kind("HOST"), linked).0, word, "{metadata}");
    }
}

#[test]
fn only_a_fresh_validated_configuration_is_sent_and_the_freshest_of_two() {
    for (json, yaml, expected) in [
        (Some(940), None, Some("validated.json")),
        (Some(939), None, None),
        (Some(2000), Some(1500), Some("validated.json")),
        (Some(900), Some(1000), Some("validated.yaml")),
        (None, Some(1000), Some("validated.yaml")),
        (None, None, None),
    ] {
        let receiver = tempfile::tempdir().unwrap();
        kind("HOST").write(receiver.path());
        let storage = receiver.path().join("storage");
        fs::remove_file(storage.join("kitchen.yaml.validated.json")).unwrap();
        date(&storage.join("kitchen.yaml.json"), 1000);
        for (ending, seconds) in [("json", json), ("yaml", yaml)] {
            if let Some(seconds) = seconds {
                let leaf = format!("storage/kitchen.yaml.validated.{ending}");
                date(&put(receiver.path(), &leaf, b"x"), seconds);
            }
        }
        let archive = tempfile::tempfile().unwrap();
        let done = pack(receiver.path(), &archive).unwrap();
        let sent = done.members.iter().find(|m| m.starts_with("validated"));
        assert_eq!(sent.map(String::as_str), expected);
    }
}

/// The layout that a reference receiver on Windows sends, by a stock writer.
#[test]
fn a_build_from_windows_arrives_like_any_other() {
    let kind = kind("ESP8266");
    let sidecar = kind.sidecar(r"C:\\data\\build\\kitchen").replace(
        r"kitchen/.pioenvs/kitchen/firmware.bin",
        r"kitchen\\.pioenvs\\kitchen\\firmware.bin",
    );
    let idedata = r#"{"prog_path": "c:/DATA/build/kitchen/.pioenvs/kitchen/firmware.elf",
        "cc_path": "C:\\pio\\packages\\toolchain-x\\bin\\x-gcc.exe"}"#;
    let archive = support::Tar::default()
        .file("storage.json", sidecar.as_bytes())
        .file("idedata.json", idedata.as_bytes())
        .file(".pioenvs/kitchen/firmware.bin", &kind.image())
        .file(".pioenvs/kitchen/firmware.elf", b"elf")
        .gz();
    let owner = tempfile::tempdir().unwrap();
    let done = place(&tarball(&archive), owner.path()).unwrap();
    assert_eq!(fs::read(done.firmware).unwrap(), kind.image());
    let build = owner.path().join("build/kitchen");
    let local = fs::read_to_string(owner.path().join(SIDECAR)).unwrap();
    assert_eq!(local, kind.sidecar(build.to_str().unwrap()));
    let idedata = json(&owner.path().join("idedata/kitchen.arduino.json"));
    let elf = build.join(".pioenvs/kitchen/firmware.elf");
    assert_eq!(idedata["prog_path"], elf.to_str().unwrap());
}
