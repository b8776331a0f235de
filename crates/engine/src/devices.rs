//! [`scan`]: the owner's ESPHome directory as a list of devices.
//!
//! Reads configurations as text and what ESPHome wrote about their last build. Nothing is written,
//! nothing is run, and one bad file never hides the others.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use kiln_esphome::outline::MAX_YAML_BYTES;
use kiln_esphome::sidecar::MAX_SIDECAR_BYTES;
use kiln_esphome::{Outline, Sidecar};
use kiln_model::{ConfigurationName, Device, DeviceName, Presence, Sentence, Timestamp, say};

/// Reads the devices in `configurations`, whose ESPHome data folder is `data`; sorted by file
/// name. Empty if there is no such folder.
pub async fn scan(configurations: &Path, data: &Path) -> Vec<Device> {
    let (configurations, data) = (configurations.to_owned(), data.to_owned());
    let reading = tokio::task::spawn_blocking(move || read_all(&configurations, &data));
    reading.await.unwrap_or_else(|error| {
        tracing::error!(%error, "the devices were not read");
        Vec::new()
    })
}

/// Returns the device name that a configuration plainly gives itself; `None` if it comes from a
/// package or an expression. Blocks on the disk.
pub(crate) fn name_of(folder: &Path, configuration: &ConfigurationName) -> Option<DeviceName> {
    let text = read_limited(&folder.join(configuration.as_str()), MAX_YAML_BYTES).ok()?;
    DeviceName::parse(&Outline::of(&String::from_utf8(text).ok()?).name?)
}

fn read_all(configurations: &Path, data: &Path) -> Vec<Device> {
    let mut names = match configuration_names(configurations) {
        Ok(names) => names,
        Err(error) => {
            tracing::info!(folder = %configurations.display(), %error, "no devices here");
            return Vec::new();
        }
    };
    names.sort();
    names
        .into_iter()
        .map(|name| read_device(configurations, data, name))
        .collect()
}

/// Configurations at the top of the folder; secrets, hidden files and names that no build tree can
/// have are none.
fn configuration_names(folder: &Path) -> io::Result<Vec<ConfigurationName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with('.') || !path.is_file() {
            continue;
        }
        match name.parse() {
            Ok(name) => names.push(name),
            Err(reason) => tracing::debug!(file = name, %reason, "not a configuration"),
        }
    }
    Ok(names)
}

fn read_device(folder: &Path, data: &Path, configuration: ConfigurationName) -> Device {
    let outline = match read_limited(&folder.join(configuration.as_str()), MAX_YAML_BYTES) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Outline::of(&text),
            Err(_) => problem(say::configuration_not_text()),
        },
        Err(error) => problem(say::configuration_unreadable(error.to_string())),
    };
    let sidecar = data.join("storage").join(format!("{configuration}.json"));
    let sidecar = read_limited(&sidecar, MAX_SIDECAR_BYTES).ok();
    let sidecar = sidecar.and_then(|bytes| Sidecar::parse(&bytes).ok());
    let last_build = sidecar.as_ref().and_then(last_build);
    // The text is newer than the last build; the last build knows what the text hides.
    let built = |fact: fn(&Sidecar) -> Option<String>| sidecar.as_ref().and_then(fact);
    Device {
        name: outline
            .name
            .or_else(|| built(|s| s.name().map(|name| name.as_str().to_owned())))
            .unwrap_or_else(|| configuration.stem().to_owned()),
        friendly_name: outline
            .friendly_name
            .or(built(Sidecar::friendly_name))
            .unwrap_or_default(),
        platform: built(Sidecar::esp_platform)
            .or(outline.platform)
            .unwrap_or_default(),
        address: built(Sidecar::address)
            .or(outline.address)
            .unwrap_or_default(),
        presence: Presence::Unknown,
        // ESPHome writes the sidecar before it compiles.
        built_version: last_build
            .and(built(Sidecar::esphome_version))
            .unwrap_or_default(),
        deployed_version: String::new(),
        last_build,
        problem: outline.problem,
        configuration,
    }
}

fn problem(text: Sentence) -> Outline {
    Outline {
        problem: Some(text),
        ..Outline::default()
    }
}

/// When the firmware was built: its own time, or, for firmware that came from a receiver and has
/// none, the time in `build_info.json`. `None` if there is no firmware.
fn last_build(sidecar: &Sidecar) -> Option<Timestamp> {
    let written = fs::metadata(sidecar.firmware_bin_path()?)
        .ok()?
        .modified()
        .ok()?;
    let written = written.duration_since(UNIX_EPOCH).unwrap_or_default();
    /// Archived files carry no time of their own.
    const A_DAY: Duration = Duration::from_secs(86_400);
    let built = if written > A_DAY {
        written
    } else {
        #[derive(serde::Deserialize)]
        struct BuildInfo {
            build_time: u64,
        }
        let info = PathBuf::from(sidecar.build_path()?).join("build_info.json");
        let info = read_limited(&info, MAX_SIDECAR_BYTES).ok()?;
        let info: BuildInfo = serde_json::from_slice(&info).ok()?;
        Duration::from_secs(info.build_time)
    };
    Some(Timestamp(i64::try_from(built.as_micros()).ok()?))
}

/// Reads a file of at most `limit` bytes; a larger one is an error and is not read.
fn read_limited(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let ceiling = u64::try_from(limit).unwrap_or(u64::MAX);
    fs::File::open(path)?
        .take(ceiling.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration folder with ESPHome's data in it.
    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path
        }

        async fn scan(&self) -> Vec<Device> {
            scan(self.0.path(), &self.0.path().join(".esphome")).await
        }

        async fn only(&self) -> Device {
            let devices = self.scan().await;
            assert_eq!(devices.len(), 1, "{devices:?}");
            devices.into_iter().next().unwrap()
        }
    }

    const KITCHEN: &str = "esphome: {name: kitchen, friendly_name: Kitchen}\nesp32:\nwifi:\n";

    #[tokio::test]
    async fn only_configurations_at_the_top_are_devices_and_they_are_sorted() {
        let home = Home::new();
        for name in [
            "b.yaml",
            "a.YML",
            "secrets.yaml",
            ".hidden.yaml",
            "notes.txt",
            "sub/c.yaml",
        ] {
            home.write(name, KITCHEN);
        }
        fs::create_dir(home.0.path().join("folder.yaml")).unwrap();
        let devices = home.scan().await;
        let names: Vec<_> = devices.iter().map(|d| d.configuration.as_str()).collect();
        assert_eq!(names, ["a.YML", "b.yaml"]);
    }

    #[tokio::test]
    async fn a_device_that_was_never_built_is_what_its_text_says() {
        let home = Home::new();
        home.write("k.yaml", KITCHEN);
        let device = home.only().await;
        assert_eq!(device.name, "kitchen");
        assert_eq!(device.friendly_name, "Kitchen");
        assert_eq!(device.platform, "ESP32");
        assert_eq!(device.address, "kitchen.local");
        assert_eq!(
            (device.built_version.as_str(), device.last_build),
            ("", None)
        );
        assert_eq!(device.problem, None);
    }

    #[tokio::test]
    async fn a_build_adds_what_the_text_hides_and_counts_once_its_firmware_is_there() {
        let home = Home::new();
        home.write("k.yaml", "packages: !include base.yaml\n");
        let firmware = home.0.path().join(".esphome/build/kitchen/firmware.bin");
        let sidecar = serde_json::json!({
            "name": "kitchen", "friendly_name": "Kitchen", "address": "192.0.2.4",
            "esp_platform": "ESP32S3", "esphome_version": "2026.10.0",
            "build_path": firmware.parent(), "firmware_bin_path": firmware,
        });
        home.write(".esphome/storage/k.yaml.json", sidecar.to_string());
        let device = home.only().await;
        assert_eq!(
            (device.name.as_str(), device.platform.as_str()),
            ("kitchen", "ESP32S3")
        );
        assert_eq!(device.address, "192.0.2.4");
        assert_eq!(
            (device.built_version.as_str(), device.last_build),
            ("", None)
        );

        home.write(".esphome/build/kitchen/firmware.bin", "x");
        let device = home.only().await;
        assert_eq!(device.built_version, "2026.10.0");
        assert!(device.last_build.is_some());

        home.write(
            ".esphome/build/kitchen/build_info.json",
            r#"{"build_time": 1767225600}"#,
        );
        let unpacked = fs::File::options().write(true).open(&firmware).unwrap();
        unpacked.set_modified(UNIX_EPOCH).unwrap();
        let device = home.only().await;
        assert_eq!(device.last_build, Some(Timestamp(1_767_225_600_000_000)));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_a_device_with_a_problem_beside_the_good_ones() {
        let home = Home::new();
        home.write("bad.yaml", "esphome: [");
        home.write("binary.yaml", [0xff, 0xfe, 0x00]);
        home.write("good.yaml", KITCHEN);
        home.write("huge.yaml", "#".repeat(MAX_YAML_BYTES + 1));
        home.write(".esphome/storage/good.yaml.json", "{broken");
        let devices = home.scan().await;
        let problem = |at: usize| devices[at].problem.clone().unwrap_or_default();
        assert!(problem(0).starts_with("line "), "{}", problem(0));
        assert_eq!(problem(1), "the file is not UTF-8 text");
        assert_eq!(problem(2), "");
        assert!(problem(3).contains("larger than"));
        assert_eq!(devices[0].name, "bad", "its file's name");
    }

    #[tokio::test]
    async fn no_folder_means_no_devices() {
        let home = Home::new();
        let nowhere = home.0.path().join("nowhere");
        assert!(scan(&nowhere, &nowhere).await.is_empty());
    }
}
