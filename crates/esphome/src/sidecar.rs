//! [`Sidecar`]: ESPHome's `storage.json`, read leniently and written back with every key that is
//! not ours to change exactly as it was (builds.md §9, §13).
use indexmap::IndexMap;
use kiln_model::DeviceName;
use serde_json::value::RawValue;

use crate::remap;

/// Largest sidecar read, in bytes; real ones have about 1,500.
pub const MAX_SIDECAR_BYTES: usize = 1 << 20;

/// A parsed sidecar. Values other than those it is asked for stay the text they were, whatever
/// their type, in their order.
#[derive(Clone, Debug)]
pub struct Sidecar {
    document: IndexMap<String, Box<RawValue>>,
}

/// Why a sidecar cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SidecarError {
    /// Too large, not JSON, or not an object.
    #[error("storage.json is not a JSON object of a sensible size")]
    NotASidecar,
    /// A member that has to be a text is missing or something else.
    #[error("storage.json has no usable {0}")]
    Missing(&'static str),
    /// The firmware is not below the build folder.
    #[error("storage.json names a firmware outside its build folder")]
    FirmwareOutside,
}

impl Sidecar {
    /// Reads a sidecar.
    pub fn parse(bytes: &[u8]) -> Result<Self, SidecarError> {
        if bytes.len() > MAX_SIDECAR_BYTES {
            return Err(SidecarError::NotASidecar);
        }
        let document = serde_json::from_slice(bytes).map_err(|_| SidecarError::NotASidecar)?;
        Ok(Self { document })
    }

    /// Writes it as ESPHome does: two-space indent and a newline at the end.
    pub fn to_text(&self) -> String {
        // A map of texts to valid JSON always serialises.
        let mut text = serde_json::to_string_pretty(&self.document).unwrap_or_default();
        text.push('\n');
        text
    }

    /// `esphome.name`, if it is safe as a directory name.
    pub fn name(&self) -> Option<DeviceName> {
        DeviceName::parse(&self.text("name")?)
    }

    /// `esphome.friendly_name`.
    pub fn friendly_name(&self) -> Option<String> {
        self.text("friendly_name")
    }

    /// The device's address, for example `kitchen.local`.
    pub fn address(&self) -> Option<String> {
        self.text("address")
    }

    /// Platform or chip variant, for example `ESP32S3`.
    pub fn esp_platform(&self) -> Option<String> {
        self.text("esp_platform")
    }

    /// Version that generated the build.
    pub fn esphome_version(&self) -> Option<String> {
        self.text("esphome_version")
    }

    /// Toolchain word; absent for old builds.
    pub fn toolchain(&self) -> Option<String> {
        self.text("toolchain")
    }

    /// Build folder on the machine that wrote the sidecar.
    pub fn build_path(&self) -> Option<String> {
        self.path("build_path")
    }

    /// Firmware on the machine that wrote the sidecar.
    pub fn firmware_bin_path(&self) -> Option<String> {
        self.path("firmware_bin_path")
    }

    /// Integrations of the last build, sorted as written.
    pub fn loaded_integrations(&self) -> Vec<String> {
        self.value("loaded_integrations").unwrap_or_default()
    }

    /// Returns the firmware relative to the build folder, with `/` between its parts. Both paths
    /// are read in the flavour of the machine that wrote them.
    pub fn firmware_below_build(&self) -> Result<String, SidecarError> {
        let build = self
            .build_path()
            .ok_or(SidecarError::Missing("build_path"))?;
        let firmware = self
            .firmware_bin_path()
            .ok_or(SidecarError::Missing("firmware_bin_path"))?;
        match remap::below(&firmware, &build) {
            Ok(Some(relative)) if !relative.is_empty() => Ok(relative),
            Ok(Some(_) | None) | Err(remap::Escapes) => Err(SidecarError::FirmwareOutside),
        }
    }

    /// Returns the same sidecar with the build folder `local_build_path` and the firmware at
    /// `firmware` (relative, `/`) below it; every other key stays as it is.
    pub fn relocated(&self, local_build_path: &str, firmware: &str) -> Self {
        let mut moved = self.clone();
        for (key, path) in [
            ("build_path", local_build_path.to_owned()),
            ("firmware_bin_path", remap::join(local_build_path, firmware)),
        ] {
            if let Ok(value) = serde_json::value::to_raw_value(&path) {
                moved.document.insert(key.to_owned(), value);
            }
        }
        moved
    }

    /// Returns whether the object cache of `previous` does not fit this build, so that the build
    /// folder has to be wiped first (builds.md §9.3). Both are local sidecars.
    pub fn needs_wipe_after(&self, previous: Option<&Sidecar>) -> bool {
        let Some(previous) = previous else {
            return true;
        };
        const SAME: [&str; 5] = [
            "src_version",
            "build_path",
            "toolchain",
            "framework",
            "framework_version",
        ];
        let differs = |key: &&str| {
            self.value::<serde_json::Value>(key).unwrap_or_default()
                != previous.value::<serde_json::Value>(key).unwrap_or_default()
        };
        let now = self.loaded_integrations();
        let lost = |integration: &String| !now.contains(integration);
        SAME.iter().any(differs) || previous.loaded_integrations().iter().any(lost)
    }

    fn value<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.document.get(key)?.get()).ok()
    }

    fn text(&self, key: &str) -> Option<String> {
        self.value(key)
    }

    /// Old files hold the text `None` for a path that is not set.
    fn path(&self, key: &str) -> Option<String> {
        self.text(key)
            .filter(|path| path != "None" && !path.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ESPHome 2026.10.0 writes, plus keys of a version that does not exist yet.
    const REAL: &str = r#"{
  "storage_version": 1,
  "name": "kitchen",
  "friendly_name": "Küche",
  "comment": null,
  "esphome_version": "2026.10.0",
  "src_version": 1,
  "address": "kitchen.local",
  "web_port": null,
  "esp_platform": "ESP32",
  "build_path": "/r/.esphome/build/kitchen",
  "firmware_bin_path": "/r/.esphome/build/kitchen/build/kitchen.bin",
  "loaded_integrations": [
    "api",
    "esp32",
    "ota"
  ],
  "no_mdns": false,
  "framework": "esp-idf",
  "toolchain": "esp-idf",
  "framework_version": "5.5.6",
  "zz_future": {"z": 1.50, "a": 12345678901234567890123}
}
"#;

    // Covers: M88
    #[test]
    fn relocating_changes_two_paths_and_not_one_byte_more() {
        let sidecar = Sidecar::parse(REAL.as_bytes()).unwrap();
        let firmware = sidecar.firmware_below_build().unwrap();
        assert_eq!(firmware, "build/kitchen.bin");
        let moved = sidecar.relocated("/o/build/kitchen", &firmware).to_text();
        assert_eq!(moved, REAL.replace("/r/.esphome/build/", "/o/build/"));
    }

    #[test]
    fn a_windows_sidecar_is_read_on_any_system() {
        let text = REAL.replace("/r/.esphome/build/kitchen", r"C:\\esphb\\build\\kitchen");
        let sidecar = Sidecar::parse(text.as_bytes()).unwrap();
        assert_eq!(
            sidecar.build_path().as_deref(),
            Some(r"C:\esphb\build\kitchen")
        );
        assert_eq!(
            sidecar.firmware_below_build().as_deref(),
            Ok("build/kitchen.bin")
        );
    }

    #[test]
    fn paths_that_are_unset_or_outside_are_no_firmware() {
        let with = |firmware: &str| {
            let text = REAL.replace("/r/.esphome/build/kitchen/build/kitchen.bin", firmware);
            Sidecar::parse(text.as_bytes())
                .unwrap()
                .firmware_below_build()
        };
        assert_eq!(
            with("None"),
            Err(SidecarError::Missing("firmware_bin_path"))
        );
        for outside in [
            "/etc/passwd",
            "/r/.esphome/build/kitchen/../x",
            "/r/.esphome/build/kitchen",
        ] {
            assert_eq!(
                with(outside),
                Err(SidecarError::FirmwareOutside),
                "{outside}"
            );
        }
    }

    #[test]
    fn what_is_not_a_sidecar_is_refused_and_odd_values_count_as_absent() {
        for bad in ["", "[]", "null", "{", "\"x\"", &"[".repeat(100_000)] {
            let outcome = Sidecar::parse(bad.as_bytes()).map(|_| ());
            assert_eq!(outcome, Err(SidecarError::NotASidecar));
        }
        let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_SIDECAR_BYTES));
        assert!(Sidecar::parse(huge.as_bytes()).is_err());
        let odd = Sidecar::parse(br#"{"name":"../x","address":5,"loaded_integrations":{}}"#);
        let odd = odd.unwrap();
        assert_eq!(odd.name(), None);
        assert_eq!(odd.address(), None);
        assert!(odd.loaded_integrations().is_empty());
        let nested = format!(
            "{{\"loaded_integrations\":{}1{}}}",
            "[".repeat(9000),
            "]".repeat(9000)
        );
        assert!(
            Sidecar::parse(nested.as_bytes())
                .unwrap()
                .loaded_integrations()
                .is_empty()
        );
    }

    #[test]
    fn the_build_tree_is_wiped_only_for_what_makes_its_objects_wrong() {
        let now = Sidecar::parse(REAL.as_bytes()).unwrap();
        let before =
            |from: &str, to: &str| Sidecar::parse(REAL.replace(from, to).as_bytes()).unwrap();
        assert!(now.needs_wipe_after(None));
        for (from, to) in [
            ("\"src_version\": 1", "\"src_version\": 2"),
            ("\"/r/.esphome/build/kitchen\"", "\"/else\""),
            ("\"toolchain\": \"esp-idf\"", "\"toolchain\": null"),
            ("\"framework\": \"esp-idf\"", "\"framework\": \"arduino\""),
            ("5.5.6", "5.5.7"),
            ("\"ota\"", "\"ota\", \"wifi\""),
        ] {
            assert!(now.needs_wipe_after(Some(&before(from, to))), "{to}");
        }
        for (from, to) in [
            ("2026.10.0", "2026.9.0"),
            ("Küche", "Bad"),
            ("\"api\",", ""),
        ] {
            assert!(!now.needs_wipe_after(Some(&before(from, to))), "{to}");
        }
    }
}
