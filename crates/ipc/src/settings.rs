//! JSON of [`Settings`]; the names are those of `kiln settings`.
use kiln_model::{Settings, VersionPolicy};
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
}

mirrored!(Settings => SettingsJson);
