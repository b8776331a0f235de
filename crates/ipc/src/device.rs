//! JSON of [`Device`].
use kiln_model::{ConfigurationName, Device, Presence, Sentence, Timestamp};
use serde::{Deserialize, Serialize};

use crate::form::{self, mirrored};
use crate::sentence;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Device")]
struct DeviceJson {
    #[serde(with = "form")]
    configuration: ConfigurationName,
    name: String,
    friendly_name: String,
    platform: String,
    address: String,
    #[serde(with = "form")]
    presence: Presence,
    built_version: String,
    deployed_version: String,
    #[serde(with = "form")]
    last_build: Option<Timestamp>,
    #[serde(flatten, with = "sentence::problem")]
    problem: Option<Sentence>,
}

mirrored!(Device => DeviceJson);
