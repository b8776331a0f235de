//! Evil receivers (trust.md §2.2, G16): every artifact set refused, nothing changed, no local path
//! influenced.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_archive::{LocalTree, MaterialiseError, Materialised, materialise};
use kiln_model::{ConfigurationName, DeviceName};

mod support;
use support::build::{KINDS, Kind};
use support::{CARRIERS, Tar, gz, header, pax_record, put, sealed, snapshot, tarball};

/// Where the receiver says that it built.
const THEIRS: &str = "/r/.esphome/build/kitchen";

struct Evil {
    class: &'static str,
    label: String,
    archive: Vec<u8>,
}

#[derive(Default)]
struct Collection(Vec<Evil>);

impl Collection {
    fn add(&mut self, class: &'static str, label: impl Into<String>, tar: Tar) {
        self.packed(class, label, tar.gz());
    }

    fn packed(&mut self, class: &'static str, label: impl Into<String>, archive: Vec<u8>) {
        let label = label.into();
        self.0.push(Evil {
            class,
            label,
            archive,
        });
    }
}

/// The members of a good archive, with what a test wants to be different.
#[derive(Clone)]
struct Parts {
    sidecar: String,
    idedata: Option<String>,
    ini: bool,
    build_info: String,
    files: Vec<(String, Vec<u8>)>,
}

impl Parts {
    fn of(kind: &Kind) -> Self {
        let mut files: Vec<_> = kind
            .files
            .iter()
            .map(|file| ((*file).to_owned(), b"content".to_vec()))
            .collect();
        files.push((kind.firmware.to_owned(), kind.image()));
        Self {
            sidecar: kind.sidecar(THEIRS),
            idedata: kind.idedata.map(|_| kind.idedata_text(THEIRS)),
            ini: kind.ini || kind.esp_platform == "HOST",
            build_info: r#"{"config_hash": 1}"#.to_owned(),
            files,
        }
    }

    fn tar(&self) -> Tar {
        let mut tar = Tar::default().file("storage.json", self.sidecar.as_bytes());
        if let Some(idedata) = &self.idedata {
            tar = tar.file("idedata.json", idedata.as_bytes());
        }
        if self.ini {
            tar = tar.file("platformio.ini", b"[env]\n");
        }
        tar = tar.file("build_info.json", self.build_info.as_bytes());
        tar = tar.file("validated.json", b"secrets");
        for (name, content) in &self.files {
            tar = tar.file(name, content);
        }
        tar
    }

    fn without(&self, leaf: &str) -> Self {
        let mut parts = self.clone();
        parts.files.retain(|(name, _)| !name.ends_with(leaf));
        parts
    }

    fn sidecar_with(&self, from: &str, to: &str) -> Self {
        assert!(self.sidecar.contains(from), "{from}");
        let mut parts = self.clone();
        parts.sidecar = self.sidecar.replace(from, to);
        parts
    }

    fn firmware_content(&self, kind: &Kind, content: &[u8]) -> Self {
        let mut parts = self.clone();
        for (name, old) in &mut parts.files {
            if name == kind.firmware {
                *old = content.to_vec();
            }
        }
        parts
    }
}

fn kind(esp_platform: &str) -> &'static Kind {
    let mut kinds = KINDS.iter();
    kinds.find(|k| k.esp_platform == esp_platform).unwrap()
}

fn missing_members(all: &mut Collection) {
    for kind in KINDS {
        let good = Parts::of(kind);
        let label = format!("{} {:?}", kind.esp_platform, kind.toolchain);
        all.add(
            "missing",
            format!("{label}: firmware"),
            good.without(kind.firmware).tar(),
        );
        let bare = Tar(good.tar().0[512 + good.sidecar.len().next_multiple_of(512)..].to_vec());
        all.add("missing", format!("{label}: sidecar"), bare);
        if kind.idedata.is_some() {
            let mut parts = good.clone();
            parts.idedata = None;
            all.add("missing", format!("{label}: idedata"), parts.tar());
        }
        let needs_ini = good.ini;
        if needs_ini {
            let mut parts = good.clone();
            parts.ini = false;
            all.add("missing", format!("{label}: platformio.ini"), parts.tar());
        }
    }
}

fn extra_members(all: &mut Collection) {
    let names = [
        "evil.py",
        "src/main.cpp",
        "cxx_flags.py",
        "CMakeLists.txt",
        "sdkconfig",
        "build/CMakeCache.txt",
        "build/build.ninja",
        "build/compile_commands.json",
        ".pioenvs/kitchen/main.o",
        ".pioenvs/kitchen/idedata.json",
        ".pioenvs/garage/firmware.bin",
        ".pioenvs/kitchen/.sconsign",
        "storage/kitchen.yaml.json",
        "idedata/kitchen.json",
        "validated.json.bak",
        "Storage.json",
        "PLATFORMIO.INI",
        "build/Firmware.factory.bin",
        ".pioenvs/kitchen/firmware.bin.sh",
        ".gitignore",
    ];
    for kind in KINDS {
        for name in names {
            let tar = Parts::of(kind).tar().file(name, b"evil");
            all.add("extra member", format!("{} {name}", kind.esp_platform), tar);
        }
    }
    let mut listed = Parts::of(kind("BK72XX"));
    for (name, content) in &mut listed.files {
        if name.ends_with("firmware.json") {
            *content = br#"[{"filename": "a.rbl", "public": true},
                {"filename": "b.rbl", "public": false},
                {"filename": "../c.rbl", "public": true}]"#
                .to_vec();
        }
    }
    for leaf in ["b.rbl", "c.rbl", "../c.rbl", "d.bin"] {
        let tar = listed.tar().file(&format!(".pioenvs/kitchen/{leaf}"), b"x");
        all.add(
            "extra member",
            format!("image {leaf} that is not listed"),
            tar,
        );
    }
    let good = Parts::of(kind("ESP32"));
    for name in ["build", ".pioenvs/kitchen", "build/firmware.ota.bin2"] {
        let tar = good.tar().raw(header(name.as_bytes(), b'5', 0), b"");
        all.add("extra member", format!("folder {name}"), tar);
    }
    let tar = good.without("firmware.ota.bin").tar();
    let tar = tar.raw(header(b"build/firmware.ota.bin", b'5', 0), b"");
    all.add("extra member", "folder of a file's name", tar);
}

fn wrong_images(all: &mut Collection) {
    for kind in KINDS {
        let good = Parts::of(kind);
        let heads: [&[u8]; 5] = [b"", b"#!/bin/sh\n", b"MZ\x90\0", b"<html>", &[0; 64]];
        let checked = !matches!(kind.esp_platform, "RP2" | "NRF52");
        for head in heads {
            if checked || head.is_empty() {
                let tar = good.firmware_content(kind, head).tar();
                let label = format!("{} {}", kind.esp_platform, head.escape_ascii());
                all.add("wrong image", label, tar);
            }
        }
    }
    let s3 = kind("ESP32S3");
    for chip in [0u8, 2, 5, 12, 13, 16, 18, 255] {
        let mut image = s3.image();
        image[12] = chip;
        let tar = Parts::of(s3).firmware_content(s3, &image).tar();
        all.add("wrong image", format!("S3 image for chip {chip}"), tar);
    }
    let esp32 = kind("ESP32");
    let swapped = Parts::of(esp32).firmware_content(esp32, &s3.image()).tar();
    all.add("wrong image", "image of another chip", swapped);
    let cut = Parts::of(esp32)
        .firmware_content(esp32, &esp32.image()[..10])
        .tar();
    all.add("wrong image", "cut after ten bytes", cut);
}

fn path_fields(all: &mut Collection) {
    for kind in KINDS {
        let good = Parts::of(kind);
        let firmware = format!("\"{THEIRS}/{}\"", kind.firmware);
        for path in [
            "/etc/passwd",
            "/r/.esphome/build/kitchen/../../../../etc/passwd",
            "/r/.esphome/build/kitchen",
            "/r/.esphome/build/kitchen/src/main.cpp",
            "/r/.esphome/build/kitchen/platformio.ini",
            "firmware.bin",
            "C:\\\\Windows\\\\System32\\\\cmd.exe",
            "\\\\\\\\srv\\\\share\\\\x.bin",
            "None",
            "",
        ] {
            let parts = good.sidecar_with(&firmware, &format!("\"{path}\""));
            all.add(
                "path fields",
                format!("{} firmware {path}", kind.esp_platform),
                parts.tar(),
            );
        }
        for value in ["null", "7", "[]", "{}", "true"] {
            let parts = good.sidecar_with(&firmware, value);
            all.add(
                "path fields",
                format!("{} firmware {value}", kind.esp_platform),
                parts.tar(),
            );
        }
    }
    let pio = kind("RP2");
    let good = Parts::of(pio);
    let build = format!("\"build_path\": \"{THEIRS}\"");
    for value in [
        "null",
        "7",
        "\"\"",
        "\"None\"",
        "\"/other\"",
        "\"relative\"",
        "[\"/r\"]",
    ] {
        let parts = good.sidecar_with(&build, &format!("\"build_path\": {value}"));
        all.add("path fields", format!("build_path {value}"), parts.tar());
    }
    for program in [
        "/bin/sh",
        "/r/.esphome/build/kitchen/../../evil",
        "/r/.esphome/build/kitchen/src/evil",
        "/r/.esphome/build/kitchen",
        "firmware.elf",
        "",
    ] {
        let mut parts = good.clone();
        parts.idedata = Some(format!(r#"{{"prog_path": "{program}"}}"#));
        all.add("path fields", format!("prog_path {program}"), parts.tar());
    }
    for idedata in ["", "[]", "{}", "null", "{\"prog_path\": 7}", "\u{feff}{}"] {
        let mut parts = good.clone();
        parts.idedata = Some(idedata.to_owned());
        all.add("broken metadata", format!("idedata {idedata}"), parts.tar());
    }
}

fn broken_metadata(all: &mut Collection) {
    let good = Parts::of(kind("HOST"));
    for sidecar in [
        "",
        "null",
        "[]",
        "{",
        "{}",
        "\"x\"",
        "{\"name\": \"kitchen\"}",
        &"[".repeat(100_000),
        &format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20)),
    ] {
        let mut parts = good.clone();
        parts.sidecar = sidecar.to_owned();
        let label: String = sidecar.chars().take(30).collect();
        all.add("broken metadata", format!("sidecar {label}"), parts.tar());
    }
    for info in [
        "",
        "[]",
        "null",
        "{",
        "7",
        r#"{"config_hash": "x"}"#,
        r#"{"config_hash": -1}"#,
        r#"{"config_hash": 4294967296}"#,
        r#"{"config_hash": 1.5}"#,
        &format!("{{\"a\": \"{}\"}}", "x".repeat(70_000)),
    ] {
        let mut parts = good.clone();
        parts.build_info = info.to_owned();
        let label: String = info.chars().take(30).collect();
        all.add(
            "broken metadata",
            format!("build_info {label}"),
            parts.tar(),
        );
    }
    for platform in [
        "\"Z80\"",
        "\"\"",
        "null",
        "7",
        "\"host \"",
        "\"ESP\\u001b[31m32\"",
        "\"../x\"",
    ] {
        let parts = good.sidecar_with("\"HOST\"", platform);
        all.add(
            "broken metadata",
            format!("platform {platform}"),
            parts.tar(),
        );
    }
}

fn other_devices(all: &mut Collection) {
    for kind in KINDS {
        let good = Parts::of(kind);
        for name in [
            "garage",
            "Kitchen",
            "../kitchen",
            "kitchen/..",
            ".kitchen",
            "-kitchen",
            "kitchen ",
            "k\\u0000n",
            "",
            "con",
            "NUL",
            "..",
            "küche",
            "a/b",
            "COM1",
        ] {
            // The whole build agrees on the other name; only the owner's wish does not.
            let mut parts = good.sidecar_with("\"kitchen\"", &format!("\"{name}\""));
            parts.sidecar = parts.sidecar.replace("/kitchen", &format!("/{name}"));
            let renamed = |text: &str| text.replace("kitchen", name);
            parts.idedata = parts.idedata.as_deref().map(renamed);
            for (file, _) in &mut parts.files {
                *file = renamed(file);
            }
            let label = format!("{} {name}", kind.esp_platform);
            all.add("swapped device", label, parts.tar());
        }
    }
}

fn hostile_archives(all: &mut Collection) {
    let good = || Parts::of(kind("ESP32")).tar();
    for name in [
        "../x",
        "/etc/x",
        "C:/x",
        "build/../../x",
        "build\\x",
        "build/NUL",
        "build/x.",
        "\u{202e}x",
    ] {
        for carrier in CARRIERS {
            let tar = good().carried(carrier, name.as_bytes(), b'0', b"x");
            all.add("hostile archive", format!("{carrier:?} {name}"), tar);
        }
    }
    for (kind, target) in [
        (b'1', "/etc/passwd"),
        (b'2', "/etc/passwd"),
        (b'2', "../x"),
        (b'3', ""),
        (b'6', ""),
        (b'S', ""),
        (b'g', ""),
        (b'K', ""),
    ] {
        let tar = good().link("build/link", kind, target.as_bytes());
        all.add("hostile archive", format!("kind {kind} to {target}"), tar);
        let mut parts = Parts::of(kind_of("ESP32"));
        parts.files.retain(|(name, _)| name != "build/kitchen.bin");
        let tar = parts
            .tar()
            .link("build/kitchen.bin", kind, target.as_bytes());
        all.add("hostile archive", format!("firmware as kind {kind}"), tar);
    }
    for name in [
        "storage.json",
        "build/kitchen.bin",
        "build_info.json",
        "validated.json",
    ] {
        all.add(
            "hostile archive",
            format!("two of {name}"),
            good().file(name, b"{}"),
        );
    }
    all.add(
        "hostile archive",
        "build/kitchen.BIN beside build/kitchen.bin",
        good().file("build/kitchen.BIN", b"x"),
    );
    let mut bits = header(b"build/firmware.ota.bin", b'0', 0);
    bits[100..108].copy_from_slice(b"0004755\0");
    all.add("hostile archive", "setuid", good().raw(sealed(bits), b""));
    let size = pax_record(b"size", b"0");
    all.add(
        "hostile archive",
        "pax size",
        good().pax(&size).file("x", b""),
    );
    for size in [268_435_457u64, 1 << 32, 8_589_934_591] {
        let tar = good().raw(header(b"build/ota_data_initial.bin", b'0', size), b"");
        all.add("oversize", format!("declares {size}"), tar);
        let mut parts = Parts::of(kind_of("ESP32"));
        parts.files.clear();
        let tar = parts
            .tar()
            .raw(header(b"build/kitchen.bin", b'0', size), b"");
        all.add("oversize", format!("firmware of {size}"), tar);
    }
    let packed = good().gz();
    for part in 0..12 {
        let cut = packed[..packed.len() * part / 12].to_vec();
        all.packed("damaged", format!("cut to {part}/12"), cut);
    }
    for back in 1..=8 {
        let mut bad = packed.clone();
        let at = bad.len() - back;
        bad[at] ^= 1;
        all.packed("damaged", format!("trailer byte -{back}"), bad);
    }
    all.packed(
        "damaged",
        "twice",
        [packed.clone(), packed.clone()].concat(),
    );
    all.packed("damaged", "nested", gz(&packed));
    all.packed("damaged", "plain tar", good().end());
}

fn kind_of(esp_platform: &str) -> &'static Kind {
    kind(esp_platform)
}

fn collection() -> Vec<Evil> {
    let mut all = Collection::default();
    missing_members(&mut all);
    extra_members(&mut all);
    wrong_images(&mut all);
    path_fields(&mut all);
    broken_metadata(&mut all);
    other_devices(&mut all);
    hostile_archives(&mut all);
    all.0
}

fn place(archive: &[u8], data: &Path) -> Result<Materialised, MaterialiseError> {
    let configuration: ConfigurationName = "kitchen.yaml".parse().unwrap();
    let tree = LocalTree {
        data: &Dir::open_ambient_dir(data, ambient_authority()).unwrap(),
        data_path: data.to_str().unwrap(),
        configuration: &configuration,
        device: Some(&DeviceName::parse("kitchen").unwrap()),
        platformio: Some("/home/me/.platformio"),
    };
    materialise(&tarball(archive), tree, &AtomicBool::new(false))
}

#[test]
fn the_good_archives_that_the_evil_ones_are_made_from_are_accepted() {
    for kind in KINDS {
        let owner = tempfile::tempdir().unwrap();
        place(&Parts::of(kind).tar().gz(), owner.path()).unwrap();
    }
}

// Covers: M86
// Covers: O-32
#[test]
fn hundreds_of_evil_builds_are_refused_and_change_nothing() {
    let place_on_disk = tempfile::tempdir().unwrap();
    let root = place_on_disk.path();
    put(root, "outside/canary", b"untouched");
    put(root, "esphome/x", b"untouched");
    let data = root.join("esphome/.esphome");
    kind("ESP32").write(&data);
    put(&data, "build/kitchen/build/obj/main.o", b"object");
    let before = snapshot(root);

    let all = collection();
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut surprises = Vec::new();
    for evil in &all {
        *classes.entry(evil.class).or_default() += 1;
        let name = format!("{} / {}", evil.class, evil.label);
        match place(&evil.archive, &data) {
            Err(MaterialiseError::Refused(why)) => {
                let text = why.to_string();
                let plain = !text.contains(char::is_control) && !text.contains('\u{202e}');
                assert!(text.ends_with('.') && text.len() < 300 && plain, "{text:?}");
            }
            other => surprises.push(format!("{name}: {other:?}")),
        }
        if surprises.is_empty() {
            assert_eq!(snapshot(root), before, "{name}");
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    println!(
        "{} evil builds in {} classes: {classes:?}",
        all.len(),
        classes.len()
    );
    assert!(all.len() >= 200);
}

/// Fields that could steer a later command and are accepted: their texts must not arrive.
#[test]
fn what_is_accepted_carries_no_foreign_path_or_program() {
    let pio = kind("RP2");
    let mut parts = Parts::of(pio);
    parts.idedata = Some(format!(
        r#"{{"prog_path": "{THEIRS}/.pioenvs/kitchen/firmware.elf",
        "cc_path": "/evil/bin/gcc", "gdb_path": "/evil/gdb", "svd_path": "/evil/svd",
        "includes": {{"build": ["/evil/include"]}}, "cxx_flags": ["-fplugin=/evil.so"],
        "extra": {{"flash_images": [
            {{"path": "/evil/image", "offset": "0x1000"}},
            {{"path": "{THEIRS}/../evil/image", "offset": "0x1000"}},
            {{"path": "{THEIRS}/.pioenvs/kitchen/firmware.bin", "offset": "--before /evil"}}
        ]}}}}"#
    ));
    let tar = parts.tar();
    let owner = tempfile::tempdir().unwrap();
    place(&tar.gz(), owner.path()).unwrap();
    let idedata = fs::read_to_string(owner.path().join("idedata/kitchen.json")).unwrap();
    assert!(
        !idedata.contains("evil") && !idedata.contains(THEIRS),
        "{idedata}"
    );
    for entry in snapshot(owner.path()) {
        let Some((path, _)) = entry.split_once(": file") else {
            continue;
        };
        let content = fs::read(owner.path().join(path)).unwrap();
        let text = String::from_utf8_lossy(&content);
        assert!(
            !text.contains(THEIRS) && !text.contains("secrets"),
            "{path}"
        );
    }
}

#[cfg(unix)]
#[test]
fn links_in_the_owners_tree_are_not_followed() {
    use std::os::unix::fs::symlink;
    let place_on_disk = tempfile::tempdir().unwrap();
    let root = place_on_disk.path();
    let canary = put(root, "outside/kitchen.bin", b"untouched");
    let archive = Parts::of(kind("ESP32")).tar().gz();

    // A folder of the old tree: the tree is replaced.
    let data = root.join("one/.esphome");
    kind("ESP32").write(&data);
    fs::remove_dir_all(data.join("build/kitchen/build")).unwrap();
    symlink(canary.parent().unwrap(), data.join("build/kitchen/build")).unwrap();
    place(&archive, &data).unwrap();
    assert_eq!(support::specials(root), Vec::<String>::new());

    // The file itself: replaced with the tree as well.
    let data = root.join("two/.esphome");
    kind("ESP32").write(&data);
    fs::remove_file(data.join("build/kitchen/build/kitchen.bin")).unwrap();
    symlink(&canary, data.join("build/kitchen/build/kitchen.bin")).unwrap();
    place(&archive, &data).unwrap();
    assert_eq!(support::specials(root), Vec::<String>::new());

    // The folder of all builds is the owner's: an error, and nothing is written through it.
    let data = root.join("three/.esphome");
    fs::create_dir_all(&data).unwrap();
    symlink(canary.parent().unwrap(), data.join("build")).unwrap();
    let failed = place(&archive, &data);
    assert!(matches!(failed, Err(MaterialiseError::Io(_))), "{failed:?}");
    assert_eq!(fs::read(&canary).unwrap(), b"untouched");
    assert_eq!(fs::read_dir(root.join("outside")).unwrap().count(), 1);
}
