//! JSON of [`Settings`]; the names are those of `kiln settings`.
use kiln_model::{Pause, RemoteSessions, SandboxMode, Settings, VersionPolicy, WhileInUse};
use serde::{Deserialize, Serialize};

use crate::form::{self, mirrored};

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
