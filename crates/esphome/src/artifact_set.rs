//! [`ArtifactSet`]: which files a finished build consists of, by platform and toolchain
//! (builds.md §8, §9.5). The packer asks what to send, the materialiser what to accept.
use kiln_model::{ArtifactsRefusal, DeviceName, FirmwareOffset};

use crate::remap::basename;
use crate::sidecar::{Sidecar, SidecarError};

/// The sidecar's member name.
pub const STORAGE: &str = "storage.json";
/// The idedata member name.
pub const IDEDATA: &str = "idedata.json";
/// The PlatformIO project's member name, also its name below the build folder.
pub const PLATFORMIO_INI: &str = "platformio.ini";
/// The build information's member name, also its name below the build folder.
pub const BUILD_INFO: &str = "build_info.json";
/// The validated configuration's member name.
pub const VALIDATED_JSON: &str = "validated.json";
/// The validated configuration's member name from ESPHome before 2026.8.
pub const VALIDATED_YAML: &str = "validated.yaml";

/// What a host build sends as `platformio.ini`: ESPHome writes none, the reference materialiser
/// wants one (builds.md §12).
pub const PLACEHOLDER_INI: &str = "; This build did not use PlatformIO.\n";

/// Largest sum of file sizes, and largest archive, in bytes (builds.md §8).
pub const MAX_ARTIFACT_BYTES: u64 = 268_435_456;

/// Seconds by which a validated configuration may be older than the sidecar (builds.md §8).
pub const VALIDATED_MAX_AGE_SECONDS: u64 = 60;

/// A family of chips with one list of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// ESP32 and all its variants.
    Esp32,
    /// ESP8266.
    Esp8266,
    /// RP2040 and RP2350.
    Rp2,
    /// BK72xx, RTL87xx and LN882x.
    LibreTiny,
    /// nRF52.
    Nrf52,
    /// A program of the machine itself.
    Host,
}

impl Platform {
    /// Recognises the sidecar's `esp_platform`, in any case.
    pub fn of(esp_platform: &str) -> Option<Self> {
        let key = esp_platform.to_ascii_lowercase();
        Some(match key.as_str() {
            "esp8266" => Platform::Esp8266,
            "rp2" | "rp2040" => Platform::Rp2,
            "bk72xx" | "rtl87xx" | "ln882x" => Platform::LibreTiny,
            "nrf52" => Platform::Nrf52,
            "host" => Platform::Host,
            _ if key.starts_with("esp32") => Platform::Esp32,
            _ => return None,
        })
    }

    /// Returns where the main image is flashed (peer-link.md §5.10).
    pub fn firmware_offset(self) -> FirmwareOffset {
        match self {
            Platform::Esp32 => FirmwareOffset::Esp32,
            Platform::Esp8266
            | Platform::Rp2
            | Platform::LibreTiny
            | Platform::Nrf52
            | Platform::Host => FirmwareOffset::Zero,
        }
    }

    /// Files below `.pioenvs/<name>/`.
    fn environment_files(self) -> &'static [&'static str] {
        match self {
            Platform::Esp32 => &[
                "firmware.bin",
                "firmware.elf",
                "firmware.factory.bin",
                "firmware.ota.bin",
                "bootloader.bin",
                "partitions.bin",
                "ota_data_initial.bin",
            ],
            Platform::Esp8266 => &["firmware.bin", "firmware.elf"],
            Platform::Rp2 => &[
                "firmware.bin",
                "firmware.uf2",
                "firmware.ota.bin",
                "firmware.elf",
            ],
            Platform::LibreTiny => &[
                "firmware.uf2",
                "firmware.bin",
                "firmware.elf",
                FIRMWARE_JSON,
            ],
            Platform::Nrf52 => &[
                "firmware.bin",
                "firmware.elf",
                "zephyr/zephyr.uf2",
                "firmware.zip",
                "zephyr/zephyr.hex",
                "zephyr/merged.hex",
                "zephyr/app_update.bin",
                "zephyr/zephyr.elf",
            ],
            Platform::Host => &["program"],
        }
    }

    /// Files that may be offered for download, in the folder of the firmware.
    fn downloads(self) -> &'static [&'static str] {
        match self {
            Platform::Esp32 => &["firmware.factory.bin", "firmware.ota.bin"],
            Platform::Esp8266 => &["firmware.bin"],
            Platform::Rp2 => &["firmware.uf2", "firmware.ota.bin"],
            Platform::LibreTiny => &["firmware.uf2"],
            Platform::Nrf52 => &[
                "zephyr/zephyr.uf2",
                "firmware.zip",
                "zephyr/merged.hex",
                "zephyr/zephyr.hex",
                "zephyr/app_update.bin",
            ],
            Platform::Host => &[],
        }
    }
}

/// LibreTiny's list of further images, beside the firmware.
const FIRMWARE_JSON: &str = "firmware.json";

/// What built it; decides which metadata the offloader needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Toolchain {
    /// PlatformIO, none recorded, anything unknown, and the host compiler.
    PlatformIo,
    /// ESP-IDF, native.
    EspIdf,
    /// nRF Connect SDK.
    SdkNrf,
    /// Arduino for ESP8266, native.
    Arduino,
}

/// Whether a metadata member has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Its absence is an error.
    Required,
    /// Sent when it is there.
    Optional,
}

impl Toolchain {
    /// Recognises the sidecar's `toolchain`.
    pub fn of(word: Option<&str>) -> Self {
        match word {
            Some("esp-idf") => Toolchain::EspIdf,
            Some("sdk-nrf") => Toolchain::SdkNrf,
            Some("arduino") => Toolchain::Arduino,
            Some(_) | None => Toolchain::PlatformIo,
        }
    }

    /// Returns the end of the idedata's file name below `<data>/idedata/`, after the name.
    pub fn idedata_suffix(self) -> &'static str {
        match self {
            Toolchain::Arduino => ".arduino.json",
            Toolchain::PlatformIo | Toolchain::EspIdf | Toolchain::SdkNrf => ".json",
        }
    }

    /// Returns whether idedata is needed.
    pub fn idedata(self) -> Need {
        match self {
            Toolchain::PlatformIo | Toolchain::Arduino => Need::Required,
            Toolchain::EspIdf | Toolchain::SdkNrf => Need::Optional,
        }
    }

    /// Returns whether `platformio.ini` is needed.
    pub fn platformio_ini(self) -> Need {
        match self {
            Toolchain::PlatformIo => Need::Required,
            Toolchain::EspIdf | Toolchain::SdkNrf | Toolchain::Arduino => Need::Optional,
        }
    }
}

/// The files of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactSet {
    /// Chips.
    pub platform: Platform,
    /// What built it.
    pub toolchain: Toolchain,
    /// `esphome.name`.
    pub name: DeviceName,
    /// The firmware below the build folder, with `/` between its parts.
    pub firmware: String,
}

/// Why there is no set; [`ArtifactSetError::refusal`] is what a peer is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactSetError {
    /// The sidecar lacks something.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// No list of files for this platform.
    #[error("no file list for the platform {0}")]
    UnknownPlatform(String),
    /// The firmware is not one of the files that this platform has.
    #[error("the firmware {0} is not a file that this platform builds")]
    UnknownFirmware(String),
    /// The firmware was not built.
    #[error("the firmware {0} was not built")]
    NoFirmware(String),
}

impl ArtifactSetError {
    /// Returns the word for the peer (builds.md §8).
    pub fn refusal(&self) -> ArtifactsRefusal {
        match self {
            ArtifactSetError::Sidecar(SidecarError::Missing(_) | SidecarError::NotASidecar) => {
                ArtifactsRefusal::BuildDirMissing
            }
            ArtifactSetError::Sidecar(SidecarError::FirmwareOutside)
            | ArtifactSetError::UnknownPlatform(_)
            | ArtifactSetError::UnknownFirmware(_)
            | ArtifactSetError::NoFirmware(_) => ArtifactsRefusal::PackFailed,
        }
    }
}

/// What a member of an artifact archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Member {
    /// The sidecar.
    Storage,
    /// Paths for tools.
    Idedata,
    /// PlatformIO project.
    PlatformioIni,
    /// Hash and time of the build.
    BuildInfo,
    /// Configuration with resolved secrets, JSON.
    ValidatedJson,
    /// Configuration with resolved secrets, YAML.
    ValidatedYaml,
    /// An image or a companion of one; the name is its place below the build folder.
    BuildFile,
}

impl ArtifactSet {
    /// Reads which files a build has from its sidecar. Only a firmware that the platform is known
    /// to build is accepted, so the place of the firmware is our choice and not the sidecar's.
    pub fn of(sidecar: &Sidecar) -> Result<Self, ArtifactSetError> {
        let name = sidecar.name().ok_or(SidecarError::Missing("name"))?;
        let firmware = sidecar.firmware_below_build()?;
        let esp_platform = sidecar.esp_platform().unwrap_or_default();
        let platform =
            Platform::of(&esp_platform).ok_or(ArtifactSetError::UnknownPlatform(esp_platform))?;
        let toolchain = Toolchain::of(sidecar.toolchain().as_deref());
        let set = Self {
            platform,
            toolchain,
            name,
            firmware,
        };
        match set.classify(&set.firmware) {
            Some(Member::BuildFile) => Ok(set),
            Some(_) | None => Err(ArtifactSetError::UnknownFirmware(set.firmware)),
        }
    }

    /// Returns what a member is, or `None` if no build of this platform has it. Names are compared
    /// exactly, so nothing but a listed file ever reaches a disk.
    pub fn classify(&self, member: &str) -> Option<Member> {
        Some(match member {
            STORAGE => Member::Storage,
            IDEDATA => Member::Idedata,
            PLATFORMIO_INI => Member::PlatformioIni,
            BUILD_INFO => Member::BuildInfo,
            VALIDATED_JSON => Member::ValidatedJson,
            VALIDATED_YAML => Member::ValidatedYaml,
            _ if self.is_build_file(member) => Member::BuildFile,
            _ => return None,
        })
    }

    /// Returns the files to pack, in order, without metadata: those of the platform's table and of
    /// its downloads for which `exists` (given a place below the build folder) says yes, each base
    /// name once. `firmware_json` is the content of [`ArtifactSet::firmware_json`].
    pub fn plan(
        &self,
        exists: &dyn Fn(&str) -> bool,
        firmware_json: Option<&[u8]>,
    ) -> Result<Vec<String>, ArtifactSetError> {
        let mut plan: Vec<String> = Vec::new();
        let offered = self.offered(exists, firmware_json);
        let offered = offered.iter().map(|leaf| self.beside_firmware(leaf));
        for file in self.build_files().into_iter().chain(offered) {
            let new = plan.iter().all(|known| basename(known) != basename(&file));
            if new && exists(&file) {
                plan.push(file);
            }
        }
        let firmware = basename(&self.firmware);
        if !plan.iter().any(|file| basename(file) == firmware) {
            return Err(ArtifactSetError::NoFirmware(self.firmware.clone()));
        }
        Ok(plan)
    }

    /// Returns everything worth downloading: what the platform offers, and the program with
    /// symbols; both as far as `exists` (given a place below the build folder) says yes, relative
    /// to the folder of the firmware (builds.md §9.5).
    pub fn downloads(
        &self,
        exists: &dyn Fn(&str) -> bool,
        firmware_json: Option<&[u8]>,
    ) -> Vec<String> {
        let mut all = self.offered(exists, firmware_json);
        all.push("firmware.elf".to_owned());
        all.retain(|leaf| exists(&self.beside_firmware(leaf)));
        all
    }

    /// The platform's own offer.
    fn offered(&self, exists: &dyn Fn(&str) -> bool, firmware_json: Option<&[u8]>) -> Vec<String> {
        let here = |leaf: &str| exists(&self.beside_firmware(leaf));
        let skip: &[&str] = match self.platform {
            Platform::Nrf52 if here("zephyr/zephyr.uf2") => {
                &["zephyr/merged.hex", "zephyr/zephyr.hex"]
            }
            Platform::Nrf52 if here("zephyr/merged.hex") => &["firmware.zip", "zephyr/zephyr.hex"],
            Platform::Nrf52 => &["firmware.zip"],
            Platform::Esp32
            | Platform::Esp8266
            | Platform::Rp2
            | Platform::LibreTiny
            | Platform::Host => &[],
        };
        let listed = self
            .platform
            .downloads()
            .iter()
            .filter(|leaf| !skip.contains(leaf));
        let mut all: Vec<String> = listed.map(|&leaf| leaf.to_owned()).collect();
        all.extend(self.public_images(firmware_json));
        all.retain(|leaf| here(leaf));
        all
    }

    /// Returns where LibreTiny lists further images, below the build folder.
    pub fn firmware_json(&self) -> Option<String> {
        match self.platform {
            Platform::LibreTiny => Some(self.beside_firmware(FIRMWARE_JSON)),
            Platform::Esp32
            | Platform::Esp8266
            | Platform::Rp2
            | Platform::Nrf52
            | Platform::Host => None,
        }
    }

    /// Returns whether the packer has to add [`PLACEHOLDER_INI`] when there is no
    /// `platformio.ini`.
    pub fn wants_placeholder_ini(&self) -> bool {
        self.platform == Platform::Host
    }

    /// The platform's table, in order.
    fn build_files(&self) -> Vec<String> {
        let environment = |leaf: &&str| format!(".pioenvs/{}/{leaf}", self.name);
        let mut files: Vec<_> = self
            .platform
            .environment_files()
            .iter()
            .map(environment)
            .collect();
        if self.platform == Platform::Esp32 {
            files.extend([
                "build/firmware.factory.bin".to_owned(),
                format!("build/{}.bin", self.name),
                "build/firmware.elf".to_owned(),
                "build/bootloader/bootloader.bin".to_owned(),
                "build/partition_table/partition-table.bin".to_owned(),
                "build/ota_data_initial.bin".to_owned(),
            ]);
        }
        files
    }

    fn is_build_file(&self, member: &str) -> bool {
        if self.build_files().iter().any(|file| file == member) {
            return true;
        }
        let folders = [format!(".pioenvs/{}/", self.name), "build/".to_owned()];
        let in_folder = |folder: &String| member.strip_prefix(folder.as_str());
        match self.platform {
            // The native toolchain puts its downloads beside its firmware.
            Platform::Esp32 => folders
                .iter()
                .filter_map(in_folder)
                .any(|leaf| self.platform.downloads().contains(&leaf)),
            // Further images are listed in firmware.json, which travels in the same archive.
            Platform::LibreTiny => folders
                .first()
                .and_then(in_folder)
                .is_some_and(is_image_leaf),
            Platform::Esp8266 | Platform::Rp2 | Platform::Nrf52 | Platform::Host => false,
        }
    }

    fn beside_firmware(&self, leaf: &str) -> String {
        match self.firmware.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{leaf}"),
            None => leaf.to_owned(),
        }
    }

    /// The `filename`s of firmware.json whose `public` is true; a broken list offers nothing.
    fn public_images(&self, firmware_json: Option<&[u8]>) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct Image {
            filename: String,
            public: bool,
        }
        if self.platform != Platform::LibreTiny {
            return Vec::new();
        }
        let images: Vec<Image> = firmware_json
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .unwrap_or_default();
        let offered = images.into_iter().filter(|image| image.public);
        offered
            .map(|image| image.filename)
            .filter(|leaf| is_image_leaf(leaf))
            .collect()
    }
}

/// A leaf name that is harmless on every system and looks like an image, not like a script.
fn is_image_leaf(leaf: &str) -> bool {
    // .rbl is what Beken's boot loader flashes.
    const ENDS: [&str; 6] = [".bin", ".uf2", ".hex", ".elf", ".json", ".rbl"];
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    leaf.len() <= 128
        && leaf
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
        && leaf.bytes().all(plain)
        && ENDS.iter().any(|end| leaf.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sidecar(esp_platform: &str, toolchain: &str, firmware: &str) -> Sidecar {
        let text = serde_json::json!({
            "name": "n", "esp_platform": esp_platform, "toolchain": toolchain,
            "build_path": "/r/n", "firmware_bin_path": format!("/r/n/{firmware}"),
        });
        Sidecar::parse(text.to_string().as_bytes()).unwrap()
    }

    fn set(esp_platform: &str, toolchain: &str, firmware: &str) -> ArtifactSet {
        ArtifactSet::of(&sidecar(esp_platform, toolchain, firmware)).unwrap()
    }

    fn plan(set: &ArtifactSet, present: &[&str]) -> Vec<String> {
        set.plan(&|file| present.contains(&file), None).unwrap()
    }

    const PIO: &str = ".pioenvs/n/firmware.bin";

    // Covers: M84
    #[test]
    fn every_platform_packs_its_table_and_each_base_name_once() {
        let idf = set("ESP32S3", "esp-idf", "build/n.bin");
        assert_eq!(
            plan(
                &idf,
                &[
                    "build/n.bin",
                    "build/firmware.ota.bin",
                    "build/firmware.factory.bin",
                    ".pioenvs/n/firmware.factory.bin",
                    "build/bootloader/bootloader.bin",
                    "build/x.o"
                ]
            ),
            [
                ".pioenvs/n/firmware.factory.bin",
                "build/n.bin",
                "build/bootloader/bootloader.bin",
                "build/firmware.ota.bin"
            ]
        );
        let everything = |set: &ArtifactSet| set.plan(&|_| true, None).unwrap();
        let files = |set: &ArtifactSet| -> Vec<String> {
            let strip = |file: &String| file.strip_prefix(".pioenvs/n/").map(str::to_owned);
            everything(set).iter().filter_map(strip).collect()
        };
        assert_eq!(
            files(&set("ESP8266", "arduino", PIO)),
            ["firmware.bin", "firmware.elf"]
        );
        assert_eq!(
            files(&set("RP2040", "platformio", PIO)),
            [
                "firmware.bin",
                "firmware.uf2",
                "firmware.ota.bin",
                "firmware.elf"
            ]
        );
        for chip in ["BK72XX", "RTL87XX", "LN882X"] {
            assert_eq!(
                files(&set(chip, "platformio", ".pioenvs/n/firmware.uf2")),
                [
                    "firmware.uf2",
                    "firmware.bin",
                    "firmware.elf",
                    "firmware.json"
                ]
            );
        }
        assert_eq!(files(&set("NRF52", "sdk-nrf", PIO)).len(), 8);
        assert_eq!(
            files(&set("HOST", "host", ".pioenvs/n/program")),
            ["program"]
        );
        assert_eq!(everything(&set("esp32", "platformio", PIO)).len(), 7 + 2);
    }

    // Covers: M85
    #[test]
    fn a_build_whose_firmware_is_missing_or_foreign_is_not_packed() {
        let esp = set("ESP8266", "platformio", PIO);
        let refused = esp.plan(&|file| file.ends_with(".elf"), None).unwrap_err();
        assert_eq!(refused.refusal(), ArtifactsRefusal::PackFailed);
        for (platform, firmware) in [("ESP8266", "main.bin"), ("PIC16", PIO), ("", PIO)] {
            let refused = ArtifactSet::of(&sidecar(platform, "platformio", firmware)).unwrap_err();
            assert_eq!(
                refused.refusal(),
                ArtifactsRefusal::PackFailed,
                "{platform} {firmware}"
            );
        }
        let bare = Sidecar::parse(br#"{"name":"n","esp_platform":"ESP32"}"#).unwrap();
        let refused = ArtifactSet::of(&bare).unwrap_err();
        assert_eq!(refused.refusal(), ArtifactsRefusal::BuildDirMissing);
    }

    // Covers: M89
    #[test]
    fn the_toolchain_says_which_metadata_is_needed() {
        use Need::{Optional, Required};
        for (word, idedata, suffix, ini) in [
            (Some("platformio"), Required, ".json", Required),
            (Some("host"), Required, ".json", Required),
            (Some("of tomorrow"), Required, ".json", Required),
            (None, Required, ".json", Required),
            (Some("esp-idf"), Optional, ".json", Optional),
            (Some("sdk-nrf"), Optional, ".json", Optional),
            (Some("arduino"), Required, ".arduino.json", Optional),
        ] {
            let chain = Toolchain::of(word);
            assert_eq!(
                (chain.idedata(), chain.idedata_suffix()),
                (idedata, suffix),
                "{word:?}"
            );
            assert_eq!(chain.platformio_ini(), ini, "{word:?}");
        }
    }

    // Covers: M94
    #[test]
    fn only_a_host_build_needs_the_placeholder() {
        assert!(set("HOST", "host", ".pioenvs/n/program").wants_placeholder_ini());
        assert!(!set("ESP8266", "platformio", PIO).wants_placeholder_ini());
        assert!(PLACEHOLDER_INI.starts_with(';') && PLACEHOLDER_INI.lines().count() == 1);
    }

    #[test]
    fn libretiny_offers_the_public_images_of_its_list_and_no_other_name() {
        let set = set("BK72XX", "platformio", ".pioenvs/n/firmware.uf2");
        assert_eq!(
            set.firmware_json().as_deref(),
            Some(".pioenvs/n/firmware.json")
        );
        let list = br#"[{"filename":"image_app.0x10D0.bin","public":true},
            {"filename":"secret.bin","public":false},{"filename":"../../evil.bin","public":true},
            {"filename":"run.sh","public":true}]"#;
        let offered = set.downloads(&|_| true, Some(list));
        assert_eq!(
            offered,
            ["firmware.uf2", "image_app.0x10D0.bin", "firmware.elf"]
        );
        assert!(set.plan(&|_| true, Some(b"not json")).is_ok());
        assert_eq!(
            set.classify(".pioenvs/n/image_app.0x10D0.bin"),
            Some(Member::BuildFile)
        );
    }

    #[test]
    fn nrf52_offers_one_kind_of_image_and_the_update() {
        let set = set("NRF52", "sdk-nrf", PIO);
        let offered = |missing: &[&str]| {
            set.downloads(&|file| !missing.iter().any(|m| file.ends_with(m)), None)
        };
        let update = "zephyr/app_update.bin";
        assert_eq!(
            offered(&[]),
            ["zephyr/zephyr.uf2", "firmware.zip", update, "firmware.elf"]
        );
        assert_eq!(
            offered(&["zephyr.uf2"]),
            ["zephyr/merged.hex", update, "firmware.elf"]
        );
        assert_eq!(
            offered(&["zephyr.uf2", "merged.hex", "update.bin"]),
            ["zephyr/zephyr.hex", "firmware.elf"]
        );
    }

    // Covers: M86
    #[test]
    fn a_member_that_no_build_of_the_platform_has_is_unknown() {
        let esp = set("ESP32", "esp-idf", "build/n.bin");
        for good in [
            "storage.json",
            "build_info.json",
            "build/firmware.ota.bin",
            "build/n.bin",
        ] {
            assert!(esp.classify(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "build/../../x",
            "build/other.bin",
            "src/main.cpp",
            ".pioenvs/other/firmware.bin",
            "build\\n.bin",
            "./build/n.bin",
            "build/n.bin/",
            "STORAGE.JSON",
            ".pioenvs/n/program",
            "platformio.ini.bak",
        ] {
            assert_eq!(esp.classify(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_esp32_is_flashed_at_an_offset() {
        assert_eq!(
            Platform::of("ESP32C6").unwrap().firmware_offset(),
            FirmwareOffset::Esp32
        );
        assert_eq!(
            Platform::of("esp8266").unwrap().firmware_offset(),
            FirmwareOffset::Zero
        );
    }
}
