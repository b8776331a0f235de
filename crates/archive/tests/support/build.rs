//! Finished builds as esphome leaves them, small and synthetic, for every platform and toolchain.
use std::fs;
use std::path::Path;

use super::put;

/// One kind of build.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub esp_platform: &'static str,
    pub toolchain: Option<&'static str>,
    /// Below the build folder.
    pub firmware: &'static str,
    /// Further build files.
    pub files: &'static [&'static str],
    pub idedata: Option<&'static str>,
    pub ini: bool,
}

/// Every platform with every toolchain that builds for it. The device is called `kitchen`.
pub const KINDS: &[Kind] = &[
    Kind {
        esp_platform: "ESP32",
        toolchain: Some("esp-idf"),
        firmware: "build/kitchen.bin",
        files: &[
            "build/firmware.elf",
            "build/firmware.factory.bin",
            "build/firmware.ota.bin",
            "build/bootloader/bootloader.bin",
            "build/partition_table/partition-table.bin",
            "build/ota_data_initial.bin",
        ],
        idedata: None,
        ini: false,
    },
    Kind {
        esp_platform: "ESP32S3",
        toolchain: Some("platformio"),
        firmware: ".pioenvs/kitchen/firmware.bin",
        files: &[
            ".pioenvs/kitchen/firmware.elf",
            ".pioenvs/kitchen/firmware.factory.bin",
            ".pioenvs/kitchen/firmware.ota.bin",
            ".pioenvs/kitchen/bootloader.bin",
            ".pioenvs/kitchen/partitions.bin",
            ".pioenvs/kitchen/ota_data_initial.bin",
        ],
        idedata: Some(".json"),
        ini: true,
    },
    Kind {
        esp_platform: "ESP8266",
        toolchain: Some("arduino"),
        firmware: ".pioenvs/kitchen/firmware.bin",
        files: &[".pioenvs/kitchen/firmware.elf"],
        idedata: Some(".arduino.json"),
        ini: false,
    },
    Kind {
        esp_platform: "ESP8266",
        toolchain: None,
        firmware: ".pioenvs/kitchen/firmware.bin",
        files: &[".pioenvs/kitchen/firmware.elf"],
        idedata: Some(".json"),
        ini: true,
    },
    Kind {
        esp_platform: "RP2",
        toolchain: Some("platformio"),
        firmware: ".pioenvs/kitchen/firmware.bin",
        files: &[
            ".pioenvs/kitchen/firmware.uf2",
            ".pioenvs/kitchen/firmware.ota.bin",
            ".pioenvs/kitchen/firmware.elf",
        ],
        idedata: Some(".json"),
        ini: true,
    },
    Kind {
        esp_platform: "BK72XX",
        toolchain: Some("platformio"),
        firmware: ".pioenvs/kitchen/firmware.uf2",
        files: &[
            ".pioenvs/kitchen/firmware.bin",
            ".pioenvs/kitchen/firmware.elf",
            ".pioenvs/kitchen/firmware.json",
        ],
        idedata: Some(".json"),
        ini: true,
    },
    Kind {
        esp_platform: "RTL87XX",
        toolchain: Some("platformio"),
        firmware: ".pioenvs/kitchen/firmware.uf2",
        files: &[".pioenvs/kitchen/firmware.elf"],
        idedata: Some(".json"),
        ini: true,
    },
    Kind {
        esp_platform: "LN882X",
        toolchain: Some("platformio"),
        firmware: ".pioenvs/kitchen/firmware.uf2",
        files: &[".pioenvs/kitchen/firmware.elf"],
        idedata: Some(".json"),
        ini: true,
    },
    Kind {
        esp_platform: "NRF52",
        toolchain: Some("sdk-nrf"),
        firmware: ".pioenvs/kitchen/firmware.bin",
        files: &[
            ".pioenvs/kitchen/zephyr/zephyr.uf2",
            ".pioenvs/kitchen/firmware.zip",
        ],
        idedata: None,
        ini: false,
    },
    Kind {
        esp_platform: "HOST",
        toolchain: Some("host"),
        firmware: ".pioenvs/kitchen/program",
        files: &[],
        idedata: Some(".json"),
        ini: false,
    },
];

impl Kind {
    /// Returns a sidecar like those of ESPHome 2026.10.0, with an unknown key.
    pub fn sidecar(&self, build_path: &str) -> String {
        let toolchain = self
            .toolchain
            .map_or("null".to_owned(), |word| format!("\"{word}\""));
        format!(
            r#"{{
  "storage_version": 1,
  "name": "kitchen",
  "friendly_name": "Küche",
  "comment": null,
  "esphome_version": "2026.10.0",
  "src_version": 1,
  "address": "kitchen.local",
  "esp_platform": "{}",
  "build_path": "{build_path}",
  "firmware_bin_path": "{build_path}/{}",
  "loaded_integrations": [
    "api",
    "ota"
  ],
  "no_mdns": false,
  "framework": "arduino",
  "toolchain": {toolchain},
  "framework_version": "5.5.6",
  "zz_future": {{"a": 12345678901234567890123}}
}}
"#,
            self.esp_platform, self.firmware
        )
    }

    /// Returns a firmware with the head that its kind has.
    pub fn image(&self) -> Vec<u8> {
        let mut image = match self.esp_platform {
            "ESP32" | "ESP8266" => vec![0xe9, 1, 0, 0],
            "ESP32S3" => vec![0xe9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0],
            "HOST" => b"\x7fELF".to_vec(),
            _ => b"UF2\nWQ]\x9e".to_vec(),
        };
        image.resize(1000, 0);
        image
    }

    pub fn idedata_text(&self, build_path: &str) -> String {
        format!(
            r#"{{"prog_path": "{build_path}/{}", "cc_path": "/home/them/.platformio/packages/toolchain-x/bin/x-gcc", "cxx_path": "/usr/bin/g++", "extra": {{"flash_images": []}}}}"#,
            self.files
                .iter()
                .find(|file| file.ends_with("firmware.elf"))
                .unwrap_or(&self.firmware)
        )
    }

    /// Writes the whole build below `data`, whose path the sidecar names.
    pub fn write(&self, data: &Path) {
        let build_path = format!("{}/build/kitchen", data.display());
        put(
            data,
            "storage/kitchen.yaml.json",
            self.sidecar(&build_path).as_bytes(),
        );
        put(data, "storage/kitchen.yaml.validated.json", b"secrets");
        for file in self.files {
            let content = match file.ends_with("firmware.json") {
                true => br#"[{"filename": "ota.bin", "public": true}]"#.to_vec(),
                false => file.as_bytes().repeat(10),
            };
            put(data, &format!("build/kitchen/{file}"), &content);
        }
        put(
            data,
            &format!("build/kitchen/{}", self.firmware),
            &self.image(),
        );
        put(
            data,
            "build/kitchen/build_info.json",
            br#"{"config_hash": 7, "build_time": 1}"#,
        );
        put(data, "build/kitchen/src/main.cpp", b"never sent");
        if self.ini {
            put(data, "build/kitchen/platformio.ini", b"[env:kitchen]\n");
        }
        if let Some(suffix) = self.idedata {
            let path = format!("idedata/kitchen{suffix}");
            put(data, &path, self.idedata_text(&build_path).as_bytes());
        }
    }

    /// Returns the names the archive must hold, in order.
    pub fn members(&self) -> Vec<String> {
        let mut names = vec!["storage.json".to_owned()];
        if self.idedata.is_some() {
            names.push("idedata.json".to_owned());
        }
        if self.ini || self.esp_platform == "HOST" {
            names.push("platformio.ini".to_owned());
        }
        names.push("build_info.json".to_owned());
        names.push("validated.json".to_owned());
        names
    }
}

/// Sets a file's time, in seconds since 1970.
pub fn date(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    file.set_times(fs::FileTimes::new().set_modified(at))
        .unwrap();
}
