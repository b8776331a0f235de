//! JSON of [`Reply`]: its name under `reply`, its content beside it. The same objects are what
//! `--json` prints.
use kiln_model::{
    Device, Entry, EnvironmentInfo, ErrorCode, EsphomeVersion, Job, Pin, Reclaimed, Reply,
    RequestError, Sentence, SerialPort, Settings, Statistics, Storage, Verification, View,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::form::{self, Form, Put, mirrored};
use crate::sentence;

/// Returns the object that stands for a reply on the control channel and under `--json`.
pub fn reply_json(reply: &Reply) -> serde_json::Value {
    value(reply)
}

/// Returns the object that stands for the read model.
pub fn view_json(view: &View) -> serde_json::Value {
    value(view)
}

/// Returns the object that stands for a job.
pub fn job_json(job: &Job) -> serde_json::Value {
    value(job)
}

/// Nothing here has a map key that is not text or a number that is not finite, the only two
/// things that JSON cannot write; should one ever appear, `null` says so.
fn value<T: Form>(of: &T) -> serde_json::Value {
    serde_json::to_value(Put(of)).unwrap_or_default()
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RequestError")]
struct RequestErrorJson {
    #[serde(with = "form")]
    code: ErrorCode,
    #[serde(flatten, with = "sentence::message")]
    message: Sentence,
    #[serde(flatten, with = "sentence::hint")]
    hint: Sentence,
}

mirrored!(RequestError => RequestErrorJson);

#[derive(Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
enum ReplyJson {
    Done,
    Status {
        #[serde(flatten, with = "form")]
        view: Box<View>,
    },
    Previewed {
        #[serde(rename = "pin_sha256", with = "form")]
        pin: Pin,
        requires_pairing_key: bool,
        friendly_name: String,
    },
    Paired,
    PairingPending,
    Devices {
        #[serde(with = "form")]
        devices: Vec<Device>,
    },
    Jobs {
        #[serde(with = "form")]
        jobs: Vec<Job>,
    },
    Environments {
        #[serde(with = "form")]
        environments: Vec<EnvironmentInfo>,
    },
    NewestEnvironment {
        #[serde(with = "form")]
        version: EsphomeVersion,
    },
    SerialPorts {
        #[serde(with = "form")]
        ports: Vec<SerialPort>,
        #[serde(flatten, with = "sentence::advice")]
        advice: Sentence,
    },
    Settings {
        #[serde(with = "form")]
        settings: Box<Settings>,
    },
    Audit {
        #[serde(with = "form")]
        entries: Vec<Entry>,
        unreadable: u64,
    },
    AuditVerified {
        #[serde(flatten, with = "form")]
        verification: Verification,
    },
    Statistics {
        #[serde(flatten, with = "form")]
        statistics: Statistics,
    },
    Storage {
        #[serde(with = "form")]
        storage: Box<Storage>,
    },
    Reclaimed {
        #[serde(flatten, with = "form")]
        reclaimed: Reclaimed,
    },
    Refused {
        #[serde(flatten, with = "form")]
        error: RequestError,
    },
}

impl Form for Reply {
    fn put<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let json = match self.clone() {
            Reply::Done => ReplyJson::Done,
            Reply::Status(view) => ReplyJson::Status { view },
            Reply::Previewed {
                pin,
                requires_pairing_key,
                friendly_name,
            } => ReplyJson::Previewed {
                pin,
                requires_pairing_key,
                friendly_name,
            },
            Reply::Paired => ReplyJson::Paired,
            Reply::PairingPending => ReplyJson::PairingPending,
            Reply::Devices(devices) => ReplyJson::Devices { devices },
            Reply::Jobs(jobs) => ReplyJson::Jobs { jobs },
            Reply::Environments(environments) => ReplyJson::Environments { environments },
            Reply::NewestEnvironment(version) => ReplyJson::NewestEnvironment { version },
            Reply::SerialPorts { ports, advice } => ReplyJson::SerialPorts { ports, advice },
            Reply::Settings(settings) => ReplyJson::Settings { settings },
            Reply::Audit {
                entries,
                unreadable,
            } => ReplyJson::Audit {
                entries,
                unreadable,
            },
            Reply::AuditVerified(verification) => ReplyJson::AuditVerified { verification },
            Reply::Statistics(statistics) => ReplyJson::Statistics { statistics },
            Reply::Storage(storage) => ReplyJson::Storage { storage },
            Reply::Reclaimed(reclaimed) => ReplyJson::Reclaimed { reclaimed },
            Reply::Refused(error) => ReplyJson::Refused { error },
        };
        json.serialize(to)
    }

    fn take<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match ReplyJson::deserialize(from)? {
            ReplyJson::Done => Reply::Done,
            ReplyJson::Status { view } => Reply::Status(view),
            ReplyJson::Previewed {
                pin,
                requires_pairing_key,
                friendly_name,
            } => Reply::Previewed {
                pin,
                requires_pairing_key,
                friendly_name,
            },
            ReplyJson::Paired => Reply::Paired,
            ReplyJson::PairingPending => Reply::PairingPending,
            ReplyJson::Devices { devices } => Reply::Devices(devices),
            ReplyJson::Jobs { jobs } => Reply::Jobs(jobs),
            ReplyJson::Environments { environments } => Reply::Environments(environments),
            ReplyJson::NewestEnvironment { version } => Reply::NewestEnvironment(version),
            ReplyJson::SerialPorts { ports, advice } => Reply::SerialPorts { ports, advice },
            ReplyJson::Settings { settings } => Reply::Settings(settings),
            ReplyJson::Audit {
                entries,
                unreadable,
            } => Reply::Audit {
                entries,
                unreadable,
            },
            ReplyJson::AuditVerified { verification } => Reply::AuditVerified(verification),
            ReplyJson::Statistics { statistics } => Reply::Statistics(statistics),
            ReplyJson::Storage { storage } => Reply::Storage(storage),
            ReplyJson::Reclaimed { reclaimed } => Reply::Reclaimed(reclaimed),
            ReplyJson::Refused { error } => Reply::Refused(error),
        })
    }
}
