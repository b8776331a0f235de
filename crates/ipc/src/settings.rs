//! JSON of [`Settings`]; the names are those of `kiln settings`.
use kiln_model::{Pause, RemoteSessions, SandboxMode, Settings, VersionPolicy, WhileInUse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::form::{self, Put, Take, mirrored};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Settings")]
struct SettingsJson {
    receiver: bool,
    remote_builds: bool,
    #[serde(with = "form")]
    version_policy: VersionPolicy,
    include_local: bool,
    esphome_dir: String,
    python: String,
    esphome_version: String,
    listen_host: String,
    listen_port: u16,
    cleanup_ttl_seconds: u32,
    friendly_name: String,
    idle_minutes: u16,
    #[serde(default = "stop", with = "form")]
    while_in_use: WhileInUse,
    #[serde(default = "ignore", with = "form")]
    remote_sessions: RemoteSessions,
    on_battery: bool,
    on_metered: bool,
    hours: String,
    exclusive_apps: String,
    #[serde(default = "yes")]
    beside_full_screen: bool,
    cpu_limit: u8,
    ram_floor_mb: u32,
    disk_floor_mb: u32,
    #[serde(default)]
    in_use_disk_floor_mb: u32,
    #[serde(default)]
    storage_budget_mb: u32,
    #[serde(default)]
    idle_cores: u8,
    in_use_cores: u8,
    #[serde(default = "three_quarters")]
    idle_ram_percent: u8,
    #[serde(default = "three_quarters")]
    in_use_ram_percent: u8,
    yield_minutes: u16,
    #[serde(default)]
    daily_minutes: u16,
    #[serde(rename = "paused_until", with = "form")]
    paused: Pause,
    #[serde(default = "required", with = "form")]
    sandbox: SandboxMode,
    #[serde(default)]
    build_hosts: String,
    #[serde(default)]
    build_folders: String,
}

/// A node that does not say is older than boxes; whatever it does, nothing less is asked of it.
fn required() -> SandboxMode {
    SandboxMode::Required
}

/// A node that does not say is older than the choice.
fn stop() -> WhileInUse {
    WhileInUse::Stop
}

/// The same of memory.
fn three_quarters() -> u8 {
    75
}

/// A node that does not say is older than this setting, and does not look there.
fn ignore() -> RemoteSessions {
    RemoteSessions::Ignore
}

/// A node that does not say is older than this setting, and does not look at screens.
fn yes() -> bool {
    true
}

mirrored!(Settings => SettingsJson);

/// Returns every setting under its name, which is that of its key.
pub fn settings_json(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(Put(settings)) {
        Ok(Value::Object(members)) => members,
        // A struct of plain fields is an object.
        Ok(_) | Err(_) => Map::new(),
    }
}

/// Reads settings from their members.
///
/// # Errors
/// What does not fit, in the words of the reader.
pub fn settings_from(members: Map<String, Value>) -> Result<Settings, serde_json::Error> {
    Take::deserialize(Value::Object(members)).map(|settings| settings.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_model::SettingKey;

    #[test]
    fn every_setting_stands_under_the_name_of_its_key() {
        let members = settings_json(&Settings::default());
        let keys = SettingKey::ALL.iter().map(|key| key.word());
        let mut keys: Vec<&str> = keys.collect();
        keys.sort_unstable();
        let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, keys);
        assert_eq!(settings_from(members).ok(), Some(Settings::default()));
    }
}
