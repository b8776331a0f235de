//! The fuzz bodies on stable: mutated samples, a bounded number of rounds, the same every time.

#[path = "../../../fuzz/bodies/esphome.rs"]
mod esphome;
#[path = "../../../fuzz/bodies/mutants.rs"]
mod mutants;

use mutants::run;

const ROUNDS: usize = 4_000;

fn corpus<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

#[test]
fn mutated_sidecars_do_no_harm() {
    let unix = r#"{"storage_version":1,"name":"kitchen","friendly_name":"Kitchen","comment":null,
        "esphome_version":"2026.10.0","src_version":1,"address":"kitchen.local",
        "esp_platform":"ESP32","build_path":"/r/build/kitchen",
        "firmware_bin_path":"/r/build/kitchen/build/firmware.bin","loaded_integrations":["api"],
        "no_mdns":false,"framework":"esp-idf","core_platform":"esp32","toolchain":"esp-idf"}"#;
    let windows = r#"{"name":"k","esp_platform":"ESP8266","build_path":"C:\\b\\k",
        "firmware_bin_path":"C:\\b\\k\\.pioenvs\\k\\firmware.bin"}"#;
    let escapes = r#"{"name":"k","esp_platform":"ESP8266","build_path":"/r/k",
        "firmware_bin_path":"/r/k/../../etc/passwd"}"#;
    run(esphome::sidecar, &corpus([unix, windows, escapes]), ROUNDS);
}

#[test]
fn mutated_idedata_does_no_harm() {
    let good = r#"{"prog_path":"/r/build/kitchen/.pioenvs/kitchen/firmware.elf",
        "cc_path":"/h/.platformio/packages/toolchain-x/bin/x-gcc","cxx_path":"/h/g++",
        "extra":{"flash_images":[{"path":"/r/build/kitchen/.pioenvs/kitchen/boot.bin",
        "offset":"0x1000"}]}}"#;
    let escapes = r#"{"prog_path":"/r/build/kitchen/../../x","cc_path":"/bin/sh",
        "extra":{"flash_images":[]}}"#;
    run(esphome::idedata, &corpus([good, escapes]), ROUNDS);
}

#[test]
fn mutated_configurations_do_no_harm() {
    let plain = "esphome:\n  name: kitchen\n  friendly_name: \"K\"\nesp32:\n  board: x\nwifi:\n";
    let hard = "substitutions: {n: a}\nesphome: {name: ${n}}\npackages: !include {file: a.yaml}\n\
        x: &a [1, *a, !secret b, |\n  text\n  ]\n? {complex: key}\n: value\n--- # second\n...\n";
    run(esphome::yaml, &corpus([plain, hard]), ROUNDS);
}

#[test]
fn mutated_output_loses_no_text() {
    let build = "\u{1b}[32mINFO ESPHome 2026.10.0\u{1b}[0m\r\n[12/49] Building x.o\n\
        Uploading: [====      ] 42% \rUploading: [======    ] 60% \r\nVersion: 2026.10.0\n";
    let odd = "grün \u{1F525}\r\r\n\0\u{9b}31m[1/0] x\n[9999999999999999999/1] y";
    run(esphome::output, &corpus([build, odd]), ROUNDS);
}
